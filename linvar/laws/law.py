"""The law of ONE example z, known to the exact half through the cumulants of the quadratic form q = z^T Theta z.

Each law chooses coordinates z in which it is simple and says how input and target are read from them,
x = X z and y = Y z. The exact half sees only those two maps, where z can be, and three expectations:

    support                 points that determine polynomials in z of some degree, as functions under the law
    scattered               a few points where z can be, for a first look
    second_moment           E z z^T
    weighted_second_moment  E q(Theta) z z^T                 (the last step; every step of linear regression)
    cumulants               kappa_k(sum_j theta_j Theta_j)   (every earlier step, through moments of a batch mean)

A ring is passed in (``ring.lift`` an exact number, ``ring.gens`` the variables theta, ``ring.from_terms`` a
dictionary of monomials): the formulas below never ask what kind it is, so a further road may bring its own.
A further law needs these members and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from linvar.exact import Matrix, Rational, Vector

Element = Any  # an element of the ring the caller computes in
Form = list[list[Element]]  # a symmetric matrix of ring elements


@runtime_checkable
class Law(Protocol):
    """What the exact half asks of the law of one example z (see the module docstring)."""

    @property
    def input_map(self) -> Matrix: ...

    @property
    def target_map(self) -> Matrix: ...

    @property
    def symbols(self) -> tuple[Any, ...]: ...

    @property
    def fills_space(self) -> bool: ...

    def support(self, degree: int) -> Iterator[Vector]: ...

    def scattered(self, count: int) -> Iterator[Vector]: ...

    def second_moment(self, ring: Any) -> Form: ...

    def weighted_second_moment(self, form: Form, ring: Any) -> Form: ...

    def cumulants(self, forms: list[Matrix], order: int, ring: Any) -> list[Element]: ...


@lru_cache(maxsize=32)
def identity(width: int) -> Matrix:
    """The identity matrix, exact."""
    return tuple(tuple(Rational(int(i == j)) for j in range(width)) for i in range(width))


def show(value: Any) -> str:
    """Exact entries in lists, as the user typed them."""
    if isinstance(value, tuple):
        return f"[{', '.join(show(entry) for entry in value)}]"
    text = str(value)
    return f'"{text}"' if isinstance(value, Rational) and value.denominator != 1 else text
