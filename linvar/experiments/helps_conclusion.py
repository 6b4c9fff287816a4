"""What the experiment ``helps`` says: the sign of the first-order effect, its size, whether runs agree; and its picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from linvar.experiments.findings import Budget, z_score
from linvar.experiments.pictures import set_title
from linvar.experiments.runner import JSON, Conclusion
from linvar.experiments.sentences import Cells, Lines, join
from linvar.plotting.style import ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"train_loss": "train loss", "test_loss": "test loss"}
#: what the answer of the first order to "do smaller batches help?" says of the loss
_SAID = {"yes": "a smaller batch LOWERS it", "no": "a smaller batch raises it", "unresolved": "unresolved"}


@dataclass(frozen=True)
class Measured:
    """What was measured of a network.

    Attributes:
        title: in words.
        learning_rate: of SGD, the same at every b and step.
        batch_sizes: b of the runs, increasing.
        steps: t at which the runs were measured, increasing.
        runs: for each b.
        losses: name in the cells -> in words.
    """

    title: str
    learning_rate: float | str
    batch_sizes: Sequence[int]
    steps: Sequence[int]
    runs: int
    losses: Mapping[str, str] = field(default_factory=lambda: LOSSES)


@dataclass(frozen=True)
class Compared:
    """One batch size after one number of steps: how far the expected loss is from that at b = infinity.

    Attributes:
        batch_size, step: b and t.
        seen: [value, standard error] of the runs.
        said: the same of the first order, c times the coefficient of 1/b.
        second: the term of 1/b^2, where it is known.
    """

    batch_size: int
    step: int
    seen: Sequence[float]
    said: Sequence[float]
    second: float | None = None

    @property
    def z(self) -> float:
        """Of the difference."""
        return z_score(self.seen, self.said)

    @property
    def z_of_two(self) -> float | None:
        """Of what two orders leave, where both are known."""
        value, error = self.said
        return None if self.second is None else z_score(self.seen, (value + self.second, error))


def compared(own: Measured, name: str, prefix: str, cells: Cells) -> list[Compared]:
    """Every batch size and step with finite runs; none where the path is not known."""
    path: Mapping[str, Any] = cells[f"{prefix}-path"]
    if name not in path:
        return []
    loss, found = path[name], []
    for b in own.batch_sizes:
        for t in own.steps:
            value, error = cells[f"{prefix}-b-{b}"][str(t)][name]
            if value is not None and error is not None:
                c = path["factors"][str(b)]
                said = c * loss["coefficient"][t], c * loss["standard_error"][t]
                second = None if loss["second"] is None else c**2 * loss["second"][str(t)]
                found.append(Compared(b, t, (value - loss["limit"][t], error), said, second))
    return found


def conclude(networks: Mapping[str, Measured], cells: Cells) -> Conclusion:
    """Sentences, numbers and a picture from the cells.

    Args:
        networks: name -> what was measured.
        cells: their results by name, as ``helps.build`` names them.
    """
    known = [cells[f"{prefix}-path"].get(name, {}) for prefix, own in networks.items() for name in own.losses]
    questions = sum(2 + (loss.get("second") is not None) for loss in known)  # its sign, its size; and with 1/b^2
    budget = Budget(questions, min(own.runs for own in networks.values()))
    summary = [
        "Does a smaller batch lower the expected loss after the same number of steps? SGD, the same learning rate at every b; to "
        "first order in 1/b, its sign where 0 is outside the 95 % interval over the probes of one step.",
    ]
    results: dict[str, JSON] = {}
    for prefix, own in networks.items():
        count = cells[f"{prefix}-path"].get("parameters")
        weights = f", {count:,} weights" if count is not None else ""
        summary.append(f"{own.title}{weights}, learning rate {own.learning_rate}; {own.runs:,} runs at each b.")
        for name, words in own.losses.items():
            lines, numbers = _of_loss(own, name, words, prefix, cells, budget)
            summary += lines
            results[f"{prefix}_{name}"] = numbers
    summary.append(str(budget))
    return Conclusion(results, summary, partial(_draw, networks, cells))


def _of_loss(own: Measured, name: str, words: str, prefix: str, cells: Cells, budget: Budget) -> Lines:
    """What first order says of a loss along training, and whether the runs agree."""
    path: Mapping[str, Any] = cells[f"{prefix}-path"]
    word = f"{words[0].upper()}{words[1:]}"
    if name not in path:
        return [f"{word}: the path was not measured."], {}
    loss, last, b = path[name], own.steps[-1], own.batch_sizes[0]
    places = {answer: [t for t, one in enumerate(loss["answers"]) if one == answer and t > 0] for answer in _SAID}
    said = "; ".join(f"{_SAID[answer]} at t = {ranges(steps)}" for answer, steps in places.items() if steps)
    value, error = loss["coefficient"][last], loss["standard_error"][last]
    estimated = f"({value:.3g} +- {error:.1g})" if error else f"{value:.3g}"
    share = path["factors"][str(b)] * value / loss["limit"][last]
    line = (
        f"{word}, to first order: {said}. At t = {last} it is {loss['limit'][last]:.4g} + {estimated}/b: "
        f"{100 * share:+.2g} % at b = {b}."
    )
    found = compared(own, name, prefix, cells)
    lines = [line, _checked(found, budget)]
    if loss["equal_examples"] is not None:
        examples, answer = loss["equal_examples"]
        equally = {"yes": "LOWER at the smaller b", "no": "lower at the larger b", "unresolved": "unresolved"}[answer]
        lines.append(
            f"{word} of the same {examples:,} examples, to first order: {equally} (b = {b} and {own.batch_sizes[-1]})."
        )
    return lines, {
        "answers": loss["answers"],
        "compared": [[one.batch_size, one.step, *one.seen, *one.said, one.z, one.z_of_two] for one in found],
        "equal_examples": loss["equal_examples"],
    }


def _checked(found: Sequence[Compared], budget: Budget) -> str:
    """Which signs the runs see, and where they leave the first order."""
    if not found:
        return "Runs: no finite estimate to compare."
    bound = budget.limit(len(found))
    clear = [one for one in found if abs(z_score(one.seen, (0.0, 0.0))) > bound]
    other = [one for one in clear if one.seen[0] * one.said[0] < 0]
    beyond = [one for one in found if abs(one.z) > bound]
    signs = f"the runs see the sign at {len(clear)} of {len(found)} places (b, t)"
    signs += f": another one at {_places(other)}" if other else ", that of first order" if clear else ""
    worst = max(found, key=lambda one: abs(one.z))
    size = f"its size is beyond first order at {_places(beyond)}" if beyond else "its size agrees"
    size += f" (largest |z| = {abs(worst.z):.1f} at {_places([worst])})"
    left = [abs(one.z_of_two) for one in found if one.z_of_two is not None]
    if left:
        word = "agrees" if max(left) <= bound else "does not agree either"
        size += f", and with the exact coefficient of 1/b^2 {word} (largest |z| = {max(left):.1f})"
    return f"Runs: {signs}; {size}; a verdict takes |z| > {bound:.1f}."


def _places(found: Sequence[Compared]) -> str:
    """b = 4, t = 1, 2; b = 16, t = 2."""
    steps: dict[int, list[int]] = {}
    for one in found:
        steps.setdefault(one.batch_size, []).append(one.step)
    return "; ".join(f"b = {b}, t = {join(at)}" for b, at in steps.items())


def ranges(numbers: Iterable[int]) -> str:
    """Increasing numbers, neighbours together.

    >>> ranges([1, 2, 3, 5, 8, 9])
    '1 to 3, 5, 8 to 9'
    """
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return join(f"{group[0]} to {group[-1]}" if len(group) > 1 else group[0] for group in groups)


def _draw(networks: Mapping[str, Measured], cells: Cells, figure: Figure) -> None:
    """A row a network, a panel a loss: how far the loss is from that at b = infinity, along training."""
    panels = figure.subplots(len(networks), len(LOSSES), squeeze=False)
    for row, (prefix, own) in zip(panels, networks.items()):
        for axes, name in zip(row, LOSSES):
            if name in own.losses:
                _panel(axes, own, name, prefix, cells)
            else:
                axes.set_axis_off()
    figure.set_size_inches(9, 3 * len(networks))
    lines = "Above 0 a smaller batch has the higher loss, below 0 the lower one"
    set_title(figure, lines, "Lines: first order; dots: runs; bands and bars: two standard errors")


def _panel(axes: Axes, own: Measured, name: str, prefix: str, cells: Cells) -> None:
    """One loss of a network."""
    path: Mapping[str, Any] = cells[f"{prefix}-path"]
    found = compared(own, name, prefix, cells)
    axes.axhline(0.0, color="k", lw=0.7)
    for b, style in zip(own.batch_sizes, ordered(len(own.batch_sizes))):
        dots = [one for one in found if one.batch_size == b]
        limits = path[name]["limit"] if dots else []
        heights = [100 * one.seen[0] / limits[one.step] for one in dots]
        bars = [200 * one.seen[1] / limits[one.step] for one in dots]
        axes.errorbar(
            [one.step for one in dots], heights, bars, fmt="o", ms=3, capsize=2, color=style.colour, label=f"b = {b}"
        )
        if dots:
            c = path["factors"][str(b)]
            curve, errors = (
                [100 * c * k / limit for k, limit in zip(path[name][of], limits)]
                for of in ("coefficient", "standard_error")
            )
            axes.plot(range(len(curve)), curve, color=style.colour, lw=1)
            low, high = ([y + sign * 2 * e for y, e in zip(curve, errors)] for sign in (-1, 1))
            axes.fill_between(range(len(curve)), low, high, color=style.colour, alpha=0.2, lw=0)
            seen = [*heights, *curve]
            if math.isfinite(sum(seen)) and max(map(abs, seen)) > 100:
                axes.set_yscale("symlog")
    axes.set(xlabel="step t", ylabel=f"{own.losses[name]}, % from b = infinity")
    axes.set_title(own.title, fontsize=7)
    axes.legend(fontsize=6)
