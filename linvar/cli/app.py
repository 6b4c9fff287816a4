"""The command line: ``linvar derive | plan | verify | plot | search | experiment | demo``.

Heavy imports (JAX, matplotlib, SymPy, python-flint) are inside the commands, so that ``linvar --help`` is quick.
Whatever the user gets wrong (a ``LinvarError``) ends in one line on standard error and exit status 2, as does what the
operating system refuses: commands raise, ``main`` prints. Any other exception is a bug: a traceback and exit status 70.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linvar.cli.arguments import (
    BatchSizes,
    Digits,
    File,
    Json,
    MemoryLimit,
    Method,
    Of,
    Order,
    Quantity,
    Runs,
    Seed,
    check_derivation,
    check_seed,
    check_unused,
    load,
    parse_batch_sizes,
)
from linvar.cli.errors import (
    INTERRUPTED,
    OK,
    REJECTED,
    UNRESOLVED,
    Commands,
    complain,
    heed_interrupts,
    leave,
    status_of,
)
from linvar.cli.terminal import (
    expansion_object,
    plan_object,
    polynomial_object,
    print_examples,
    print_expansion,
    print_json,
    print_polynomial,
    print_rich,
    print_section,
    print_text,
    report_object,
    search_object,
)
from linvar.errors import InputError
from linvar.progress import waiting

if TYPE_CHECKING:
    from linvar.cli.demo import Section
    from linvar.problem import Problem
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.verification.report import Report

_EXIT_OF_VERDICT = {"AGREE": OK, "REJECT": REJECTED, "UNRESOLVED": UNRESOLVED}

app = typer.Typer(
    name="linvar",
    cls=Commands,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The exact variance of mini-batch gradients of linear networks, as a polynomial in 1/b, and its check.",
    epilog="Exit status: 0 done (verify: AGREE); 1 verify says REJECT; 2 bad input, or a derivation too large; "
    "3 verify says UNRESOLVED, or search found nothing; 70 an internal error; 130 interrupted.",
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from linvar import __version__

        print(f"linvar {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def demo(
    list_examples: Annotated[bool, typer.Option("--list", help="List the shipped example problems and exit.")] = False,
    directory: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Where the picture goes.")] = ".",
    seed: Seed = 0,
    as_json: Json = False,
    runs: Runs = None,
) -> None:
    """Derive and verify a two-layer network on Gaussian data and a linear network on real data; draw a picture."""
    from linvar.cli import demo as content

    if list_examples:
        other = directory if directory != "." else None
        check_unused("is given with --list", "leave one of the two out", output=other, seed=seed or None, runs=runs)
        print_examples(as_json)
        return
    check_seed(seed)
    if not os.path.isdir(directory):
        raise InputError("-o", directory, "create it or give another one", fault="is not a directory")
    from linvar.atomic import check_writable, write_atomically

    target = Path(directory) / content.PICTURE
    check_writable(target)
    remarks: list[str] = []

    def say(remark: str) -> None:
        remarks.append(remark)
        if not as_json:
            print_text(f"\n{remark}")

    def show(section: Section) -> None:
        if not as_json:
            print_section(section)

    with waiting("deriving and simulating"):
        sections = content.run_demo(seed, show, say, runs)
        picture = content.draw([(one.title.partition(", ")[0], one.report) for one in sections], target.suffix)
    write_atomically(target, picture)
    if as_json:
        objects = [{"title": one.title, "remark": one.remark, **report_object(one.report)} for one in sections]
        print_json({"sections": objects, "remarks": remarks, "picture": str(target), "seed": seed})
    else:
        print_text(f"\nPicture: {target}")


@app.command()
def derive(
    file: File,
    as_json: Json = False,
    quantity: Annotated[Quantity, typer.Option("--quantity", help="Which expectation to derive.")] = Quantity.variance,
    of: Annotated[Of, typer.Option("--of", help="Of the gradient, or of the change it makes of W.")] = Of.gradient,
    order: Order = None,
    digits: Digits = None,
    road: Annotated[Method, typer.Option("--method", help="The road; linvar plan compares them.")] = Method.auto,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="FILE", help="Lattice: keep what is done, go on from it.")
    ] = None,
    memory_limit: MemoryLimit = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Save it for linvar.load_polynomial.")
    ] = None,
) -> None:
    """Derive the exact polynomial in 1/b, or with --order its first coefficients only."""
    check_derivation(quantity, of, order, output)
    problem = load(file)
    if output is not None:
        from linvar.atomic import check_writable

        check_writable(output)
    asked = {"quantity": quantity.value}
    if quantity is not Quantity.loss:
        asked["of"] = of.value
    name = f"{quantity.value} of the update" if of is Of.update else quantity.value
    from linvar.cli.derivations import check_no_order, check_no_road, first_coefficients, whole_polynomial

    if order is not None:
        check_no_road(order, road, checkpoint)
        with waiting(f"deriving the {name}"):
            first = first_coefficients(problem, quantity, of, order, digits, memory_limit)
        if as_json:
            print_json({**asked, **expansion_object(first, problem)})
        else:
            print_expansion(problem, name, first)
        return
    check_no_order(digits)
    with waiting(f"deriving the {name}"):
        polynomial = whole_polynomial(problem, quantity, of, road, checkpoint, memory_limit)
        start = polynomial.decreasing_from()
    if output is not None:
        polynomial.save(output)
    if as_json:
        print_json({**asked, **polynomial_object(polynomial, problem, start)})
    else:
        print_polynomial(problem, name, polynomial, start)
        if output is not None:
            print_text(f"Saved: {output}")


@app.command()
def plan(
    file: File,
    order: Order = None,
    digits: Digits = None,
    memory_limit: MemoryLimit = None,
    as_json: Json = False,
) -> None:
    """What each road to the variance would cost, and which one derive takes; nothing is started."""
    problem = load(file)
    from linvar.cli.derivations import check_no_order
    from linvar.symbolic.plan import plan as predict
    from linvar.symbolic.roads.large_batch.road import LargeBatch

    if order is None:
        check_no_order(digits)
    found = predict(problem, None if order is None else LargeBatch(order, digits), memory_limit=memory_limit)
    if as_json:
        print_json(plan_object(found))
    else:
        print_text(found.text({"road": "--method"}))


@app.command()
def verify(
    file: File,
    as_json: Json = False,
    seed: Seed = 0,
    runs: Runs = None,
    batch_sizes: BatchSizes = None,
) -> None:
    """Compare the exact values with a simulation: exit status 0 AGREE, 1 REJECT, 3 UNRESOLVED."""
    problem = load(file)
    report = _verify(problem, seed, runs, parse_batch_sizes(batch_sizes, problem))
    if as_json:
        print_json({**report_object(report), "seed": seed})
    else:
        print_rich(report)
    raise typer.Exit(_EXIT_OF_VERDICT[report.verdict])


@app.command()
def plot(
    file: File,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PNG", help="The picture: .png, .svg or .pdf.")],
    with_estimates: Annotated[bool, typer.Option("--verify", help="Simulate as well, and draw the estimates.")] = False,
    as_json: Json = False,
    seed: Seed = 0,
    runs: Runs = None,
    batch_sizes: BatchSizes = None,
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
    problem = load(file)
    check_writable(output)
    result: Report | BatchPolynomial
    verdict = None
    if with_estimates:
        result = _verify(problem, seed, runs, parse_batch_sizes(batch_sizes, problem))
        verdict = result.verdict
    else:
        from linvar.symbolic.answers import gradient_variance

        with waiting("deriving the variance"):
            result = gradient_variance(problem)
    with waiting("drawing"):
        picture = draw([("", result)], suffix)
    write_atomically(output, picture)
    if as_json:
        print_json({"picture": output, "verdict": verdict})
    else:
        print_text(f"Picture: {output}" + (f" (verdict: {verdict})" if verdict else ""))
    raise typer.Exit(_EXIT_OF_VERDICT[verdict] if verdict else OK)


@app.command()
def search(
    depth: Annotated[
        int | None, typer.Option("--depth", help="Layers L of the networks, all of width 1: 8.", show_default=False)
    ] = None,
    step: Annotated[
        int | None, typer.Option("--step", help="Updates t before the gradient is measured: 1.", show_default=False)
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
    seconds: Annotated[float, typer.Option("--seconds", help="When to stop.")] = 60.0,
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
    if as_json:
        print_json({**search_object(result), "seed": seed})
    else:
        print_found(result)
        if output is not None:
            print_text(f"Saved: {output}" if result.found else "Nothing to save")
    raise typer.Exit(OK if result.found else UNRESOLVED)


@app.command()
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
        if as_json:
            print_json(lines)
        else:
            width = max(map(len, lines))
            print_text("\n".join(f"{known:{width}}  {line}" for known, line in lines.items()))
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
        print_text(repr(result))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status (the entry point ``linvar``, which reads ``sys.argv``).

    >>> main(["derive", "no-such-file.json"])
    2
    """
    if arguments is None:  # the process is ours
        heed_interrupts()
    try:
        status = typer.main.get_command(app).main(args=arguments, prog_name="linvar", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `linvar ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except MemoryError:
        return complain("out of memory: give a smaller problem, or use a larger machine")
    except Exception as error:  # noqa: BLE001  the last door: every error becomes a status
        return status_of(error)
    if status == INTERRUPTED:
        complain("interrupted")
        if arguments is None:
            leave(INTERRUPTED)
    return status if isinstance(status, int) else OK


def _verify(problem: Problem, seed: int, runs: int | None, batch_sizes: tuple[int, ...]) -> Report:
    """The Report."""
    check_seed(seed)
    with waiting("deriving and simulating"):
        from linvar.numeric.laws.sampling import key_of
        from linvar.verification.verify import verify

        return verify(problem, key=key_of(seed), runs=runs, batch_sizes=batch_sizes)
