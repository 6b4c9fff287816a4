"""Gaussian inputs and a linear teacher."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain, combinations_with_replacement
from math import factorial
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, Words, cut
from linvar.exact import Exact, Matrix, Rational, Vector, exact, exact_matrix, exact_vector, free_symbols, shape
from linvar.laws.law import Law, ReadTable, identity, show
from linvar.laws.semidefinite import independent_columns, negative_row
from linvar.matrices import Rows, product, trace, trace_product
from linvar.plain_data import Plain, built, check_keys, plain, read_matrix, read_number, read_vector
from linvar.rings import PolynomialRingLike, RingLike, T

if TYPE_CHECKING:
    import sympy

#: directions of a scattered point
_TOGETHER = 5


@dataclass(frozen=True, eq=True, init=False)
class Gaussian(Law):
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

    kind = "gaussian"
    keys = ("teacher", "covariance", "mean", "noise_variance")

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
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """SymPy symbols that occur in the law."""
        rows = [*self.teacher, *self.covariance, self.mean, (self.noise_variance,)]
        return free_symbols(entry for row in rows for entry in row)

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The shape of the teacher."""
        fault = Words(f"has shape {shape(self.teacher)}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("teacher", fault, f"give a teacher of shape ({outputs}, {inputs})")

    def to_dict(self) -> dict[str, Plain]:
        """The teacher, and what differs from its default.

        >>> Gaussian(teacher=[[1, "1/2"]], mean=[0, 3]).to_dict()
        {'kind': 'gaussian', 'teacher': [[1, '1/2']], 'mean': [0, 3]}
        """
        optional = {
            "covariance": (self.covariance, self.covariance != identity(self.input_width)),
            "mean": (self.mean, any(self.mean)),
            "noise_variance": (self.noise_variance, self.noise_variance != 0),
        }
        further = {key: plain(value) for key, (value, given) in optional.items() if given}
        return {"kind": self.kind, "teacher": plain(self.teacher), **further}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Inputs of a normal distribution."""
        check_keys(data, "law.", ("kind", *cls.keys), ("teacher",))
        readers: dict[str, Callable[[Plain, str], Exact | Vector | Matrix]] = {
            "covariance": read_matrix,
            "mean": read_vector,
            "noise_variance": read_number,
        }
        optional = {key: read(data[key], f"law.{key}") for key, read in readers.items() if key in data}
        teacher = read_matrix(data["teacher"], "law.teacher")
        return built(lambda: cls(teacher, **optional), "law.", cls.keys)

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

    def _moments(self, ring: RingLike[T]) -> tuple[list[T], list[list[T]]]:
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

    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T = Sigma_z + mu mu^T, shape (m, m)."""
        mu, sigma = self._moments(ring)
        return [[entry + a * b for entry, b in zip(row, mu)] for row, a in zip(sigma, mu)]

    def weighted_second_moment(self, form: Rows[T], ring: RingLike[T]) -> list[list[T]]:
        """E q(Theta) z z^T = 2 A Theta A + tr(A Theta) A - 2 q(mu) mu mu^T with A = E z z^T, for symmetric Theta.

        Isserlis: E z_a z_b z_c z_d sums A A over three pairings, which counts mu mu mu mu three times, not once.
        """
        mu, _ = self._moments(ring)
        moment = self.second_moment(ring)
        trace, twice = trace_product(moment, form), product(product(moment, form), moment)
        at_mean = 2 * sum((a * form[i][j] * b for i, a in enumerate(mu) for j, b in enumerate(mu)), mu[0] * 0)
        return [
            [2 * entry + trace * other - at_mean * (a * b) for entry, other, b in zip(row, others, mu)]
            for row, others, a in zip(twice, moment, mu)
        ]

    def cumulants(self, forms: list[Matrix], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """kappa_k(Theta) = 2^{k-1} (k-1)! [ tr((Sigma_z Theta)^k) + k mu^T Theta (Sigma_z Theta)^{k-1} mu ], k = 1..order.

        Here Theta = sum_j theta_j forms[j], with theta_j = ring.gens[j]; kappa_k is homogeneous of degree k.
        """
        mu, sigma = self._moments(ring)
        theta = [
            [sum((g * ring.lift(form[i][j]) for g, form in zip(ring.gens, forms) if form[i][j] != 0), ring.lift(Rational(0)))
             for j in range(len(mu))] for i in range(len(mu))
        ]  # fmt: skip
        step, centered = product(sigma, theta), any(mu)
        outer = [[a * b for b in mu] for a in mu]
        power, result = None, []
        for k in range(1, order + 1):
            value = trace(step) if power is None else trace_product(power, step)
            if centered:
                tail = theta if power is None else product(theta, power)
                value = value + k * trace_product(tail, outer)
            result.append(value * (2 ** (k - 1) * factorial(k - 1)))
            if k < order:
                power = step if power is None else product(power, step)
        return result


def _check_symmetric(sigma: Matrix) -> None:
    """Refuse an asymmetric matrix."""
    size = len(sigma)
    for i in range(size):
        for j in range(i):
            if sigma[i][j] != sigma[j][i]:
                pair = f"entry [{i}][{j}] is {cut(str(sigma[i][j]), 60)} and [{j}][{i}] is {cut(str(sigma[j][i]), 60)}"
                fault = Words(f"is not symmetric: {pair}")
                raise InputError("covariance", fault, "give the covariance matrix of the inputs")
