"""SymPy expressions as exact polynomials: a walk over sums, products and integer powers, in rational arithmetic.

No expression is rounded, compared with a decimal or simplified by a heuristic: what this walk cannot evaluate to a polynomial
over the rationals is refused, with the part that stood in the way. Every step looks at the size of its result first, so that
``2**(10**9)`` costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import comb, prod
from typing import NoReturn

import sympy
from sympy.core.function import Application, AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpz

#: the longest number, in bits: 100,000 decimal digits, as from text
_BITS = 332_194
#: the highest degree of a polynomial, and the most terms of a product
_DEGREE, _TERMS = 2**31 - 1, 100_000
#: products of terms, times their bits, that are still computed
_WORK = 2 * 10**9

_OWN_SYMBOL = "give that part a symbol of its own, and substitute a number for it afterwards"
_WRITE_OUT = f"write it out (.doit() may do so), or {_OWN_SYMBOL}"

#: evaluated at rational numbers of any length, and (as what grows fast) at numbers up to a limit
_CHEAP = (sympy.Max, sympy.Min, sympy.Abs, sympy.sign, sympy.floor, sympy.ceiling, sympy.frac, sympy.Mod, sympy.re,
          sympy.im, sympy.conjugate)  # fmt: skip
_GROWING = (sympy.factorial, sympy.binomial, sympy.RisingFactorial, sympy.FallingFactorial, sympy.gamma,
            sympy.fibonacci, sympy.lucas, sympy.catalan)  # fmt: skip
_LIMIT_OF_GROWING, _LIMIT = 20_000, 1_000
#: the most parts of an expression that a message repeats
_SHOWN = 200


def symbols_of(expression: sympy.Basic) -> set[sympy.Expr]:
    """The symbols of an expression: SymPy's symbols, and the elements of matrices of symbols.

    >>> M = sympy.MatrixSymbol("M", 2, 2)
    >>> sorted(map(str, symbols_of(M[0, 1] ** 2 + sympy.Symbol("a"))))
    ['M[0, 1]', 'a']
    """
    found: set[sympy.Expr] = set()
    pending, seen = [expression], set()
    while pending:
        node = pending.pop()
        if is_symbol(node):
            found.add(node)
        elif node not in seen:
            seen.add(node)
            pending.extend(node.args)
    return found


def is_symbol(node: sympy.Basic) -> bool:
    """Whether it stands for one number: a Symbol, or an entry of a MatrixSymbol or IndexedBase at integer indices."""
    if isinstance(node, (MatrixElement, sympy.Indexed)):
        base, *indices = node.args
        return isinstance(base, (sympy.MatrixSymbol, sympy.IndexedBase)) and all(i.is_Integer for i in indices)
    return isinstance(node, sympy.Symbol)


def canonical(value: sympy.Basic, name: str) -> sympy.Expr:
    """A SymPy object as a SymPy Rational, or as the expanded polynomial it is equal to.

    Two expressions that are the same polynomial become the same expression.

    Raises:
        InputError: it is no polynomial over the rationals, too large, or its symbols do not commute.
        InputTypeError: it contains a float, or is no number at all.
    """
    if is_symbol(value) and value.is_commutative:
        return value
    symbols = sorted(symbols_of(value), key=lambda symbol: (str(symbol), symbol.sort_key()))
    context = fmpq_mpoly_ctx.get(tuple(f"s{i}" for i in range(len(symbols))), "lex")
    element = to_element(value, name, context, dict(zip(symbols, context.gens())))
    return to_expression(element.terms(), symbols)


def to_expression(terms: Iterable[tuple[Sequence[int], fmpq]], symbols: Sequence[sympy.Expr]) -> sympy.Expr:
    """The sum of coefficient times powers of the symbols."""
    return sympy.Add(
        *(
            sympy.Mul(sympy.Rational(int(c.p), int(c.q)), *(s ** int(e) for s, e in zip(symbols, exponents) if e))
            for exponents, c in terms
        )
    )


def to_element(
    value: sympy.Basic,
    name: str,
    context: fmpq_mpoly_ctx,
    generators: Mapping[sympy.Expr, fmpq_mpoly],
    invertible: str = "",
) -> fmpq_mpoly:
    """A SymPy object as an element of a ring of python-flint.

    Args:
        value: the object.
        name: what the user called it.
        context: the ring.
        generators: what stands for each symbol; all symbols of the value.
        invertible: negative powers are taken of monomials in the ring's first two generators, each the inverse of the
            other; the word for the first of them. Without it, of numbers only.

    Raises:
        InputError, InputTypeError: as ``canonical``.
    """
    if not isinstance(value, sympy.Expr) or getattr(value, "is_Matrix", False):
        raise InputTypeError(name, value, 'an exact number is an int, a Fraction, a string "p/q" or a SymPy expression')
    try:
        return _Walk(value, name, context, generators, invertible).of(value)
    except RecursionError:
        raise InputError(name, _subject(value), "write it with fewer brackets", "is nested too deeply") from None


class _Walk:
    """The elements of the nodes of one expression."""

    def __init__(
        self,
        whole: sympy.Expr,
        name: str,
        context: fmpq_mpoly_ctx,
        generators: Mapping[sympy.Expr, fmpq_mpoly],
        invertible: str,
    ) -> None:
        self.whole, self.name, self.context, self.generators = whole, name, context, generators
        self.invertible = invertible
        self.known: dict[sympy.Basic, fmpq_mpoly] = {}

    def of(self, node: sympy.Basic) -> fmpq_mpoly:
        """The element a node is equal to."""
        if node not in self.known:
            self.known[node] = self._of(node)
        return self.known[node]

    def _of(self, node: sympy.Basic) -> fmpq_mpoly:
        if isinstance(node, sympy.Float):
            cure = "use sympy.Rational, or linvar.rationalize(value, decimals=4)"
            raise InputTypeError(self.name, _subject(self.whole), cure, fault="contains a float")
        if isinstance(node, sympy.Rational):
            return self.context.constant(fmpq(int(node.p), int(node.q)))
        if is_symbol(node):
            if not node.is_commutative:
                self.refuse(node, "does not commute", "make it a commutative symbol; for a matrix give its entries")
            return self.generators[node]
        if isinstance(node, sympy.Add):
            return self._sum(node)
        if isinstance(node, sympy.Mul):
            result = self.context.constant(1)
            for factor in map(self.of, node.args):
                result = self._product(node, result, factor)
            return result
        if isinstance(node, sympy.Pow):
            return self._power(node, self.of(node.exp))
        if isinstance(node, sympy.UnevaluatedExpr):
            return self.of(node.args[0])
        if isinstance(node, AppliedUndef):
            self.refuse(node, "is an unknown function", _OWN_SYMBOL)
        if isinstance(node, Application):
            return self._function(node)
        if isinstance(node, MatrixElement):
            explicit = node.doit()
            if explicit != node and isinstance(explicit, sympy.Expr):
                return self.of(explicit)
            self.refuse(node, "is at no place given in integers", "give entries of a MatrixSymbol, as M[0, 1]")
        if node in (sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
            self.refuse(node, "is no finite number", "give a number")
        if node is sympy.I:
            self.refuse(node, "is not real", "give a real number")
        if isinstance(node, sympy.NumberSymbol) and node.is_irrational:
            self.refuse(node, "is irrational", _OWN_SYMBOL)
        self.refuse(node, f"is not known to be {self._kind(node)}", _WRITE_OUT)

    def refuse(self, part: sympy.Basic, why: str, cure: str) -> NoReturn:
        """Not taken, because of this part."""
        if part is not self.whole:
            why = f"has the part {_text(part)}, which {why}"
        raise InputError(self.name, _subject(self.whole), cure, fault=why)

    def _kind(self, node: sympy.Basic) -> str:
        symbols = symbols_of(node)
        return "a polynomial with rational coefficients in its symbols" if symbols else "a rational number"

    # sums and products

    def _sum(self, node: sympy.Basic) -> fmpq_mpoly:
        """Pairwise, so that no long partial sum is copied again and again."""
        pending = [self.of(part) for part in node.args]
        while len(pending) > 1:
            pairs = [self._checked(node, a + b) for a, b in zip(pending[::2], pending[1::2])]
            pending = pairs + pending[2 * len(pairs) :]
        return pending[0] if pending else self.context.constant(0)

    def _product(self, node: sympy.Basic, left: fmpq_mpoly, right: fmpq_mpoly) -> fmpq_mpoly:
        """Both are within the limits; so must be the work of multiplying them, and the product."""
        both = len(left) > 1 and len(right) > 1
        if both and len(left) * len(right) * (_bits(left) + _bits(right)) > _WORK:
            self._too_long_to_expand(node)
        result = left * right
        if both and len(result) > _TERMS:
            self._too_long_to_expand(node)
        return self._checked(node, result)

    def _checked(self, node: sympy.Basic, result: fmpq_mpoly) -> fmpq_mpoly:
        """The result, within the limits."""
        if (bits := _bits(result)) > _BITS:
            self._too_long(node, bits)
        return result

    def _too_long_to_expand(self, node: sympy.Basic) -> NoReturn:
        fault = f"is too long to be expanded (beyond {_TERMS:,} terms, or in numbers too long)"
        self.refuse(node, fault, "give that part a symbol of its own")

    def _too_long(self, node: sympy.Basic, bits: int) -> NoReturn:
        fault = f"is a number of about {bits * 30103 // 100_000:,} digits, more than the 100,000 that are taken"
        self.refuse(node, fault, "give a shorter number")

    # powers

    def _power(self, node: sympy.Basic, exponent: fmpq_mpoly) -> fmpq_mpoly:
        if not exponent.is_constant():
            self.refuse(node, "is not a polynomial: its exponent has symbols", _OWN_SYMBOL)
        base, value = self.of(node.base), constant(exponent)
        if value.q == 1:
            return self._integer_power(node, base, int(value.p))
        if not base.is_constant():
            self.refuse(node, "is not a polynomial: it is a root", _OWN_SYMBOL)
        return self._integer_power(node, self.context.constant(self._root(node, constant(base), value)), int(value.p))

    def _root(self, node: sympy.Basic, base: fmpq, exponent: fmpq) -> fmpq:
        """base^(1/q) for the denominator q of the exponent, where that is rational."""
        if base < 0:
            self.refuse(node, "is not real", "give a real number")
        if base in (0, 1):
            return base
        index, parts = int(exponent.q), []
        for part in (base.p, base.q):
            # a number above 1 with an integer root of this index has at least as many bits
            root = part if part == 1 else part.root(index) if part.height_bits() > index else fmpz(0)
            if root**index != part if root else True:
                self.refuse(node, "is irrational", _OWN_SYMBOL)
            parts.append(root)
        return fmpq(*parts)

    def _integer_power(self, node: sympy.Basic, base: fmpq_mpoly, exponent: int) -> fmpq_mpoly:
        if exponent < 0:
            base, exponent = self._inverse(node, base), -exponent
        if exponent == 0:
            return self.context.constant(1)
        if base.is_constant() and abs(constant(base)) in (0, 1):
            return base if exponent % 2 or not base else base * base
        degrees = [int(degree) for degree in base.degrees()]
        if max(degrees, default=0) * exponent > _DEGREE:
            self.refuse(node, f"has a degree above {_DEGREE:,}", "give a lower power")
        if len(base) == 1:
            leading = abs(base.leading_coefficient())
            bits = exponent * (max(int(leading.p).bit_length(), int(leading.q).bit_length()) - 1)
            if bits > _BITS:
                self._too_long(node, bits)
        else:
            terms = prod(degree * exponent + 1 for degree in degrees)
            if exponent <= _TERMS:
                terms = min(terms, comb(len(base) + exponent - 1, exponent))
            if terms > _TERMS or terms * exponent * (_bits(base) + len(base).bit_length()) > _WORK:
                self._too_long_to_expand(node)
        return self._checked(node, base**exponent)

    def _inverse(self, node: sympy.Basic, base: fmpq_mpoly) -> fmpq_mpoly:
        """1/base, of a number other than 0 (or of a monomial in the two generators that are inverse to each other)."""
        if not base:
            self.refuse(node, "is a division by 0", "give a nonzero divisor")
        if base.is_constant():
            return self.context.constant(1 / constant(base))
        if not self.invertible:
            self.refuse(node, "is not a polynomial: it divides by symbols", _OWN_SYMBOL)
        ((exponents, coefficient), *more) = base.terms()
        if more or any(exponents[2:]):
            cure = "simplify it first (sympy.cancel), or divide by numbers and by powers of the batch size only"
            self.refuse(node, f"is not a polynomial in 1/{self.invertible}", cure)
        swapped = (exponents[1], exponents[0], *exponents[2:])
        return self.context.from_dict({tuple(map(int, swapped)): 1 / coefficient})

    # functions

    def _function(self, node: sympy.Basic) -> fmpq_mpoly:
        """A function at rational numbers, where SymPy's exact evaluation of it is rational."""
        arguments = [self.of(argument) for argument in node.args]
        if not all(argument.is_constant() for argument in arguments):
            self.refuse(node, "is not a polynomial with rational coefficients in its symbols", _OWN_SYMBOL)
        numbers = [sympy.Rational(int(c.p), int(c.q)) for c in map(constant, arguments)]
        if not isinstance(node, _CHEAP):
            limit = _LIMIT_OF_GROWING if isinstance(node, _GROWING) else _LIMIT
            if any(max(abs(number.p), number.q) > limit for number in numbers):
                fault = f"is evaluated at arguments up to {limit:,} only"
                self.refuse(node, fault, "give its value as a number")
        result = _evaluated(node.func, numbers)
        if not isinstance(result, sympy.Rational):
            self.refuse(node, "is not known to be a rational number", _OWN_SYMBOL)
        return self._checked(node, self.context.constant(fmpq(int(result.p), int(result.q))))


def _evaluated(function: Callable[..., sympy.Basic], numbers: Sequence[sympy.Rational]) -> sympy.Basic | None:
    """SymPy's own value; None where it has none."""
    try:
        return function(*numbers)
    except (ArithmeticError, TypeError, ValueError):
        return None


def _subject(value: sympy.Basic) -> sympy.Basic | Words:
    """What a message shows of an expression: itself, if it is short."""
    return value if _parts(value, {}) <= _SHOWN else Words(_text(value))


def _text(node: sympy.Basic) -> str:
    """A part of an expression in a message."""
    count = _parts(node, {})
    return shown(node, 60) if count <= _SHOWN else f"(an expression of {count:,} parts)"


def _parts(node: sympy.Basic, known: dict[int, int]) -> int:
    """The nodes of an expression, written out; a shared part counts each time but is visited once."""
    pending = [node]
    while pending:
        top = pending[-1]
        missing = [argument for argument in top.args if id(argument) not in known]
        if missing:
            pending += missing
        else:
            known[id(top)] = 1 + sum(known[id(argument)] for argument in top.args)
            pending.pop()
    return known[id(node)]


def constant(element: fmpq_mpoly) -> fmpq:
    """A constant of a ring as python-flint's rational."""
    return element.leading_coefficient() if element else fmpq(0)


def _bits(element: fmpq_mpoly) -> int:
    """Bits of the longest coefficient, numerator and denominator together."""
    return max((int(c.p).bit_length() + int(c.q).bit_length() for c in element.coeffs()), default=1)
