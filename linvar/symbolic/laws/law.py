"""What the exact half asks of a law beyond its expectations over a ring (``linvar.laws.law``): sizes, symmetries, residues.

The cost models take the digits of a problem from a law's numbers; the lattice takes its moments along directions modulo primes.
Moments of features of an example, for models that are not linear networks, have their place here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import lcm
from typing import Protocol, TypeAlias

from linvar.exact import Exact, Matrix, Rational

#: exact numbers in lists of any depth: an array
Nested: TypeAlias = "Fraction | Sequence[Nested]"


class ExactLaw(Protocol):
    """The exact twin of a law (see the module docstring)."""

    # digits

    def numbers(self) -> list[Exact]:
        """Numbers whose digits the answers grow from: of the map to the target, or of the first examples."""
        ...

    def factors(self) -> tuple[list[Exact], int]:
        """Numbers that the entries of E z z^T are made of, and how many of them are multiplied in an entry: 1 or 2."""
        ...

    def denominator_bits(self) -> float:
        """log2 of a common denominator of E z z^T and of the map to the target, about; symbols are left out."""
        ...

    # symmetries

    @property
    def white(self) -> bool:
        """Whether E x x^T is the identity, as far as it takes no arithmetic to see."""
        ...

    @property
    def flippable_map(self) -> Matrix | None:
        """The map to the target, shape (d_L, d_0), if signs of coordinates may flip together with its entries; otherwise None."""
        ...

    # residues

    def along(self, forms: Sequence[Matrix], central: bool) -> dict[str, Nested]:
        """What the moments of q_j = z^T forms[j] z are computed from.

        Either ``values`` q_j(z_i), shape (forms, n), of n equally likely z_i (less their mean if ``central``), with
        ``inverse_size`` 1/n; or ``mean`` and ``covariance`` of a normal z, with the ``forms``.
        """
        ...


def common_denominator(entries: Iterable[Exact]) -> int:
    """The least common denominator of exact numbers; symbols are left out.

    >>> common_denominator([Rational(1, 6), Rational(3, 4)])
    12
    """
    return lcm(1, *{entry.denominator for entry in entries if isinstance(entry, Rational)})
