"""proofs/multiples-of-the-identity.md, executed: networks in which no direction is special, of any width."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
import sympy
from flint import fmpq, fmpq_mpoly_ctx
from identity_layers import trace_moments, variance

import linvar as lv

PAGE = (Path(__file__).parents[2] / "proofs" / "multiples-of-the-identity.md").read_text(encoding="utf-8")
RING = fmpq_mpoly_ctx.get(("k", "z", "tau"))
K, Z, TAU = RING.gens()
M2, M4, M6 = K + 1, 2 * K**2 + 5 * K + 5, 5 * K**3 + 22 * K**2 + 52 * K + 41
Q = M6 * Z**3 - 2 * M4 * Z**2 + M2 * Z
#: width, weights, teacher, rate, two batch sizes, and by how much the variance rises from one to the other
RISES = [
    (6, ["61/50", "669/1000", "61/50"], "-111/1000", "233/250", (127, 158), "0.25 %"),
    (4, ["61/50", "827/1000", "807/1000", "123/100"], "171/10000", "939/1000", (162, 177), "0.04 %"),
]


def problem(width: int, weights: list[Fraction], teacher: Fraction, rate: Fraction, step: int = 1) -> lv.Problem:
    """All matrices multiples of the identity."""

    def times_identity(number: Fraction) -> list[list[Fraction]]:
        return [[number if i == j else Fraction(0) for j in range(width)] for i in range(width)]

    return lv.Problem([*map(times_identity, weights)], lv.Gaussian(times_identity(teacher)), rate, step)


def reduced(width: int, weights: list[Fraction], teacher: Fraction, rate: Fraction, b: int) -> Fraction:
    """(5) at a batch size."""
    product = Fraction(1)
    for weight in weights:
        product *= weight
    steps = [rate * product * (product - teacher) / weight**2 for weight in weights]
    scales = [(product**2 / weight) ** 2 for weight in weights]
    found: Fraction = variance(steps, teacher / product, Fraction(width), Fraction(1, b), scales)
    return found


@pytest.mark.parametrize("powers", [(1,), (3,), (2, 1), (2, 2), (3, 1, 1), (4,)], ids=str)
def test_moments_of_traces(powers: tuple[int, ...]) -> None:
    """(6), width and u being letters, against linvar's at widths 1 and 3."""
    found = trace_moments(K, Z)(*powers)
    for width in (1, 3):
        identity = [[int(i == j) for j in range(width)] for i in range(width)]
        moment = lv.wishart_moment([["I"] * q for q in powers], {"I": identity})
        for b in range(1, sum(powers) + 2):
            assert Fraction(str(found(width, fmpq(1, b), 0))) == moment(b)


@pytest.mark.parametrize(
    ("width", "weights"), [(1, ["1/2", "3/2", "2/3"]), (3, ["1/2", "3/2"]), (2, ["1/2", "3/2", "2/3"])], ids=str
)
def test_one_step_of_multiples_of_the_identity(width: int, weights: list[str]) -> None:
    """(5) is linvar's polynomial: at more batch sizes than its degree; the order of the layers matters from width 2 on."""
    numbers = [*map(Fraction, weights)], Fraction(-1, 5), Fraction(1, 3)
    exact = lv.gradient_variance(problem(width, *numbers))
    assert all(reduced(width, *numbers, b) == exact(b) for b in range(1, exact.degree + 3))
    other = [*reversed(numbers[0])], *numbers[1:]
    assert (reduced(width, *other, 2) == exact(2)) == (width == 1)


def test_the_leading_order_of_two_identities() -> None:
    """(1) at t = 1, every width: x_l = 1 and u = tau z; (P^2/w_l)^2 = 1 is left out."""
    whole = variance([K**0, K**0], TAU, K, TAU * Z, [K**0, K**0])
    parts = whole.to_dict()
    assert min(power for _, _, power in parts) == 3
    lowest = RING.from_dict({(i, j, 0): value for (i, j, power), value in parts.items() if power == 3})
    assert lowest == 2 * K * Q != 2 * K * Q + K


def test_moments_of_fluctuations() -> None:
    """(I - S)^n: M_n in the lowest power of u, n / 2 rounded up."""
    expected = trace_moments(K, Z)
    for n, claimed in ((2, K * M2), (4, K * M4), (6, K * M6), (1, None), (3, None), (5, None)):
        whole = sum((comb(n, i) * (-1) ** i * expected(i) for i in range(n + 1)), 0 * K)
        powers = [power for _, power, _ in whole.to_dict()]
        assert not powers or min(powers) == -(-n // 2)
        lowest = RING.from_dict(
            {(i, 0, 0): value for (i, power, _), value in whole.to_dict().items() if 2 * power == n}
        )
        assert claimed is None or lowest == claimed


def test_the_leading_order_falls_somewhere_from_width_eight_on() -> None:
    """(4), the width being a letter; and where it falls for large widths."""
    k, z = sympy.symbols("k z")
    q = sympy.sympify(str(Q), locals={"k": k, "z": z})
    claimed = k**4 - k**3 - 42 * k**2 - 79 * k - 23
    assert sympy.expand(sympy.discriminant(sympy.diff(q, z), z) - 4 * claimed) == 0
    assert all(value > 0 for value in sympy.Poly(claimed.subs(k, k + 8), k).all_coeffs())
    assert all(claimed.subs(k, width) < 0 for width in range(1, 8))
    limit = sympy.expand(sympy.limit(q.subs(z, z / k), k, sympy.oo))
    assert sympy.expand(limit - (5 * z**3 - 4 * z**2 + z)) == 0
    assert sympy.solve(sympy.diff(limit, z), z) == [sympy.Rational(1, 5), sympy.Rational(1, 3)]
    assert limit.subs(z, sympy.Rational(1, 5)) / limit.subs(z, sympy.Rational(1, 3)) == sympy.Rational(27, 25)


def test_the_second_step_has_the_same_leading_order() -> None:
    """(1) at t = 2: of width 1 with weights w, T = w^2 - 1, rate 1, as a polynomial; of width 2 at numbers."""
    w, theta, u = sympy.symbols("w theta u")
    q = sympy.Poly(sympy.sympify(str(Q), locals={"k": 1, "z": u}), u)
    for step in (1, 2):
        exact = lv.gradient_variance(lv.Problem([[[w]], [[w]]], lv.Gaussian([[w**2 - 1]]), 1, step))
        for j, value in enumerate(exact.coefficients[1:6], start=1):
            even = sympy.Poly(value, w).terms()
            assert all(power % 2 == 0 for (power,), _ in even)
            shifted = sympy.Poly(sum(c * (1 + theta) ** (power // 2) for (power,), c in even), theta)
            claimed = 2 * q.coeff_monomial(u**j) * theta ** (3 - j) if j <= 3 else 0
            assert sympy.rem(shifted.as_expr() - claimed, theta ** max(4 - j, 0)) == 0
    tau, width = Fraction(1, 10_000), 2
    exact = lv.gradient_variance(problem(width, [Fraction(1)] * 2, tau, 1 / (1 - tau), step=2))
    for b in (10**4, 10**5):
        right, other = (Fraction(str(Q(k, fmpq(10**4, b), 0))) * 2 * width * tau**3 for k in (width, 3))
        assert abs(exact(b) / right - 1) < 100 * tau < abs(exact(b) / other - 1)


def test_width_eight_rises_and_width_seven_is_not_known_to() -> None:
    tau = Fraction(1, 2000)
    eight = lv.gradient_variance(problem(8, [Fraction(1)] * 2, tau, 1 / (1 - tau)))
    assert eight(73646) < eight(80153) and eight.decreasing_from() == 80153
    seven = lv.gradient_variance(problem(7, [Fraction(1)] * 2, tau, 1 / (1 - tau)))
    assert seven.decreasing_from() == 1


@pytest.mark.parametrize(("width", "weights", "teacher", "rate", "sizes", "by"), RISES, ids=["3 layers", "4"])
def test_deeper_networks_rise_at_smaller_widths(
    width: int, weights: list[str], teacher: str, rate: str, sizes: tuple[int, int], by: str
) -> None:
    """By (5), exactly; the page has the numbers. One width less falls between the same batch sizes."""
    numbers = [*map(Fraction, weights)], Fraction(teacher), Fraction(rate)
    low, high = (reduced(width, *numbers, b) for b in sizes)
    share = Fraction(by.removesuffix(" %")) / 100
    assert share <= high / low - 1 < share + Fraction(1, 10_000)
    assert f"| {len(weights)} | {width} | from `b = {sizes[0]}` to `{sizes[1]}`, {by} | " in PAGE
    assert f"`{', '.join(weights)}` | `{teacher}` | `{rate}` |" in PAGE
    less_low, less_high = (reduced(width - 1, *numbers, b) for b in sizes)
    assert less_low > less_high
