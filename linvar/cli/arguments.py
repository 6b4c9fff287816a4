"""What the commands take: options and their checks. Nothing heavy is imported here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linvar.errors import InputError, Words, cut, shown

if TYPE_CHECKING:
    from linvar.exact import Rational
    from linvar.problem import Problem

_LARGEST_SEED = 2**63 - 1
_USUAL_BATCH_SIZES = (1, 2, 4, 16)


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
    """The roads to a whole polynomial (``symbolic.registry``, which is heavier to import)."""

    auto = "auto"
    regression = "regression"
    expansion = "expansion"
    traces = "traces"
    lattice = "lattice"


QuantityOption = Annotated[
    Quantity, typer.Option("--quantity", metavar="NAME", help="variance, second_moment, squared_mean or loss.")
]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A problem file (JSON or TOML), a name of linvar example --list, or - for standard input."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]


def integer(option: str, cure: str) -> Callable[[str], int]:
    """A parser of an option: what is no integer is refused in the words of linvar, not in those of a library."""

    def read(text: str) -> int:
        try:
            return int(text)
        except ValueError:  # also of more digits than CPython reads
            raise typer.BadParameter(option) from InputError(option, text, cure, fault="is no integer")

    return read


def number(option: str, cure: str) -> Callable[[str], int | float]:
    """Likewise of a number; the library says whether it is one that makes sense."""

    def read(text: str) -> int | float:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        raise typer.BadParameter(option) from InputError(option, text, cure, fault="is no number")

    return read


Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        parser=integer("--seed", "give an integer >= 0"),
        help="Seed of the simulation, an integer >= 0.",
    ),
]
Runs = Annotated[
    int | None,
    typer.Option(
        "--runs",
        metavar="N",
        parser=integer("--runs", "give the number of runs, like 65536"),
        help="Simulated runs for each batch size.",
    ),
]
BatchSizes = Annotated[
    str | None,
    typer.Option("--batch-sizes", help="Batch sizes to simulate, separated by commas: 1,2,4,16, those there are."),
]
Order = Annotated[
    int | None,
    typer.Option(
        "--order",
        metavar="K",
        parser=integer("--order", "give the highest power of 1/b, an integer >= 0"),
        help="Only the coefficients of 1, ..., 1/b^K, at any step.",
    ),
]
Digits = Annotated[
    int | None,
    typer.Option(
        "--digits",
        metavar="D",
        parser=integer("--digits", "give the number of digits, like 30"),
        help="With --order: enclosures with D certified digits.",
    ),
]

STEP = integer("--step", "give the number of updates, an integer >= 0")
Step = Annotated[
    int | None,
    typer.Option("--step", metavar="T", parser=STEP, help="Updates before the gradient is measured: the file's."),
]
Steps = Annotated[
    str | None, typer.Option("--steps", metavar="T,T,...", help="Several steps in one sweep: 0,1,2 or 0..4.")
]
Latex = Annotated[bool, typer.Option("--latex", help="Print the LaTeX of it and nothing else.")]
LearningRate = Annotated[
    str | None, typer.Option("--learning-rate", metavar="P/Q", help="Of every update, an exact number: the file's.")
]
MemoryLimit = Annotated[
    float | None,
    typer.Option(
        "--memory-limit",
        metavar="BYTES",
        parser=number("--memory-limit", "give a number of bytes, like 8e9"),
        help="What a derivation may take: half of the machine's.",
    ),
]


def load(file: str, step: int | None = None, learning_rate: str | None = None) -> Problem:
    """The problem of a file, or of a shipped example; with another step and learning rate where they are given."""
    changes = {} if learning_rate is None else {"learning_rate": exact_number(learning_rate, "--learning-rate")}
    if step is not None:
        check_step(step)
    problem = _read(file)
    if step is None:
        step = problem.step
    if changes:
        return problem.replace(step=step, **changes)
    known = problem.learning_rate
    if isinstance(known, tuple) and step > len(known):
        fault = f"is beyond the {len(known)} learning rates of the file"
        raise InputError("--step", step, "give --learning-rate too, one for all updates", fault=fault)
    return problem.at_step(step)


def check_numbers(problem: Problem) -> Problem:
    """A problem without symbols."""
    if problem.symbols:
        names = cut(", ".join(map(str, problem.symbols)), 60)
        raise InputError(
            "FILE", Words(f"has the symbols {names}"), "write numbers in their place; derive takes symbols"
        )
    return problem


def check_step(step: int, option: str = "--step") -> None:
    """From 0 to what a file may have."""
    from linvar.problem_file import MAX_STEP

    if not 0 <= step <= MAX_STEP:
        cure = f"give the number of updates, an integer from 0 to {MAX_STEP}"
        raise InputError(option, Words(f"{shown(step)} is out of range"), cure)


def parse_steps(text: str) -> tuple[int, ...]:
    """Numbers of updates from "0,1,2" or "0..4", each once, in the order typed."""
    from linvar.problem_file import MAX_STEP

    steps: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", part.strip())
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else 0
        if match is None or not first <= last <= MAX_STEP:
            cure = f"give numbers of updates from 0 to {MAX_STEP}, like 0,1,2 or 0..4"
            raise InputError("--steps", text, cure, fault=f"contains {shown(part.strip(), 40)}")
        steps += range(first, last + 1)
    return tuple(dict.fromkeys(steps))


def at_steps(problem: Problem, steps: str | None, step: int | None) -> tuple[Problem, ...]:
    """The problem itself, or the same at each of several steps; a schedule has to reach the last of them."""
    if steps is None:
        return (problem,)
    if step is not None:
        raise InputError("--steps", steps, "leave one of the two out", fault="is given with --step")
    at, known = parse_steps(steps), problem.learning_rate
    if isinstance(known, tuple) and max(at) > len(known):
        fault = f"goes beyond the {len(known)} learning rates of the file"
        raise InputError("--steps", steps, "give --learning-rate too, one for all updates", fault=fault)
    return tuple(problem.at_step(t) for t in at)


def exact_number(text: str, option: str) -> Rational:
    """A number p or p/q; of a short decimal the fraction to write is said."""
    from linvar.exact import Rational, parse_rational

    is_decimal = re.fullmatch(r"[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(e[+-]?[0-9])?", text)
    if is_decimal and not text.lstrip("+-").isdecimal():
        raise InputError(option, Words(f"{text} is not an exact number"), f"write {Rational(Fraction(text))}")
    return parse_rational(text, option)


def _read(file: str) -> Problem:
    """The problem of a file, or of a shipped example, as it stands there."""
    from linvar.cli.shipped import example_names, load_example
    from linvar.problem_file import load_problem

    if "\0" in file:
        raise InputError("FILE", file, "give the path of a problem file", fault="has a null byte in its name")
    if file != "-" and not os.path.lexists(file):
        names = example_names()
        if file in names:
            return load_example(file)
        if os.sep not in file and not Path(file).suffix:
            cure = f"give a problem file, or one of {', '.join(names)}"
            raise InputError("FILE", file, cure, fault="is no file and no shipped example")
        raise InputError("FILE", Words(f"{shown(file)}: there is no such file"), "give the path of a problem file")
    said: list[str] = []
    problem = load_problem(file, say=said.append)
    for line in said:  # of a problem that is one: a mistake is one line
        print(f"linvar: {line}", file=sys.stderr)
    return problem


def check_seed(seed: int) -> None:
    """From 0 to 2^63 - 1."""
    if not 0 <= seed <= _LARGEST_SEED:
        cure = f"give an integer from 0 to {_LARGEST_SEED}"
        raise InputError("--seed", Words(f"{seed if abs(seed) < 2**200 else shown(seed)} is out of range"), cure)


def check_unused(reason: str, cure: str, **options: object) -> None:
    """Refuse options that were given (are not None) although nothing looks at them."""
    for name, value in options.items():
        if value is not None:
            option = "-o" if name == "output" else f"--{name.replace('_', '-')}"
            raise InputError(option, value, cure, fault=reason)


def check_derivation(quantity: Quantity, of: Of, order: int | None, output: str | None, steps: str | None) -> None:
    """Options of ``derive`` that exclude each other, and of which the library knows nothing."""
    if of is Of.update and quantity is Quantity.loss:
        words = Words("update with --quantity loss, which is of the weights and not of a step")
        raise InputError("--of", words, "leave --of out")
    if steps is not None and output is not None:
        why = "with --steps, where a file holds one polynomial"
        raise InputError("-o", output, "ask for one --step, or keep what --json prints", fault=why)
    if order is not None and output is not None:
        why = f"with --order {shown(order)}, where a file holds a whole polynomial and these are its first coefficients"
        raise InputError("-o", output, "leave -o out and keep what --json prints", fault=why)


def check_output(as_json: bool, latex: bool, full: bool) -> None:
    """One way of printing."""
    if latex and as_json:
        raise InputError("--latex", Words("is given with --json"), "leave one of the two out")
    if full and (latex or as_json):
        other = "--latex" if latex else "--json"
        raise InputError("--full", Words(f"is given with {other}, which prints all digits"), "leave --full out")


def parse_batch_sizes(text: str | None, problem: Problem) -> tuple[int, ...]:
    """Batch sizes from "1,2,4"; at most n without replacement. If None, those of the usual ones that there are."""
    largest = problem.largest_batch_size or 10**9
    if text is None:
        return tuple(b for b in _USUAL_BATCH_SIZES if b <= largest)
    sizes = []
    for part in text.split(","):
        word = part.strip()
        if not (word.isascii() and word.isdecimal() and len(word) <= 10 and 1 <= int(word) <= largest):
            limit = f"from 1 to n = {largest} (without replacement)" if largest < 10**9 else "from 1 to 10^9"
            cure = f"give integers {limit}, separated by commas"
            raise InputError("--batch-sizes", text, cure, fault=f"contains {shown(word, 40)}")
        sizes.append(int(word))
    return tuple(dict.fromkeys(sizes))
