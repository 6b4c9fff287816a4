"""Mean and covariance trace of the per-example gradients of ANY JAX loss, at about the price of the mean gradient.

The jaxpr of the loss says where each parameter enters; one backward pass then gives the factors of which per-example
gradients are products, and the moments follow without forming them (``per_example/``). What is not recognised is
differentiated example by example, in chunks, and ``explain=True`` says so. The compiled program is in ``program.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, Words
from linvar.keywords import door
from linvar.numeric.arguments import check_at_least, check_choice, check_key, check_mask
from linvar.numeric.gradients.callables import TakenLoss, take
from linvar.numeric.gradients.checks import check_finite, check_rounding, check_whole
from linvar.numeric.gradients.inputs import one_batch
from linvar.numeric.gradients.parameters import Leaves, chosen, direction_of, none_chosen
from linvar.numeric.gradients.per_example.strategies import Wanted
from linvar.numeric.gradients.program import Asked, Loss, Options, Whole, computed
from linvar.numeric.gradients.result import GradientMoments as GradientMoments
from linvar.numeric.gradients.result import positive
from linvar.numeric.gradients.spread import beside, spread_of


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
    variance: bool = False,
    along: PyTree | Literal["mean"] | None = None,
    clip_norm: ArrayLike | None = None,
    leaves: Leaves | None = None,
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
        variance: also return the variance of g_i entry by entry, centred in the same pass; the traces are then centred too.
        along: also return g_i . v of every example: v a pytree like ``mean``, or "mean" itself. About one forward pass more.
        clip_norm: C > 0: also return the clipped mean, (1/n) sum min(1, C / ||g_i||) g_i, and ``squared_norms``. One gradient
            more, that of the weighted sum of losses.
        leaves: measure these leaves only, as optax's masks: booleans in a pytree that is a prefix of ``params``, or a function of
            ``params`` that returns one. The mean gradient is still that of all; under ``jit``, what is not used costs nothing.
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
    check_flags(
        batched=batched, centred=centred, **flags, second_moment=second_moment, variance=variance, explain=explain
    )
    flags_of_leaves = None if leaves is None else chosen(params, leaves)
    loss, params = take(loss, params, batched=batched)
    measured = _measured(loss, params, flags_of_leaves)
    if clip_norm is not None and measured is not None:
        cure = "clip without leaves=: the norm that is clipped is that of all leaves"
        raise InputError("clip_norm", Words("is given with leaves="), cure)
    asked = Asked(
        None if clip_norm is None else positive(clip_norm, "clip_norm", "the largest norm that stays"),
        None if along is None or _is_word(along) else direction_of(along, params),
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
    norms = (not free and bool(squared_norms)) or clip_norm is not None
    wanted = Wanted(norms=norms, squares=second_moment, deviations=variance, centred=centred or variance)
    spread = spread_of(batch)
    batch = beside(batch, spread)
    options = Options(
        batched, wanted, free, nan == "drop", chunk_size, byte_budget, ddof, spread, measured, _is_word(along)
    )
    rows = None if rows is None else beside(rows, spread)
    found: tuple[GradientMoments, Whole] = computed(loss, options, params, batch, key, rows, asked)
    moments, whole = found
    if isinstance(moments.trace, jax.core.Tracer):
        return moments if explain else replace(moments, explanation=None)
    certain = replace(moments, squared_norms=None) if free else moments
    dropping = replace(options, drop=True)
    check_finite(certain, nan, lambda: computed(loss, dropping, params, batch, key, rows, asked)[0])
    if int(moments.examples) == live:
        check_whole(whole, examples)
    check_rounding(moments)
    return replace(moments, examples=int(moments.examples), explanation=moments.explanation if explain else None)


def _is_word(along: object) -> bool:
    """Along the mean?

    Raises:
        InputError: another word.
    """
    if not isinstance(along, str):
        return False
    check_choice(along, "along", ("mean",), 'write "mean", or give a pytree like the mean gradient')
    return True


def _measured(loss: TakenLoss, params: PyTree, flags: Sequence[bool] | None) -> tuple[bool, ...] | None:
    """Which of the leaves that are differentiated are measured; None: all."""
    if flags is None:
        return None
    own = tuple(loss.differentiated(flags))
    floating = [jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in jax.tree.leaves(params)]
    if not any(mine and real for mine, real in zip(own, floating)):
        raise none_chosen()
    return None if all(own) else own
