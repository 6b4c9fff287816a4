"""Pictures: what is drawn is what was computed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sympy
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import linvar as lv
from linvar import BatchPolynomial, plot_loss, plot_variance
from linvar.errors import InputError, InputTypeError
from linvar.numeric.regression import RegressionCurve
from linvar.plotting.curve import Asked, Curve
from linvar.plotting.readers import READERS, curve_of
from linvar.plotting.room import Box, Wanted, arrange, wanted
from linvar.plotting.style import COLOURS, DASHES, MARKERS, ordered, unordered
from linvar.plotting.variance import VARIANCE
from linvar.verification.evidence import Evidence, Levels
from linvar.verification.report import Report, Row

PROBLEM = lv.Problem([[[1, 2], [0, 1]], [[1, -1]]], lv.Gaussian([[1, 0]]), "1/10", step=1)
#: falls to b = 128, rises to 186, falls
RISING = lv.Problem([[["81/100"]], [["6/5"]]], lv.Gaussian([["11/25"]]), learning_rate="19/10", step=3)
TEN = BatchPolynomial(["-1/9", "10/9"], sampling="without_replacement", dataset_size=10)


@pytest.fixture
def ax():
    return Figure(figsize=(5, 3.6)).subplots()


@pytest.fixture(scope="module")
def rising():
    return lv.derive(RISING)


def texts(ax):
    return " ".join(text.get_text() for text in ax.texts)


def of_kind(ax, kind):
    return [line for line in ax.lines if line.get_gid() == kind]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def row(quantity, batch_size, estimate, error, verdict="AGREE"):
    polynomial, evidence = BatchPolynomial([0, 18]), Evidence.__new__(Evidence)
    return Row(quantity, batch_size, polynomial(batch_size), estimate, error, 100, 0.0, 0.1, verdict, evidence)


def report(*rows: Row, **polynomials: BatchPolynomial) -> Report:
    return Report(PROBLEM, polynomials or {"variance": BatchPolynomial([0, 18])}, rows, Levels.__new__(Levels))


# one polynomial


def test_values_beyond_floats_are_a_note_not_an_error():
    axes = plot_variance(BatchPolynomial([0, 10**400]), ax=Figure().subplots(), batch_sizes=[1, 2])
    assert axes.get_yscale() == "linear" and "values beyond 1e+150" in axes.texts[0].get_text()


def test_the_curve_is_the_exact_value(ax):
    polynomial = BatchPolynomial([0, "3/2", -1, 2])
    result = plot_variance(polynomial, ax=ax, batch_sizes=[1, 2, 4, 64])
    assert result is ax
    x, y = ax.lines[0].get_data()
    assert list(x) == [1, 2, 4, 64]
    assert list(y) == [float(polynomial(b)) for b in (1, 2, 4, 64)]
    assert list(y) != [1.5 * float(polynomial(b)) for b in (1, 2, 4, 64)]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "gradient variance tr Cov(G)" and "iid" in ax.get_title()


def test_without_replacement_stays_within_the_data_set(ax):
    # (n - b) / (b (n - 1)) with n = 10: zero at b = 10, which a logarithmic axis cannot show
    plot_variance(TEN, ax=ax)
    x, y = ax.lines[0].get_data()
    assert max(x) == 9 and min(y) > 0 and ax.get_yscale() == "log"
    assert "zero at b = 10" in texts(ax) and "n = 10" in ax.get_title()
    with pytest.raises(ValueError, match="batch_size=11"):
        plot_variance(TEN, ax=ax, batch_sizes=[11])


@pytest.mark.parametrize(("n", "joined"), [(10, False), (64, False), (65, True), (353, True)])
def test_whole_b_of_a_small_data_set_are_marked_and_not_joined(ax, n, joined):
    polynomial = BatchPolynomial([f"-1/{n - 1}", f"{n}/{n - 1}"], sampling="without_replacement", dataset_size=n)
    plot_variance(polynomial, ax=ax)
    line = ax.lines[0]
    assert (line.get_linestyle() == "-") == joined and (line.get_marker() == "o") != joined
    if n == 10:
        assert list(line.get_xdata()) == list(range(1, 10))
    assert legend(ax) == ["exact, whole b joined" if joined else "exact, at whole b"]
    assert ax.get_xlabel() == "batch size b (examples)"


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_data_sets(ax, n):
    rows = [[k + 1] for k in range(n)]
    problem = lv.Problem([[[2]]], lv.Dataset(rows, rows), "1/10", sampling="without_replacement")
    plot_variance(lv.derive(problem), ax=ax)
    seen = [list(of_kind(ax, "curve")[0].get_xdata()), ax.get_yscale()]
    assert seen == ([[1], "linear"] if n == 1 else [[1], "log"]) and f"n = {n}, t = 0" in ax.get_title()
    assert ("identically zero" if n == 1 else "zero at b = 2: not shown") in texts(ax)


def test_identically_zero_is_a_linear_axis_with_a_note(ax):
    plot_variance(BatchPolynomial([0]), ax=ax)
    assert ax.get_yscale() == "linear" and "identically zero" in texts(ax)
    assert set(ax.lines[0].get_ydata()) == {0.0}


def test_negative_values_are_shown_on_a_linear_axis(ax):
    plot_variance(BatchPolynomial([-1, 1]), ax=ax, batch_sizes=[1, 2, 3])
    assert ax.get_yscale() == "linear"
    assert list(ax.lines[0].get_ydata()) == [0.0, -0.5, pytest.approx(-2 / 3)]


def test_values_that_no_axis_has_room_for_are_left_out(ax):
    plot_variance(BatchPolynomial([0, 10**160]), ax=ax, batch_sizes=[1, 10**200])
    assert list(of_kind(ax, "curve")[0].get_xdata()) == [10**200] and "beyond 1e+150" in texts(ax)
    ax.figure.canvas.draw()


@pytest.mark.parametrize("coefficients", [[0, 10**149], [0, f"1/{10**300}"], [0, 1, -(10**400)], [f"1/{10**320}"]])
def test_what_is_as_large_or_small_as_floats_is_drawn(ax, coefficients):
    plot_variance([BatchPolynomial(coefficients)] * 12, ax=ax)
    ax.figure.canvas.draw()
    assert np.isfinite(ax.get_ylim()).all()


# turning points


def test_turns_are_marked_at_whole_b_and_b_0_by_a_line(ax, rising):
    plot_variance(rising, ax=ax)
    marks = [(*mark.get_xdata(), *mark.get_ydata(), mark.get_marker()) for mark in of_kind(ax, "turn")]
    assert marks == [(b, float(rising.variance(b)), marker) for b, marker in ((128, "v"), (186, "^"))]
    (start,) = of_kind(ax, "start")
    assert list(start.get_xdata()) == [rising.variance.decreasing_from()] * 2 == [186, 186]
    assert legend(ax)[1:] == ["local minimum, b = 128", "local maximum, b = 186", "$b_0$ = 186: it falls from there on"]
    assert ax.get_title() == "iid batches, t = 3"


def test_a_rise_that_is_not_seen_is_in_an_inset_and_one_that_is_seen_is_not(ax, rising):
    plot_variance(rising, ax=ax)
    (inset,) = ax.child_axes
    x, y = inset.lines[0].get_data()
    assert list(y) == [float(rising.variance(int(b))) for b in x] and x[0] < 128 and x[-1] > 186
    assert (
        inset.get_title()
        == "rises by 1.4 %"
        == f"rises by {100 * float(rising.variance(186) / rising.variance(128) - 1):.2g} %"
    )
    assert list(inset.get_xticks()) == [128, 186] and inset.get_yticklabels()[1].get_text() == "0 %"
    seen = Figure().subplots()
    plot_variance(rising, ax=seen, batch_sizes=range(120, 200))
    assert len(of_kind(seen, "turn")) == 2 and not seen.child_axes
    falls = plot_variance(BatchPolynomial([0, 18]), ax=Figure().subplots())
    assert not of_kind(falls, "turn") and not of_kind(falls, "start") and not falls.child_axes


def test_turns_that_are_not_in_sight_are_not_marked(ax, rising):
    plot_variance(rising, ax=ax, batch_sizes=[1, 64, 128, 150])
    assert [mark.get_xdata()[0] for mark in of_kind(ax, "turn")] == [128] and not of_kind(ax, "start")


def test_a_turn_between_whole_b_that_none_of_them_shows_is_none():
    # (u - 1)(u - 2/5) falls from b = 1 to 2, and turns before 2: over 1, 2, 3 it turns at 2; over 1, 2 nowhere
    turning = BatchPolynomial(["2/5", "-7/5", 1])
    assert [turn.batch_size for turn in curve_of(turning, Asked(VARIANCE, "what")).turns] == [
        1 + (turning(2) < turning(1))
    ]
    small = BatchPolynomial([0, 1], sampling="without_replacement", dataset_size=2)
    assert curve_of(small, Asked(VARIANCE, "what")).turns == ()


def test_a_curve_goes_beyond_its_last_turn(ax):
    late = BatchPolynomial([0, 1, -1000])  # rises to b = 2000
    plot_variance(late, ax=ax)
    assert of_kind(ax, "curve")[0].get_xdata()[-1] == 8000 and of_kind(ax, "turn")[0].get_xdata()[0] == 2000


# estimates


def test_estimates_with_error_bars(ax):
    rows = [
        row("variance", 1, 17.0, 0.5),
        row("variance", 4, 4.4, 0.25),
        row("variance", 16, 0.1, 3.0, "UNRESOLVED"),
        row("variance", 32, -1.0, 1.0),
        row("second_moment", 1, 99.0, 1.0),
    ]
    plot_variance(report(*rows), ax=ax)
    resolved, unresolved = ax.containers
    assert list(resolved.lines[0].get_xydata().ravel()) == [1, 17.0, 4, 4.4]
    assert list(unresolved.lines[0].get_xydata().ravel()) == [16, 0.1]
    segments = resolved.lines[2][0].get_segments()
    assert [list(segment[:, 1]) for segment in segments] == [pytest.approx([16, 18]), pytest.approx([3.9, 4.9])]
    assert "b = 32 are not positive" in texts(ax)
    assert legend(ax) == ["exact, whole b joined", "estimate, 2 standard errors", "UNRESOLVED, 2 standard errors"]


def test_a_report_goes_as_far_as_its_estimates_and_shows_the_loss_it_did_not_check(ax):
    plot_variance(report(row("variance", 5000, 0.1, 0.01)), ax=ax)
    assert of_kind(ax, "curve")[0].get_xdata()[-1] == 5000
    loss = plot_loss(report(row("loss", 3, 0.5, 0.1), row("variance", 5, 1.0, 0.1)), ax=Figure().subplots())
    x, y = of_kind(loss, "curve")[0].get_data()
    assert list(y) == [float(lv.expected_loss(PROBLEM)(int(b))) for b in x]
    assert list(loss.containers[0].lines[0].get_xydata().ravel()) == [3, 0.5]


# several


def test_steps_are_ordered_from_dark_to_light(ax):
    steps = lv.derive_steps(PROBLEM, range(3))
    plot_variance(steps, ax=ax)
    lines = of_kind(ax, "curve")
    assert legend(ax) == ["t = 0", "t = 1", "t = 2"]
    for line, step in zip(lines, steps):
        x, y = line.get_data()
        assert list(y) == [float(step.variance(int(b))) for b in x]
    light = [np.dot(to_rgb(line.get_color()), [0.3, 0.59, 0.11]) for line in lines]
    assert light[0] < light[1] - 0.1 < light[2] - 0.2 and len({line.get_marker() for line in lines}) == 3
    assert [line.get_color() for line in lines] == [style.colour for style in ordered(3)]
    back = of_kind(plot_variance(steps[::-1], ax=Figure().subplots()), "curve")
    assert [line.get_color() for line in back] == list(COLOURS[:3])


def test_a_dict_of_samplings(ax):
    data = lv.Dataset([[1], [2], [0]], [[1], [0], [3]])
    both = {s: lv.derive(lv.Problem([[[1]]], data, "1/10", 1, sampling=s)) for s in ("iid", "without_replacement")}
    plot_variance(both, ax=ax)
    iid, without = of_kind(ax, "curve")
    assert legend(ax) == list(both) and max(iid.get_xdata()) == 1024 and list(without.get_xdata()) == [1, 2]
    assert texts(ax) == "without_replacement: zero at b = 3: not shown"
    assert (iid.get_color(), without.get_color()) == COLOURS[:2] and iid.get_marker() != without.get_marker()
    assert ax.get_title() == "iid batches, n = 3 and\nbatches without replacement, n = 3, t = 1"
    assert legend(plot_variance(list(both.values()), ax=Figure().subplots()))[1] == "batches without replacement, n = 3"


def test_twelve_curves_are_told_apart_and_not_covered_by_their_legend(ax):
    plot_variance([BatchPolynomial([0, k + 1, k * k]) for k in range(12)], ax=ax, label=[f"k = {k}" for k in range(12)])
    lines = of_kind(ax, "curve")
    assert legend(ax) == [f"k = {k}" for k in range(12)]
    assert len({(line.get_color(), line.get_linestyle(), str(line._dash_pattern)) for line in lines}) == 12
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    points = np.concatenate([ax.transData.transform(line.get_xydata()) for line in lines])
    assert not box.count_contains(points) and ax.get_window_extent().count_contains(box.corners()) == 4


def test_kinds_of_marks_are_said_once_for_several(ax, rising):
    plot_variance([rising, BatchPolynomial([0, 1, -2])], ax=ax, label=["one", "two"], batch_sizes=range(1, 300))
    assert legend(ax) == ["one", "two", "local minimum", "local maximum", "$b_0$, from which on it falls"]
    assert len(of_kind(ax, "turn")) == 3 and len(of_kind(ax, "start")) == 2


def test_labels(ax):
    one = BatchPolynomial([0, 18])
    assert legend(plot_variance(one, ax=ax, label="mine")) == ["mine"]
    again = plot_variance(one, ax=ax, label="more")
    assert legend(again) == ["mine", "more"] and of_kind(ax, "curve")[1].get_color() == COLOURS[1]
    assert legend(plot_variance([one, one], ax=Figure().subplots())) == ["result 1", "result 2"]
    assert legend(plot_variance({3: one}, ax=Figure().subplots())) == ["3"]


def test_styles_come_back_after_35():
    pairs = [(unordered(k).colour, unordered(k).dash) for k in range(36)]
    assert len(set(pairs)) == 35 == len(COLOURS) * len(DASHES) and len(set(MARKERS)) == len(MARKERS) == 11


# other results


@pytest.mark.parametrize("digits", [None, 20])
def test_an_expansion_is_the_sum_of_its_terms_and_the_last_is_shaded(ax, digits):
    found = lv.large_batch(PROBLEM, 2, digits)
    first, second = (lv.large_batch(PROBLEM, 2).variance.coefficients[k] for k in (1, 2))
    plot_variance(found, ax=ax)
    x, y = of_kind(ax, "curve")[0].get_data()
    assert list(y) == pytest.approx([float(first / int(b) + second / int(b) ** 2) for b in x], rel=1e-14)
    assert 2 * abs(second / int(x[0])) <= abs(first) and legend(ax)[1] == "its last term"
    assert legend(ax)[0] == "up to 1/b^2, the rest not known, whole b joined" and ax.get_title() == "iid batches, t = 1"
    shaded = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert shaded.min() == pytest.approx(min(y[-1], float(first) / x[-1]))
    said = legend(plot_variance({"two": found, "all": lv.derive(PROBLEM)}, ax=Figure().subplots()))
    assert said == ["two, up to 1/b^2", "its last term", "all"]
    with pytest.raises(InputError, match="batch_sizes=0 is too small"):
        plot_variance(found, ax=ax, batch_sizes=[0])


def test_an_expansion_of_order_zero_or_one(ax):
    plot_variance([lv.LargeBatchExpansion([3]), lv.LargeBatchExpansion([0, 2])], ax=ax)
    assert legend(ax)[0] == "result 1, up to its constant" and "result 2, up to 1/b" in legend(ax)
    assert set(of_kind(ax, "curve")[0].get_ydata()) == {3.0}


def test_a_regression_curve_has_its_own_batch_sizes(ax):
    sizes, variance, loss = np.array([1, 2, 4, 100]), np.array([8.0, 4.0, 2.0, 0.08]), np.array([3.0, 2.0, 1.5, 1.01])
    curve = RegressionCurve(sizes, variance, 0 * sizes, 0 * sizes, loss, 0 * sizes, np.zeros((1, 1)))
    plot_variance(curve, ax=ax)
    line = of_kind(ax, "curve")[0]
    assert list(line.get_xdata()) == sizes.tolist() and list(line.get_ydata()) == list(curve.gradient_variance)
    losses = of_kind(plot_loss(curve, ax=Figure().subplots()), "curve")[0]
    assert list(losses.get_ydata()) == list(curve.expected_loss) and legend(ax) == ["float64, whole b joined"]
    with pytest.raises(InputError, match="batch_sizes=3 is not among those of RegressionCurve"):
        plot_variance(curve, ax=ax, batch_sizes=[3])


def test_the_loss_and_its_limit(ax):
    exact = lv.derive(PROBLEM)
    plot_loss(exact, ax=ax)
    x, y = of_kind(ax, "curve")[0].get_data()
    assert list(y) == [float(exact.loss(int(b))) for b in x] != [float(exact.variance(int(b))) for b in x]
    (limit,) = of_kind(ax, "limit")
    assert set(limit.get_ydata()) == {float(exact.loss.coefficients[0])} and "expected loss" in ax.get_ylabel()
    assert legend(ax)[-1] == f"limit, b = infinity: {float(exact.loss.coefficients[0]):.4g}"
    assert not of_kind(plot_loss(TEN, ax=Figure().subplots()), "limit")
    assert not of_kind(plot_variance(exact, ax=Figure().subplots()), "limit")
    assert plot_loss(BatchPolynomial([1, 1]), ax=Figure().subplots()).get_yscale() == "linear"
    assert plot_loss(BatchPolynomial([1, 31]), ax=Figure().subplots()).get_yscale() == "log"


def test_the_door_takes_what_is_registered_and_what_inherits(ax):
    @dataclass
    class Law:
        constant: float

    class Further(BatchPolynomial):
        pass

    curve_of.register(Law, lambda law, asked: Curve(lambda b: law.constant / b, (1, 2, 100), said=asked.argument))
    plot_variance(Law(3.0), ax=ax)
    assert list(of_kind(ax, "curve")[0].get_ydata()) == [3.0, 1.5, 0.03] and legend(ax) == ["what, whole b joined"]
    assert curve_of(Further([0, 18]), Asked(VARIANCE, "what")).at(2) == 9


@pytest.mark.parametrize("name", READERS)
def test_what_has_a_reader_is_there(name):
    module, _, kind = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), kind), type)


# refusals


def test_what_cannot_be_drawn_is_refused_by_its_name(ax):
    good, a = BatchPolynomial([0, 18]), sympy.Symbol("a")
    symbolic = BatchPolynomial([0, a])
    wrong: list[tuple[Any, str]] = [
        (18, r"what is of type int: give what linvar.gradient_variance"),
        (PROBLEM, "what is of type Problem: give"),
        ([good, good, None], r"what\[2\] is of type NoneType"),
        ((good, [good]), r"what\[1\] is of type list"),
        ({"left": good, "right": "x"}, r"what\['right'\] is of type str"),
        ({1: {}}, r"what\[1\] is of type dict"),
    ]
    for what, message in wrong:
        with pytest.raises(InputTypeError, match=message):
            plot_variance(what, ax=ax)
    for what, place in ((symbolic, "what"), ([good, symbolic], r"what\[1\]"), (lv.LargeBatchExpansion([0, a]), "what")):
        with pytest.raises(InputError, match=f"{place} has the symbols a: substitute numbers first"):
            plot_loss(what, ax=ax)
    for empty in ([], (), {}):
        with pytest.raises(InputError, match="what is empty: give at least one result"):
            plot_variance(empty, ax=ax)
    with pytest.raises(InputTypeError, match="give what linvar.expected_loss"):
        plot_loss(18, ax=ax)
    assert not ax.lines


@pytest.mark.parametrize("other", ["a", 3, [None], Figure(), Figure().subplots(2)])
def test_what_is_no_axes_is_refused_before_anything_is_drawn(other):
    history = lv.NoiseHistory()
    for call in (
        lambda: plot_variance(BatchPolynomial([0, 18]), other),
        lambda: plot_loss(BatchPolynomial([0, 18]), ax=other),
        lambda: lv.plot_noise(history, other),
    ):
        with pytest.raises(InputTypeError, match="^ax=.* is of type .*: give one Axes to draw into"):
            call()


def test_batch_sizes_and_labels_that_do_not_fit_are_refused(ax):
    one = BatchPolynomial([0, 18])
    for wrong in (5, [1, "2"], [[1]], [1.5], None.__class__, [True, 2], np.array([True])):
        with pytest.raises(InputTypeError, match="batch_sizes=.* has no integers: give a list of integers >= 1"):
            plot_variance(one, ax=ax, batch_sizes=wrong)
    with pytest.raises(InputError, match="batch_sizes is empty"):
        plot_variance(one, ax=ax, batch_sizes=[])
    with pytest.raises(InputError, match="^batch_sizes=-3 is too small, a batch has at least 1 example"):
        plot_variance(one, ax=ax, batch_sizes=iter([2, -3]))
    with pytest.raises(InputError, match="^batch_sizes has more than 100,000 integers: give fewer"):
        plot_variance(one, ax=ax, batch_sizes=range(1, 10**12))
    with pytest.raises(InputError, match="has no place on an axis"):
        plot_variance(one, ax=ax, batch_sizes=[10**301])
    for what, label, message in (
        ([one, one], ["a"], "label has 1 string, and what 2 results: give one for each"),
        ([one, one], "a", "label has 1 string"),
        (one, ["a", "b"], "label=.* is of type list: give a string"),
        (one, 3, "label=3 is of type int"),
        ([one], [3], "label=.* is of type"),
        ({"x": one}, "a", "label='a' is given, and what is a dict of labels: leave it out"),
    ):
        with pytest.raises(InputError, match=message):
            plot_variance(what, ax=ax, label=label)
    assert not ax.lines


# room


def test_room_is_found_where_nothing_is_and_made_where_everything_is_full(ax):
    ax.plot([0, 1], [0, 1])
    one, two = arrange(ax, [Wanted(0.3, 0.2, True), Wanted(0.3, 0.2, False)])
    assert not one.meets(two) and {one.left < 0.5, two.left < 0.5} == {True, False}
    full = Figure().subplots()
    full.plot(np.tile([0, 1], 50), np.linspace(0, 1, 100))
    before = full.get_ylim()
    boxes = arrange(full, [Wanted(0.9, 0.2, True), Wanted(0.9, 0.1, False)])
    low, high = full.get_ylim()
    heights = (full.transData - full.transAxes).transform([(0, 0), (0, 1)])[:, 1]
    assert low < before[0] and high > before[1] and boxes[0].low >= heights[1] and sum(boxes[1][1::2]) <= heights[0]
    assert Box(0, 0, 1, 1).meets(Box(0.5, 0.5, 1, 1)) and not Box(0, 0, 1, 1).meets(Box(1, 0, 1, 1))
    assert wanted(full, full.text(0, 0.5, "a note"), True).width > 0.05


# pyplot


def test_without_an_axes_a_pyplot_figure_is_made_and_never_shown():
    code = (
        "import matplotlib; matplotlib.use('Agg')\n"
        "from matplotlib import pyplot\n"
        "def show(*a, **k): raise SystemExit('show was called')\n"
        "pyplot.show = show\n"
        "import linvar\n"
        "axes = linvar.plot_variance(linvar.BatchPolynomial([0, 18]))\n"
        "assert pyplot.get_fignums() == [axes.figure.number] and axes.figure.get_figwidth() == 5\n"
        "try: linvar.plot_loss(3)\n"
        "except TypeError: pass\n"
        "assert len(pyplot.get_fignums()) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_with_an_axes_pyplot_is_not_imported_and_no_half_that_is_not_drawn():
    code = (
        "import sys\n"
        "import linvar, linvar.plotting.variance\n"
        "assert not {'matplotlib', 'jax', 'flint', 'sympy', 'numpy'} & set(sys.modules)\n"
        "from matplotlib.figure import Figure\n"
        "linvar.plot_variance(linvar.BatchPolynomial([0, 18]), ax=Figure().subplots())\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'jax' not in sys.modules and 'sympy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
