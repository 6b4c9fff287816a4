"""Pictures of noise: what is drawn is what was measured, and what cannot be drawn is counted."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.plotting.style import COLOURS

RNG = np.random.default_rng(4)
X = RNG.normal(1, 3, size=(30, 50, 9)).astype("float32")
PARAMS = {f"leaf {k}": jnp.ones(()) for k in range(9)}
plot = inspect.unwrap(lv.plot_noise)  # without the checked annotations of the tests


def loss(p, x):
    """Nine leaves, the noise of the last the largest."""
    return sum(p[f"leaf {k}"] * x[k] * (1 + k) for k in range(9))


def history_of(batches, **options):
    """At fixed parameters."""
    moments_of = jax.jit(lambda x: lv.gradient_moments(loss, PARAMS, x))
    history = lv.NoiseHistory()
    for step, x in enumerate(batches):
        history.append(5 * step, moments_of(x), **options)
    return history


HISTORY = history_of(X)


@pytest.fixture
def ax():
    return Figure().subplots()


def line(ax, label):
    """The one line of a label."""
    (found,) = (own for own in ax.lines if own.get_label() == label)
    return found


def words(ax):
    """All that is written beside the axes."""
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_a_run_is_drawn_as_it_was_smoothed(ax):
    assert lv.plot_noise(HISTORY, ax) is ax
    drawn = line(ax, "averaged")
    assert drawn.get_xdata().tolist() == HISTORY.steps.tolist()
    np.testing.assert_array_equal(drawn.get_ydata(), HISTORY.smoothed().noise_scale)
    last = HISTORY.smoothed().noise_scale[-1]
    assert words(ax) == [f"{last:.3g}"] and line(ax, "last: the critical batch size").get_ydata()[0] == last
    assert line(ax, "batch size 50").get_ydata().tolist() == [50.0] * 30
    points = np.concatenate([own.get_ydata() for own in ax.lines if own.get_marker() == "."])
    np.testing.assert_array_equal(points[~np.isnan(points)], HISTORY.noise_scale)
    assert ax.get_yscale() == "log" and ax.get_xlabel() == "step" and "tr Cov" in ax.get_ylabel()


def test_options_of_the_smoothing_and_the_batch_size(ax):
    lv.plot_noise(HISTORY, ax, window=4, label="four", batch_size=7)
    np.testing.assert_array_equal(line(ax, "four").get_ydata(), HISTORY.smoothed(window=4).noise_scale)
    assert line(ax, "batch size 7") is not None
    lv.plot_noise(HISTORY, ax, decay=0.5, label="half")
    np.testing.assert_array_equal(line(ax, "half").get_ydata(), HISTORY.smoothed(decay=0.5).noise_scale)


def test_the_averages_of_a_recorder_are_taken_as_they_are(ax):
    recorder, history = lv.record_noise(decay=0.5), lv.NoiseHistory()
    state = recorder.init(PARAMS)
    for step, x in enumerate(X[:4]):
        moments = lv.gradient_moments(loss, PARAMS, x)
        _, state = recorder.update(moments.mean, state, PARAMS, moments=moments)
        history.append(step, state)
    drawn = line(lv.plot_noise(history, ax), "averaged").get_ydata()
    np.testing.assert_array_equal(drawn, history.averaged.noise_scale)
    assert abs(drawn[-1] / history.smoothed().noise_scale[-1] - 1) > 1e-3
    assert not [own for own in ax.lines if "batch size" in own.get_label() and "critical" not in own.get_label()]


def test_what_is_beyond_the_axis_is_counted(ax):
    odd = history_of([X[0], X[1] - X[1].mean(axis=0), np.full_like(X[0], np.nan), X[2]])
    assert np.isinf(odd.noise_scale[1]) and np.isnan(odd.noise_scale[2])
    lv.plot_noise(odd, ax, window=40)
    assert ax.get_title(loc="left") == "triangles: 1 single step beyond the axis, or infinite"
    assert [np.isfinite(own.get_ydata()).sum() for own in ax.lines if own.get_marker() in "^v"] == [1, 0]


def test_leaves_have_lines_of_their_own_and_the_rest_one_name(ax):
    lv.plot_noise(HISTORY, ax, per_leaf=True)
    labels = ax.get_legend_handles_labels()[1]
    named = [name for name in labels if name.startswith("leaf ")]
    assert named == [f"leaf {k}" for k in (8, 7, 6, 5, 4, 3)] and "3 other leaves" in labels and "all leaves" in labels
    np.testing.assert_array_equal(line(ax, "leaf 8").get_ydata(), HISTORY.per_leaf["leaf 8"].smoothed().noise_scale)
    looks = {(line(ax, name).get_color(), line(ax, name).get_linestyle()) for name in (*named, "all leaves")}
    assert len(looks) == len({colour for colour, _ in looks}) == len(COLOURS)


def test_several_runs_have_their_own_colours(ax):
    other = history_of(X[:5, :20])
    lv.plot_noise({"large": HISTORY, "small": other}, ax)
    for name, size, own in (("large", 50, HISTORY), ("small", 20, other)):
        assert line(ax, name).get_color() == line(ax, f"batch size {size}").get_color()
        np.testing.assert_array_equal(line(ax, name).get_ydata(), own.smoothed().noise_scale)
    assert line(ax, "large").get_color() != line(ax, "small").get_color() and len(words(ax)) == 2
    assert ax.get_legend_handles_labels()[1].count("last: the critical batch size") == 1
    listed = lv.plot_noise([HISTORY, HISTORY], ax=Figure().subplots())
    assert listed.get_legend_handles_labels()[1][:3] == ["0", "1", "batch size 50"]


def test_a_batch_size_that_several_runs_have_is_named_once(ax):
    history = history_of(np.random.default_rng(0).normal(1, 1, (6, 50, 2)))
    unknown = lv.NoiseHistory.from_dict({**history.to_dict(), "batch_size": ["nan", *[50] * 5]})
    lv.plot_noise({"long": history, "short": history[:3], "unknown at first": unknown}, ax)
    names = ax.get_legend_handles_labels()[1]
    assert names.count("batch size 50") == 1 and "batch size used" not in names
    drawn = [
        own.get_ydata().tolist()
        for own in ax.lines
        if own.get_linestyle() == ":" and own.get_drawstyle() == "steps-post"
    ]
    assert drawn[:2] == [[50.0] * 6, [50.0] * 3] and drawn[2][1:] == [50.0] * 5


def test_a_data_set_leaf_by_leaf_with_intervals(ax):
    noise = lv.noise_scale(loss, PARAMS, X.reshape(-1, 9))
    lv.plot_noise(noise, ax, batch_size=64)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["all leaves", *(f"leaf {k}" for k in range(9))]
    ends = {int(own.get_ydata()[0]): tuple(own.get_xdata()) for own in ax.lines if own.get_linewidth() == 3}
    assert ends[0] == noise.interval() and len(ends) == 10
    assert ends[9] == tuple(noise.interval_per_leaf()["leaf 8"])
    dots = {int(own.get_ydata()[0]): own.get_xdata()[0] for own in ax.lines if own.get_marker() == "o"}
    assert dots[0] == noise.noise_scale and dots[9] == noise.noise_scale_per_leaf["leaf 8"]
    assert "1,500 examples, 95 % intervals" in ax.get_title(loc="left") and ax.get_xscale() == "log"
    alone = lv.plot_noise(noise, ax=Figure().subplots(), per_leaf=False, label="digits")
    assert [tick.get_text() for tick in alone.get_yticklabels()] == ["digits"]


def test_a_mean_that_is_not_resolved_is_an_arrow(ax):
    centred = X.reshape(-1, 9)[:200] - X.reshape(-1, 9)[:200].mean(axis=0)
    noise = lv.noise_scale(loss, PARAMS, centred)
    assert noise.noise_scale == np.inf == noise.interval()[1]
    lv.plot_noise(noise, ax, per_leaf=False)
    assert words(ax) == [f"> {noise.interval()[0]:,.0f}"] and not [own for own in ax.lines if own.get_marker() == "o"]
    with pytest.warns(RuntimeWarning, match="a single block"):
        unknown = lv.noise_scale(loss, PARAMS, iter([centred[:20]]))
    assert "too small: 1 block" in lv.plot_noise(unknown, ax=Figure().subplots()).get_title(loc="left")


def test_a_first_order_path_with_its_parts(ax, key):
    data = np.asarray([-1.0, 1.0, 2.0])
    path = lv.first_order(lambda w, x: 0.25 * (w - x) ** 4, 3.0, data, 0.05, 6)
    lv.plot_noise(path, ax, label="beta")
    np.testing.assert_array_equal(line(ax, "beta").get_ydata(), path.variance.coefficient)
    np.testing.assert_array_equal(line(ax, "last batch, tr Cov(g)").get_ydata(), path.per_example)
    assert np.isnan(line(ax, "batches before").get_ydata()[0]) and ax.get_yscale() == "log" and not ax.collections
    still = lv.first_order(lambda w, x: 0.5 * w**2 + 0 * x, 3.0, data, 0.05, 1, method="probes", key=key)
    probes = lv.plot_noise(still, ax=Figure().subplots())
    assert probes.get_yscale() == "linear" and len(probes.collections) == 1


@pytest.mark.parametrize(
    ("noise", "options", "error", "message"),
    [
        (3, {}, InputTypeError, "noise is of type int: give a NoiseHistory, several in a list"),
        ([HISTORY, 3], {}, InputTypeError, r"noise\[1\] is of type int"),
        ({"run": lv.NoiseHistory()}, {}, InputError, r"noise\['run'\] is empty: append to it first"),
        (lv.NoiseHistory(), {}, InputError, "noise is empty: append"),
        ([], {}, InputError, "noise is empty: give a history"),
        ([HISTORY], {"per_leaf": True}, InputError, "per_leaf=True is for one history: leave it out"),
        (HISTORY, {"per_leaf": 1}, InputTypeError, "per_leaf=1 is of type int: write True or False"),
        (HISTORY, {"decay": 0.5, "window": 2}, InputError, "window=2 is given beside decay"),
        (HISTORY, {"batch_size": 0}, InputError, "batch_size=0: give the number of examples"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_there_is_a_figure(noise, options, error, message, ax):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    with pytest.raises(error, match=message):
        plot(noise, **options)
    assert pyplot.get_fignums() == before


def test_a_picture_without_axes_is_a_figure_of_pyplot():
    import matplotlib

    with matplotlib.rc_context({"backend": "Agg"}):
        from matplotlib import pyplot

        axes = lv.plot_noise(HISTORY[:1])
        assert axes.figure.number in pyplot.get_fignums()
        axes.figure.canvas.draw()
        pyplot.close(axes.figure)
