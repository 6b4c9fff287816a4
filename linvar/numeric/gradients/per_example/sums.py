"""All leaves of one batch: the pass, every group by its strategy, and the pull back from values V to leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example import lookup_sums, strategies
from linvar.numeric.gradients.per_example.analysis import Analysis
from linvar.numeric.gradients.per_example.arithmetic import at_least_float32
from linvar.numeric.gradients.per_example.evaluation import is_floating, variables
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.groups import Group
from linvar.numeric.gradients.per_example.jaxprs import operation
from linvar.numeric.gradients.per_example.kinds import Lookup
from linvar.numeric.gradients.per_example.strategies import Sums, Wanted
from linvar.numeric.gradients.per_example.taps import Pass, run_pass, values_of

#: bytes of one example's gradient from which a CPU makes them one by one
ONE_AT_A_TIME = 2**15


class Totals(NamedTuple):
    """Sums over the live examples of one batch; lists with one item a leaf.

    Attributes:
        examples: how many are live, a float.
        mean: mean gradient of every leaf.
        scatter: sum of squared deviations from it.
        squares: mean of the squares entry by entry; empty if not asked for.
    """

    examples: jax.Array
    mean: list[jax.Array]
    scatter: list[jax.Array]
    squares: list[jax.Array]


class PerExample(NamedTuple):
    """What is kept of every example of one batch.

    Attributes:
        losses: (n,), 0 where not live.
        live: (n,) booleans.
        norms: (n,) squared norms, one item a leaf; empty if not asked for.
    """

    losses: jax.Array
    live: jax.Array
    norms: list[jax.Array]


class BatchSums(NamedTuple):
    """The sums of one batch, and what is kept of its examples."""

    totals: Totals
    each: PerExample


def batch_sums(
    analysis: Analysis,
    loss: LossOfLists,
    leaves: Sequence[jax.Array],
    examples: Sequence[jax.Array],
    live: jax.Array,
    wanted: Wanted,
    *,
    drop: bool = False,
    chunk_bytes: int,
) -> BatchSums:
    """Mean, scatter and what else is wanted of every leaf's per-example gradients.

    Args:
        analysis: of this loss.
        loss: of flat lists, for what falls back.
        leaves: of the parameters.
        examples: arrays, examples first.
        live: (n,) booleans: examples that count (padding does not).
        wanted: beyond mean and scatter.
        drop: also leave out examples with a loss or a gradient that is not finite.
        chunk_bytes: memory for the per-example gradients of one chunk.
    """
    found = run_pass(analysis, leaves, examples)
    if drop:
        live = live & _finite(found)
        found = _without(found, live)
    weights = live.astype(jnp.promote_types(found.losses.dtype, jnp.float32))
    count = jnp.sum(weights)
    divisor = jnp.maximum(count, 1)
    placed: dict[int, tuple[Sums, int]] = {}  # of a leaf: the sums of its group, and its place among them
    for group in analysis.groups:
        sums = _of_group(analysis, group, loss, leaves, examples, found, weights, divisor, wanted, chunk_bytes)
        placed.update({leaf: (sums, place) for place, leaf in enumerate(group.leaves)})
    in_order = [placed[i] for i in range(len(leaves))]
    mean = [sums.mean[place] for sums, place in in_order]
    if analysis.constants:
        wide = [c / found.losses.shape[0] for c in found.constants]
        penalties = [analysis.constant_value(i) for i in range(len(wide))]
        pulled = _pull(analysis, leaves, penalties)(wide)
        fallen = (group.leaves for group in analysis.groups if group.strategy == "fallback")
        whole = {leaf for own in fallen for leaf in own}  # have their penalty already
        mean = [m if p is None or leaf in whole else m + p for leaf, (m, p) in enumerate(zip(mean, pulled))]
    return BatchSums(
        Totals(
            count,
            mean,
            [sums.scatter[place] for sums, place in in_order],
            [sums.squares[place] for sums, place in in_order] if wanted.squares else [],
        ),
        PerExample(
            jnp.where(live, found.losses, 0),
            live,
            [sums.norms[place] for sums, place in in_order] if wanted.norms else [],
        ),
    )


def _of_group(
    analysis: Analysis,
    group: Group,
    loss: LossOfLists,
    leaves: Sequence[jax.Array],
    examples: Sequence[jax.Array],
    found: Pass,
    live: jax.Array,
    count: jax.Array,
    wanted: Wanted,
    chunk_bytes: int,
) -> Sums:
    """One group by its strategy."""
    mine = [leaves[i] for i in group.leaves]
    if group.strategy in ("none", "constant"):
        return _nothing(mine, live, wanted)
    chunk = _chunk(analysis, group, mine, chunk_bytes)
    if group.strategy == "fallback":

        def gradients(part: list[jax.Array]) -> list[jax.Array]:
            def of_mine(own: Sequence[jax.Array], example: Sequence[jax.Array]) -> ArrayLike:
                merged = list(leaves)
                for i, x in zip(group.leaves, own):
                    merged[i] = x
                return loss(merged, example)

            found: list[jax.Array] = jax.vmap(jax.grad(of_mine), in_axes=(None, 0))(mine, part)
            return found

        return strategies.materialised(gradients, list(examples), live, count, chunk, wanted)
    own = [i for i, entry in enumerate(analysis.entries) if entry.value in group.values]
    entries = [analysis.entries[i] for i in own]
    h, delta = [found.inputs[i] for i in own], [found.cotangents[i] for i in own]
    pull = _pull(analysis, leaves, group.values)
    if group.strategy in ("outer", "gram", "lookup") and not (group.strategy == "gram" and wanted.squares):
        if group.strategy == "outer":
            sums = strategies.outer(entries[0], h[0], delta[0], live, count, wanted)
        elif group.strategy == "gram":
            sums = strategies.gram(entries, h, delta, live, count)
        else:
            lookups = [entry for entry in entries if isinstance(entry, Lookup)]
            sums = lookup_sums.lookup(lookups, h, delta, live, count, wanted)
        (leaf,) = group.leaves
        squares = [_touched(pull(sums.squares)[leaf])] if wanted.squares else []
        return Sums([_touched(pull(sums.mean)[leaf])], sums.scatter, sums.norms, squares)
    direct = {v: found.direct[analysis.direct.index(v)] for v in group.values if v in analysis.direct}

    def made(part: tuple[list[jax.Array], list[jax.Array], list[jax.Array]]) -> list[jax.Array]:
        inputs, cotangents, taken = part
        gradients = []
        for v in group.values:
            terms = [e.product(x, d) for e, x, d in zip(entries, inputs, cotangents) if e.value is v]
            terms += [at_least_float32(taken[list(direct).index(v)])] if v in direct else []
            gradients.append(sum(terms[1:], terms[0]))
        pulled = jax.vmap(pull)(gradients)
        return [_touched(pulled[leaf]) for leaf in group.leaves]

    arrays = (h, delta, list(direct.values()))
    return strategies.materialised(made, arrays, live, count, chunk, wanted)


def _chunk(analysis: Analysis, group: Group, leaves: Sequence[jax.Array], chunk_bytes: int) -> int:
    """Examples whose gradients are made at a time: as many as fit, patches of convolutions included.

    On a CPU, matrices of some size are made one at a time: a plain matrix product, and it stays in the cache (measured on
    two cores: 1.7 times faster than 8 at a time for 64 rows, 128 x 512).
    """
    needed = sum(x.size * max(4, int(x.dtype.itemsize)) for x in leaves)
    if jax.default_backend() == "cpu" and needed >= ONE_AT_A_TIME and group.strategy != "fallback":
        return 1
    needed += sum(4 * entry.copied for entry in analysis.entries if entry.value in group.values)
    return max(1, chunk_bytes // max(1, needed))


def _nothing(leaves: Sequence[jax.Array], live: jax.Array, wanted: Wanted) -> Sums:
    """Leaves without a gradient: zeros like them."""
    number = jnp.zeros((), live.dtype)
    zeros = [jnp.zeros(x.shape, live.dtype) for x in leaves]
    norms = [jnp.zeros_like(live) for _ in leaves] if wanted.norms else []
    return Sums(zeros, [number for _ in leaves], norms, zeros if wanted.squares else [])


#: A linear map from cotangents of values V to cotangents of every leaf, None where a leaf is not touched.
Pull: TypeAlias = Callable[[Sequence[jax.Array]], list[jax.Array | None]]


def _pull(analysis: Analysis, leaves: Sequence[jax.Array], values: Sequence[core.Var]) -> Pull:
    """From cotangents of these values."""
    itself = _converted_leaves(analysis)
    if all(v in itself for v in values):

        def add(cotangents: Sequence[jax.Array]) -> list[jax.Array | None]:
            result: list[jax.Array | None] = [None] * len(leaves)
            for v, c in zip(values, cotangents):
                old = result[itself[v]]
                result[itself[v]] = c if old is None else old + c
            return result

        return add
    moving = [i for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.inexact)]

    def function(chosen: Sequence[jax.Array]) -> list[jax.Array]:
        merged = list(leaves)
        for i, x in zip(moving, chosen):
            merged[i] = x
        return values_of(analysis, merged, values)

    outputs, backward = jax.vjp(function, [leaves[i] for i in moving])

    def pull(cotangents: Sequence[jax.Array]) -> list[jax.Array | None]:
        (pulled,) = backward([c.astype(o.dtype) for c, o in zip(cotangents, outputs)])
        result: list[jax.Array | None] = [None] * len(leaves)
        for i, x in zip(moving, pulled):
            result[i] = at_least_float32(x)
        return result

    return pull


def _touched(cotangent: jax.Array | None) -> jax.Array:
    """Of a leaf in which the values are differentiable."""
    assert cotangent is not None
    return cotangent


def _converted_leaves(analysis: Analysis) -> dict[core.Var, int]:
    """Values that are a leaf itself, at most in another floating-point type."""
    found = {v: i for i, v in enumerate(analysis.parameters)}
    for equation in analysis.jaxpr.jaxpr.eqns:
        if operation(equation) == "convert_element_type" and all(map(is_floating, equation.outvars)):
            leaves = [found[v] for v in variables(equation.invars) if v in found]
            found.update(zip(equation.outvars, leaves))
    return found


def _finite(found: Pass) -> jax.Array:
    """Examples whose loss and cotangents are all finite."""
    arrays = [found.losses, *found.cotangents, *found.direct, *found.inputs]
    floating = [x for x in arrays if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x.reshape(x.shape[0], -1)), axis=1) for x in floating]), axis=0)


def _without(found: Pass, live: jax.Array) -> Pass:
    """Zeros in place of what is not live."""

    def keep(x: jax.Array) -> jax.Array:
        return jnp.where(live.reshape(-1, *[1] * (x.ndim - 1)), x, jnp.zeros((), x.dtype))

    inputs, cotangents, direct = ([keep(x) for x in xs] for xs in (found.inputs, found.cotangents, found.direct))
    return Pass(keep(found.losses), inputs, cotangents, direct, found.constants)
