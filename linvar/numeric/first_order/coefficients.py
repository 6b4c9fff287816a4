"""The gradient variance along SGD to first order in 1/b, for ANY twice differentiable JAX loss: the delta method.

    beta_1(t) = tr Sigma_t + tr(H_t C_t H_t),      tr Cov(G_t) = beta_1(t) / b + o(1/b)

along the deterministic iterate w_{t+1} = w_t - a_t grad L(w_t): Sigma_t is the covariance of one example's gradient at w_t,
H_t the Hessian of the mean loss L there, C_0 = 0 and C_{t+1} = (I - a_t H_t) C_t (I - a_t H_t)^T + a_t^2 Sigma_t.

The remainder is o(1/b) where the second derivatives by the parameters are continuous and the tails are light (moments of the
derivatives near the path, and of what lies far from it). It is O(1/b^2) where, beyond that, the third derivatives are
Lipschitz. That they exist is not enough: for w^2/2 - x w + |w|^3.1, x ~ N(0, 1), w_0 = 0, a = 1, beta_1(1) = 2 and

    Var(G_1) = 2 / b + 6.2 E|z|^3.1 b^-1.55 + 9.61 E|z|^4.2 b^-2.1,      z ~ N(0, 1).

The steps are those of ``linearized.py``, a law is replaced by the weighted examples of its finite rule. Proved in
proofs/first-order.md, where the recursion is (1) and the remainder (2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linvar.arguments import check_integer
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError
from linvar.keywords import door
from linvar.numeric.arguments import check_batch_sizes, check_choice, check_loss
from linvar.numeric.estimates import Estimate
from linvar.numeric.first_order.arguments import Examples, Start, Updates
from linvar.numeric.first_order.fluctuations import (
    FullCovariance,
    Measured,
    RandomVectors,
    Setting,
    choose_fluctuations,
    make_program,
)
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.progress import Progress, reporting
from linvar.schemes.scheme import scheme_of


@dataclass(frozen=True, eq=False)
class FirstOrder(Tabular):
    """First-order gradient variance after t = 0, 1, ..., steps updates, given the INITIAL parameters.

    Attributes:
        variance: (steps + 1,): beta_1, the coefficient of 1/b in tr Cov(G_t); ``per_example + propagated``.
        standard_error: (steps + 1,): of ``variance``, over probes; 0 for method "full". All steps share the probes.
        per_example: (steps + 1,): tr Sigma_t, the noise of the last batch: trace of the covariance of ONE example's
            gradient at w_t (divisor n), sum over all parameters.
        propagated: (steps + 1,): tr(H_t C_t H_t), the noise of the batches before.
        loss: (steps + 1,): the mean loss at w_t.
        gradient_norm: (steps + 1,): ||grad L(w_t)||.
        method: "full" or "probes".
        probes: how many random vectors; 0 for method "full".
        examples: n, where all examples count the same; None for weighted examples and laws that are no data set.
    """

    variance: np.ndarray
    standard_error: np.ndarray
    per_example: np.ndarray
    propagated: np.ndarray
    loss: np.ndarray
    gradient_norm: np.ndarray
    method: str
    probes: int
    examples: int | None

    def estimate(self, step: int = -1) -> Estimate:
        """beta_1 after ``step`` updates (the last if -1) with its standard error over probes."""
        last = len(self.variance) - 1
        if not -1 <= check_integer(step, "step") <= last:
            raise InputError("step", step, f"give one of 0..{last}, or -1 for the last")
        return Estimate(float(self.variance[step]), float(self.standard_error[step]), self.probes)

    def at(self, batch_size: int, sampling: str = "iid") -> np.ndarray:
        """The variance predicted for batches of b examples, (steps + 1,): beta_1 times 1/b or (n - b)/(b (n - 1)).

        First order only: for t >= 1 the relative error vanishes as b grows; like 1/b where third derivatives are Lipschitz and
        tails are light, but not for every loss (see the module). For t = 0 there is none.

        Args:
            batch_size: b.
            sampling: "iid", or "without_replacement" from n examples that count the same.
        """
        scheme = scheme_of(sampling)
        if scheme.within_dataset and self.examples is None:
            fault = "needs examples that count the same"
            raise InputError("sampling", sampling, "give data, no weights", fault=fault)
        sizes = np.asarray(check_batch_sizes([batch_size], scheme.largest_batch(self.examples)))
        return np.asarray(self.variance * numeric_scheme(sampling).factor(sizes, self.examples))

    def to_table(self) -> Table:
        """A step a row: beta_1, its standard error where there are probes, its two parts, the loss, the gradient's norm."""
        columns: dict[str, Iterable[object]] = {
            "step": range(len(self.variance)),
            "variance": self.variance,
            **({"standard error": self.standard_error} if self.probes else {}),
            "per example": self.per_example,
            "propagated": self.propagated,
            "loss": self.loss,
            "gradient norm": self.gradient_norm,
        }
        by = f", {self.probes} probes" if self.probes else ""
        title = f"Coefficient of 1/b in the gradient variance{by}"
        return Table(
            columns,
            zip(*columns.values()),
            title,
            ["variance = per example (last batch) + propagated (batches before)"],
        )

    def __repr__(self) -> str:
        t = len(self.variance) - 1
        error = f" +- {self.standard_error[t]:.2g}" if self.probes else ""
        return (
            f"FirstOrder({t} steps, variance[{t}]={self.variance[t]:.6g}{error}, per_example={self.per_example[t]:.6g}, "
            f"propagated={self.propagated[t]:.6g}, method={self.method!r})"
        )


@door
def first_order_variance(
    loss: Callable[..., Any],
    params: Any,
    data: Any,
    learning_rate: Any,
    steps: int,
    *,
    weights: Any = None,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    method: str = "auto",
    probes: int = 32,
    key: Any = None,
    chunk_size: int | None = None,
    byte_budget: int = 2**28,
    progress: bool | Progress | None = None,
) -> FirstOrder:
    """The coefficient beta_1 of 1/b in tr Cov(G_t) as b -> infinity, at every step t = 0..steps.

    beta_1 = tr Sigma_t + tr(H_t C_t H_t) (see the module), G_t the MEAN gradient of a batch of b examples after t updates
    from ``params``, batches independent, examples iid. Without replacement from n examples the covariance of a batch mean is
    (n-b)/(b(n-1)) Sigma_t in place of Sigma_t / b: to first order the same number multiplies that factor. What is left out is
    o(1/b), and O(1/b^2) only with Lipschitz third derivatives and light tails (see the module). The gradient
    is that of the loss, whatever momentum and weight decay the updates have.

    Method "full" is exact up to rounding. Method "probes" is exact for tr Sigma_t, and unbiased for tr(H C H), with one
    Hessian-vector product a step and probe; its memory is that of a few copies of the parameters a probe.

    The loss is compiled: as under ``jax.jit``, arrays that it closes over are those of the first call. Its second derivatives
    have to be continuous near the path. A ReLU counts with second derivative 0, formally: its kinks also bend the mean loss of a
    continuous law, and a sample shows nothing of that. Parameters are float32 or float64, as given; half precision is
    computed in float32, other leaves stay as they are. float64 needs ``jax.enable_x64(True)``.

    Args:
        loss: of ONE example, ``loss(params, example)``, a scalar.
        params: where the runs start: any pytree of arrays.
        data: the law of an example: a pytree of arrays with a common leading axis, the n examples (a large sample stands for
            a law that can only be sampled: the result is then that of the sample); a ``linvar.Dataset`` or ``linvar.Finite``; or,
            if ``loss`` is a polynomial of degree 2 in the example, as that of a linear network is, a ``linvar.Gaussian`` or a
            ``linvar.Independent`` that is linear in at most 8 coordinates. Laws have examples (x, y).
        learning_rate: one number, one for each of the ``steps`` updates, or a schedule, a function of the step.
        steps: how many updates, >= 0.
        weights: (n,), probabilities of the examples; equal if None.
        momentum, nesterov, weight_decay: of the updates, in the conventions of optax:
            ``chain(add_decayed_weights(weight_decay), sgd(learning_rate, momentum, nesterov))``.
        method: "full" carries C_t, a P x P matrix for P parameters (2P x 2P with momentum); "probes" random vectors of
            covariance C_t; "auto" is "full" for P <= 512.
        probes: how many of them, >= 2. A relative standard error of tr(H C H) is at most about sqrt(2 / probes).
        key: a typed key, for method "probes".
        chunk_size: examples differentiated at a time; from ``byte_budget`` if None. Changes rounding only.
        byte_budget: memory for the values of the examples differentiated at a time, and the largest of the matrices of
            method "full" together.
        progress: None (a bar or, without a terminal, a line every few seconds, if the work is long), True, False, or a function
            (done, total), in steps.

    Returns:
        A :class:`FirstOrder`.

    Raises:
        InputTypeError: an argument of the wrong type, complex parameters.
        InputError: an argument out of range, shapes that do not fit,
            a law without a finite rule, or one whose rule does not hold for the loss.
        NotFiniteError: a loss, a gradient or a variance is not finite.

    >>> path = first_order_variance(lambda w, x: 0.5 * (w - x) ** 2, 3.0, np.asarray([-1.0, 1.0]), 0.5, 2)
    >>> path.variance  # 1, then 1 + 1/4, 1 + 1/16 + 1/4
    array([1.    , 1.25  , 1.3125])
    >>> path.loss
    array([5.     , 1.625  , 0.78125])

    After Qian & Klabjan (2020), arXiv:2004.13146, for the problem.
    """
    check_loss(loss)
    updates = Updates.checked(learning_rate, steps, momentum, nesterov, weight_decay)
    start = Start.checked(params)
    examples = Examples.checked(data, weights, loss, start)
    check_choice(method, "method", ("auto", "full", "probes"))
    byte_budget = check_integer(byte_budget, "byte_budget")
    carried = choose_fluctuations(method, start, updates.momentum != 0, probes=probes, key=key, byte_budget=byte_budget)
    program = make_program(carried, loss, start, examples, updates, chunk_size=chunk_size, byte_budget=byte_budget)
    seen: list[Measured] = []
    with reporting(progress, "first order") as report:
        for measured in carried.follow(Setting(loss, program, examples), start, updates):
            seen.append(measured)
            report(len(seen), len(updates.learning_rates) + 1)
    return _result(seen, carried, None if examples.weights is not None else examples.count)


def _result(seen: Sequence[Measured], carried: FullCovariance | RandomVectors, examples: int | None) -> FirstOrder:
    """Arrays by step."""
    propagated = [carried.propagated(measured) for measured in seen]
    trace, spread = (np.asarray(x) for x in ([m.per_example for m in seen], [term.value for term in propagated]))
    return FirstOrder(
        variance=trace + spread,
        standard_error=np.asarray([term.standard_error for term in propagated]),
        per_example=trace,
        propagated=spread,
        loss=np.asarray([measured.loss for measured in seen]),
        gradient_norm=np.asarray([measured.gradient_norm for measured in seen]),
        method=carried.method,
        probes=propagated[0].runs,
        examples=examples,
    )
