"""The compiled program of ``gradient_moments``: the pass over the examples, what is made of its sums, and further passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.numeric.gradients.callables import TakenLoss
from linvar.numeric.gradients.checks import cancelled
from linvar.numeric.gradients.parameters import check_depends
from linvar.numeric.gradients.passes import Examples
from linvar.numeric.gradients.per_example.analysis import Analysis, analyse
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.per_example.batches import in_chunks, without_padding
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError, check_uncoupled
from linvar.numeric.gradients.per_example.explanation import Explanation, explain
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.meshes import Types, vary, varying
from linvar.numeric.gradients.per_example.strategies import Wanted
from linvar.numeric.gradients.per_example.sums import batch_sums
from linvar.numeric.gradients.per_example.taps import outlives
from linvar.numeric.gradients.per_example.totals import BatchSums
from linvar.numeric.gradients.per_example.vanishing import warn_of_vanishing
from linvar.numeric.gradients.result import GradientMoments, Projections, any_leaf, over_leaves, weights_of
from linvar.numeric.gradients.spread import Spread, on_every_device

#: Per-example gradients made at a time where they are made at all, in bytes: larger chunks leave a CPU's cache.
CHUNK_BYTES = {"cpu": 2**21}
OTHER_CHUNK_BYTES = 2**27
#: With ``batched``, the loss of the whole batch, and the mean over it of the losses of batches of one.
Whole: TypeAlias = tuple[jax.Array, jax.Array] | None
#: loss(params, example), or loss(params, example, key=...): one number.
Loss: TypeAlias = Callable[..., ArrayLike]


@dataclass(frozen=True)
class Options:
    """What changes the program."""

    batched: bool
    wanted: Wanted
    free_norms: bool
    drop: bool
    chunk_size: int | None
    byte_budget: int
    ddof: int
    spread: Spread | None
    measured: tuple[bool, ...] | None  # of the leaves; None: all
    along_mean: bool


class Asked(NamedTuple):
    """Arrays for passes after the first."""

    clip_norm: jax.Array | None
    direction: list[jax.Array] | None


@partial(jax.jit, static_argnums=1)
def computed(
    loss: TakenLoss,
    options: Options,
    params: PyTree,
    batch: PyTree,
    key: jax.Array | None,
    mask: jax.Array | None,
    asked: Asked,
) -> tuple[GradientMoments, Whole]:
    """The moments, on one device or many; with ``batched`` also the loss of the whole batch, which only a check needs."""
    live = None if mask is None else mask != 0
    of_example, leaves, arrays = flat(loss, params, batch, live, batched=options.batched, keyed=key is not None)
    structure = jax.tree.structure(params)
    if live is not None:
        batch = jax.tree.unflatten(jax.tree.structure(batch), arrays)
    if key is not None:
        numbers = vary(jnp.arange(len(arrays[0])), varying([key]))
        arrays.append(jax.vmap(jax.random.fold_in, (None, 0))(key, numbers))
    wanted = options.wanted
    chunk_bytes = min(CHUNK_BYTES.get(jax.default_backend(), OTHER_CHUNK_BYTES), options.byte_budget)
    analyses: list[Analysis] = []

    def chunk_of(analysis: Analysis) -> int:
        return options.chunk_size or max(1, options.byte_budget // max(1, 2 * analysis.activation_bytes))

    def sums_of(types: Types, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> BatchSums:
        arrays, own_mask = (arrays, None) if live is None else (arrays[:-1], arrays[-1])
        with types.explicit():
            exact_norms = wanted.norms or wanted.squares
            shapes, count = types.shapes(leaves, arrays), len(arrays[0])
            analysis = analyse(of_example, *shapes, examples=count, exact_norms=exact_norms, centred=wanted.centred)
            check_depends(group.strategy for group in analysis.groups)
            warn_of_vanishing(analysis.jaxpr, analysis.parameters.levels)
        chunk = chunk_of(analysis)
        loss, drop = types.opened(of_example), options.drop

        if outlives(analysis, leaves, arrays):
            analysis = analysis.fallen("a backward pass of the user's that closes over a value of the loss")
        analyses.append(analysis)
        own = replace(wanted, norms=wanted.norms or (options.free_norms and not analysis.constants))

        def make(part: Sequence[jax.Array], live: jax.Array) -> BatchSums:
            return batch_sums(analysis, loss, leaves, part, live, own, drop=drop, chunk_bytes=chunk_bytes)

        return in_chunks(make, arrays, chunk, own_mask)

    given = arrays if live is None else [*arrays, live]
    totals, each = on_every_device(sums_of, options.spread, leaves, given)
    right = None
    if mask is not None and mask.dtype != bool:  # traced: no number from what is neither 0 nor 1
        right = jnp.all((mask == 0) | (mask == 1))
        totals, each = jax.tree.map(lambda x: x if x.dtype == bool else jnp.where(right, x, jnp.nan), (totals, each))
    enough = totals.examples > options.ddof
    divisor = jnp.maximum(totals.examples - options.ddof, 1)
    apart, deviations = (  # of one example, whatever rounding says
        [jnp.where(totals.examples == 1, 0, x) for x in xs] for xs in (totals.scatter, totals.deviations)
    )
    traces, variances = ([jnp.where(enough, x / divisor, jnp.nan) for x in xs] for xs in (apart, deviations))
    share = options.ddof / jnp.maximum(totals.examples, 1)
    norms = [sum_of_squares(m) for m in totals.mean]
    squared = [norm - share * t for norm, t in zip(norms, traces)]
    every = explain(analyses[-1], params)
    lost = cancelled(every, traces, norms, [x.shape for x in leaves], totals.examples, totals.sizes)
    own = options.measured or (True,) * len(leaves)
    squared_norms = over_leaves(x for x, mine in zip(each.norms, own) if mine) if each.norms else None

    def tree(of: Sequence[jax.Array]) -> PyTree:
        return jax.tree.unflatten(structure, [_as_leaf(m, x) for m, x in zip(of, leaves)])

    def measured(of: Sequence[jax.Array]) -> PyTree:
        return jax.tree.unflatten(structure, [x if mine else None for x, mine in zip(of, own)])

    def total(of: Sequence[jax.Array]) -> jax.Array:
        return over_leaves(x for x, mine in zip(of, own) if mine)

    clipped, along = _later(
        options, asked, Examples(of_example, leaves, arrays, each.live, options.spread, chunk_of(analyses[-1])),
        squared_norms, totals.mean, enough, right,
    )  # fmt: skip
    moments = GradientMoments(
        mean=tree(totals.mean),
        trace_per_leaf=measured(traces),
        trace=total(traces),
        squared_mean_per_leaf=measured(squared),
        squared_mean=total(squared),
        cancelled_per_leaf=measured(lost),
        cancelled=any_leaf(x for x, mine in zip(lost, own) if mine),
        examples=totals.examples,
        loss=jnp.sum(each.losses) / totals.examples,
        squared_norms=squared_norms,
        second_moment=measured(totals.squares) if wanted.squares else None,
        variance=measured(variances) if wanted.deviations else None,
        along=along,
        clipped_mean=None if clipped is None else tree(clipped),
        ddof=options.ddof,
        explanation=Explanation(tuple(route for route, mine in zip(every.leaves, own) if mine)),
    )
    if not options.batched:
        return moments, None
    # rows of padding are copies of the first example that counts, also in its loss
    losses = each.losses
    if live is not None:
        first = jnp.arange(len(live)) == jnp.argmax(live)  # a slice would cut an axis that is spread over devices
        losses = jnp.where(live, each.losses, jnp.sum(jnp.where(first, each.losses, 0)))
    return moments, (jnp.asarray(loss(params, batch)), jnp.mean(losses))


def _as_leaf(mean: jax.Array, leaf: jax.Array) -> jax.Array:
    """Zeros of an integer leaf are integers."""
    return mean.astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.integer) else mean


def _later(
    options: Options,
    asked: Asked,
    examples: Examples,
    squared_norms: jax.Array | None,
    mean: list[jax.Array],
    enough: jax.Array,
    right: jax.Array | None,
) -> tuple[list[jax.Array] | None, Projections | None]:
    """What needs the moments first: the clipped mean, and products with a direction.

    Args:
        options: what changes the program.
        asked: norm and direction.
        examples: of the batch.
        squared_norms: of every example, if they are clipped.
        mean: of every leaf.
        enough: more examples than ddof?
        right: is the mask one? None if that is known.
    """
    if options.drop:
        examples = replace(examples, arrays=without_padding(examples.arrays, examples.live))
    clipped, along = None, None
    if asked.clip_norm is not None and squared_norms is not None:
        clipped = examples.weighted_mean(weights_of(squared_norms, asked.clip_norm))
    if options.along_mean or asked.direction is not None:
        own = options.measured or (True,) * len(mean)
        given = mean if asked.direction is None else asked.direction
        direction = [v if mine else jnp.zeros_like(v) for v, mine in zip(given, own)]
        products = examples.slopes(direction)
        if right is not None:
            products = jnp.where(right, products, jnp.nan)
        live = examples.live.astype(products.dtype)
        count = jnp.sum(live)
        middle = jnp.sum(products) / count
        spread = jnp.sum(live * jnp.square(products - middle)) / jnp.maximum(count - options.ddof, 1)
        norm = jnp.sqrt(over_leaves(map(sum_of_squares, direction)))
        along = Projections(products, middle, jnp.where(enough, spread, jnp.nan), norm)
    return clipped, along


def flat(
    loss: TakenLoss, params: PyTree, batch: PyTree, live: jax.Array | None, *, batched: bool, keyed: bool = False
) -> tuple[LossOfLists, list[jax.Array], list[jax.Array]]:
    """The loss of one example, of flat lists, and these: leaves, and arrays in which rows that do not count hold one that does.

    Raises:
        CoupledExamplesError: the loss of a batch couples its examples.
    """
    structure, batch_structure = jax.tree.structure(params), jax.tree.structure(batch)
    leaves, arrays = [jnp.asarray(x) for x in jax.tree.leaves(params)], [jnp.asarray(x) for x in jax.tree.leaves(batch)]
    if live is not None:
        arrays = without_padding(arrays, live)
    if batched:
        try:
            check_uncoupled(_of_lists(loss, structure, batch_structure), leaves, arrays)
        except CoupledExamplesError as error:
            raise error.fitted(loss.given, jax.tree.unflatten(batch_structure, arrays)) from error.__cause__
    return _of_example(loss, batched, keyed, structure, batch_structure), leaves, arrays


def _of_lists(loss: Loss, structure: PyTreeDef, batch_structure: PyTreeDef) -> LossOfLists:
    """The loss, of flat lists."""
    return lambda own, arrays: loss(jax.tree.unflatten(structure, own), jax.tree.unflatten(batch_structure, arrays))


def _of_example(
    loss: Loss, batched: bool, keyed: bool, structure: PyTreeDef, batch_structure: PyTreeDef
) -> LossOfLists:
    """The loss of one example, of flat lists; a key comes last."""
    flat = _of_lists(loss, structure, batch_structure)
    if batched:
        return lambda own, example: flat(own, [x[None] for x in example])
    if keyed:
        return lambda own, example: loss(
            jax.tree.unflatten(structure, own), jax.tree.unflatten(batch_structure, example[:-1]), key=example[-1]
        )
    return flat
