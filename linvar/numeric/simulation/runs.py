"""Independent SGD runs from the same initial weights: the program that draws them, one for batches of every size.

One run draws a fresh batch, updates every layer with the gradient of the MEAN loss of the batch, ``step`` times
(``lax.scan``), then draws one more fresh batch and returns the gradient G_t and the loss on it. A batch is drawn and
differentiated some rows at a time, in a loop whose length is an argument of the program, as are weights, learning rates and
the numbers of the law: what is compiled for a problem serves every batch size, and every problem of the same shapes.

Runs are mapped (``vmap``). Run r at batch size b uses the key fold_in(fold_in(key, b), r), and its step s the key
fold_in(run key, s): the draws depend neither on how many runs are made at a time nor on how many there are.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Key, UInt

from linvar.numeric.floats import to_floats
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.laws.law import Batch, Sampler
from linvar.numeric.models.model import NumericModel
from linvar.numeric.models.registry import numeric_model
from linvar.numeric.simulation.update import update_from_problem
from linvar.problem import Problem

#: Bytes that the runs made at a time take on a CPU, where more leave the cache and run slower (measured: 2 to 4 times).
CPU_CHUNK_BYTES = 2**24
#: Rows at a time, where a model has more weights than this: one matrix product in place of many.
_LARGE, _ROWS = 100, 16


class Ends(NamedTuple):
    """Of each run, at its last batch: gradient, layer by layer, loss, covariance trace within; log M of all its batches."""

    gradients: tuple[jax.Array, ...]
    losses: jax.Array
    traces: jax.Array
    log_ratios: jax.Array


class Runs:
    """A problem in floating point, ready to run.

    Args:
        problem: without symbols.
        dtype: of all numbers.
        sampler: of its batches.
    """

    def __init__(self, problem: Problem, dtype: str, sampler: Sampler) -> None:
        self.model, self.sampler = numeric_model(problem), sampler
        self.params = self.model.leaves(problem, dtype)
        self.update = update_from_problem(problem)
        # one more batch than updates, at rate 0: its gradient is the one wanted, and the program is half as long
        self.rates = np.append(to_floats(problem.learning_rates, "learning_rate", dtype), np.zeros(1, dtype))
        self.itemsize = np.dtype(dtype).itemsize
        self.block = _ROWS if self.entries > _LARGE else 1

    @property
    def entries(self) -> int:
        """Number of weights."""
        return sum(leaf.size for leaf in self.params)

    @property
    def bytes_per_run(self) -> int:
        """Weights, gradients, the rows drawn at a time and their activations, forward and back."""
        own = self.itemsize * (9 * self.entries + self.block * self.model.activations)
        return own + self.sampler.bytes_at_once(self.block)

    def ends(self, key: Key[Array, ""], batch_size: int, indices: range) -> Ends:
        """The runs of these indices."""
        key = jax.random.fold_in(key, batch_size % 2**32)
        key = key if batch_size < 2**32 else jax.random.fold_in(key, batch_size >> 32)
        keys = _keys(key, np.arange(indices.start, indices.stop, dtype=np.uint32), len(self.rates))
        rows = np.int32(self.sampler.rows(batch_size))
        size = self.rates.dtype.type(batch_size)
        ends: Ends = _run(self.model, self.update, self.block, keys, rows, size, self.params, self.sampler, self.rates)
        return ends


@partial(jax.jit, static_argnums=2)
def _keys(key: Key[Array, ""], indices: UInt[Array, " runs"], batches: int) -> Key[Array, "batches 2 runs"]:
    """Two keys for each batch of each run: a program of its own, as it serves every problem."""

    def fold(run_keys: Key[Array, " runs"], now: tuple[Array, Array]) -> tuple[Array, Array]:
        """First those of the runs, then of their batches: the generator is most of the compilation time, and here once."""
        is_first, number = now
        folded = jax.vmap(jax.random.fold_in)(run_keys, jnp.where(is_first, indices, number))
        return jnp.where(is_first, folded, run_keys), folded

    numbers = np.arange(-1, 2 * batches, dtype=np.int32)
    start = jnp.broadcast_to(key, indices.shape)
    _, keys = jax.lax.scan(fold, start, (jnp.asarray(numbers < 0), jnp.asarray(numbers.astype(np.uint32))))
    return jnp.reshape(keys[1:], (batches, 2, len(indices)))


class _Moments(NamedTuple):
    """Of some rows: mean gradient, a vector; mean loss; sum of squared distances from the mean gradient."""

    gradient: jax.Array
    loss: jax.Array
    squares: jax.Array


class _State(NamedTuple):
    """Of a run on its way: its weights, a vector, and the optimizer's memory; its last batch; log M of all batches."""

    weights: jax.Array
    memory: Any
    last: _Moments
    log_ratio: jax.Array


def _moments(model: NumericModel, params: Any, batch: Batch, live: Bool[Array, " rows"]) -> _Moments:
    """Of the live ones of some rows."""
    if len(live) == 1:
        inputs, targets = batch
        loss, gradient = jax.value_and_grad(model.loss)(params, (inputs[0], targets[0]))
        return _Moments(ravel_pytree(gradient)[0], loss, jnp.zeros_like(loss))
    found = gradient_moments(model.loss, params, batch, mask=live, ddof=0, centred=params[0].dtype == "float32")
    return _Moments(ravel_pytree(found.mean)[0], found.loss, jnp.sum(live) * found.trace)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    model: NumericModel,
    update: optax.GradientTransformation,
    block: int,
    keys: Key[Array, "batches 2 runs"],
    rows: Int[Array, ""],
    batch_size: Float[Array, ""],
    params: Any,
    sampler: Sampler,
    rates: Float[Array, " batches"],
) -> Ends:
    """Runs by their keys, of batches of ``rows`` rows."""
    weights, unravel = ravel_pytree(params)  # one array in place of many: what is compiled grows with their number
    zero = jnp.zeros((), rates.dtype)
    nothing = _Moments(jnp.zeros_like(weights), zero, zero)

    def over_batch(weights: jax.Array, keys: Key[Array, " 2"]) -> tuple[_Moments, jax.Array]:
        """Moments of a fresh batch, and log M."""

        def add(number: jax.Array, carried: tuple[Any, _Moments]) -> tuple[Any, _Moments]:
            """The rows of one more block (Chan, Golub and LeVeque, 1983)."""
            drawn, so_far = carried
            before = number * block
            live = before + jnp.arange(block, dtype=jnp.int32) < rows
            drawn, batch = sampler.more(drawn, before, block)
            found = _moments(model, unravel(weights), batch, live)
            count = jnp.minimum(rows - before, block).astype(zero.dtype)
            share = count / (before + count)
            apart = found.gradient - so_far.gradient
            return drawn, _Moments(
                gradient=so_far.gradient + share * apart,
                loss=so_far.loss + share * (found.loss - so_far.loss),
                squares=so_far.squares + found.squares + before * share * jnp.sum(apart**2),
            )

        carried = (sampler.begin(keys[0], keys[1], batch_size), nothing)
        carried = jax.lax.fori_loop(0, (rows + block - 1) // block, add, carried)
        return carried[1], sampler.log_ratio(carried[0])

    def one_run(keys: Key[Array, "batches 2"]) -> Ends:
        """One SGD run."""

        def advance(state: _State, now: tuple[jax.Array, jax.Array]) -> tuple[_State, None]:
            """Measure the gradient on a fresh batch, then update all layers at once."""
            batch_keys, rate = now
            last, log_ratio = over_batch(state.weights, batch_keys)
            direction, memory = update.update(last.gradient, state.memory, state.weights)
            return _State(state.weights - rate * direction, memory, last, state.log_ratio + log_ratio), None

        start = _State(weights, update.init(weights), nothing, zero)
        end, _ = jax.lax.scan(advance, start, (keys, rates))
        return Ends(unravel(end.last.gradient), end.last.loss, end.last.squares / rows, end.log_ratio)

    ends: Ends = jax.vmap(one_run, in_axes=2)(keys)
    return ends
