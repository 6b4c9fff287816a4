"""Whether smaller batches help: after the same number of steps, and after the same number of examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.numeric.estimates import Estimate

#: A sign is told where it is that of 95 % of what the estimate allows.
_LEVEL = 0.975


@dataclass(frozen=True)
class Verdict:
    """Does the smaller batch have the lower expected loss?

    Attributes:
        answer: "yes", "no", or "unresolved": 0 is within the 95 % interval (Student's t over the blocks of probes), or within
            the rounding of a number that is not estimated. No effect at all is "unresolved".
        effect: what has this sign; "yes" where it is negative.
    """

    answer: str
    effect: Estimate

    @classmethod
    def of(cls, effect: Estimate, rounding: float) -> Verdict:
        """By its sign, if it has one beyond error and rounding.

        >>> Verdict.of(Estimate(-2.0, 0.5, 8), 0.0), Verdict.of(Estimate(-1.0, 0.5, 8), 0.0)
        (yes (-2.00 +- 0.50), unresolved (-1.00 +- 0.50))
        """
        reach = float(stdtrit(effect.runs - 1, _LEVEL)) * effect.standard_error if effect.runs else 0.0
        if abs(effect.value) <= max(reach, rounding):
            return cls("unresolved", effect)
        return cls("yes" if effect.value < 0 else "no", effect)

    def __repr__(self) -> str:
        number = repr(self.effect).partition(" (")[0] if self.effect.runs else f"{self.effect.value:.6g}"
        return f"{self.answer} ({number})"


@dataclass(frozen=True)
class SmallerBatches(Tabular):
    """Whether smaller batches lower the expected loss after the same number of STEPS, to first order.

    Attributes:
        step: how many updates.
        train: of the mean loss of the data; its effect is the coefficient of 1/b.
        test: of the test data; None without.
        limits: the two losses at b = infinity.
    """

    step: int
    train: Verdict
    test: Verdict | None
    limits: tuple[float, float | None]

    def to_table(self) -> Table:
        """A loss a row: the answer, the coefficient of 1/b, its standard error if it is estimated, the loss at b = infinity."""
        rows = _rows(self.train, self.test)
        estimated = self.train.effect.runs > 0
        columns = ["loss", "smaller batches help", "coefficient of 1/b"]
        columns += [*(["standard error"] if estimated else []), "at b = infinity"]
        return Table(
            columns,
            [
                (name, own.answer, own.effect.value, *([own.effect.standard_error] if estimated else []), limit)
                for (name, own), limit in zip(rows, self.limits)
            ],
            f"Do smaller batches help after {self.step:,} steps?",
            ["yes: a lower expected loss after the same number of steps, to first order in 1/b"],
        )

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}: {own!r}" for name, own in _rows(self.train, self.test))
        return f"SmallerBatches(after {self.step} steps, {parts})"


@dataclass(frozen=True)
class EqualExamples(Tabular):
    """Two batch sizes after the same number of EXAMPLES, each after its own number of steps, to first order.

    Attributes:
        examples: how many both have seen, batch size times steps.
        batch_sizes: the smaller one, the larger one.
        steps: of each.
        train: whether the smaller one has the lower expected loss on the data; its effect is the difference.
        train_losses: the two predicted losses.
        test, test_losses: of the test data; None without.
    """

    examples: int
    batch_sizes: tuple[int, int]
    steps: tuple[int, int]
    train: Verdict
    train_losses: tuple[float, float]
    test: Verdict | None
    test_losses: tuple[float, float] | None

    def to_table(self) -> Table:
        """A loss a row: the answer, the loss of each batch size, their difference, its standard error where it is estimated."""
        estimated = self.train.effect.runs > 0
        losses = [self.train_losses, self.test_losses]
        named = [f"b = {b:,}, {t:,} steps" for b, t in zip(self.batch_sizes, self.steps)]
        columns = ["loss", "smaller batches help", *named, "difference"]
        return Table(
            columns + (["standard error"] if estimated else []),
            [
                (
                    *(name, own.answer, *(pair or ()), own.effect.value),
                    *([own.effect.standard_error] if estimated else []),
                )
                for (name, own), pair in zip(_rows(self.train, self.test), losses)
            ],
            f"Do smaller batches help after {self.examples:,} examples?",
            ["yes: a lower expected loss after the same number of examples, to first order in 1/b"],
        )

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}: {own!r}" for name, own in _rows(self.train, self.test))
        small, large = self.batch_sizes
        return f"EqualExamples(b = {small} against {large} after {self.examples:,} examples, {parts})"


def _rows(train: Verdict, test: Verdict | None) -> list[tuple[str, Verdict]]:
    """Those that there are, with their names."""
    named: Iterable[tuple[str, Verdict | None]] = (("train", train), ("test", test))
    return [(name, own) for name, own in named if own is not None]


def rounding_of(epsilon: float, *terms: float) -> float:
    """Below this a sum of such terms, each a sum of many rounded to ``epsilon``, is not told from 0."""
    return float(64 * epsilon * np.sum(np.abs(terms)))
