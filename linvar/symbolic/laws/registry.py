"""The exact twins of the laws of ``linvar.laws``."""

from __future__ import annotations

from functools import singledispatch

from linvar.errors import InputTypeError, Words
from linvar.exact import Rational
from linvar.laws.dataset import Dataset
from linvar.laws.finite import Finite
from linvar.laws.gaussian import Gaussian
from linvar.laws.independent import Independent
from linvar.laws.scale_mixture import ScaleMixture
from linvar.symbolic.laws.dataset import ExactDataset
from linvar.symbolic.laws.finite import ExactFinite
from linvar.symbolic.laws.gaussian import ExactGaussian
from linvar.symbolic.laws.independent import ExactIndependent
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.scale_mixture import ExactScaleMixture


@singledispatch
def exact_law(law: object) -> ExactLaw:
    """The exact twin of a law.

    Raises:
        InputTypeError: it has none.

    >>> exact_law(Gaussian(teacher=[["1/2", 3]])).numbers()
    [1/2, 3]
    """
    raise InputTypeError("law", law, "give a law, like linvar.Gaussian(...) or linvar.Dataset(...)")


@exact_law.register
def _itself(law: ExactLaw) -> ExactLaw:
    """A law whose statement is its own twin; its maps are looked at once, here.

    Raises:
        InputTypeError: they are no matrices of exact numbers with as many columns.
    """
    widths = set()
    for name in ("input_map", "target_map"):
        matrix = getattr(law, name)
        rows = matrix if isinstance(matrix, tuple) else ()
        right = rows and all(isinstance(row, tuple) and row for row in rows)
        if not right or not all(
            isinstance(e, Rational) or hasattr(type(e), "free_symbols") for row in rows for e in row
        ):
            cure = "give a tuple of rows, tuples of linvar.Rational numbers"
            raise InputTypeError(name, matrix, cure, fault="is no matrix of exact numbers")
        widths |= {len(row) for row in rows}
    if len(widths) != 1:
        fault = Words(f"have rows of {', '.join(map(str, sorted(widths)))} columns")
        raise InputTypeError("input_map and target_map", fault, "give one column for each coordinate")
    return law


exact_law.register(Gaussian, ExactGaussian)
exact_law.register(Dataset, ExactDataset)
exact_law.register(Finite, ExactFinite)
exact_law.register(Independent, ExactIndependent)
exact_law.register(ScaleMixture, ExactScaleMixture)
