"""All leaves of one batch: the pass, every group in its form, and the pull back from values V to leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example import forms
from linvar.numeric.gradients.per_example.entries import Convolution
from linvar.numeric.gradients.per_example.forms import Sums, Wanted
from linvar.numeric.gradients.per_example.jaxprs import operation
from linvar.numeric.gradients.per_example.plan import Group, Plan
from linvar.numeric.gradients.per_example.taps import Pass, run_pass, values_of

#: bytes of one example's gradient from which a CPU makes them one by one
ONE_AT_A_TIME = 2**15

LossOfLists = Callable[[Sequence[Any], Sequence[Any]], Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BatchSums:
    """Sums over the live examples of one batch; lists with one item a leaf.

    Attributes:
        count: live examples, a float.
        losses: (n,), 0 where not live.
        live: (n,) booleans.
        mean: mean gradient of every leaf.
        scatter: sum of squared deviations from it.
        norms: (n,) squared norms, or None.
        squares: mean of the squares entry by entry, or None.
    """

    count: Any
    losses: Any
    live: Any
    mean: list[Any]
    scatter: list[Any]
    norms: list[Any] | None
    squares: list[Any] | None


def batch_sums(
    plan: Plan, loss: LossOfLists, leaves: Sequence[Any], examples: Sequence[Any], live: Any, wanted: Wanted,
    *, drop: bool = False, chunk_bytes: int,
) -> BatchSums:  # fmt: skip
    """Mean, scatter and what else is wanted of every leaf's per-example gradients.

    Args:
        plan: of this loss.
        loss: of flat lists, for what falls back.
        leaves: of the parameters.
        examples: arrays, examples first.
        live: (n,) booleans: examples that count (padding does not).
        wanted: beyond mean and scatter.
        drop: also leave out examples with a loss or a gradient that is not finite.
        chunk_bytes: memory for the per-example gradients of one chunk.
    """
    found = run_pass(plan, leaves, examples)
    if drop:
        live = live & _finite(found)
        found = _without(found, live)
    weights = live.astype(jnp.promote_types(found.losses.dtype, jnp.float32))
    count = jnp.sum(weights)
    divisor = jnp.maximum(count, 1)
    results: dict[int, tuple[Any, Any, Any, Any]] = {}
    for group in plan.groups:
        sums = _group(plan, group, loss, leaves, examples, found, weights, divisor, wanted, chunk_bytes)
        for place, leaf in enumerate(group.leaves):
            parts = (sums.norms, sums.squares)
            results[leaf] = (
                sums.mean[place],
                sums.scatter[place],
                *(p[place] if p is not None else None for p in parts),
            )
    mean = [results[i][0] for i in range(len(leaves))]
    if plan.constants:
        wide = [c / found.losses.shape[0] for c in found.constants]
        pulled = _pull(plan, leaves, [plan.constant_value(i) for i in range(len(wide))])(wide)
        whole = {
            leaf for group in plan.groups if group.form == "fallback" for leaf in group.leaves
        }  # has its penalty already
        mean = [m if p is None or leaf in whole else m + p for leaf, (m, p) in enumerate(zip(mean, pulled))]
    return BatchSums(
        count, jnp.where(live, found.losses, 0), live, mean, [results[i][1] for i in range(len(leaves))],
        [results[i][2] for i in range(len(leaves))] if wanted.norms else None,
        [results[i][3] for i in range(len(leaves))] if wanted.squares else None,
    )  # fmt: skip


def _group(
    plan: Plan, group: Group, loss: LossOfLists, leaves: Sequence[Any], examples: Sequence[Any], found: Pass,
    live: Any, count: Any, wanted: Wanted, chunk_bytes: int,
) -> Sums:  # fmt: skip
    """One group in its form."""
    mine = [leaves[i] for i in group.leaves]
    if group.form in ("none", "constant"):
        return _nothing(mine, live, wanted)
    chunk = _chunk(plan, group, mine, chunk_bytes)
    if group.form == "fallback":

        def gradients(part: Any) -> list[Any]:
            def of_mine(own: Sequence[Any], example: Sequence[Any]) -> Any:
                merged = list(leaves)
                for i, x in zip(group.leaves, own):
                    merged[i] = x
                return loss(merged, example)

            return jax.vmap(jax.grad(of_mine), in_axes=(None, 0))(mine, part)

        return forms.materialised(gradients, list(examples), live, count, chunk, wanted)
    own = [i for i, entry in enumerate(plan.entries) if entry.value in group.values]
    entries = [plan.entries[i] for i in own]
    h, delta = [found.inputs[i] for i in own], [found.cotangents[i] for i in own]
    if group.form in ("outer", "gram", "lookup") and not (group.form == "gram" and wanted.squares):
        if group.form == "outer":
            sums = forms.outer(entries[0], h[0], delta[0], live, count, wanted)
        elif group.form == "gram":
            sums = forms.gram(entries, h, delta, live, count)
        else:
            sums = forms.lookup(entries, h, delta, live, count)  # type: ignore[arg-type]
        pull = _pull(plan, leaves, group.values)
        (leaf,) = group.leaves
        squares = [pull(sums.squares)[leaf]] if sums.squares and wanted.squares else None
        return Sums([pull(sums.mean)[leaf]], sums.scatter, sums.norms, squares)
    direct = {v: found.direct[plan.direct.index(v)] for v in group.values if v in plan.direct}
    pull = _pull(plan, leaves, group.values)

    def made(part: Any) -> list[Any]:
        inputs, cotangents, taken = part
        gradients = []
        for v in group.values:
            terms = [forms.product(e, x, d) for e, x, d in zip(entries, inputs, cotangents) if e.value is v]
            terms += [forms.at_least_float32(taken[list(direct).index(v)])] if v in direct else []
            gradients.append(sum(terms[1:], terms[0]))
        pulled = jax.vmap(pull)(gradients)
        return [pulled[leaf] for leaf in group.leaves]

    arrays = (h, delta, list(direct.values()))
    return forms.materialised(made, arrays, live, count, chunk, wanted)


def _chunk(plan: Plan, group: Group, leaves: Sequence[Any], chunk_bytes: int) -> int:
    """Examples whose gradients are made at a time: as many as fit, patches of convolutions included.

    On a CPU, matrices of some size are made one at a time: a plain matrix product, and it stays in the cache (measured on
    two cores: 1.7 times faster than 8 at a time for 64 rows, 128 x 512).
    """
    size = sum(x.size * max(4, x.dtype.itemsize) for x in leaves)
    if jax.default_backend() == "cpu" and size >= ONE_AT_A_TIME and group.form != "fallback":
        return 1
    size += sum(
        4 * e.groups * e.rows * e.contracted
        for e in plan.entries
        if e.value in group.values and isinstance(e, Convolution)
    )
    return max(1, chunk_bytes // max(1, size))


def _nothing(leaves: Sequence[Any], live: Any, wanted: Wanted) -> Sums:
    """Leaves without a gradient: zeros like them."""
    number = jnp.zeros((), live.dtype)
    zeros = [jnp.zeros(x.shape, live.dtype) for x in leaves]
    norms = [jnp.zeros_like(live) for _ in leaves] if wanted.norms else None
    return Sums(zeros, [number for _ in leaves], norms, zeros if wanted.squares else None)


def _pull(plan: Plan, leaves: Sequence[Any], values: Sequence[Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """The linear map from cotangents of values V to cotangents of every leaf (None where a leaf is not touched)."""
    itself = _converted_leaves(plan)
    if all(v in itself for v in values):

        def add(cotangents: Sequence[Any]) -> list[Any]:
            result: list[Any] = [None] * len(leaves)
            for v, c in zip(values, cotangents):
                old = result[itself[v]]
                result[itself[v]] = c if old is None else old + c
            return result

        return add
    moving = [i for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.inexact)]

    def function(chosen: Sequence[Any]) -> list[Any]:
        merged = list(leaves)
        for i, x in zip(moving, chosen):
            merged[i] = x
        return values_of(plan, merged, values)

    outputs, backward = jax.vjp(function, [leaves[i] for i in moving])

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (pulled,) = backward([c.astype(o.dtype) for c, o in zip(cotangents, outputs)])
        result: list[Any] = [None] * len(leaves)
        for i, x in zip(moving, pulled):
            result[i] = forms.at_least_float32(x)
        return result

    return pull


def _converted_leaves(plan: Plan) -> dict[Any, int]:
    """Values that are a leaf itself, at most in another floating-point type."""
    found = {v: i for i, v in enumerate(plan.parameters)}
    for equation in plan.jaxpr.jaxpr.eqns:
        real = all(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in equation.outvars)
        if real and operation(equation) == "convert_element_type" and equation.invars[0] in found:
            found[equation.outvars[0]] = found[equation.invars[0]]
    return found


def _finite(found: Pass) -> Any:
    """Examples whose loss and cotangents are all finite."""
    arrays = [found.losses, *found.cotangents, *found.direct, *found.inputs]
    floating = [x for x in arrays if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x.reshape(x.shape[0], -1)), axis=1) for x in floating]), axis=0)


def _without(found: Pass, live: Any) -> Pass:
    """Zeros in place of what is not live."""

    def keep(x: Any) -> Any:
        return jnp.where(live.reshape(-1, *[1] * (x.ndim - 1)), x, jnp.zeros((), x.dtype))

    inputs, cotangents, direct = ([keep(x) for x in xs] for xs in (found.inputs, found.cotangents, found.direct))
    return Pass(keep(found.losses), inputs, cotangents, direct, found.constants)
