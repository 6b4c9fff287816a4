"""What ``linvar demo`` does.

Two problems, each derived exactly and then checked by simulation: a two-layer network on Gaussian data, and a linear
network on the diabetes data under both samplings. One picture shows them side by side.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from linvar.cli.shipped import load_example
from linvar.errors import InputError
from linvar.problem import Problem
from linvar.schemes.scheme import SCHEMES

if TYPE_CHECKING:
    from linvar.laws.dataset import Dataset
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.verification.report import Report

PICTURE = "linvar-demo.png"
PICTURE_FORMATS = (".png", ".svg", ".pdf")
#: Few, since each is compiled on its own.
BATCH_SIZES = (1, 4, 16)


@dataclass(frozen=True)
class Section:
    """One problem of the demo with its Report."""

    title: str
    remark: str
    report: Report


def diabetes_problem(dataset: Dataset, sampling: str) -> Problem:
    """A linear network (one layer) on a data set, from zero weights, one step."""
    weights = [[[0] * dataset.input_width] * dataset.target_width]
    return Problem(weights, dataset, learning_rate="1/20", step=1, sampling=sampling)


def run_demo(
    seed: int, show: Callable[[Section], None], say: Callable[[str], None], runs: int | None = None
) -> list[Section]:
    """Derive and verify the problems of the demo, showing each as soon as it is done.

    Args:
        seed: of the simulations.
        show: called with each section.
        say: called with each remark that is no section.
        runs: simulated runs for each batch size; the default of ``verify`` if None.
    """
    from linvar.datasets import MissingExtraError, rounded_diabetes

    sections = []

    def add(title: str, remark: str, problem: Problem, number: int) -> None:
        section = Section(title, remark, _verify(problem, seed + number, runs))
        sections.append(section)
        show(section)

    add("A two-layer linear network on Gaussian data", "", load_example("two-layer"), 0)
    try:
        data = rounded_diabetes(decimals=4)
    except MissingExtraError as error:
        say(f"Skipped the real data: {error}")
        return sections
    remark = (
        f"{data.dataset!r}, columns of mean 0 and variance 1, rounded to {data.decimals} decimals; "
        f"largest rounding error {data.largest_rounding_error:.2g}"
    )
    for number, scheme in enumerate(SCHEMES.values(), 1):
        title = f"A linear network on the diabetes data, {scheme.words}"
        add(title, remark, diabetes_problem(data.dataset, scheme.name), number)
    return sections


def draw(answers: Sequence[tuple[str, BatchPolynomial | Report]], suffix: str) -> bytes:
    """A picture of several polynomials or reports side by side, as the bytes of a file with that suffix."""
    from matplotlib.figure import Figure

    from linvar.plotting.variance import plot_variance

    figure = Figure(figsize=(6 * len(answers), 4.5), layout="constrained")
    for ax, (title, answer) in zip(figure.subplots(1, len(answers), squeeze=False)[0], answers):
        plot_variance(answer, ax=ax)
        if title:
            ax.set_title(f"{title}\n{ax.get_title()}", fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix.lstrip("."), dpi=150)
    return buffer.getvalue()


def picture_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of a picture file, one that can be drawn."""
    suffix = Path(path).suffix.lower()
    if suffix not in PICTURE_FORMATS:
        cure = f"end its name in {', '.join(PICTURE_FORMATS)}"
        raise InputError("output", os.fspath(path), cure, fault="is no picture file")
    return suffix


def _verify(problem: Problem, seed: int, runs: int | None) -> Report:
    """The Report of one problem."""
    from linvar.numeric.laws.sampling import key_of
    from linvar.verification.verify import verify

    return verify(problem, key=key_of(seed), runs=runs, batch_sizes=BATCH_SIZES)
