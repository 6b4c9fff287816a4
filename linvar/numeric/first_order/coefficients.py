"""The gradient variance along SGD to first order in 1/b, for ANY twice differentiable JAX loss: the delta method.

    beta_1(t) = tr Sigma_t + tr(H_t C_t H_t),      tr Cov(G_t) = beta_1(t) / b + o(1/b)

along the deterministic iterate w_{t+1} = w_t - a_t grad L(w_t): Sigma_t is the covariance of one example's gradient at w_t,
H_t the Hessian of the mean loss L there, C_0 = 0 and C_{t+1} = (I - a_t H_t) C_t (I - a_t H_t)^T + a_t^2 Sigma_t.

The remainder is o(1/b) where the second derivatives by the parameters are continuous and the tails are light (moments of the
derivatives near the path, and of what lies far from it). It is O(1/b^2) where, beyond that, the third derivatives are
Lipschitz. That they exist is not enough: for w^2/2 - x w + |w|^3.1, x ~ N(0, 1), w_0 = 0, a = 1, beta_1(1) = 2 and

    Var(G_1) = 2 / b + 6.2 E|z|^3.1 b^-1.55 + 9.61 E|z|^4.2 b^-2.1,      z ~ N(0, 1).

The steps are those of ``linearized.py``; a Gaussian law is replaced by the weighted examples of ``quadrature.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, InputTypeError, NotFiniteError, Words, shown
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.numeric.arguments import (
    check_at_least,
    check_batch_sizes,
    check_choice,
    check_examples,
    check_floats,
    check_key,
    check_leaves,
    check_loss,
    check_number,
    check_steps,
)
from linvar.numeric.estimates import Estimate
from linvar.numeric.first_order.linearized import (
    Program,
    Rates,
    Seen,
    differentiated,
    example_bytes,
    full_step,
    probe_step,
)
from linvar.numeric.first_order.quadrature import check_quadratic, law_examples
from linvar.numeric.simulation.run_moments import average
from linvar.problem import SAMPLINGS
from linvar.progress import Report, reporting

#: Parameters up to which method="auto" carries their covariance.
FULL_PARAMETERS = 512
#: Probes differentiated at a time.
_TOGETHER = 16


@dataclass(frozen=True, eq=False)
class FirstOrder:
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
        examples: n, where all examples count the same; None for weighted examples and Gaussian laws.
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
        check_choice(sampling, "sampling", SAMPLINGS)
        n = None
        if sampling == "without_replacement":
            if self.examples is None:
                fault = "needs examples that count the same"
                raise InputError("sampling", sampling, "give data, no weights", fault=fault)
            n = self.examples
        (b,) = check_batch_sizes([batch_size], n)
        return self.variance * (1 / b if n is None else (n - b) / (b * max(n - 1, 1)))

    def __repr__(self) -> str:
        t = len(self.variance) - 1
        error = f" +- {self.standard_error[t]:.2g}" if self.probes else ""
        return (
            f"FirstOrder({t} steps, variance[{t}]={self.variance[t]:.6g}{error}, per_example={self.per_example[t]:.6g}, "
            f"propagated={self.propagated[t]:.6g}, method={self.method!r})"
        )


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
    progress: bool | Report | None = None,
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
            a law that can only be sampled: the result is then that of the sample); a ``linvar.Dataset``; or a
            ``linvar.Gaussian`` if ``loss`` is a polynomial of degree 2 in the example, as that of a linear network is. Both
            laws have examples (x, y).
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
        InputError: an argument out of range, shapes that do not fit, or a Gaussian law for a loss of another degree.
        NotFiniteError: a loss, a gradient or a variance is not finite.

    >>> path = first_order_variance(lambda w, x: 0.5 * (w - x) ** 2, jnp.asarray(3.0), jnp.asarray([-1.0, 1.0]), 0.5, 2)
    >>> path.variance  # 1, then 1 + 1/4, 1 + 1/16 + 1/4
    array([1.    , 1.25  , 1.3125])
    >>> path.loss
    array([5.     , 1.625  , 0.78125])

    After Qian & Klabjan (2020), arXiv:2004.13146, for the problem.
    """
    check_loss(loss)
    steps = check_steps(steps, "steps", "give the number of updates, >= 0")
    check_flags(nesterov=nesterov)
    rates = _learning_rates(learning_rate, steps)
    velocity, decay = check_number(momentum, "momentum"), check_number(weight_decay, "weight_decay")
    if nesterov and velocity == 0:
        fault = "needs momentum=, a number other than 0"
        raise InputError("nesterov", True, "give one, or leave nesterov out", fault=fault)
    params, count, dtype = _check_params(params)
    law = data if isinstance(data, (Gaussian, Dataset)) else None
    if law is not None:
        if weights is not None:
            raise InputError(
                "weights", Words(f"is given for data={shown(law)}"), "a law has its own; leave weights out"
            )
        data, weights = law_examples(law, dtype)
    data, examples = _check_data(data)
    _check_result(loss, params, data)
    if isinstance(law, Gaussian):
        check_quadratic(loss, params, law)
    if weights is not None:
        weights = _check_weights(weights, examples)
    check_choice(method, "method", ("auto", "full", "probes"))
    full = method == "full" or (method == "auto" and count <= FULL_PARAMETERS)
    byte_budget = check_integer(byte_budget, "byte_budget")
    if full:
        needed = 6 * (count * (2 if velocity else 1)) ** 2 * dtype.itemsize
        if needed > byte_budget:
            raise InputError(
                "byte_budget",
                byte_budget,
                f"method='full' with {count:,} parameters needs about {needed:,} bytes; raise byte_budget to that, or write "
                f"method='probes'",
            )
    else:
        probes = check_at_least(probes, "probes", 2, "a standard error over probes needs at least 2")
        if key is None:
            cure = f"method 'probes' ({count:,} parameters) needs one, jax.random.key(seed)"
            raise InputError("key", Words("is None"), cure)
        check_key(key)
    together = _group(count if full else probes, min(_TOGETHER, byte_budget // (8 * count * dtype.itemsize)))
    if chunk_size is None:
        one = example_bytes(loss, params, data) * 2 * (1 + 2 * together) + (full * count * dtype.itemsize)
        chunk_size = max(1, min(examples, byte_budget // one))
    else:
        check_at_least(chunk_size, "chunk_size", 1, "give the number of examples differentiated at a time, >= 1")
    program = Program(velocity != 0, nesterov, int(chunk_size), together, byte_budget)

    own, _ = differentiated(params)
    velocities = [jnp.zeros_like(x) for x in own] if velocity else None
    width = count * (2 if velocity else 1)
    state: Any = jnp.zeros((width, width), dtype) if full else _zeros(own, probes, bool(velocity))
    seen: list[Seen] = []
    with reporting(progress, "first order") as report:
        for t, rate in enumerate([*rates, 0.0]):  # one more step than updates: what it moves is not used
            now = Rates(rate, velocity, decay)
            if full:
                result = full_step(loss, program, params, velocities, state, data, weights, now)
            else:
                step_key = jax.random.fold_in(key, t)
                result = probe_step(loss, program, params, velocities, state, data, weights, now, step_key)
            params, velocities, state = result[:3]
            seen.append(Seen(*(np.asarray(x, "float64") for x in result[3])))
            _check_finite(seen[-1], t, dtype)
            report(t + 1, steps + 1)
    return _result(seen, full, None if weights is not None else examples)


def _result(seen: Sequence[Seen], full: bool, examples: int | None) -> FirstOrder:
    """Arrays by step."""
    value, norm, trace = (np.asarray([getattr(s, name) for s in seen]) for name in Seen._fields[:3])
    terms = [Estimate(float(s.propagated), 0.0, 0) if full else average(s.propagated) for s in seen]
    propagated = np.asarray([term.value for term in terms])
    errors = np.asarray([term.standard_error for term in terms])
    method = "full" if full else "probes"
    return FirstOrder(
        trace + propagated, errors, trace, propagated, value, norm, method, 0 if full else terms[0].runs, examples
    )


def _group(vectors: int, limit: int) -> int:
    """Vectors at a time, at most ``limit``: without a rest, which would be compiled apart, if that costs less than half."""
    limit = max(1, min(limit, vectors))
    divisor = next(size for size in range(limit, 0, -1) if vectors % size == 0)
    return divisor if 2 * divisor > limit else limit


def _zeros(own: Sequence[Any], probes: int, momentum: bool) -> Any:
    """Probes at the start; not the same arrays twice, for they are given away."""

    def zeros() -> list[Any]:
        return [jnp.zeros((probes, *x.shape), x.dtype) for x in own]

    return zeros(), zeros() if momentum else None


def _check_finite(seen: Seen, t: int, dtype: np.dtype[Any]) -> None:
    """Never a silent NaN."""
    if all(np.isfinite(x).all() for x in seen):
        return
    if not (np.isfinite(seen.loss) and np.isfinite(seen.gradient_norm)):
        what, cure = "a mean or a gradient", "lower learning_rate" if t else "look at params and data"
    else:
        cures = ["lower learning_rate"] * (t > 0) + ["scale the loss"]
        cures += ["use jax.enable_x64(True)"] * (dtype != np.float64)
        what, cure = "a variance", " or ".join(cures)
    raise NotFiniteError("loss", Words(f"after {t} of the steps has {what} that is not finite"), cure)


def _learning_rates(value: Any, steps: int) -> list[float]:
    """One number for each update."""
    if callable(value):
        return [check_number(value(t), f"learning_rate({t})") for t in range(steps)]
    if not isinstance(value, (list, tuple)) and np.ndim(value) == 0:  # a list may be ragged
        return [check_number(value, "learning_rate")] * steps
    rates = [check_number(rate, f"learning_rate[{t}]") for t, rate in enumerate(value)]
    if len(rates) != steps:
        words = f"has shape {np.shape(rates)}, but steps={shown(steps)}"
        raise InputError("learning_rate", Words(words), "give one number, or one for each of the steps")
    return rates


def _check_params(params: Any) -> tuple[Any, int, np.dtype[Any]]:
    """Parameters as arrays, at least float32; how many are differentiated; and their dtype."""
    count, dtypes = 0, []
    check_leaves(params, "params")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = f"params{jax.tree_util.keystr(path)}"
        if isinstance(leaf, jax.core.Tracer):
            cure = "first_order_variance loops over the steps itself, call it outside jax.jit"
            raise InputTypeError(name, Words("is traced"), cure)
        dtype = jnp.result_type(leaf)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise InputTypeError(name, Words("is complex"), "give real and imaginary part as two leaves")
        if jnp.issubdtype(dtype, jnp.floating):
            dtypes.append(jnp.promote_types(dtype, jnp.float32))
            count += math.prod(np.shape(leaf))
    if count == 0:
        raise InputError("params", Words("has no floating-point numbers"), "there is nothing to differentiate")

    def wide(leaf: Any) -> Any:
        leaf = jnp.asarray(leaf)
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) if floating else leaf

    return jax.tree.map(wide, params), count, np.dtype(jnp.result_type(*dtypes))


def _check_data(data: Any) -> tuple[Any, int]:
    """Arrays with the examples first, and how many there are."""
    if callable(data):
        cure = "give a large sample, arrays with the examples first"
        raise InputTypeError("data", data, cure, fault="is a function")
    examples = check_examples(data, "data")
    if examples == 0:
        raise InputError("data", Words("has leaves with leading axes [(0,)]"), "give every leaf one row per example")
    return jax.tree.map(jnp.asarray, data), examples


def _check_result(loss: Any, params: Any, data: Any) -> None:
    """A scalar of one example."""
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    out = jax.eval_shape(loss, params, example)
    if getattr(out, "shape", None) != () or not jnp.issubdtype(out.dtype, jnp.floating):
        cure = "give a function that returns one floating-point number"
        raise InputError("loss", Words(f"returns {shown(out)} for one example"), cure)


def _check_weights(weights: Any, examples: int) -> np.ndarray:
    """Probabilities."""
    shares = check_floats(weights, "weights")
    if shares.shape != (examples,):
        words = f"has shape {shares.shape}, but data has {examples} examples"
        raise InputError("weights", Words(words), "give one number for each")
    if not ((shares >= 0).all() and abs(shares.sum() - 1) < 1e-5):
        cure = f"smallest {shares.min():.6g}, sum {shares.sum():.6g}; divide weights >= 0 by their sum"
        raise InputError("weights", Words("are no probabilities"), cure)
    return shares
