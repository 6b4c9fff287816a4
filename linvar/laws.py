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

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import chain, combinations_with_replacement
from math import factorial, lcm, prod
from operator import mul
from typing import Any, Protocol, runtime_checkable

from linvar.errors import InputError, Words, cut
from linvar.exact import (
    Exact,
    Matrix,
    Rational,
    Vector,
    exact,
    exact_column,
    exact_matrix,
    exact_vector,
    free_symbols,
    shape,
)
from linvar.semidefinite import independent_columns, negative_row

#: directions of a scattered point
_TOGETHER = 5

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


@dataclass(frozen=True, eq=True, init=False)
class Gaussian:
    """Gaussian inputs and a linear teacher: x ~ N(mean, covariance), y = teacher x + noise, noise ~ N(0, noise_variance I).

    Coordinates of the exact half: z = (x, noise), without the noise where ``noise_variance`` is 0.

    Args:
        teacher: W*, shape (d_L, d_0), exact entries (int, Fraction, "p/q", SymPy number or expression).
        covariance: Sigma, shape (d_0, d_0), symmetric positive semi-definite; the identity if None. With
            symbols in it, positive semi-definiteness is the caller's to assure.
        mean: shape (d_0,); zero if None. A constant input 1 (a bias) is a mean 1 with covariance 0.
        noise_variance: sigma^2 >= 0 of each target coordinate; 0 by default.

    Raises:
        TypeError: an entry is a float or not a number.
        ValueError: a shape does not fit, the covariance is not symmetric or not positive semi-definite, or
            the noise variance is negative.

    >>> Gaussian(teacher=[[1, 0], [0, 2]])
    Gaussian(teacher=[[1, 0], [0, 2]])
    """

    teacher: Matrix
    covariance: Matrix
    mean: Vector
    noise_variance: Exact

    def __init__(self, teacher: Any, covariance: Any = None, mean: Any = None, noise_variance: Any = 0) -> None:
        matrix = exact_matrix(teacher, "teacher")
        width = len(matrix[0])
        sigma = identity(width) if covariance is None else exact_matrix(covariance, "covariance")
        if shape(sigma) != (width, width):
            fault = Words(f"has shape {shape(sigma)}, but teacher has {width} columns")
            raise InputError("covariance", fault, f"give a ({width}, {width}) matrix")
        _check_symmetric(sigma)
        object.__setattr__(self, "covariance", sigma)
        self._check_positive_semidefinite()
        center = (Rational(0),) * width if mean is None else exact_vector(mean, "mean")
        if len(center) != width:
            fault = Words(f"has length {len(center)}, but teacher has {width} columns")
            raise InputError("mean", fault, f"give {width} entries")
        noise = exact(noise_variance, "noise_variance")
        if isinstance(noise, Rational) and noise < 0:
            raise InputError("noise_variance", noise, "give a variance, >= 0", fault="is negative")
        for name, value in zip(("teacher", "mean", "noise_variance"), (matrix, center, noise)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        parts = [f"teacher={show(self.teacher)}"]
        if self.covariance != identity(self.input_width):
            parts.append(f"covariance={show(self.covariance)}")
        if any(self.mean):
            parts.append(f"mean={show(self.mean)}")
        if self.noise_variance != 0:
            parts.append(f"noise_variance={show(self.noise_variance)}")
        return f"Gaussian({', '.join(parts)})"

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.teacher[0])

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.teacher)

    @property
    def symbols(self) -> tuple[Any, ...]:
        """SymPy symbols that occur in the law."""
        rows = [*self.teacher, *self.covariance, self.mean, (self.noise_variance,)]
        return free_symbols(entry for row in rows for entry in row)

    @property
    def _noise_width(self) -> int:
        return 0 if self.noise_variance == 0 else self.target_width

    @property
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, m)."""
        zeros = (Rational(0),) * self._noise_width
        return tuple(row + zeros for row in identity(self.input_width))

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, m)."""
        noise = identity(self.target_width) if self._noise_width else ((),) * self.target_width
        return tuple(row + tail for row, tail in zip(self.teacher, noise))

    def _moments(self, ring: Any) -> tuple[list[Element], Form]:
        """Mean and covariance of z in the ring."""
        d, m = self.input_width, self.input_width + self._noise_width
        mu = [ring.lift(self.mean[i]) if i < d else ring.lift(Rational(0)) for i in range(m)]
        sigma = [[ring.lift(Rational(0))] * m for _ in range(m)]
        for i in range(m):
            for j in range(m):
                if i < d and j < d:
                    sigma[i][j] = ring.lift(self.covariance[i][j])
                elif i == j:
                    sigma[i][j] = ring.lift(self.noise_variance)
        return mu, sigma

    @cached_property
    def _independent(self) -> tuple[int, ...] | None:
        """Columns of the covariance that are a basis of its span; None where symbols are in it."""
        sigma: Any = self.covariance
        return None if free_symbols(chain.from_iterable(sigma)) else independent_columns(sigma)

    def _check_positive_semidefinite(self) -> None:
        """Refuse a covariance of numbers that is not positive semi-definite."""
        sigma: Any = self.covariance
        if free_symbols(chain.from_iterable(sigma)):
            return
        found = negative_row(sigma, lambda: self._independent or ())
        if found is not None:
            fault = Words(f"= {cut(show(sigma))} is not positive semi-definite (found at row {found})")
            raise InputError("covariance", fault, "give the covariance matrix of the inputs")

    @cached_property
    def _directions(self) -> Matrix:
        """Vectors that span the directions in which z varies: the coordinates, or columns of its covariance."""
        width, size = self.input_width, self.input_width + self._noise_width
        basis = self._independent
        if basis is None:
            columns = [column for column in zip(*self.covariance) if any(entry != 0 for entry in column)]
        else:
            columns = [(identity(width) if len(basis) == width else self.covariance)[i] for i in basis]
        zeros = (Rational(0),) * self._noise_width
        return (*(column + zeros for column in columns), *identity(size)[width:])

    @cached_property
    def fills_space(self) -> bool:
        """Whether no polynomial in z vanishes almost surely; a covariance with symbols is not looked into."""
        return self._independent is not None and len(self._independent) == self.input_width

    def support(self, degree: int) -> Iterator[Vector]:
        """mu + sum_i h_i d_i for integers h >= 0 of sum at most ``degree``; those of the first few directions come first.

        A polynomial of this degree in h that vanishes at these vanishes. Where z may be anywhere, mu is replaced by zero.
        """
        size = self.input_width + self._noise_width
        mean = (*self.mean, *(Rational(0),) * self._noise_width)
        start = (Rational(0),) * size if self.fills_space else mean
        yield start
        for last in range(len(self._directions)):
            for count in range(1, degree + 1):
                for others in range(degree - count + 1):
                    for steps in combinations_with_replacement(range(last), others):
                        point = start
                        for i in (*steps, *(last,) * count):
                            point = tuple(a + b if b != 0 else a for a, b in zip(point, self._directions[i]))
                        yield tuple(Rational(entry) if isinstance(entry, Fraction) else entry for entry in point)

    def scattered(self, count: int) -> Iterator[Vector]:
        """mu and a few of the directions, other ones each time; anywhere where z fills its space."""
        size, many = self.input_width + self._noise_width, len(self._directions)
        mean = (*self.mean, *(Rational(0),) * self._noise_width)
        draws = random.Random(size)
        for _ in range(count if self.fills_space else 0):
            yield tuple(Rational(draws.randint(-99, 99)) for _ in range(size))
        for _ in range(0 if self.fills_space else count):
            chosen = [self._directions[draws.randrange(many)] for _ in range(_TOGETHER if many else 0)]
            if not free_symbols(entry for row in (mean, *chosen) for entry in row):
                yield tuple(Rational(sum(entries)) for entries in zip(mean, *chosen))

    def second_moment(self, ring: Any) -> Form:
        """E z z^T = Sigma_z + mu mu^T, shape (m, m)."""
        mu, sigma = self._moments(ring)
        return [[entry + a * b for entry, b in zip(row, mu)] for row, a in zip(sigma, mu)]

    def weighted_second_moment(self, form: Form, ring: Any) -> Form:
        """E q(Theta) z z^T = 2 A Theta A + tr(A Theta) A - 2 q(mu) mu mu^T with A = E z z^T, for symmetric Theta.

        Isserlis: E z_a z_b z_c z_d sums A A over three pairings, which counts mu mu mu mu three times, not once.
        """
        mu, _ = self._moments(ring)
        moment = self.second_moment(ring)
        trace, twice = _trace_product(moment, form), _product(_product(moment, form), moment)
        at_mean = 2 * sum((a * form[i][j] * b for i, a in enumerate(mu) for j, b in enumerate(mu)), mu[0] * 0)
        return [
            [2 * entry + trace * other - at_mean * (a * b) for entry, other, b in zip(row, others, mu)]
            for row, others, a in zip(twice, moment, mu)
        ]

    def cumulants(self, forms: list[Matrix], order: int, ring: Any) -> list[Element]:
        """kappa_k(Theta) = 2^{k-1} (k-1)! [ tr((Sigma_z Theta)^k) + k mu^T Theta (Sigma_z Theta)^{k-1} mu ], k = 1..order.

        Here Theta = sum_j theta_j forms[j], with theta_j = ring.gens[j]; kappa_k is homogeneous of degree k.
        """
        mu, sigma = self._moments(ring)
        theta = [
            [sum((g * ring.lift(form[i][j]) for g, form in zip(ring.gens, forms) if form[i][j] != 0), ring.lift(Rational(0)))
             for j in range(len(mu))] for i in range(len(mu))
        ]  # fmt: skip
        step, centered = _product(sigma, theta), any(mu)
        outer = [[a * b for b in mu] for a in mu]
        power, result = None, []
        for k in range(1, order + 1):
            value = _trace(step) if power is None else _trace_product(power, step)
            if centered:
                tail = theta if power is None else _product(theta, power)
                value = value + k * _trace_product(tail, outer)
            result.append(value * (2 ** (k - 1) * factorial(k - 1)))
            if k < order:
                power = step if power is None else _product(power, step)
        return result


@dataclass(frozen=True, eq=True, init=False)
class Dataset:
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
    def symbols(self) -> tuple[Any, ...]:
        """Always empty: a data set is numbers."""
        return ()

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

    def second_moment(self, ring: Any) -> Form:
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

    def weighted_second_moment(self, form: Form, ring: Any) -> Form:
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

    def power_sums(self, forms: list[Matrix], order: int, ring: Any, central: bool = False) -> list[Element]:
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

    def cumulants(self, forms: list[Matrix], order: int, ring: Any) -> list[Element]:
        """kappa_k(Theta) from the log of the empirical mean of exp(q_i): k = 1..order."""
        moments = [
            total * ring.lift(Rational(1, self.size * factorial(k)))
            for k, total in enumerate(self.power_sums(forms, order, ring), 1)
        ]
        logs: list[Element] = []
        for n in range(1, order + 1):
            value = moments[n - 1]
            for k in range(1, n):
                value = value - logs[k - 1] * moments[n - k - 1] * ring.lift(Rational(k, n))
            logs.append(value)
        return [value * factorial(k) for k, value in enumerate(logs, 1)]


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


def _check_symmetric(sigma: Matrix) -> None:
    """Refuse an asymmetric matrix."""
    size = len(sigma)
    for i in range(size):
        for j in range(i):
            if sigma[i][j] != sigma[j][i]:
                pair = f"entry [{i}][{j}] is {cut(str(sigma[i][j]), 60)} and [{j}][{i}] is {cut(str(sigma[j][i]), 60)}"
                fault = Words(f"is not symmetric: {pair}")
                raise InputError("covariance", fault, "give the covariance matrix of the inputs")


def _pairs(size: int) -> list[tuple[int, int]]:
    """Index pairs i <= j."""
    return list(combinations_with_replacement(range(size), 2))


def _product(a: Form, b: Form) -> Form:
    """Matrix product, skipping zero entries."""
    result = []
    for row in a:
        support = [(entry, b[k]) for k, entry in enumerate(row) if entry != 0]
        zero = row[0] * 0
        result.append(
            [sum((entry * other[j] for entry, other in support if other[j] != 0), zero) for j in range(len(b[0]))]
        )
    return result


def _trace(a: Form) -> Element:
    """Trace."""
    return sum((a[i][i] for i in range(1, len(a))), a[0][0])


def _trace_product(a: Form, b: Form) -> Element:
    """tr(a b)."""
    zero = a[0][0] * 0
    return sum((a[i][j] * b[j][i] for i in range(len(a)) for j in range(len(b)) if a[i][j] != 0 and b[j][i] != 0), zero)
