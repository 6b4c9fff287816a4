"""proofs/few-inputs.md, executed: minors of matrices of polynomials, and the forms against linvar's own variances."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from functools import reduce
from math import prod
from typing import Any

import pytest
from few_inputs import (
    NOISE,
    has_no_zero,
    is_positive,
    is_positive_up_to,
    minors,
    moments,
    of_inputs,
    of_one_batch,
    of_two_batches,
    weighted,
)
from flint import fmpq, fmpq_mat, fmpq_mpoly, fmpq_mpoly_ctx, fmpz_mpoly

import linvar as lv
from linvar.matrices import product, scaled, subtract, transpose

Matrix = list[list[Any]]

# one input


def test_one_input_falls_up_to_four_layers() -> None:
    """(3): degree 2L - 1 = 7; all leading minors of order 8 at most have positive coefficients alone."""
    found = minors(of_one_batch(7))
    assert len(found) == 8 and all(is_positive(minor) for minor in found)
    assert not is_positive(-found[3]) and not is_positive(found[3] - 4608)


#: layers -> the batch size up to which the variance after one step falls
DEEPER = {5: 36, 6: 14, 7: 9, 8: 7, 9: 5, 10: 4}


def test_one_input_falls_in_small_batches_at_greater_depths() -> None:
    """All minors of order 2L are positive from u = 1/b on; not so for the next b."""
    found = minors(of_one_batch(2 * max(DEEPER) - 1))
    for depth, size in DEEPER.items():
        assert all(is_positive_up_to(size, minor) for minor in found[: 2 * depth])
        assert not all(is_positive_up_to(size + 1, minor) for minor in found[: 2 * depth])


def test_one_input_falls_in_small_batches_after_two_steps() -> None:
    """(4): two layers, b = 8 at most; gradients of degree 2 in the weights, every b."""
    found = minors(of_two_batches(3, 2))
    assert len(found) == 28 and all(is_positive_up_to(8, minor) for minor in found)
    assert not all(is_positive_up_to(9, minor) for minor in found)
    assert all(is_positive(minor) for minor in minors(of_two_batches(2, 1)))


def test_a_polynomial_of_degree_eight_rises() -> None:
    """The last minor of order 9 is negative at u = 1/200; where it comes from rises, and with one coefficient changed falls."""
    m = moments(16)

    def at(size: int, of: fmpz_mpoly) -> fmpq:
        return sum((int(value) * fmpq(1, size) ** int(k) for (k, _), value in of.to_dict().items()), fmpq(0))

    matrix = [[at(200, entry) for entry in row] for row in of_one_batch(8)]
    upper = fmpq_mat(8, 8, [matrix[i][j] for i in range(8) for j in range(8)])
    solved = upper.solve(fmpq_mat(8, 1, [-matrix[i][8] for i in range(8)]))
    of = [*(solved[i, 0] for i in range(8)), fmpq(1)]

    def variance(size: int, f: list[fmpq]) -> fmpq:
        means = [at(size, moment) for moment in m]
        square = sum(x * y * means[i + j] for i, x in enumerate(f) for j, y in enumerate(f))
        return (1 + fmpq(2, size)) * square - sum(x * y for x, y in zip(f, means)) ** 2

    assert 0 < variance(199, of) < variance(201, of)
    assert variance(199, [*of[:7], 2 * of[7], of[8]]) > variance(201, [*of[:7], 2 * of[7], of[8]])


# the forms are linvar's variances


def chain(factors: Iterable[Matrix], size: int) -> Matrix:
    """The product, of matrices of that many rows."""
    return reduce(product, factors, [[int(i == j) for j in range(size)] for i in range(size)])


def flat(matrix: Matrix) -> list[Any]:
    return [entry for row in matrix for entry in row]


def above_and_below(weights: list[Matrix], place: int) -> tuple[Matrix, Matrix]:
    """A_l^T and B_l^T."""
    above = chain(map(transpose, weights[place + 1 :]), len(weights[place]))
    return above, chain(map(transpose, weights[:place]), len(weights[0][0]))


class Start:
    """A random network and a rule, with symbols s, t, w for what the first batch gives, and one step from it."""

    ring = fmpq_mpoly_ctx.get(("s", "t", "w", "u"))

    def __init__(self, widths: tuple[int, ...], seed: int, error: Matrix, **rule: Any) -> None:
        draw = random.Random(seed)
        self.weights: list[Matrix] = [
            [[Fraction(draw.choice([-3, -2, -1, 1, 2]), draw.randint(1, 3)) for _ in range(m)] for _ in range(n)]
            for m, n in zip(widths, widths[1:])
        ]
        self.rate, self.rule = Fraction(draw.randint(1, 9), 10), rule
        self.teacher = subtract(chain(self.weights[::-1], widths[-1]), error)

    def problem(self, noise: Fraction = Fraction(0)) -> lv.Problem:
        law = lv.Gaussian(self.teacher, noise_variance=noise)
        return lv.Problem(self.weights, law, self.rate, 1, **self.rule)

    def after(self, batch: Matrix, weights: list[Matrix] | None = None) -> tuple[list[Matrix], Matrix]:
        """The weights after a step whose R is the batch, from the start or others, and the error P' - T."""

        def exact(x: Fraction) -> fmpq_mpoly:
            return self.ring.constant(fmpq(x.numerator, x.denominator))

        start = weights or [[[exact(x) for x in row] for row in w] for w in self.weights]
        rate = exact(self.rate * (1 + (self.rule["momentum"] if "nesterov" in self.rule else 0)))
        kept = 1 - rate * exact(Fraction(self.rule.get("weight_decay", 0)))
        moved = []
        for place, w in enumerate(start):
            above, below = above_and_below(start, place)
            gradient = product(product(above, batch), below)
            moved.append(subtract(scaled(w, kept), scaled(gradient, rate)))
        teacher = [[exact(x) for x in row] for row in self.teacher]
        return moved, subtract(chain(moved[::-1], len(batch)), teacher)

    def mean(self, of: fmpq_mpoly, v: Fraction = Fraction(0)) -> fmpq_mpoly:
        """(2), (5) for s; t and w normal of variance u s, given s."""
        u, found = self.ring.gens()[3], self.ring.constant(0)
        m = [
            sum(c * u**i * fmpq(v.numerator, v.denominator) ** j for (i, j), c in moment.to_dict().items())
            for moment in moments(30, NOISE)
        ]
        for (i, j, k, power), value in of.to_dict().items():
            if j % 2 == k % 2 == 0:
                pairs = prod(range(1, j, 2)) * prod(range(1, k, 2))
                found += value * pairs * u ** (power + (j + k) // 2) * m[i + (j + k) // 2]
        return found

    def coefficients(self, of: fmpq_mpoly) -> lv.BatchPolynomial:
        values = [of[0, 0, 0, k] for k in range(of.degrees()[3] + 1)]
        return lv.BatchPolynomial([Fraction(int(c.p), int(c.q)) for c in values])


RULES: list[dict[str, Any]] = [{}, {"momentum": Fraction(1, 2), "nesterov": True, "weight_decay": Fraction(1, 3)}]


@pytest.mark.parametrize(("widths", "rule"), list(zip([(1, 2, 2), (1, 1, 2, 2), (1, 2, 1, 1, 1)], [*RULES, {}])))
def test_one_input_is_a_polynomial_in_the_batch_mean(widths: tuple[int, ...], rule: dict[str, Any]) -> None:
    """(1): degree 2L - 1 in S, each entry; several outputs, momentum and weight decay."""
    error = [[Fraction(2, 3 + k)] for k in range(widths[-1])]
    start = Start(widths, 1, error, **rule)
    s, u = start.ring.gens()[0], start.ring.gens()[3]
    weights, after = start.after([[s * fmpq(2, 3 + k)] for k in range(widths[-1])])
    variance, degrees = 0 * u, set()
    for place in range(len(weights)):
        above, below = above_and_below(weights, place)
        for entry in flat(product(product(above, after), below)):
            variance += (1 + 2 * u) * start.mean(entry**2) - start.mean(entry) ** 2
            degrees.add(entry.degrees()[0])
    derived = lv.gradient_variance(start.problem())
    assert derived == start.coefficients(variance) and derived.decreasing_from() == 1
    assert max(degrees) == 2 * len(weights) - 1


def test_two_steps_are_polynomials_in_two_batches() -> None:
    """(4): the degrees in S_0, s, beside powers of S_1, t, are reached and not passed; linvar's variance at t = 2."""
    start = Start((1, 2, 2), 1, [[Fraction(2, 3)], [Fraction(1, 2)]], weight_decay=Fraction(1, 3))
    s, t, _, u = start.ring.gens()
    middle, error = start.after([[s * fmpq(2, 3)], [s * fmpq(1, 2)]])
    weights, after = start.after([[entry * t] for (entry,) in error], middle)
    m = [start.mean(s**k) for k in range(19)]

    def mean(of: fmpq_mpoly) -> fmpq_mpoly:
        return sum((c * m[i] * m[j] for (i, j, _, _), c in of.to_dict().items()), 0 * u)

    variance, places = 0 * u, set()
    for place in range(2):
        above, below = above_and_below(weights, place)
        for entry in flat(product(product(above, after), below)):
            variance += (1 + 2 * u) * mean(entry**2) - mean(entry) ** 2
            places |= {(j, i) for i, j, _, _ in entry.to_dict()}
    assert {j: max(i for k, i in places if k == j) for j, _ in places} == {j: 3 + 2 * j for j in range(4)}
    derived = lv.gradient_variance(start.problem().replace(step=2))
    assert derived == start.coefficients(variance)


def test_one_input_with_label_noise() -> None:
    """(5), (6): minors of order 8 have no negative coefficient in u and v; the forms are linvar's variance."""
    assert all(
        is_positive(minor) for matrix in (of_one_batch(7, NOISE), weighted(3, NOISE)) for minor in minors(matrix)
    )
    for widths, error, rule in zip([(1, 2, 1), (1, 1, 1, 1, 1)], [1, Fraction(-2, 3)], RULES[::-1]):
        noise = Fraction(3, 4)
        start = Start(widths, 5, [[error]], **rule)
        s, u = start.ring.gens()[0], start.ring.gens()[3]
        e = fmpq(*Fraction(error).as_integer_ratio())
        weights, ((after,),) = start.after([[e * s]])
        variance, v = 0 * u, noise / Fraction(error) ** 2
        for place in range(len(weights)):
            above, below = above_and_below(weights, place)
            for entry in flat(product(above, below)):
                square, mean = (start.mean(f, v) for f in ((after * entry) ** 2, after * entry))
                variance += (1 + 2 * u) * square - mean**2 + u * fmpq(3, 4) * start.mean(entry**2, v)
        derived = lv.gradient_variance(start.problem(noise))
        assert derived == start.coefficients(variance) and derived.decreasing_from() == 1


# several inputs, one output

#: layers, inputs -> the batch size up to which the variance after one step falls; 0 for all
INPUTS = {(2, 2): 0, (2, 3): 0, (2, 4): 0, (2, 5): 41, (3, 2): 125, (3, 3): 5, (4, 2): 9}


@pytest.mark.parametrize(("depth", "inputs"), INPUTS)
def test_few_inputs_fall(depth: int, inputs: int) -> None:
    """(9): the minors of Phi and Psi, for each degree of the harmonic polynomials."""
    size = INPUTS[depth, inputs]
    found = [minors(matrix) for matrix in of_inputs(2 * depth - 1, inputs)]
    assert len(found) == 2 * (2 * depth if inputs > 2 else 2)
    if size == 0:
        assert all(is_positive(minor) for matrix in found for minor in matrix)
    else:
        left = [minor for matrix in found for minor in matrix if not is_positive(minor)]
        if inputs == 5:
            left = [minor for minor in left if not has_no_zero(minor)]
        assert all(is_positive_up_to(size, minor) for minor in left)
        assert not all(is_positive_up_to(size + 1, minor) for minor in left)


@pytest.mark.parametrize(("widths", "rule"), list(zip([(3, 2, 1), (2, 2, 1), (2, 1, 2, 1)], [*RULES, {}])))
def test_several_inputs_are_polynomials_in_one_row(widths: tuple[int, ...], rule: dict[str, Any]) -> None:
    """(7), (8): linvar's variance from Phi and Psi of products of polynomials in s and t; not without Psi of e' x v'."""
    inputs = widths[0]
    start = Start(widths, 1, [[Fraction(3, 2), *[Fraction(0)] * (inputs - 1)]], **rule)
    *row, u = start.ring.gens()
    weights, (error,) = start.after([[fmpq(3, 2) * x for x in row[:inputs]]])

    def phi(f: fmpq_mpoly) -> fmpq_mpoly:
        return (1 + 2 * u) * start.mean(f**2) - start.mean(f) ** 2

    variance = crossed = 0 * u
    for place in range(len(weights)):
        above, below = above_and_below(weights, place)
        for (entry,) in above:
            if place == 0:
                parts = [entry * x for x in error]
                variance += sum(phi(f) + (inputs - 1) * u * start.mean(f**2) for f in parts)
                continue
            for column in zip(*below):
                moved = [entry * x for x in column]
                variance += phi(sum(x * y for x, y in zip(error, moved)))
                for j in range(inputs):
                    for k in range(j):
                        crossed += u * start.mean((error[j] * moved[k] - error[k] * moved[j]) ** 2)
    derived = lv.gradient_variance(start.problem())
    assert derived == start.coefficients(variance + crossed) != start.coefficients(variance)
    assert derived.decreasing_from() == 1
