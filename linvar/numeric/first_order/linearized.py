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

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.analysis import analyse
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares

#: A pytree of arrays.
Tree = TypeVar("Tree")
Loss = Callable[[Any, Any], jax.Array]
Leaves = Sequence[jax.Array]
#: Vectors y, probes first, leaf by leaf; and their momentum, None without.
Probes = tuple[list[jax.Array], list[jax.Array] | None]


@dataclass(frozen=True)
class Program:
    """What changes the program.

    Attributes:
        momentum: is there any?
        nesterov: in Nesterov's form.
        chunk_size: examples at a time.
        together: probes at a time.
        byte_budget: for the moments of the gradients.
    """

    momentum: bool
    nesterov: bool
    chunk_size: int
    together: int
    byte_budget: int


class Rates(NamedTuple):
    """Numbers of one update."""

    learning_rate: ArrayLike
    momentum: ArrayLike
    weight_decay: ArrayLike


class Seen(NamedTuple):
    """What one step measures: mean loss, ||G||, tr Cov of one example's gradient, ||H y||^2 of each probe (or its mean)."""

    loss: jax.Array
    gradient_norm: jax.Array
    per_example: jax.Array
    propagated: jax.Array


class Step(NamedTuple):
    """After an update, and what was seen before it.

    Attributes:
        params: w', a pytree like w.
        velocity: momentum of the floating-point leaves; None without.
        carried: of the fluctuations, what came in.
        seen: at w.
    """

    params: Any
    velocity: list[jax.Array] | None
    carried: Any
    seen: Seen


def differentiated(params: Tree) -> tuple[list[jax.Array], Callable[[Leaves], Tree]]:
    """The floating-point leaves, and the parameters again from others in their place."""
    leaves, structure = jax.tree.flatten(params)
    places = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def rebuilt(own: Leaves) -> Tree:
        whole = list(leaves)
        for place, leaf in zip(places, own):
            whole[place] = leaf
        tree: Tree = jax.tree.unflatten(structure, whole)
        return tree

    return [leaves[i] for i in places], rebuilt


def example_bytes(loss: Loss, params: Any, data: Any) -> int:
    """Bytes of all values of the loss of one example."""
    own, rebuilt = differentiated(params)
    arrays, structure = jax.tree.flatten(data)

    def flat(own: Leaves, example: Leaves) -> jax.Array:
        return loss(rebuilt(own), jax.tree.unflatten(structure, example))

    example = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in arrays]
    return max(1, analyse(flat, own, example).activation_bytes)


def _moved(
    position: jax.Array, velocity: jax.Array | None, slope: jax.Array, rates: Rates, nesterov: bool
) -> tuple[jax.Array, jax.Array | None]:
    """Position and velocity after an update, in optax's conventions; the velocity stays None without momentum."""
    rate, momentum, decay = (jnp.asarray(r, slope.dtype) for r in rates)
    slope = slope + decay * position
    if velocity is None:
        return position - rate * slope, None
    velocity = slope + momentum * velocity
    return position - rate * (slope + momentum * velocity if nesterov else velocity), velocity


def _moved_leaves(
    leaves: Leaves, velocity: Leaves | None, slopes: Leaves, rates: Rates, nesterov: bool
) -> tuple[list[jax.Array], list[jax.Array] | None]:
    """The same, leaf by leaf."""
    velocities = [None] * len(slopes) if velocity is None else velocity
    pairs = [_moved(*leaf, rates, nesterov) for leaf in zip(leaves, velocities, slopes)]
    moved = [velocity for _, velocity in pairs if velocity is not None]
    return [position for position, _ in pairs], None if velocity is None else moved


def folded(arrays: Tree, size: int, chunk: int) -> Tree:
    """Arrays in equal chunks, chunks first; the last one is filled up with copies, which coefficients of 0 will leave out."""
    chunks = -(-size // chunk)
    chunk = -(-size // chunks)
    rows = jnp.minimum(jnp.arange(chunks * chunk), size - 1)

    def fold(x: jax.Array) -> jax.Array:
        return (x if chunks * chunk == size else x[rows]).reshape(chunks, chunk, *x.shape[1:])

    tree: Tree = jax.tree.map(fold, arrays)
    return tree


def summed(make: Callable[..., Tree], parts: Any, *coefficients: jax.Array) -> Tree:
    """Sum over chunks of ``make(examples, *coefficients)``, linear in the coefficients of all examples."""
    chunks, chunk = jax.tree.leaves(parts)[0].shape[:2]
    own = [jnp.pad(c, (0, chunks * chunk - c.shape[0])).reshape(chunks, chunk) for c in coefficients]

    def add(total: Tree, part: Any) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, make(part[0], *part[1])), None

    first = jax.tree.map(lambda x: x[0], (parts, own))
    shapes = jax.eval_shape(lambda part: make(part[0], *part[1]), first)
    zero: Tree = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.scan(add, zero, (parts, own))[0]


def _squared_norm(leaves: Leaves) -> jax.Array:
    """Sum of the squares of all leaves."""
    return reduce(operator.add, map(sum_of_squares, leaves))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(4,))
def probe_step(
    loss: Loss, program: Program, params: Tree, velocity: Leaves | None, probes: Probes, data: Any, weights: Any,
    rates: Rates, key: jax.Array,
) -> Step:  # fmt: skip
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
    """
    own, rebuilt = differentiated(params)
    size = jax.tree.leaves(data)[0].shape[0]
    dtype = jnp.result_type(*own)
    shares = jnp.full(size, 1 / size, dtype) if weights is None else jnp.asarray(weights, dtype)
    parts = folded(data, size, program.chunk_size)
    mean = _mean_gradient(loss, program, params, data, weights, parts, shares)

    def losses(part: Any, leaves: Leaves) -> jax.Array:
        return jax.vmap(loss, (None, 0))(rebuilt(leaves), part)

    def one(probe: tuple[jax.Array, Leaves, Leaves | None]) -> tuple[Probes, jax.Array]:
        """y' = y - a (H y + q), and ||H y||^2."""
        number, position, momenta = probe
        signs = jax.random.rademacher(jax.random.fold_in(key, number), (size,), dtype)
        signed = jnp.sqrt(shares) * signs
        signed = signed - shares * jnp.sum(signed)  # sum_i signed_i g_i = sum_i sqrt(p_i) sigma_i (g_i - G) = q

        def terms(part: Any, share: jax.Array, sign: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
            """H y, the derivative of the gradient along y, and q, a gradient of signed losses."""

            def gradient(leaves: Leaves) -> list[jax.Array]:
                slopes: list[jax.Array] = jax.grad(lambda x: jnp.vdot(share, losses(part, x)))(leaves)
                return slopes

            values, pull = jax.vjp(partial(losses, part), own)
            return jax.jvp(gradient, (own,), (position,))[1], pull(sign.astype(values.dtype))[0]

        curved, noise = summed(terms, parts, shares, signed)
        driven = [h + q for h, q in zip(curved, noise)]
        return _moved_leaves(position, momenta, driven, rates, program.nesterov), _squared_norm(curved)

    count = jax.tree.leaves(probes)[0].shape[0]
    moved, squares = jax.lax.map(one, (jnp.arange(count), *probes), batch_size=program.together)
    seen = Seen(mean.loss, jnp.sqrt(_squared_norm(mean.gradient)), mean.trace, squares)
    after, velocity = _moved_leaves(own, velocity, mean.gradient, rates, program.nesterov)
    return Step(rebuilt(after), velocity, moved, seen)


class _Mean(NamedTuple):
    """Mean loss, its gradient, and the trace of the covariance of one example's gradient."""

    loss: jax.Array
    gradient: list[jax.Array]
    trace: jax.Array


def _mean_gradient(
    loss: Loss, program: Program, params: Tree, data: Any, weights: Any, parts: Any, shares: jax.Array
) -> _Mean:
    """Over the examples, or their law."""
    own, rebuilt = differentiated(params)
    centred = jnp.result_type(*own) != jnp.float64
    if weights is None:
        moments = gradient_moments(
            loss, params, data, ddof=0, centred=centred, chunk_size=program.chunk_size, byte_budget=program.byte_budget
        )
        return _Mean(moments.loss, differentiated(moments.mean)[0], moments.trace)

    def scaled(params: Tree, pair: tuple[Any, jax.Array]) -> jax.Array:
        example, scale = pair
        return scale * loss(params, example)

    # gradients s_i g_i, s_i = sqrt(n p_i): their mean square is that of the law, their mean is not
    scales = jnp.sqrt(shares * shares.shape[0])
    moments = gradient_moments(
        scaled, params, (data, scales), ddof=0, centred=centred, chunk_size=program.chunk_size,
        byte_budget=program.byte_budget,
    )  # fmt: skip

    def mean_loss(part: Any, share: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        result: tuple[jax.Array, list[jax.Array]] = jax.value_and_grad(
            lambda x: jnp.vdot(share, jax.vmap(loss, (None, 0))(rebuilt(x), part))
        )(own)
        return result

    value, slope = summed(mean_loss, parts, shares)
    square = moments.trace + _squared_norm(differentiated(moments.mean)[0])  # sum_i p_i ||g_i||^2
    return _Mean(value, slope, jnp.maximum(square - _squared_norm(slope), 0))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(4,))
def full_step(
    loss: Loss, program: Program, params: Tree, velocity: Leaves | None, covariance: jax.Array, data: Any,
    weights: Any, rates: Rates,
) -> Step:  # fmt: skip
    """One step with the covariance of (y, its momentum), a matrix: arguments and results otherwise as in ``probe_step``."""
    own, rebuilt = differentiated(params)
    flat, unflat = ravel_pytree(own)
    count = flat.shape[0]
    size = jax.tree.leaves(data)[0].shape[0]
    shares = jnp.full(size, 1 / size, flat.dtype) if weights is None else jnp.asarray(weights, flat.dtype)
    parts = folded(data, size, program.chunk_size)

    def losses(part: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(loss, (None, 0))(rebuilt(unflat(x)), part)

    def first(part: Any, share: jax.Array) -> tuple[jax.Array, jax.Array]:
        result: tuple[jax.Array, jax.Array] = jax.value_and_grad(lambda x: jnp.vdot(share, losses(part, x)))(flat)
        return result

    value, slope = summed(first, parts, shares)

    def curvature(direction: jax.Array) -> jax.Array:
        """H times a direction."""

        def term(part: Any, share: jax.Array) -> jax.Array:
            along: jax.Array = jax.jvp(jax.grad(lambda x: jnp.vdot(share, losses(part, x))), (flat,), (direction,))[1]
            return along

        return summed(term, parts, shares)

    def scatter(part: Any, share: jax.Array) -> jax.Array:
        """sum_i p_i (g_i - G)(g_i - G)^T."""
        gradient = jax.grad(lambda x, example: loss(rebuilt(unflat(x)), example))
        centred: jax.Array = jax.vmap(gradient, (None, 0))(flat, part) - slope
        return (share[:, None] * centred).T @ centred

    hessian = jax.lax.map(curvature, jnp.eye(count, dtype=flat.dtype), batch_size=program.together)
    noise = summed(scatter, parts, shares)  # Sigma

    def joined(pair: tuple[jax.Array, jax.Array | None]) -> list[jax.Array]:
        return [part for part in pair if part is not None]

    def moved(columns: jax.Array) -> jax.Array:
        """The linear part of the update, of (y, momentum) in every column: (1 - a H) y without momentum."""
        position, momenta = (columns[:count], columns[count:]) if program.momentum else (columns, None)
        return jnp.concatenate(joined(_moved(position, momenta, hessian @ position, rates, program.nesterov)))

    # what a fluctuation q of the gradient does to (y, momentum): entry by entry the same numbers, -a and 1
    zero = jnp.zeros((), flat.dtype)
    driven = jnp.stack(joined(_moved(zero, zero if program.momentum else None, zero + 1, rates, program.nesterov)))
    curved = hessian @ covariance[:count, :count]
    seen = Seen(value, jnp.linalg.norm(slope), jnp.trace(noise), jnp.sum(curved * hessian))  # tr(H C H)
    # proofs/first-order.md, (1): C' = (1 - a H) C (1 - a H)^T + a^2 Sigma
    covariance = moved(moved(covariance).T) + jnp.kron(jnp.outer(driven, driven), noise)
    after, velocity = _moved_leaves(own, velocity, unflat(slope), rates, program.nesterov)
    return Step(rebuilt(after), velocity, covariance, seen)
