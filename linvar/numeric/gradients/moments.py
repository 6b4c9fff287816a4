"""Mean and covariance trace of the per-example gradients of ANY JAX loss, at about the price of the mean gradient.

The jaxpr of the loss says where each parameter enters; one backward pass then gives the factors of which per-example
gradients are products, and the moments follow without forming them (``per_example/``). What is not recognised is
differentiated example by example, in chunks, and ``explain=True`` says so.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, InputTypeError, NotFiniteError, Words
from linvar.numeric.arguments import (
    check_at_least,
    check_choice,
    check_examples,
    check_key,
    check_leaves,
    check_loss,
)
from linvar.numeric.gradients.per_example.batches import in_chunks, merge_over
from linvar.numeric.gradients.per_example.coupling import CoupledExamplesError, check_uncoupled
from linvar.numeric.gradients.per_example.explanation import Explanation, explain_plan
from linvar.numeric.gradients.per_example.forms import Wanted, sum_of_squares
from linvar.numeric.gradients.per_example.plan import make_plan
from linvar.numeric.gradients.per_example.sums import BatchSums, batch_sums

#: Per-example gradients made at a time where they are made at all, in bytes: larger chunks leave a CPU's cache.
CHUNK_BYTES = {"cpu": 2**21}
OTHER_CHUNK_BYTES = 2**27
#: Uncentred forms lose this many roundings of ||mean||^2: with fewer left of the trace, the default is off by over 2 %.
ROUNDINGS = 100


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "mean",
        "trace_per_leaf",
        "trace",
        "squared_mean_per_leaf",
        "squared_mean",
        "examples",
        "loss",
        "squared_norms",
        "second_moment",
    ],
    meta_fields=["ddof", "explanation"],
)
@dataclass(frozen=True)
class GradientMoments:
    """Moments of the per-example gradients g_i of one batch, at fixed parameters.

    Attributes:
        mean: (1/n) sum g_i, a pytree like the parameters, at least float32: the gradient of the MEAN loss.
        trace_per_leaf: for each leaf, sum_i ||g_i - mean||^2 / (n - ddof), a scalar: a trace, not elementwise.
        trace: the same over all leaves together, tr Cov(g_i).
        squared_mean_per_leaf: for each leaf, ||E g||^2: ||mean||^2 for ddof=0; for ddof=1 the estimate without bias,
            ||mean||^2 - trace / n, which may be negative.
        squared_mean: the same over all leaves together.
        examples: n, without the examples left out by ``nan="drop"``.
        loss: mean loss of the examples.
        squared_norms: (examples given,) ||g_i||^2 over all leaves, 0 for an example left out; None if not asked for.
        second_moment: (1/n) sum g_i^2 ENTRY BY ENTRY, a pytree like the parameters; None if not asked for.
        ddof: 1 (unbiased for the law the examples came from) or 0 (the batch is the whole population).
        explanation: how each leaf was computed; None if not asked for.
    """

    mean: Any
    trace_per_leaf: Any
    trace: Any
    squared_mean_per_leaf: Any
    squared_mean: Any
    examples: Any
    loss: Any
    squared_norms: Any
    second_moment: Any
    ddof: int
    explanation: Explanation | None

    @property
    def noise_scale(self) -> Any:
        """tr Cov(g_i) / ||E g||^2: the batch size at which noise and signal are equal.

        The ratio of two unbiased estimates for ddof=1: consistent, not unbiased. Infinite where the estimate of
        ||E g||^2 is not positive: the mean is then not resolved from the noise.

        After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training".
        """
        return ratio(self.trace, self.squared_mean)

    @property
    def noise_scale_per_leaf(self) -> Any:
        """The same of each leaf alone."""
        return jax.tree.map(ratio, self.trace_per_leaf, self.squared_mean_per_leaf)

    def __repr__(self) -> str:
        if isinstance(self.trace, jax.core.Tracer):
            return f"GradientMoments(traced, {len(jax.tree.leaves(self.mean))} leaves, ddof={self.ddof})"
        text = (
            f"GradientMoments({int(self.examples):,} examples, trace={float(self.trace):.6g}, "
            f"noise_scale={float(self.noise_scale):.4g}, ddof={self.ddof})"
        )
        return text if self.explanation is None else f"{text}\n{self.explanation}"


class NoFiniteExamplesError(NotFiniteError):
    """Too few examples of a batch are finite."""


def ratio(trace: Any, squared_mean: Any) -> Any:
    """trace / squared_mean, infinite where the latter is not positive."""
    positive = squared_mean > 0
    return jnp.where(positive, trace / jnp.where(positive, squared_mean, 1), jnp.inf)


@dataclass(frozen=True)
class _Options:
    """What changes the program."""

    batched: bool
    wanted: Wanted
    drop: bool
    chunk_size: int | None
    byte_budget: int
    ddof: int
    mesh: Any
    axes: tuple[str, ...]


def gradient_moments(
    loss: Callable[..., Any],
    params: Any,
    batch: Any,
    *,
    ddof: int = 1,
    batched: bool = False,
    key: Any = None,
    centred: bool = False,
    squared_norms: bool = False,
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
    In float32 the relative error of a trace is about 1e-7 ||mean||^2 / trace in the forms "outer" and "gram": a warning says
    when that exceeds 2 %, and ``centred=True``, somewhat slower, does not have it. Half precision is summed in float32.

    The loss is compiled: as under ``jax.jit``, arrays that it closes over are those of the first call.

    A batch sharded over devices by its leading axis (``jax.sharding.NamedSharding``) stays where it is: each device sums its
    own examples. The parameters are then replicated.

    Args:
        loss: the loss of ONE example, ``loss(params, example)``, a scalar; with ``batched`` the loss of a batch,
            ``loss(params, batch)``, whose per-example loss is that of a batch of one.
        params: any pytree of arrays (an ``nnx.State``, a dictionary, ...). Leaves that are not floating-point get zeros.
        batch: a pytree whose leaves have a common leading axis, the n examples.
        ddof: the divisor is n - ddof; 1 or 0.
        batched: ``loss`` takes a batch. A loss that couples its examples is refused: it has no per-example gradient.
        key: a typed key for a random loss, called as ``loss(params, example, key=...)``: example i, counted over the whole
            batch, gets ``jax.random.fold_in(key, i)``.
        centred: subtract a reference gradient before squaring, everywhere.
        squared_norms: also return ||g_i||^2 of every example.
        second_moment: also return the mean of g_i^2 entry by entry.
        nan: what to do with an example whose loss or gradient is not finite: "raise", or "drop" it and count the rest. Under
            ``jit`` nothing can be raised: the results are then NaN.
        byte_budget: memory for the activations of the examples differentiated at a time.
        chunk_size: that number of examples; from ``byte_budget`` if None. Changes rounding only.
        explain: also say, leaf by leaf, how it was computed.

    Returns:
        A :class:`GradientMoments`.

    Raises:
        InputTypeError: complex parameters, or a loss that is not a floating-point number.
        InputError: an argument out of range, too few examples, leading axes that differ, a loss that is not a scalar, does
            not depend on the example, or (CoupledExamplesError) couples the examples of a batch.
        NotFiniteError: an example is not finite and nan="raise", or a number overflows.

    >>> moments = gradient_moments(lambda w, x: w * x, jnp.asarray(1.0), jnp.asarray([1.0, 2.0, 6.0]))
    >>> float(moments.mean), float(moments.trace)
    (3.0, 7.0)
    """
    examples = check_examples(batch, "batch")
    check_leaves(params, "params")
    check_choice(ddof, "ddof", (0, 1), "give 1 (divisor n - 1) or 0 (divisor n)")
    if examples <= ddof:
        raise InputError("batch", Words(f"has {examples} examples"), f"give at least {ddof + 1} for ddof={ddof}")
    check_loss(loss)
    check_choice(nan, "nan", ("raise", "drop"))
    check_flags(
        batched=batched, centred=centred, squared_norms=squared_norms, second_moment=second_moment, explain=explain
    )
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
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating):
            where = f"params{jax.tree_util.keystr(path)}"
            raise InputTypeError(where, Words("is complex"), "give real and imaginary part as two leaves")
    mesh, axes = _sharding(batch)
    wanted = Wanted(norms=squared_norms, squares=second_moment, centred=centred)
    options = _Options(batched, wanted, nan == "drop", chunk_size, byte_budget, ddof, mesh, axes)
    moments, whole = _moments(loss, options, params, batch, key)
    if isinstance(moments.trace, jax.core.Tracer):
        return moments if explain else replace(moments, explanation=None)
    _check_finite(moments, nan, lambda: _moments(loss, replace(options, drop=True), params, batch, key)[0])
    _check_whole(moments, whole, examples)
    _check_rounding(moments)
    return replace(moments, examples=int(moments.examples), explanation=moments.explanation if explain else None)


@partial(jax.jit, static_argnums=(0, 1))
def _moments(
    loss: Callable[..., Any], options: _Options, params: Any, batch: Any, key: Any
) -> tuple[GradientMoments, Any]:
    """One device or many; with ``batched`` also the loss of the whole batch, which nothing but a check needs."""
    structure: Any = jax.tree.structure(params)
    batch_structure: Any = jax.tree.structure(batch)
    leaves, arrays = jax.tree.leaves(params), jax.tree.leaves(batch)
    leaves, arrays = [jnp.asarray(x) for x in leaves], [jnp.asarray(x) for x in arrays]
    if options.batched:
        check_uncoupled(lambda p, b: loss(structure.unflatten(p), batch_structure.unflatten(b)), leaves, arrays)

    def flat(own: Sequence[Any], example: Sequence[Any]) -> Any:
        if options.batched:
            return loss(structure.unflatten(own), batch_structure.unflatten([x[None] for x in example]))
        if key is None:
            return loss(structure.unflatten(own), batch_structure.unflatten(example))
        return loss(structure.unflatten(own), batch_structure.unflatten(example[:-1]), key=example[-1])

    if key is not None:
        arrays.append(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(arrays[0]))))
    wanted = options.wanted
    example = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in arrays]
    plan = make_plan(flat, leaves, example, exact_norms=wanted.norms or wanted.squares, centred=wanted.centred)
    chunk_bytes = min(CHUNK_BYTES.get(jax.default_backend(), OTHER_CHUNK_BYTES), options.byte_budget)

    def of_examples(leaves: Sequence[Any], arrays: Sequence[Any]) -> BatchSums:
        def make(part: Sequence[Any], live: Any) -> BatchSums:
            return batch_sums(plan, flat, leaves, part, live, wanted, drop=options.drop, chunk_bytes=chunk_bytes)

        chunk = options.chunk_size or max(1, options.byte_budget // max(1, 2 * plan.activation_bytes))
        sums = in_chunks(make, arrays, chunk)
        return merge_over(options.axes, sums) if options.axes else sums

    if options.axes:
        rows: Any = PartitionSpec(options.axes)
        everywhere: Any = PartitionSpec()
        out = BatchSums(everywhere, rows, rows, everywhere, everywhere, rows, everywhere)
        of_examples = jax.shard_map(
            of_examples, mesh=options.mesh, in_specs=(everywhere, rows), out_specs=out, check_vma=False
        )
    sums = of_examples(leaves, arrays)
    traces = [s / jnp.maximum(sums.count - options.ddof, 0) for s in sums.scatter]
    share = options.ddof / jnp.maximum(sums.count, 1)
    squared = [sum_of_squares(m) - share * t for m, t in zip(sums.mean, traces)]
    mean = [m.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.integer) else m for m, x in zip(sums.mean, leaves)]
    whole = loss(params, batch) if options.batched else None
    moments = GradientMoments(
        mean=structure.unflatten(mean),
        trace_per_leaf=structure.unflatten(traces),
        trace=sum(traces),
        squared_mean_per_leaf=structure.unflatten(squared),
        squared_mean=sum(squared),
        examples=sums.count,
        loss=jnp.sum(sums.losses) / sums.count,
        squared_norms=None if sums.norms is None else sum(sums.norms),
        second_moment=None if sums.squares is None else structure.unflatten(sums.squares),
        ddof=options.ddof,
        explanation=explain_plan(plan, params),
    )
    return moments, whole


def _sharding(batch: Any) -> tuple[Any, tuple[str, ...]]:
    """The mesh over whose axes the examples are spread, and these axes; nothing if they are on one device."""
    found: set[tuple[Any, tuple[str, ...]]] = set()
    for leaf in jax.tree.leaves(batch):
        if isinstance(leaf, jax.core.Tracer):
            return None, ()
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and len(sharding.device_set) > 1:
            first = tuple(sharding.spec)[:1]
            axes = first[0] if first else None
            found.add((sharding.mesh, (axes,) if isinstance(axes, str) else tuple(axes or ())))
        else:
            found.add((None, ()))
    if len(found) > 1:
        raise InputError(
            "batch", Words(f"has leaves spread over devices in {len(found)} ways"), "give all the same NamedSharding"
        )
    ((mesh, axes),) = found
    return (mesh, axes) if axes else (None, ())


def _check_finite(moments: GradientMoments, nan: str, dropping: Callable[[], GradientMoments]) -> None:
    """Never a silent NaN."""
    # a gradient that is not finite leaves neither its trace nor its norm finite
    if all(math.isfinite(x) for x in (float(moments.trace), float(moments.squared_mean), float(moments.loss))):
        return
    left = int(moments.examples if nan == "drop" else dropping().examples)
    if nan == "drop":
        if left <= moments.ddof:
            raise NoFiniteExamplesError(
                "batch",
                Words(f"has {left} examples with a finite loss and gradient"),
                f"nothing can be estimated from fewer than {moments.ddof + 1}, look at params and batch",
            )
        raise NotFiniteError("batch", Words("has finite examples whose moments overflow"), _overflow_cure(moments))
    given = int(moments.examples)
    if left == given:
        raise NotFiniteError("batch", Words("is finite, but its moments overflow"), _overflow_cure(moments))
    raise NotFiniteError(
        "batch",
        Words(f"is not finite: {given - left:,} of {given:,} examples have a loss or a gradient that is not finite"),
        "nan='drop' leaves them out",
    )


def _overflow_cure(moments: GradientMoments) -> str:
    """Double precision helps where it is not there yet."""
    return "scale the loss" if moments.trace.dtype == jnp.float64 else "scale the loss, or use jax.enable_x64(True)"


def _check_whole(moments: GradientMoments, whole: Any, given: int) -> None:
    """The loss of the batch is the mean or the sum of the losses of batches of one."""
    if whole is None or int(moments.examples) != given:
        return
    value, mean = float(whole), float(moments.loss)
    if not any(math.isclose(value, expected, rel_tol=1e-2, abs_tol=1e-6) for expected in (mean, given * mean)):
        raise CoupledExamplesError(
            "loss",
            Words(
                f"is {value:.6g} for the batch, but for batches of one it is {mean:.6g} on average and {given * mean:.6g} in "
                f"sum: it depends on how many examples there are"
            ),
            "give the loss of ONE example, loss(params, example)",
        )


def _check_rounding(moments: GradientMoments) -> None:
    """Warn where the sum of squares and n ||mean||^2 are too close for a difference."""
    if moments.explanation is None:
        return
    worst = []
    traces, squares = (jax.tree.leaves(tree) for tree in (moments.trace_per_leaf, moments.squared_mean_per_leaf))
    for route, trace, square in zip(moments.explanation.leaves, map(np.asarray, traces), map(np.asarray, squares)):
        if route.cancels and trace < ROUNDINGS * np.finfo(trace.dtype).eps * square:
            worst.append(route.path)
    if worst:
        warnings.warn(
            f"the mean gradient dominates: the trace of {', '.join(worst[:3])}{', ...' if len(worst) > 3 else ''} may be off by "
            f"over 2 %; give centred=True",
            RuntimeWarning,
            stacklevel=3,
        )
