"""A batch that is drawn and differentiated some rows at a time, in a loop whose length is an argument of the program.

So one program serves every batch size. The last rows of the loop may be beyond the batch: they are drawn, and count nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from linvar.errors import InputError, Words
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.laws.law import Sampler

_Carried = TypeVar("_Carried")
#: of the loss of ONE example
Loss = Callable[[Any, Any], jax.Array]
#: Rows of a batch, which are counted in 32 bits, also those of the loop that are beyond it.
_MOST_ROWS = 2**30


class Size(NamedTuple):
    """How large a batch is.

    Attributes:
        rows: how many rows stand for it.
        batch_size: b, a float.
    """

    rows: Int[Array, ""]
    batch_size: Float[Array, ""]

    @classmethod
    def of(cls, sampler: Sampler, batch_size: int, dtype: str) -> Size:
        """Of a batch of this sampler.

        Raises:
            InputError: of more rows than are counted, or a subset of a size that ``dtype`` would round.
        """
        rows = sampler.rows(batch_size)
        if rows > _MOST_ROWS:
            cure = f"examples are drawn up to {_MOST_ROWS:,}; beyond, linvar.simulate takes batches='second_moments'"
            raise InputError("batch_sizes", Words(f"contains {batch_size:,}"), f"{cure} of a Gaussian law")
        size = np.asarray(float(batch_size), dtype)
        if sampler.counts and int(size) != batch_size:
            cure = f"without replacement they are counted, and {dtype} has no such number: use float64"
            raise InputError("batch_sizes", Words(f"contains {batch_size:,}"), cure)
        return cls(jnp.asarray(np.int32(rows)), jnp.asarray(size))


class Moments(NamedTuple):
    """Of the examples of a batch: mean gradient, a vector; mean loss; sum of squared distances from the mean gradient."""

    gradient: Float[Array, " entries"]
    loss: Float[Array, ""]
    squares: Float[Array, ""]


def over_rows(
    sampler: Sampler,
    keys: Key[Array, " 2"],
    size: Size,
    block: int,
    start: _Carried,
    add: Callable[[_Carried, PyTree, Bool[Array, " block"], Int[Array, ""]], _Carried],
) -> tuple[_Carried, Float[Array, ""]]:
    """Carry something over the rows of a fresh batch.

    Args:
        sampler: of the batch.
        keys: of what is drawn once, and of the rows.
        size: of the batch.
        block: rows at a time.
        start: what is carried.
        add: of what is carried, some rows, which of them are in the batch, and the number of the first of them.

    Returns:
        What is carried out, and log M of the batch.
    """

    def more(number: jax.Array, carried: tuple[Any, _Carried]) -> tuple[Any, _Carried]:
        drawn, kept = carried
        before = number * block
        drawn, batch = sampler.more(drawn, before, block)
        live = before + jnp.arange(block, dtype=jnp.int32) < size.rows
        return drawn, add(kept, batch, live, before)

    drawn = sampler.begin(keys[0], keys[1], size.batch_size)
    drawn, kept = jax.lax.fori_loop(0, (size.rows + block - 1) // block, more, (drawn, start))
    return kept, sampler.log_ratio(drawn)


def batch_moments(
    loss: Loss, params: PyTree, sampler: Sampler, keys: Key[Array, " 2"], size: Size, block: int
) -> tuple[Moments, Float[Array, ""]]:
    """Moments of the per-example gradients of a fresh batch, and log M."""

    def add(so_far: Moments, batch: PyTree, live: Bool[Array, " block"], before: Int[Array, ""]) -> Moments:
        """Of more rows (Chan, Golub and LeVeque, 1983)."""
        found = _moments(loss, params, batch, live)
        count, earlier = jnp.sum(live).astype(zero.dtype), before.astype(zero.dtype)
        share = count / (earlier + count)
        apart = found.gradient - so_far.gradient
        return Moments(
            gradient=so_far.gradient + share * apart,
            loss=so_far.loss + share * (found.loss - so_far.loss),
            squares=so_far.squares + found.squares + earlier * share * jnp.sum(apart**2),
        )

    flat = ravel_pytree(params)[0]
    zero = jnp.zeros((), flat.dtype)
    return over_rows(sampler, keys, size, block, Moments(jnp.zeros_like(flat), zero, zero), add)


def mean_gradient(
    loss: Loss, params: PyTree, sampler: Sampler, keys: Key[Array, " 2"], size: Size, block: int
) -> PyTree:
    """The gradient of the mean loss of a fresh batch."""

    def add(so_far: PyTree, batch: PyTree, live: Bool[Array, " block"], before: Int[Array, ""]) -> PyTree:
        """Of more rows."""

        def summed(params: PyTree) -> jax.Array:
            return jnp.sum(jnp.where(live, jax.vmap(loss, in_axes=(None, 0))(params, batch), 0)) / size.rows

        return jax.tree.map(jnp.add, so_far, jax.grad(summed)(params))

    return over_rows(sampler, keys, size, block, jax.tree.map(jnp.zeros_like, params), add)[0]


def _moments(loss: Loss, params: PyTree, batch: PyTree, live: Bool[Array, " rows"]) -> Moments:
    """Of the live ones of some rows."""
    if len(live) == 1:
        value, gradient = jax.value_and_grad(loss)(params, jax.tree.map(lambda part: part[0], batch))
        return Moments(ravel_pytree(gradient)[0], value, jnp.zeros_like(value))
    single = any(leaf.dtype == "float32" for leaf in jax.tree.leaves(params))
    found = gradient_moments(loss, params, batch, mask=live, ddof=0, centred=single)
    return Moments(ravel_pytree(found.mean)[0], found.loss, jnp.sum(live) * found.trace)
