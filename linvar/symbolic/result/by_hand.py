"""A BatchPolynomial among SymPy expressions: its coefficients, and itself as a sum, a product or a series in u or b."""

from __future__ import annotations

import operator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, InputTypeError
from linvar.exact import Exact, Rational
from linvar.flint import fmpq_mpoly_ctx
from linvar.keywords import door
from linvar.symbolic.algebra.ring import to_exact
from linvar.symbolic.result import display
from linvar.symbolic.result.arithmetic import Arithmetic

if TYPE_CHECKING:
    import sympy


class ByHand(Arithmetic):
    """What derivations by hand need of a polynomial; a base class of BatchPolynomial."""

    @cached_property
    def coefficients(self) -> tuple[Exact, ...]:
        """Coefficients of 1, 1/b, 1/b^2, ...: exact numbers whose str is "p/q", SymPy expressions with symbols."""
        return tuple(to_exact(element, self.symbols) for element in self._elements)

    @door
    def coefficient(self, k: int) -> Exact:
        """The coefficient of 1/b^k: an exact number, a SymPy expression with symbols; 0 beyond the degree.

        Args:
            k: the power of 1/b, an integer >= 0.

        Raises:
            InputTypeError: k is no integer. InputError: it is negative.

        >>> from linvar import BatchPolynomial
        >>> v = BatchPolynomial([0, 18, "1/2"])
        >>> v.coefficient(2), v.coefficient(7)
        (1/2, 0)
        """
        power = _integer("k", k, "give the power of 1/b, an integer >= 0")
        return to_exact(self._elements[power], self.symbols) if power <= self.degree else Rational(0)

    @cached_property
    def poly(self) -> sympy.Poly:
        """The SymPy Poly in u = 1/b; its generator, ``poly.gen``, is the Symbol ``u`` (``u_`` if a symbol u occurs).

        >>> from linvar import BatchPolynomial
        >>> BatchPolynomial([0, 18, "1/2"]).poly
        Poly(1/2*u**2 + 18*u, u, domain='QQ')
        """
        import sympy

        values = [display.to_sympy(value) for value in self.coefficients]
        generator = sympy.Symbol(display.generator_name(self.symbols))
        if all(isinstance(symbol, sympy.Symbol) for symbol in self.symbols):
            return sympy.Poly(values[::-1], generator)
        # SymPy takes entries of one matrix for dependent
        return sympy.Poly(values[::-1], generator, domain=sympy.QQ[self.symbols])

    @door
    def as_expr(self, variable: Any = None) -> sympy.Expr:
        """The polynomial as a SymPy expression, to go on with by hand.

        Args:
            variable: ``linvar.u`` (the default) or ``linvar.b``: in powers of u = 1/b, or of 1/b.

        Raises:
            InputError: another variable; or a symbol of the polynomial has that name.

        >>> import linvar as lv
        >>> v = lv.BatchPolynomial([0, 18, "1/2"])
        >>> v.as_expr(), v.as_expr(lv.b)
        (u**2/2 + 18*u, 18/b + 1/(2*b**2))
        >>> v == (36 * lv.b + 1) / (2 * lv.b**2)
        True
        """
        import sympy

        from linvar.symbolic.result import batch_size

        inverse = batch_size.inverse_of(variable, self.symbols)
        return sympy.Add(*(display.to_sympy(c) * inverse**k for k, c in enumerate(self.coefficients)))

    @door
    def factor(self, variable: Any = None) -> sympy.Expr:
        """The polynomial as a product of irreducible factors over the rationals, in 1/b and in its symbols.

        Factored in python-flint. Without replacement it is the polynomial of degree below n that is factored.

        Args:
            variable: ``linvar.u`` (the default) or ``linvar.b``: factors in u = 1/b, or in b over a power of b.

        Returns:
            A SymPy product, as ``sympy.factor`` writes it.

        Raises:
            InputError: another variable; or a symbol of the polynomial has that name.

        >>> import linvar as lv, sympy
        >>> w = sympy.Symbol("w")
        >>> v = lv.BatchPolynomial([0, 2 * w**2 - 2, w - 1])
        >>> v.factor(), v.factor(lv.b)
        (u*(w - 1)*(u + 2*w + 2), (w - 1)*(2*b*w + 2*b + 1)/b**2)
        """
        import sympy

        from linvar.expressions import to_expression
        from linvar.symbolic.result import batch_size

        inverse = batch_size.inverse_of(variable, self.symbols)
        if not self:
            return sympy.Integer(0)
        context = fmpq_mpoly_ctx.get(("u", *(f"s{i}" for i in range(len(self.symbols)))), "lex")
        whole = {(k, *key): c for k, element in enumerate(self._elements) for key, c in element.terms()}
        content, factors = context.from_dict(whole).factor()
        parts = []
        for part, multiplicity in factors:
            terms, degree = list(part.terms()), 0
            if inverse is not batch_size.u:  # b^degree part(1/b), over b^degree
                degree = int(part.degrees()[0])
                terms = [((degree - int(power), *key), c) for (power, *key), c in terms]
            generator = batch_size.b if degree else batch_size.u
            parts.append(to_expression(terms, (generator, *self.symbols)) ** int(multiplicity))
            parts.append(inverse ** (degree * int(multiplicity)))
        product, number = sympy.Mul(*parts), sympy.Rational(int(content.p), int(content.q))
        if isinstance(product, sympy.Add) and number != 1:
            return sympy.Mul(number, product, evaluate=False)  # SymPy would multiply it out
        return number * product

    @door
    def series(self, order: int, variable: Any = None) -> sympy.Expr:
        """The terms below 1/b^order, and what is left out as a SymPy ``O``: of u at 0, or of b at infinity.

        As in SymPy there is no ``O`` where nothing is left out, the degree being below the order.

        Args:
            order: the first power of 1/b that is left out, an integer >= 0.
            variable: ``linvar.u`` (the default) or ``linvar.b``.

        Raises:
            InputTypeError: the order is no integer. InputError: it is negative; another variable, or a symbol of the
                polynomial has that name.

        >>> import linvar as lv
        >>> v = lv.BatchPolynomial([0, 18, "1/2", -3])
        >>> v.series(2), v.series(2, lv.b), v.series(4)
        (18*u + O(u**2), 18/b + O(b**(-2), (b, oo)), -3*u**3 + u**2/2 + 18*u)
        """
        import sympy

        from linvar.symbolic.result import batch_size

        first = _integer("order", order, "give the first power of 1/b that is left out, an integer >= 0")
        inverse = batch_size.inverse_of(variable, self.symbols)
        known = [display.to_sympy(self.coefficient(k)) * inverse**k for k in range(min(first, self.degree + 1))]
        if first > self.degree:
            return sympy.Add(*known)
        at = (batch_size.u, 0) if inverse is batch_size.u else (batch_size.b, sympy.oo)
        return sympy.Add(*known, sympy.Order(inverse**first, at))


def _integer(name: str, value: Any, cure: str) -> int:
    """An integer >= 0."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputTypeError(name, value, cure) from None
    if number < 0:
        raise InputError(name, number, cure, fault="is negative")
    return number
