"""One step of SGD's deterministic iterate and of what the noise of the batches adds to it: what both ways have in common.

With G the gradient of the mean loss L at w, H its Hessian, D^3 L the third derivative, a the learning rate and q a fluctuation
with the covariance of ONE example's gradient, an iterate is w + y / sqrt(b) + z / b + ..., E y = 0, E z = m, and all take the
same update ``moved``, linear in them:

    w' = w - a G,        y' = y - a (H y + q),        m' = m - a (H m + D^3 L[C] / 2),        C = Cov(y).

Of a smooth F the expectation is then F(w) + (grad F . m + tr(Hess F C) / 2) / b + ...: proofs/first-order.md, (5) and (6).
``full.py`` carries C and m themselves, ``probes.py`` random vectors in their place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.analysis import analyse
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares

#: A pytree of arrays.
Tree = TypeVar("Tree")
Loss = Callable[[Any, Any], ArrayLike]
Leaves = Sequence[jax.Array]
#: Positions leaf by leaf, and their momentum, None without.
Moving = tuple[list[jax.Array], list[jax.Array] | None]
#: Examples and their probabilities, None where they are equal.
Weighted = tuple[Any, Any]


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


class OfLoss(NamedTuple):
    """Of a mean loss F at w: F, grad F . m, and y . Hess F y; of each block of probes, of each probe, or one of all."""

    value: jax.Array
    shift: jax.Array
    spread: jax.Array


class Weights(NamedTuple):
    """m and C of the parameters."""

    mean: jax.Array
    covariance: jax.Array


class Seen(NamedTuple):
    """What one step measures, before its update.

    Attributes:
        train: of the mean loss.
        test: of that of the test data; None without.
        gradient_norm: ||G||.
        per_example: tr Cov of one example's gradient.
        propagated: ||H y||^2 of each probe, or tr(H C H).
        distance: ||y||^2, or tr C.
        drift: G . (H m + D^3 L[y, y] / 2) of each block of probes, or with C.
        weights: where they are carried in full.
    """

    train: OfLoss
    test: OfLoss | None
    gradient_norm: jax.Array
    per_example: jax.Array
    propagated: jax.Array
    distance: jax.Array
    drift: jax.Array
    weights: Weights | None


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

    def flat(own: Leaves, example: Leaves) -> ArrayLike:
        return loss(rebuilt(own), jax.tree.unflatten(structure, example))

    example = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in arrays]
    return max(1, analyse(flat, own, example).activation_bytes)


def moved(
    position: jax.Array, velocity: jax.Array | None, slope: jax.Array, rates: Rates, nesterov: bool
) -> tuple[jax.Array, jax.Array | None]:
    """Position and velocity after an update, in optax's conventions; the velocity stays None without momentum."""
    rate, momentum, decay = (jnp.asarray(r, slope.dtype) for r in rates)
    slope = slope + decay * position
    if velocity is None:
        return position - rate * slope, None
    velocity = slope + momentum * velocity
    return position - rate * (slope + momentum * velocity if nesterov else velocity), velocity


def moved_leaves(
    leaves: Leaves, velocity: Leaves | None, slopes: Leaves, rates: Rates, nesterov: bool
) -> tuple[list[jax.Array], list[jax.Array] | None]:
    """The same, leaf by leaf."""
    velocities = [None] * len(slopes) if velocity is None else velocity
    pairs = [moved(*leaf, rates, nesterov) for leaf in zip(leaves, velocities, slopes)]
    after = [velocity for _, velocity in pairs if velocity is not None]
    return [position for position, _ in pairs], None if velocity is None else after


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


def squared_norm(leaves: Leaves) -> jax.Array:
    """Sum of the squares of all leaves."""
    return reduce(operator.add, map(sum_of_squares, leaves))


def inner(left: Leaves, right: Leaves) -> jax.Array:
    """The inner product over all leaves."""
    return reduce(operator.add, [jnp.sum(a * b) for a, b in zip(left, right)])


def shares_of(data: Any, weights: Any, dtype: Any) -> jax.Array:
    """The probabilities of the examples."""
    size = jax.tree.leaves(data)[0].shape[0]
    return jnp.full(size, 1 / size, dtype) if weights is None else jnp.asarray(weights, dtype)


def losses_of(loss: Loss, params: Any, examples: Any) -> jax.Array:
    """The loss of each of some examples."""
    return jnp.asarray(jax.vmap(loss, (None, 0))(params, examples))


def mean_and_slope(
    losses: Callable[[Any, Tree], jax.Array], own: Tree, parts: Any, shares: jax.Array
) -> tuple[jax.Array, Tree]:
    """The mean loss and its gradient, from ``losses(examples, own)``, one of each example."""

    def term(part: Any, share: jax.Array) -> tuple[jax.Array, Tree]:
        result: tuple[jax.Array, Tree] = jax.value_and_grad(lambda x: jnp.vdot(share, losses(part, x)))(own)
        return result

    return summed(term, parts, shares)


class Mean(NamedTuple):
    """Mean loss, its gradient, and the trace of the covariance of one example's gradient."""

    loss: jax.Array
    gradient: list[jax.Array]
    trace: jax.Array


def mean_gradient(
    loss: Loss, program: Program, params: Tree, data: Any, weights: Any, parts: Any, shares: jax.Array
) -> Mean:
    """Over the examples, or their law."""
    own, rebuilt = differentiated(params)
    centred = jnp.result_type(*own) != jnp.float64
    if weights is None:
        moments = gradient_moments(
            loss, params, data, ddof=0, centred=centred, chunk_size=program.chunk_size, byte_budget=program.byte_budget
        )
        return Mean(moments.loss, differentiated(moments.mean)[0], moments.trace)

    def scaled(params: Tree, pair: tuple[Any, jax.Array]) -> jax.Array:
        example, scale = pair
        return scale * loss(params, example)

    # gradients s_i g_i, s_i = sqrt(n p_i): their mean square is that of the law, their mean is not
    scales = jnp.sqrt(shares * shares.shape[0])
    moments = gradient_moments(
        scaled, params, (data, scales), ddof=0, centred=centred, chunk_size=program.chunk_size,
        byte_budget=program.byte_budget,
    )  # fmt: skip

    value, slope = mean_and_slope(lambda part, x: losses_of(loss, rebuilt(x), part), own, parts, shares)
    square = moments.trace + squared_norm(differentiated(moments.mean)[0])  # sum_i p_i ||g_i||^2
    return Mean(value, slope, jnp.maximum(square - squared_norm(slope), 0))
