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


BASE = ((1, "1/2"), ("-1/3", 2))
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
def test_families_equal_the_enumeration_of_every_batch(name: str, step: int, count: int, sampling: str) -> None:
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


@pytest.mark.parametrize("name", CASES)
def test_families_conform(name: str) -> None:
    """Both halves, and every road."""
    check_model(CASES[name].problem(1, count=2))


@pytest.mark.parametrize("name", CASES)
def test_families_are_written_to_problem_files_by_their_names(name: str) -> None:
    problem = CASES[name].problem(1)
    written = problem.to_dict()
    assert written["loss"] == name.partition(" ")[0]
    again = problem_from_dict(written)
    assert again.to_dict() == written and lv.gradient_variance(again) == lv.gradient_variance(problem)


def test_the_table_has_every_family() -> None:
    assert {name.partition(" ")[0] for name in CASES} == {*families.__all__} == {one.name for one in families.table()}
    for family in families.table():
        assert all(family) and family.formula in str(family) and family.fact in str(family)
        if family.degree.rstrip(".").isdigit():
            assert int(family.degree.rstrip(".")) == CASES[family.name].degree
