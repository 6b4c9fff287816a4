"""proofs/features-of-a-batch.md and degree.md for any polynomial loss, and batches of an epoch: symbols, then every batch."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from math import comb, prod
from typing import Any

import pytest
import sympy
from flint import fmpq_mpoly, fmpq_mpoly_ctx
from sympy import Matrix, Rational, expand, symbols

import linvar as lv

# any polynomial loss


@pytest.mark.parametrize("weights", [1, 2])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_degree_of_a_polynomial_loss_grows_by_r_a_step(weights: int, degree: int) -> None:
    """G_t has degree r^(t-s) in the features of step s = 0..t, all coefficients of a general loss being features.

    One weight: t = 2, up to r = 3. Two: t = 1.
    """
    r, steps = degree - 1, 3 if weights == 1 else 2
    powers = [p for p in product(range(degree + 1), repeat=weights) if 0 < sum(p) <= degree]
    names = [f"S{s}_{k}" for s in range(steps) for k in range(len(powers))]
    ring = fmpq_mpoly_ctx.get([f"w{i}" for i in range(weights)] + names)
    w, means = list(ring.gens()[:weights]), ring.gens()[weights:]

    def gradient(at: list[fmpq_mpoly], s: int) -> list[fmpq_mpoly]:
        found = []
        for place in range(weights):
            total = ring.constant(0)
            for power, mean in zip(powers, means[s * len(powers) :]):
                if power[place]:
                    lower = [k - (i == place) for i, k in enumerate(power)]
                    total += power[place] * mean * prod((x**k for x, k in zip(at, lower)), start=ring.constant(1))
            found.append(total)
        return found

    for t in range(steps):
        g = gradient(w, t)
        for s in range(t + 1):
            own = slice(weights + s * len(powers), weights + (s + 1) * len(powers))
            assert max(sum(monomial[own]) for part in g for monomial in part.monoms()) == r ** (t - s)
        w = [x - part for x, part in zip(w, g)]


def test_the_bound_is_the_sum_over_steps_of_every_degree() -> None:
    """sum_s max(2 r^(t-s) - 1, 0), for r = 0 to 4 at t = 0, 1, 3. ``Problem.degree_bound`` says it."""

    def loss(degree: int) -> Any:
        return lambda params, example: params[0] ** degree * example[0][0]

    for degree, t in product(range(1, 6), (0, 1, 3)):
        r = degree - 1
        problem = lv.Problem((1,), lv.Dataset([[1], [2]], [0, 0]), "1/10", t, loss=loss(degree))
        assert problem.degree_bound == sum(max(2 * r ** (t - s) - 1, 0) for s in range(t + 1))
        assert r < 1 or problem.degree_bound == sum(2 * r**j - 1 for j in range(t + 1))
        assert r > 0 or problem.degree_bound == 1


def test_a_batch_enters_through_fluctuations() -> None:
    """grad l averaged over rows = grad a + sum_j v_j grad e_j: three rows, f_3 = alpha + beta f_1 + gamma f_2, c_k = w^k."""
    alpha, beta, gamma, w, m1, m2 = symbols("alpha beta gamma w m1 m2")
    free = Matrix(lv.symbolic_matrix("f", 3, 2))
    features = Matrix(3, 3, lambda i, k: free[i, k] if k < 2 else alpha + beta * free[i, 0] + gamma * free[i, 1])
    shares = Matrix([[m1, m2, 1 - m1 - m2]])  # of the rows in a batch
    means = Matrix([[Rational(1, 3)] * 3]) * features
    c, v = [w, w**2, w**3], shares * features - means
    a = sum(mean * part for mean, part in zip(means, c))
    e = [c[0] + beta * c[2], c[1] + gamma * c[2]]
    batch = sum(share * sympy.diff(features[i, k] * c[k], w) for i, share in enumerate(shares) for k in range(3))
    claimed = sympy.diff(a, w) + sum(v[j] * sympy.diff(part, w) for j, part in enumerate(e))
    assert expand(batch - claimed) == 0 != expand(batch - sympy.diff(a, w))


# batches of an epoch


def blocks(positions: list[int]) -> list[list[list[int]]]:
    """Every partition of a set."""
    if not positions:
        return [[]]
    first, *rest = positions
    found = []
    for partition in blocks(rest):
        found.append([[first], *partition])
        for k, block in enumerate(partition):
            found.append([*partition[:k], [first, *block], *partition[k + 1 :]])
    return found


@pytest.mark.parametrize("orders", [(2, 1), (3, 1), (2, 2)])
def test_joint_moments_of_disjoint_batches(orders: tuple[int, int]) -> None:
    """degree.md (4) for five symbolic rows, b = 1 and 2: of the first batch, then of the second."""
    rows = symbols("x1:6")
    n, k = len(rows), sum(orders)
    for b in (1, 2):
        every = [
            (sum(order[:b]) / b) ** orders[0] * (sum(order[b : 2 * b]) / b) ** orders[1]
            for order in permutations(rows, 2 * b)
        ]
        average = expand(sum(map(expand, every)) / len(every))
        claimed, u = sympy.Integer(0), Rational(1, b)
        for first, second in product(blocks([*range(orders[0])]), blocks([*range(orders[1])])):
            sizes = [len(block) for block in first + second]
            distinct = sum(prod(x**size for x, size in zip(chosen, sizes)) for chosen in permutations(rows, len(sizes)))
            falling = prod(1 - i * u for part in (first, second) for i in range(len(part)))
            claimed += u ** (k - len(sizes)) * falling * distinct / prod(n - i for i in range(len(sizes)))
        assert expand(claimed) == average != expand(2 * claimed)


def in_an_epoch(r: int, n: int, ones: int, b: int, t: int) -> Fraction:
    """var_t over all disjoint batches of n examples, x = 1 for some and 0 for the others: a batch is its number of ones.

    The gradient is x w^r + (1 - x)(2 w^r + 1), the rate 1/3, the start 2: a loss of degree r + 1.
    """
    state = {(Fraction(2), n, ones): Fraction(1)}
    ends: list[tuple[Fraction, Fraction]] = []
    for s in range(t + 1):
        after: dict[tuple[Fraction, int, int], Fraction] = {}
        for (w, left, of_one), p in state.items():
            for j in range(max(0, b - left + of_one), min(b, of_one) + 1):
                chance = p * Fraction(comb(of_one, j) * comb(left - of_one, b - j), comb(left, b))
                x = Fraction(j, b)
                g = x * w**r + (1 - x) * (2 * w**r + 1)
                if s == t:
                    ends.append((chance, g))
                    continue
                key = (w - g / 3, left - b, of_one - j)
                after[key] = after.get(key, Fraction(0)) + chance
        state = after
    mean = sum(p * g for p, g in ends)
    return sum(p * g * g for p, g in ends) - mean**2


def interpolated(values: list[Fraction], at: Fraction) -> Fraction:
    """The polynomial in u through the values at u = 1, 1/2, 1/3, ..."""
    points = [Fraction(1, b) for b in range(1, len(values) + 1)]
    return sum(value * prod((at - p) / (own - p) for p in points if p != own) for value, own in zip(values, points))


@pytest.mark.parametrize(("r", "t"), [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 1)])
def test_batches_of_an_epoch_keep_the_degree(r: int, t: int) -> None:
    """All b <= n/(t+1): one polynomial in u of degree at most the bound, reached."""
    bound = sum(max(2 * r**j - 1, 0) for j in range(t + 1))
    last = bound + 3
    n = last * (t + 1) + 1
    values = [in_an_epoch(r, n, n // 3, b, t) for b in range(1, last + 1)]
    for b in range(bound + 2, last + 1):
        assert interpolated(values[: bound + 1], Fraction(1, b)) == values[b - 1]
    assert interpolated(values[:bound], Fraction(1, bound + 1)) != values[bound]


@pytest.mark.parametrize("r", [0, 1, 2])
def test_an_epoch_is_without_replacement_and_more(r: int) -> None:
    """The measured batch alone: linvar's without replacement. After a step it is another one, unless r = 0."""

    def loss(params: Any, example: Any) -> Any:
        (w,), ((x,), _) = params, example
        power = w ** (r + 1) / (r + 1)
        return x * power + (1 - x) * (2 * power + w)

    law = lv.Dataset([[1]] * 4 + [[0]] * 8, [0] * 12)
    for t in (0, 1):
        problem = lv.Problem((2,), law, "1/3", t, "without_replacement", loss=loss)
        variance = lv.gradient_variance(problem)
        same = [in_an_epoch(r, 12, 4, b, t) == variance(b) for b in range(1, 7)]
        assert same == [t == 0 or r == 0] * 6
