"""What the commands take: options and their checks. Nothing heavy is imported here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from linvar.problem import Problem

_LARGEST_SEED = 2**63 - 1
#: order=1, method='lattice', digits=None of a message of the library
_ARGUMENT = re.compile(r"\b(order|digits|method|of|checkpoint|memory_limit)=(?:'([^']*)'|(-?\w*))")


class BadInputError(ValueError):
    """Something on the command line is wrong; the message names it, its value and the cure."""


class Quantity(StrEnum):
    """What ``derive`` derives."""

    variance = "variance"
    second_moment = "second_moment"
    squared_mean = "squared_mean"
    loss = "loss"


class Of(StrEnum):
    """Of what."""

    gradient = "gradient"
    update = "update"


class Method(StrEnum):
    """The roads to a whole polynomial (``symbolic.plan.METHODS``, which is heavier to import)."""

    auto = "auto"
    regression = "regression"
    expansion = "expansion"
    lattice = "lattice"


File = Annotated[
    str, typer.Argument(metavar="FILE", help="A problem file (JSON or TOML), or a name of linvar demo --list.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the simulation, an integer >= 0.")]
Runs = Annotated[int | None, typer.Option("--runs", help="Simulated runs for each batch size.")]
BatchSizes = Annotated[str, typer.Option("--batch-sizes", help="Batch sizes to simulate, separated by commas.")]
Order = Annotated[
    int | None, typer.Option("--order", metavar="K", help="Only the coefficients of 1, ..., 1/b^K, at any step.")
]
Digits = Annotated[
    int | None, typer.Option("--digits", metavar="D", help="With --order: enclosures with D certified digits.")
]
MemoryLimit = Annotated[
    int | None,
    typer.Option("--memory-limit", metavar="BYTES", help="What a derivation may take: half of the machine's."),
]


def load(file: str) -> Problem:
    """The problem of a file, or of a shipped example."""
    from linvar.demo import example_names, load_example
    from linvar.problem_file import load_problem

    if not os.path.lexists(file) if "\0" not in file else False:
        names = example_names()
        if file in names:
            return load_example(file)
        if os.sep not in file and not Path(file).suffix:
            raise BadInputError(
                f"FILE={file!r} is no file and no shipped example: give a problem file, or one of {', '.join(names)}"
            )
    return load_problem(file)


def check_seed(seed: int) -> None:
    """From 0 to 2^63 - 1."""
    if not 0 <= seed <= _LARGEST_SEED:
        raise BadInputError(f"--seed {seed} is out of range: give an integer from 0 to {_LARGEST_SEED}")


def check_runs(runs: int | None) -> None:
    """Enough for a standard error."""
    if runs is not None and not 8 <= runs <= 10**9:
        raise BadInputError(f"--runs {runs} is out of range: give an integer from 8 to {10**9}")


def check_derivation(
    quantity: Quantity, of: Of, order: int | None, method: Method, checkpoint: str | None, output: str | None
) -> None:
    """Options of ``derive`` that exclude each other."""
    if of is Of.update and quantity is Quantity.loss:
        raise BadInputError("--of update with --quantity loss: a loss is of the weights, not of a step; leave --of out")
    if order is not None and output is not None:
        raise BadInputError(
            f"-o {output!r} with --order {order}: a file holds a whole polynomial, and these are its first coefficients; "
            f"leave -o out and keep what --json prints"
        )
    road = f"--order {order}" if order is not None else f"--method {method.value}"
    if checkpoint is not None and (order is not None or method not in (Method.auto, Method.lattice)):
        raise BadInputError(
            f"--checkpoint {checkpoint!r} with {road}: only the lattice road keeps one; leave --checkpoint out, or give "
            f"--method lattice"
        )


def parse_batch_sizes(text: str, problem: Problem) -> tuple[int, ...]:
    """Batch sizes from "1,2,4"; at most n without replacement."""
    largest = problem.dataset_size if problem.sampling == "without_replacement" and problem.dataset_size else 10**9
    sizes = []
    for part in text.split(","):
        word = part.strip()
        if not (word.isascii() and word.isdecimal() and len(word) <= 10 and 1 <= int(word) <= largest):
            limit = f"from 1 to n = {largest} (without replacement)" if largest < 10**9 else "from 1 to 10^9"
            raise BadInputError(f"--batch-sizes {text!r}: {word!r}: give integers {limit}, separated by commas")
        sizes.append(int(word))
    return tuple(dict.fromkeys(sizes))


@contextmanager
def as_typed() -> Iterator[None]:
    """What the library says of order=1 and method='lattice', said of --order 1 and --method lattice."""
    from linvar.symbolic.size import DerivationTooLargeError

    try:
        yield
    except (ValueError, DerivationTooLargeError) as error:
        raise BadInputError(_ARGUMENT.sub(_option, str(error))) from error


def _option(found: re.Match[str]) -> str:
    """An argument of a function as an option."""
    name, value = found[1].replace("_", "-"), found[2] or found[3]
    if value == "None":
        return f"no --{name}"
    return f"--{name} {value}" if value else f"--{name}"
