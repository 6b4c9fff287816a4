"""Laws of one number: what the independent coordinates of ``Independent`` may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Rational, Vector, exact, exact_vector
from linvar.keywords import door, door_of_class
from linvar.laws.law import Number, show
from linvar.plain_data import Plain, ProblemFileError, built, check_keys, plain, quoted, read_list, read_number


class Coordinate(ABC):
    """The law of one number.

    Attributes:
        kind: its name in problem files.
        keys: the names of its parts, in files as in the constructor; ``required`` those without a default.
    """

    kind: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __repr__(self) -> str: ...

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """Those that a search may vary; none, unless the coordinate says so."""
        return ()

    def with_numbers(self, values: Sequence[Rational]) -> Coordinate:
        """The coordinate with these in the place of its ``numbers_to_vary``, in their order."""
        return self

    @staticmethod
    def read(value: Plain, name: str) -> Rational | tuple[Rational, ...]:
        """A part, from a file."""
        return read_number(value, name)

    def to_dict(self) -> dict[str, Plain]:
        """Its entry in a problem file."""
        return {"kind": self.kind, **{key: plain(getattr(self, key)) for key in self.keys}}


@dataclass(frozen=True, init=False)
class Normal(Coordinate):
    """A normal number of this mean and variance.

    >>> Normal(), Normal(1, "1/4")
    (Normal(), Normal(1, "1/4"))
    """

    mean: Rational
    variance: Rational

    kind = "normal"
    keys = ("mean", "variance")

    @door
    def __init__(self, mean: Any = 0, variance: Any = 1) -> None:
        object.__setattr__(self, "mean", _number(mean, "mean"))
        object.__setattr__(self, "variance", spread := _number(variance, "variance"))
        if spread < 0:
            raise InputError("variance", spread, "give a variance, >= 0", fault="is negative")

    def __repr__(self) -> str:
        given = [] if self.mean == 0 and self.variance == 1 else [self.mean, self.variance]
        return f"Normal({', '.join(map(show, given))})"

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The mean, and the variance unless it is 0."""
        variance = (Number("coordinates", self.variance, positive=True),) if self.variance else ()
        return (Number("coordinates", self.mean), *variance)

    def with_numbers(self, values: Sequence[Rational]) -> Normal:
        """Another mean and variance."""
        return Normal(*values, *(() if self.variance else (0,)))


@dataclass(frozen=True, init=False)
class Uniform(Coordinate):
    """A number that is uniform between two.

    >>> Uniform(), Uniform(0, "1/2")
    (Uniform(-1, 1), Uniform(0, "1/2"))
    """

    low: Rational
    high: Rational

    kind = "uniform"
    keys = ("low", "high")

    @door
    def __init__(self, low: Any = -1, high: Any = 1) -> None:
        object.__setattr__(self, "low", start := _number(low, "low"))
        object.__setattr__(self, "high", end := _number(high, "high"))
        if start >= end:
            raise InputError("high", end, "give a number above low", fault=f"is not above low={start}")

    def __repr__(self) -> str:
        return f"Uniform({show(self.low)}, {show(self.high)})"

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The lower end, and the width."""
        return Number("coordinates", self.low), Number("coordinates", Rational(self.high - self.low), positive=True)

    def with_numbers(self, values: Sequence[Rational]) -> Uniform:
        """Another lower end and width."""
        low, width = values
        return Uniform(low, low + width)


@door_of_class
@dataclass(frozen=True)
class Rademacher(Coordinate):
    """A fair sign: -1 or 1.

    >>> Rademacher()
    Rademacher()
    """

    kind = "rademacher"

    def __repr__(self) -> str:
        return "Rademacher()"


@dataclass(frozen=True)
class Moments(Coordinate):
    """A number of which only the moments E z, E z^2, ... are known, as many as are given; nothing draws it.

    That there is such a number is the caller's to assure; that E z^2 >= (E z)^2 is checked.
    """

    moments: Vector = field(repr=False)

    kind = "moments"
    keys = required = ("moments",)

    def __post_init__(self) -> None:
        given = exact_vector(self.moments, "moments", "give a list, E z first")
        numbers = [_number(entry, f"moments[{place}]") for place, entry in enumerate(given)]
        if len(numbers) < 2:
            raise InputError("moments", Words(f"has {len(numbers)} entries"), "give at least E z and E z^2")
        if numbers[1] < numbers[0] ** 2:
            raise InputError("moments[1]", numbers[1], "give E z^2", fault="is below the square of moments[0]")
        object.__setattr__(self, "moments", tuple(numbers))

    def __repr__(self) -> str:
        return show(self.moments)

    @staticmethod
    def read(value: Plain, name: str) -> tuple[Rational, ...]:
        """The list, from a file."""
        return tuple(read_number(entry, f"{name}[{place}]") for place, entry in enumerate(read_list(value, name)))


COORDINATES: dict[str, type[Coordinate]] = {kind.kind: kind for kind in (Normal, Uniform, Rademacher, Moments)}


def checked_coordinate(value: Any, name: str) -> Coordinate:
    """A coordinate, as it is or as the list of its moments.

    Raises:
        InputTypeError: it is neither.
    """
    if isinstance(value, Coordinate):
        return value
    if isinstance(value, (list, tuple)):
        return Moments(tuple(value))
    cure = "give linvar.Normal(...), linvar.Uniform(...), linvar.Rademacher() or a list of moments"
    raise InputTypeError(name, value, cure)


def read_coordinate(data: Plain, name: str) -> Coordinate:
    """The entry of a problem file.

    Raises:
        ProblemFileError: an unknown kind, an unknown or missing key, or a value that is not accepted.
    """
    kinds = " or ".join(f'"{kind}"' for kind in COORDINATES)
    if not isinstance(data, Mapping) or "kind" not in data:
        raise ProblemFileError(name, Words("is no object with a kind"), f'write {{"kind": {kinds}, ...}}')
    kind = data["kind"]
    if not isinstance(kind, str) or kind not in COORDINATES:
        raise ProblemFileError(f"{name}.kind", Words(f"is {quoted(kind)}"), f"write {kinds}")
    made = COORDINATES[kind]
    check_keys(data, f"{name}.", ("kind", *made.keys), made.required)
    parts = {key: made.read(data[key], f"{name}.{key}") for key in made.keys if key in data}
    return built(lambda: made(**parts), f"{name}.")


def _number(value: Any, name: str) -> Rational:
    """An exact number without symbols."""
    found = exact(value, name)
    if not isinstance(found, Rational):
        raise InputTypeError(name, value, "give a number", fault="contains symbols")
    return found
