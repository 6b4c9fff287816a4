"""A history of noise: to append waits for nothing, what is saved comes back, what is smoothed is a ratio of means."""

import copy
import inspect
import json
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.numeric.gradients import history as histories
from linvar.numeric.gradients import readings
from linvar.text_files import FileError, MissingFileError

RNG = np.random.default_rng(3)
X = RNG.normal(1, 2, size=(12, 40, 3)).astype("float32")
PARAMS = {"w": jnp.asarray([[1.0, -0.5]] * 3), "b,c": jnp.ones(2)}
RECORDER = lv.record_noise(decay=0.5)


def loss(p, x):
    """Two leaves, one with a comma in its name."""
    return jnp.sum((x @ p["w"] + p["b,c"]) ** 2) / 2


@jax.jit
def moments_of(x):
    """At fixed parameters."""
    return lv.gradient_moments(loss, PARAMS, x)


@partial(jax.jit, donate_argnums=0)
def train(state, x):
    """A step whose state is donated."""
    moments = lv.gradient_moments(loss, PARAMS, x)
    return RECORDER.update(moments.mean, state, PARAMS, moments=moments)[1], moments.loss


def recorded(batches, **options):
    """A history of a run, and what the device said at every step."""
    history, state, said = lv.NoiseHistory(), RECORDER.init(PARAMS), []
    for step, x in enumerate(batches):
        state, value = train(state, x)
        history.append(10 * step, lv.recorded_noise((state, optax.EmptyState())), loss=value, **options)
        said.append(jax.tree.map(jnp.copy, (state, value)))
    return history, said


HISTORY, SAID = recorded(X, batch_size=40)
append, smoothed = map(
    inspect.unwrap, (lv.NoiseHistory.append, lv.NoiseHistory.smoothed)
)  # without the checked annotations
MIXED = lv.NoiseHistory()
for _step, _noise in enumerate([SAID[0][0], moments_of(X[1]), moments_of(np.full_like(X[0], np.nan)), SAID[3][0]]):
    MIXED.append(_step, _noise)


def test_a_donated_state_is_kept_number_for_number():
    assert len(HISTORY) == 12 and HISTORY.steps.tolist() == list(range(0, 120, 10))
    assert HISTORY.leaves == ("b,c", "w") and (HISTORY.batch_size == 40).all() and not HISTORY.skipped.any()
    np.testing.assert_array_equal(HISTORY.loss, [float(value) for _, value in SAID])
    np.testing.assert_allclose(HISTORY.trace, [float(r.variance) for r, _ in SAID], rtol=1e-6)
    np.testing.assert_allclose(HISTORY.noise_scale, [float(r.noise_scale) for r, _ in SAID], rtol=1e-5)
    np.testing.assert_allclose(
        HISTORY.averaged.noise_scale, [float(r.smoothed_noise_scale) for r, _ in SAID], rtol=1e-5
    )
    for name, own in HISTORY.per_leaf.items():
        assert own.trace.tolist() == [float(r.trace[name]) for r, _ in SAID] and own.leaves == (name,)
        found = [float(r.smoothed_noise_scale_per_leaf[name]) for r, _ in SAID]
        np.testing.assert_allclose(own.averaged.noise_scale, found, rtol=1e-5)


def test_its_own_smoothing_is_that_of_the_recorder():
    mine = HISTORY.smoothed(decay=0.5)
    np.testing.assert_allclose(mine.noise_scale, HISTORY.averaged.noise_scale, rtol=1e-5)
    np.testing.assert_allclose(mine.per_leaf["w"].trace, HISTORY.averaged.per_leaf["w"].trace, rtol=1e-5)
    assert HISTORY.smoothed(decay=0.0) == HISTORY.smoothed(window=1) == HISTORY
    assert HISTORY.smoothed() == HISTORY.smoothed(decay=0.95) != mine


@pytest.mark.parametrize("window", [2, 5, 12, 40])
def test_a_window_is_a_ratio_of_means(window):
    found = HISTORY.smoothed(window=window)
    for k in range(12):
        part = slice(max(0, k + 1 - window), k + 1)
        means = HISTORY.trace[part].mean(), HISTORY.squared_mean[part].mean()
        np.testing.assert_allclose(found.noise_scale[k], means[0] / means[1], rtol=1e-12)
    wrong = HISTORY.noise_scale[:2].mean()  # a mean of ratios is another number
    assert abs(found.noise_scale[1] / wrong - 1) > 1e-4


def test_what_is_not_finite_enters_no_average():
    trace, scale = MIXED.trace, MIXED.smoothed(window=2).noise_scale
    assert np.isnan(trace[2]) and np.isfinite(trace[[0, 1, 3]]).all() and scale[2] == scale[1]
    np.testing.assert_allclose(scale[3], (trace[1] + trace[3]) / (MIXED.squared_mean[1] + MIXED.squared_mean[3]))
    assert MIXED.skipped.tolist() == [0, 0, 1, 0]  # the last record counts its own
    assert np.isnan(MIXED[2:3].smoothed().noise_scale).all()
    assert np.isnan(MIXED.averaged.noise_scale).tolist() == [False, True, True, False]


def test_no_measurement_counts_twice():
    recorder = lv.record_noise(accumulate=2)
    history, state = lv.NoiseHistory(), recorder.init(PARAMS)
    for step, x in enumerate([X[0], X[1], X[2], np.full_like(X[0], np.inf), X[3], X[4]]):
        own = moments_of(x)
        _, state = recorder.update(own.mean, state, PARAMS, moments=own)
        history.append(step, state)
    assert np.isfinite(history.trace).tolist() == [False, True, False, False, True, False]
    assert (
        history.skipped.tolist() == [0, 0, 0, 1, 1, 1]
        and np.isnan(history.averaged.trace).tolist() == [True] + [False] * 5
    )
    continued = pickle.loads(pickle.dumps(history[:2]))
    continued.append(2, state._replace(count=history_count(history, 1)))
    assert np.isfinite(continued.trace[1:]).all()  # another measurement of the same number
    assert history.smoothed(window=2)[-1].trace == pytest.approx((history.trace[1] + history.trace[4]) / 2)


def history_count(history, place):
    """The recorder's count at an entry."""
    return jnp.asarray(history._rows.column("count")[place], jnp.int32)


def test_appending_waits_for_nothing_and_reading_does():
    @jax.jit
    def slow(x):
        busy = jax.lax.fori_loop(0, 300, lambda i, y: jnp.sin(y) + y @ y * 1e-9, jnp.ones((400, 400)))
        return lv.gradient_moments(loss, PARAMS, x + 0 * busy[0, 0])

    slow(X[0]).trace.block_until_ready()
    history = lv.NoiseHistory()
    history.append(0, moments_of(X[0]))
    history.append(1, slow(X[1]), loss=jnp.asarray(2.5))
    assert not all(x.is_ready() for x in history._pending[-1].device) and len(history) == 2
    assert history.loss[1] == 2.5 and history.trace[1] == pytest.approx(float(moments_of(X[1]).trace), rel=1e-5)
    assert not history._pending


def test_old_entries_leave_the_device(monkeypatch):
    monkeypatch.setattr(histories, "_UNDER_WAY", 4)
    history = lv.NoiseHistory()
    for step in range(11):
        history.append(step, SAID[step][0])
        assert len(history._pending) <= 4 and len(history) == step + 1
    assert history.trace.tolist() == HISTORY.trace[:11].tolist()


def test_an_interrupted_wait_loses_nothing(monkeypatch):
    history = lv.NoiseHistory()
    for step in range(3):
        history.append(step, SAID[step][0])
    arrive = readings.Packed.numbers

    def interrupted(packed):
        if packed.step == 1:
            raise KeyboardInterrupt
        return arrive(packed)

    with monkeypatch.context() as patch:
        patch.setattr(readings.Packed, "numbers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _ = history.trace
    assert len(history) == 3 and history.trace.tolist() == HISTORY.trace[:3].tolist()


def test_numbers_of_several_devices_are_taken_one_by_one(monkeypatch):
    def refuse(_):
        raise ValueError("Received incompatible devices for jitted computation")

    monkeypatch.setattr(readings, "_stacked", refuse)
    again = lv.NoiseHistory()
    again.append(0, moments_of(X[0]))
    assert again[0].trace_per_leaf == {name: float(x) for name, x in moments_of(X[0]).trace_per_leaf.items()}


def test_double_precision_stays():
    with jax.enable_x64(True):
        own = lv.gradient_moments(lambda w, x: w * x, np.float64(1), np.asarray([1e25, 2e25, 4e25]))
        _, state = RECORDER.update(own.mean, RECORDER.init(np.float64(1)), None, moments=own)
        for noise in (own, state, jax.device_get(state)):
            history = lv.NoiseHistory()
            history.append(0, noise, loss=0.1)
            assert history.trace[0] == float(own.trace) > 1e40 and history.leaves == ("params",)
            assert history.loss[0] == 0.1


def test_a_noise_scale_and_moments_bring_their_own_loss():
    found = lv.noise_scale(loss, PARAMS, X.reshape(-1, 3))
    history = lv.NoiseHistory()
    history.append(3, found)
    history.append(7, moments_of(X[0]))
    history.append(8, moments_of(X[0]), loss=1, batch_size=np.int64(5))
    assert history.loss.tolist() == [found.loss, float(moments_of(X[0]).loss), 1.0]
    assert np.isnan(history.batch_size[0]) and history.batch_size[1:].tolist() == [40, 5]
    assert history.noise_scale[0] == pytest.approx(found.noise_scale) and history[0].batch_size is None


def test_cancelled_steps_are_counted():
    with pytest.warns(RuntimeWarning, match="mean gradient dominates"):
        lost = lv.gradient_moments(lambda w, x: w @ (1 + 1e-6 * x), jnp.ones(3), X[0])
    history = lv.NoiseHistory()
    for step in range(3):
        history.append(step, lost)
    assert history.cancelled.tolist() == [1, 2, 3] and "3 cancelled" in repr(history)


def test_entries_and_slices():
    entry = HISTORY[3]
    assert (entry.step, entry.batch_size, HISTORY[-1].step) == (30, 40, 110)
    assert entry.noise_scale == HISTORY.noise_scale[3] and entry.trace_per_leaf.keys() == {"w", "b,c"}
    assert entry.noise_scale_per_leaf["w"] == HISTORY.per_leaf["w"].noise_scale[3]
    assert [e.step for e in HISTORY] == HISTORY.steps.tolist() and list(HISTORY)[3] == entry
    assert HISTORY[2:9:3].steps.tolist() == [20, 50, 80] and len(HISTORY[20:]) == 0
    with pytest.raises(IndexError):
        HISTORY[12]
    with pytest.raises(InputError, match="cut backwards"):
        HISTORY[::-1]
    table = entry.to_table()
    assert [row[0].value for row in table.rows] == ["b,c", "w", "total"] and table.rows[2][3].value == entry.noise_scale


def test_it_is_shown_in_one_line_and_as_a_table():
    last = f"noise_scale={HISTORY.noise_scale[-1]:.4g} at the last"
    assert repr(HISTORY) == f"NoiseHistory(12 entries, steps 0 to 110, {last}, 2 leaves)"
    assert repr(lv.NoiseHistory()) == "NoiseHistory(empty)" and "empty" in str(lv.NoiseHistory().to_table())
    assert "1 entry, step 20" in repr(HISTORY[2:3]) and repr(HISTORY[3]).startswith("NoiseEntry(step=30, noise_scale=")
    table = HISTORY.to_table()
    assert table.columns == (
        "step",
        "noise scale",
        "averaged noise scale",
        "trace",
        "squared mean",
        "loss",
        "batch size",
    )
    assert [row[1].value for row in table.rows] == HISTORY.noise_scale.tolist()
    long = lv.NoiseHistory()
    for step in range(60):
        long.append(step, SAID[step % 12][0])
    assert long._repr_html_().count("<tr>") == 42 and "20 of 60 rows" in long._repr_html_()
    assert MIXED.to_table().columns[-1] == "skipped"


def test_equality_looks_at_all_numbers():
    assert MIXED == copy.deepcopy(MIXED) == pickle.loads(pickle.dumps(MIXED)) and MIXED != 3 and MIXED[:3] != MIXED
    other = copy.deepcopy(MIXED)
    other._rows.table[1, 1] += 1e-9
    assert other != MIXED


@pytest.mark.parametrize("ending", ["csv", "JSON"])
def test_what_is_saved_comes_back_and_goes_on(tmp_path, ending):
    odd = copy.deepcopy(MIXED)
    odd._rows.table[1, odd._rows.places("squared_mean")] = -0.0, -np.inf
    odd._rows.table[0, 1:3] = 0.1 + 0.2, np.nan
    for history in (HISTORY, odd, HISTORY[:0], lv.NoiseHistory(), HISTORY[:1]):
        path = tmp_path / f"noise.{ending}"
        history.save(path)
        found = lv.NoiseHistory.load(path)
        assert found == history and np.signbit(found.squared_mean).tolist() == np.signbit(history.squared_mean).tolist()
        found.append(1000, SAID[5][0])
        assert found[-1].step == 1000 and len(found) == len(history) + 1
    assert lv.NoiseHistory.from_dict(json.loads(json.dumps(odd.to_dict(), allow_nan=False))) == odd


def test_a_table_for_pandas(tmp_path):
    HISTORY.save(tmp_path / "noise.csv")
    header, first = (tmp_path / "noise.csv").read_text().splitlines()[:2]
    assert header.startswith("step,noise_scale,trace,squared_mean,loss,batch_size,count,skipped,cancelled,")
    assert '"trace:b,c",trace:w' in header and first.startswith(f"0,{float(HISTORY.noise_scale[0])!r},")


def test_a_restarted_run_goes_back():
    again = HISTORY.up_to(45)
    assert again.steps.tolist() == [0, 10, 20, 30, 40] and HISTORY.up_to(40) == again and len(HISTORY.up_to(-1)) == 0
    again.append(50, SAID[5][0], loss=SAID[5][1], batch_size=40)
    assert again == HISTORY.up_to(50) and len(HISTORY) == 12


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda h: h.append(110, SAID[0][0]),
            InputError,
            r"step=110 is not after the last, 110: .*history.up_to\(step\)",
        ),
        (lambda h: h[:0].append(-1, SAID[0][0]), InputError, "step=-1: give a step >= 0"),
        (lambda h: h.append(True, SAID[0][0]), InputTypeError, "step=True is a truth value"),
        (
            lambda h: h.append(200, 3.5),
            InputTypeError,
            r"noise is of type float: give linvar.recorded_noise\(opt_state\)",
        ),
        (lambda h: h.append(200, SAID[0][0], loss="low"), InputTypeError, "loss='low'.*give one number"),
        (lambda h: h.append(200, SAID[0][0], loss=np.ones(2)), InputTypeError, "give one number"),
        (lambda h: h.append(200, SAID[0][0], batch_size=0), InputError, "batch_size=0: give the number"),
        (lambda h: append(h, 200, SAID[0][0], batch_size=2.0), InputTypeError, "batch_size=2.0"),
        (
            lambda h: h.append(200, RECORDER.init({"w": 1.0})),
            InputError,
            "has the leaves w, where the history has b,c, w",
        ),
        (lambda h: h[:0].append(200, RECORDER.init({})), InputError, "noise has no leaf"),
        (lambda h: h.append(200, jax.eval_shape(RECORDER.init, PARAMS)), InputTypeError, "noise is abstract"),
        (lambda h: jax.jit(lambda x: h.append(200, moments_of(x)))(X[0]), InputTypeError, "noise is traced"),
        (
            lambda h: h.append(200, jax.vmap(moments_of)(X)),
            InputError,
            r"of shape \(12,\), as of many runs: keep a history of",
        ),
        (lambda h: h.smoothed(decay=0.5, window=3), InputError, "window=3 is given beside decay"),
        (lambda h: smoothed(h, decay=1), InputError, "decay=1: give the weight of the past"),
        (lambda h: smoothed(h, decay="0.9"), InputTypeError, "decay='0.9'"),
        (lambda h: h.smoothed(window=0), InputError, "window=0: give a number of entries"),
        (lambda h: h.save("noise.txt"), InputError, "path='noise.txt': give a name that ends in .csv or .json"),
        (lambda h: h.load("nowhere.csv"), MissingFileError, "'nowhere.csv' does not exist"),
    ],
)
def test_what_a_history_cannot_take_is_refused(call, error, message):
    history = HISTORY[:]
    with pytest.raises(error, match=message):
        call(history)
    assert history == HISTORY


def changed(change):
    """The plain data of a history with one thing changed."""
    data = copy.deepcopy(MIXED.to_dict())
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="linvar noise history 9"), "format='linvar noise history 9'"),
        (lambda d: d.pop("count"), "has no key count"),
        (lambda d: d.update(more=1), "has the unknown key 'more'"),
        (lambda d: d["step"].reverse(), r"step\[1\]=2 is not after the one before"),
        (lambda d: d["step"].__setitem__(0, -1), "step=-1.0 is no whole number"),
        (lambda d: d["step"].__setitem__(0, "nan"), "step=nan is no whole number"),
        (lambda d: d["skipped"].__setitem__(0, 0.5), "skipped=0.5"),
        (lambda d: d["batch_size"].__setitem__(0, 0), "batch_size=0.0"),
        (lambda d: d["loss"].__setitem__(1, "1_0"), r"loss\[1\] is .*1_0.*, no number"),
        (lambda d: d["loss"].__setitem__(1, True), r"loss\[1\] is true, no number"),
        (lambda d: d["loss"].pop(), "columns of different lengths"),
        (lambda d: d.update(loss="12"), "loss is .*12.*: give a list"),
        (lambda d: d["trace"].pop("w"), "squared_mean has other leaves than trace"),
        (lambda d: d.update(trace=[1]), "has a block that is no object"),
        (lambda d: [d.pop(k) for k in (*d,) if "average" in k] + [d.update(trace={}, squared_mean={})], "without a leaf"),
    ],
)  # fmt: skip
def test_hostile_data_are_named(change, message):
    with pytest.raises(InputError, match=message):
        lv.NoiseHistory.from_dict(changed(change))


CSV = "step,noise_scale,trace,squared_mean,loss,batch_size,count,skipped,cancelled,trace:w,squared_mean:w\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "has no column 'step'"),
        ("a.csv", CSV + "0,2,2,1,nan,nan,nan,0,0,2\n", "entry 0 has 10 fields, and the header 11"),
        ("a.csv", CSV + "0,3,2,1,nan,nan,nan,0,0,2,1\n", r"noise_scale\[0\]=3.0 does not follow"),
        ("a.csv", CSV + "0,2,2,1,nan,nan,nan,0,0,4,1\n", r"trace\[0\]=2.0 does not follow"),
        ("a.csv", CSV + "0,2,2,1,__import__,nan,nan,0,0,2,1\n", r"loss\[0\] is __import__, no number"),
        ("a.csv", CSV + '0,2,2,1,"nan,nan,nan,0,0,2,1\n', "is no CSV"),
        ("a.csv", CSV.replace("loss", "step"), "two columns of one name"),
        ("a.json", "[1", "is not JSON"),
        ("a.json", "[" * 100_000, "nested too deeply|is not JSON"),
        ("a.json", '{"format": "linvar noise history 1", "step": [], "step": []}', "step is given twice"),
        ("a.json", "[]", "data=.*is of type list"),
    ],
)
def test_hostile_files_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError, match=f"a.*holds something else: .*{message}"):
        lv.NoiseHistory.load(tmp_path / name)


def test_a_good_file_of_a_stranger(tmp_path):
    (tmp_path / "a.csv").write_text(CSV + "0,2,2,1,nan,nan,nan,0,0,2,1\n5,inf,2,-1,inf,64,7,1,0,2,-1\n")
    found = lv.NoiseHistory.load(tmp_path / "a.csv")
    assert found.noise_scale.tolist() == [2, np.inf] and found.loss[1] == np.inf and found[1].batch_size == 64
