"""The noise scale weighted by the curvature, from probes: weighted gradients, and second derivatives along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.arguments import check_integer
from linvar.errors import InputError, NotFiniteError, Words
from linvar.keywords import door
from linvar.numeric.arguments import check_at_least, check_choice, check_key, check_mask
from linvar.numeric.gradients.callables import TakenLoss, take
from linvar.numeric.gradients.inputs import one_batch
from linvar.numeric.gradients.leaves import number
from linvar.numeric.gradients.parameters import Leaves, check_depends
from linvar.numeric.gradients.passes import Examples
from linvar.numeric.gradients.per_example.analysis import analyse
from linvar.numeric.gradients.per_example.meshes import Types, vary, varying
from linvar.numeric.gradients.pool import widest
from linvar.numeric.gradients.program import Loss, flat
from linvar.numeric.gradients.result import ratio
from linvar.numeric.gradients.spread import Spread, beside, spread_of


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["noise_scale", "standard_error", "trace", "trace_standard_error", "curvature", "examples"],
    meta_fields=["probes", "ddof"],
)
@dataclass(frozen=True)
class HessianNoiseScale:
    """The noise scale of McCandlish et al. with its curvature, of one batch at fixed parameters; pytree of scalars.

    Attributes:
        noise_scale: trace / curvature; infinite where the curvature along the mean is not positive.
        standard_error: of it, over the probes, the batch given; infinite where it is.
        trace: tr(H Sigma), H the Hessian of the MEAN loss, Sigma the covariance of one example's gradient, divisor n - ddof.
        trace_standard_error: of it, over the probes.
        curvature: G^T H G: with ddof=0 that of the mean gradient; with ddof=1 less trace / n, which is what the mean's own noise
            adds, so that it may be negative.
        examples: n.
        probes: how many.
        ddof: 1 (unbiased for the law the examples came from, H given) or 0 (the batch is the whole population).
    """

    noise_scale: jax.Array
    standard_error: jax.Array
    trace: jax.Array
    trace_standard_error: jax.Array
    curvature: jax.Array
    examples: int | jax.Array
    probes: int
    ddof: int

    def __repr__(self) -> str:
        return (
            f"HessianNoiseScale({number(lambda: self.noise_scale, '.4g')} +- {number(lambda: self.standard_error, '.2g')}; "
            f"trace={number(lambda: self.trace, '.4g')}, curvature={number(lambda: self.curvature, '.4g')}, "
            f"{number(lambda: self.examples, ',.0f')} examples, {self.probes} probes)"
        )


@dataclass(frozen=True)
class _Options:
    """What changes the program."""

    batched: bool
    probes: int
    ddof: int
    chunk_size: int | None
    byte_budget: int
    spread: Spread | None


@door
def hessian_noise_scale(
    loss: Loss,
    params: PyTree,
    batch: PyTree,
    key: jax.Array,
    *,
    probes: int = 32,
    ddof: int = 1,
    batched: bool = False,
    mask: ArrayLike | Sequence[bool | int | float] | None = None,
    leaves: Leaves | None = None,
    byte_budget: int = 2**28,
    chunk_size: int | None = None,
) -> HessianNoiseScale:
    """tr(H Sigma) / (G^T H G), the batch size at which noise and signal weigh alike in the expected LOSS of one step.

    A probe is q = v^T H v of v = sum_i e_i g_i / sqrt(n - ddof), e_i independent random signs less their mean: E v v^T = Sigma,
    and E q = tr(H Sigma), without bias whatever the number of probes. v is the gradient of one weighted sum of losses, q a second
    derivative along it: neither a gradient of one example nor a Hessian is formed. With H a multiple of the identity it is
    ``noise_scale``, the simple one. A probe costs about three plain gradients. Of more data than one batch average ``trace`` and
    ``curvature`` over batches, then divide: H of the same n examples leaves a bias of order 1/n in each.

    Args:
        loss: of one example, or with ``batched`` of a batch; see :func:`linvar.numeric.gradient_moments`. Differentiated twice.
        params: any pytree of arrays, or a module; see :func:`linvar.numeric.gradient_moments`.
        batch: a pytree whose leaves have a common leading axis, the n examples.
        key: a typed key for the probes, ``jax.random.key(seed)``.
        probes: how many, at least 2.
        ddof: the divisor of Sigma is n - ddof; 1 or 0.
        batched: ``loss`` takes a batch.
        mask: (n,) booleans, or 0 and 1: False for a row of padding, which counts nowhere.
        leaves: H and Sigma of these alone, the others held fixed; see :func:`linvar.numeric.noise_scale`.
        byte_budget: memory for the activations of the examples differentiated at a time.
        chunk_size: that number of examples; from ``byte_budget`` if None.

    Returns:
        A :class:`HessianNoiseScale`.

    Raises:
        InputTypeError, InputError: as :func:`linvar.numeric.gradient_moments`; fewer than 2 probes; no key.
        NotFiniteError: what comes out is not finite (under ``jit`` it is NaN).

    After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training", their B_noise; the probes after
    Hutchinson (1990).

    >>> from linvar.numeric.gradients.moments import gradient_moments
    >>> x = jnp.asarray([[1.0, 2.0], [3.0, 1.0], [2.0, 6.0]])
    >>> found = hessian_noise_scale(lambda w, x: jnp.sum((w - x) ** 2), jnp.zeros(2), x, jax.random.key(0), probes=400)
    >>> simple = gradient_moments(lambda w, x: jnp.sum((w - x) ** 2), jnp.zeros(2), x).noise_scale  # H = 2
    >>> bool(abs(found.noise_scale - simple) < 3 * found.standard_error), found.examples, found.probes
    (True, 3, 400)
    """
    batch, examples = one_batch(batch)
    live, rows = (examples, None) if mask is None else check_mask(mask, examples)
    check_choice(ddof, "ddof", (0, 1), "give 1 (divisor n - 1) or 0 (divisor n)")
    if live <= ddof:
        name, what = ("batch", "examples") if mask is None else ("mask", "rows that count")
        raise InputError(name, Words(f"has {live} {what}"), f"give at least {ddof + 1} for ddof={ddof}")
    check_key(key)
    check_at_least(probes, "probes", 2, "a standard error over probes needs at least 2")
    if chunk_size is not None:
        check_at_least(chunk_size, "chunk_size", 1, "give the number of examples differentiated at a time, >= 1")
    byte_budget = check_integer(byte_budget, "byte_budget")
    loss, params = take(loss, params, batched=batched, leaves=leaves)
    spread = spread_of(batch)
    options = _Options(batched, probes, ddof, chunk_size, byte_budget, spread)
    mask = None if rows is None else beside(rows, spread)
    found: HessianNoiseScale = _by_probes(loss, options, params, beside(batch, spread), key, mask)
    if isinstance(found.trace, jax.core.Tracer):
        return found
    if not all(bool(jnp.isfinite(x)) for x in (found.trace, found.curvature)):
        cure = "look at params and batch, gradient_moments names the examples; or scale the loss"
        raise NotFiniteError("batch", Words("has gradients or second derivatives that are not finite"), cure)
    return replace(found, examples=int(found.examples))


@partial(jax.jit, static_argnums=1)
def _by_probes(
    loss: TakenLoss, options: _Options, params: PyTree, batch: PyTree, key: jax.Array, mask: jax.Array | None
) -> HessianNoiseScale:
    """The trace from probes one after another, and the curvature along the mean."""
    live = None if mask is None else mask != 0
    of_example, leaves, arrays = flat(loss, params, batch, live, batched=options.batched)
    types = Types.of(leaves, arrays)
    with types.explicit():
        analysis = analyse(of_example, *types.shapes(leaves, arrays), examples=len(arrays[0]))
    check_depends(group.strategy for group in analysis.groups)
    chunk = options.chunk_size or max(1, options.byte_budget // max(1, 4 * analysis.activation_bytes))
    every = vary(jnp.ones(len(arrays[0]), bool), varying(arrays))
    counted = every if live is None else live
    examples = Examples(of_example, leaves, arrays, counted, options.spread, chunk)
    weights = counted.astype(widest(params))
    count = jnp.sum(weights)
    right = jnp.asarray(True) if mask is None else jnp.all((mask == 0) | (mask == 1))
    mean = examples.weighted_mean(weights)
    # a loss that is linear has no second derivative to be NaN
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in mean]))
    enough = right & finite & (count > options.ddof)

    def curvature(direction: list[jax.Array]) -> jax.Array:
        return jnp.sum(examples.slopes(direction, order=2)) / count

    def probe(key: jax.Array) -> jax.Array:
        signs = jax.random.rademacher(key, weights.shape, weights.dtype) * weights
        vector = examples.weighted_mean(signs - weights * (jnp.sum(signs) / count))
        return curvature(vector) * count**2 / jnp.maximum(count - options.ddof, 1)

    found = jax.lax.map(probe, jax.random.split(key, options.probes))
    trace, error = jnp.mean(found), jnp.std(found, ddof=1) / options.probes**0.5
    along = curvature(mean)
    below = along - options.ddof * trace / count
    scale = ratio(trace, below)
    # d scale / d trace = along / below^2
    scale_error = jnp.where(below > 0, jnp.abs(along) * error / jnp.where(below > 0, below, 1) ** 2, jnp.inf)

    def known(x: jax.Array) -> jax.Array:
        return jnp.where(enough, x, jnp.nan)

    return HessianNoiseScale(
        noise_scale=known(scale),
        standard_error=known(scale_error),
        trace=known(trace),
        trace_standard_error=known(error),
        curvature=known(below),
        examples=count,
        probes=options.probes,
        ddof=options.ddof,
    )
