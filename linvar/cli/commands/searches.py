"""``linvar search`` and ``linvar experiment``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from linvar.cli.arguments import STEP, Json, Seed, check_seed, integer, number
from linvar.cli.errors import OK, UNRESOLVED, while_read
from linvar.cli.terminal import print_json, print_lines, print_prose, print_text, search_object


def search(
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth",
            metavar="L",
            parser=integer("--depth", "give the number of layers, an integer >= 1"),
            help="Layers L of the networks, all of width 1: 8.",
            show_default=False,
        ),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            "--step",
            metavar="T",
            parser=STEP,
            help="Updates t before the gradient is measured: 1.",
            show_default=False,
        ),
    ] = None,
    label_noise: Annotated[bool, typer.Option("--label-noise", help="Vary the noise of the labels too.")] = False,
    problem: Annotated[
        str | None,
        typer.Option("--problem", metavar="FILE", help="Vary the numbers of this problem (or of an example) instead."),
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option("--vary", metavar="NAMES", help="With --problem: weights,learning_rate,law or parts of it; all."),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", metavar="S", parser=number("--seconds", "give seconds, like 60"), help="When to stop."
        ),
    ] = 60.0,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Save the problem found (JSON).")
    ] = None,
    as_json: Json = False,
    seed: Seed = 0,
) -> None:
    """Search for a problem whose variance rises with the batch size; what is found is certified exactly."""
    check_seed(seed)
    if output is not None:
        from linvar.atomic import check_writable

        check_writable(output)
    from linvar.cli.searches import found, print_found

    result = found(problem, depth, step, label_noise, vary, seconds, seed)
    if output is not None and result.problem is not None:
        result.problem.save(output)
    with while_read():
        if as_json:
            print_json({**search_object(result), "seed": seed})
        else:
            print_found(result)
            if output is not None:
                print_text(f"Saved: {output}" if result.found else "Nothing to save")
    raise typer.Exit(OK if result.found else UNRESOLVED)


def experiment(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of linvar experiment --list.")] = None,
    list_experiments: Annotated[
        bool, typer.Option("--list", help="List the experiments, a line each, and exit.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="The real size, not the two-minute one.")] = False,
    directory: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="DIR", help="Where parts, result and picture go: linvar-NAME."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="FILE", help="regression: a table of your own, a row an example.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="Of the table: what to predict, by name or number.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether its first row names the columns: found.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="SIGN", help="What separates its fields: found.")
    ] = None,
    images: Annotated[str | None, typer.Option("--images", help="digits-*: digits or mnist.")] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="Networks: sgd, momentum, weight-decay, adam, adamw.")
    ] = None,
    schedule: Annotated[str | None, typer.Option("--schedule", help="Networks: constant, cosine, exponential.")] = None,
    learning_rate: Annotated[str | None, typer.Option("--learning-rate", help="A number, or p/q where exact.")] = None,
    as_json: Json = False,
    seed: Seed = 0,
) -> None:
    """Run an experiment, variance and loss against b; an interrupted one goes on where it stopped."""
    from linvar import experiments
    from linvar.experiments.options import as_typed, check_options

    given = {
        "table": table, "target": target, "header": header, "delimiter": delimiter, "images": images,
        "optimizer": optimizer, "schedule": schedule, "learning_rate": learning_rate,
    }  # fmt: skip
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    others = {"--full": full, "-o": directory, "--seed": seed}
    check_options(name, options, {key: value for key, value in others.items() if value}, list_experiments)
    if name is None:
        lines = {known: experiments.LINES[known] for known in experiments.NAMES}
        print_lines(lines, as_json)
        return
    check_seed(seed)
    with as_typed():
        result = experiments.run_experiment(
            name,
            size="full" if full else "default",
            seed=seed,
            directory=directory,
            **options,
        )
    if as_json:
        print_json({"experiment": result.name, "summary": result.summary, "results": result.results,
                    "file": str(result.file), "picture": str(result.picture), "seed": seed})  # fmt: skip
    else:
        print_prose(str(result))
