"""docs/traces.md: every sentence about its numbers. The numbers themselves are doctests of the page (test_readme.py)."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from itertools import pairwise
from math import factorial, prod
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import sympy
from tiers import slow_but

import linvar as lv
from linvar.symbolic.traces.network import MOMENT, Network, product

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "traces.md").read_text(encoding="utf-8")


def script() -> Any:
    """docs/figures/traces.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("figures_of_traces", DOCS / "figures" / "traces.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures = script()


# the best learning rate


def test_the_best_rate_is_linear_in_small_batches_and_saturates() -> None:
    table = figures.table()
    best = {b: figures.best_rate(table, b) for b in (8, 64, 512, 4096, 10**9)}
    linear = figures.linear_law(table)
    assert abs(linear - 0.00118) < 5e-6
    step, fine = figures.GRID[1], np.linspace(0, 0.05, 20_001)
    ratios = [float(fine[np.argmin(table(fine, b))]) / (linear * b) for b in (1, 2, 4, 8, 16, 32)]
    assert all(abs(ratio - 1) < 0.06 for ratio in ratios) and all(a > b for a, b in pairwise(ratios))
    assert best[64] < 0.9 * 64 * linear and round(best[512] / (512 * linear), 2) == 0.37
    assert best[4096] < best[10**9] and abs(best[10**9] - 0.317) < step  # the minimum of beta_1
    # c_22/b is the larger of the two up to b = 133
    assert 100 < table.values[2, 2] / table.values[1, 2] < 150
    assert abs(table(0.317, 8) / table(best[8], 8) - 97) < 0.5


def test_draws_of_the_network_differ_by_less_than_six_percent() -> None:
    for b, (low, high) in ((8, (0.0093, 0.0098)), (512, (0.2198, 0.2265))):
        found = [figures.best_rate(figures.table(seed=seed), b) for seed in range(1, 6)]
        assert abs(min(found) - low) < 1e-9 and abs(max(found) - high) < 1e-9 and max(found) / min(found) - 1 < 0.06


# where 1/b stops being the truth


def test_the_first_term_is_enough_from_a_batch_on_that_grows_with_the_square_of_the_rate() -> None:
    table = figures.table()
    from_which = np.array([figures.first_is_enough(table, rate) for rate in figures.RATES])
    assert all(from_which / np.array(figures.RATES) ** 2 / 25_000 - 1 < 0.25)
    assert all(from_which / np.array(figures.RATES) ** 2 / 25_000 - 1 > -0.15)
    sizes = np.arange(1, 5000)
    over = [table(rate, sizes) * sizes / figures.first(table, rate) for rate in figures.RATES]
    assert all((ratio > 1).all() for ratio in over)
    assert 26 < over[2][0] < 27.5 and abs(over[2][31] - 1.19) < 0.005


# growth with the width


def test_growth_with_the_width() -> None:
    for hidden in (64, 256, 1024):
        for readout in (0.5, 1.0):
            parts = figures.parts_of_start(*figures.network(hidden, readout))
            assert abs(sum(parts) / figures.table(hidden, readout).values[1, 0] - 1) < 1e-12
    parts = {
        q: np.array([figures.parts_of_start(*figures.network(h, q))[:2] for h in figures.WIDTHS]) for q in (0.5, 1.0)
    }
    growing = np.log2(parts[0.5][-1, 1] / parts[0.5][0, 1]) / 5, np.log2(parts[1.0][-1, 1] / parts[1.0][0, 1]) / 5
    assert all(0.9 < power < 1.1 for power in growing)
    assert parts[0.5][:, 0].max() < 1.4 * parts[0.5][:, 0].min()  # standard: the first part does not grow
    assert (parts[0.5][:, 0] > parts[0.5][:, 1]).tolist() == [h < 784 for h in figures.WIDTHS]
    assert parts[1.0][-1, 0] < 1e-3 * parts[1.0][-1, 1] and (parts[1.0][:, 0] < parts[1.0][:, 1]).all()
    assert -1.1 < np.log2(parts[1.0][-1, 0] / parts[1.0][0, 0]) / 5 < -0.9
    standard, small = (dict(zip(figures.WIDTHS, figures.growth(q, 0.05, 32))) for q in (0.5, 1.0))
    assert standard[256] < 1.05 * standard[64] and standard[1024] > 2 * standard[256]
    assert 0.8 < np.log2(small[1024] / small[32]) / 5 < 1.0
    for q in (0.5, 1.0):
        moved = [after / before for after, before in zip(figures.growth(q, 0.05, 32), figures.growth(q, 0.0, 32))]
        assert all(a < b for a, b in pairwise(moved[2:])) and moved[-1] > 1.08 * moved[2]


# isotropic starts


@pytest.mark.parametrize(("scale", "teacher"), [(1.0, 2.0), (0.7, -0.5)])
def test_isotropic_starts_have_a_limit_at_a_distance_of_one_over_n(scale: float, teacher: float) -> None:
    limit, rate, ratio = figures.proportional_limit(scale, teacher), 0.1, 2.0
    value = ratio ** np.arange(7) @ limit @ rate ** np.arange(7)
    sizes = (16, 32, 64)
    tables = [lv.trace_formula().table(*figures.isotropic(n, scale, teacher)) for n in sizes]
    far = [float(table(rate, n / ratio)) / n - value for n, table in zip(sizes, tables)]
    assert all(1.9 < a / b < 2.2 for a, b in pairwise(far)) and abs(far[-1]) < 0.06 * value
    one, *others = [table.values[1] / (n * (n + 1)) for n, table in zip(sizes, tables)]
    assert all(np.allclose(other, one, rtol=1e-11) for other in others) and np.allclose(one, limit[1], rtol=1e-11)


def test_the_limit_of_the_page_is_the_one_of_the_formula() -> None:
    exact = lv.trace_formula().proportional_limit(1, 2)
    assert {str(symbol) for symbol in exact.free_symbols} == {"q", "alpha"}
    ours = figures.proportional_limit(1.0, 2.0)
    found = {powers: int(c) for powers, c in sympy.Poly(exact, *map(sympy.Symbol, ("q", "alpha"))).terms()}
    assert found == {(int(k), int(j)): int(ours[k, j]) for k, j in zip(*ours.nonzero())}


def test_a_term_has_at_most_one_trace_more_than_its_power() -> None:
    formula = lv.trace_formula()
    most = [max(len(p) for terms in formula.coefficient(k).values() for p in terms) for k in range(1, 7)]
    assert most == [2, 3, 4, 5, 6, 7]


# what remains at the teacher


def test_what_remains_at_the_teacher() -> None:
    (first, second), _ = figures.network()
    table = figures.noisy(1.0)
    k, h = np.linalg.eigvalsh(first @ first.T), np.linalg.eigvalsh(second @ second.T)
    k = np.concatenate([k, np.zeros(784 - 256)])
    eigenvalues = np.add.outer(k, h)  # of J: the error changes by E K + H E
    start = (first**2).sum() * 10 + 784 * (second**2).sum()
    assert abs(table.values[1, 0] / start - 1) < 1e-12 and abs(eigenvalues.sum() / start - 1) < 1e-12
    assert abs(table.values[1, 2] / (eigenvalues**3).sum() - 1) < 1e-11
    assert not table.values[1, 3:].any() and not table.values[:, 1::2].any() and table.values.min() == 0
    raised, said = table(0.05, 32) / table(0.0, 32), figures.first(table, 0.05) / table.values[1, 0]
    assert abs(raised - 1.16) < 0.005 and 1 < said < 1.01
    assert np.allclose(figures.noisy(4.0).values[1], 4 * table.values[1])


def test_at_the_teacher_odd_powers_vanish_exactly_and_noise_vanishes_without_labels() -> None:
    rate, noise = sympy.symbols("alpha v")
    problem = lv.Problem(
        [[[1, 2, 0], [0, 1, 1]], [[1, -1]]], lv.Gaussian([[1, 1, -1]], noise_variance=noise), rate, step=1
    )
    found = lv.trace_formula(covariance="general")(problem)
    terms = Counter(m for c in found.coefficients for m in sympy.Poly(c, rate, noise).monoms() if c != 0)
    assert {j for j, _ in terms} == {0, 2, 4, 6} and all(1 <= power <= 1 + j / 2 for j, power in terms)
    assert found.subs({"v": 0}) == 0


# the first effect of a step


def test_the_first_effect_has_the_same_sign_at_every_batch_size() -> None:
    formula = lv.trace_formula()
    assert [k for k in range(formula.degree + 1) if 1 in formula.coefficient(k)] == [1]
    assert [k for k in range(7) if 1 in lv.trace_formula(covariance="general").coefficient(k)] == [1]
    assert figures.slope(*figures.network())[1] < 0


def test_the_first_effect_is_the_derivative_of_the_start_along_the_gradient_of_the_loss() -> None:
    """By JAX, from the formulas at t = 0."""
    rng = np.random.default_rng(3)
    weights, teacher = [rng.normal(size=(3, 5)), rng.normal(size=(2, 3))], rng.normal(size=(2, 5))
    with jax.enable_x64(True):
        start, loss = (lv.trace_formula(step=0, quantity=quantity).to_jax() for quantity in ("variance", "loss"))
        of_start, of_loss = (jax.grad(lambda w, f=f: f(w, teacher, 0.0, 1.0))(weights) for f in (start, loss))
        along = -sum(float((a * b).sum()) for a, b in zip(of_start, of_loss))
    _, derivative = figures.slope(weights, teacher)
    assert abs(derivative / along - 1) < 1e-11


def test_the_noise_rises_to_a_third_of_the_way_to_the_teacher() -> None:
    starts = {theta: figures.slope(*figures.aligned(theta)) for theta in (0.05, 0.2, 0.3, 1 / 3, 0.37, 0.6, 0.95)}
    assert [int(np.sign(round(derivative, 6))) for _, derivative in starts.values()] == [1, 1, 1, 0, -1, -1, -1]
    assert max(starts, key=lambda theta: starts[theta][0]) == 1 / 3


# beside a simulation


def rows() -> list[list[float]]:
    """The page's table: rate, b, beta_1/b, formula, mean, standard error, z."""
    lines = re.findall(r"^\| (0\.0\d) \| (\d+) \| (.*) \|$", PAGE, re.M)
    return [[float(rate), int(b), *map(float, rest.split(" | "))] for rate, b, rest in lines]


def test_the_runs_on_the_page_agree_with_the_formula_and_not_with_its_first_term() -> None:
    table, found = figures.table(), rows()
    assert [row[:2] for row in found] == [[rate, b] for rate in (0.02, 0.05) for b in (8, 32, 128)]
    for rate, b, first, exact, mean, error, z in found:
        assert abs(table(rate, b) - exact) < 0.005 and abs(figures.first(table, rate) / b - first) < 0.005
        assert abs((mean - exact) / error - z) < 0.06 * (1 + abs(z))  # errors are printed to two digits after the point
        assert abs(z) < 3.5 and (mean - first) / error > 5
    assert sum(row[-1] ** 2 for row in found) < 22.5  # chi^2 of 6, one in a thousand


@pytest.mark.parametrize("b", slow_but([8, 32], 8))
def test_sgd_has_the_variance_of_the_formula(b: int, key: jax.Array) -> None:
    """150 pairs: standard errors of 1.1 and 0.5 %."""
    rate = 0.05
    mean, error = figures.simulated(key, *figures.network(), rate, b, 150)
    exact = float(figures.table()(rate, b))
    assert error < 0.015 * exact and abs(mean - exact) < 4 * error
    assert all(abs(mean - exact * wrong) > 10 * error for wrong in (2 / 3, 1.5))
    assert mean - figures.first(figures.table(), rate) / b > 10 * error


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.02, 0.05])
@pytest.mark.parametrize("b", [8, 32, 128])
def test_sgd_as_on_the_page(b: int, rate: float, key: jax.Array) -> None:
    mean, error = figures.simulated(key, *figures.network(), rate, b, 2000)
    assert abs(mean - float(figures.table()(rate, b))) < 4 * error
    assert mean - figures.first(figures.table(), rate) / b > 5 * error


@pytest.mark.slow
def test_verify_rejects_a_wrong_polynomial_of_the_page(key: jax.Array) -> None:
    rng = np.random.default_rng(0)
    shapes = ((7, 12), (5, 7), (5, 12))
    first, second, teacher = (lv.rationalize(rng.normal(size=(m, n)) / n**0.5, decimals=2) for m, n in shapes)
    problem = lv.Problem([first, second], lv.Gaussian(teacher), "1/10", step=1)
    found = lv.trace_formula()(problem)
    assert isinstance(found, lv.BatchPolynomial)
    wrong = lv.BatchPolynomial([0, found.coefficients[1] * lv.Rational(3, 2), *found.coefficients[2:]])
    report = lv.verify(
        problem, key=key, runs=1024, batch_sizes=[16], quantities=["variance"], polynomials={"variance": wrong}
    )
    assert report.verdict == "REJECT"


# where it stops


def test_words_after_two_steps() -> None:
    """Of the network's letters with S and, for the second step, a further T; nothing cancels or merges but E."""
    network = Network(2)
    before = network.step()
    assert [len(words) for words in before.weights] == [2, 2] and len(before.error) == 4
    one, two = before.weights
    push = {
        0: product([network.transposed(two), before.error, network.one("T")]),
        1: product([before.error, network.one("T"), network.transposed(one)]),
    }
    after = [
        {**weight, **{(power, word): -c for (power, word), c in push[l].items()}} for l, weight in enumerate((one, two))
    ]
    assert [len(words) for words in after] == [10, 10]
    error = product(reversed(after))  # W_2'' W_1'', one of whose words becomes E by the teacher
    assert len(error) == 100
    gradient = product([network.transposed(after[1]), error])
    assert len(gradient) <= 1000 and 2 * max(word.count(MOMENT) for _, word in gradient) == 18
    assert 2 * max(word.count("T") for _, word in gradient) == 6
    pairings = prod(range(35, 0, -2))
    assert pairings == factorial(36) // (2**18 * factorial(18)) and round(pairings / 1e20) == 2


@pytest.mark.slow
def test_terms_of_three_layers() -> None:
    assert lv.trace_formula(depth=3, order=2).count() == 75_040


# the figures


@pytest.mark.parametrize(
    "name",
    [
        "rates",
        "first-order",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("width", "isotropic", "noise", "slope")),
    ],
)
def test_a_figure_is_drawn(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["traces.py", "--folder", str(tmp_path), "--only", name])
    figures.main()
    (drawn,) = tmp_path.iterdir()
    assert drawn.name == f"traces-{name}.svg" and drawn.read_text(encoding="utf-8").count("<path") > 20


def test_every_figure_of_the_page_is_there() -> None:
    shown = re.findall(r"\]\(figures/(.*?)\)", PAGE)
    assert len(shown) == 7 and {path.name for path in (DOCS / "figures").glob("traces-*.svg")} == set(shown)
    assert all(1_000 < (DOCS / "figures" / name).stat().st_size < 60_000 for name in shown)
