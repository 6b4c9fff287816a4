"""Does a smaller batch give a lower expected loss? Exact, after the same number of steps and of the same number of examples.

After the same steps the loss is one polynomial in 1/b, which has a lowest value over all integers b. After the same examples, N,
a batch size b makes t = N/b steps, and each has a polynomial, and a cost, of its own: what does not fit is said before any
starts. Where the moments close on themselves (one linear layer, losses of degree 2 at most in the weights) no polynomial is
needed for that: the recursion at one b is one of numbers, and thousands of steps are quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

from linvar.arguments import check_integer
from linvar.digits import formatted
from linvar.display.cell import Cell, cell_of
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import Argument, DerivationTooLargeError, InputError, Said, Words, cut, shown
from linvar.exact import Rational, ordered
from linvar.keywords import door
from linvar.problem import Problem
from linvar.progress import Progress, reporting, say_nothing
from linvar.symbolic.algebra.ring import coefficients_of, to_exact
from linvar.symbolic.derivation import derive, derive_steps
from linvar.symbolic.limits import MOST_SECONDS, checked_limit, format_bytes, format_seconds
from linvar.symbolic.plan import check_problem, choose
from linvar.symbolic.registry import ROADS
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.questions import DoubledLoss
from linvar.symbolic.sgd.road import Road, cost_at_one_size, integrator_at_one_size
from linvar.symbolic.sgd.steps import Steps

#: compared where none are given, as far as there are so many examples
_USUAL = (1, 2, 4, 8, 16, 32, 64)
#: the divisors of no larger number are looked for
_MOST_EXAMPLES = 10**9


@dataclass(frozen=True)
class Comparison:
    """The expected loss of some batch sizes, each after so many steps.

    Attributes:
        batch_sizes: b, increasing.
        steps: t that each has made.
        losses: E[ 1/2 E||P_t x - y||^2 ] of each, exact (``linvar.expected_loss``).

    >>> found = Comparison((1, 2, 4), (8, 4, 2), (Rational(3), Rational(1, 2), Rational(2)))
    >>> found.lowest, found.smaller_batches_help
    (2, True)
    """

    batch_sizes: tuple[int, ...]
    steps: tuple[int, ...]
    losses: tuple[Rational, ...]

    @property
    def lowest(self) -> int:
        """The batch size with the lowest loss; the smallest of those where several have it."""
        return min(zip(self.losses, self.batch_sizes))[1]

    @property
    def smaller_batches_help(self) -> bool:
        """Whether one of them has a lower loss than the largest batch size."""
        return bool(min(self.losses) < self.losses[-1])


@dataclass(frozen=True)
class BatchComparison(Tabular):
    """What ``compare_batch_sizes`` returns.

    Attributes:
        problem: what was compared.
        loss: the expected loss after its steps, a polynomial in 1/b.
        equal_steps: the batch sizes after these steps.
        examples: N, or None.
        equal_examples: the batch sizes after N/b steps each; None where N was not given.
    """

    problem: Problem
    loss: BatchPolynomial
    equal_steps: Comparison
    examples: int | None = None
    equal_examples: Comparison | None = None

    @cached_property
    def best_batch_size(self) -> int | None:
        """The lowest expected loss after the same steps, over ALL integers b >= 1: None if the loss comes down to its limit."""
        return self.loss.lowest_at()

    def __repr__(self) -> str:
        return f"BatchComparison({cut('; '.join(self.sentences))})"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answers in words, the same steps first."""
        best, t = self.best_batch_size, self.problem.step
        every = "the larger b, the lower" if best is None else f"b = {best} is lowest of all b"
        found = [f"after t = {t} steps {every if self.loss.degree > 0 else 'it is the same at every b'}"]
        if self.equal_examples is not None:
            same, lowest = len(set(self.equal_examples.losses)) == 1, self.equal_examples.lowest
            which = "it is the same at those compared" if same else f"b = {lowest} is lowest of those compared"
            found.append(f"after {self.examples:,} examples {which}")
        return tuple(found)

    def to_table(self) -> Table:
        """A row a batch size, with the decimals of its losses; the values of the cells are exact.

        >>> import linvar as lv
        >>> problem = lv.Problem([[[1, 2]]], lv.Gaussian([[3, 1]], noise_variance=1), "1/10", 4)
        >>> print(lv.compare_batch_sizes(problem, [2, 4, 8], examples=32).to_table())  # doctest: +ELLIPSIS
        Expected loss of Problem(...)
        b  loss after t = 4   t  loss after 32 examples
        -----------------------------------------------
        2           1.67346  16                 0.64239
        4           1.62416   8                 1.00967
        8               1.6   4                     1.6
        After t = 4 steps the larger b, the lower.
        After 32 examples b = 2 is lowest of those compared.
        """
        columns, parts = ["b", f"loss after t = {self.problem.step}"], [_column(self.equal_steps)]
        if self.equal_examples is not None:
            columns += ["t", f"loss after {self.examples:,} examples"]
            parts += [list(map(cell_of, self.equal_examples.steps)), _column(self.equal_examples)]
        rows = zip(self.equal_steps.batch_sizes, *parts)
        notes = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in self.sentences]
        return Table(columns, rows, f"Expected loss of {self.problem!r}", notes)


def _column(comparison: Comparison) -> list[Cell]:
    """The losses in decimals; the values of the cells are exact."""
    return [Cell(formatted(loss, ".6g"), loss, numeric=True) for loss in comparison.losses]


@door
def compare_batch_sizes(
    problem: Problem,
    batch_sizes: Iterable[int] | None = None,
    *,
    examples: int | None = None,
    road: Road | None = None,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> BatchComparison:
    """Which batch size gives the lowest expected loss: after the same number of steps, and of the same number of examples.

    The loss is E[ 1/2 E||P_t x - y||^2 ] (of a loss of your own its expectation), given the INITIAL weights; exact, and compared
    exactly. The learning rate is the same for every b. After the same steps, those of the problem, it is one polynomial in 1/b,
    and ``best_batch_size`` is the lowest over ALL integers b >= 1. Of the same N examples a batch size b makes N/b steps.

    Args:
        problem: numbers, no symbols. With one linear layer, or a loss of degree 2 in the weights, thousands of steps are quick.
        batch_sizes: b to compare. If None, all divisors of ``examples``; without ``examples`` 1, 2, 4, ..., 64; at most n without
            replacement.
        examples: N, a multiple of each b; a schedule of learning rates has to reach N/b steps.
        road, progress, memory_limit: as in ``linvar.derive``.

    Returns:
        A ``BatchComparison``: ``equal_steps``, ``equal_examples``, ``loss``, ``best_batch_size``; it prints as a sentence, and
        ``to_table()`` has all values.

    Raises:
        InputTypeError: an argument of the wrong type.
        InputError: the problem has symbols; a batch size is out of range or no divisor of ``examples``.
        DerivationTooLargeError: the steps of one of them are beyond the limit; raised before anything is computed.

    >>> import linvar as lv
    >>> far = lv.Problem([[[1, 0]], [[1]]], lv.Gaussian([[17, 0]]), "1/20", 1)
    >>> found = lv.compare_batch_sizes(far, examples=2)
    >>> found
    BatchComparison(after t = 1 steps b = 6 is lowest of all b; after 2 examples b = 2 is lowest of those compared)
    >>> found.loss(6) < found.loss(10**9) < found.loss(1), found.equal_examples.steps
    (True, (2, 1))

    Next: ``linvar.expected_loss``, the polynomial; ``linvar.plot_loss`` draws it.
    """
    check_problem(problem)
    if problem.symbols:
        names = cut(", ".join(map(str, problem.symbols)), 60)
        raise InputError("problem", Words(f"has the symbols {names}"), "give numbers in their place")
    total = None if examples is None else _checked_examples(examples)
    sizes = _checked_sizes(batch_sizes, problem, total)
    times = () if total is None else tuple(_steps_of(problem, b, total) for b in sizes)
    quick = _road_by_numbers(Steps(problem), road)
    if quick is not None:
        losses = _by_numbers(problem, sizes, times, quick, progress, memory_limit)
        loss = derive(problem, road, progress=progress, memory_limit=memory_limit).loss
    else:
        loss, losses = _by_polynomials(problem, sizes, times, road, progress, memory_limit)
    equal_steps = Comparison(sizes, (problem.step,) * len(sizes), tuple(_value(loss, b) for b in sizes))
    return BatchComparison(problem, loss, equal_steps, total, Comparison(sizes, times, losses) if times else None)


def _by_polynomials(
    problem: Problem,
    sizes: Sequence[int],
    times: Sequence[int],
    road: Road | None,
    progress: bool | Progress | None,
    memory_limit: float | None,
) -> tuple[BatchPolynomial, tuple[Rational, ...]]:
    """The loss after the steps of the problem, and its value of each batch size after its own: one sweep, checked first."""
    try:
        found = derive_steps(problem, [problem.step, *times], road, progress=progress, memory_limit=memory_limit)
    except DerivationTooLargeError as error:
        choose(Steps(problem), road, memory_limit)  # its own steps, of no number of examples, may be what does not fit
        fit = list[int]()
        for b, t in reversed(list(zip(sizes, times))):  # the fewest steps first
            try:
                choose(Steps(problem.at_step(t)), road, memory_limit)
            except DerivationTooLargeError as too_large:
                raise DerivationTooLargeError(
                    f"b = {b} makes {_count(t)} steps: {too_large.statement}", _cures(fit)
                ) from error
            fit.insert(0, b)
        raise
    own, *others = [one.loss for one in found]
    return own, tuple(_value(loss, b) for loss, b in zip(others, sizes))


def _road_by_numbers(steps: Steps, road: Road | None) -> Road | None:
    """One that needs no polynomials at a batch size: the road itself or, if it is None, any that linvar has."""
    roads = ROADS.values() if road is None else [road]
    return next((one for one in roads if cost_at_one_size(one, steps).obstacle is None), None)


def _by_numbers(
    problem: Problem,
    sizes: Sequence[int],
    times: Sequence[int],
    road: Road,
    progress: bool | Progress | None,
    memory_limit: float | None,
) -> tuple[Rational, ...]:
    """The loss of each batch size after its own steps, by a road at this b."""
    limit, seconds, most, fit = checked_limit(memory_limit), 0.0, 0, list[int]()
    longest = Steps(problem.at_step(max(times, default=0)))
    for b, t in reversed(list(zip(sizes, times))):
        plan = cost_at_one_size(road, longest.until(t))
        seconds, most = seconds + plan.seconds, max(most, plan.bytes)
        if seconds > MOST_SECONDS or most > limit:
            size = f"about {format_seconds(seconds)} and {format_bytes(most)} in all"
            raise DerivationTooLargeError(f"b = {b} makes {_count(t)} steps, {size}", _cures(fit))
        fit.insert(0, b)
    losses = []
    cost = f"{road.name} at {len(times)} batch sizes, about {format_seconds(seconds)}, {format_bytes(most)}"
    with reporting(progress, road.name, cost, seconds) as tell:
        for done, (b, t) in enumerate(zip(sizes, times)):
            at = integrator_at_one_size(road, longest.until(t), b)
            (doubled,) = at.expectations(DoubledLoss(), say_nothing)
            losses.append(Rational(to_exact(coefficients_of(doubled, at.answers)[0], ())) / 2)
            tell(done + 1, len(times))
    return tuple(losses)


def _count(t: int) -> str:
    """A number of steps, of few digits."""
    return cut(f"{t:,}", 30)


def _value(loss: BatchPolynomial, b: int) -> Rational:
    """Of a polynomial without symbols."""
    return Rational(loss(b))


def _cures(fit: Sequence[int]) -> list[tuple[str, str]]:
    """What to do where the steps of a batch size do not fit, and those of these do."""
    named = Argument("batch_sizes", ",".join(map(str, fit)), python=f"batch_sizes={shown(list(fit))}")
    cures = [("batch_sizes", Said(f"batch sizes from {fit[0]:,} on ({{}})", named))] if fit else []
    return [*cures, ("examples", "fewer examples")]


def _checked_examples(examples: object) -> int:
    """N."""
    cure = "give the number of examples, an integer >= 1"
    total = check_integer(examples, "examples", cure)
    if total < 1:
        raise InputError("examples", total, cure)
    return total


def _checked_sizes(batch_sizes: Iterable[int] | None, problem: Problem, total: int | None) -> tuple[int, ...]:
    """The batch sizes, increasing, each once."""
    largest = problem.largest_batch_size
    if batch_sizes is None:
        if total is not None and total > _MOST_EXAMPLES:
            raise InputError("examples", total, "give batch_sizes too", fault=f"is more than {_MOST_EXAMPLES:,}")
        usual = _USUAL if total is None else _divisors(total)
        return tuple(b for b in usual if largest is None or b <= largest)
    cure = "give integers >= 1" if largest is None else f"without replacement give integers from 1 to {largest}"
    sizes = []
    for place, value in enumerate(ordered(batch_sizes, "batch_sizes", "give a list, [1, 4, 16]")):
        name = f"batch_sizes[{place}]"
        b = check_integer(value, name, cure)
        if b < 1 or (largest is not None and b > largest):
            raise InputError(name, b, cure, fault="is out of range")
        if total is not None and total % b:
            fault = Said("makes no whole number of steps of {}", Argument("examples", shown(total)))
            raise InputError(name, b, "give divisors of it", fault=fault)
        sizes.append(b)
    if not sizes:
        raise InputError("batch_sizes", Words("is empty"), "give at least one, [1, 4, 16]")
    return tuple(sorted(set(sizes)))


def _steps_of(problem: Problem, b: int, total: int) -> int:
    """N/b, which a schedule of learning rates has to reach."""
    t, rates = total // b, problem.learning_rate
    if isinstance(rates, tuple) and t > len(rates):
        fault = f"makes {shown(t)} steps at b = {b}, beyond the schedule of {len(rates)} learning rates"
        sizes, rate = Argument("batch_sizes", python="batch_sizes"), Argument("learning_rate", python="learning_rate")
        raise InputError("examples", total, Said("give fewer, larger {}, or one {}", sizes, rate), fault=fault)
    return t


def _divisors(number: int) -> list[int]:
    """All, increasing."""
    low = [k for k in range(1, isqrt(number) + 1) if number % k == 0]
    return low + [number // k for k in reversed(low) if k * k != number]
