"""What ``gradient_moments`` returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.display.cell import Cell, cell_of
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, Words, cut
from linvar.numeric.arguments import check_number
from linvar.numeric.gradients.leaves import TOTAL, cells, leaf_names, number, of_leaves, shapes
from linvar.numeric.gradients.per_example.arithmetic import sum_all, sum_of_squares
from linvar.numeric.gradients.per_example.explanation import Explanation

#: What may not have been asked for.
Value = TypeVar("Value")


class Projections(NamedTuple):
    """The per-example gradients along one direction v.

    Attributes:
        products: (examples given,) g_i . v, not divided by ||v||; 0 for an example left out.
        mean: mean gradient . v, a scalar.
        variance: sum_i (g_i . v - mean)^2 / (n - ddof), a scalar.
        norm: ||v||.
    """

    products: jax.Array
    mean: jax.Array
    variance: jax.Array
    norm: jax.Array


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "mean",
        "trace_per_leaf",
        "trace",
        "squared_mean_per_leaf",
        "squared_mean",
        "cancelled_per_leaf",
        "cancelled",
        "examples",
        "loss",
        "squared_norms",
        "second_moment",
        "variance",
        "along",
        "clipped_mean",
    ],
    meta_fields=["ddof", "explanation"],
)
@dataclass(frozen=True)
class GradientMoments(Tabular):
    """Moments of the per-example gradients g_i of one batch, at fixed parameters, and what is measured with them.

    Where only some leaves are measured (``leaves=``), ``mean`` and ``clipped_mean`` have all leaves, the trees of everything else
    None for the others, and numbers are those of the leaves measured.

    Attributes:
        mean: (1/n) sum g_i, a pytree like the parameters, at least float32: the gradient of the MEAN loss.
        trace_per_leaf: for each leaf, sum_i ||g_i - mean||^2 / (n - ddof), a scalar: a trace, not elementwise.
        trace: the same over all leaves together, tr Cov(g_i).
        squared_mean_per_leaf: for each leaf, ||E g||^2: ||mean||^2 for ddof=0; for ddof=1 the estimate without bias,
            ||mean||^2 - trace / n, which may be negative.
        squared_mean: the same over all leaves together.
        cancelled_per_leaf: for each leaf, a boolean: the mean dominates, and rounding may have changed the trace by over 2 %,
            even its sign; ``centred=True`` keeps the digits. Also under ``jit``: ``jax.lax.cond(moments.cancelled, ...)``.
        cancelled: any of them.
        examples: n, without the examples left out by ``nan="drop"``; traced under ``jit``.
        loss: mean loss of the examples.
        squared_norms: (examples given,) ||g_i||^2 over all leaves, 0 for an example left out; None if not asked for, or not free.
        second_moment: (1/n) sum g_i^2 ENTRY BY ENTRY, a pytree like the parameters; None if not asked for.
        variance: sum_i (g_i - mean)^2 / (n - ddof) ENTRY BY ENTRY, a pytree like the parameters, whose entries add up to the
            trace; None if not asked for.
        along: g_i . v of every example, mean and variance of these; None if not asked for.
        clipped_mean: (1/n) sum min(1, C / ||g_i||) g_i, a pytree like the parameters; None if not asked for.
        ddof: 1 (unbiased for the law the examples came from) or 0 (the batch is the whole population).
        explanation: how each leaf was computed; None if not asked for.
    """

    mean: PyTree
    trace_per_leaf: PyTree
    trace: jax.Array
    squared_mean_per_leaf: PyTree
    squared_mean: jax.Array
    cancelled_per_leaf: PyTree
    cancelled: jax.Array
    examples: int | jax.Array
    loss: jax.Array
    squared_norms: jax.Array | None
    second_moment: PyTree
    variance: PyTree
    along: Projections | None
    clipped_mean: PyTree
    ddof: int
    explanation: Explanation | None

    @property
    def noise_scale(self) -> jax.Array:
        """tr Cov(g_i) / ||E g||^2: the batch size at which noise and signal are equal.

        The ratio of two unbiased estimates for ddof=1: consistent, not unbiased. Infinite where the estimate of
        ||E g||^2 is not positive: the mean is then not resolved from the noise. NaN where one of the two is NaN.

        After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training".
        """
        return ratio(self.trace, self.squared_mean)

    @property
    def noise_scale_per_leaf(self) -> PyTree:
        """The same of each leaf alone."""
        return jax.tree.map(ratio, self.trace_per_leaf, self.squared_mean_per_leaf)

    @property
    def gradient_snr(self) -> PyTree:
        """mean^2 / variance ENTRY BY ENTRY, a pytree like the parameters (``variance=True``).

        With the divisor n - ddof, given the parameters; 0 where the mean is 0, else infinite where the variance is 0. Of all
        entries together the ratio is ``squared_mean / trace``, one over the noise scale.

        After Liu et al. (2020), "Understanding Why Neural Networks Generalize Well Through GSNR of Parameters".
        """

        def of_leaf(variance: jax.Array, mean: jax.Array) -> jax.Array:
            return jnp.where(mean == 0, 0, ratio(jnp.square(mean.astype(variance.dtype)), variance))

        return jax.tree.map(of_leaf, self._asked(self.variance, "variance"), self._measured_mean)

    @property
    def norm_test_radius(self) -> jax.Array:
        """sqrt(trace / n) / ||mean||: the norm test passes, with so many examples, for every theta from here on.

        It asks that E||G - E G||^2 <= theta^2 ||E G||^2, with the trace in place of n times the left side (ddof=1 in the source)
        and ||mean||^2 itself, not the estimate without bias, on the right. Infinite where the mean is zero.

        After Byrd, Chin, Nocedal and Wu (2012), "Sample Size Selection in Optimization Methods for Machine Learning".
        """
        return jnp.sqrt(ratio(self.trace / self.examples, self._plain_squared_mean))

    def norm_test_batch_size(self, theta: ArrayLike = 1.0) -> jax.Array:
        """trace / (theta^2 ||mean||^2): examples from which on the norm test passes, not rounded up.

        Args:
            theta: > 0, the relative error of the gradient that is allowed.

        After Byrd et al. (2012).
        """
        return ratio(self.trace, positive(theta, "theta", "the relative error allowed") ** 2 * self._plain_squared_mean)

    @property
    def gradient_diversity(self) -> jax.Array:
        """sum ||g_i||^2 / ||sum g_i||^2, between 1/n (all equal) and infinity (they add up to nothing).

        n times it bounds the batch size up to which more examples a step lose nothing. Any ddof: the sums are those of the batch.

        After Yin, Pananjady, Lam et al. (2018), "Gradient Diversity: a Key Ingredient for Scalable Distributed Learning".
        """
        return ratio(self.empirical_fisher_trace / self.examples, self._plain_squared_mean)

    def cabs_batch_size(self, learning_rate: ArrayLike, lowest_loss: ArrayLike = 0.0) -> jax.Array:
        """learning_rate * trace / (loss - lowest_loss): CABS, the batch size of largest expected gain per example, not rounded.

        Args:
            learning_rate: > 0, of SGD on the MEAN loss.
            lowest_loss: what the loss may reach, 0 in the source; the result is infinite where it is reached.

        After Balles, Romero and Hennig (2017), "Coupling Adaptive Batch Sizes with Learning Rates".
        """
        return ratio(positive(learning_rate, "learning_rate", "that of SGD") * self.trace, self.loss - lowest_loss)

    @property
    def empirical_fisher_trace(self) -> jax.Array:
        """(1/n) sum ||g_i||^2, the trace of the empirical Fisher matrix (1/n) sum g_i g_i^T, which is not centred.

        It is the Fisher matrix only if the loss is -log p and the labels come from the model itself (Kunstner, Balles and Hennig
        2019, "Limitations of the Empirical Fisher Approximation for Natural Gradient Descent").
        """
        centred = jnp.where(self.examples > self.ddof, self.trace * (self.examples - self.ddof), 0) / self.examples
        return centred + self._plain_squared_mean

    @property
    def empirical_fisher_diagonal(self) -> PyTree:
        """(1/n) sum g_i^2 ENTRY BY ENTRY, the diagonal of the same matrix, a pytree (``second_moment=True``)."""
        return self._asked(self.second_moment, "second_moment")

    @property
    def cosines(self) -> jax.Array:
        """(examples given,) g_i . v / (||g_i|| ||v||), v of ``along=`` (and ``squared_norms=True``); 0 where one of them is 0."""
        norms = jnp.sqrt(self._asked(self.squared_norms, "squared_norms"))
        along: Projections = self._asked(self.along, "along", '"mean"')
        positive = norms * along.norm > 0
        return jnp.where(positive, along.products / jnp.where(positive, norms * along.norm, 1), 0)

    @property
    def inner_product_radius(self) -> jax.Array:
        """sqrt(Var(g_i . v) / n) / |mean . v|, divisor n - ddof: with ``along="mean"`` that of the inner product test.

        After Bollapragada, Byrd and Nocedal (2018), "Adaptive Sampling Strategies for Stochastic Optimization", who ask that it
        is at most theta.
        """
        along: Projections = self._asked(self.along, "along", '"mean"')
        return jnp.sqrt(ratio(along.variance / self.examples, along.mean**2))

    @property
    def orthogonality_radius(self) -> jax.Array:
        """sqrt((trace - Var(g_i . v) / ||v||^2) / n) / ||mean||: with ``along="mean"`` that of the orthogonality test.

        Its square and that of ``inner_product_radius`` are together that of ``norm_test_radius``, if v is the mean.

        After Bollapragada, Byrd and Nocedal (2018), who ask that it is at most nu.
        """
        along: Projections = self._asked(self.along, "along", '"mean"')
        inside = jnp.where(along.norm > 0, along.variance / jnp.where(along.norm > 0, along.norm, 1) ** 2, 0)
        return jnp.sqrt(ratio(jnp.maximum(self.trace - inside, 0) / self.examples, self._plain_squared_mean))

    def clipping_weights(self, clip_norm: ArrayLike) -> jax.Array:
        """(examples given,) min(1, C / ||g_i||) (``squared_norms=True``); 1 for a gradient that is zero.

        Args:
            clip_norm: C > 0, the norm over all leaves together.
        """
        return weights_of(self._asked(self.squared_norms, "squared_norms"), clip_norm)

    def preconditioned(self, precondition: PyTree) -> GradientMoments:
        """The moments of D g_i, D diagonal: their ``noise_scale`` is the preconditioned one (``variance=True``).

        trace = sum_k D_k^2 variance_k, which is centred: nothing cancels. What is of single examples is None.

        Args:
            precondition: D, a pytree like ``mean`` of arrays that broadcast, as 1 / (sqrt(nu) + eps) of Adam, whose noise scale
                is then that of its steps, with nu held fixed.

        Raises:
            InputError: the variance was not asked for, or another tree.

        As in Qiao et al. (2021), "Pollux" (adaptdl), for Adam.
        """
        scale = _like(precondition, self.mean)
        own = of_leaves(scale, self.trace_per_leaf)

        def times(power: int, tree: PyTree) -> PyTree:
            return jax.tree.map(lambda x, d: x * jnp.asarray(d, x.dtype) ** power, tree, own)

        variance = times(2, self._asked(self.variance, "variance"))
        mean = jax.tree.map(lambda x, d: x * jnp.asarray(d, x.dtype), self.mean, scale)
        traces = jax.tree.map(lambda x: sum_all(x[None]), variance)
        share = self.ddof / jnp.maximum(self.examples, 1)
        measured = of_leaves(mean, traces)
        squared = jax.tree.map(lambda m, t: sum_of_squares(m) - share * t, measured, traces)
        return replace(
            self,
            mean=mean,
            trace_per_leaf=traces,
            trace=over_leaves(jax.tree.leaves(traces)),
            squared_mean_per_leaf=squared,
            squared_mean=over_leaves(jax.tree.leaves(squared)),
            second_moment=None if self.second_moment is None else times(2, self.second_moment),
            variance=variance,
            squared_norms=None,
            along=None,
            clipped_mean=None,
        )

    @property
    def _measured_mean(self) -> PyTree:
        """The mean of the leaves that are measured."""
        return of_leaves(self.mean, self.trace_per_leaf)

    @property
    def _plain_squared_mean(self) -> jax.Array:
        """||mean||^2, with its bias."""
        return over_leaves(map(sum_of_squares, jax.tree.leaves(self._measured_mean)))

    @staticmethod
    def _asked(value: Value | None, name: str, word: str = "True") -> Value:
        """What was asked for."""
        if value is None:
            raise InputError(name, Words("was not asked for"), f"give gradient_moments(..., {name}={word})")
        return value

    def to_table(self) -> Table:
        """A leaf a row: trace, squared mean, noise scale, and how it was computed if that was asked for; then all together."""
        trees = (self.trace_per_leaf, self.squared_mean_per_leaf, self.cancelled_per_leaf)
        traces, squares, lost = map(jax.tree.leaves, trees)
        columns: dict[str, list[Cell]] = {
            "leaf": [*map(cell_of, leaf_names(self.trace_per_leaf)), cell_of(TOTAL)],
            "shape": shapes(self._measured_mean),
            "trace": cells(lambda x: x, zip(traces), lambda: self.trace),
            "squared mean": cells(lambda x: x, zip(squares), lambda: self.squared_mean),
            "noise scale": cells(ratio, zip(traces, squares), lambda: self.noise_scale),
        }
        if self.explanation is not None:
            columns["computed"] = [*(cell_of(route.form) for route in self.explanation.leaves), cell_of("")]
        doubtful = [name for name, flag in zip(leaf_names(self.trace_per_leaf), lost) if _is_true(flag)]
        cure = "gradient_moments(..., centred=True) keeps digits"
        notes = [f"may be lost in rounding: {cut(', '.join(doubtful))}; {cure}"] if doubtful else []
        about = f"ddof={self.ddof}, mean loss {number(lambda: self.loss, '.6g')}"
        title = f"Gradients of {number(lambda: self.examples, ',.0f')} examples, {about}"
        return Table(columns, zip(*columns.values()), title, notes)

    def __repr__(self) -> str:
        if isinstance(self.trace, jax.core.Tracer):
            return f"GradientMoments(traced, {len(jax.tree.leaves(self.mean))} leaves, ddof={self.ddof})"
        lost = ", cancelled" if _is_true(self.cancelled) else ""
        text = (
            f"GradientMoments({number(lambda: self.examples, ',.0f')} examples, trace={number(lambda: self.trace, '.6g')}, "
            f"squared_mean={number(lambda: self.squared_mean, '.4g')}, noise_scale={number(lambda: self.noise_scale, '.4g')}"
            f"{lost}, ddof={self.ddof})"
        )
        return text if self.explanation is None else f"{text}\n{self.explanation}"


def weights_of(squared_norms: jax.Array, clip_norm: ArrayLike) -> jax.Array:
    """min(1, C / ||g_i||)."""
    bound, norms = positive(clip_norm, "clip_norm", "the largest norm that stays"), jnp.sqrt(squared_norms)
    return jnp.where(norms > bound, bound / jnp.where(norms > bound, norms, 1), 1)


def positive(value: object, name: str, what: str) -> jax.Array:
    """A number of the user, which may be traced: positive."""
    number = value if isinstance(value, jax.Array) else check_number(value, name)
    if not isinstance(number, jax.core.Tracer) and not number > 0:
        raise InputError(name, value, f"give {what}, > 0")
    return jnp.asarray(number)


def _like(precondition: PyTree, mean: PyTree) -> PyTree:
    """A tree of the user with one array for each leaf of the mean, that broadcasts to it; what else it has is left out."""
    cure = "give a pytree like the mean gradient, of arrays that broadcast to its leaves"
    try:
        scale = of_leaves(precondition, mean)
        leaves = jax.tree.leaves(jax.tree.map(lambda m, d: jnp.broadcast_to(d, m.shape), mean, scale))
    except (TypeError, ValueError) as error:
        raise InputError("precondition", Words("does not fit the mean gradient"), cure) from error
    if not all(isinstance(d, jax.core.Tracer) or bool(jnp.all(jnp.isfinite(d))) for d in leaves):
        raise InputError("precondition", Words("is not finite"), cure)
    return scale


def _is_true(flag: object) -> bool:
    """Whether a boolean is known, and true."""
    return number(lambda: flag, ".0f") == "1"


def ratio(trace: jax.Array, squared_mean: jax.Array) -> jax.Array:
    """trace / squared_mean, infinite where the latter is not positive; NaN where one of them is."""
    positive = squared_mean > 0
    known = jnp.where(positive, trace / jnp.where(positive, squared_mean, 1), jnp.inf)
    return jnp.where(jnp.isnan(trace) | jnp.isnan(squared_mean), jnp.nan, known)


def over_leaves(numbers: Iterable[jax.Array]) -> jax.Array:
    """The sum of one number a leaf; 0 without leaves."""
    return jnp.asarray(sum(numbers))


def any_leaf(flags: Iterable[jax.Array]) -> jax.Array:
    """Whether one of some booleans, one a leaf, is true; False without leaves."""
    return reduce(jnp.logical_or, flags, jnp.asarray(False))
