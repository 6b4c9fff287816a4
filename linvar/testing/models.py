"""Whether a model says the same thing in both halves and on every road."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from linvar.exact import Rational
from linvar.numeric.models.registry import numeric_model
from linvar.problem import Problem
from linvar.symbolic.derivation import derive
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.quantities import SquaredMean, Variance
from linvar.symbolic.roads.expansion.road import Expansion
from linvar.symbolic.roads.lattice.road import Lattice
from linvar.symbolic.roads.regression.road import Regression
from linvar.symbolic.sgd.questions import Entries, Norms
from linvar.symbolic.sgd.road import Road
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.truncation import large_batch
from linvar.testing.checking import check
from linvar.testing.roads import compare
from linvar.verification.verify import verify

#: of values in float64 beside exact ones, relative to the largest
_ROUNDING = 1e-9


def check_model(problem: Problem, *, key: jax.Array | None = None, runs: int = 4_000) -> None:
    """Run the model of a problem through what linvar asks of it: the conformance suite of models.

    On rows: the loss of both halves at the weights, and the mean and spread of the gradient of every example, which the numeric
    half gets by differentiating and the exact half by a polynomial. After a step: every road that is open says the same, with
    ==, the first coefficients in 1/b too. With a key, by simulation: what ``linvar.verify`` may not REJECT.

    Args:
        problem: weights, a law and a learning rate for the model; one step is made at most. Numbers only.
        key: a typed key of JAX.
        runs: of the simulation.

    Raises:
        AssertionError: it says what does not fit.

    >>> import linvar as lv
    >>> rows = lv.Dataset([[1, 2], [0, 1], [1, -1]], [1, 2, 0])
    >>> check_model(lv.Problem([[["1/2", 1]], [[-1]]], rows, "1/10", 1))
    """
    check(hash(problem.model) == hash(problem.model), "a model has no hash")
    twin = exact_model(problem)
    check(twin.entries == sum(len(row) for matrix in problem.leaves for row in matrix), "entries are not the weights")
    if problem.law.size is not None:
        _check_examples(problem)
    _check_roads(problem)
    if key is not None:
        report = verify(problem, key=key, runs=runs, batch_sizes=[2], progress=False)
        check(not any(row.verdict == "REJECT" for row in report.rows), f"verify rejects what is derived:\n{report}")


def _check_examples(problem: Problem) -> None:
    """Loss, mean gradient and spread at the first weights, by JAX and exactly."""
    known = problem.law.examples
    rows = exact_model(problem).law.support(1) if known is None else known
    inputs = problem.law.input_width
    examples = [tuple(float(entry) for entry in row) for row in rows]  # type: ignore[arg-type]  # numbers
    model = numeric_model(problem)
    with jax.enable_x64(True):
        data = jnp.asarray(examples)
        x, y = data[:, :inputs], data[:, inputs:]
        leaves = model.leaves(problem)
        of_example = jax.vmap(jax.value_and_grad(model.loss), (None, 0))
        losses, slopes = jax.jit(of_example)(leaves, (x, y))  # one program, not one for each operation
        gradients = [np.asarray(g) for g in slopes]
        mean_loss = float(losses.mean())
    exact = derive(problem.at_step(0), _whole_roads(problem)[0])
    spreads = [float(((g - g.mean(0)) ** 2).sum(axis=(1, 2)).mean()) for g in gradients]
    squares = [float((g.mean(0) ** 2).sum()) for g in gradients]
    pairs = [("the mean loss", mean_loss, exact.loss(1))]
    variances, means = (exact.all(quantity(per_leaf=True)) for quantity in (Variance, SquaredMean))
    for leaf, (spread, square) in enumerate(zip(spreads, squares)):
        pairs.append((f"the spread of the gradient of leaf {leaf}", spread, variances[leaf](1)))
        pairs.append((f"the squared mean gradient of leaf {leaf}", square, means[leaf](1)))
    largest = max(1.0, *(abs(found) for _, found, _ in pairs))
    for name, found, wanted in pairs:
        value = float(Rational(wanted)) if isinstance(wanted, Rational) else math.nan
        check(abs(found - value) <= _ROUNDING * largest, f"{name} is {found:.12g} by JAX, and exactly {value:.12g}")


def _check_roads(problem: Problem) -> None:
    """Beside the expansion the lattice at one step, and regression where moments close; large batches too."""
    one = problem.at_step(min(problem.step, 1))
    for road in (Regression(), Lattice()):
        if road.cost(Steps(one)).obstacle is None:
            compare(road, one, [Norms(per_leaf=True), Entries()])
    if one.scheme.unbounded:
        leading, whole = large_batch(one, 2).variance, derive(one).variance
        check(leading.agrees_with(whole), f"large batches give {leading}, and the whole is {whole}")


def _whole_roads(problem: Problem) -> list[Road]:
    """The expansion and regression, those that are open."""
    roads: list[Road] = [Expansion(), Regression()]
    return [road for road in roads if road.cost(Steps(problem)).obstacle is None]
