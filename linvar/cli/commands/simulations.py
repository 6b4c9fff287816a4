"""``linvar verify`` and ``linvar plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from linvar.cli.arguments import (
    BatchSizes,
    File,
    Json,
    LearningRate,
    Runs,
    Seed,
    Step,
    Steps,
    at_steps,
    check_numbers,
    check_seed,
    check_unused,
    load,
    parse_batch_sizes,
)
from linvar.cli.errors import OK, REJECTED, UNRESOLVED, while_read
from linvar.cli.layout import print_shown
from linvar.cli.terminal import print_json, print_text, report_object
from linvar.errors import InputError, Words
from linvar.progress import waiting

if TYPE_CHECKING:
    from linvar.problem import Problem
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.verification.report import Report

#: polynomials side by side
_MOST_DRAWN = 8
_EXIT_OF_VERDICT = {"AGREE": OK, "REJECT": REJECTED, "UNRESOLVED": UNRESOLVED}


def verify(
    file: File,
    as_json: Json = False,
    seed: Seed = 0,
    runs: Runs = None,
    batch_sizes: BatchSizes = None,
    step: Step = None,
    learning_rate: LearningRate = None,
) -> None:
    """Compare the exact values with a simulation: exit status 0 AGREE, 1 REJECT, 3 UNRESOLVED."""
    problem = check_numbers(load(file, step, learning_rate))
    report = _verify(problem, seed, runs, parse_batch_sizes(batch_sizes, problem))
    with while_read():
        if as_json:
            print_json({**report_object(report), "seed": seed})
        else:
            print_shown(report)
    raise typer.Exit(_EXIT_OF_VERDICT[report.verdict])


def plot(
    file: File,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PNG", help="The picture: .png, .svg or .pdf.")],
    with_estimates: Annotated[bool, typer.Option("--verify", help="Simulate as well, and draw the estimates.")] = False,
    as_json: Json = False,
    seed: Seed = 0,
    runs: Runs = None,
    batch_sizes: BatchSizes = None,
    step: Step = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
) -> None:
    """Draw the variance against the batch size; with --verify the estimates too (exit status as of verify)."""
    from linvar.atomic import check_writable, write_atomically
    from linvar.cli.demo import draw, picture_suffix

    suffix = picture_suffix(output)
    if not with_estimates:
        cure = "add --verify, or leave it out"
        check_unused(
            "is of a simulation, and none is asked for", cure, seed=seed or None, runs=runs, batch_sizes=batch_sizes
        )
    elif steps is not None:
        raise InputError("--steps", steps, "give one --step", fault="is given with --verify")
    problems = at_steps(check_numbers(load(file, step, learning_rate)), steps, step)
    if len(problems) > _MOST_DRAWN:
        fault = f"is {len(problems):,} steps, more than the {_MOST_DRAWN} that a picture shows"
        raise InputError("--steps", Words(fault), "give fewer")
    check_writable(output)
    answers: list[tuple[str, Report | BatchPolynomial]]
    verdict = None
    if with_estimates:
        (problem,) = problems
        report = _verify(problem, seed, runs, parse_batch_sizes(batch_sizes, problem))
        answers, verdict = [("", report)], report.verdict
    else:
        from linvar.symbolic.derivation import derived

        with waiting("deriving the variance"):
            found = derived(problems, None, None, None)
            answers = [(f"t = {exact.problem.step}" * (steps is not None), exact.variance) for exact in found]
    with waiting("drawing"):
        picture = draw(answers, suffix)
    write_atomically(output, picture)
    with while_read():
        if as_json:
            print_json({"picture": output, "verdict": verdict})
        else:
            print_text(f"Picture: {output}" + (f" (verdict: {verdict})" if verdict else ""))
    raise typer.Exit(_EXIT_OF_VERDICT[verdict] if verdict else OK)


def _verify(problem: Problem, seed: int, runs: int | None, batch_sizes: tuple[int, ...]) -> Report:
    """The Report."""
    check_seed(seed)
    with waiting("deriving and simulating"):
        from linvar.numeric.laws.sampling import key_of
        from linvar.verification.verify import verify

        return verify(problem, key=key_of(seed), runs=runs, batch_sizes=batch_sizes)
