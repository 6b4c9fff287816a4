"""Conclusions from made-up cells: with no point, one and many; false alarms over a whole summary as rare as stated."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from tiers import slow_but

from linvar import BatchPolynomial
from linvar.experiments import NAMES, get_experiment, rising
from linvar.experiments.curves import Curves, conclude, study
from linvar.experiments.findings import Budget
from linvar.experiments.runner import Request
from linvar.experiments.sentences import Estimates, powers_of
from linvar.experiments.stability import regression_stability

TABLES = Path(__file__).parents[1] / "tables"

SIZES, STEPS = (1, 2, 4, 8, 16), (0, 1, 4)
VARIANCE = {0: BatchPolynomial([0, 8]), 1: BatchPolynomial([0, 7, "1/2"]), 4: BatchPolynomial([0, 5, 1])}
LOSS = {t: BatchPolynomial([value, *[1][: t > 0]]) for t, value in zip(STEPS, (4, 3, 2))}
SETTINGS = {"learning_rate": "1/20"}


def curves(**changes):
    """Curves with exact ones for each step."""
    made = Curves(
        "made up", None, SIZES, STEPS, 400, "float64", SETTINGS,
        exact=lambda t: {"variance": VARIANCE[t], "train_loss": LOSS[t]},
    )  # fmt: skip
    return replace(made, **changes)


def cells(made, rng=None, error=0.02, truth=None):
    """What runs of these curves would give: exact values with noise, errors known from 400 runs."""
    found = {}
    if made.exact is not None:
        found |= {f"exact-t-{t}": {name: p.to_dict() for name, p in made.exact(t).items()} for t in made.steps}
    if made.stability is not None:
        stable = made.stability()
        found["stability"] = {"low": stable.low, "high": stable.high}

    def point(value):
        if rng is None or not error:
            return [value, error * abs(value)]
        known = math.sqrt(rng.chisquare(made.runs - 1) / (made.runs - 1))  # the error is estimated too
        return [value + error * abs(value) * rng.normal(), error * abs(value) * known]

    truth = truth or (lambda t, b: (float(VARIANCE[t](b)), float(LOSS[t](b))))
    for b in made.batch_sizes:
        found[f"b-{b}"] = {}
        for t in made.steps:
            variance, loss = truth(t, b)
            found[f"b-{b}"][str(t)] = {
                "variance": point(variance), "second_moment": point(variance + 3), "squared_mean": point(3.0),
                "train_loss": point(loss), "test_loss": point(1.1 * loss), "trace": point(8.0),
            }  # fmt: skip
    return found


def said(made, found, **rate):
    """The summary, and its picture drawn to the last dot."""
    conclusion = conclude(made, found, **rate)
    return conclusion.results, "\n".join(conclusion.summary)


def drawn(conclusion):
    figure = Figure(layout="constrained")
    conclusion.draw(figure)
    figure.savefig(io.BytesIO(), format="png")
    return figure


def test_a_summary_names_rate_stability_split_and_what_the_fits_leave_out():
    made = curves()
    results, text = said(made, cells(made))
    assert "Learning rate of sgd: 1/20, fixed; the same at every b, not scaled with it." in text
    # 4, 4, 3 does not fall at first
    assert "neither grows nor shrinks throughout: 4, 4, 3 at t = 0, 1, 4." in text
    assert "false-alarm rate 0.001 over all of this summary, shared evenly by its 7 questions" in text
    assert "Student's t, 399 degrees of freedom" in text
    assert "at t = 1: exactly degree 2, coefficients from 1/b on 7, 0.5; runs: degree 1 fits" in text
    assert "leaves out what the powers above the degree fitted would move" in text
    assert results["exact"]["agree"] and "Estimates agree with the exact curves: 30 comparisons" in text
    assert (
        "The same 16 examples are 4 steps at b = 4, 1 step at b = 16; left out: b = 1, 2, 8, not measured at t = 16 / b."
        in text
    )
    settings = {**SETTINGS, "optimizer": "adam", "schedule": "cosine", "learning_rate": 0.01}
    _, text = said(curves(settings=settings, exact=None), cells(curves(exact=None)))
    assert "Learning rate of adam: 0.01 at first, falling as a cosine to 0 at step 4; the same at every b" in text
    assert "exact" not in text and "shared evenly by its 6 questions" in text
    assert "degree 1 fits" in text and "with degree 2 they are" in text


def test_one_loss_is_said_once():
    made = curves(population=True)
    conclusion = conclude(made, cells(made))
    text = "\n".join(conclusion.summary)
    assert "Test loss" not in text and "Train loss" not in text and text.count("Population loss after 4 steps") == 1
    assert "its 5 questions" in text and len(drawn(conclusion).axes) == 2
    both = conclude(curves(), cells(curves()))
    assert sum(line.startswith("Test loss") for line in both.summary) == 3 and len(drawn(both).axes) == 3


def alarms(made, truth, false, repeats, rate):
    """In how many of the summaries is a false sentence?"""
    rng = np.random.default_rng(20)
    return sum(false(conclude(made, cells(made, rng, truth=truth), rate=rate)) for _ in range(repeats))


@pytest.mark.slow
def test_false_alarms_over_a_whole_summary_are_as_rare_as_stated():
    """Flat curves, 1,500 summaries at rate 0.1: at most 150 may have a false verdict; 150 + 5 sqrt(150) would be 211.

    Flat: the variance neither falls nor rises, a constant fits, no loss is lower anywhere, and what is exact is exact. Without
    a split over the questions the rate would be several times higher.
    """
    flat = {"variance": BatchPolynomial([3]), "train_loss": BatchPolynomial([2])}
    made = curves(exact=lambda t: flat, constant=True)

    def false(conclusion):
        text = "\n".join(conclusion.summary)
        return (
            any(f["verdict"] in ("falls", "rises") for f in conclusion.results["variance_falls"].values())
            or not conclusion.results["exact"]["agree"]
            or "lower at the" in text or "lowest at b" in text or " rejected (p" in text.replace("not rejected (p", "")
        )  # fmt: skip

    count = alarms(made, lambda t, b: (3.0, 2.0), false, 1500, 0.1)
    assert 30 < count < 150 + 5 * math.sqrt(150)
    assert alarms(made, lambda t, b: (3.0, 2.0), false, 300, 0.001) <= 3


def test_what_is_wrong_is_rejected():
    """The exact variance times 1.5, a rise, a lower degree, a lower loss: found in each of 20 summaries at 2 %."""
    made = curves()
    wrong = lambda t, b: (1.5 * float(VARIANCE[t](b)), float(LOSS[t](b)))  # noqa: E731
    right = lambda t, b: (float(VARIANCE[t](b)), float(LOSS[t](b)))  # noqa: E731
    disagrees = lambda c: not c.results["exact"]["agree"]  # noqa: E731
    assert alarms(made, wrong, disagrees, 20, 0.001) == 20 and alarms(made, right, disagrees, 20, 0.001) == 0
    rises = lambda c: any("RISES with b" in line for line in c.summary)  # noqa: E731
    assert alarms(made, lambda t, b: (float(b), 1.0), rises, 20, 0.001) == 20
    rejects = lambda c: "degree 1 rejected" in "\n".join(c.summary)  # noqa: E731
    assert alarms(made, lambda t, b: (1 / b + 9 / b**2, 1.0), rejects, 20, 0.001) == 20
    lowest = lambda c: "lowest at b = 4 (next" in "\n".join(c.summary)  # noqa: E731
    assert alarms(made, lambda t, b: (1 / b, 1.0 if b == 4 else 2.0), lowest, 20, 0.001) == 20


def lose(found, keep):
    """The same cells with nothing measured but at the (b, t) to keep."""
    return {
        name: cell if not name.startswith("b-") else {
            t: points if keep(int(name[2:]), int(t)) else {quantity: [None, None] for quantity in points}
            for t, points in cell.items()
        }
        for name, cell in found.items()
    }  # fmt: skip


KEEP = {
    "nothing": lambda b, t: False,
    "one b": lambda b, t: b == 4,
    "two b": lambda b, t: b in (4, 16),
    "one t": lambda b, t: t == 0,
    "all but the largest b": lambda b, t: b < 16,
    "all but the last t": lambda b, t: t < 4,
    "one point": lambda b, t: (b, t) == (4, 1),
}


@pytest.mark.parametrize("kept", KEEP)
@pytest.mark.parametrize("options", slow_but([{}, {"exact": None}, {"population": True, "constant": True}], {}))
def test_no_point_and_one_point(kept, options):
    made = curves(**options)
    conclusion = conclude(made, lose(cells(made), KEEP[kept]))
    drawn(conclusion)
    text = "\n".join(conclusion.summary)
    assert "left the floating-point range" in text and "nan" not in text
    verdicts = {t: found["verdict"] for t, found in conclusion.results["variance_falls"].items()}
    count = {t: sum(KEEP[kept](b, t) for b in SIZES) for t in STEPS}
    for t in STEPS:
        assert (verdicts[str(t)] == "too few batch sizes to tell") == (count[t] < 2)
        assert (conclusion.results["powers"][str(t)]["p_value"] is None) == (count[t] < 3)
    assert ("All runs diverged by t = 4: the learning rate is too large; give a smaller one." in text) == (
        count[4] == 0
    )
    assert ("Variance: too few batch sizes to tell whether it falls with b." in text) == (max(count.values()) < 2)
    if kept == "nothing" and not options:
        assert (
            "Estimates and exact curves: no estimate to compare." in text
            and conclusion.results["exact"]["agree"] is None
        )
        assert "no two batch sizes were measured after it" in text and "no batch size is finite at both" in text
        assert "no finite run" in text and "agree with" not in text
    if kept == "two b" and not options:
        assert "left out: b = 1, 2, 8" in text or "no two batch sizes" in text
        assert "lowest at" not in text and "Powers of 1/b at t = 0: exactly degree 1" in text


@pytest.mark.parametrize(("sizes", "steps"), [((4,), (0,)), ((4,), (0, 1)), ((4, 16), (0,)), ((1,), (0, 4))])
def test_designs_with_one_batch_size_or_one_step(sizes, steps):
    made = curves(batch_sizes=sizes, steps=steps)
    conclusion = conclude(made, cells(made))
    drawn(conclusion)
    text = "\n".join(conclusion.summary)
    assert ("Variance: too few" in text) == (len(sizes) == 1) and "(0 comparisons" not in text
    assert "runs: too few batch sizes to tell" in text and "fits (p" not in text


def test_diverging_means_carry_no_verdict():
    """A mean that grew tenfold is carried by rare runs: it neither agrees nor disagrees, and its b is left out."""
    made = curves()
    truth = lambda t, b: (1e9, 1e9) if (b, t) == (1, 4) else (float(VARIANCE[t](b)), float(LOSS[t](b)))  # noqa: E731
    conclusion = conclude(made, cells(made, truth=truth))
    text = "\n".join(conclusion.summary)
    assert "Train loss more than ten times that at t = 0: b = 1 at t = 4. No verdict counts these" in text
    assert conclusion.results["exact"]["agree"] and conclusion.results["exact"]["comparisons"] == 28
    assert "RISES" not in text and "at b = 2, " in text and "give a smaller one" in text
    assert drawn(conclusion).axes[1].get_yscale() == "log"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "helps"])
def test_every_experiment_concludes_when_all_runs_diverge(name):
    """All cells null: sentences, a picture, no number."""
    table = {"table": str(TABLES / "huge_column.csv")} if name == "regression" else {}
    made = get_experiment(name).build(Request("tiny", options=table))
    null = {
        str(t): dict.fromkeys(("variance", "second_moment", "train_loss", "test_loss"), [None, None]) for t in (0, 1)
    }
    found = {cell: null if cell.startswith("b-") else {} for cell in made.cells}
    if name == "rising":
        found = {cell: {"variance": [None, None]} for cell in made.cells}
    if "stability" in found:
        found["stability"] = {"low": 0.5, "high": 0.6}
    conclusion = made.conclude(found)
    drawn(conclusion)
    text = "\n".join(conclusion.summary)
    if name == "rising":
        assert "not measured" in text and "no finite estimate to compare" in text and "RISES" not in text
    else:
        assert "All runs diverged by t = 1: the learning rate is too large; give a smaller one." in text


def test_rising_with_one_point_and_with_a_wrong_one():
    points = {39: [1.0, 0.001], 61: [1.01, 0.001]}
    conclusion = rising.conclude((39, 61), 1000, {"b-39": {"variance": points[39]}, "b-61": {"variance": [None, None]}})
    assert (
        conclusion.results["verdict"] == "not measured"
        and "39 to 61: not measured; exactly by 0.9530 %" in conclusion.summary[1]
    )
    both = {f"b-{b}": {"variance": point} for b, point in points.items()}
    conclusion = rising.conclude((39, 61), 1000, both)
    assert conclusion.results["verdict"] == "RISES" and conclusion.results["agree"] is False
    assert "57/2000" in conclusion.summary[0] and "its 2 questions" in conclusion.summary[-1]


def test_values_beyond_floats_do_not_end_a_conclusion():
    huge = BatchPolynomial([10**400, 10**400])
    made = curves(exact=lambda t: {"variance": huge if t else VARIANCE[0], "train_loss": huge if t else LOSS[0]})
    conclusion = conclude(made, lose(cells(made), lambda b, t: t == 0))
    drawn(conclusion)
    assert conclusion.results["exact"] == {"comparisons": 10, "largest_z": 0.0, "agree": True}


def test_exact_curves_and_stability_are_parts_of_the_work():
    """They are cells: counted before the runs, kept, and read back; nothing is derived in the conclusion."""
    calls = []

    def exact(t):
        calls.append(t)
        return {"variance": VARIANCE[t]}

    made = curves(exact=exact, stability=lambda: regression_stability([[1.0], [2.0]], 0.1))
    parts = study(made, Request("tiny")).cells
    assert list(parts) == ["stability", *(f"exact-t-{t}" for t in STEPS), *(f"b-{b}" for b in SIZES)]
    found = {name: parts[name]() for name in list(parts)[:4]}
    assert calls == list(STEPS) and found["exact-t-1"] == {"variance": VARIANCE[1].to_dict()}
    conclusion = conclude(made, {**cells(curves()), **found})
    assert calls == list(STEPS) and conclusion.results["stability"]["verdict"] == "stable"
    assert any(line.startswith("Mean-square stable at b = 1: ") for line in conclusion.summary)


def test_stability_is_that_of_the_recursion_written_out():
    """The bracket holds the largest eigenvalue of mean_i A_i (x) A_i, A_i = I - a x_i x_i^T, and not 1.5 times it."""
    rng = np.random.default_rng(3)
    verdicts = set()
    for d, n in ((1, 3), (2, 5), (3, 20)):
        x = rng.normal(size=(n, d)) * rng.uniform(0.3, 1.5, size=d)
        for rate in (0.01, 0.1, 0.3, 1.0, 5.0):
            factors = [np.eye(d) - rate * np.outer(row, row) for row in x]
            truth = max(abs(np.linalg.eigvals(np.mean([np.kron(a, a) for a in factors], axis=0))))
            found = regression_stability(x, rate)
            assert found.low * (1 - 1e-9) <= truth <= found.high * (1 + 1e-9)
            assert not found.low <= 1.5 * truth <= found.high
            assert found.verdict == ("stable" if truth < 1 else "unstable")
            verdicts.add(found.verdict)
    assert verdicts == {"stable", "unstable"}
    assert "NOT mean-square stable at b = 1" in str(regression_stability([[2.0]], 0.6))  # (1 - 2.4)^2 = 1.96
    assert regression_stability([[2.0]], 0.6).low == pytest.approx(1.96)


def test_stability_of_singular_inputs():
    """Directions that no row touches never move; a rate of exactly 2 / x^2 is undecided."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(9, 2))
    twice = np.column_stack([x, x[:, 0]])
    scaled = np.column_stack([x[:, 0] * math.sqrt(2), x[:, 1]])
    found, plain = regression_stability(twice, 0.1), regression_stability(scaled, 0.1)
    assert found.verdict == plain.verdict == "stable" and found.high == pytest.approx(plain.high, abs=1e-3)
    assert regression_stability(np.zeros((4, 2)), 0.1).verdict == "stable"
    assert regression_stability([[1.0], [-1.0]], 2.0).verdict == "undecided"


def test_powers_of_few_rows_are_those_below_n():
    """Without replacement n values fix the n coefficients of degree below n: 3 u + u^5 through four values is a cubic."""

    def lines(n):
        polynomial = BatchPolynomial([0, 3, 0, 0, 0, 1], sampling="without_replacement", dataset_size=n)
        found = {b: {"0": {"variance": [3 / b, 0.01], "train_loss": [1.0, 0.1]}} for b in (1, 2, 4)}
        estimates = Estimates(
            (1, 2, 4), (0,), {"train_loss": "Train loss"}, {f"b-{b}": cell for b, cell in found.items()}
        )
        return powers_of(estimates, {0: {"variance": polynomial}}, True, Budget(1, 100))[0][0]

    assert "exactly degree 5, coefficients from the constant on 0, 3, 0;" in lines(6)
    through = np.linalg.solve(
        [[b**-k for k in range(4)] for b in (1.0, 2, 3, 4)], [3 / b + b**-5 for b in (1.0, 2, 3, 4)]
    )
    first = [f"{c:.4g}" for c in through[:3]]
    assert f"exactly degree 3, coefficients from the constant on {first[0]}, {first[1]}, {first[2]};" in lines(4)


def test_a_users_text_is_drawn_as_it_is_written():
    title = "Linear regression on a$^$b_{%\\frac \udcff\n" + "x" * 300 + ".csv"
    conclusion = conclude(curves(title=title), cells(curves()))
    figure = drawn(conclusion)
    shown = figure.get_suptitle()
    assert "a$^$b_{%\\frac ?" in shown and len(shown) < 300
    odd = conclude(curves(title="$\\frac$"), cells(curves()))
    assert drawn(odd).get_suptitle().splitlines() == ["$\\frac$", odd.summary[1]]


def test_what_a_picture_says():
    small = drawn(conclude(curves(), cells(curves())))
    labels = [axes.get_ylabel() for axes in small.axes]
    assert labels == [
        "gradient variance tr Cov(G)",
        "train loss (mean over examples)",
        "test loss (mean over examples)",
    ]
    assert {axes.get_xlabel() for axes in small.axes} == {"batch size b (examples)"}
    legend = [text.get_text() for text in small.legends[0].get_texts()]
    assert legend[0] == "runs; bars: two standard errors" and "exact, at every whole b" in legend
    assert any("to guide the eye" in text for text in legend)
    exact = [line for line in small.axes[0].lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in exact] == [list(range(1, 17))] * 3
    assert all(line.get_linestyle() == "None" for line in exact)
    assert list(exact[1].get_ydata()) == [float(VARIANCE[1](b)) for b in range(1, 17)]
    bars = small.axes[0].containers[0].lines[2][0].get_segments()
    assert bars[0][:, 1] == pytest.approx([8 - 2 * 0.16, 8 + 2 * 0.16])
    assert small.axes[1].get_yscale() == "linear"
    sizes = (1, 16, 256)
    large = drawn(conclude(curves(batch_sizes=sizes), cells(curves(batch_sizes=sizes))))
    assert any(line.get_linestyle() == "-" and max(line.get_xdata()) == 256 for line in large.axes[0].lines)


def test_an_estimate_that_a_logarithmic_axis_cannot_show_is_named():
    truth = lambda t, b: (-1e-9 if b == 16 else 1 / b, 1.0)  # noqa: E731
    figure = drawn(conclude(curves(exact=None), cells(curves(exact=None), truth=truth)))
    assert "estimates <= 0 at b = 16 are not shown" in [text.get_text() for text in figure.axes[0].texts]
    empty = drawn(conclude(curves(exact=None), lose(cells(curves(exact=None)), KEEP["nothing"])))
    assert {text.get_text() for axes in empty.axes for text in axes.texts} == {"no finite estimate"}


def test_noise_scale_has_an_error_and_is_unresolved_without_a_mean():
    made = curves()
    results, _ = said(made, cells(made))
    value, error = results["noise_scale"]["0"]
    assert value == pytest.approx(8 / 3) and error == pytest.approx(8 / 3 * 0.04)
    found = cells(made)
    for t in STEPS:
        found["b-16"][str(t)]["squared_mean"] = [0.1, 0.05]
    results, text = said(made, found)
    assert set(results["noise_scale"].values()) == {None} and "too few finite runs" in text
    assert results["disparity"]["1"] == [pytest.approx(12.0), pytest.approx(0.24)]
