"""LargeBatchExpansion: the first coefficients of a polynomial in u = 1/b, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Self

from linvar.arguments import check_flags
from linvar.arrays import ordered
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.exact import Exact, Rational, TooLargeError, exact, free_symbols
from linvar.flint import arb, ctx
from linvar.keywords import door
from linvar.symbolic.algebra.ring import Ring, to_exact
from linvar.symbolic.result import display, latex
from linvar.symbolic.result.file import Terms, elements_of, terms_of
from linvar.symbolic.result.polynomial import BatchPolynomial

if TYPE_CHECKING:
    import sympy

    from linvar.display.table import Table

#: middle and radius of a ball, each m 2^e as (m, e)
Ends = tuple[tuple[int, int], tuple[int, int]]

#: bits of a fraction that is still written out
_LONGEST = 10**8


class LargeBatchExpansion:
    """The coefficients of 1, u, ..., u^K of a polynomial in u = 1/b (iid sampling): its expansion for large batches.

    p(1/b) = sum_{k<=K} coefficients[k] / b^k + O(1/b^{K+1}). What follows is not known: the expansion has no value at a b,
    no degree, and is not a ``BatchPolynomial``. The whole polynomial is ``linvar.derive``'s.

    Args:
        coefficients: of u^0, ..., u^K: exact numbers or SymPy expressions; python-flint ``arb`` balls with ``digits``.
        digits: the significant digits the enclosures were asked to have; None where the coefficients are exact.
        ring: a ``Ring`` without variables, if exact coefficients are its elements.

    Sums and differences are of expansions of the same order and kind. Exact ones are equal where all coefficients are;
    enclosures are never called equal (see ``agrees_with``).

    >>> LargeBatchExpansion([0, 18, "1/2"])
    18 u + 1/2 u^2 + O(u^3)    (u = 1/b)
    """

    @door
    def __init__(self, coefficients: Iterable[Any], *, digits: int | None = None, ring: Ring | None = None) -> None:
        elements = list(ordered(coefficients, "coefficients", "give a list, ascending in powers of 1/b"))
        if not elements:
            raise InputError("coefficients", Words("is empty"), "give at least that of u^0")
        if digits is not None and not all(isinstance(value, arb) for value in elements):
            cure = "give python-flint arb balls as coefficients, or leave digits out"
            raise InputTypeError("digits", digits, cure, fault="is for enclosures, and coefficients has others")
        if ring is None:
            if digits is None:
                elements = [exact(value, f"coefficients[{k}]") for k, value in enumerate(elements)]
            ring = Ring(0, () if digits is not None else free_symbols(elements))
            elements = elements if digits is not None else [ring.lift(value) for value in elements]
        self._elements: tuple[Any, ...] = tuple(elements)
        self._ring = ring
        self.digits = digits

    @property
    def order(self) -> int:
        """K, the highest power of u that is known."""
        return len(self._elements) - 1

    @property
    def exact(self) -> bool:
        """Whether the coefficients are exact, not enclosures."""
        return self.digits is None

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """The SymPy symbols the coefficients may contain, sorted by name."""
        return self._ring.symbols

    @cached_property
    def coefficients(self) -> tuple[Exact | arb, ...]:
        """Coefficients of 1, u, ..., u^K: exact numbers (SymPy expressions with symbols), or ``arb`` enclosures.

        >>> LargeBatchExpansion([0, "1/2"]).coefficients
        (0, 1/2)
        """
        return self.exact_coefficients if self.exact else self._elements

    @cached_property
    def exact_coefficients(self) -> tuple[Exact, ...]:
        """The same where they are exact; none where they are enclosures."""
        return tuple(to_exact(element, self.symbols) for element in self._elements) if self.exact else ()

    @property
    def enclosures(self) -> tuple[arb, ...]:
        """The enclosures, ``arb``; none where the coefficients are exact."""
        return () if self.exact else self._elements

    @cached_property
    def intervals(self) -> tuple[tuple[Rational, Rational], ...]:
        """(low, high) of every coefficient, exact numbers: the coefficient is certified to lie between them.

        >>> LargeBatchExpansion([0, "1/2"]).intervals
        ((0, 0), (1/2, 1/2))

        Raises:
            ValueError: symbols occur. OverflowError: a coefficient is so large or small that no fraction holds it.
        """
        if self.symbols:
            fault = Words("in symbols has no intervals")
            raise InputError("an expansion", fault, "use coefficients, which are exact")
        if self.exact:
            return tuple((value, value) for value in self.exact_coefficients)
        return tuple(_ends(value) for value in self._elements)

    def agrees_with(self, polynomial: BatchPolynomial) -> bool:
        """Whether these are the first coefficients of the polynomial: equal, or contained in the enclosures.

        >>> LargeBatchExpansion([0, 18]).agrees_with(BatchPolynomial([0, 18, 3]))
        True
        """
        if not polynomial.scheme.unbounded:
            return False
        theirs = polynomial.coefficients[: self.order + 1]
        theirs = theirs + (Rational(0),) * (self.order + 1 - len(theirs))
        if self.exact:
            return self == LargeBatchExpansion(theirs)
        return all(
            isinstance(value, Rational) and low <= value <= high for value, (low, high) in zip(theirs, self.intervals)
        )

    def __call__(self, batch_size: Any) -> NoReturn:
        """Refused: a truncated expansion has no value at a batch size."""
        fault = Words(f"holds only the coefficients up to u^{self.order}, so it has no value at b={shown(batch_size)}")
        raise InputTypeError("a large-batch expansion", fault, "derive the whole polynomial (linvar.derive)")

    # display

    def __repr__(self) -> str:
        return display.expansion_text(self._elements, self.symbols, self.digits)

    def latex(self, *, factor: bool = False, digits: int | None = None) -> str:
        """The expansion as LaTeX, in powers of 1/b.

        Args:
            factor: take out what is common to all terms, and write each coefficient as a product of irreducible factors.
            digits: write decimals, rounded to so many significant digits, instead of fractions; of an enclosure, at most so many.

        Raises:
            InputError: enclosures have no factors; digits are no integer from 1 to 1,000.

        Warns:
            RuntimeWarning: it will have more than a million characters; said before it is written.

        >>> print(LargeBatchExpansion([0, 18, "1/2"]).latex())
        18 \\frac{1}{b} + \\frac{1}{2} \\frac{1}{b^{2}} + O\\left(\\frac{1}{b^{3}}\\right)
        >>> print(LargeBatchExpansion([0, 18, "1/7"]).latex(digits=3))
        18 \\frac{1}{b} + 0.143 \\frac{1}{b^{2}} + O\\left(\\frac{1}{b^{3}}\\right)
        """
        check_flags(factor=factor)
        wanted = latex.checked_digits(digits)
        if self.digits is None:
            return latex.expansion(self._elements, self.symbols, factor, wanted)
        if factor:
            raise InputError(
                "factor", factor, "leave it out", fault="is for exact coefficients, and these are enclosures"
            )
        return latex.enclosed_expansion(self._elements, self.digits if wanted is None else min(wanted, self.digits))

    def _repr_latex_(self) -> str:
        """LaTeX for notebooks, long numbers elided."""
        return f"$\\displaystyle {latex.expansion_notebook(self._elements, self.symbols, self.digits)}$"

    def to_table(self) -> Table:
        """The coefficients as a table: power of 1/b, coefficient, and its decimal, or certified enclosures (``arb`` balls).

        >>> print(LargeBatchExpansion([0, 18, "1/3"]).to_table())
        Expansion for large batches
        power of 1/b  coefficient   decimal
        -----------------------------------
                   0            0         0
                   1           18        18
                   2          1/3  0.333333
        + O(1/b^3)
        """
        from linvar.symbolic.result.table import enclosed_table, exact_table

        title, notes = (
            "Expansion for large batches",
            [f"+ O(1/{display.batch_size_name(self.symbols)}^{self.order + 1})"],
        )
        if self.digits is not None:
            return enclosed_table(self._elements, self.digits, self.symbols, title, notes)
        return exact_table(self.exact_coefficients, self._elements, self.symbols, title, notes)

    # arithmetic

    def _combined(self, other: LargeBatchExpansion, sign: int) -> Self:
        """self + sign other."""
        if other.order != self.order or other.exact != self.exact:
            ours, theirs = (f"up to u^{one.order}, {_kind(one)}" for one in (self, other))
            raise InputError("one expansion", Words(f"is {ours}, the other {theirs}"), "they do not mix")
        if not self.exact:
            digits = min(value for value in (self.digits, other.digits) if value is not None)
            with ctx.workprec(max(_bits(value) for value in (*self._elements, *other._elements)) + 2):
                sums = [a + b * sign for a, b in zip(self._elements, other._elements)]
            return type(self)(sums, digits=digits)
        if self.symbols == other.symbols:
            return type(self)([a + b * sign for a, b in zip(self._elements, other._elements)], ring=self._ring)
        return type(self)([a + b * sign for a, b in zip(self.exact_coefficients, other.exact_coefficients)])

    def __add__(self, other: Any) -> Self:
        return self._combined(other, 1) if isinstance(other, LargeBatchExpansion) else NotImplemented

    def __sub__(self, other: Any) -> Self:
        return self._combined(other, -1) if isinstance(other, LargeBatchExpansion) else NotImplemented

    def __neg__(self) -> Self:
        return type(self)([-value for value in self._elements], digits=self.digits, ring=self._ring)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LargeBatchExpansion):
            return NotImplemented
        if self is other:
            return True
        if not (self.exact and other.exact) or self.order != other.order:
            return False
        if self.symbols == other.symbols:
            return self._elements == other._elements
        try:
            return not any((self - other)._elements)
        except InputError:  # two symbols of one name
            return False

    def __hash__(self) -> int:
        if not self.exact:
            return id(self)
        return hash((LargeBatchExpansion, *(hash(value) for value in self.coefficients)))

    def __reduce__(
        self,
    ) -> tuple[
        Callable[..., LargeBatchExpansion], tuple[Terms, tuple[sympy.Expr, ...]] | tuple[list[Ends], int | None]
    ]:
        if self.exact:
            return _restore_exact, (terms_of(self._elements), self.symbols)
        return _restore_enclosed, (
            [(_man_exp(value.mid()), _man_exp(value.rad())) for value in self._elements],
            self.digits,
        )


def _kind(expansion: LargeBatchExpansion) -> str:
    """Exact or enclosed, in a word."""
    return "exact" if expansion.exact else "enclosed"


def _bits(ball: arb) -> int:
    """Bits of the midpoint."""
    return max(64, int(ball.bits()))


def _man_exp(ball: arb) -> tuple[int, int]:
    """(m, e) of an exact ball m 2^e."""
    mantissa, exponent = ball.man_exp()
    return int(mantissa), int(exponent)


def _dyadic(ball: arb) -> Rational:
    """An exact ball as a Rational."""
    mantissa, exponent = _man_exp(ball)
    if abs(exponent) > _LONGEST:
        raise TooLargeError(
            "a coefficient", Words(f"of about 2^{exponent} fits no fraction"), "use coefficients, the arb balls"
        )
    return Rational(mantissa << exponent) if exponent >= 0 else Rational(mantissa, 1 << -exponent)


def _ends(ball: arb) -> tuple[Rational, Rational]:
    """The ends of a ball."""
    middle, radius = _dyadic(ball.mid()), _dyadic(ball.rad())
    return Rational(middle - radius), Rational(middle + radius)


def _restore_exact(terms: Terms, symbols: tuple[sympy.Expr, ...]) -> LargeBatchExpansion:
    """Undo ``__reduce__``."""
    ring = Ring(0, symbols)
    return LargeBatchExpansion(elements_of(terms, ring), ring=ring)


def _restore_enclosed(balls: list[Ends], digits: int) -> LargeBatchExpansion:
    """Undo ``__reduce__``."""
    return LargeBatchExpansion([arb(middle, radius) for middle, radius in balls], digits=digits)
