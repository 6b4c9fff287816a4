"""Every family equals the enumeration of all batches and has its degree; what is published of it is reproduced.

The oracle writes each loss a second time, in plain Python on fractions, and differentiates it by interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np
import oracles
import pytest
from tiers import slow_but

import linvar as lv
from linvar import families
from linvar.errors import InputError
from linvar.problem_file import problem_from_dict
from linvar.testing import check_model

HALF = Fraction(1, 2)


# the oracle: losses on arrays of fractions


def squares(found: Any, y: Any) -> Any:
    """1/2 ||found - y||^2."""
    return HALF * sum((a - b) ** 2 for a, b in zip(np.ravel(found), np.ravel(y), strict=True))


def layers(weights: Any, x: Any, move: Callable[[Any, Any], Any]) -> Any:
    """One layer after another."""
    for layer in weights:
        x = move(layer, x)
    return x


def recurrent(w: Any, x: Any) -> Any:
    """d . sum_k A^(T-k) c x_k."""
    total, power = (
        w["c"] * 0,
        np.array([[Fraction(int(i == j)) for j in range(len(w["c"]))] for i in range(len(w["c"]))]),
    )
    for entry in x[::-1]:
        total, power = total + power @ w["c"] * entry, power @ w["A"]
    return w["d"] @ total


def attended(w: Any, x: Any) -> Any:
    """v/n sum_i y_i x_i . M q."""
    d = len(w["M"])
    pairs = [x[i : i + d + 1] for i in range(0, len(x) - d, d + 1)]
    return w["v"] * sum(pair[d] * (pair[:d] @ w["M"] @ x[-d:]) for pair in pairs) / len(pairs)


def slid(kernel: Any, x: Any) -> Any:
    """sum_j k_j x_(i+j)."""
    return np.array([kernel @ x[i : i + len(kernel)] for i in range(len(x) - len(kernel) + 1)])


BASE = ((1, lv.Rational(1, 2)), (lv.Rational(-1, 3), 2))
EXACT_BASE = np.array([[Fraction(entry) for entry in row] for row in BASE])


@dataclass(frozen=True)
class Case:
    """A small problem of a family: its loss in JAX, the same on fractions, weights, at least three rows, and the degree."""

    loss: Any
    oracle: Callable[[Any, Any], Any]
    weights: Any
    rows: tuple[Any, ...]
    degree: int

    def problem(self, step: int, sampling: str = "iid", count: int = 3) -> lv.Problem:
        """On some of the rows."""
        rows = self.rows[:count]
        pairs = all(isinstance(row, tuple) and len(row) == 2 and isinstance(row[1], list) for row in rows)
        law = lv.Dataset([x for x, _ in rows], [y for _, y in rows]) if pairs else lv.Dataset(list(rows))
        return lv.Problem(self.weights, law, "1/10", step, sampling, loss=self.loss)

    @cached_property
    def start(self) -> list[Fraction]:
        """All entries of the weights, in the order of their leaves."""
        return [*map(Fraction, entries(self.weights))]

    def value(self, flat: Any, row: Any) -> Fraction:
        """The loss at any weights."""
        example = tuple(map(arrays, row)) if isinstance(row, tuple) else arrays(row)
        return self.oracle(rebuilt(self.weights, iter(flat)), example)

    def gradient(self, flat: Any, row: Any) -> list[Fraction]:
        """Entry by entry, from degree + 1 values: sum_k f(k) L_k'(0), L_k the polynomials of Lagrange."""
        nodes = range(self.degree + 1)
        slopes = [
            -sum(Fraction(1, k) for k in nodes[1:])
            if k == 0
            else prod((Fraction(-j, k - j) for j in nodes[1:] if j != k), start=Fraction(1, k))
            for k in nodes
        ]
        return [
            sum(s * self.value([*flat[:i], flat[i] + k, *flat[i + 1 :]], row) for k, s in zip(nodes, slopes))
            for i in range(len(flat))
        ]

    def variance(self, step: int, b: int, sampling: str, count: int) -> Fraction:
        """Over every sequence of step + 1 batches."""
        batches = oracles.all_batches(list(range(count)), b, sampling)
        states = {tuple(self.start): Fraction(1)}
        for t in range(step + 1):
            ends: dict[tuple[Fraction, ...], Fraction] = {}
            for flat, chance in states.items():
                known = [self.gradient(flat, row) for row in self.rows[:count]]
                for batch, probability in batches:
                    g = [sum(known[i][k] for i in batch) / b for k in range(len(flat))]
                    end = tuple(g if t == step else (w - e / 10 for w, e in zip(flat, g)))
                    ends[end] = ends.get(end, Fraction(0)) + chance * probability
            states = ends
        mean = [sum(p * g[k] for g, p in states.items()) for k in range(len(self.start))]
        return sum(p * sum(e * e for e in g) for g, p in states.items()) - sum(m * m for m in mean)


def entries(tree: Any) -> Iterator[Any]:
    """Of lists, tuples and dictionaries, keys in their order."""
    parts = [tree[key] for key in sorted(tree)] if isinstance(tree, dict) else tree
    if isinstance(parts, (list, tuple)):
        for part in parts:
            yield from entries(part)
    else:
        yield parts


def rebuilt(tree: Any, values: Iterator[Any]) -> Any:
    """The same structure, lists as arrays, of other entries."""
    if isinstance(tree, dict):
        return {key: rebuilt(tree[key], values) for key in sorted(tree)}
    if isinstance(tree, tuple):
        return tuple(rebuilt(part, values) for part in tree)
    if isinstance(tree, list):
        shape = np.shape(np.array(tree, dtype=object))
        return np.array([next(values) for _ in range(prod(shape))], dtype=object).reshape(shape)
    return next(values)


def arrays(tree: Any) -> Any:
    """Lists as arrays of fractions; integers stay integers, which may index."""
    return tree if isinstance(tree, int) else rebuilt(tree, map(Fraction, entries(tree)))


PAIRS = (([1, 2], [1]), ([-1, 1], [2]), (["1/2", -1], [-1]))
WIDE = (([1, 2], [1, 0]), ([-1, 1], [2, 1]), (["1/2", -1], [0, 1]))
LONG = (([1, 2, -1], [1]), ([-1, 1, 0], [2]), (["1/2", -1, 1], [-1]))
UV = {"u": ["1/2", 1], "v": [1, "-1/3"]}
TWO = {"W": [["1/2", 1]], "a": ["-1/2"]}
CASES = {
    "diagonal": Case(families.diagonal, lambda w, z: squares((w["u"] ** 2 - w["v"] ** 2) @ z[0], z[1]), UV, PAIRS, 4),
    "diagonal of depth 3": Case(
        partial(families.diagonal, depth=3), lambda w, z: squares((w["u"] ** 3 - w["v"] ** 3) @ z[0], z[1]), UV, PAIRS, 6
    ),
    "power": Case(families.power, lambda w, z: squares(w["u"] ** 2 @ z[0], z[1]), {"u": ["1/2", 1]}, PAIRS, 4),
    "power of depth 3": Case(
        partial(families.power, depth=3), lambda w, z: squares(w["u"] ** 3 @ z[0], z[1]), {"u": ["1/2", 1]}, PAIRS, 6
    ),
    "product": Case(families.product, lambda w, z: squares((w["u"] * w["v"]) @ z[0], z[1]), UV, PAIRS, 4),
    "residual": Case(
        families.residual, lambda w, z: squares(layers(w, z[0], lambda m, h: h + m @ h), z[1]),
        ([["1/2", 0], [1, "-1/3"]], [[0, "1/4"], ["1/2", -1]]), WIDE, 4,
    ),
    "biased": Case(
        families.biased, lambda w, z: squares(layers(w, z[0], lambda m, h: m["W"] @ h + m["c"]), z[1]),
        ({"W": [["1/2", 1]], "c": ["-1/3"]}, {"W": [[1]], "c": ["1/5"]}), PAIRS, 4,
    ),
    "low_rank": Case(
        partial(families.low_rank, base=BASE), lambda w, z: squares(EXACT_BASE @ z[0] + w["B"] @ (w["A"] @ z[0]), z[1]),
        {"A": [["1/2", 1]], "B": [[0], ["1/3"]]}, WIDE, 4,
    ),
    "recurrence": Case(
        families.recurrence, lambda w, z: squares(recurrent(w, z[0]), z[1]),
        {"A": [["1/2"]], "c": [1], "d": ["-1/2"]}, PAIRS, 6,
    ),
    "convolution": Case(
        families.convolution, lambda w, z: squares(layers(w, z[0], slid), z[1]), (["1/2", 1], [1, "-1/3"]), LONG, 4
    ),
    "autoencoder": Case(
        families.autoencoder, lambda w, x: squares(w["W"].T @ (w["W"] @ x), x),
        {"W": [["1/2", 1]]}, ([1, 2], [-1, 1], ["1/2", -1]), 4,
    ),
    "quadratic": Case(families.quadratic, lambda w, z: squares(w["a"] @ (w["W"] @ z[0]) ** 2, z[1]), TWO, PAIRS, 6),
    "bilinear": Case(
        families.bilinear, lambda w, z: squares(w["a"] @ ((w["V"] @ z[0]) * (w["W"] @ z[0])), z[1]),
        {"V": [[1, "-1/2"]], **TWO}, PAIRS, 6,
    ),
    "phase_retrieval": Case(
        families.phase_retrieval, lambda w, z: squares((w["w"] @ z[0]) ** 2, z[1]), {"w": ["1/2", 1]}, PAIRS, 4
    ),
    "linear_attention": Case(
        families.linear_attention, lambda w, z: squares(attended(w, z[0]), z[1]), {"M": [["1/2"]], "v": "2/3"},
        (([1, 2, -1, 1, 3], [1]), ([2, "1/2", 1, 1, 1], [2]), ([0, 1, 1, -1, 2], [-1])), 4,
    ),
    "factorisation": Case(
        families.factorisation, lambda w, z: squares(w["U"][z[0]] @ w["V"][z[1]], z[2]),
        {"U": [["1/2"], [1]], "V": [[1], ["-1/3"]]}, ((0, 0, "1/2"), (0, 1, 1), (1, 1, 2)), 4,
    ),
    "sensing": Case(
        families.sensing, lambda w, z: squares((z[0] * (w["U"] @ w["U"].T)).sum(), z[1]), {"U": [["1/2"], [1]]},
        (([[1, 2], [0, 1]], "1/2"), ([[0, 1], [1, 0]], 1), ([[1, 0], [0, -1]], 2)), 4,
    ),
    "quartic": Case(
        families.quartic, lambda w, z: sum((w["w"] @ z[0] - z[1]) ** 4) / 4, {"w": ["1/2", 1]}, PAIRS, 4
    ),
}  # fmt: skip


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("step, count", [(0, 3), (1, 3), (2, 2)])
@pytest.mark.parametrize("name", CASES)
def test_named_families_equal_the_enumeration_of_every_batch(name: str, step: int, count: int, sampling: str) -> None:
    found = lv.gradient_variance(CASES[name].problem(step, sampling, count))
    for b in (1, 2):
        wanted = CASES[name].variance(step, b, sampling, count)
        assert found(b) == wanted and (found(b) * Fraction(3, 2) != wanted or wanted == 0)
    assert found(1) > 0


@pytest.mark.parametrize("name", CASES)
def test_degrees_are_those_of_the_losses_on_a_ray(name: str) -> None:
    """f(s W) has the degree p in s: its differences of order p are one number, not 0."""
    case, p = CASES[name], CASES[name].degree
    assert case.problem(1).degree == p
    values = [case.value([s * w for w in case.start], case.rows[1]) for s in range(p + 3)]
    for _ in range(p):
        values = [after - before for before, after in zip(values, values[1:])]
    assert values[0] == values[1] == values[2] != 0


#: a product, a tied matrix, weights shared by places, a sequence, entries that are known, degree 4: the others compile their like
CONFORM = ("power of depth 3", "autoencoder", "convolution", "linear_attention", "factorisation", "quartic")


@pytest.mark.parametrize("name", slow_but(CASES, *CONFORM))
def test_families_conform(name: str) -> None:
    """Both halves, and every road."""
    check_model(CASES[name].problem(1, count=2))


@pytest.mark.parametrize("name", CASES)
def test_families_are_written_to_problem_files_by_their_names(name: str) -> None:
    problem = CASES[name].problem(1)
    written = problem.to_dict()
    assert written["loss"] == name.partition(" ")[0]
    again = problem_from_dict(written)
    assert again == problem and lv.gradient_variance(again) == lv.gradient_variance(problem)


def test_the_table_has_every_family() -> None:
    assert {name.partition(" ")[0] for name in CASES} == {*families.__all__} == {one.name for one in families.table()}
    for family in families.table():
        assert all(family) and family.formula in str(family) and family.fact in str(family)
        if family.degree.rstrip(".").isdigit():
            assert int(family.degree.rstrip(".")) == CASES[family.name].degree


# what is published of them


def one_step(problem: lv.Problem) -> tuple[Any, Callable[[int, int], Any]]:
    """What is exact after a step, and E w_i w_j of any two entries of the weights, a polynomial in 1/b."""
    exact = lv.derive(problem)
    means = [*entries(exact.weights)]
    return exact, lambda i, j: exact.weight_covariance[i][j] + means[i] * means[j]


def over_batches(values: list[Fraction]) -> lv.BatchPolynomial:
    """E of the square of the mean of b iid draws from these: m^2 + Var/b."""
    mean, square = sum(values) / len(values), sum(value**2 for value in values) / len(values)
    return lv.BatchPolynomial([mean**2, square - mean**2])


def misfits(prediction: Callable[[Any], Any], rows: Any = PAIRS) -> list[tuple[Fraction, Any]]:
    """(prediction - y, x) of rows of one target."""
    return [(prediction(arrays(x)) - Fraction(y[0]), arrays(x)) for x, y in rows]


def test_diagonal_noise_shrinks_the_effective_initialisation() -> None:
    """u <- u (1 - 2 a h), v <- v (1 + 2 a h): u v is multiplied by 1 - 4 a^2 h^2; gradient flow keeps it (Pesme et al.)."""
    _, moment = one_step(CASES["diagonal"].problem(1))
    u, v = (arrays(UV[name]) for name in "uv")
    for k in range(2):
        square = over_batches([r * x[k] for r, x in misfits(lambda x: (u**2 - v**2) @ x)])
        shrunk = u[k] * v[k] * (1 - Fraction(4, 100) * square)
        assert moment(k, 2 + k) == shrunk != u[k] * v[k] * (1 - Fraction(6, 100) * square)
        assert 0 < (shrunk / (u[k] * v[k]))(4) < 1 and shrunk.degree == 1


def test_label_noise_on_powers_is_proportional_to_the_weights() -> None:
    """HaoChen et al.: rows that are fitted, labels moved by s or -s: Cov G = 4 s^2/b diag(u) (mean of x x^T) diag(u)."""
    u, rows, s = np.array([1, 2, 0]), [[1, 1, 2], [2, -1, 1]], Fraction(1, 3)
    labels = [sum(w * w * z for w, z in zip(u, x)) for x in rows]
    law = lv.Dataset(rows + rows, [y + s for y in labels] + [y - s for y in labels])
    exact, _ = one_step(lv.Problem({"u": [1, 2, 0]}, law, "1/10", 1, loss=families.power))
    for i in range(3):
        assert exact.weights["u"][i] == u[i]  # no drift: the mean gradient is 0
        for j in range(3):
            noise = 4 * s**2 * int(u[i] * u[j]) * Fraction(sum(x[i] * x[j] for x in rows), 2)
            assert exact.weight_covariance[i][j].coefficients == ((0, noise / 100) if noise else (0,))
    normal = lv.Gaussian([[1, 4, 0]], [[2, 1, 0], [1, 3, 0], [0, 0, 1]], noise_variance=s**2)
    found = lv.gradient_variance(lv.Problem({"u": [1, 2, 0]}, normal, loss=families.power))
    assert found == lv.BatchPolynomial([0, 4 * s**2 * (1 * 2 + 4 * 3)])


def test_product_is_balanced_by_the_gain() -> None:
    """u <- u - a h v, v <- v - a h u: u^2 - v^2 is multiplied by 1 - a^2 h^2 (Even et al.)."""
    _, moment = one_step(CASES["product"].problem(1))
    u, v = (arrays(UV[name]) for name in "uv")
    for k in range(2):
        gain = Fraction(1, 100) * over_batches([r * x[k] for r, x in misfits(lambda x: (u * v) @ x)])
        balance = moment(k, k) - moment(2 + k, 2 + k)
        assert balance == (u[k] ** 2 - v[k] ** 2) * (1 - gain) != (u[k] ** 2 - v[k] ** 2) * (1 - Fraction(3, 2) * gain)


@pytest.mark.parametrize("matrices", [
    ([["1/4", "1/4"], [0, "1/4"]], [[0, "1/4"], ["-1/4", "1/4"]]),
    ([["-1/2", 0], [0, 0]], [["-1/2", 0], [0, 0]]),
    ([["-1/4", 0], [0, "-1/4"]], [[0, "-1/2"], [0, 0]]),
])  # fmt: skip
def test_residual_gradients_are_bounded_below(matrices: Any) -> None:
    """L = 2, ||W_l|| <= 1/2, least eigenvalue 1: ||grad||^2 >= 4/4 (loss - least loss) (Hardt & Ma)."""
    law = lv.Gaussian([[1, 2], [0, "-1/2"]], [[1, 0], [0, 4]], noise_variance="1/3")
    exact = lv.derive(lv.Problem(matrices, law, loss=families.residual))
    (square,), (loss,) = exact.squared_mean.coefficients, exact.loss.coefficients
    assert square >= loss - Fraction(2, 3) * HALF > 0
    # outside of that domain there is no bound: where I + W_l = 0 the gradient is 0
    far = lv.derive(lv.Problem(([[-1, 0], [0, -1]],) * 2, law, loss=families.residual))
    assert far.squared_mean == 0 and far.loss(1) > Fraction(1, 3)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_residual_is_the_linear_network_of_other_weights(step: int) -> None:
    ours = lv.derive(CASES["residual"].problem(step, count=2))
    moved = [[["3/2", 0], [1, "2/3"]], [[1, "1/4"], ["1/2", 0]]]
    theirs = lv.derive(ours.problem.replace(weights=moved, loss=None))
    assert ours.variance == theirs.variance and ours.per_leaf.variance == theirs.per_leaf.variance
    shifted = [weight + int(k in (0, 3, 4, 7)) for k, weight in enumerate(entries(ours.weights))]
    assert shifted == [*entries(theirs.weights)]


@pytest.mark.parametrize("step", [0, 1, 3])
def test_biases_are_weights_of_an_input_that_is_1(step: int) -> None:
    law = lv.Dataset([[1, "1/2"], [-1, 2], [0, 1]], [[1, 0], [2, 1], [0, 1]])
    ours = lv.Problem(({"W": [[1, 2], [0, "1/3"]], "c": [3, "1/2"]},), law, "1/10", step, loss=families.biased)
    wide = lv.Dataset([[*x, 1] for x in law.inputs], law.targets)
    theirs = lv.Problem([[[1, 2, 3], [0, "1/3", "1/2"]]], wide, "1/10", step)
    assert lv.gradient_variance(ours) == lv.gradient_variance(theirs) and lv.expected_loss(ours) == lv.expected_loss(
        theirs
    )


def test_the_first_step_of_lora_is_linear_regression() -> None:
    """B = 0: A does not move, and B regresses y - base x on A x (Hu et al.)."""
    start = {"A": [["1/2", 1]], "B": [[0], [0]]}
    ours = lv.derive(CASES["low_rank"].problem(1).replace(weights=start))
    rest = [(arrays(start["A"]) @ arrays(x), arrays(y) - EXACT_BASE @ arrays(x)) for x, y in WIDE]
    regression = lv.Problem([[[0], [0]]], lv.Dataset([x for x, _ in rest], [y for _, y in rest]), "1/10", 1)
    theirs = lv.derive(regression)
    assert ours.weights["A"] == [[HALF, 1]] and all(c == 0 for row in ours.weight_covariance[:2] for c in row)
    assert [*entries(ours.weights["B"])] == [*entries(theirs.weights)]
    assert [row[2:] for row in ours.weight_covariance[2:]] == [*theirs.weight_covariance]
    before = lv.derive(ours.problem.at_step(0)).per_leaf.variance
    assert before["A"] == 0 and before["B"] == lv.gradient_variance(regression.at_step(0)) != 0


SYSTEM = {"A": np.array([[HALF, 1], [0, -HALF]]), "c": np.array([Fraction(1), HALF]), "d": np.array([Fraction(1), -1])}


def seen_through(s: Any, inverse: Any) -> dict[str, Any]:
    """The same system in other coordinates of its state."""
    parts = {"A": s @ SYSTEM["A"] @ inverse, "c": s @ SYSTEM["c"], "d": SYSTEM["d"] @ inverse}
    return {name: part.tolist() for name, part in parts.items()}


@pytest.mark.parametrize("step", [0, 1])
def test_systems_do_not_depend_on_coordinates(step: int) -> None:
    """(S A S^-1, S c, d S^-1); SGD turns with its weights, so for orthogonal S all noise is the same (Hardt, Ma & Recht)."""
    turn, shear = np.array([[3, -4], [4, 3]]) * Fraction(1, 5), np.array([[1, 1], [0, 1]])
    law = lv.Dataset([[1, 2], [-1, 1]], [1, 2])
    ours, turned, sheared = (
        lv.derive(lv.Problem(weights, law, "1/10", step, loss=families.recurrence))
        for weights in (
            seen_through(np.eye(2, dtype=int), np.eye(2, dtype=int)),
            seen_through(turn, turn.T),
            seen_through(shear, np.array([[1, -1], [0, 1]])),
        )
    )
    assert ours.variance == turned.variance and ours.per_leaf.variance == turned.per_leaf.variance
    assert ours.loss == turned.loss and ours.variance != sheared.variance
    if step == 0:
        response = [SYSTEM["d"] @ SYSTEM["A"] @ SYSTEM["c"], SYSTEM["d"] @ SYSTEM["c"]]
        assert ours.loss == sheared.loss == lv.expected_loss(lv.Problem([[response]], law))


@pytest.mark.parametrize("step", [0, 1])
def test_filters_multiply_and_change_places(step: int) -> None:
    """(1/2 + z) (1 - z/3) = 1/2 + 5/6 z - z^2/3 (Kohn et al.)."""
    ours = lv.derive(CASES["convolution"].problem(step))
    swapped = lv.derive(ours.problem.replace(weights=([1, "-1/3"], ["1/2", 1])))
    assert ours.variance == swapped.variance and ours.loss == swapped.loss
    assert ours.per_leaf.variance == swapped.per_leaf.variance[::-1] != swapped.per_leaf.variance
    whole = lv.expected_loss(ours.problem.at_step(0).replace(weights=(["1/2", "5/6", "-1/3"],)))
    assert lv.expected_loss(ours.problem.at_step(0)) == whole


@pytest.mark.parametrize("unit", [["3/5", "4/5", 0], ["2/3", "2/3", "-1/3"], [0, 1, 0], [0, 0, -1]])
def test_noise_of_an_autoencoder_vanishes_at_rows_alone(unit: list[Any]) -> None:
    """At ||W|| = 1 on orthonormal rows the gradient of row i is s (s W - x_i), s = W_i; their mean is 0."""
    law = lv.Dataset([[int(i == j) for j in range(3)] for i in range(3)], [0] * 3)
    exact = lv.derive(lv.Problem({"W": [unit]}, law, loss=families.autoencoder))
    noise = (1 - sum(Fraction(entry) ** 4 for entry in unit)) / 3
    assert exact.squared_mean == 0 and exact.variance == lv.BatchPolynomial([0, noise])
    assert (noise == 0) == (sorted(map(abs, arrays(unit))) == [0, 0, 1])


def test_batches_of_an_autoencoder_choose_a_row_unless_they_are_full(key: Any) -> None:
    """Ghosh et al., orthonormal rows, b = 1..n without replacement: 200 runs each, 1,000 steps.

    b < n: every run ends at +-x_i, where the loss of a row is 0 (that one) or 1/2: 2 b loss is b or b - 1. b = n: W_1 is a
    multiple of W_0, whatever that is, so runs end at W_0/||W_0||, where the loss of a row is neither.
    """
    start = [HALF, Fraction(1, 3), Fraction(1, 4)]
    law = lv.Dataset([[int(i == j) for j in range(3)] for i in range(3)], [0] * 3)
    problem = lv.Problem({"W": [start]}, law, "1/2", 1, "without_replacement", loss=families.autoencoder)
    ends = lv.simulate(key, problem.replace(step=1_000), batch_sizes=[1, 2, 3], runs=200)
    for b in (1, 2):
        left = 2 * b * ends[b].loss_terms
        assert np.all(np.minimum(abs(left - b), abs(left - b + 1)) < 0.02) and not np.all(abs(1.5 * left - b) < 0.02)
        assert 0 < np.mean(abs(left - b) < 0.02) < 1 and ends[b].second_moment.value < 1e-3
    assert ends[3].second_moment.value < 1e-20 and ends[3].loss.value == pytest.approx(1 / 3, rel=1e-12)  # rounding
    exact = lv.derive(problem)
    (moved,) = ([entry(3) for entry in row] for row in exact.weights["W"])
    assert [new * start[0] for new in moved] == [old * moved[0] for old in start] and moved[0] != start[0]
    assert (
        all(entry(3) == 0 for row in exact.weight_covariance for entry in row) and exact.weight_covariance[0][1](2) != 0
    )


def test_quadratic_has_a_charge_that_noise_alone_moves() -> None:
    """<W, g_W> = 2 a g_a in every example, so C = ||W||^2 - 2 a^2 moves by a^2 (||G_W||^2 - 2 ||G_a||^2) (Ziyin et al.)."""
    problem = CASES["quadratic"].problem(1)
    _, moment = one_step(problem)
    gradients = lv.derive(problem.at_step(0)).per_leaf.second_moment
    moved = Fraction(1, 100) * (gradients["W"] - 2 * gradients["a"])
    charge = HALF**2 + 1 - 2 * HALF**2
    assert moment(0, 0) + moment(1, 1) - 2 * moment(2, 2) == charge + moved != charge + Fraction(3, 2) * moved


def test_bilinear_leaves_change_places_and_halve_a_square() -> None:
    ours = lv.derive(CASES["bilinear"].problem(1))
    swapped = lv.derive(ours.problem.replace(weights={"V": TWO["W"], "W": [[1, "-1/2"]], "a": TWO["a"]}))
    assert ours.variance == swapped.variance
    assert ours.per_leaf.variance["V"] == swapped.per_leaf.variance["W"] != ours.per_leaf.variance["W"]
    tied = lv.derive(ours.problem.at_step(0).replace(weights={"V": TWO["W"], **TWO}))
    whole = lv.derive(CASES["quadratic"].problem(0))
    for kind in ("variance", "squared_mean"):
        one, all_of_it = (getattr(exact.per_leaf, kind) for exact in (tied, whole))
        assert 4 * one["V"] == 4 * one["W"] == all_of_it["W"] and one["a"] == all_of_it["a"]
    assert tied.loss == whole.loss


@pytest.mark.parametrize("w", [["1/2", "1/3"], [0, 2], ["-3/5", "4/5"], [1, 0]])
def test_the_mean_gradient_of_phase_retrieval(w: list[Any]) -> None:
    """x ~ N(0, I), y = x_1^2: 2 (3 ||w||^2 - 1) w - 4 w_1 e_1 (Chen et al., whose loss is half of this one)."""
    law = lv.Independent([lv.Normal(), lv.Normal()], lambda z: (z, z[0] ** 2))
    at, exact = arrays(w), lv.derive(lv.Problem({"w": w}, law, "1/10", 1, loss=families.phase_retrieval))
    mean = 2 * (3 * (at @ at) - 1) * at - 4 * at[0] * np.array([1, 0])
    assert exact.weights["w"] == [*(at - mean / 10)] and exact.squared_mean != 0 or w == [1, 0]


@pytest.mark.parametrize("w", [[1, 0], [-1, 0], [0, 0]])
def test_phase_retrieval_has_no_noise_where_it_stands_still(w: list[int]) -> None:
    law = lv.Independent([lv.Normal(), lv.Normal()], lambda z: (z, z[0] ** 2))
    exact = lv.derive(lv.Problem({"w": w}, law, "1/10", 2, loss=families.phase_retrieval))
    assert exact.second_moment == 0 and exact.weights["w"] == w


def test_attention_predicts_what_a_step_of_gradient_descent_does() -> None:
    """M = I, v = rate: von Oswald et al.; the step is linvar's own, E W_1 of linear regression on the context."""
    contexts = [([[1, 2], [-1, 1]], [1, 3]), ([["1/2", 0], [2, 1]], [2, -1])]
    queries, targets, rows, losses = [["1/3", 1], [2, -1]], ["1/2", 2], [], []
    for (x, y), query, target in zip(contexts, queries, targets):
        rows.append([*entries([[*point, label] for point, label in zip(x, y)]), *query])
        after = lv.expected_weights(lv.Problem([[[0, 0]]], lv.Dataset(x, y), "1/5", 1))
        losses.append(squares(sum(w(1) * Fraction(q) for w, q in zip(after[0][0], query)), Fraction(target)))
    head = lv.Problem({"M": [[1, 0], [0, 1]], "v": "1/5"}, lv.Dataset(rows, targets), loss=families.linear_attention)
    assert lv.expected_loss(head) == sum(losses) / 2 != 0


@pytest.mark.parametrize("n, scale, critical", [(1, "1/3", True), (1, "1/2", False), (2, "1/2", True)])
def test_where_training_of_linear_attention_ends(n: int, scale: str, critical: bool) -> None:
    """x_i, q, w ~ N(0, 1), y = w x: M = n/(n + 2) and v = 1 are critical (Zhang, Frei & Bartlett, d = 1), and noisy."""

    def prompt(z: Any) -> Any:
        *points, query, w = z
        return [*entries([[x, w * x] for x in points]), query], w * query

    law = lv.Independent([lv.Normal()] * (n + 2), prompt)
    exact = lv.derive(lv.Problem({"M": [[scale]], "v": 1}, law, loss=families.linear_attention))
    assert (exact.squared_mean == 0) == critical and exact.variance != 0


def test_factors_are_balanced_by_noise() -> None:
    """<U, g_U> = <V, g_V> in every row (Du, Hu & Lee; Ziyin, Li & Ueda), and no noise where every row is fitted."""
    problem = CASES["factorisation"].problem(1)
    exact, moment = one_step(problem)
    before = lv.derive(problem.at_step(0)).per_leaf
    gap = HALF**2 + 1 - 1 - Fraction(1, 9)
    balance = moment(0, 0) + moment(1, 1) - moment(2, 2) - moment(3, 3)
    assert balance == gap + Fraction(1, 100) * (before.second_moment["U"] - before.second_moment["V"])
    noise = balance.coefficients[1]
    assert noise == Fraction(1, 100) * (before.variance["U"] - before.variance["V"]).coefficients[1] != 0
    solved = problem.replace(weights={"U": [[1], ["4/1"]], "V": [["1/2"], [1]]}, step=2)
    assert lv.gradient_variance(solved) != 0  # the last row is (1, 1, 2)
    assert lv.derive(solved.replace(weights={"U": [[1], [2]], "V": [["1/2"], [1]]})).second_moment == 0


def test_sensing_of_outer_products_is_a_layer_of_squares() -> None:
    """<x x^T, U U^T> = sum_k (U^T x)_k^2 (Li, Ma & Zhang); one column is phase retrieval."""
    points, targets = [[1, 2], [-1, 1], ["1/2", -1]], [1, 2, -1]
    outer = [[[a * c for a in arrays(x)] for c in arrays(x)] for x in points]
    rows = lv.Dataset(list(zip(outer, targets)))
    for step in (0, 1):
        one = lv.Problem({"U": [["1/2"], [1]]}, rows, "1/10", step, loss=families.sensing)
        assert lv.gradient_variance(one) == lv.gradient_variance(CASES["phase_retrieval"].problem(step))
    both = lv.derive(lv.Problem({"U": [["1/2", 1], [1, "-1/3"]]}, rows, loss=families.sensing))
    squared = {"W": [["1/2", 1], [1, "-1/3"]], "a": [1, 1]}
    layer = lv.derive(lv.Problem(squared, lv.Dataset(points, targets), loss=families.quadratic))
    assert both.loss == layer.loss and both.variance == layer.per_leaf.variance["W"] != 0


@pytest.mark.parametrize("noise, second, sixth, ratio", [
    (lv.Normal(0, "1/4"), Fraction(1, 4), Fraction(15, 64), Fraction(5, 3)),
    (lv.Uniform(-1, 1), Fraction(1, 3), Fraction(1, 7), Fraction(3, 7)),
    (lv.Rademacher(), Fraction(1), Fraction(1), Fraction(1, 9)),
])  # fmt: skip
def test_the_fourth_power_is_quieter_for_light_tails(noise: Any, second: Any, sixth: Any, ratio: Fraction) -> None:
    """At w*: Cov g = E[e^6] E x x^T; its mean step is 3 E[e^2] that of squares, up to cubes (Walach & Widrow)."""
    law = lv.Independent([lv.Normal(0, 2), lv.Uniform(-1, 1), noise], lambda z: (z[:2], z[0] - 2 * z[1] + z[2]))
    quartic = lv.Problem({"w": [1, -2]}, law, 1 / (3 * second), loss=families.quartic)
    assert lv.gradient_variance(quartic) == lv.BatchPolynomial([0, sixth * (2 + Fraction(1, 3))])
    squared = lv.Problem([[[1, -2]]], law, 1)
    assert lv.derive(quartic).update_variance == ratio * lv.derive(squared).update_variance
    line = lv.Independent([lv.Rademacher(), noise], lambda z: (z[:1], z[0] + z[1]))
    moved = lv.expected_weights(lv.Problem({"w": ["3/2"]}, line, 1, 1, loss=families.quartic))["w"][0]
    assert moved == Fraction(3, 2) - (3 * second * HALF + HALF**3)


# refusals


@pytest.mark.parametrize("loss, weights, law, words", [
    (families.diagonal, UV, lv.Dataset([[1, 2]], [[1, 2]]), "predicts 1 numbers, and the target of an example has 2"),
    (families.quartic, {"w": [[1, 2], [0, 1]]}, lv.Gaussian([[1, 2]]), "predicts 2 numbers, and the target .* has 1"),
    (families.autoencoder, {"W": [[1, 2, 3]]}, lv.Dataset([[1, 2]]), "fails on one example"),
    (families.convolution, ([1, 2], [1, 2]), lv.Dataset([[1, 2]], [1]), "has a kernel longer than its input"),
    (families.linear_attention, {"M": [[1]], "v": 1}, lv.Dataset([[1, 2]], [1]), r"prompts of n \(1 \+ 1\) \+ 1 numbers"),
    (families.linear_attention, {"M": [[1]], "v": 1}, lv.Dataset([[1]], [1]), "x has 1: write x_1, y_1"),
    (families.low_rank, {"A": [[1]], "B": [[1]]}, lv.Dataset([[1]], [1]), "missing 1 required keyword-only argument"),
    (partial(families.low_rank, base=((0.5,),)), {"A": [[1]], "B": [[1]]}, lv.Dataset([[1]], [1]), "base.*0.5"),
    (partial(families.low_rank, base=(("x",),)), {"A": [[1]], "B": [[1]]}, lv.Dataset([[1]], [1]), "base.*'x'"),
    (families.factorisation, {"U": [[1]], "V": [[1]]}, lv.Dataset([(0, 1, 2)]), "takes an entry outside an array"),
    (families.factorisation, {"U": [[1]], "V": [[1]]}, lv.Dataset([("1/2", 0, 2)]), "integer"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(loss: Any, weights: Any, law: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        lv.Problem(weights, law, loss=loss)


def test_symbols_are_no_base() -> None:
    import sympy

    loss = partial(families.low_rank, base=((sympy.Symbol("s"),),))
    with pytest.raises(InputError, match="base.* contains symbols: give rows of numbers"):
        lv.Problem({"A": [[1]], "B": [[1]]}, lv.Dataset([[1]], [1]), loss=loss)
