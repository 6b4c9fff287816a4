"""Gaussian inputs and a linear teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from linvar.arrays import is_one_number
from linvar.errors import InputError, Words, cut
from linvar.exact import Exact, Matrix, Rational, Vector, exact, exact_matrix, exact_vector, free_symbols, shape
from linvar.keywords import door
from linvar.laws.law import Law, Number, ReadTable, filled, identity, show
from linvar.laws.semidefinite import independent_columns, negative_row
from linvar.plain_data import Plain, built, check_keys, plain, read_exact, read_matrix, read_vector

if TYPE_CHECKING:
    import sympy

_SHAPELESS = "has no shape yet"
_SHAPED = "write it as a matrix of zeros, d_L rows of d_0"


@dataclass(frozen=True, eq=True, init=False)
class Gaussian(Law):
    """Gaussian inputs and a linear teacher: x ~ N(mean, covariance), y = teacher x + noise, noise ~ N(0, noise_variance I).

    Coordinates of the exact half: z = (x, noise), without the noise where ``noise_variance`` is 0.

    Args:
        teacher: W*, shape (d_L, d_0), exact entries (int, Fraction, "p/q", SymPy number or expression). 0 is the zero teacher
            of whatever shape the weights of the ``Problem`` have.
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
    >>> import linvar as lv
    >>> lv.Problem([[[1, 2]], [[1], [3]]], Gaussian(teacher=0, noise_variance="1/4")).law
    Gaussian(teacher=[[0, 0], [0, 0]], noise_variance="1/4")

    Next: ``linvar.Problem`` takes it; other laws are ``linvar.Dataset``, ``linvar.Finite``, ``linvar.Independent`` and
    ``linvar.ScaleMixture``.
    """

    teacher: Matrix
    covariance: Matrix
    mean: Vector
    noise_variance: Exact

    kind = "gaussian"
    keys = symbolic = ("teacher", "covariance", "mean", "noise_variance")

    @door
    def __init__(self, teacher: Any, covariance: Any = None, mean: Any = None, noise_variance: Any = 0) -> None:
        matrix = () if _is_zero(teacher) else exact_matrix(teacher, "teacher")
        given = None if covariance is None else exact_matrix(covariance, "covariance")
        center = None if mean is None else exact_vector(mean, "mean")
        width = len(matrix[0]) if matrix else len(given[0]) if given else len(center or ())
        source = "teacher" if matrix else "covariance"
        sigma = identity(width) if given is None else given
        if sigma and shape(sigma) != (width, width):
            wanted = f"{source} has {width} columns" if matrix else "it is square"
            fault = Words(f"has shape {shape(sigma)}, but {wanted}")
            raise InputError("covariance", fault, f"give a ({width}, {width}) matrix")
        _check_symmetric(sigma)
        object.__setattr__(self, "covariance", sigma)
        self._check_positive_semidefinite()
        center = (Rational(0),) * width if center is None else center
        if len(center) != width:
            fault = Words(f"has length {len(center)}, but {source} has {width} columns")
            raise InputError("mean", fault, f"give {width} entries")
        noise = exact(noise_variance, "noise_variance")
        if isinstance(noise, Rational) and noise < 0:
            raise InputError("noise_variance", noise, "give a variance, >= 0", fault="is negative")
        for name, value in zip(("teacher", "mean", "noise_variance"), (matrix, center, noise)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        parts = [f"teacher={show(self.teacher or Rational(0))}"]
        if self.covariance != identity(len(self.mean)):
            parts.append(f"covariance={show(self.covariance)}")
        if any(self.mean):
            parts.append(f"mean={show(self.mean)}")
        if self.noise_variance != 0:
            parts.append(f"noise_variance={show(self.noise_variance)}")
        return f"Gaussian({', '.join(parts)})"

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self._shaped[0])

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self._shaped)

    @property
    def _shaped(self) -> Matrix:
        """The teacher.

        Raises:
            InputError: it is 0, and no problem has given it a shape yet.
        """
        if not self.teacher:
            raise InputError("teacher", 0, f"{_SHAPED}, or give the law to a Problem of a linear network", _SHAPELESS)
        return self.teacher

    def fitted(self, ends: tuple[int, int] | None) -> Gaussian:
        """With a matrix of zeros in place of a teacher 0.

        Raises:
            InputError: the ends are not known, or covariance or mean are of another number of inputs.
        """
        if self.teacher:
            return self
        if ends is None:
            raise InputError("teacher", 0, _SHAPED, f"{_SHAPELESS}: weights of a loss do not tell it")
        inputs, outputs = ends
        if self.mean and len(self.mean) != inputs:
            fault = Words(f"has covariance and mean of {len(self.mean)} inputs, but the network maps {inputs} inputs")
            raise InputError("law", fault, "change the law or the weights")
        teacher = ((Rational(0),) * inputs,) * outputs
        return Gaussian(teacher, self.covariance or None, self.mean or None, self.noise_variance)

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """SymPy symbols that occur in the law."""
        rows = [*self.teacher, *self.covariance, self.mean, (self.noise_variance,)]
        return free_symbols(entry for row in rows for entry in row)

    def with_constant(self) -> Gaussian:
        """An input of mean 1 and variance 0."""
        zero, width = Rational(0), self.input_width
        teacher = tuple((*row, zero) for row in self.teacher)
        sigma = (*((*row, zero) for row in self.covariance), (zero,) * (width + 1))
        return Gaussian(teacher, sigma, (*self.mean, Rational(1)), self.noise_variance)

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The shape of the teacher."""
        fault = Words(f"has shape {shape(self.teacher)}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("teacher", fault, f"give a teacher of shape ({outputs}, {inputs})")

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The teacher, and the noise variance unless it is 0; none where symbols are in the law."""
        if self.symbols:
            return ()
        teacher = [Number("teacher", Rational(entry)) for row in self.teacher for entry in row]
        noise = [Number("noise_variance", Rational(self.noise_variance), positive=True)]
        return (*teacher, *(noise if self.noise_variance != 0 else ()))

    def with_numbers(self, values: Sequence[Rational]) -> Gaussian:
        """Another teacher and noise variance."""
        rest = iter(values)
        teacher = filled(self._shaped, rest)
        return Gaussian(teacher, self.covariance, self.mean, next(rest, self.noise_variance))

    def to_dict(self) -> dict[str, Plain]:
        """The teacher, and what differs from its default.

        >>> Gaussian(teacher=[[1, "1/2"]], mean=[0, 3]).to_dict()
        {'kind': 'gaussian', 'teacher': [[1, '1/2']], 'mean': [0, 3]}
        """
        optional = {
            "covariance": (self.covariance, self.covariance != identity(len(self.mean))),
            "mean": (self.mean, any(self.mean)),
            "noise_variance": (self.noise_variance, self.noise_variance != 0),
        }
        further = {key: plain(value) for key, (value, given) in optional.items() if given}
        return {"kind": self.kind, "teacher": plain(self.teacher or Rational(0)), **further}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Inputs of a normal distribution."""
        check_keys(data, "law.", ("kind", *cls.keys), ("teacher",))
        readers: dict[str, Callable[[Plain, str], Exact | Vector | Matrix]] = {
            "covariance": read_matrix,
            "mean": read_vector,
            "noise_variance": read_exact,
        }
        optional = {key: read(data[key], f"law.{key}") for key, read in readers.items() if key in data}
        value = data["teacher"]
        teacher = read_exact(value, "law.teacher") if value == 0 else read_matrix(value, "law.teacher")
        return built(lambda: cls(teacher, **optional), "law.", cls.keys)

    @cached_property
    def independent(self) -> tuple[int, ...] | None:
        """Columns of the covariance that are a basis of its span; None where symbols are in it."""
        sigma: Any = self.covariance
        return None if free_symbols(chain.from_iterable(sigma)) else independent_columns(sigma)

    def _check_positive_semidefinite(self) -> None:
        """Refuse a covariance of numbers that is not positive semi-definite."""
        sigma: Any = self.covariance
        if free_symbols(chain.from_iterable(sigma)):
            return
        found = negative_row(sigma, lambda: self.independent or ())
        if found is not None:
            fault = Words(f"= {cut(show(sigma))} is not positive semi-definite (found at row {found})")
            raise InputError("covariance", fault, "give the covariance matrix of the inputs")


def _is_zero(teacher: Any) -> bool:
    """Whether a teacher is the number 0, exactly."""
    return is_one_number(teacher) and teacher in (0, "0") and exact(teacher, "teacher") == 0


def _check_symmetric(sigma: Matrix) -> None:
    """Refuse an asymmetric matrix."""
    size = len(sigma)
    for i in range(size):
        for j in range(i):
            if sigma[i][j] != sigma[j][i]:
                pair = f"entry [{i}][{j}] is {cut(str(sigma[i][j]), 60)} and [{j}][{i}] is {cut(str(sigma[j][i]), 60)}"
                fault = Words(f"is not symmetric: {pair}")
                cure = (
                    "give the covariance matrix of the inputs; of symbols, linvar.symbolic_matrix(..., symmetric=True)"
                )
                raise InputError("covariance", fault, cure)


_: type[Law] = Gaussian
