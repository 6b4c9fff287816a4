"""What a user can mend in the numeric half is an InputError: argument, value, cure, one short line; never a number."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linvar as lv
import linvar.numeric
from linvar.errors import InputError, InputTypeError, NotFiniteError
from linvar.numeric.gradients.checks import NoFiniteExamplesError
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError
from linvar.numeric.models.network import network_from_problem
from linvar.numeric.simulation.rare_batches import rare_batches

# as users have them: without the checks of annotations that the tests switch on
first_order, gradient_moments, noise_scale, record_noise, recorded_noise, regression_curve, simulate = (
    inspect.unwrap(getattr(linvar.numeric, name))
    for name in ("first_order", "gradient_moments", "noise_scale", "record_noise", "recorded_noise",
                 "regression_curve", "simulate")
)  # fmt: skip
two_batch_noise_scale = inspect.unwrap(linvar.numeric.two_batch_noise_scale)

ROOM = Path(linvar.numeric.__file__).parent
PROBLEM = lv.Problem([[[2, 1]]], lv.Gaussian([[-1, 1]]))
DATA = np.arange(12.0).reshape(4, 3)
HUGE = -(10**5000)
LONG = "x" * 10**6


def square(w, x):
    return jnp.sum((w * x) ** 2)


def moments(**changes):
    return gradient_moments(**{"loss": square, "params": jnp.ones(3), "batch": DATA, **changes})


def path(**changes):
    return first_order(
        **{"loss": square, "params": jnp.ones(3), "data": DATA, "learning_rate": 0.1, "steps": 1, **changes}
    )


def scale(**changes):
    return noise_scale(**{"loss": square, "params": jnp.ones(3), "data": DATA, **changes})


def runs(**changes):
    return simulate(**{"key": jax.random.key(0), "problem": PROBLEM, "batch_sizes": [2], "runs": 4, **changes})


def curve(**changes):
    given = {"inputs": DATA, "targets": np.ones(4), "weights": np.ones(3), "learning_rate": 0.1, "step": 1}
    return regression_curve(**{"batch_sizes": [1], **given, **changes})


def rare(**changes):
    given = {"key": jax.random.key(0), "problem": PROBLEM, "batch_size": 2, "runs": 4}
    return inspect.unwrap(rare_batches)(**{**given, **changes})


def update_without_moments():
    optimizer = optax.chain(record_noise())
    return optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))


WRONG = [
    (lambda: moments(loss=LONG), InputTypeError, "loss"),
    (lambda: moments(ddof=HUGE), InputError, "ddof=<an integer of about 5"),
    (lambda: moments(ddof=True), InputError, "ddof=True"),
    (lambda: moments(ddof=np.arange(10**6)), InputError, "ddof=<ndarray"),
    (lambda: moments(nan=LONG), InputError, "nan='xxx"),
    (lambda: moments(chunk_size=HUGE), InputError, "chunk_size=<an integer"),
    (lambda: moments(chunk_size=2.5), InputTypeError, "chunk_size=2.5"),
    (lambda: moments(byte_budget="all"), InputTypeError, "byte_budget='all'"),
    (lambda: moments(batched="no"), InputTypeError, "batched='no'"),
    (lambda: moments(centred=1), InputTypeError, "centred=1"),
    (lambda: moments(explain=None), InputTypeError, "explain=None"),
    (lambda: moments(key=np.zeros(10**6)), InputTypeError, "key=<ndarray"),
    (lambda: moments(key=jax.random.key(0), batched=True), InputError, "key is given with batched=True"),
    (lambda: moments(batch=np.asarray(["a", "b"])), InputTypeError, "batch=<ndarray"),
    (lambda: moments(batch=[DATA, LONG]), InputTypeError, r"batch\[1\]='xxx"),
    (lambda: moments(batch={str(i): np.ones(i + 1) for i in range(1000)}), InputError, "batch has leaves"),
    (lambda: moments(batch={"x": np.asarray([object()] * 4)}), InputTypeError, r"batch\['x'\]="),
    (lambda: moments(params={"w": LONG}), InputTypeError, "params has leaves of type str only"),
    (lambda: moments(params=np.ones(3) * 1j), InputTypeError, "params is complex"),
    (lambda: moments(loss=lambda w, x: w * x), InputError, "loss gives an array"),
    (lambda: moments(loss=lambda w, x: (w[0], x[0])), InputError, "loss gives 2 arrays"),
    (lambda: moments(loss=lambda w, x: jnp.int32(x[0])), InputTypeError, "loss gives int32"),
    (lambda: moments(loss=lambda w, x: w[0]), InputError, "loss does not depend on the example"),
    (lambda: moments(loss=lambda w, x: jnp.max(x @ w), batched=True), CoupledExamplesError, "loss couples"),
    (lambda: moments(batch=DATA * np.nan), NotFiniteError, "batch is not finite: 4 of 4"),
    (lambda: moments(batch=DATA * np.nan, nan="drop"), NoFiniteExamplesError, "batch has 0 examples"),
    (
        lambda: moments(batch=DATA * 1e18),
        NotFiniteError,
        "batch is finite, but its moments overflow: scale the loss, or",
    ),
    (lambda: path(loss=LONG), InputTypeError, "loss"),
    (lambda: path(steps=HUGE), InputError, "steps=<an integer"),
    (lambda: path(steps=10**30), InputError, "steps=10+: .* give at most 2147483647"),
    (lambda: curve(step=10**30), InputError, "step=10+: .* give at most 2147483647"),
    (lambda: path(nesterov="yes", momentum=0.5), InputTypeError, "nesterov='yes'"),
    (lambda: path(momentum=10**400), InputError, "momentum=<an integer"),
    (lambda: path(learning_rate=[[0.1], [0.2, 0.3]]), InputError, "learning_rate"),
    (lambda: path(learning_rate=np.zeros(10**4)), InputError, r"learning_rate has shape \(10000,\)"),
    (lambda: path(weights=["a", "b", "c", "d"]), InputTypeError, "weights="),
    (lambda: path(weights=[np.nan, 0, 0, 1]), InputError, "weights has entries that are not finite"),
    (lambda: path(method=LONG), InputError, "method='xxx"),
    (lambda: path(probes=HUGE, method="probes"), InputError, "probes=<an integer"),
    (lambda: path(data=lambda: LONG), InputTypeError, "data=.* is a function"),
    (lambda: path(data=np.asarray(["a", "b"])), InputTypeError, "data=<ndarray"),
    (lambda: path(loss=lambda w, x: (w,) * 5000), InputError, "loss gives 5000 arrays"),
    (lambda: path(data=DATA * np.nan), NotFiniteError, "loss after 0 of the steps"),
    (lambda: path().variance.estimate(2), InputError, "step=2"),
    (lambda: path().variance.at(2, "all"), InputError, "sampling='all'"),
    (lambda: path(data=lv.Dataset([[1]] * 500, [[1]] * 500), weights=[1.0]), InputError, "weights is given for data="),
    (lambda: scale(ddof=HUGE), InputError, "ddof=<an integer"),
    (lambda: scale(blocks=HUGE), InputError, "blocks=<an integer"),
    (lambda: scale(byte_budget=None), InputTypeError, "byte_budget=None"),
    (lambda: scale(data=iter([{}])), InputError, "data has leaves"),
    (lambda: scale(data=np.zeros((1, 3))), InputError, "data has 1 examples"),
    (lambda: scale(data=np.asarray(["a", "b"])), InputTypeError, "data=<ndarray"),
    (lambda: scale().variance([2.5]), InputTypeError, r"batch_sizes\[0\]=.*2.5"),
    (lambda: scale().variance(10**30), InputError, "batch_sizes contains"),
    (lambda: two_batch_noise_scale(1, 1, HUGE, 2), InputTypeError, "small=<an integer"),
    (lambda: two_batch_noise_scale(1, 1, np.ones(10**6), 1), InputError, "small=<ndarray.*, large=1: the large batch"),
    (lambda: runs(problem=LONG), InputTypeError, "problem='xxx"),
    (lambda: runs(runs=HUGE), InputError, "runs=<an integer"),
    (lambda: runs(batch_sizes=[HUGE]), InputError, "batch_sizes contains <an integer"),
    (lambda: runs(batch_sizes=[10**5000]), InputError, "batch_sizes contains <an integer"),
    (lambda: runs(batch_sizes=[10**30], batches="second_moments"), InputError, "batch_sizes contains"),
    (lambda: runs(batch_sizes=["2"]), InputTypeError, r"batch_sizes\[0\]='2'"),
    (lambda: runs(byte_budget=HUGE), InputError, "byte_budget=<an integer"),
    (lambda: runs(dtype="x" * 1000), InputError, "dtype='xxx"),
    (lambda: runs(batches="x" * 1000), InputError, "batches='xxx"),
    (lambda: network_from_problem(PROBLEM, "int8"), InputError, "dtype='int8' is unknown"),
    (lambda: curve(inputs="abc"), InputTypeError, "inputs='abc' is no array of numbers"),
    (lambda: curve(inputs=[[1], [1, 2]]), InputTypeError, "inputs="),
    (lambda: curve(inputs=DATA * 1j), InputTypeError, "inputs has complex entries"),
    (lambda: curve(step=HUGE), InputError, "step=<an integer"),
    (lambda: curve(sampling=LONG), InputError, "sampling='xxx"),
    (lambda: curve(relative_error=-1.0), InputError, "relative_error=-1.0 is negative"),
    (lambda: curve(relative_error=float("nan")), InputError, "relative_error=nan is not finite"),
    (lambda: curve(problem=PROBLEM), InputError, "is given beside problem"),
    (lambda: regression_curve(PROBLEM, [1], step=3), InputError, "step=3 is given beside problem"),
    (lambda: curve(covariances=True).variance_of("abc"), InputTypeError, "matrix='abc'"),
    (lambda: curve().variance_of([[1]], of=LONG), InputError, "of='xxx"),
    (lambda: rare(runs=0), InputError, "runs=0: give the number of runs"),
    (lambda: rare(batch_size=0), InputError, "batch_sizes contains 0"),
    (lambda: record_noise("fast"), InputTypeError, "decay='fast'"),
    (update_without_moments, InputError, "without moments"),
    (lambda: recorded_noise({}), InputError, "holds 0 noise records"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=range(len(WRONG)))
def test_what_a_user_can_mend_is_said_in_one_short_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    text, *code = str(caught.value).splitlines()
    assert not code or isinstance(caught.value, CoupledExamplesError)  # which goes on with two lines of code
    assert len(text) < 500 and ": " in text
    assert "x" * 200 not in text


def plain_raises(source: str) -> list[str]:
    """What is raised by name, builtin errors only."""
    raised = [node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise) and node.exc is not None]
    called = [node.func.id for node in raised if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [name for name in called if name in vars(__import__("builtins"))]


def test_no_builtin_error_is_raised_for_a_users_mistake():
    assert plain_raises("raise ValueError('x')") == ["ValueError"]
    found = {p.relative_to(ROOM).as_posix(): plain_raises(p.read_text()) for p in ROOM.rglob("*.py")}
    allowed = {
        "gradients/processes.py": ["RuntimeError"],
    }  # a module's name; another process failed
    assert {name: errors for name, errors in found.items() if errors} == allowed


def test_the_errors_of_this_half_are_input_errors():
    assert issubclass(CoupledExamplesError, InputError) and issubclass(CoupledExamplesError, ValueError)
    assert issubclass(NoFiniteExamplesError, NotFiniteError) and issubclass(NotFiniteError, FloatingPointError)


def test_a_batch_beyond_32_bits_is_drawn_by_its_second_moments():
    found = runs(batch_sizes=[2**40], batches="second_moments", runs=64, dtype="float32")[2**40]
    # G = (W - T) S, S -> identity: ||E G||^2 = ||W - T||^2 = 9, up to 1/b
    assert found.nonfinite_runs == 0 and abs(found.second_moment.value - 9) < 1e-4
