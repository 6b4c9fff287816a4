"""Variance and noise scale recorded while an optax optimizer trains, raw and smoothed, per leaf."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from linvar.arguments import is_flag
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, InputTypeError, Words, warn
from linvar.keywords import door
from linvar.numeric.arguments import check_at_least, check_number
from linvar.numeric.gradients.inputs import is_numbers
from linvar.numeric.gradients.leaves import TOTAL, cells, leaf_names, number, path_names
from linvar.numeric.gradients.pool import Noise, Pool, chosen, wide, widest
from linvar.numeric.gradients.result import GradientMoments, any_leaf, over_leaves, ratio


class _Record(NamedTuple):
    """The fields of a ``NoiseRecord``, which are a pytree."""

    count: jax.Array  # type: ignore[assignment]  # not that of a tuple
    weight: jax.Array
    trace: PyTree
    squared_mean: PyTree
    trace_average: PyTree
    squared_mean_average: PyTree
    skipped: jax.Array
    cancelled: jax.Array
    pool: Pool | tuple[()]


class NoiseRecord(_Record, Tabular):
    """What the recorder keeps in the optimizer's state: pytrees of one number a leaf, and their averages.

    Averages are exponential, of numerator and denominator each (McCandlish et al. 2018, appendix A.1), without the bias
    towards zero of the first steps. Numbers are float32, or float64 where a parameter is; before the first step they are NaN.

    Attributes:
        count: steps recorded: those that entered the averages. With ``accumulate=k`` a step has k micro-batches.
        weight: sum of the weights of the averages, 1 - decay^count.
        trace, squared_mean: of the last step recorded, per leaf: tr Cov(g_i) and ||E g||^2 (without bias, may be negative).
        trace_average, squared_mean_average: sums of decay^age times these.
        skipped: updates left out because their moments were not finite; they change nothing else.
        cancelled: steps recorded though the mean gradient dominated, so that rounding may have changed a trace by over 2 %
            (``GradientMoments.cancelled``, of one micro-batch at least): ``gradient_moments(..., centred=True)`` keeps digits.
        pool: the micro-batches since, a running mean gradient among it; () for ``accumulate=1``.
    """

    __slots__ = ()

    @property
    def variance(self) -> jax.Array:
        """tr Cov(g_i) of the last step over all leaves; the variance of a gradient of b iid examples is this / b."""
        return self._once_recorded(over_leaves(jax.tree.leaves(self.trace)))

    @property
    def noise_scale(self) -> jax.Array:
        """Of the last step, over all leaves."""
        return ratio(self.variance, self._squared_mean)

    @property
    def noise_scale_per_leaf(self) -> PyTree:
        """Of the last step."""
        return jax.tree.map(lambda t, s: ratio(self._once_recorded(t), s), self.trace, self.squared_mean)

    @property
    def smoothed_variance(self) -> jax.Array:
        """Average trace over all leaves."""
        return over_leaves(jax.tree.leaves(self.trace_average)) * self._unbiased

    @property
    def smoothed_variance_per_leaf(self) -> PyTree:
        """Average trace of each leaf."""
        return jax.tree.map(lambda x: x * self._unbiased, self.trace_average)

    @property
    def smoothed_noise_scale(self) -> jax.Array:
        """Average trace / average squared mean, over all leaves."""
        squared = over_leaves(jax.tree.leaves(self.squared_mean_average))
        return ratio(self._once_recorded(over_leaves(jax.tree.leaves(self.trace_average))), squared)

    @property
    def smoothed_noise_scale_per_leaf(self) -> PyTree:
        """The same of each leaf."""
        return jax.tree.map(
            lambda t, s: ratio(self._once_recorded(t), s), self.trace_average, self.squared_mean_average
        )

    @property
    def _squared_mean(self) -> jax.Array:
        """||E g||^2 of the last step over all leaves."""
        return self._once_recorded(over_leaves(jax.tree.leaves(self.squared_mean)))

    @property
    def _unbiased(self) -> jax.Array:
        """One over the sum of the weights."""
        return self._once_recorded(1 / jnp.maximum(self.weight, 1e-30))

    def _once_recorded(self, x: jax.Array) -> jax.Array:
        """NaN as long as there is nothing."""
        return jnp.where(self.count > 0, x, jnp.nan)

    def to_table(self) -> Table:
        """A leaf a row: trace, squared mean and noise scale of the last step, and the smoothed noise scale; then all together."""
        own = arrays_of(self)
        names = [*leaf_names(own.trace), TOTAL]
        trees = (own.trace, own.squared_mean, own.trace_average, own.squared_mean_average)
        traces, squares, smooth_traces, smooth_squares = map(jax.tree.leaves, trees)

        def scale(trace: jax.Array, squared_mean: jax.Array) -> jax.Array:
            return ratio(own._once_recorded(trace), squared_mean)

        columns: dict[str, Sequence[object]] = {
            "leaf": names,
            "trace": cells(own._once_recorded, zip(traces), lambda: own.variance),
            "squared mean": cells(own._once_recorded, zip(squares), lambda: own._squared_mean),
            "noise scale": cells(scale, zip(traces, squares), lambda: own.noise_scale),
            "smoothed noise scale": cells(scale, zip(smooth_traces, smooth_squares), lambda: own.smoothed_noise_scale),
        }
        return Table(columns, zip(*columns.values()), f"Noise of the gradient, {', '.join(own._counts())}")

    def __repr__(self) -> str:
        own = arrays_of(self)
        notes = [
            f"noise_scale={number(lambda: own.noise_scale, '.4g')}",
            f"smoothed {number(lambda: own.smoothed_noise_scale, '.4g')}",
            f"trace={number(lambda: own.variance, '.6g')}",
            f"squared_mean={number(lambda: own._squared_mean, '.6g')}",
        ]
        return f"NoiseRecord({', '.join([*notes, *own._counts()])})"

    def _counts(self) -> list[str]:
        """Steps recorded, and those that were skipped or have cancelled, if any."""
        notes = [f"{number(lambda: self.count, ',.0f')} steps"]
        for name, counted in (("skipped", self.skipped), ("cancelled", self.cancelled)):
            total = number(partial(jnp.sum, counted), ".0f")
            notes += [f"{total} {name}"] if total.isdigit() and total != "0" else []
        return notes


@door
def record_noise(decay: float = 0.95, *, accumulate: int = 1) -> optax.GradientTransformationExtraArgs:
    """An optax transformation that records the noise of the gradient and passes the gradient on unchanged.

    In a training step, take gradient and noise from one call, and give both to the optimizer:

        optimizer = optax.chain(record_noise(), optax.adam(1e-3))
        moments = gradient_moments(loss, params, batch)
        updates, state = optimizer.update(moments.mean, state, params, moments=moments)
        recorded_noise(state).smoothed_noise_scale

    An update whose moments are not finite is passed on, but not recorded: ``skipped`` counts it.

    With gradient accumulation the recorder stands OUTSIDE ``optax.MultiSteps``, where it sees every micro-batch:

        optimizer = optax.chain(record_noise(accumulate=4), optax.MultiSteps(optax.adam(1e-3), 4))

    After every fourth micro-batch the record is that of all their examples together; until then it stays. A micro-batch that is
    not finite is as if it never happened, as for ``optax.MultiSteps(..., should_skip_update_fn=optax.skip_not_finite)``: the step
    is complete after the fourth that is finite. (Without that function ``optax.MultiSteps`` keeps a NaN for ever.) With
    ``mask=`` a micro-batch of one live row has no trace for ``ddof=1``: give ``ddof=0``, and every micro-batch a live row.

    In ``optax.masked`` or ``optax.partition`` it records the leaves that it sees.

    Args:
        decay: weight of the past in the smoothed values, in [0, 1); 0 smooths nothing.
        accumulate: micro-batches of one step, an integer k >= 1. Over 1, the state has one copy of the parameters more, in at
            least float32: the running mean gradient.

    Raises:
        InputError: ``decay`` or ``accumulate`` out of range; an update without ``moments``, or with those of other parameters.

    >>> import linvar as lv
    >>> optimizer = optax.chain(lv.record_noise(), optax.sgd(0.1))
    >>> params, batch = jnp.asarray([1.0, 2.0]), jnp.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> moments = lv.gradient_moments(lambda w, x: (w @ x) ** 2, params, batch)
    >>> updates, state = optimizer.update(moments.mean, optimizer.init(params), params, moments=moments)
    >>> bool(lv.recorded_noise(state).variance > 0)
    True
    """
    if isinstance(decay, jax.core.Tracer):
        cure = "give a number; optax.inject_hyperparams leaves it one with static_args=('decay', 'accumulate')"
        raise InputTypeError("decay", Words("is traced"), cure)
    if is_flag(decay):
        raise InputTypeError("decay", decay, "give the weight of the past, 0 <= decay < 1", fault="is a truth value")
    keep = check_number(decay, "decay")
    if not 0 <= keep < 1:
        raise InputError("decay", decay, "give the weight of the past, 0 <= decay < 1")
    batches = check_at_least(accumulate, "accumulate", 1, "give the number of micro-batches of a step, >= 1")

    def init(params: PyTree) -> NoiseRecord:
        if isinstance(params, optax.LookaheadParams):  # gradients are those of the fast ones
            params = params.fast
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if not is_numbers(leaf):
                cure = "give its arrays alone: equinox.filter(model, equinox.is_inexact_array), nnx.state(model, nnx.Param)"
                raise InputTypeError(f"params{jax.tree_util.keystr(path)}", leaf, cure, fault="is no array")

        def zeros() -> PyTree:
            return jax.tree.map(lambda x: jnp.zeros((), wide(x)), params)

        weight = jnp.zeros((), widest(params))
        none = [jnp.zeros((), jnp.int32) for _ in range(3)]
        pool: Pool | tuple[()] = Pool.empty(params) if batches > 1 else ()
        return NoiseRecord(none[0], weight, zeros(), zeros(), zeros(), zeros(), none[1], none[2], pool)

    def update(
        updates: PyTree,
        state: NoiseRecord,
        params: PyTree = None,
        *,
        moments: GradientMoments | None = None,
        **rest: object,
    ) -> tuple[PyTree, NoiseRecord]:
        del params, rest
        given = _checked(moments)
        noise, pool, skipped = _noise_of(given, state.trace), state.pool, jnp.asarray(False)
        whole = noise.finite
        if batches > 1:
            assert isinstance(pool, Pool)
            more = pool.with_batch(
                jnp.asarray(given.examples, pool.examples.dtype), _seen(given.mean, state.trace), noise, given.ddof
            )
            pool = chosen(whole, more, pool)
            full = pool.batches == batches
            noise = pool.noise(given.ddof)
            pool = chosen(full, jax.tree.map(jnp.zeros_like, pool), pool)
            skipped = ~whole | (full & ~noise.finite)
            whole = full & noise.finite
        else:
            skipped = ~whole

        def average(old: PyTree, new: PyTree) -> PyTree:
            return jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, old, new)

        new = NoiseRecord(
            state.count + 1,
            keep * state.weight + (1 - keep),
            noise.trace,
            noise.squared_mean,
            average(state.trace_average, noise.trace),
            average(state.squared_mean_average, noise.squared_mean),
            state.skipped,
            state.cancelled + noise.cancelled,
            (),
        )
        record: NoiseRecord = chosen(whole, new, state._replace(pool=()))
        return updates, record._replace(skipped=state.skipped + skipped, pool=pool)

    return optax.GradientTransformationExtraArgs(init, update)


def _checked(moments: object) -> GradientMoments:
    """Of the user."""
    cure = "give moments=gradient_moments(loss, params, batch)"
    if moments is None:
        raise InputError(
            "moments",
            Words("is missing: update is called without moments"),
            f"{cure}; a wrapper that does not pass them on goes after record_noise, not around it",
        )
    if not isinstance(moments, GradientMoments):
        raise InputTypeError("moments", moments, cure)
    return moments


def _noise_of(moments: GradientMoments, like: PyTree) -> Noise:
    """Of the leaves that the recorder sees, in the types in which it keeps them."""

    def kept(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x, y: jnp.asarray(x, y.dtype), _seen(tree, like), like)

    lost = any_leaf(jax.tree.leaves(_seen(moments.cancelled_per_leaf, like)))
    return Noise(kept(moments.trace_per_leaf), kept(moments.squared_mean_per_leaf), lost)


def _absent(node: object) -> bool:
    """Where another wrapper has cut leaves out."""
    return node is None or isinstance(node, optax.MaskedNode)


def _seen(tree: PyTree, like: PyTree) -> PyTree:
    """A tree of all parameters without those that the recorder does not see."""
    try:
        found = jax.tree.map(lambda own, x: own if _absent(own) else x, like, tree, is_leaf=_absent)
        jax.tree.map(lambda *_: None, found, like)
        jax.tree.map(lambda *_: None, like, found)  # neither is a part of the other
        return found
    except (TypeError, ValueError):
        pass
    own, structure = jax.tree_util.tree_flatten_with_path(like)
    named = {path_names(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    if named.keys() != {path_names(path) for path, _ in own}:
        raise InputError(
            "moments",
            Words("has other leaves than the parameters that the optimizer was initialised with"),
            "give the moments of these; a wrapper that regroups parameters, as optax.flatten does, goes after record_noise",
        )
    return jax.tree.unflatten(structure, [named[path_names(path)] for path, _ in own])


def _records(state: PyTree) -> list[NoiseRecord]:
    """All records of a state."""
    found = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, NoiseRecord))
    return [x for x in found if isinstance(x, NoiseRecord)]


def arrays_of(record: NoiseRecord) -> NoiseRecord:
    """Without the variables of Flax in which ``nnx.Optimizer`` wraps every array of its state."""
    nnx = sys.modules.get("flax.nnx")
    if nnx is None:
        return record

    def is_variable(x: object) -> bool:
        return isinstance(x, nnx.Variable)

    found: NoiseRecord = jax.tree.map(
        lambda x: jax.tree.leaves(x)[0] if is_variable(x) else x, record, is_leaf=is_variable
    )
    return found


@door
def recorded_noise(state: PyTree) -> NoiseRecord:
    """The record inside an optimizer's state, however deep it is chained.

    A record inside ``optax.MultiSteps`` is that of the last micro-batch of every step alone: a RuntimeWarning says so.

    Raises:
        InputError: there is none, or more than one.

    >>> import linvar as lv
    >>> state = optax.chain(lv.record_noise(), optax.adam(1e-3)).init(jnp.zeros(2))
    >>> type(lv.recorded_noise(state)).__name__
    'NoiseRecord'

    Next: its ``noise_scale`` and ``smoothed_noise_scale``; ``linvar.noise_scale`` measures one at fixed parameters.
    """
    found = _records(state)
    if len(found) != 1:
        raise InputError("state", Words(f"holds {len(found)} noise records"), "put record_noise() into the chain once")
    wrapped = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, optax.MultiStepsState))
    if any(isinstance(x, optax.MultiStepsState) and _records(x) for x in wrapped):
        warn(
            "the noise record is inside optax.MultiSteps, where it sees only the last micro-batch of every step: put it outside, "
            "optax.chain(record_noise(accumulate=k), optax.MultiSteps(..., k))"
        )
    return arrays_of(found[0])
