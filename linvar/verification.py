"""verify: the exact polynomials against a simulation that shares no formula with them.

The rule that turns numbers into a verdict is in ``linvar.evidence``; how rare batches are found, in
``linvar.numeric.rare_batches``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from linvar.evidence import Evidence, Hidden, Levels, judge, weigh
from linvar.laws import Dataset
from linvar.numeric.arguments import check_batch_sizes, check_integer, check_key, check_numeric_problem
from linvar.numeric.network import to_floats
from linvar.numeric.rare_batches import rare_batches
from linvar.numeric.trajectories import simulate
from linvar.problem import Problem
from linvar.report import Report, Row, to_float
from linvar.symbolic.polynomial import BatchPolynomial

QUANTITIES = ("variance", "second_moment", "squared_mean", "loss")
DEFAULT_BATCH_SIZES = (1, 2, 4, 16)
DEFAULT_RUNS = 65_536


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
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Check exact polynomials in 1/b against simulated SGD.

    For each quantity and batch size: the exact value, the mean over ``runs`` independent SGD runs (float64,
    gradients by automatic differentiation) with its standard error, z = (estimate - exact) / standard_error, and
    a verdict. True polynomials are REJECTed in at most about ``false_alarm_rate`` of all calls, over all
    comparisons together (asymptotic, not exact: the normal law of means, corrected for skewness; measured in
    ``benchmarks/false_alarms.py``). Where the mean may live on batches too rare to be drawn the verdict is
    UNRESOLVED, neither passed nor rejected: that is decided from the runs, and from as many again with
    exaggerated batches, never from the exact value. Conditioned on the INITIAL weights; batch gradients are means.

    Args:
        problem: a problem without symbols.
        key: a typed key; ``jax.random.key(0)`` if None.
        runs: simulated runs for each batch size, >= 8; 65,536 if None.
        batch_sizes: values of b; 1, 2, 4, 16 if None (those <= n without replacement).
        quantities: which of "variance", "second_moment", "squared_mean", "loss" (the population loss) to compare.
        polynomials: quantity -> BatchPolynomial to check in place of the derived one.
        false_alarm_rate: over all comparisons together, between 0 and 1.
        memory_limit: bytes a derivation may take; half of the machine's memory if None.
        progress: called as ``progress(done, total)`` with runs done.

    Returns:
        A ``Report``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: symbols in the problem, or an argument out of range.
        DerivationTooLargeError: the exact half would not fit; raised before anything is computed.

    >>> from linvar import Gaussian, Problem
    >>> problem = Problem(weights=[[[2]]], law=Gaussian([[-1]]))
    >>> verify(problem, runs=4096, batch_sizes=[4]).verdict
    'AGREE'
    >>> verify(problem, runs=4096, batch_sizes=[4], polynomials={"variance": BatchPolynomial([0, 27])}).verdict
    'REJECT'
    """
    check_numeric_problem(problem)
    key = jax.random.key(0) if key is None else check_key(key)
    count = DEFAULT_RUNS if runs is None else check_integer(runs, "runs")
    if count < 8:
        raise ValueError(f"runs={count}: give at least 8, better thousands")
    limit = problem.largest_batch_size
    if batch_sizes is None:
        batch_sizes = [b for b in DEFAULT_BATCH_SIZES if limit is None or b <= limit]
    sizes = check_batch_sizes(batch_sizes, limit)
    names = _check_quantities(quantities)
    if isinstance(false_alarm_rate, bool) or not isinstance(false_alarm_rate, (int, float)):
        raise TypeError(
            f"false_alarm_rate={false_alarm_rate!r} is of type {type(false_alarm_rate).__name__}: give a number"
        )
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate={false_alarm_rate}: give a rate between 0 and 1, for instance 1e-3")
    chosen = _derive(problem, names, _check_polynomials(polynomials, problem), memory_limit)

    total, done = len(sizes) * 2 * count, 0

    def report(now: int, _total: int = 0) -> None:
        """Progress over both samples."""
        if progress is not None:
            progress(now, total)

    plain_key, rare_key = jax.random.split(key)
    rows: list[Row] = []
    levels = Levels(float(false_alarm_rate), len(names) * len(sizes))
    keep = {}
    for size in sizes:
        offset = done

        def shifted(now: int, most: int, offset: int = offset) -> None:
            """Runs of this batch size, whatever the number of passes."""
            report(offset + now * count // max(most, 1))

        moments = simulate(plain_key, problem, batch_sizes=(size,), runs=count, progress=shifted)[size]
        hidden = Hidden.measure(moments, rare_batches(rare_key, problem, batch_size=size, runs=count))
        keep[size] = moments, hidden
        done += 2 * count
        report(done)
    floor = _rounding_floor(problem)
    for name in names:
        for size, (moments, hidden) in keep.items():
            exhaustive = problem.sampling == "without_replacement" and size == problem.dataset_size
            evidence = weigh(name, moments, hidden, levels, rounding_floor=floor, exhaustive=exhaustive)
            rows.append(_row(name, size, chosen[name](size), getattr(moments, name), evidence))
    return Report(problem, chosen, tuple(rows), levels)


def _row(name: str, size: int, exact: Any, estimate: Any, evidence: Evidence) -> Row:
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
    from linvar.symbolic.variance import expected_loss, gradient_variance, second_moment, squared_mean

    roads: dict[str, Callable[..., BatchPolynomial]] = {
        "variance": gradient_variance,
        "second_moment": second_moment,
        "squared_mean": squared_mean,
        "loss": expected_loss,
    }
    missing = [name for name in names if name not in given]
    derived: dict[str, BatchPolynomial] = {}
    if "variance" in missing and len(missing) > 1:  # its two parts are derived once
        derived["second_moment"] = second_moment(problem, memory_limit=memory_limit)
        derived["squared_mean"] = squared_mean(problem, memory_limit=memory_limit)
        derived["variance"] = derived["second_moment"] - derived["squared_mean"]
    for name in missing:
        if name not in derived:
            derived[name] = roads[name](problem, memory_limit=memory_limit)
    return {name: given.get(name, derived.get(name)) for name in names}  # type: ignore[misc]


def _rounding_floor(problem: Problem) -> float:
    """Rounding error of a quantity that cancels to zero: (1e-12)^2 times the size of what cancels."""
    largest = 1.0
    for layer, matrix in enumerate(problem.weights):
        largest *= max(1.0, float(np.linalg.norm(to_floats(matrix, f"weights[{layer}]", "float64"))))
    if isinstance(problem.law, Dataset):
        inputs, targets = (to_floats(getattr(problem.law, name), name, "float64") for name in ("inputs", "targets"))
        length = float(np.max(np.sum(inputs**2, axis=1), initial=1.0))
        size = float(np.max(np.sum(targets**2, axis=1), initial=1.0))
    else:
        covariance = to_floats(problem.law.covariance, "covariance", "float64")
        length = float(np.trace(covariance) + np.sum(to_floats(problem.law.mean, "mean", "float64") ** 2))
        size = float(np.sum(to_floats(problem.law.teacher, "teacher", "float64") ** 2)) * length
    return 1e-24 * largest**2 * (1 + length) * (largest**2 * length + size)


def _check_quantities(quantities: Any) -> tuple[str, ...]:
    """Known names, each once."""
    names = (quantities,) if isinstance(quantities, str) else tuple(dict.fromkeys(quantities))
    if not names:
        raise ValueError(f"quantities is empty: give some of {', '.join(QUANTITIES)}")
    for name in names:
        if name not in QUANTITIES:
            raise ValueError(f"quantities contains {name!r}: give some of {', '.join(QUANTITIES)}")
    return names


def _check_polynomials(polynomials: Any, problem: Problem) -> dict[str, BatchPolynomial]:
    """BatchPolynomials of known quantities, without symbols, of the problem's sampling."""
    if polynomials is None:
        return {}
    if not isinstance(polynomials, Mapping):
        kind = type(polynomials).__name__
        raise TypeError(
            f"polynomials is of type {kind}: give a dict, {{'variance': linvar.gradient_variance(problem)}}"
        )
    for name, polynomial in polynomials.items():
        if name not in QUANTITIES:
            raise ValueError(f"polynomials has the key {name!r}: the quantities are {', '.join(QUANTITIES)}")
        if not isinstance(polynomial, BatchPolynomial):
            kind = type(polynomial).__name__
            raise TypeError(f"polynomials[{name!r}] is of type {kind}: give a linvar.BatchPolynomial")
        if polynomial.symbols:
            symbols = ", ".join(symbol.name for symbol in polynomial.symbols)
            raise ValueError(f"polynomials[{name!r}] has the symbols {symbols}: substitute numbers, subs({{...}})")
        if polynomial.sampling != problem.sampling:
            raise ValueError(
                f"polynomials[{name!r}] is for sampling={polynomial.sampling!r}, the problem has "
                f"sampling={problem.sampling!r}: derive it for the same problem"
            )
    return dict(polynomials)
