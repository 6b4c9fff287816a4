"""Arithmetic of polynomials in 1/b whose coefficients are ring elements: the operators of BatchPolynomial.

Operands in different symbols are moved to the ring of all of them; every operation stays in python-flint.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.exact import Exact, Rational, exact, free_symbols
from linvar.flint import fmpq, fmpz
from linvar.rational import ZeroDivisorError
from linvar.schemes.scheme import Scheme
from linvar.symbolic.algebra.ring import Element, Ring, to_exact, to_fmpq, to_rational

if TYPE_CHECKING:
    import sympy


class Arithmetic:
    """+, -, *, **, /, ==, hash and ``subs``, from the coefficients and their ring; a base class of BatchPolynomial."""

    _elements: tuple[Element, ...]
    _ring: Ring
    scheme: Scheme
    dataset_size: int | None
    degree_bound: int

    @property
    def degree(self) -> int:
        """Degree in 1/b; 0 for the zero polynomial."""
        return len(self._elements) - 1

    @property
    def sampling(self) -> str:
        """The name of the scheme: how batches are drawn."""
        return self.scheme.name

    @property
    def _drawn(self) -> tuple[str, int | None]:
        """The scheme, and n where a batch is a subset of n examples: what two polynomials must share to be added or equal."""
        return self.sampling, self.scheme.largest_batch(self.dataset_size)

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """The SymPy symbols the coefficients may contain, sorted by name."""
        return self._ring.symbols

    def _like(self, elements: list[Element], ring: Ring, degree_bound: int) -> Self:
        """A polynomial of the same sampling."""
        raise NotImplementedError

    def _operand(self, other: Any) -> Self | None:
        """The other operand as a polynomial; None if it is of a foreign kind, an error if it is not exact."""
        raise NotImplementedError

    @property
    def _numbers(self) -> list[fmpq]:
        """Coefficients as rationals; refused when symbols occur."""
        if any(not element.is_constant() for element in self._elements):
            fault = Words(f"contains the symbols {cut(', '.join(map(str, self.symbols)))}")
            raise InputError("the polynomial", fault, "substitute numbers first, subs({...})")
        return [element.leading_coefficient() if element else fmpq(0) for element in self._elements]

    def _together(self, other: Self) -> tuple[list[Element], list[Element], Ring]:
        """The coefficients of both in one ring."""
        if self.symbols == other.symbols:
            return list(self._elements), list(other._elements), self._ring
        ring = Ring(0, free_symbols([*self.symbols, *other.symbols]))
        return self._move(ring), other._move(ring), ring

    def _move(self, ring: Ring) -> list[Element]:
        """The coefficients in a ring with more symbols."""
        if self.symbols == ring.symbols:
            return list(self._elements)
        return self._compose({symbol: symbol for symbol in self.symbols}, ring)

    def __add__(self, other: Any) -> Self:
        theirs = self._operand(other)
        if theirs is None:
            return NotImplemented
        ours, added, ring = self._together(theirs)
        length = max(len(ours), len(added))
        padded = [values + [ring.zero] * (length - len(values)) for values in (ours, added)]
        bound = max(self.degree_bound, theirs.degree_bound)
        return self._like([a + b for a, b in zip(*padded)], ring, bound)

    __radd__ = __add__

    def __pos__(self) -> Self:
        return self

    def __neg__(self) -> Self:
        return self._like([-element for element in self._elements], self._ring, self.degree_bound)

    def __sub__(self, other: Any) -> Self:
        theirs = self._operand(other)
        if theirs is None:
            return NotImplemented
        difference: Self = self + (-theirs)
        return difference

    def __rsub__(self, other: Any) -> Self:
        theirs = self._operand(other)
        if theirs is None:
            return NotImplemented
        difference: Self = theirs + (-self)
        return difference

    def __mul__(self, other: Any) -> Self:
        theirs = self._operand(other)
        if theirs is None:
            return NotImplemented
        ours, factors, ring = self._together(theirs)
        result = [ring.zero] * (len(ours) + len(factors) - 1)
        for i, a in enumerate(ours):
            for j, b in enumerate(factors):
                if a and b:
                    result[i + j] = result[i + j] + a * b
        return self._like(result, ring, self.degree_bound + theirs.degree_bound)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Self:
        if (exponent := check_integer(exponent, "exponent", "give an integer >= 0")) < 0:
            raise InputError("exponent", exponent, "give an integer >= 0")
        result = self._like([self._ring.one], self._ring, 0)
        for _ in range(exponent):
            result = result * self
        return result

    def __truediv__(self, other: Any) -> Self:
        if isinstance(other, Arithmetic):
            raise InputTypeError("divisor", other, "divide by a nonzero exact number", fault="is a polynomial in 1/b")
        if _has_batch_size(other):
            quotient: Self = self * (1 / other)  # divided by a power of b
            return quotient
        divisor = self._operand(other)
        if divisor is None:
            return NotImplemented
        if not divisor:
            raise ZeroDivisorError("divisor", other, "give a nonzero divisor")
        if not divisor._elements[0].is_constant():
            raise InputTypeError("divisor", other, "divide by a nonzero exact number", fault="contains symbols")
        inverse = 1 / divisor._numbers[0]
        return self._like([element * inverse for element in self._elements], self._ring, self.degree_bound)

    def __bool__(self) -> bool:
        """False for the zero polynomial."""
        return any(bool(element) for element in self._elements)

    def __eq__(self, other: object) -> bool:
        """The same polynomial, under the same sampling (iid, of any law); a constant also equals its number.

        Without replacement, where all are reduced, these are the polynomials with the same values at b = 1..n. A SymPy
        expression in b or u equals the polynomial that it is; one that is none, or too long to be expanded, equals none.
        """
        if not isinstance(other, Arithmetic):
            if isinstance(other, (numbers.Rational, fmpq, fmpz)) and not isinstance(other, bool):
                number = exact(other, "operand")
                assert isinstance(number, Rational)
                return self.degree == 0 and bool(self._elements[0] == to_fmpq(number))
            if not _is_expression(other):
                return NotImplemented
            try:
                read = self._operand(other)
            except InputError:
                return False
            assert read is not None
            return self == read
        if (other._drawn, other.degree) != (self._drawn, self.degree):
            return False
        try:
            ours, theirs, _ = self._together(other)
        except InputError:  # two symbols of one name
            return False
        return all(bool(a == b) for a, b in zip(ours, theirs))

    @cached_property
    def _hash(self) -> int:
        """Of what does not depend on the ring: sums of coefficients, numbers of terms, degree in each symbol."""
        if self.degree == 0 and self._elements[0].is_constant():
            return hash(to_rational(self._numbers[0]))  # a constant equals its number
        sums = self._compose({symbol: Rational(1) for symbol in self.symbols}, Ring(0))
        names = list(map(str, self.symbols))
        degrees = [frozenset(item for item in zip(names, e.degrees()) if item[1] > 0) for e in self._elements]
        return hash(tuple((to_exact(total, ()), len(e), d) for total, e, d in zip(sums, self._elements, degrees)))

    def __hash__(self) -> int:
        return self._hash

    def subs(self, values: Mapping[Any, Any]) -> Self:
        """Substitute exact numbers or polynomial expressions for symbols, all at once. Exact, in python-flint.

        Args:
            values: what stands for each symbol (given as the symbol or by name); symbols left out stay.

        Returns:
            A polynomial in the remaining symbols and those of the values.

        Raises:
            ValueError: a symbol is not one of this polynomial. TypeError: a value is a float or no number.

        >>> import sympy
        >>> from linvar import BatchPolynomial
        >>> a = sympy.Symbol("a")
        >>> BatchPolynomial([a, a**2 / 2]).subs({"a": "1/3"})
        1/3 + 1/18 u    (u = 1/b, degree 1)
        """
        if not isinstance(values, Mapping):
            cure = "give a mapping from symbols (or their names) to exact numbers"
            raise InputTypeError("subs", Words(f"got {shown(values)}"), cure)
        by_name = {str(symbol): symbol for symbol in self.symbols}
        images: dict[Any, Exact] = {symbol: symbol for symbol in self.symbols}
        for key, value in values.items():
            name = key if isinstance(key, str) else next((n for n, symbol in by_name.items() if symbol == key), None)
            if name not in by_name:
                cure = f"the symbols of this polynomial are {cut(', '.join(by_name) or 'none')}"
                raise InputError("subs", Words(f"got {shown(key)}"), cure)
            images[by_name[name]] = exact(value, name)
        ring = Ring(0, free_symbols(images.values()))
        return self._like(self._compose(images, ring), ring, self.degree_bound)

    def _compose(self, images: Mapping[Any, Exact], ring: Ring) -> list[Element]:
        """The coefficients with every symbol replaced by its image, as elements of the ring of the images."""
        if not self.symbols:
            return [ring.lift(element.leading_coefficient() if element else 0) for element in self._elements]
        lifted = [ring.lift(images[symbol]) for symbol in self.symbols]
        return [element.compose(*lifted, ctx=ring.context) for element in self._elements]


def _is_expression(value: Any) -> bool:
    """Whether it is a SymPy expression."""
    if "sympy" not in sys.modules:
        return False
    import sympy

    return isinstance(value, sympy.Expr)


def _has_batch_size(value: Any) -> bool:
    """Whether it is a SymPy expression in b or u."""
    if not _is_expression(value):
        return False
    from linvar.symbolic.result.batch_size import occurs

    return occurs(value)
