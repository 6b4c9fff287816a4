"""proofs/two-layers-one-step.md, executed: polynomials over the rationals, and the matrices of its certificate."""

from __future__ import annotations

import json
import random
import re
from fractions import Fraction
from functools import partial
from itertools import combinations_with_replacement
from math import prod
from pathlib import Path
from typing import Any

import pytest
import sympy
from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx
from two_layers import ONE, RHO, TAU, U, V, in_tau, moments, powers_of, q_of, reduction, symbolic

import linvar as lv
from linvar.laws.semidefinite import independent_columns, negative_row

PROOFS = Path(__file__).parents[2] / "proofs"
CERTIFICATE = PROOFS / "certificates" / "two-layers-one-step.json"
PARTS = json.loads(CERTIFICATE.read_text(encoding="utf-8"))["parts"]

Q_0, Q_1 = map(q_of, V)


# (2)


def test_two_layers_reduce_to_two_polynomials() -> None:
    """(2), (3) for symbols: linvar's derivation, moments of its own, against V_0 + delta V_1."""
    products = [prod((1 + 2 * i * U for i in range(k)), start=ONE) for k in range(7)]
    assert [moment.subs({"v": 0}) for moment in moments(6)] == products
    variance, letters = symbolic((1, 1, 1), noise=False)
    e, p, q, a = letters
    numerator, denominator = reduction(letters, V)
    assert variance * denominator == numerator != 0
    assert variance * denominator != reduction((e, p, q, 2 * a), V)[0]


def test_a_step_of_vectors() -> None:
    """(1) and the square of E G for two hidden units, all symbols: only p and q of the weights are seen."""
    *weights, t, a, batch, mean_f, mean_sf = fmpq_mpoly_ctx.get(("w", "x", "y", "z", "T", "a", "S", "A", "B")).gens()
    below, above = weights[:2], weights[2:]

    def letters(first: list[fmpq_mpoly], second: list[fmpq_mpoly]) -> tuple[fmpq_mpoly, fmpq_mpoly]:
        return sum((x * y for x, y in zip(first, second)), 0 * t), sum((x * x for x in first + second), 0 * t)

    p, q = letters(below, above)
    e = p - t
    moved = [[x - a * e * batch * y for x, y in zip(*pair)] for pair in ((below, above), (above, below))]
    p_1, q_1 = letters(*moved)
    tau, rho_q = a * q, 2 * a * e * p  # rho q
    assert p_1 - t == e * (1 - tau * batch + a * rho_q * batch**2 / 2)
    q_delta = (a * e) ** 2 * (q**2 - 4 * p**2)  # q^2 delta
    assert q_1 * q == (q - rho_q * batch) ** 2 + q_delta * batch**2
    parts = [mean_f * y - a * e * mean_sf * x for pair in ((below, above), (above, below)) for x, y in zip(*pair)]
    square = sum((part**2 for part in parts), 0 * t)
    assert square * q == (q * mean_f - rho_q * mean_sf) ** 2 + q_delta * mean_sf**2


def fraction(value: Fraction) -> fmpq:
    return fmpq(*value.as_integer_ratio())


RULES: list[dict[str, Any]] = [
    {},
    {"momentum": "1/2"},
    {"momentum": "1/2", "nesterov": True},
    {"weight_decay": "1/3"},
    {"momentum": "1/2", "nesterov": True, "weight_decay": "-3/4"},
]


@pytest.mark.parametrize("hidden", [2, 3, 5])
def test_random_two_layers_are_the_reduction(hidden: int) -> None:
    """(2) for numbers, with a variance s^2 of x (rate a s^2, result s^4), momentum (Nesterov: a (1 + mu)) and decay."""
    draw = random.Random(hidden)
    for rule in RULES:
        below, above = ([Fraction(draw.randint(-9, 9), draw.randint(1, 5)) for _ in range(hidden)] for _ in range(2))
        teacher, rate, s = Fraction(draw.randint(10, 19), 4), Fraction(draw.randint(1, 9), 10), Fraction(3, 2)
        law = lv.Gaussian([[teacher]], [[s**2]])
        problem = lv.Problem([[[w] for w in below], [above]], law, rate, 1, **rule)
        a = rate * (Fraction(3, 2) if "nesterov" in rule else 1)
        k = 1 - a * Fraction(rule.get("weight_decay", 0))  # what the weights shrink by
        p, q = k**2 * sum(x * y for x, y in zip(below, above)), k**2 * sum(x * x for x in below + above)
        e, e_1 = p / k**2 - teacher, p - teacher
        kappa = a * s**2 / k * e
        at = {"rho": fraction(2 * kappa * p / q), "tau": fraction(kappa * q / e_1)}
        delta = fraction(kappa**2 * (1 - (2 * p / q) ** 2))
        value = (V[0].subs(at) + delta * V[1].subs(at)) * fraction(s**4 * e_1**2 * q)
        claimed = lv.BatchPolynomial([Fraction(int(c.p), int(c.q)) for c in (value[0, 0, i, 0] for i in range(7))])
        variance = lv.gradient_variance(problem)
        assert variance == claimed and variance.decreasing_from() == 1
        noisy = lv.gradient_variance(problem.replace(law=lv.Gaussian([[teacher]], [[s**2]], noise_variance="1/9")))
        assert noisy != claimed


def test_nothing_moves_without_an_error_or_without_weights() -> None:
    """q = 0, or e = 0: what the reduction leaves out is zero."""
    for weights, teacher in (([[[0], [0]], [[0, 0]]], 3), ([[[1], [2]], [[3, 4]]], 11)):
        assert lv.gradient_variance(lv.Problem(weights, lv.Gaussian([[teacher]]), "1/3", 1)) == 0


# (4) to (6)


def test_derivatives_are_quadratic_in_the_rate() -> None:
    """(4), (5), and that dV/du has no higher power of tau."""
    for v, q, a_0 in zip(V, (Q_0, Q_1), (2 * ((1 - RHO) ** 2 + RHO**2 + 4 * RHO**2 * U), 4 * (1 + 2 * U))):
        slope, parts = v.derivative("u"), in_tau(v)
        assert parts[0] == a_0 and slope == sum((a * TAU**k for k, a in enumerate(parts)), 0 * ONE)
        assert 4 * a_0 * slope == (2 * a_0 + parts[1] * TAU) ** 2 + 16 * q * TAU**2
        assert 4 * a_0 * slope != (2 * a_0 - parts[1] * TAU) ** 2 + 16 * q * TAU**2


def test_the_discriminant_of_the_second_derivative_is_negative() -> None:
    """(6) and what follows it: Q_1 has a positive leading coefficient and no real zero at u > 0."""
    constant, linear, leading = powers_of("rho", Q_1)
    assert leading == 13824 * U**6 + 23456 * U**5 + 15436 * U**4 + 4992 * U**3 + 828 * U**2 + 64 * U + 1
    rest = 4 * leading * constant - linear**2
    found = rest.to_dict()
    assert sorted(powers[2] for powers in found) == [*range(1, 11)] and all(value > 0 for value in found.values())
    assert found[0, 0, 1, 0] == 16 and all(value / 16 == int(value / 16) for value in found.values())


# Q_0


def squares(parts: list[dict[str, Any]]) -> fmpq_mpoly:
    """(7): the right side."""
    found = 0 * ONE
    for part in parts:
        z = [(RHO - 1) ** i * RHO**j * U**k for i, j, k in part["basis"]]
        matrix = [[fmpq(*Fraction(entry).as_integer_ratio()) for entry in row] for row in part["matrix"]]
        form = sum((m * x * y for x, row in zip(z, matrix) for y, m in zip(z, row)), 0 * ONE)
        found += U ** part["power_of_u"] * form
    return found


def test_q_0_is_a_sum_of_squares() -> None:
    """(7): an identity, with symmetric matrices whose elimination has positive pivots."""
    assert squares(PARTS) == Q_0
    for part in PARTS:
        matrix = [[Fraction(entry) for entry in row] for row in part["matrix"]]
        size = len(part["basis"])
        assert matrix == [list(column) for column in zip(*matrix)] and len(matrix) == size
        assert negative_row(matrix, partial(range, size)) is None
        assert independent_columns(matrix) == (*range(size),)
    # z_0 is zero nowhere at u > 0
    assert PARTS[0]["power_of_u"] == 0 and [3, 0, 0] in PARTS[0]["basis"] and [0, 1, 1] in PARTS[0]["basis"]


def test_a_changed_entry_of_the_matrices_is_noticed() -> None:
    """Every entry, with its mirror image: the sum is another polynomial; a diagonal one made small is no square."""
    for place, part in enumerate(PARTS):
        for i, j in combinations_with_replacement(range(len(part["basis"])), 2):
            changed = json.loads(json.dumps(PARTS))
            for row, column in {(i, j), (j, i)}:
                entry = changed[place]["matrix"][row]
                entry[column] = str(Fraction(entry[column]) + Fraction(1, 1000))
            assert squares(changed) != Q_0
        matrix = [[Fraction(entry) for entry in row] for row in part["matrix"]]
        matrix[-1][-1] /= 4
        last = len(matrix) - 1
        assert negative_row(matrix, partial(range, len(matrix))) == last


def squares_in_coq(text: str, place: int) -> tuple[list[list[Fraction]], list[fmpq_mpoly]]:
    """squares_i of two_layers_slope.v as a matrix, the sum of d l l^T over its rows; the list z_i it is applied to."""
    rows, entries = (
        re.search(rf"^Definition {name}_{place}\b.*?:=\s*\[(.*?)\]\.$", text, re.M | re.S) for name in ("squares", "z")
    )
    assert rows is not None and entries is not None
    z = [eval(entry.replace("^", "**").strip(), {"rho": RHO, "u": U}) for entry in entries[1].split(";")]
    matrix = [[Fraction(0)] * len(z) for _ in z]
    for first, (d, row) in enumerate(re.findall(r"\((\S+), \[(.*?)\]\)", rows[1] + "]")):
        line = [Fraction(0)] * first + [Fraction(entry.strip()) for entry in row.split(";")]
        assert len(line) == len(z) and Fraction(d) > 0
        matrix = [[m + Fraction(d) * x * y for m, y in zip(old, line)] for old, x in zip(matrix, line)]
    return matrix, z


def test_coq_has_the_matrices_of_the_certificate() -> None:
    """The lists there, in which powers of u have the factor 10, are L^T D L of the matrices here: one certificate."""
    text = (PROOFS / "rocq" / "two_layers_slope.v").read_text(encoding="utf-8")
    assert "Q0 rho u = squares squares_0 (z_0 rho u) + 10 * u * squares squares_1 (z_1 rho u)." in text
    for place, part in enumerate(PARTS):
        matrix, z = squares_in_coq(text, place)
        scales = [10**k for *_, k in part["basis"]]
        assert z == [s * (RHO - 1) ** i * RHO**j * U**k for s, (i, j, k) in zip(scales, part["basis"])]
        found = [[10**place * m * s * r for m, r in zip(row, scales)] for row, s in zip(matrix, scales)]
        assert found == [[Fraction(entry) for entry in row] for row in part["matrix"]]


def test_q_0_has_no_real_zero_by_its_discriminant() -> None:
    """-64 u^8 times a polynomial of degree 31 with positive coefficients; the leading coefficient; Sturm at u = 1."""
    found = Q_0.discriminant("rho").to_dict()
    assert sorted(powers[2] for powers in found) == [*range(8, 40)] and all(value < 0 for value in found.values())
    assert {powers[:2] for powers in found} == {(0, 0)} and all(
        int(value / 64) * 64 == value for value in found.values()
    )
    coefficients = powers_of("rho", Q_0)
    assert coefficients[6] == powers_of("rho", Q_1)[2] and coefficients[0] == 1 + 4 * U
    assert Q_0.subs({"u": 0}) == (1 - RHO) ** 6
    rho = sympy.Symbol("rho")
    at_one = sympy.Poly([int(c.subs({"u": 1})[0, 0, 0, 0]) for c in reversed(coefficients)], rho)
    assert at_one.degree() == 6 and at_one.count_roots() == 0
    below = at_one - sympy.Poly(at_one.eval(1) + 1, rho)  # negative at rho = 1: two real zeros
    assert below.count_roots() == 2
