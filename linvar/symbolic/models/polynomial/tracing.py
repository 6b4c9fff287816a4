"""Running a loss on polynomials: what stands for a weight or a number of an example while its loss is traced."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Rational as AnyRational
from typing import Any, NoReturn

import numpy as np

from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Rational
from linvar.flint import fmpq
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, Ring, to_fmpq
from linvar.symbolic.laws.law import ExactLaw

_CURE = "make it of + - * @, powers, sums, slices and division by numbers; constants are integers or fractions"
#: beyond it a power is refused, not multiplied out
_MOST_POWER = 1_000


class Traced:
    """A polynomial in weights and coordinates with + - *, powers and division by numbers, and nothing else.

    NumPy takes it for one number (python-flint's own polynomials are sequences to it), and a loss that compares, branches,
    rounds or takes a remainder is no polynomial: each is refused.
    """

    __slots__ = ("element",)

    def __init__(self, element: Element) -> None:
        self.element = element

    def _other(self, other: Any) -> Element | fmpq | None:
        if isinstance(other, Traced):
            return other.element
        number = _number(other)
        return None if number is None else to_fmpq(number)

    def __add__(self, other: Any) -> Any:
        second = self._other(other)
        return NotImplemented if second is None else Traced(self.element + second)

    __radd__ = __add__

    def __neg__(self) -> Traced:
        return Traced(-self.element)

    def __pos__(self) -> Traced:
        return self

    def __sub__(self, other: Any) -> Any:
        second = self._other(other)
        return NotImplemented if second is None else Traced(self.element - second)

    def __rsub__(self, other: Any) -> Any:
        second = self._other(other)
        return NotImplemented if second is None else Traced(-self.element + second)

    def __mul__(self, other: Any) -> Any:
        second = self._other(other)
        return NotImplemented if second is None else Traced(self.element * second)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Traced:
        number = _number(other)
        if number is None or not number:
            raise InputTypeError("loss", Words("divides by what is no number, or by 0"), _CURE)
        return Traced(self.element * to_fmpq(Rational(1 / number)))

    def __rtruediv__(self, other: Any) -> NoReturn:
        raise InputTypeError("loss", Words("divides by a weight or by a number of the example"), _CURE)

    def __pow__(self, power: Any) -> Traced:
        number = _number(power)
        if number is None or number.denominator != 1 or not 0 <= number <= _MOST_POWER:
            raise InputTypeError(
                "loss", Words(f"takes the power {power!r}"[:80]), f"give integers from 0 to {_MOST_POWER}"
            )
        return Traced(self.element ** int(number))

    def _refused(self, *_: Any) -> NoReturn:
        raise InputTypeError("loss", Words("compares, branches, rounds or takes a remainder"), _CURE)

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refused  # type: ignore[assignment]
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __abs__ = __float__ = __int__ = __round__ = _refused
    __hash__ = object.__hash__


def _number(value: Any) -> Rational | None:
    """An exact number without symbols; None for anything else. Floats are refused by name, so are truth values."""
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype != object:
        value = value[()]
    if isinstance(value, (bool, np.bool_, float, np.floating)):
        cure = "write a fraction, linvar.Rational(1, 10), or divide by an integer"
        raise InputTypeError("loss", Words(f"contains {value!r}, of type {type(value).__name__}"), cure)
    if isinstance(value, (int, np.integer)):
        return Rational(int(value))
    if isinstance(value, AnyRational):
        return Rational(int(value.numerator), int(value.denominator))
    return None


def array_of(entries: Sequence[Any]) -> np.ndarray:
    """An object array of elements, or of rows of them."""
    shape = (len(entries), len(entries[0])) if isinstance(entries[0], list) else (len(entries),)
    found = np.empty(shape, dtype=object)
    for place in np.ndindex(*shape):
        found[place] = Traced(entries[place[0]][place[1]] if len(place) == 2 else entries[place[0]])
    return found


def result_of(found: Any, ring: Ring) -> Element:
    """The polynomial that a loss gave: one number, as it is or in an array.

    Raises:
        InputTypeError: it is no single number.
    """
    if isinstance(found, np.ndarray) and found.size == 1:
        found = found.reshape(-1)[0]
    if isinstance(found, Traced):
        return found.element
    number = None if isinstance(found, np.ndarray) else _number(found)
    if number is None:
        what = f"an array of shape {found.shape}" if isinstance(found, np.ndarray) else f"a {type(found).__name__}"
        raise InputTypeError("loss", Words(f"gives {what}"), "let it give one number, the loss of one example")
    return ring.lift(number)


def traced(loss: Any, leaves: Sequence[Any], x: Any, y: Any, ring: Ring) -> Element:
    """The loss as a polynomial.

    Raises:
        InputTypeError: it is none, with what it does that is no polynomial.
    """
    try:
        found = loss(leaves, x, y)
    except InputError:
        raise
    except Exception as error:
        fault = Words(f"is no polynomial ({type(error).__name__}: {str(error)[:80]})")
        raise InputTypeError("loss", fault, _CURE) from error
    return result_of(found, ring)


def loss_of(loss: Any, problem: Problem, law: ExactLaw) -> Element:
    """The loss of one example as an element of ``Ring(entries + law.width, law.symbols)``."""
    count = sum(len(matrix) * len(matrix[0]) for matrix in problem.leaves)
    ring = Ring(count + law.width, law.symbols)
    z = ring.gens[count:]
    x, y = (
        array_of([sum((z[a] * ring.lift(e) for a, e in enumerate(row) if e != 0), ring.zero) for row in matrix])
        for matrix in (law.input_map, law.target_map)
    )
    entries = iter(ring.gens)
    leaves = [array_of([[next(entries) for _ in row] for row in matrix]) for matrix in problem.leaves]
    found = traced(loss, leaves, x, y, ring)
    degree = max((sum(key[:count]) for key, _ in found.terms()), default=0)
    if degree > problem.degree:
        fault = Words(f"says that its loss has the degree {problem.degree} in the weights, and it has {degree}")
        raise InputError("model", fault, "let degree(weights) give the degree of the loss")
    return found
