"""A finite data set: an example is one of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations_with_replacement
from math import factorial, lcm, prod
from operator import mul
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, Words, cut
from linvar.exact import Matrix, Rational, Vector, exact_column, exact_matrix, free_symbols
from linvar.laws.law import Law, ReadTable, identity
from linvar.matrices import Rows
from linvar.plain_data import Plain, built, check_keys, plain, read_list, read_matrix, read_vector
from linvar.rings import PolynomialRingLike, RingLike, T

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True, eq=True, init=False)
class Dataset(Law):
    """A finite data set: an example is one of n rows, each with probability 1/n.

    Coordinates of the exact half: z = (x, y).

    Args:
        inputs: n rows of d_0 exact numbers: lists, an array or a table (a pandas DataFrame) of them.
        targets: n rows of d_L exact numbers; or n numbers, read as one column: a list, an array, a Series.

    An array or a column of truth values counts as 0 and 1.

    Raises:
        TypeError: an entry is a float or not a number (round real data openly: ``linvar.rationalize``, or
            ``Problem.from_arrays``), a column is text, dates or categories, or rows have no order.
        ValueError: no rows, rows of unequal length, a different number of inputs and targets, masked or missing
            entries, or symbols.

    >>> Dataset(inputs=[[1, 2], [0, 1], [1, 1]], targets=[1, 0, "1/2"])
    Dataset(3 examples, 2 inputs, 1 target)
    """

    inputs: Matrix
    targets: Matrix

    kind = "dataset"
    keys = ("inputs", "targets")

    def __init__(self, inputs: Any, targets: Any) -> None:
        x = exact_matrix(inputs, "inputs")
        y = exact_column(targets, "targets")
        if len(x) != len(y):
            fault = Words(f"has {len(x)} rows and targets has {len(y)}")
            raise InputError("inputs", fault, "give one target row per input row")
        for name, matrix in (("inputs", x), ("targets", y)):
            if symbols := free_symbols(chain.from_iterable(matrix)):
                fault = Words(f"contain symbols ({cut(', '.join(map(str, symbols)), 60)})")
                raise InputError(name, fault, "a data set is numbers; weights and learning rate may be symbolic")
        object.__setattr__(self, "inputs", x)
        object.__setattr__(self, "targets", y)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of all rows: worked out once."""
        return hash((self.inputs, self.targets))

    def __repr__(self) -> str:
        many = "" if self.target_width == 1 else "s"
        return f"Dataset({self.size} examples, {self.input_width} inputs, {self.target_width} target{many})"

    @property
    def size(self) -> int:
        """n, the number of examples."""
        return len(self.inputs)

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.inputs[0])

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.targets[0])

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """Always empty: a data set is numbers."""
        return ()

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The widths of both."""
        widths = f"{self.input_width} inputs and {self.target_width} targets"
        fault = Words(f"has {widths}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("the data set", fault, "change inputs, targets or weights")

    def to_dict(self) -> dict[str, Plain]:
        """Its rows.

        >>> Dataset(inputs=[[1, 2]], targets=["1/2"]).to_dict()
        {'kind': 'dataset', 'inputs': [[1, 2]], 'targets': [['1/2']]}
        """
        return {"kind": self.kind, "inputs": plain(self.inputs), "targets": plain(self.targets)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Rows, or those of a table, ``file``; targets may be one column, a list of numbers."""
        if "file" in data:
            return table(data)
        check_keys(data, "law.", ("kind", *cls.keys), cls.keys, 'or "file" and "target", for a table')
        inputs = read_matrix(data["inputs"], "law.inputs")
        raw = read_list(data["targets"], "law.targets")
        rows = any(isinstance(row, (list, tuple)) for row in raw)
        targets = read_matrix(raw, "law.targets") if rows else read_vector(raw, "law.targets")
        return built(lambda: cls(inputs, targets), "law.", cls.keys)

    @property
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, d_0 + d_L)."""
        return tuple(
            row[: self.input_width + self.target_width]
            for row in identity(self.input_width + self.target_width)[: self.input_width]
        )

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, d_0 + d_L)."""
        return identity(self.input_width + self.target_width)[self.input_width :]

    @cached_property
    def _integers(self) -> tuple[int, list[list[int]]]:
        """A common denominator of all entries, and the rows z_i times it."""
        scale = lcm(*{entry.denominator for row in chain(self.inputs, self.targets) for entry in row})
        rows = map(chain, self.inputs, self.targets)
        return scale, [[entry.numerator * (scale // entry.denominator) for entry in row] for row in rows]

    #: Polynomials of degree n and more vanish at all rows.
    fills_space = False

    def support(self, degree: int) -> Iterator[Vector]:
        """The rows."""
        return (x + y for x, y in zip(self.inputs, self.targets))

    def scattered(self, count: int) -> Iterator[Vector]:
        """Rows at equal distances, at most so many."""
        return (self.inputs[i] + self.targets[i] for i in range(0, self.size, -(-self.size // count)))

    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T = (1/n) sum_i z_i z_i^T."""
        scale, rows = self._integers
        columns = list(zip(*rows))
        return [
            [ring.lift(Rational(sum(a * b for a, b in zip(first, second)), scale**2 * self.size)) for second in columns]
            for first in columns
        ]

    @cached_property
    def _fourth_moments(self) -> dict[tuple[int, ...], int]:
        """sum_i z_a z_b z_c z_d over the rows of integers, for a <= b <= c <= d."""
        _, rows = self._integers
        pairs = {(a, b): [row[a] * row[b] for row in rows] for a, b in _pairs(len(rows[0]))}
        return {
            key: sum(map(mul, pairs[key[:2]], pairs[key[2:]]))
            for key in combinations_with_replacement(range(len(rows[0])), 4)
        }

    def weighted_second_moment(self, form: Rows[T], ring: RingLike[T]) -> list[list[T]]:
        """E q(Theta) z z^T for symmetric Theta: its entries times the fourth moments of z."""
        scale, _ = self._integers
        moments, size = self._fourth_moments, len(form)
        entries = [(i, j, form[i][j] * (1 + (i != j))) for i, j in _pairs(size) if form[i][j] != 0]
        divisor = ring.lift(Rational(1, scale**4 * self.size))
        result = [[ring.lift(Rational(0))] * size for _ in range(size)]
        for k, l in _pairs(size):
            total = ring.lift(Rational(0))
            for i, j, entry in entries:
                moment = moments[tuple(sorted((i, j, k, l)))]
                if moment:
                    total = total + entry * moment
            result[k][l] = result[l][k] = total * divisor
        return result

    def power_sums(
        self, forms: list[Matrix], order: int, ring: PolynomialRingLike[T], central: bool = False
    ) -> list[T]:
        """sum_i q_i(Theta)^k for k = 1..order, Theta = sum_j theta_j forms[j]: homogeneous polynomials in theta.

        With ``central`` the values q_i are taken less their mean.
        """
        scale, rows = self._integers
        support = [
            [(i, j, form[i][j]) for i in range(len(form)) for j in range(len(form)) if form[i][j] != 0]
            for form in forms
        ]
        denominator = lcm(1, *(value.denominator for entries in support for *_, value in entries))
        columns = [
            [sum(int(value * denominator) * row[i] * row[j] for i, j, value in entries) for row in rows]
            for entries in support
        ]
        result, scale = [], scale**2 * denominator
        if central:  # n q_i - sum_i q_i
            columns = [[self.size * q - total for q in column] for column in columns for total in [sum(column)]]
            scale *= self.size
        # values of the monomials of half the order; those of full order are dot products of two of them
        halves: dict[tuple[int, ...], list[int]] = {(): [1] * self.size}
        for k in range(1, (order + 1) // 2 + 1):
            for key in combinations_with_replacement(range(len(forms)), k):
                halves[key] = list(map(mul, halves[key[:-1]], columns[key[-1]]))
        for k in range(1, order + 1):
            terms = {}
            for key in combinations_with_replacement(range(len(forms)), k):
                exponents = [0] * len(forms)
                for j in key:
                    exponents[j] += 1
                total = sum(map(mul, halves[key[: k // 2]], halves[key[k // 2 :]]))
                terms[tuple(exponents)] = Rational(factorial(k) // prod(map(factorial, exponents)) * total, scale**k)
            result.append(ring.from_terms(terms))
        return result

    def cumulants(self, forms: list[Matrix], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """kappa_k(Theta) from the log of the empirical mean of exp(q_i): k = 1..order."""
        moments = [
            total * ring.lift(Rational(1, self.size * factorial(k)))
            for k, total in enumerate(self.power_sums(forms, order, ring), 1)
        ]
        logs: list[T] = []
        for n in range(1, order + 1):
            value = moments[n - 1]
            for k in range(1, n):
                value = value - logs[k - 1] * moments[n - k - 1] * ring.lift(Rational(k, n))
            logs.append(value)
        return [value * factorial(k) for k, value in enumerate(logs, 1)]


def _pairs(size: int) -> list[tuple[int, int]]:
    """Index pairs i <= j."""
    return list(combinations_with_replacement(range(size), 2))
