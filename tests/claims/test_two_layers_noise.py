"""proofs/two-layers-one-step.md with label noise, executed: inequalities of polynomials in one letter, by their real zeros."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import sympy
from flint import fmpq, fmpq_mpoly
from two_layers import (
    NOISE,
    NOISY,
    ONE,
    RHO,
    TAU,
    Coefficients,
    U,
    V,
    in_tau,
    moments,
    powers_of,
    q_of,
    reduction,
    signs,
    symbolic,
    univariate,
)  # fmt: skip

import linvar as lv

Q_0, Q_1 = map(q_of, NOISY)
IN_NOISE = powers_of("v", Q_0)


def is_positive(of: Coefficients) -> bool:
    """A polynomial in rho whose coefficients are these polynomials in u, at every real rho and u > 0.

    Its leading coefficient and its discriminant have no zero at u > 0, so the number of real zeros is that at u = 1: none.
    """
    whole = sum((c * RHO**k for k, c in enumerate(of)), 0 * ONE)
    at_one = univariate(whole.subs({"u": 1}))
    if signs(of[-1]) != {1} or of[0].is_zero() or at_one.count_roots() > 0:
        return False
    discriminant = whole.discriminant("rho")
    return len(signs(discriminant)) == 1 or univariate(discriminant).count_roots(0, None) == 0


def stripped(polynomial: fmpq_mpoly, rho: int, u: int) -> Coefficients:
    """Coefficients in rho after division by rho^i u^k."""
    quotient, rest = divmod(polynomial, RHO**rho * U**u)
    assert rest.is_zero()
    return powers_of("rho", quotient)


def test_two_layers_with_label_noise_reduce_to_two_polynomials() -> None:
    """(8) for symbols: linvar's derivation, moments of its own, against V_0 + delta V_1."""
    variance, letters = symbolic((1, 1, 1), noise=True)
    numerator, denominator = reduction(letters, NOISY)
    assert variance * denominator == numerator != 0
    assert variance * denominator != reduction(letters, V)[0] * letters[0] ** (2 * NOISY[0].degrees()[3])


def test_moments_with_label_noise() -> None:
    """(9): (1 - 2 u theta - u^2 v theta^2) M' = (1 + u v theta) M, M the generating function, to order 8."""
    found, factorial = [], 1
    for k, moment in enumerate(moments(8)):
        factorial *= max(k, 1)
        found.append(moment / factorial)
    for k in range(8):
        before, last = (found[k - i] if k >= i else 0 * ONE for i in (1, 0))
        left = (k + 1) * found[k + 1] - 2 * U * k * last - U**2 * NOISE * (k - 1) * before
        assert left == last + U * NOISE * before
    theta, u, v = sympy.symbols("theta u v")
    log = -sympy.log(1 - 2 * u * theta - u**2 * v * theta**2) / (2 * u)
    assert sympy.simplify(sympy.diff(log, theta) * (1 - 2 * u * theta - u**2 * v * theta**2) - 1 - u * v * theta) == 0


def test_derivatives_with_label_noise_are_quadratic_in_the_rate() -> None:
    """(10), positive for v >= 0, and (5)."""
    of_v_0 = (2 + NOISE) * ((1 - RHO) ** 2 + RHO**2) + 2 * RHO**2 * U * (2 + NOISE) ** 2
    for v, q, a_0 in zip(NOISY, (Q_0, Q_1), (of_v_0, 2 * (2 + NOISE) + 2 * U * (2 + NOISE) ** 2)):
        slope, parts = v.derivative("u"), in_tau(v)
        assert parts[0] == a_0 and slope == sum((a * TAU**k for k, a in enumerate(parts)), 0 * ONE)
        assert 4 * a_0 * slope == (2 * a_0 + parts[1] * TAU) ** 2 + 16 * q * TAU**2


def test_q_1_with_label_noise_has_no_real_zero() -> None:
    """Leading coefficient: positive coefficients. 4AC - B^2: too, but for one, which its two neighbours outweigh."""
    constant, linear, leading = powers_of("rho", Q_1)
    assert signs(leading) == {1}
    found = (4 * leading * constant - linear**2).to_dict()
    assert {powers: value for powers, value in found.items() if value < 0} == {(0, 0, 3, 7): fmpq(-9, 2)}
    outer = found[0, 0, 1, 5], found[0, 0, 5, 9]  # u v^5 (9/2 - 9/2 (u v)^2 + 45 (u v)^4)
    assert outer == (fmpq(9, 2), 45) and fmpq(9, 2) ** 2 < 4 * outer[0] * outer[1]


def test_q_0_with_label_noise_is_positive_in_its_lower_powers() -> None:
    """Coefficients of v^0, v^1, v^2: positive; that of v^3 too, but for a factor rho^2 u."""
    assert len(IN_NOISE) == 6
    for part in IN_NOISE[:3]:
        coefficients = powers_of("rho", part)
        assert is_positive(coefficients) and signs(part.discriminant("rho")) == {-1}
        assert not is_positive([coefficients[0] - 10 * U - 10, *coefficients[1:]])
    assert is_positive(stripped(IN_NOISE[3], 2, 1))


def test_q_0_with_label_noise_is_positive_in_its_upper_powers() -> None:
    """(11): A + B s + C s^2 = (A - 6/5 s + C s^2) + (B + 6/5) s, with 4 A C > 36/25 and B + 6/5 > 0."""
    a, b, c = (stripped(IN_NOISE[3 + k], 2 + 2 * k, 1 + k) for k in range(3))
    assert (len(a), len(b), len(c)) == (5, 3, 1) and signs(c[0]) == {1}
    four_a_c = [4 * c[0] * part for part in a]
    assert is_positive([four_a_c[0] - fmpq(36, 25), *four_a_c[1:]])
    raised = b[0] + fmpq(6, 5)
    assert signs(b[2]) == {1} == signs(4 * b[2] * raised - b[1] ** 2)
    assert signs(4 * b[2] * b[0] - b[1] ** 2) == {1, -1}, "B itself has zeros"
    assert not is_positive([four_a_c[0] - 4, *four_a_c[1:]])


@pytest.mark.parametrize("hidden", [1, 3])
def test_random_two_layers_with_label_noise_fall(hidden: int) -> None:
    """linvar's own verdict, at an error of 0 too, where nothing but the noise is left."""
    draw = random.Random(hidden)
    for error in (0, Fraction(1, 100), Fraction(-3, 2)):
        below, above = ([Fraction(draw.randint(-9, 9), draw.randint(1, 5)) for _ in range(hidden)] for _ in range(2))
        teacher = sum(x * y for x, y in zip(below, above)) - error
        law = lv.Gaussian([[teacher]], noise_variance=Fraction(draw.randint(1, 30), 10))
        problem = lv.Problem([[[w] for w in below], [above]], law, Fraction(draw.randint(-9, 9), 10), 1)
        variance = lv.gradient_variance(problem)
        assert variance.decreasing_from() == 1 and variance.degree >= 2
