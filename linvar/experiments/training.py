"""Many independent training runs from ONE initial point, and what the gradient and the losses are along the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from linvar.experiments.runner import check_choice
from linvar.numeric.laws.law import Sampler
from linvar.numeric.laws.rows import RowSampler
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.batches import Size, batch_moments, mean_gradient
from linvar.numeric.simulation.run_moments import average, terms_of_rows

#: of every run and step: the gradient, the trace, the train loss, the test loss
Measured: TypeAlias = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
#: the weights, and what the optimizer keeps
State: TypeAlias = tuple[optax.Params, optax.OptState]

OPTIMIZERS = ("sgd", "momentum", "weight-decay", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "exponential")


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained.

    Attributes:
        loss: of ONE example, ``loss(params, example)``.
        params: where every run starts.
        sampler: of fresh batches.
        train: examples whose mean loss is the train loss.
        test: the same for the test loss.
        optimizer: of optax.
        update_sampler: a cheaper one, of batches that a gradient cannot tell from the others, for the updates; or None.
        block: rows of a batch at a time.
    """

    loss: Callable[[Any, Any], jax.Array]
    params: Any
    sampler: Sampler
    train: Any
    test: Any
    optimizer: optax.GradientTransformation
    update_sampler: Sampler | None = None
    block: int = 16


def make_optimizer(
    name: str, learning_rate: float, schedule: str = "constant", steps: int = 1
) -> optax.GradientTransformation:
    """An optimizer of optax by name.

    Args:
        name: "sgd"; "momentum" (0.9); "weight-decay" (SGD with 1e-4 times the weights); "adam"; "adamw" (decay 1e-4).
        learning_rate: at the start.
        schedule: "constant"; "cosine", to zero after ``steps``; "exponential", halved every ``steps // 4`` steps.
        steps: how long the schedule is.

    Raises:
        InputError: an unknown name or schedule.

    >>> make_optimizer("sgd", 0.1).update(jnp.ones(1), optax.sgd(0.1).init(jnp.ones(1)))[0]
    Array([-0.1], dtype=float32)
    """
    check_choice("optimizer", name, OPTIMIZERS)
    check_choice("schedule", schedule, SCHEDULES)
    rate: optax.ScalarOrSchedule = learning_rate
    if schedule == "cosine":
        rate = optax.cosine_decay_schedule(learning_rate, max(1, steps))
    elif schedule == "exponential":
        rate = optax.exponential_decay(learning_rate, _half_life(steps), 0.5, staircase=True)
    if name == "weight-decay":
        return optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(rate))
    makers = {"sgd": optax.sgd, "momentum": partial(optax.sgd, momentum=0.9), "adam": optax.adam, "adamw": optax.adamw}
    made: optax.GradientTransformation = makers[name](rate)
    return made


def describe_rate(learning_rate: object, schedule: str, steps: int) -> str:
    """The learning rate of ``make_optimizer`` in words.

    >>> describe_rate("1/20", "constant", 16), describe_rate(0.1, "exponential", 16)
    ('1/20, fixed', '0.1 at first, halved every 4 steps')
    """
    half = _half_life(steps)
    return {
        "constant": f"{learning_rate}, fixed",
        "cosine": f"{learning_rate} at first, falling as a cosine to 0 at step {max(1, steps)}",
        "exponential": f"{learning_rate} at first, halved every {f'{half} steps' if half > 1 else 'step'}",
    }[schedule]


def _half_life(steps: int) -> int:
    """Steps after which the exponential schedule has halved the rate."""
    return max(1, steps // 4)


def subsets_of(data: PyTree) -> Sampler:
    """Batches of the rows of a data set, each a random subset of them.

    Args:
        data: a pytree of arrays with the examples first.
    """
    return RowSampler(jax.tree.map(jnp.asarray, data), None, numeric_scheme("without_replacement"))


def run_many(
    task: Task, batch_size: int, steps: Sequence[int], runs: int, key: jax.Array, lanes: int = 16
) -> dict[str, dict[str, list[float]]]:
    """Train ``runs`` times at one batch size; at every t of ``steps`` measure the gradient of a fresh batch, and the losses.

    Run r uses the key fold_in(fold_in(key, b), r), its step s fold_in(run key, s).

    Args:
        task: what is trained.
        batch_size: b.
        steps: increasing values of t: updates made before the measurement.
        runs: at least 2.
        key: a typed key.
        lanes: runs at a time on each device; all devices share the runs.

    Returns:
        For each t (a string): [value, standard error] of "variance" (tr Cov(g_t) given the initial point), "second_moment",
        "squared_mean", "train_loss", "test_loss", and "trace", the mean over runs of tr Cov of one example's gradient at W_t
        (absent at b = 1).
    """
    own = jax.random.fold_in(key, batch_size)
    bounds = (jnp.asarray([0, *steps[:-1]], jnp.int32), jnp.asarray(steps, jnp.int32))
    update_sampler = task.update_sampler or task.sampler
    dtype = jnp.result_type(float).name
    sizes = Size.of(task.sampler, batch_size, dtype), Size.of(update_sampler, batch_size, dtype)
    devices = jax.device_count()
    lanes = min(lanes, -(-runs // devices))
    unit = lanes * devices
    chunks = -(-runs // (16 * unit))
    chunk = -(-runs // (chunks * unit)) * unit  # equal chunks, some runs past the end: one compilation
    parts = []
    for start in range(0, runs, chunk):
        keys = jax.vmap(partial(jax.random.fold_in, own))(jnp.arange(start, start + chunk, dtype=jnp.uint32))
        found = _runs(
            task.loss,
            task.optimizer,
            task.block,
            lanes,
            task.params,
            (task.sampler, update_sampler),
            sizes,
            task.train,
            task.test,
            keys,
            bounds,
        )
        parts.append(jax.tree.map(lambda x, start=start: np.asarray(x)[: runs - start], found))
    gradients, traces, train, test = (np.concatenate(same) for same in zip(*parts))  # (runs, steps, ...)
    results: dict[str, dict[str, list[float]]] = {}
    for place, t in enumerate(steps):
        variance, second_moment, squared_mean = terms_of_rows([gradients[:, place]]).estimates()
        estimates = {"variance": variance, "second_moment": second_moment, "squared_mean": squared_mean}
        estimates |= {
            "train_loss": average(train[:, place].astype("float64")),
            "test_loss": average(test[:, place].astype("float64")),
        }
        if batch_size > 1:
            estimates["trace"] = average(traces[:, place].astype("float64") * batch_size / (batch_size - 1))
        results[str(t)] = {name: [estimate.value, estimate.standard_error] for name, estimate in estimates.items()}
    return results


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _runs(
    loss: Callable[[Any, Any], jax.Array],
    optimizer: optax.GradientTransformation,
    block: int,
    lanes: int,
    params: Any,
    samplers: tuple[Sampler, Sampler],
    sizes: tuple[Size, Size],
    train: Any,
    test: Any,
    keys: jax.Array,
    bounds: tuple[jax.Array, jax.Array],
) -> Measured:
    """Of every run and step: the gradient, the trace of divisor b of its per-example gradients, train and test loss."""

    def mean_loss(params: Any, batch: Any) -> jax.Array:
        return jnp.mean(jax.vmap(loss, in_axes=(None, 0))(params, batch))

    def batch_keys(key: jax.Array, step: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(key, step))

    def one_run(key: jax.Array) -> Measured:
        def advance(step: jax.Array, state: State) -> State:
            current, memory = state
            gradient = mean_gradient(loss, current, samplers[1], batch_keys(key, step), sizes[1], block)
            updates, memory = optimizer.update(gradient, memory, current)
            return optax.apply_updates(current, updates), memory

        def until_next(state: State, bound: tuple[jax.Array, jax.Array]) -> tuple[State, Measured]:
            state = jax.lax.fori_loop(bound[0], bound[1], advance, state)
            moments, _ = batch_moments(loss, state[0], samplers[0], batch_keys(key, bound[1]), sizes[0], block)
            trace = moments.squares / sizes[0].rows
            return state, (moments.gradient, trace, mean_loss(state[0], train), mean_loss(state[0], test))

        _, measured = jax.lax.scan(until_next, (params, optimizer.init(params)), bounds)
        return measured

    def some_runs(keys: jax.Array) -> Measured:
        measured: Measured = jax.lax.map(one_run, keys, batch_size=lanes)
        return measured

    if jax.device_count() == 1:
        return some_runs(keys)
    mesh = jax.make_mesh((jax.device_count(),), ("runs",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.PartitionSpec("runs")
    return jax.shard_map(some_runs, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False)(keys)
