"""Every experiment end to end at a tiny size; interruption, damage, foreign parts; what the runs measure."""

import inspect
import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiers import slow_but

from linvar.cli.app import main
from linvar.errors import InputError
from linvar.experiments import LINES, NAMES, get_experiment, run_experiment
from linvar.experiments.runner import Conclusion, Experiment, Options, Request, Study, run_study
from linvar.experiments.training import OPTIMIZERS, SCHEDULES, Task, make_optimizer, run_many, subsets_of
from linvar.numeric.laws.sampling import key_of

TABLE = Path(__file__).parents[1] / "tables" / "huge_column.csv"
OF_A_TABLE = {"regression": {"table": str(TABLE)}}
#: each has its like among the others; all of their names are in tests/experiments/test_findings.py or the demo
SLOW = {"digits-conv", "text", "three-layers", "diabetes", "diagonal", "two-layers"}
CASES = [
    pytest.param(n, {}, marks=pytest.mark.slow) if n in SLOW else (n, OF_A_TABLE.get(n, {}))
    for n in NAMES
    if n != "helps"
]
MNIST = pytest.param("digits-mlp", {"images": "mnist"}, marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "options"), [*CASES, MNIST])
def test_an_experiment_end_to_end(name, options, tmp_path):
    seen = []
    progress = lambda done, total: seen.append((done, total))  # noqa: E731
    options = {"seed": 1, **options}  # one at which the few runs of this size raise no false alarm
    result = run_experiment(name, size="tiny", directory=tmp_path, progress=progress, **options)
    kept = json.loads(result.file.read_text())
    parts = len(kept["cells"])
    assert seen == [(done, parts) for done in range(parts + 1)] and result.cells_found == 0
    assert sum(name.startswith("b-") for name in kept["cells"]) == 2
    assert kept["summary"] == result.summary and kept["results"] == result.results
    assert {"seed", "size", "versions", "device", "dtype", "experiment"} <= set(kept["settings"])
    assert result.picture.read_bytes().startswith(b"\x89PNG") and result.picture.stat().st_size > 10_000
    assert "b = " in "\n".join(result.summary) and str(result.picture) in str(result)
    assert "\n" not in repr(result) and repr(result).startswith(f"Result({name}: ") and str(result.file) in repr(result)
    table = result.to_table()
    assert table.notes[:-1] == tuple(result.summary) and all(line in str(result) for line in table.notes)
    assert len(table.rows) >= len(result.results) - 3 and name in result._repr_html_()
    for cell in (cell for name, cell in kept["cells"].items() if name.startswith("b-")):
        for value, error in (point for t in cell.values() if isinstance(t, dict) for point in t.values()):
            assert np.isfinite(value) and error >= 0
    agreement = kept["results"].get("exact", {"agree": kept["results"].get("agree", True)})
    assert agreement["agree"]
    again = run_experiment(name, size="tiny", directory=tmp_path, **options)
    assert (
        again.cells_found == parts and again.summary == result.summary and json.loads(result.file.read_text()) == kept
    )


KILLED = """
import os, signal, sys
from linvar.experiments import run_experiment
def progress(done, total):
    if done == 1:
        os.kill(os.getpid(), signal.SIGKILL)
run_experiment("rising", size="tiny", seed=3, directory=sys.argv[1], progress=progress)
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path):
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], timeout=300)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed" / "cells").iterdir()] == ["b-39.json"]
    assert not (tmp_path / "killed" / "rising.json").exists()
    resumed = run_experiment("rising", size="tiny", seed=3, directory=tmp_path / "killed")
    whole = run_experiment("rising", size="tiny", seed=3, directory=tmp_path / "whole")
    assert resumed.cells_found == 1 and whole.cells_found == 0
    for name in ("rising.json", "rising.png", "cells/b-39.json", "cells/b-61.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    other = run_experiment("rising", size="tiny", seed=4, directory=tmp_path / "other")
    assert other.results["rise"] != whole.results["rise"]


def quick(value=1.0):
    """An experiment without work."""
    computed = []

    def build(request):
        def cell():
            computed.append(1)
            return {"point": [value, float("nan")]}

        return Study(
            {"value": value}, {"one": cell}, lambda cells: Conclusion({"c": cells}, ["done"], lambda f: f.subplots())
        )

    return Experiment("quick", build), computed


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t[:-9],
        lambda t: "",
        lambda t: t.replace("1.0", "1.5"),
        lambda t: "[]",
        lambda t: t.replace("sum", "sun"),
    ],
)
def test_a_damaged_part_is_refused_and_computed_again_once_deleted(tmp_path, damage):
    experiment, computed = quick()
    run_study(experiment, Request(), tmp_path)
    path = tmp_path / "cells" / "one.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match="one.json' is damaged: delete it"):
        run_study(experiment, Request(), tmp_path)
    path.unlink()
    assert run_study(experiment, Request(), tmp_path).results == {"c": {"one": {"point": [1.0, None]}}}
    assert len(computed) == 2


@pytest.mark.parametrize("request_", [Request(seed=1), Request(size="full")])
def test_a_part_of_another_run_is_refused(tmp_path, request_):
    run_study(quick()[0], Request(), tmp_path)
    with pytest.raises(ValueError, match="another size, seed, option, device or version"):
        run_study(quick()[0], request_, tmp_path)
    with pytest.raises(ValueError, match="another size, seed, option, device or version"):
        run_study(quick(2.0)[0], Request(), tmp_path)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ValueError, match="name='nothing' is no experiment: write one of diabetes"):
        get_experiment("nothing")
    with pytest.raises(ValueError, match="colour='red' is no option of rising: it takes none"):
        run_experiment("rising", colour="red")
    with pytest.raises(ValueError, match="optimizer='adam' is no option of diabetes: it takes learning_rate"):
        run_experiment("diabetes", optimizer="adam", directory=tmp_path / "c")
    for name in ("two-layers", "diabetes"):
        for rate in ("fast", "-1/2", "0", "1/0", "inf", "1e-2"):
            words = (
                f"learning_rate='{rate}' is no fraction > 0 of at most 9 digits above and below: write one like 1/20"
            )
            with pytest.raises(ValueError, match=words):
                run_experiment(name, learning_rate=rate, directory=tmp_path / "c")
    with pytest.raises(ValueError, match="size='big' is unknown"):
        run_experiment("rising", size="big")
    with pytest.raises(ValueError, match="optimizer='best' is unknown: write one of sgd, momentum"):
        run_experiment("digits-mlp", size="tiny", optimizer="best", directory=tmp_path / "a")
    with pytest.raises(ValueError, match="images='cats' is unknown: write one of digits, mnist"):
        run_experiment("digits-mlp", size="tiny", images="cats", directory=tmp_path / "b")
    with pytest.raises(ValueError, match="learning_rate='x' is no number > 0"):
        run_experiment("digits-mlp", size="tiny", learning_rate="x", directory=tmp_path / "d")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot make the directory"):
        run_study(quick()[0], Request(), tmp_path / "file" / "below")


def test_a_picture_that_fails_does_not_lose_the_result(tmp_path):
    def draw(figure):
        raise RuntimeError("no picture")

    build = lambda request: Study({}, {"one": lambda: {"x": 1}}, lambda cells: Conclusion({"c": 2}, ["done"], draw))  # noqa: E731
    with pytest.raises(RuntimeError, match="no picture"):
        run_study(Experiment("blind", build), Request(), tmp_path)
    assert json.loads((tmp_path / "blind.json").read_text())["results"] == {"c": 2}


def test_a_picture_does_not_depend_on_the_users_style(tmp_path):
    import matplotlib

    experiment = quick()[0]
    run_study(experiment, Request(), tmp_path / "a")
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red"}):
        run_study(experiment, Request(), tmp_path / "b")
    assert (tmp_path / "a" / "quick.png").read_bytes() == (tmp_path / "b" / "quick.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ["rising"]}, "is no experiment: write one of diabetes"),
        ({"size": ["tiny"]}, "is unknown: write one of tiny, default, full"),
        ({"seed": -1}, "seed=-1 is out of range: give an integer from 0 to "),
        ({"seed": 10**5000}, "seed=<an integer of about 5001 digits> is out of range"),
        ({"seed": 1.5}, "seed=1.5 is of type float: give an integer"),
        ({"seed": True}, "seed=True is a truth value"),
        ({"directory": 5}, "directory=5 is of type int: give a path"),
        ({"directory": "a\0b"}, "is no path: give another path"),
        ({"name": "digits-mlp", "optimizer": ["sgd"]}, "optimizer=.* is unknown: write one of sgd, momentum"),
        ({"name": "digits-mlp", "optimizer": np.ones(2)}, "is unknown: write one of sgd"),
        ({"name": "text", "schedule": "never" * 1000}, "is unknown: write one of constant"),
        ({"name": "text", "learning_rate": 10**5000}, "is no number > 0: write one like 0.1"),
        ({"name": "text", "learning_rate": [1]}, "is no number > 0"),
        ({"name": "text", "learning_rate": True}, "learning_rate=True is no number > 0"),
        ({"name": "two-layers", "learning_rate": 10**5000}, "is no fraction > 0 of at most 9 digits"),
        ({"name": "two-layers", "learning_rate": "1/20" * 1000}, "is no fraction > 0"),
        ({"name": "two-layers", "learning_rate": True}, "learning_rate=True is no fraction > 0"),
    ],
)
def test_a_users_mistake_is_an_input_error_with_a_short_message(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        run_experiment(**{"name": "rising", "size": "tiny", "directory": tmp_path, **arguments})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("rate", [Fraction(1, 20), "1/20", "0.05", 0.05])
def test_a_rate_may_be_written_in_several_ways(rate):
    assert Request(options={"learning_rate": rate}).fraction("learning_rate", "1") == Fraction(1, 20)


def test_an_editor_knows_all_options_and_no_other():
    taken = {option for name in NAMES for option in get_experiment(name).options}
    assert set(Options.__annotations__) == taken and not Options.__required_keys__
    (last,) = (p for p in inspect.signature(run_experiment).parameters.values() if p.kind is p.VAR_KEYWORD)
    assert last.annotation == "Unpack[Options]"


@pytest.mark.parametrize("damage", ["[" * 100_000, "\udcff", '{"settings": 1, "sum": 2, "cell": ' + "9" * 5000 + "}"])
def test_a_part_that_python_cannot_read_is_damaged(tmp_path, damage):
    experiment, _ = quick()
    run_study(experiment, Request(), tmp_path)
    (tmp_path / "cells" / "one.json").write_bytes(damage.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="one.json' is damaged: delete it"):
        run_study(experiment, Request(), tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_part_that_is_a_fifo_is_refused_and_does_not_hang(tmp_path):
    (tmp_path / "cells").mkdir()
    os.mkfifo(tmp_path / "cells" / "one.json")
    with pytest.raises(InputError, match="one.json' is no regular file: delete it"):
        run_study(quick()[0], Request(), tmp_path)


def test_seeds_that_differ_above_32_bits_differ():
    assert key_of(2**32 + 3) != key_of(3) and key_of(3) == jax.random.key(3)


LOST = "All runs diverged by t = 1: the learning rate is too large; give a smaller one."
GROWN = "So it is at every b by t = 1: the learning rate is too large; give a smaller one."


@pytest.mark.parametrize(
    "name, rate, words",  # losses of about rate**6 in float64, and of rate**2 in float32
    [
        ("three-layers", "1000000", GROWN),
        pytest.param("digits-mlp", "1e30", LOST, marks=pytest.mark.slow),
    ],
)
def test_runs_that_all_diverge_end_in_a_summary(name, rate, words, tmp_path):
    """A rate that is far too large: the result, the picture, and what to do."""
    result = run_experiment(name, size="tiny", directory=tmp_path, learning_rate=rate)
    assert result.file.exists() and result.picture.exists()
    text = "\n".join(result.summary)
    assert words in text and "after 1 step: too few batch sizes to tell" in text


def regression(n=8, batch_size=3, optimizer=None):
    """A small regression task and its data."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    data = (jnp.asarray(x), jnp.asarray(y))
    loss = lambda w, e: 0.5 * (e[0] @ w - e[1]) ** 2  # noqa: E731
    return x, y, Task(loss, jnp.ones(2), subsets_of(data), data, data, optimizer or optax.sgd(0.1))


def test_the_runs_have_the_moments_of_every_run_enumerated():
    """t = 0 and 1, b = 3 of 8 rows without replacement: 56 and 56^2 runs, all of them; 6,000 drawn."""
    from itertools import combinations

    with jax.enable_x64(True):
        x, y, task = regression()
        found = run_many(task, 3, (0, 1), 6000, jax.random.key(0), lanes=500)
    batches = [list(rows) for rows in combinations(range(8), 3)]
    gradient = lambda w, rows: x[rows].T @ (x[rows] @ w - y[rows]) / len(rows)  # noqa: E731
    after = [np.ones(2)], [np.ones(2) - 0.1 * gradient(np.ones(2), rows) for rows in batches]
    for t, weights in enumerate(after):
        gradients = np.stack([gradient(w, rows) for w in weights for rows in batches])
        truth = {
            "variance": gradients.var(axis=0).sum(),
            "second_moment": (gradients**2).sum(axis=1).mean(),
            "squared_mean": (gradients.mean(axis=0) ** 2).sum(),
            "train_loss": np.mean([0.5 * np.mean((x @ w - y) ** 2) for w in weights]),
            # of one example's gradient, at the weights reached: the divisor of a sample from n rows is n - 1
            "trace": np.mean([(x * (x @ w - y)[:, None]).var(axis=0, ddof=1).sum() for w in weights]),
        }
        for name, value in truth.items():
            estimate, error = found[str(t)][name]
            assert abs(estimate - value) < 5 * error + 1e-12, (t, name)
            assert error < value / 8 and (error == 0 or abs(1.5 * estimate - value) > 5 * error), (t, name)


WAYS = [*((name, "constant") for name in OPTIMIZERS), *(("sgd", name) for name in SCHEDULES[1:])]
#: momentum, decay and both moments in one each; of the schedules one that is not constant
OFTEN = ("momentum", "constant"), ("weight-decay", "constant"), ("adamw", "constant"), ("sgd", "cosine")


@pytest.mark.parametrize("way", slow_but(WAYS, *OFTEN), ids="-".join)
def test_with_all_rows_a_run_is_the_optimizer_itself(way):
    """b = n: every run is the same, and is the loop written out."""
    optimizer, schedule = way
    made = make_optimizer(optimizer, 0.05, schedule, 8)
    with jax.enable_x64(True):
        x, y, task = regression(optimizer=made)
        found = run_many(task, 8, (0, 3, 8), 4, jax.random.key(0), lanes=2)
        w = jnp.ones(2)
        state = made.init(w)
        for t in range(9):
            gradient = x.T @ (x @ np.asarray(w) - y) / 8
            if str(t) in found:
                assert found[str(t)]["variance"][0] < 1e-28
                np.testing.assert_allclose(found[str(t)]["second_moment"][0], (gradient**2).sum(), rtol=1e-9)
                np.testing.assert_allclose(found[str(t)]["test_loss"][0], 0.5 * np.mean((x @ w - y) ** 2), rtol=1e-9)
            updates, state = made.update(jnp.asarray(gradient), state, w)
            w = optax.apply_updates(w, updates)


def test_optimizers_and_schedules_differ():
    ends = set()
    for optimizer in OPTIMIZERS:
        for schedule in SCHEDULES:
            made, w = make_optimizer(optimizer, 0.05, schedule, 8), jnp.ones(2)
            state = made.init(w)
            for _ in range(6):
                updates, state = made.update(w, state, w)
                w = optax.apply_updates(w, updates)
            ends.add(float(w[0]))
    assert len(ends) == len(OPTIMIZERS) * len(SCHEDULES)


def test_the_command_lists_the_experiments(capsys):
    assert main(["experiment", "nothing"]) == 2
    assert "is no experiment" in capsys.readouterr().err
    assert main(["experiment", "--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(LINES) == len(NAMES)


DEVICES = """
import json, jax, jax.numpy as jnp, numpy as np, optax
from linvar.experiments.training import Task, subsets_of, run_many
rng = np.random.default_rng(0)
data = (jnp.asarray(rng.normal(size=(40, 3)), "float32"), jnp.asarray(rng.normal(size=40), "float32"))
loss = lambda w, e: jnp.tanh(e[0] @ w - e[1]) ** 2
task = Task(loss, jnp.ones(3), subsets_of(data), data, data, optax.adam(0.1))
print(json.dumps([jax.device_count(), run_many(task, 5, (0, 3), 45, jax.random.key(2), lanes=4)]))
"""


@pytest.mark.slow
def test_several_devices_share_the_runs_and_give_the_same_numbers():
    found = []
    for flags in ("", "--xla_force_host_platform_device_count=4"):
        environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [sys.executable, "-c", DEVICES], capture_output=True, text=True, env=environment, timeout=200
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout))
    assert [devices for devices, _ in found] == [1, 4]
    one, four = (numbers for _, numbers in found)
    for t in one:
        for name in one[t]:
            np.testing.assert_allclose(four[t][name], one[t][name], rtol=1e-4, atol=1e-6)
