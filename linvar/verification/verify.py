"""verify: the exact polynomials against a simulation that shares no formula with them.

The rule that turns numbers into a verdict is in ``linvar.verification.evidence``; how rare batches are found, in
``linvar.numeric.simulation.rare_batches``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, cast

import jax
import numpy as np

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.exact import Exact
from linvar.keywords import door
from linvar.numeric.arguments import check_batch_sizes, check_key, check_numeric_problem
from linvar.numeric.estimates import Estimate
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.simulation.rare_batches import find_rare_batches
from linvar.numeric.simulation.trajectories import TrajectoryMoments, simulate
from linvar.problem import Problem
from linvar.progress import Progress, reporting
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.verification.evidence import Evidence, Hidden, Levels, judge, weigh
from linvar.verification.report import Report, Row, to_float

QUANTITIES = ("variance", "second_moment", "squared_mean", "loss")
DEFAULT_BATCH_SIZES = (1, 2, 4, 16)
DEFAULT_RUNS, MOST_RUNS = 65_536, 10**9


@door
def verify(
    problem: Problem,
    *,
    key: Any = None,
    runs: int | None = None,
    batch_sizes: Iterable[int] | None = None,
    quantities: Iterable[str] = QUANTITIES,
    polynomials: Mapping[str, BatchPolynomial] | None = None,
    false_alarm_rate: float = 1e-3,
    memory_limit: int | None = None,
    progress: bool | Progress | None = None,
) -> Report:
    """Check exact polynomials in 1/b against simulated SGD.

    For each quantity and batch size: the exact value, the mean over ``runs`` independent SGD runs (float64,
    gradients by automatic differentiation) with its standard error, z = (estimate - exact) / standard_error, and
    a verdict. True polynomials are REJECTed in at most about ``false_alarm_rate`` of all calls, over all
    comparisons together (asymptotic, not exact: the normal law of means, corrected for skewness; measured in
    ``benchmarks/false_alarms.py``). Where the mean may live on batches too rare to be drawn the verdict is
    UNRESOLVED, neither passed nor rejected: that is decided from the runs, and from as many again with
    exaggerated batches, never from the exact value. A law that cannot exaggerate its batches is UNRESOLVED at best.
    Conditioned on the INITIAL weights; batch gradients are means.

    Args:
        problem: a problem without symbols.
        key: a typed key; ``jax.random.key(0)`` if None.
        runs: simulated runs for each batch size, >= 8; 65,536 if None.
        batch_sizes: values of b; 1, 2, 4, 16 if None (those <= n without replacement).
        quantities: which of "variance", "second_moment", "squared_mean", "loss" (the population loss) to compare.
        polynomials: quantity -> BatchPolynomial to check in place of the derived one.
        false_alarm_rate: over all comparisons together, between 0 and 1.
        memory_limit: bytes a derivation may take; half of the machine's memory if None.
        progress: None shows work that takes more than some seconds, True any; False is silent; or a function called as
            ``progress(done, total)`` with runs done.

    Returns:
        A ``Report``.

    Raises:
        InputError: an argument has the wrong type (InputTypeError) or is out of range, the problem has symbols, or its law
            cannot be simulated.
        DerivationTooLargeError: the exact half would not fit; raised before anything is computed.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> lv.verify(problem, runs=4096, batch_sizes=[4]).verdict
    'AGREE'
    >>> wrong = lv.gradient_variance(problem) * lv.Rational(3, 2)
    >>> lv.verify(problem, runs=4096, batch_sizes=[4], polynomials={"variance": wrong}).verdict
    'REJECT'

    Next: ``linvar.plot_variance`` draws the report, ``linvar.simulate`` gives the estimates alone.
    """
    check_numeric_problem(problem)
    key = jax.random.key(0) if key is None else check_key(key)
    count = DEFAULT_RUNS if runs is None else check_integer(runs, "runs")
    if not 8 <= count <= MOST_RUNS:
        raise InputError("runs", count, "give an integer from 8 to 10^9, better thousands", fault="is out of range")
    limit = problem.largest_batch_size
    if batch_sizes is None:
        batch_sizes = [b for b in DEFAULT_BATCH_SIZES if limit is None or b <= limit]
    sizes = check_batch_sizes(batch_sizes, limit)
    names = _check_quantities(quantities)
    levels = Levels(_check_rate(false_alarm_rate), len(names) * len(sizes))
    given = _check_polynomials(polynomials, problem)
    floor = _rounding_floor(problem)  # before a derivation: it refuses a law that cannot be simulated
    with reporting(progress, "verify") as report:
        chosen = _derive(problem, names, given, memory_limit)
        samples = _simulate(problem, key, sizes, count, report)
    rows: list[Row] = []
    for name in names:
        for size, (moments, hidden) in samples.items():
            exhaustive = size == problem.largest_batch_size
            evidence = weigh(name, moments, hidden, levels, rounding_floor=floor, exhaustive=exhaustive)
            rows.append(_row(name, size, chosen[name](size), getattr(moments, name), evidence))
    return Report(problem, chosen, tuple(rows), levels)


def _simulate(
    problem: Problem, key: jax.Array, sizes: tuple[int, ...], count: int, report: Progress
) -> dict[int, tuple[TrajectoryMoments, Hidden]]:
    """The moments of plain runs at each batch size, and what rare batches may hide from them; reports runs of both."""
    with jax.enable_x64(True):  # as the runs fold it again: one program
        plain_key, rare_key = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    total, samples = len(sizes) * 2 * count, {}
    for number, size in enumerate(sizes):

        def shifted(now: int, most: int | None, offset: int = 2 * count * number) -> None:
            """Runs of this batch size, whatever the number of passes."""
            report(offset + now * count // max(most or 1, 1), total)

        moments = simulate(plain_key, problem, batch_sizes=(size,), runs=count, progress=shifted)[size]
        rare = find_rare_batches(rare_key, problem, batch_size=size, runs=count)
        samples[size] = moments, Hidden.unknown() if rare is None else Hidden.measure(moments, rare)
        report(2 * count * (number + 1), total)
    return samples


def _row(name: str, size: int, exact: Exact, estimate: Estimate, evidence: Evidence) -> Row:
    """One comparison, judged."""
    value = to_float(exact)
    difference = estimate.value - value
    spread = math.hypot(estimate.standard_error, evidence.rounding)
    z = difference / spread if spread > 0 else (0.0 if difference == 0 else math.copysign(math.inf, difference))
    resolution = evidence.below / abs(value) if value and not evidence.reasons else math.inf
    verdict = judge(name, difference, value, evidence)
    return Row(
        name, size, exact, estimate.value, estimate.standard_error, estimate.runs, z, resolution, verdict, evidence
    )


def _derive(
    problem: Problem, names: tuple[str, ...], given: dict[str, BatchPolynomial], memory_limit: int | None
) -> dict[str, BatchPolynomial]:
    """The polynomials of the quantities wanted: as given, or derived."""
    if all(name in given for name in names):
        return {name: given[name] for name in names}
    from linvar.symbolic.derivation import derive
    from linvar.symbolic.quantities import Loss, Quantity, SecondMoment, SquaredMean, Variance

    quantities: dict[str, Quantity] = {
        "variance": Variance(),
        "second_moment": SecondMoment(),
        "squared_mean": SquaredMean(),
        "loss": Loss(),
    }
    exact = derive(problem, memory_limit=memory_limit)
    return {name: given[name] if name in given else exact.one(quantities[name]) for name in names}


def _rounding_floor(problem: Problem) -> float:
    """Rounding error of a quantity that cancels to zero: (1e-12)^2 times the size of what cancels.

    A loss of degree p in the weights and q in the example is of the size |w|^p (|x|^2 + |y|^2)^{q/2}.
    """
    norms = [float(np.linalg.norm(to_floats(leaf, "weights", "float64"))) for leaf in problem.leaves]
    largest = max(1.0, *norms) ** (problem.degree / 2)
    length, size = numeric_law(problem.law).squared_lengths()
    further = (1 + length + size) ** max(0, problem.degree_in_example - 2)
    return float(1e-24 * largest**2 * (1 + length) * (largest**2 * length + size) * further)


def _check_rate(rate: Any) -> float:
    """Strictly between 0 and 1."""
    if isinstance(rate, (bool, np.bool_)) or not isinstance(rate, Real):
        raise InputTypeError("false_alarm_rate", rate, "give a number between 0 and 1, for instance 1e-3")
    if not 0 < cast(float, rate) < 1 or not 0 < float(rate) < 1:
        raise InputError("false_alarm_rate", rate, "give a rate between 0 and 1, for instance 1e-3", "is out of range")
    return float(rate)


def _check_quantities(quantities: Any) -> tuple[str, ...]:
    """Known names, each once."""
    cure = f"give some of {', '.join(QUANTITIES)}"
    if not isinstance(quantities, Iterable):
        raise InputTypeError("quantities", quantities, cure)
    names = (quantities,) if isinstance(quantities, str) else tuple(quantities)
    if not names:
        raise InputError("quantities", Words("is empty"), cure)
    for name in names:
        if not isinstance(name, str) or name not in QUANTITIES:
            raise InputError("quantities", Words(f"contains {shown(name)}"), cure)
    return tuple(dict.fromkeys(names))


def _check_polynomials(polynomials: Any, problem: Problem) -> dict[str, BatchPolynomial]:
    """BatchPolynomials of known quantities, without symbols, of the problem's sampling."""
    if polynomials is None:
        return {}
    if not isinstance(polynomials, Mapping):
        words = Words(f"is of type {type(polynomials).__name__}")
        raise InputTypeError("polynomials", words, "give a dict, {'variance': linvar.gradient_variance(problem)}")
    for name, polynomial in polynomials.items():
        if not isinstance(name, str) or name not in QUANTITIES:
            words = Words(f"has the key {shown(name)}")
            raise InputError("polynomials", words, f"the quantities are {', '.join(QUANTITIES)}")
        argument = f"polynomials[{name!r}]"
        if not isinstance(polynomial, BatchPolynomial):
            words = Words(f"is of type {type(polynomial).__name__}")
            raise InputTypeError(argument, words, "give a linvar.BatchPolynomial")
        if polynomial.symbols:
            symbols = ", ".join(map(str, polynomial.symbols))
            raise InputError(argument, Words(f"has the symbols {cut(symbols)}"), "substitute numbers, subs({...})")
        theirs, ours = _sampling(polynomial), _sampling(problem)
        if theirs != ours:
            words = Words(f"is for {theirs}, the problem has {ours}")
            raise InputError(argument, words, "derive it for the same problem")
    return dict(polynomials)


def _sampling(of: Problem | BatchPolynomial) -> str:
    """What a polynomial in 1/b is for."""
    size = f" from dataset_size={of.dataset_size}" if of.scheme.within_dataset else ""
    return f"sampling={of.sampling!r}{size}"
