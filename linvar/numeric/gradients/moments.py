"""Mean and covariance trace of the per-example gradients of ANY JAX loss, at about the price of the mean gradient.

The jaxpr of the loss says where each parameter enters; one backward pass then gives the factors of which per-example
gradients are products, and the moments follow without forming them (``per_example/``). What is not recognised is
differentiated example by example, in chunks, and ``explain=True`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, Words
from linvar.keywords import door
from linvar.numeric.arguments import check_at_least, check_choice, check_key, check_mask
from linvar.numeric.gradients.callables import TakenLoss, take
from linvar.numeric.gradients.checks import cancelled, check_finite, check_rounding, check_whole
from linvar.numeric.gradients.inputs import one_batch
from linvar.numeric.gradients.parameters import check_depends
from linvar.numeric.gradients.per_example.analysis import Analysis, analyse
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.per_example.batches import in_chunks, without_padding
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError, check_uncoupled
from linvar.numeric.gradients.per_example.explanation import explain
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.meshes import Types, vary, varying
from linvar.numeric.gradients.per_example.strategies import Wanted
from linvar.numeric.gradients.per_example.sums import BatchSums, batch_sums
from linvar.numeric.gradients.per_example.taps import outlives
from linvar.numeric.gradients.per_example.vanishing import warn_of_vanishing
from linvar.numeric.gradients.result import GradientMoments, any_leaf, over_leaves
from linvar.numeric.gradients.spread import Spread, beside, on_every_device, spread_of

#: Per-example gradients made at a time where they are made at all, in bytes: larger chunks leave a CPU's cache.
CHUNK_BYTES = {"cpu": 2**21}
OTHER_CHUNK_BYTES = 2**27
#: With ``batched``, the loss of the whole batch, and the mean over it of the losses of batches of one.
_Whole: TypeAlias = tuple[jax.Array, jax.Array] | None
#: loss(params, example), or loss(params, example, key=...): one number.
Loss: TypeAlias = Callable[..., ArrayLike]


@dataclass(frozen=True)
class _Options:
    """What changes the program."""

    batched: bool
    wanted: Wanted
    free_norms: bool
    drop: bool
    chunk_size: int | None
    byte_budget: int
    ddof: int
    spread: Spread | None


@door
def gradient_moments(
    loss: Loss,
    params: PyTree,
    batch: PyTree,
    *,
    ddof: int = 1,
    batched: bool = False,
    key: jax.Array | None = None,
    mask: ArrayLike | Sequence[bool | int | float] | None = None,
    centred: bool = False,
    squared_norms: bool | Literal["free"] = False,
    second_moment: bool = False,
    nan: str = "raise",
    byte_budget: int = 2**28,
    chunk_size: int | None = None,
    explain: bool = False,
) -> GradientMoments:
    """Mean of the per-example gradients and trace of their covariance, from one backward pass.

    trace = sum_i ||g_i - mean||^2 / (n - ddof), with g_i the gradient of ``loss(params, example_i)``.
    With ddof=1 it is unbiased for tr Cov(g) when the examples are drawn iid; the variance of the gradient of a
    batch of b iid examples is then trace / b. Both hold given ``params``.

    Parameters are recognised where they enter through matrix products, convolutions, embedding lookups and elementwise
    operations, also inside ``scan``, ``remat`` and when shared; the rest is differentiated example by example, in chunks.
    In float32 the relative error of a trace is about 1e-7 ||mean||^2 / trace by the strategies "outer" and "gram": a warning says
    when that may exceed 2 %, ``cancelled`` in the result says it under ``jit`` too, and ``centred=True``, somewhat slower, does
    not have it. Half precision is summed in float32.

    The loss is compiled: as under ``jax.jit``, arrays that it closes over are those of the first call. What is BOUND to it is
    that of this call: arguments of a ``functools.partial``, arrays of a module that is a pytree or whose method it is (both are
    inputs of the program), and attributes of an object that its code names (one that changes compiles the loss again).

    A batch spread over devices by its leading axis (``jax.sharding.NamedSharding``; over Auto or Explicit axes of a mesh)
    stays where it is: each device sums its own examples, and leaves that are elsewhere are put beside the others. Parameters
    may be spread over other axes of the mesh, and are gathered along those of the examples. Inside ``jax.shard_map`` the
    moments are those of each device's own examples, whether or not the parameters vary from device to device.

    Args:
        loss: the loss of ONE example, ``loss(params, example)``, a scalar; with ``batched`` the loss of a batch,
            ``loss(params, batch)``, whose per-example loss is that of a batch of one.
        params: any pytree of arrays (a dictionary, an ``nnx.State``, a whole Equinox or Flax nnx module, ...). Leaves that are
            not floating-point get zeros. Functions and words are held fixed, and so is what these libraries count among no
            parameters (``equinox.filter_grad``, ``nnx.Param``): the results have None there.
        batch: a pytree whose leaves have a common leading axis, the n examples; tensors of other libraries go through NumPy.
        ddof: the divisor is n - ddof; 1 or 0.
        batched: ``loss`` takes a batch. A loss that couples its examples is refused: it has no per-example gradient. So is
            ``sum(mask * l) / sum(mask)``, in which the number of live rows couples them: return ``mean(l)`` and give ``mask``.
        key: a typed key for a random loss, called as ``loss(params, example, key=...)``: example i, counted over the whole
            batch, gets ``jax.random.fold_in(key, i)``.
        mask: (n,) booleans, or 0 and 1: False for a row of padding, which counts nowhere, whatever it holds (its squared norm
            is 0). The others keep their place: example i its key.
        centred: subtract a reference gradient before squaring, everywhere.
        squared_norms: also return ||g_i||^2 of every example; "free": where that costs nothing, which it does unless the loss
            has terms of parameters alone, as weight decay.
        second_moment: also return the mean of g_i^2 entry by entry.
        nan: what to do with an example whose loss or gradient is not finite: "raise", or "drop" it and count the rest. Under
            ``jit`` nothing can be raised: the results are then NaN.
        byte_budget: memory for the activations of the examples differentiated at a time.
        chunk_size: that number of examples; from ``byte_budget`` if None. Changes rounding only.
        explain: also say, leaf by leaf, how it was computed.

    Returns:
        A :class:`GradientMoments`.

    Raises:
        InputTypeError: complex parameters, none that is floating-point, a loss that is not a floating-point number.
        InputError: an argument out of range, too few examples, leading axes that differ, a loss that fails, is not a scalar,
            does not depend on the example or on any parameter, or (CoupledExamplesError) couples the examples of a batch.
        NotFiniteError: an example is not finite and nan="raise", or a number overflows.

    Warns:
        RuntimeWarning: too few digits are left (``centred=True``), or the loss normalises ONE example as batch norm does.

    >>> moments = gradient_moments(lambda w, x: w * x, jnp.asarray(1.0), jnp.asarray([1.0, 2.0, 6.0]))
    >>> float(moments.mean), float(moments.trace)
    (3.0, 7.0)
    """
    batch, examples = one_batch(batch)
    live, rows = (examples, None) if mask is None else check_mask(mask, examples)
    check_choice(ddof, "ddof", (0, 1), "give 1 (divisor n - 1) or 0 (divisor n)")
    if live <= ddof:
        what = (
            ("batch", Words(f"has {examples} examples"))
            if mask is None
            else ("mask", Words(f"has {live} rows that count"))
        )
        raise InputError(*what, f"give at least {ddof + 1} for ddof={ddof}")
    check_choice(nan, "nan", ("raise", "drop"))
    free = isinstance(squared_norms, str) and squared_norms == "free"
    flags = {} if free else {"squared_norms": squared_norms}
    check_flags(batched=batched, centred=centred, **flags, second_moment=second_moment, explain=explain)
    loss, params = take(loss, params, batched=batched)
    if key is not None:
        check_key(key)
        if batched:
            raise InputError(
                "key",
                Words("is given with batched=True"),
                "give the loss of one example, loss(params, example, key=...)",
            )
    if chunk_size is not None:
        check_at_least(chunk_size, "chunk_size", 1, "give the number of examples differentiated at a time, >= 1")
    byte_budget = check_integer(byte_budget, "byte_budget")
    wanted = Wanted(norms=not free and bool(squared_norms), squares=second_moment, centred=centred)
    spread = spread_of(batch)
    batch = beside(batch, spread)
    options = _Options(batched, wanted, free, nan == "drop", chunk_size, byte_budget, ddof, spread)
    rows = None if rows is None else beside(rows, spread)
    moments, whole = _computed(loss, options, params, batch, key, rows)
    if isinstance(moments.trace, jax.core.Tracer):
        return moments if explain else replace(moments, explanation=None)
    asked = replace(moments, squared_norms=None) if free else moments
    check_finite(asked, nan, lambda: _computed(loss, replace(options, drop=True), params, batch, key, rows)[0])
    if int(moments.examples) == live:
        check_whole(whole, examples)
    check_rounding(moments)
    return replace(moments, examples=int(moments.examples), explanation=moments.explanation if explain else None)


def _computed(
    loss: TakenLoss, options: _Options, params: PyTree, batch: PyTree, key: jax.Array | None, mask: jax.Array | None
) -> tuple[GradientMoments, _Whole]:
    """The moments, compiled; with ``batched`` also the loss of the whole batch, which nothing but a check needs."""
    found: tuple[GradientMoments, _Whole] = _moments(loss, options, params, batch, key, mask)
    return found


@partial(jax.jit, static_argnums=1)
def _moments(
    loss: TakenLoss, options: _Options, params: PyTree, batch: PyTree, key: jax.Array | None, mask: jax.Array | None
) -> tuple[GradientMoments, _Whole]:
    """One device or many."""
    structure, batch_structure = jax.tree.structure(params), jax.tree.structure(batch)
    leaves, arrays = [jnp.asarray(x) for x in jax.tree.leaves(params)], [jnp.asarray(x) for x in jax.tree.leaves(batch)]
    live = None if mask is None else mask != 0
    if live is not None:
        arrays = without_padding(arrays, live)
        batch = jax.tree.unflatten(batch_structure, arrays)
    if options.batched:
        try:
            check_uncoupled(_of_lists(loss, structure, batch_structure), leaves, arrays)
        except CoupledExamplesError as error:
            raise error.fitted(loss.given, batch) from error.__cause__
    of_example = _of_example(loss, options.batched, key is not None, structure, batch_structure)
    if key is not None:
        numbers = vary(jnp.arange(len(arrays[0])), varying([key]))
        arrays.append(jax.vmap(jax.random.fold_in, (None, 0))(key, numbers))
    wanted = options.wanted
    chunk_bytes = min(CHUNK_BYTES.get(jax.default_backend(), OTHER_CHUNK_BYTES), options.byte_budget)
    analyses: list[Analysis] = []

    def sums_of(types: Types, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> BatchSums:
        arrays, own_mask = (arrays, None) if live is None else (arrays[:-1], arrays[-1])
        with types.explicit():
            exact_norms = wanted.norms or wanted.squares
            shapes, count = types.shapes(leaves, arrays), len(arrays[0])
            analysis = analyse(of_example, *shapes, examples=count, exact_norms=exact_norms, centred=wanted.centred)
            check_depends(group.strategy for group in analysis.groups)
            warn_of_vanishing(analysis.jaxpr, analysis.parameters.levels)
        chunk = options.chunk_size or max(1, options.byte_budget // max(1, 2 * analysis.activation_bytes))
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
    if mask is not None and mask.dtype != bool:  # traced: no number from what is neither 0 nor 1
        right = jnp.all((mask == 0) | (mask == 1))
        totals, each = jax.tree.map(lambda x: x if x.dtype == bool else jnp.where(right, x, jnp.nan), (totals, each))
    enough = totals.examples > options.ddof
    apart = [jnp.where(totals.examples == 1, 0, s) for s in totals.scatter]  # of one example, whatever rounding says
    traces = [jnp.where(enough, s / jnp.maximum(totals.examples - options.ddof, 1), jnp.nan) for s in apart]
    share = options.ddof / jnp.maximum(totals.examples, 1)
    norms = [sum_of_squares(m) for m in totals.mean]
    squared = [norm - share * t for norm, t in zip(norms, traces)]
    mean = [m.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.integer) else m for m, x in zip(totals.mean, leaves)]
    explanation = explain(analyses[-1], params)
    lost = cancelled(explanation, traces, norms, [x.shape for x in leaves], totals.examples, totals.sizes)
    moments = GradientMoments(
        mean=jax.tree.unflatten(structure, mean),
        trace_per_leaf=jax.tree.unflatten(structure, traces),
        trace=over_leaves(traces),
        squared_mean_per_leaf=jax.tree.unflatten(structure, squared),
        squared_mean=over_leaves(squared),
        cancelled_per_leaf=jax.tree.unflatten(structure, lost),
        cancelled=any_leaf(lost),
        examples=totals.examples,
        loss=jnp.sum(each.losses) / totals.examples,
        squared_norms=over_leaves(each.norms) if each.norms else None,
        second_moment=jax.tree.unflatten(structure, totals.squares) if wanted.squares else None,
        ddof=options.ddof,
        explanation=explanation,
    )
    if not options.batched:
        return moments, None
    # rows of padding are copies of the first example that counts, also in its loss
    every = each.losses
    if live is not None:
        first = jnp.arange(len(live)) == jnp.argmax(live)  # a slice would cut an axis that is spread over devices
        every = jnp.where(live, each.losses, jnp.sum(jnp.where(first, each.losses, 0)))
    return moments, (jnp.asarray(loss(params, batch)), jnp.mean(every))


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
