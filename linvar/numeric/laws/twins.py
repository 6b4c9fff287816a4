"""Which numeric twin a law has: the one place of the numeric half that knows the laws there are."""

from __future__ import annotations

from functools import singledispatch

from linvar.errors import InputTypeError
from linvar.laws.dataset import Dataset
from linvar.laws.finite import Finite
from linvar.laws.gaussian import Gaussian
from linvar.laws.independent import Independent
from linvar.laws.law import Law
from linvar.laws.scale_mixture import ScaleMixture
from linvar.numeric.laws.dataset import NumericDataset
from linvar.numeric.laws.finite import NumericFinite
from linvar.numeric.laws.gaussian import NumericGaussian
from linvar.numeric.laws.independent import NumericIndependent
from linvar.numeric.laws.law import NumericLaw
from linvar.numeric.laws.samples import NumericSamples, Samples
from linvar.numeric.laws.scale_mixture import NumericScaleMixture


@singledispatch
def find_numeric_law(value: object) -> NumericLaw | None:
    """The numeric twin of a law; None for what is no law.

    The twin is the one registered here for its kind; or the law itself, where it is a ``NumericLaw``; or made of its ``sample``.

    Raises:
        InputTypeError: a law that has none of these.
        InputError: a law that cannot be drawn.

    >>> find_numeric_law([1.0, 2.0])
    """
    return None


@find_numeric_law.register
def _itself(law: NumericLaw) -> NumericLaw | None:
    """A law that is its own twin."""
    return law


@find_numeric_law.register
def _of_a_user(law: Law) -> NumericLaw | None:
    """A law of no registered kind."""
    if isinstance(law, NumericLaw):
        return law
    if isinstance(law, Samples):
        return NumericSamples(law, law)
    cure = "write sample(key, rows, dtype) -> (x, y), x of shape (rows, d_0) and y of shape (rows, d_L)"
    raise InputTypeError("law", law, cure, fault="cannot be simulated, nothing draws its examples")


find_numeric_law.register(Gaussian, NumericGaussian)
find_numeric_law.register(Dataset, NumericDataset)
find_numeric_law.register(Finite, NumericFinite)
find_numeric_law.register(Independent, NumericIndependent)
find_numeric_law.register(ScaleMixture, NumericScaleMixture)


def numeric_law(law: object) -> NumericLaw:
    """The numeric twin of a law.

    Raises:
        InputTypeError: it has none.

    >>> numeric_law(Dataset([[1, 2], [3, 4], [0, 1]], [1, 0, 2])).squared_lengths()
    (25.0, 4.0)
    """
    twin = find_numeric_law(law)
    if twin is None:
        raise InputTypeError("law", law, "give a law that can be simulated, linvar.Gaussian(...) or another")
    return twin
