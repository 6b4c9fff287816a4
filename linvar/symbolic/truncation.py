"""The first coefficients in 1/b only: a type of their own, which cannot be mistaken for the polynomial."""

from __future__ import annotations

from functools import partial

from linvar.errors import Argument, Said
from linvar.keywords import door
from linvar.problem import Problem
from linvar.progress import Progress
from linvar.symbolic.limits import checked_limit
from linvar.symbolic.plan import asked_for, check_problem
from linvar.symbolic.roads.large_batch.road import AboutPath, LargeBatch
from linvar.symbolic.roads.large_batch.truncation import LargeBatchDerivation
from linvar.symbolic.sgd.road import RoadPlan
from linvar.symbolic.sgd.steps import Steps


@door
def large_batch(
    problem: Problem,
    order: int = 2,
    digits: int | None = None,
    *,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> LargeBatchDerivation:
    """The coefficients of 1, ..., (1/b)^order of variance, second moment, squared mean, loss and weights, at any number of steps.

    Of each quantity E f = c_0 + c_1 u + ... + c_K u^K + O(u^{K+1}), u = 1/b, K = order: exact coefficients, or with ``digits``
    enclosures. Conventions as in ``linvar.gradient_variance``: G the MEAN of b per-example gradients of 1/2 ||P x - y||^2,
    conditioned on the INITIAL weights. Nothing is computed before a quantity is asked for.

    With ``order=1`` the variance of a linear network with normal inputs of mean zero is summed over pairs
    (``linvar.first_order_formula``) where that is quicker: exact at widths such as 30-20-10.

    Args:
        problem: iid sampling; numeric, or with SymPy symbols.
        order: K >= 0, the highest power of 1/b wanted: 2 if not given.
        digits: enclosures with this many certified digits in place of exact fractions, whose digits grow (2L-1)-fold with
            every step; numbers only.
        progress: None says what will take more than about ten seconds and shows a bar, if standard error is a terminal (or a
            notebook with ipywidgets); True always shows one, False never.
        memory_limit: bytes it may take, >= 1; half of the machine's memory if None.

    Returns:
        A ``LargeBatchDerivation``: ``variance``, ``update_variance``, ``second_moment``, ``squared_mean`` and ``loss`` are each a
        ``LargeBatchExpansion``; ``weights``, ``weight_covariance`` and those of ``per_leaf`` tuples of them.

    Raises:
        InputTypeError: an argument of the wrong type.
        InputError: sampling without replacement, an order or digits out of range, or digits with symbols.
        DerivationTooLargeError: the predicted size is beyond the limit; raised before anything is computed. Where the variance
            fits and other quantities do not, it is raised when these are asked for.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=5)
    >>> lv.large_batch(problem, order=1, digits=6).variance
    [0.568858 +/- 6.20e-8] u + O(u^2)    (u = 1/b)

    Next: ``linvar.first_order_formula``, the first coefficient for every width, ``linvar.gradient_variance``, the whole.
    """
    check_problem(problem)
    limit, road = checked_limit(memory_limit), LargeBatch(order, digits)
    steps = Steps(problem)
    further: list[tuple[str, str]] = []
    if digits is None and not problem.symbols and problem.step > 0:
        further.append(("digits", Said("{} for certified enclosures", Argument("digits", "30"))))
    if road.order > 1:
        further.append(("order", Said("a smaller order ({})", Argument("order", str(road.order)))))
    _, plan = asked_for(steps, road, limit, further)
    return LargeBatchDerivation(steps, road, plan, progress, partial(_about_path, problem, road, limit, further))


def _about_path(problem: Problem, road: LargeBatch, limit: int, further: list[tuple[str, str]]) -> RoadPlan:
    """The plan of what no sum over pairs gives."""
    return asked_for(Steps(problem), AboutPath(road), limit, further)[1]
