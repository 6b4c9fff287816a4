"""``linvar compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from linvar.cli.arguments import (
    File,
    Json,
    LearningRate,
    MemoryLimit,
    Step,
    check_numbers,
    integer,
    load,
    parse_batch_sizes,
)
from linvar.cli.layout import print_shown
from linvar.cli.terminal import print_json
from linvar.progress import waiting

if TYPE_CHECKING:
    from linvar.plain_data import Plain
    from linvar.symbolic.compare import BatchComparison, Comparison


def compare(
    file: File,
    examples: Annotated[
        int | None,
        typer.Option(
            "--examples",
            metavar="N",
            parser=integer("--examples", "give the number of examples, an integer >= 1"),
            help="Compare them of N examples too: N/b steps each.",
        ),
    ] = None,
    batch_sizes: Annotated[
        str | None,
        typer.Option("--batch-sizes", help="Separated by commas: all divisors of N, or 1,2,4,...,64, those there are."),
    ] = None,
    as_json: Json = False,
    memory_limit: MemoryLimit = None,
    step: Step = None,
    learning_rate: LearningRate = None,
) -> None:
    """Which batch size gives the lowest expected loss: after the same steps, and of the same examples. Exact."""
    problem = check_numbers(load(file, step, learning_rate))
    sizes = None if batch_sizes is None else parse_batch_sizes(batch_sizes, problem)
    from linvar.symbolic.compare import compare_batch_sizes

    with waiting("comparing batch sizes"):
        found = compare_batch_sizes(problem, sizes, examples=examples, memory_limit=memory_limit)
        best = found.best_batch_size
    if as_json:
        print_json(_object(found, best))
    else:
        print_shown(found.to_table())


def _object(found: BatchComparison, best: int | None) -> dict[str, Plain]:
    """A comparison as ``compare --json`` prints it: losses are strings "p/q"; null where there is none."""
    return {
        "problem": found.problem.to_dict(),
        "best_batch_size": best,
        "equal_steps": _compared(found.equal_steps),
        "examples": found.examples,
        "equal_examples": None if found.equal_examples is None else _compared(found.equal_examples),
    }


def _compared(comparison: Comparison) -> dict[str, Plain]:
    return {
        "batch_sizes": list(comparison.batch_sizes),
        "steps": list(comparison.steps),
        "losses": list(map(str, comparison.losses)),
        "lowest": comparison.lowest,
        "smaller_batches_help": comparison.smaller_batches_help,
    }
