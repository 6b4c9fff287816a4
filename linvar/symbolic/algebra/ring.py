"""The polynomial ring (python-flint) and the one door out to SymPy.

A ring holds *variables*, which a derivation introduces and integrates away, and *symbols*, SymPy symbols (or entries
of a MatrixSymbol) the user typed, which stay in the answer. Elements are python-flint ``fmpq_mpoly``: exact, sparse,
in C. Generators carry names of our own (``v0``, ``s0``), so that a symbol may be called anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from linvar.exact import Exact, Rational
from linvar.flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpz
from linvar.rings import PolynomialRingLike, RingLike

Element = fmpq_mpoly
Exponents = tuple[int, ...]


class Ring:
    """Polynomials over the rationals in ``variables`` anonymous variables and the given SymPy symbols."""

    def __init__(self, variables: int, symbols: Sequence[Any] = ()) -> None:
        self.symbols = tuple(symbols)
        self.variables = variables
        names = [f"v{i}" for i in range(variables)] + [f"s{i}" for i in range(len(self.symbols))]
        self.context = fmpq_mpoly_ctx.get(tuple(names), "lex")
        generators = self.context.gens()
        self.gens: tuple[Element, ...] = tuple(generators[:variables])
        self._symbol_gens = dict(zip(self.symbols, generators[variables:]))
        self.zero = self.context.constant(0)
        self.one = self.context.constant(1)

    def lift(self, value: Exact | Fraction | fmpq | int) -> Element:
        """An exact number or a SymPy expression, polynomial in the ring's symbols, as an element."""
        if isinstance(value, (int, fmpq, fmpz)):
            return self.context.constant(value)
        if isinstance(value, Fraction):
            return self.context.constant(to_fmpq(value))
        from linvar.expressions import to_element

        return to_element(value, "expression", self.context, self._symbol_gens)

    def from_terms(self, terms: Mapping[Exponents, Rational | fmpq]) -> Element:
        """The polynomial with these coefficients; keys are exponents of the first variables (missing ones are 0)."""
        count = self.context.nvars()
        return self.context.from_dict(
            {
                key + (0,) * (count - len(key)): c if isinstance(c, fmpq) else to_fmpq(c)
                for key, c in terms.items()
                if c != 0
            }
        )

    @cached_property
    def scalars(self) -> Ring:
        """The ring of what is left when every variable is integrated away: the symbols alone."""
        return self if not self.variables else Ring(0, self.symbols)


class Numbers:
    """The rationals, as a ring for the formulas of SGD."""

    lift: ClassVar[Callable[[Any], Fraction]] = Rational


if TYPE_CHECKING:
    _polynomials: type[PolynomialRingLike[Element]] = Ring
    _numbers: RingLike[Fraction] = Numbers


def to_fmpq(value: Fraction) -> fmpq:
    """A fraction as python-flint's rational."""
    return fmpq(value.numerator, value.denominator)


def to_rational(value: fmpq) -> Rational:
    """python-flint's rational as a Rational."""
    return Rational(int(value.p), int(value.q))


def to_exact(element: Element, symbols: Sequence[Any]) -> Exact:
    """The door out: a ring element free of variables as a Rational, or as an expanded SymPy expression."""
    if not symbols:
        return to_rational(element.coefficient(0)) if len(element) else Rational(0)
    if element.is_constant():
        return to_rational(element.leading_coefficient()) if element else Rational(0)
    from linvar.expressions import to_expression

    expression: Exact = to_expression(element.terms(), symbols)
    return expression


def coefficients_of(element: Element, ring: Ring) -> list[Element]:
    """Coefficients of 1, v0, v0^2, ... of an element of a ring in one variable, in the ring of its symbols."""
    parts: dict[int, dict[Exponents, fmpq]] = {}
    for key, coefficient in element.terms():
        parts.setdefault(key[0], {})[key[1:]] = coefficient
    return [ring.scalars.from_terms(parts.get(k, {})) for k in range(max(parts, default=0) + 1)]


def sum_elements(ring: Ring, elements: Iterable[Element]) -> Element:
    """Sum of many elements, pairwise, so that no long partial sum is copied again and again."""
    pending = list(elements)
    while len(pending) > 1:
        pending = [a + b for a, b in zip(pending[::2], pending[1::2])] + ([pending[-1]] if len(pending) % 2 else [])
    return pending[0] if pending else ring.zero
