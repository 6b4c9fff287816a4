"""Independent SGD runs from the same initial weights: the program that draws them, one for batches of every size.

One run draws a fresh batch, updates every layer with the gradient of the MEAN loss of the batch, ``step`` times
(``lax.scan``), then draws one more fresh batch and returns the gradient G_t and the loss on it. A batch is drawn and
differentiated some rows at a time, in a loop whose length is an argument of the program, as are weights, learning rates and
the numbers of the law: what is compiled for a problem serves every batch size, and every problem of the same shapes.

Runs are mapped (``vmap``). Run r at batch size b uses the key fold_in(fold_in(key, b), r), and its step s the keys
fold_in(run key, 2 s) and fold_in(run key, 2 s + 1), of its batch and of the rows of that: the draws depend neither on how many
runs are made at a time nor on how many there are.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, UInt

from linvar.numeric.floats import to_floats
from linvar.numeric.laws.law import Sampler
from linvar.numeric.models.model import NumericModel
from linvar.numeric.models.registry import numeric_model
from linvar.numeric.simulation.batches import Moments, Size, batch_moments
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
        size = Size.of(self.sampler, batch_size, str(self.rates.dtype))
        ends: Ends = _run(self.model, self.update, self.block, keys, size, self.params, self.sampler, self.rates)
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


class _State(NamedTuple):
    """Of a run on its way: its weights, a vector, and the optimizer's memory; its last batch; log M of all batches."""

    weights: jax.Array
    memory: Any
    last: Moments
    log_ratio: jax.Array


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    model: NumericModel,
    update: optax.GradientTransformation,
    block: int,
    keys: Key[Array, "batches 2 runs"],
    size: Size,
    params: Any,
    sampler: Sampler,
    rates: Float[Array, " batches"],
) -> Ends:
    """Runs by their keys, of batches of this size."""
    weights, unravel = ravel_pytree(params)  # one array in place of many: what is compiled grows with their number
    zero = jnp.zeros((), rates.dtype)
    nothing = Moments(jnp.zeros_like(weights), zero, zero)

    def one_run(keys: Key[Array, "batches 2"]) -> Ends:
        """One SGD run."""

        def advance(state: _State, now: tuple[jax.Array, jax.Array]) -> tuple[_State, None]:
            """Measure the gradient on a fresh batch, then update all layers at once."""
            batch_keys, rate = now
            last, log_ratio = batch_moments(model.loss, unravel(state.weights), sampler, batch_keys, size, block)
            direction, memory = update.update(last.gradient, state.memory, state.weights)
            return _State(state.weights - rate * direction, memory, last, state.log_ratio + log_ratio), None

        start = _State(weights, update.init(weights), nothing, zero)
        end, _ = jax.lax.scan(advance, start, (keys, rates))
        return Ends(unravel(end.last.gradient), end.last.loss, end.last.squares / size.rows, end.log_ratio)

    ends: Ends = jax.vmap(one_run, in_axes=2)(keys)
    return ends
