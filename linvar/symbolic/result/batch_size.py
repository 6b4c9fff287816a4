"""The symbols of the batch size in derivations by hand: ``b``, and ``u`` for 1/b.

Both are SymPy symbols without assumptions, so that ``sympy.Symbol("u")`` is ``linvar.u``. In an expression that is added to,
subtracted from or multiplied with a polynomial, a symbol named b is the batch size and one named u is 1/b; everywhere else
(weights, coefficients, ``subs``) a symbol of these names is a symbol like any other.
"""

from __future__ import annotations

from typing import Any

import sympy

from linvar.errors import InputError, InputTypeError
from linvar.exact import free_symbols
from linvar.expressions import symbols_of, to_element
from linvar.flint import fmpq_mpoly_ctx
from linvar.symbolic.algebra.ring import Element, Ring

#: the batch size, and one over it
b, u = sympy.Symbol("b"), sympy.Symbol("u")

#: the highest power of 1/b that is taken from an expression
_HIGHEST = 100_000


def occurs(expression: Any) -> bool:
    """Whether the batch size occurs in a SymPy object, as b or as u."""
    return isinstance(expression, sympy.Basic) and any(_letter(symbol) for symbol in symbols_of(expression))


def read(expression: Any, own: tuple[Any, ...]) -> tuple[list[Element], Ring]:
    """An expression in b, u and further symbols as coefficients of 1, 1/b, 1/b^2, ... and their ring.

    Args:
        expression: a SymPy expression; products of powers of b and u, of any sign, are taken together.
        own: the symbols of the polynomial it meets.

    Raises:
        InputError: it is no polynomial in 1/b, or b (or u) is also a symbol of that polynomial.

    >>> elements, ring = read(18 / b + sympy.Symbol("w") * (2 * b + 1) / b**2, ())
    >>> len(elements), ring.symbols
    (3, (w,))
    """
    if not isinstance(expression, sympy.Basic):
        cure = 'an exact number is an int, a Fraction, a string "p/q" or a SymPy expression'
        raise InputTypeError("operand", expression, cure)
    symbols = free_symbols([expression])
    letters = {_letter(symbol): symbol for symbol in symbols if _letter(symbol)}
    for letter in letters:
        if letter in map(str, own):
            other = "u for 1/b" if letter == "b" else "1/b"
            raise InputError(
                "operand", expression, f"write the batch size as {other}, or rename the symbol of the polynomial (a symbol of "
                f"its own goes in as BatchPolynomial([{letter}]))",
                fault=f"has {letter}, which is the batch size here and a symbol of the polynomial too",
            )  # fmt: skip
    ring = Ring(0, tuple(symbol for symbol in symbols if not _letter(symbol)))
    context = fmpq_mpoly_ctx.get(("u", "b", *(f"s{i}" for i in range(len(ring.symbols)))), "lex")
    inverse, size, *others = context.gens()
    generators = dict(zip(ring.symbols, others))
    generators |= {symbol: size if letter == "b" else inverse for letter, symbol in letters.items()}
    element = to_element(expression, "operand", context, generators, invertible="b")
    powers: dict[int, Element] = {}
    for (in_u, in_b, *rest), coefficient in element.terms():
        power = int(in_u) - int(in_b)
        powers[power] = powers.get(power, ring.zero) + ring.from_terms({tuple(map(int, rest)): coefficient})
    present = [power for power, sum_ in powers.items() if sum_]
    if min(present, default=0) < 0:
        cure = "give an expression that is a polynomial in u = 1/b"
        raise InputError("operand", expression, cure, fault=f"grows with b, the batch size: as b^{-min(present)}")
    if max(present, default=0) > _HIGHEST:
        raise InputError(
            "operand", expression, f"give powers of 1/b up to {_HIGHEST:,}", "has too high a degree in 1/b"
        )
    return [powers.get(power, ring.zero) for power in range(max(present, default=0) + 1)], ring


def inverse_of(variable: Any, own: tuple[Any, ...]) -> sympy.Expr:
    """1/b in terms of ``variable``: u for u (or None), 1/b for b.

    Raises:
        InputError: another variable, or one that is a symbol of the polynomial (its symbols are ``own``).
    """
    if variable is None:
        variable = u
    if not (isinstance(variable, sympy.Symbol) and variable in (b, u)):
        raise InputError("variable", variable, "give linvar.u or linvar.b", fault="does not stand for the batch size")
    if str(variable) in map(str, own):
        fault = "is also a symbol of the polynomial"
        raise InputError("variable", variable, f"give linvar.{'b' if variable == u else 'u'}, or use .poly", fault)
    return u if variable == u else 1 / b


def _letter(symbol: Any) -> str:
    """ "b" or "u" for a symbol of that name, "" for any other."""
    name = str(symbol) if isinstance(symbol, sympy.Symbol) else ""
    return name if name in ("b", "u") else ""
