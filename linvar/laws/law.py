"""The law of ONE example z, known to the exact half through the cumulants of the quadratic form q = z^T Theta z.

Each law chooses coordinates z in which it is simple and says how input and target are read from them,
x = X z and y = Y z. The exact half sees only those two maps, where z can be, and three expectations:

    support                 points that determine polynomials in z of some degree, as functions under the law
    scattered               a few points where z can be, for a first look
    second_moment           E z z^T
    weighted_second_moment  E q(Theta) z z^T                 (the last step; every step of linear regression)
    cumulants               kappa_k(sum_j theta_j Theta_j)   (every earlier step, through moments of a batch mean)
    power_sums              sum_i q_i(Theta)^k               (the same, of batches that are subsets of the n examples)

A ring is passed in (``ring.lift`` an exact number, ``ring.gens`` the variables theta, ``ring.from_terms`` a
dictionary of monomials): the formulas below never ask what kind it is, so a further road may bring its own.
A further law needs the members of ``Law`` and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from linvar.errors import InputError
from linvar.exact import Matrix, Rational, Vector
from linvar.matrices import Rows
from linvar.plain_data import Plain
from linvar.rings import PolynomialRingLike, RingLike, T

if TYPE_CHECKING:
    import sympy

#: reads the table that a file names in place of rows, by the keys of the file
ReadTable = Callable[[Mapping[str, Plain]], "Law"]


class Law(ABC):
    """A law of one example: its shape, its words in errors, its keys in files, and its expectations over any ring.

    Attributes:
        kind: its name in problem files.
        keys: the names of its parts, in files as in the constructor.
    """

    kind: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]

    @property
    def size(self) -> int | None:
        """n, where examples are drawn from so many; otherwise None."""
        return None

    @property
    @abstractmethod
    def input_width(self) -> int:
        """d_0."""

    @property
    @abstractmethod
    def target_width(self) -> int:
        """d_L."""

    @abstractmethod
    def misfit(self, inputs: int, outputs: int) -> InputError:
        """What is said where a network of these ends does not fit the law."""

    @abstractmethod
    def to_dict(self) -> dict[str, Plain]:
        """The content of a problem file's ``law``, ``kind`` first; what has its default value is left out."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """The law that ``to_dict`` states, from data that are not trusted.

        Args:
            data: the ``law`` of a problem file.
            table: reads a table named there.

        Raises:
            ProblemFileError: a key is unknown, missing or given twice, or its value is not accepted; it names ``law.key``.
        """

    # what the exact half asks (see the module docstring)

    @property
    @abstractmethod
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """SymPy symbols that occur in the law."""

    @property
    @abstractmethod
    def input_map(self) -> Matrix:
        """X with x = X z."""

    @property
    @abstractmethod
    def target_map(self) -> Matrix:
        """Y with y = Y z."""

    @property
    @abstractmethod
    def fills_space(self) -> bool:
        """Whether no polynomial in z vanishes almost surely."""

    @abstractmethod
    def support(self, degree: int) -> Iterator[Vector]:
        """Points such that a polynomial in z of this degree that vanishes at them vanishes almost surely."""

    @abstractmethod
    def scattered(self, count: int) -> Iterator[Vector]:
        """A few points where z can be, at most so many."""

    @abstractmethod
    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T."""

    @abstractmethod
    def weighted_second_moment(self, form: Rows[T], ring: RingLike[T]) -> list[list[T]]:
        """E q(Theta) z z^T for symmetric Theta."""

    @abstractmethod
    def cumulants(self, forms: list[Matrix], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """kappa_k(sum_j theta_j forms[j]), k = 1..order, with theta_j = ring.gens[j]."""

    def power_sums(
        self, forms: list[Matrix], order: int, ring: PolynomialRingLike[T], central: bool = False
    ) -> list[T]:
        """sum_i q_i(sum_j theta_j forms[j])^k over the n examples, k = 1..order; of q_i less their mean if ``central``.

        Raises:
            InputError: the law is no finite data set.
        """
        raise InputError("law", self, "give linvar.Dataset(inputs, targets)", fault="has no examples to sum over")


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
