"""Independent coordinates, and an example that is a polynomial in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linvar.arrays import ordered
from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Rational
from linvar.keywords import door
from linvar.laws.coordinates import Coordinate, checked_coordinate, read_coordinate
from linvar.laws.law import Law, Number, ReadTable
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.plain_data import Plain, ProblemFileError, built, check_keys, plain, read_list, read_number, refuse


@dataclass(frozen=True, init=False)
class Independent(Law):
    """Independent coordinates z of given laws, and an example (x, y) that is a polynomial in them.

    So label noise, correlated inputs, non-linear teachers and constant inputs are maps; batches are independent draws (iid).
    Every exact number is one of the moments of the coordinates: ``Normal``, ``Uniform``, ``Rademacher``, or a list of them.

    Args:
        coordinates: the law of each z_i; a list [E z, E z^2, ...] where only moments are known.
        example: z -> (x, y), by + - *, powers and division by numbers; z is an array of polynomials, so slices, sums and
            products with arrays of exact numbers go. x and y are sequences of d_0 and d_L polynomials or numbers, or one.

    Raises:
        InputTypeError: a coordinate is no law of a number; the map uses a float, or is no polynomial.
        InputError: the map gives no pair, or nothing in x or y.

    >>> from linvar import Normal, Uniform
    >>> Independent([Uniform(-1, 1), Normal(0, "1/4")], example=lambda z: (z[:1], 2 * z[0] ** 2 + z[1]))
    Independent([Uniform(-1, 1), Normal(0, "1/4")], inputs=[z0], targets=[2*z0**2 + z1])
    """

    coordinates: tuple[Coordinate, ...]
    inputs: tuple[Polynomial, ...]
    targets: tuple[Polynomial, ...]

    kind = "independent"
    keys = ("coordinates", "inputs", "targets")

    @door
    def __init__(self, coordinates: Any, example: Callable[[Any], tuple[Any, Any]]) -> None:
        laws = _coordinates(coordinates)
        self._keep(laws, *_traced(example, len(laws)))

    def _keep(
        self, laws: tuple[Coordinate, ...], inputs: tuple[Polynomial, ...], targets: tuple[Polynomial, ...]
    ) -> None:
        for name, value in (("coordinates", laws), ("inputs", inputs), ("targets", targets)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, coordinates: Any, inputs: Sequence[Polynomial], targets: Sequence[Polynomial]) -> Independent:
        """The law with these polynomials for x and y."""
        law = object.__new__(cls)
        law._keep(_coordinates(coordinates), tuple(inputs), tuple(targets))
        return law

    def __repr__(self) -> str:
        return f"Independent({list(self.coordinates)!r}, inputs={list(self.inputs)!r}, targets={list(self.targets)!r})"

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.inputs)

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.targets)

    def with_constant(self) -> Independent:
        """A polynomial 1 beside x."""
        return Independent.of(self.coordinates, (*self.inputs, Polynomial.constant(1)), self.targets)

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """Those of the coordinates; the polynomials stay."""
        return tuple(number for coordinate in self.coordinates for number in coordinate.numbers_to_vary())

    def with_numbers(self, values: Sequence[Rational]) -> Independent:
        """Other coordinates."""
        rest = iter(values)
        laws = [one.with_numbers([next(rest) for _ in one.numbers_to_vary()]) for one in self.coordinates]
        return Independent.of(laws, self.inputs, self.targets)

    def to_dict(self) -> dict[str, Plain]:
        """The coordinates, and the polynomials as lists of terms [coefficient, [coordinates]].

        >>> from linvar import Normal
        >>> law = Independent([Normal()], lambda z: (z, z[0] ** 2 / 2 - 1))
        >>> law.to_dict()["targets"]
        [[[-1, []], ['1/2', [0, 0]]]]
        """
        return {
            "kind": self.kind,
            "coordinates": [coordinate.to_dict() for coordinate in self.coordinates],
            "inputs": [_terms(polynomial) for polynomial in self.inputs],
            "targets": [_terms(polynomial) for polynomial in self.targets],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """The coordinates and the terms of the polynomials."""
        check_keys(data, "law.", ("kind", *cls.keys), cls.keys)
        laws = [
            read_coordinate(entry, f"law.coordinates[{place}]")
            for place, entry in enumerate(read_list(data["coordinates"], "law.coordinates"))
        ]
        inputs, targets = (
            [
                _read_polynomial(entry, f"law.{key}[{place}]", len(laws))
                for place, entry in enumerate(read_list(data[key], f"law.{key}"))
            ]
            for key in ("inputs", "targets")
        )
        return built(lambda: cls.of(laws, inputs, targets), "law.", cls.keys)


def _coordinates(values: Any) -> tuple[Coordinate, ...]:
    """Laws of numbers, at least one."""
    cure = "give a list of laws of numbers, [linvar.Normal(), linvar.Uniform(-1, 1)]"
    found = tuple(
        checked_coordinate(value, f"coordinates[{place}]")
        for place, value in enumerate(ordered(values, "coordinates", cure))
    )
    if not found:
        raise InputError("coordinates", Words("is empty"), cure)
    return found


def _traced(example: Any, count: int) -> tuple[tuple[Polynomial, ...], tuple[Polynomial, ...]]:
    """The polynomials that a map from the coordinates gives."""
    import numpy as np

    cure = "give a function z -> (x, y) made of + - *, powers and division by numbers"
    if not callable(example):
        raise InputTypeError("example", example, cure)
    z = np.empty(count, dtype=object)
    z[:] = coordinates(count)
    try:
        found = example(z)
    except InputError:
        raise
    except Exception as error:
        fault = Words(f"cannot be traced ({type(error).__name__}: {str(error)[:80]})")
        raise InputTypeError("example", fault, cure) from error
    if not isinstance(found, tuple) or len(found) != 2:
        raise InputTypeError("example", Words("does not give a pair (x, y)"), cure)
    inputs, targets = (_polynomials(part, name) for part, name in zip(found, ("x", "y")))
    return inputs, targets


def _polynomials(part: Any, name: str) -> tuple[Polynomial, ...]:
    """x or y: a sequence of polynomials and numbers, or one of them."""
    import numpy as np

    entries = part if isinstance(part, (list, tuple)) else np.asarray(part, dtype=object)
    flat = list(entries) if isinstance(entries, (list, tuple)) else list(entries.reshape(-1))
    if not flat:
        raise InputError("example", Words(f"gives an empty {name}"), "give at least one entry")
    return tuple(map(Polynomial.constant, flat))


def _terms(polynomial: Polynomial) -> Plain:
    """[coefficient, [coordinates]] of each monomial."""
    return [[plain(coefficient), list(places)] for places, coefficient in polynomial.terms]


def _read_polynomial(data: Plain, name: str, count: int) -> Polynomial:
    """The same from a file; an empty list is the zero polynomial."""
    if not isinstance(data, (list, tuple)):
        refuse(name, data, "write a list of terms [coefficient, [coordinates]]")
    total = Polynomial()
    for place, term in enumerate(data):
        where = f"{name}[{place}]"
        if not isinstance(term, (list, tuple)) or len(term) != 2 or not isinstance(term[1], (list, tuple)):
            refuse(where, term, 'write a term [coefficient, [coordinates]], ["1/2", [0, 0]] for z0**2/2')
        product = Polynomial.constant(read_number(term[0], f"{where}[0]"))
        for factor, index in enumerate(term[1]):
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
                fault = Words(f"is {index!r}"[:40])
                raise ProblemFileError(f"{where}[1][{factor}]", fault, f"write a coordinate, 0 to {count - 1}")
            product = product * coordinates(count)[index]
        total = total + product
    return total


_: type[Law] = Independent
