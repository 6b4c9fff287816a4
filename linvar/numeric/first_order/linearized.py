"""One step of SGD's deterministic iterate, and of the fluctuations around it: compiled, in chunks of examples.

With G the gradient of the mean loss at w, H its Hessian, a the learning rate and q a fluctuation with the covariance of ONE
example's gradient, an iterate and its first-order fluctuation y / sqrt(b) take the same update ``_moved``, linear in them:

    w' = w - a G,        y' = y - a (H y + q).

``full_step`` carries Cov(y), one number a pair of parameters. ``probe_step`` carries vectors y, each driven by

    q = sum_i sqrt(p_i) sigma_i (g_i - G),      sigma_i independent random signs,      Cov(q) = sum_i p_i (g_i - G)(g_i - G)^T

for examples of probability p_i: a gradient of signed losses, no gradient of one example. Cov(y) is then exact, and
E ||H y||^2 = tr(H Cov(y) H).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.forms import sum_of_squares
from linvar.numeric.gradients.per_example.plan import make_plan

Loss = Callable[[Any, Any], Any]
Leaves = Sequence[Any]


@dataclass(frozen=True)
class Program:
    """What changes the program.

    Attributes:
        momentum: is there any?
        nesterov: in Nesterov's form.
        chunk_size: examples at a time.
        together: probes at a time.
        byte_budget: for the per-example moments.
    """

    momentum: bool
    nesterov: bool
    chunk_size: int
    together: int
    byte_budget: int


class Rates(NamedTuple):
    """Numbers of one update."""

    learning_rate: Any
    momentum: Any
    weight_decay: Any


class Seen(NamedTuple):
    """What one step measures: mean loss, ||G||, tr Cov of one example's gradient, ||H y||^2 of each probe (or its mean)."""

    loss: Any
    gradient_norm: Any
    per_example: Any
    propagated: Any


def differentiated(params: Any) -> tuple[list[Any], Callable[[Leaves], Any]]:
    """The floating-point leaves, and the parameters again from others in their place."""
    leaves, structure = jax.tree.leaves(params), cast(Any, jax.tree.structure(params))
    places = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def rebuilt(own: Leaves) -> Any:
        whole = list(leaves)
        for place, leaf in zip(places, own):
            whole[place] = leaf
        return structure.unflatten(whole)

    return [leaves[i] for i in places], rebuilt


def example_bytes(loss: Loss, params: Any, data: Any) -> int:
    """Bytes of all values of the loss of one example."""
    own, rebuilt = differentiated(params)
    arrays, structure = jax.tree.leaves(data), cast(Any, jax.tree.structure(data))

    def flat(own: Leaves, example: Leaves) -> Any:
        return loss(rebuilt(own), structure.unflatten(example))

    example = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in arrays]
    return max(1, make_plan(flat, own, example, exact_norms=False, centred=False).activation_bytes)


def _moved(position: Any, velocity: Any, slope: Any, rates: Rates, nesterov: bool) -> tuple[Any, Any]:
    """Position and velocity after an update, in optax's conventions; the velocity stays None without momentum."""
    rate, momentum, decay = (jnp.asarray(r, slope.dtype) for r in rates)
    slope = slope + decay * position
    if velocity is None:
        return position - rate * slope, None
    velocity = slope + momentum * velocity
    return position - rate * (slope + momentum * velocity if nesterov else velocity), velocity


def _moved_leaves(
    leaves: Leaves, velocity: Leaves | None, slopes: Leaves, rates: Rates, nesterov: bool
) -> tuple[Any, Any]:
    """The same, leaf by leaf."""
    velocities = [None] * len(slopes) if velocity is None else velocity
    pairs = [_moved(*leaf, rates, nesterov) for leaf in zip(leaves, velocities, slopes)]
    return [pair[0] for pair in pairs], None if velocity is None else [pair[1] for pair in pairs]


def folded(arrays: Any, size: int, chunk: int) -> Any:
    """Arrays in equal chunks, chunks first; the last one is filled up with copies, which coefficients of 0 will leave out."""
    chunks = -(-size // chunk)
    chunk = -(-size // chunks)
    rows = jnp.minimum(jnp.arange(chunks * chunk), size - 1)

    def fold(x: Any) -> Any:
        return (x if chunks * chunk == size else x[rows]).reshape(chunks, chunk, *x.shape[1:])

    return jax.tree.map(fold, arrays)


def summed(make: Callable[..., Any], parts: Any, *coefficients: Any) -> Any:
    """Sum over chunks of ``make(examples, *coefficients)``, linear in the coefficients of all examples."""
    chunks, chunk = jax.tree.leaves(parts)[0].shape[:2]
    own = [jnp.pad(c, (0, chunks * chunk - c.shape[0])).reshape(chunks, chunk) for c in coefficients]

    def step(total: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, make(part[0], *part[1])), None

    first = jax.tree.map(lambda x: x[0], (parts, own))
    shapes = jax.eval_shape(lambda part: make(part[0], *part[1]), first)
    return jax.lax.scan(step, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), (parts, own))[0]


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(4,))
def probe_step(
    loss: Loss, program: Program, params: Any, velocity: Leaves | None, probes: Any, data: Any, weights: Any,
    rates: Rates, key: Any,
) -> tuple[Any, Any, Any, Seen]:  # fmt: skip
    """One step with random vectors; see the module.

    Args:
        loss: of one example.
        program: static.
        params: w.
        velocity: momentum of the floating-point leaves; None without.
        probes: (y, its momentum or None), lists of leaves with the probes first.
        data: examples first.
        weights: probabilities, or None where they are equal.
        rates: of the update.
        key: of this step; probe j draws its signs from fold_in(key, j).

    Returns:
        params, velocity, probes, and what was seen before the update.
    """
    own, rebuilt = differentiated(params)
    size = jax.tree.leaves(data)[0].shape[0]
    dtype = jnp.result_type(*own)
    shares = jnp.full(size, 1 / size, dtype) if weights is None else jnp.asarray(weights, dtype)
    parts = folded(data, size, program.chunk_size)
    value, slope, trace = _moments(loss, program, params, data, weights, parts, shares)

    def losses(part: Any, leaves: Leaves) -> Any:
        return jax.vmap(loss, (None, 0))(rebuilt(leaves), part)

    def one(probe: Any) -> tuple[Any, Any]:
        number, position, momenta = probe
        signs = jax.random.rademacher(jax.random.fold_in(key, number), (size,), dtype)
        signed = jnp.sqrt(shares) * signs
        signed = signed - shares * jnp.sum(signed)

        def terms(part: Any, share: Any, sign: Any) -> Any:
            def gradient(leaves: Leaves) -> Any:
                return jax.grad(lambda x: jnp.vdot(share, losses(part, x)))(leaves)

            values, pull = jax.vjp(partial(losses, part), own)
            return jax.jvp(gradient, (own,), (position,))[1], pull(sign.astype(values.dtype))[0]

        curved, noise = summed(terms, parts, shares, signed)
        driven = [h + q for h, q in zip(curved, noise)]
        return _moved_leaves(position, momenta, driven, rates, program.nesterov), sum(map(sum_of_squares, curved))

    count = jax.tree.leaves(probes)[0].shape[0]
    probes, squares = jax.lax.map(one, (jnp.arange(count), *probes), batch_size=program.together)
    seen = Seen(value, jnp.sqrt(sum(map(sum_of_squares, slope))), trace, squares)
    own, velocity = _moved_leaves(own, velocity, slope, rates, program.nesterov)
    return rebuilt(own), velocity, probes, seen


def _moments(
    loss: Loss, program: Program, params: Any, data: Any, weights: Any, parts: Any, shares: Any
) -> tuple[Any, Any, Any]:
    """Mean loss, its gradient and the trace of the covariance of one example's gradient."""
    own, rebuilt = differentiated(params)
    centred = jnp.result_type(*own) != jnp.float64
    if weights is None:
        moments = gradient_moments(
            loss, params, data, ddof=0, centred=centred, chunk_size=program.chunk_size, byte_budget=program.byte_budget
        )
        return moments.loss, differentiated(moments.mean)[0], moments.trace

    def scaled(params: Any, example: Any) -> Any:
        return example[1] * loss(params, example[0])

    # gradients s_i g_i, s_i = sqrt(n p_i): their mean square is that of the law, their mean is not
    scales = jnp.sqrt(shares * shares.shape[0])
    moments = gradient_moments(
        scaled, params, (data, scales), ddof=0, centred=centred, chunk_size=program.chunk_size,
        byte_budget=program.byte_budget,
    )  # fmt: skip

    def mean_loss(part: Any, share: Any) -> Any:
        return jax.value_and_grad(lambda x: jnp.vdot(share, jax.vmap(loss, (None, 0))(rebuilt(x), part)))(own)

    value, slope = summed(mean_loss, parts, shares)
    square = moments.trace + sum(map(sum_of_squares, differentiated(moments.mean)[0]))
    return value, slope, jnp.maximum(square - sum(map(sum_of_squares, slope)), 0)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(4,))
def full_step(
    loss: Loss, program: Program, params: Any, velocity: Leaves | None, covariance: Any, data: Any, weights: Any,
    rates: Rates,
) -> tuple[Any, Any, Any, Seen]:  # fmt: skip
    """One step with the covariance of (y, its momentum), a matrix: arguments and results otherwise as in ``probe_step``."""
    own, rebuilt = differentiated(params)
    flat, unflat = ravel_pytree(own)
    count = flat.shape[0]
    size = jax.tree.leaves(data)[0].shape[0]
    shares = jnp.full(size, 1 / size, flat.dtype) if weights is None else jnp.asarray(weights, flat.dtype)
    parts = folded(data, size, program.chunk_size)

    def losses(part: Any, x: Any) -> Any:
        return jax.vmap(loss, (None, 0))(rebuilt(unflat(x)), part)

    def first(part: Any, share: Any) -> Any:
        return jax.value_and_grad(lambda x: jnp.vdot(share, losses(part, x)))(flat)

    value, slope = summed(first, parts, shares)

    def curvature(direction: Any) -> Any:
        def term(part: Any, share: Any) -> Any:
            return jax.jvp(jax.grad(lambda x: jnp.vdot(share, losses(part, x))), (flat,), (direction,))[1]

        return summed(term, parts, shares)

    def scatter(part: Any, share: Any) -> Any:
        gradients = jax.vmap(jax.grad(lambda x, example: loss(rebuilt(unflat(x)), example)), (None, 0))(flat, part)
        gradients = gradients - slope
        return (share[:, None] * gradients).T @ gradients

    hessian = jax.lax.map(curvature, jnp.eye(count, dtype=flat.dtype), batch_size=program.together)
    noise = summed(scatter, parts, shares)

    def moved(columns: Any) -> Any:
        """The linear part of the update, of (y, momentum) in every column."""
        position, momenta = (columns[:count], columns[count:]) if program.momentum else (columns, None)
        pair = _moved(position, momenta, hessian @ position, rates, program.nesterov)
        return jnp.concatenate(pair) if program.momentum else pair[0]

    curved = hessian @ covariance[:count, :count]
    zero = jnp.zeros((), flat.dtype)
    driven = _moved(zero, zero if program.momentum else None, zero + 1, rates, program.nesterov)
    shape = jnp.stack(driven if program.momentum else driven[:1])
    seen = Seen(value, jnp.linalg.norm(slope), jnp.trace(noise), jnp.sum(curved * hessian))
    covariance = moved(moved(covariance).T) + jnp.kron(jnp.outer(shape, shape), noise)
    own, velocity = _moved_leaves(own, velocity, unflat(slope), rates, program.nesterov)
    return rebuilt(own), velocity, covariance, seen
