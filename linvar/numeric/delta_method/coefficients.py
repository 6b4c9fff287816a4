"""SGD to first order in 1/b, for ANY three times differentiable JAX loss, at every step: the delta method.

Along the iterate at b = infinity, w_{t+1} = w_t - a_t grad L(w_t), with Sigma_t the covariance of one example's gradient at w_t,
H_t the Hessian of the mean loss L there and M_t = I - a_t H_t,

    Cov(w_t(b)) = C_t / b + o(1/b),        C_0 = 0,   C_{t+1} = M_t C_t M_t^T + a_t^2 Sigma_t,
    E w_t(b) = w_t + m_t / b + o(1/b),     m_0 = 0,   m_{t+1} = M_t m_t - (a_t/2) D^3 L(w_t)[C_t],

and from these, as coefficients of 1/b,

    tr Cov(G_t)      tr Sigma_t + tr(H_t C_t H_t)
    ||E G_t||^2      2 grad L . (H_t m_t + D^3 L[C_t] / 2)
    E F(w_t(b))      grad F . m_t + tr(Hess F C_t) / 2        for the train loss, the test loss, any smooth F.

The remainder is o(1/b) where the third derivatives by the parameters are continuous and the tails are light (moments of the
derivatives near the path, and of what lies far from it); for the variance alone two derivatives do. It is O(1/b^2) where, beyond
that, the third derivatives are Lipschitz; for means and losses the fourth, for which Lipschitz third ones leave O(b^-1.5). That
they exist is not enough: for w^2/2 - x w + |w|^3.1, x ~ N(0, 1), w_0 = 0, a = 1, beta_1(1) = 2 and

    Var(G_1) = 2 / b + 6.2 E|z|^3.1 b^-1.55 + 9.61 E|z|^4.2 b^-2.1,      z ~ N(0, 1).

The steps are those of ``full.py`` and ``probes.py``, a law is replaced by the weighted examples of its finite rule. Proved in
proofs/first-order.md, where the recursions are (1) and (5), the loss is (6) and remainders are (2) and (8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from linvar.arguments import check_integer
from linvar.keywords import door
from linvar.numeric.arguments import check_choice
from linvar.numeric.delta_method.arguments import Examples, Start, Updates
from linvar.numeric.delta_method.fluctuations import (
    FullCovariance,
    Measured,
    RandomVectors,
    Setting,
    choose_fluctuations,
    make_program,
)
from linvar.numeric.delta_method.linearized import OfLoss
from linvar.numeric.delta_method.quantities import FirstOrderLoss, FirstOrderQuantity
from linvar.numeric.delta_method.result import FirstOrder
from linvar.numeric.gradients.callables import take
from linvar.progress import Progress, reporting


@door
def first_order(
    loss: Callable[..., Any],
    params: Any,
    data: Any,
    learning_rate: Any,
    steps: int,
    *,
    test_data: Any = None,
    weights: Any = None,
    test_weights: Any = None,
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
    """The coefficients of 1/b of SGD's noise, weights and losses as b -> infinity, at every step t = 0..steps.

    Of the gradient's variance, beta_1 = tr Sigma_t + tr(H_t C_t H_t), of E||G_t||^2, ||E G_t||^2, the expected train and test
    loss and the squared distance from the path at b = infinity: formulas in the module. G_t is the MEAN gradient of a batch of b
    examples after t updates from ``params``, batches independent, examples iid. Without replacement from n examples the
    covariance of a batch mean is (n-b)/(b(n-1)) Sigma_t in place of Sigma_t / b: to first order the same numbers multiply that
    factor. What is left out is o(1/b), and O(1/b^2) only with light tails and Lipschitz third derivatives (for losses: fourth).
    At rates near the edge of stability it takes very large b; where coefficient / b is not small beside the loss itself even
    its sign can be wrong: docs/first-order.md has measured both. Gradient and loss
    are those of ``loss``, whatever momentum and weight decay the updates have.

    Method "full" is exact up to rounding. Method "probes" is exact for tr Sigma_t, and unbiased for the rest: one Hessian-vector
    product a step and probe, and for the mean shift m_t, carried in at most 8 independent blocks of probes, one third derivative
    a step and block; its memory is that of a few copies of the parameters a probe.

    The loss is compiled: as under ``jax.jit``, arrays that it closes over are those of the first call. Its third derivatives
    have to be continuous near the path. A ReLU counts with second derivative 0, formally: its kinks also bend the mean loss of a
    continuous law, and a sample shows nothing of that. Parameters are float32 or float64, as given; half precision is
    computed in float32, other leaves stay as they are. float64 needs ``jax.enable_x64(True)``.

    Args:
        loss: of ONE example, ``loss(params, example)``, a scalar.
        params: where the runs start: any pytree of arrays, or a module; what is no parameter in it is held fixed, see
            :func:`linvar.numeric.gradient_moments`.
        data: the law of an example: a pytree of arrays with a common leading axis, the n examples (a large sample stands for
            a law that can only be sampled: the result is then that of the sample); a ``linvar.Dataset`` or ``linvar.Finite``; or,
            if ``loss`` is a polynomial of degree 2 in the example, as that of a linear network is, a ``linvar.Gaussian`` or a
            ``linvar.Independent`` that is linear in at most 8 coordinates. Laws have examples (x, y).
        learning_rate: one number, one for each of the ``steps`` updates, or a schedule, a function of the step.
        steps: how many updates, >= 0.
        test_data: for the expected test loss, of the same kinds as ``data``, or None. Its examples are never drawn into a batch.
        weights: (n,), probabilities of the examples; equal if None.
        test_weights: the same of ``test_data``.
        momentum, nesterov, weight_decay: of the updates, in the conventions of optax:
            ``chain(add_decayed_weights(weight_decay), sgd(learning_rate, momentum, nesterov))``.
        method: "full" carries C_t, a P x P matrix for P parameters (2P x 2P with momentum); "probes" random vectors of
            covariance C_t; "auto" is "full" for P <= 512.
        probes: how many of them, >= 2. A relative standard error of tr(H C H) is at most about sqrt(2 / probes). Standard
            errors of the losses and of ||E G||^2 come from at most 8 blocks: Student's t with 7 degrees of freedom.
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

    >>> x = np.asarray([-1.0, 1.0])
    >>> path = first_order(lambda w, x: 0.5 * (w - x) ** 2, 3.0, x, 0.5, 2, test_data=np.asarray([0.0]))
    >>> path.variance.coefficient  # 1, then 1 + 1/4, 1 + 1/16 + 1/4
    array([1.    , 1.25  , 1.3125])
    >>> path.loss.limit, path.loss.coefficient  # w_t = 3, 3/2, 3/4; half of C_t = 0, 1/4, 5/16
    (array([5.     , 1.625  , 0.78125]), array([0.     , 0.125  , 0.15625]))
    >>> path.test_loss.at(8)
    array([4.5       , 1.140625  , 0.30078125])
    >>> path.smaller_batches_help()
    SmallerBatches(after 2 steps, train: no (0.15625), test: no (0.15625))

    After Qian & Klabjan (2020), arXiv:2004.13146, for the problem.
    """
    loss, params = take(loss, params, batched=None)
    updates = Updates.checked(learning_rate, steps, momentum, nesterov, weight_decay)
    start = Start.checked(params)
    examples = Examples.checked(data, weights, loss, start)
    test = Examples.of_test(test_data, test_weights, loss, start)
    check_choice(method, "method", ("auto", "full", "probes"))
    byte_budget = check_integer(byte_budget, "byte_budget")
    carried = choose_fluctuations(method, start, updates.momentum != 0, probes=probes, key=key, byte_budget=byte_budget)
    both = [examples] if test is None else [examples, test]
    program = make_program(carried, loss, start, both, updates, chunk_size=chunk_size, byte_budget=byte_budget)
    count = len(updates.learning_rates) + 1
    setting = Setting(loss, program, examples, test, weights=8 * count * start.count**2 <= byte_budget)
    seen: list[Measured] = []
    with reporting(progress, "first order") as report:
        for measured in carried.follow(setting, start, updates):
            seen.append(measured)
            report(len(seen), count)
    return _result(seen, carried, None if examples.weights is not None else examples.count, start)


def _result(
    seen: Sequence[Measured], carried: FullCovariance | RandomVectors, examples: int | None, start: Start
) -> FirstOrder:
    """Arrays by step."""
    steps: Measured = jax.tree.map(lambda *own: np.asarray(own), *seen)
    each, sizes = np.ones(carried.runs, int), np.bincount(carried.blocks)

    def in_blocks(samples: np.ndarray) -> np.ndarray:
        """The mean over each block of probes."""
        return np.add.reduceat(samples, np.cumsum(sizes) - sizes, axis=1) / sizes

    def of_loss(own: OfLoss) -> FirstOrderLoss:
        """proofs/first-order.md, (6)."""
        shift, spread = np.asarray(own.shift), in_blocks(np.asarray(own.spread)) / 2
        shares = sizes / sizes.sum()
        return FirstOrderLoss(
            limit=np.asarray(own.value),
            samples=shift + spread,
            sizes=sizes,
            examples=examples,
            shift=shift @ shares,
            spread=spread @ shares,
            epsilon=float(np.finfo(start.dtype).eps),
        )

    zeros, norms = np.zeros(len(seen)), steps.gradient_norm**2
    traces = steps.per_example[:, None]
    mean = 2 * steps.drift
    weights = steps.weights
    return FirstOrder(
        variance=FirstOrderQuantity(zeros, traces + steps.propagated, each, examples),
        second_moment=FirstOrderQuantity(norms, traces + in_blocks(steps.propagated) + mean, sizes, examples),
        squared_mean=FirstOrderQuantity(norms, mean, sizes, examples),
        loss=of_loss(steps.train),
        test_loss=None if steps.test is None else of_loss(steps.test),
        squared_distance=FirstOrderQuantity(zeros, steps.distance, each, examples),
        per_example=steps.per_example,
        propagated=steps.propagated.mean(axis=1),
        gradient_norm=steps.gradient_norm,
        mean_shift=None if weights is None else np.asarray(weights.mean),
        weight_covariance=None if weights is None else np.asarray(weights.covariance),
        method=carried.method,
        probes=len(each) if len(each) > 1 else 0,
        examples=examples,
    )
