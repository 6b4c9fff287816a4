"""Which numeric twin a law has: the one place of the numeric half that knows the laws there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linvar.errors import InputTypeError
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.numeric.laws.dataset import NumericDataset
from linvar.numeric.laws.gaussian import NumericGaussian
from linvar.numeric.laws.law import NumericLaw

_TWINS: dict[type, Callable[[Any], NumericLaw]] = {Gaussian: NumericGaussian, Dataset: NumericDataset}


def find_numeric_law(value: object) -> NumericLaw | None:
    """The numeric twin of a law; None for what is no law.

    >>> find_numeric_law([1.0, 2.0])
    """
    twin = next((_TWINS[kind] for kind in type(value).__mro__ if kind in _TWINS), None)
    return None if twin is None else twin(value)


def numeric_law(law: object) -> NumericLaw:
    """The numeric twin of a law.

    Raises:
        InputTypeError: it has none.

    >>> numeric_law(Dataset([[1, 2], [3, 4], [0, 1]], [1, 0, 2])).squared_lengths()
    (25.0, 4.0)
    """
    twin = find_numeric_law(law)
    if twin is None:
        raise InputTypeError("law", law, "give a law that can be simulated, linvar.Gaussian or linvar.Dataset")
    return twin
