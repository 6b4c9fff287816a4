"""The exact twins of the schemes of ``linvar.schemes.scheme``, by the same names."""

from __future__ import annotations

from linvar.symbolic.schemes.iid import Iid
from linvar.symbolic.schemes.scheme import ExactScheme
from linvar.symbolic.schemes.without_replacement import WithoutReplacement

_EXACT_SCHEMES: dict[str, ExactScheme] = {"iid": Iid(), "without_replacement": WithoutReplacement()}


def exact_scheme(sampling: str) -> ExactScheme:
    """The exact twin of the scheme of this name.

    >>> exact_scheme("without_replacement").dataset_powers
    2
    """
    return _EXACT_SCHEMES[sampling]
