"""The letters of proofs/two-layers-one-step.md as polynomials over the rationals: rho, tau, u, and v of the label noise."""

from __future__ import annotations

import sympy
from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx

import linvar as lv

RING = fmpq_mpoly_ctx.get(("rho", "tau", "u", "v"))
RHO, TAU, U, NOISE = RING.gens()
ONE = RING.constant(1)

#: a polynomial in one variable, by its coefficients
Coefficients = list[fmpq_mpoly]
#: e, p, q and the rate, of symbols
Letters = tuple[fmpq_mpoly, fmpq_mpoly, fmpq_mpoly, fmpq_mpoly]


def times(left: Coefficients, right: Coefficients) -> Coefficients:
    """The product."""
    found = [0 * ONE] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, c in enumerate(right):
            found[i + j] += a * c
    return found


def moments(order: int) -> Coefficients:
    """(9): E S^k of the batch mean S of x (x - noise/e), k = 0 to the order; (3) where v = 0."""
    found = [ONE, ONE]
    for k in range(1, order):
        found.append((1 + 2 * k * U) * found[k] + k * U * NOISE * (1 + (k - 1) * U) * found[k - 1])
    return found


def mean(of: Coefficients) -> fmpq_mpoly:
    """The expectation of a polynomial in S."""
    return sum((c * moment for c, moment in zip(of, moments(len(of)))), 0 * ONE)


def spread(factor: Coefficients) -> fmpq_mpoly:
    """(8): V_0 of the factor 1 - rho S, V_1 of S."""
    moved = times(factor, [ONE, -TAU, RHO * TAU / 2])
    return (1 + 2 * U) * mean(times(moved, moved)) + NOISE * U * mean(times(factor, factor)) - mean(moved) ** 2


def powers_of(name: str, polynomial: fmpq_mpoly) -> Coefficients:
    """Coefficients of the powers of one of the letters, that of the power 0 first."""
    place = RING.names().index(name)
    found: list[dict[tuple[int, ...], fmpq]] = [{} for _ in range(polynomial.degrees()[place] + 1)]
    for powers, value in polynomial.to_dict().items():
        found[powers[place]][tuple(0 if k == place else power for k, power in enumerate(powers))] = value
    return [RING.from_dict(part) for part in found]


def in_tau(v: fmpq_mpoly) -> Coefficients:
    """Coefficients a_0, a_1, a_2 of dV/du in tau."""
    a_0, a_1, a_2 = powers_of("tau", v.derivative("u"))
    return [a_0, a_1, a_2]


def q_of(v: fmpq_mpoly) -> fmpq_mpoly:
    """(5): 16 Q = 4 a_0 a_2 - a_1^2."""
    a_0, a_1, a_2 = in_tau(v)
    return (4 * a_0 * a_2 - a_1**2) / 16


#: with label noise, and without
NOISY = (spread([ONE, -RHO]), spread([0 * ONE, ONE]))
V = (NOISY[0].subs({"v": 0}), NOISY[1].subs({"v": 0}))


def signs(polynomial: fmpq_mpoly) -> set[int]:
    """Of the coefficients."""
    return {1 if value > 0 else -1 for value in polynomial.coeffs()}


def univariate(polynomial: fmpq_mpoly) -> sympy.Poly:
    """A polynomial in one letter for SymPy, without its zeros at 0."""
    (used,) = (k for k, degree in enumerate(polynomial.degrees()) if degree)
    terms = {(powers[used],): sympy.Rational(int(c.p), int(c.q)) for powers, c in polynomial.to_dict().items()}
    least = min(terms)[0]
    return sympy.Poly({(k - least,): c for (k,), c in terms.items()}, sympy.Symbol("t"))


def symbolic(widths: tuple[int, ...], *, noise: bool) -> tuple[fmpq_mpoly, Letters]:
    """linvar's variance of one step for symbols, s that of the label noise, as a polynomial in them and u; the letters."""
    weights, (rate, teacher) = lv.symbolic_weights(widths), sympy.symbols("a T")
    law = lv.Gaussian([[teacher]], noise_variance=sympy.Symbol("s") if noise else 0)
    variance = lv.gradient_variance(lv.Problem(weights, law, rate, 1))
    symbols = [*(entry for matrix in weights for entry in matrix), teacher, rate, sympy.Symbol("s")]
    ring = fmpq_mpoly_ctx.get((*map(str, symbols), "u"))
    *flat, t, a, _, u = ring.gens()
    found = 0 * u
    for k, coefficient in enumerate(variance.coefficients):
        terms = sympy.Poly(coefficient, *symbols).as_dict()
        found += ring.from_dict({(*powers, k): fmpq(int(c.p), int(c.q)) for powers, c in terms.items()})
    half = len(flat) // 2
    p = sum((x * y for x, y in zip(flat[:half], flat[half:])), 0 * u)
    return found, (p - t, p, sum((x * x for x in flat), 0 * u), a)


def reduction(letters: Letters, parts: tuple[fmpq_mpoly, ...]) -> tuple[fmpq_mpoly, fmpq_mpoly]:
    """e^2 q (V_0 + delta V_1) as a fraction, at rho = 2 a e p / q, tau = a q, delta = (a e)^2 (1 - 4 p^2/q^2), v = s/e^2."""
    e, p, q, a = letters
    *_, s, u = e.context().gens()
    most = max(part.degrees()[3] for part in parts)
    found = 0 * e
    for order, part in enumerate(parts):
        delta = (a * e) ** (2 * order) * (q**2 - 4 * p**2) ** order
        for (i, j, k, l), value in part.to_dict().items():
            term = value * (2 * a * e * p) ** i * (a * q) ** j * s**l * u**k
            found += term * delta * q ** (4 - i - 2 * order) * e ** (2 * (most - l))
    return found * e**2 * q, q**4 * e ** (2 * most)
