"""``linvar derive`` and ``linvar plan``."""

from __future__ import annotations

from typing import Annotated

import typer

from linvar.cli.arguments import (
    Digits,
    File,
    Json,
    Latex,
    LearningRate,
    MemoryLimit,
    Method,
    Of,
    Order,
    Quantity,
    QuantityOption,
    Step,
    Steps,
    at_steps,
    check_derivation,
    check_output,
    load,
)
from linvar.cli.layout import print_shown
from linvar.cli.terminal import (
    expansion_object,
    plan_object,
    polynomial_object,
    print_answers,
    print_expansion,
    print_json,
    print_polynomial,
    print_text,
)
from linvar.progress import waiting


def derive(
    file: File,
    as_json: Json = False,
    latex: Latex = False,
    full: Annotated[bool, typer.Option("--full", help="Print all digits, however long.")] = False,
    quantity: QuantityOption = Quantity.variance,
    of: Annotated[Of, typer.Option("--of", help="Of the gradient, or of the change it makes of W.")] = Of.gradient,
    order: Order = None,
    digits: Digits = None,
    road: Annotated[
        Method,
        typer.Option(
            "--method",
            metavar="ROAD",
            help="auto, regression, expansion, traces or lattice; linvar plan compares them.",
        ),
    ] = Method.auto,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="FILE", help="Lattice: keep what is done, go on from it.")
    ] = None,
    memory_limit: MemoryLimit = None,
    step: Step = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Save it for linvar.load_polynomial.")
    ] = None,
) -> None:
    """Derive the exact polynomial in 1/b, or with --order its first coefficients only."""
    check_output(as_json, latex, full)
    check_derivation(quantity, of, order, output, steps)
    problems = at_steps(load(file, step, learning_rate), steps, step)
    if output is not None:
        from linvar.atomic import check_writable

        check_writable(output)
    asked = {"quantity": quantity.value}
    if quantity is not Quantity.loss:
        asked["of"] = of.value
    name = f"{quantity.value} of the update" if of is Of.update else quantity.value
    from linvar.cli.derivations import check_no_order, check_no_road, first_coefficients, whole_polynomials

    if order is not None:
        check_no_road(order, road, checkpoint)
        with waiting(f"deriving the {name}"):
            firsts = [first_coefficients(one, quantity, of, order, digits, memory_limit) for one in problems]
        if as_json:
            objects = [{**asked, **expansion_object(first, one)} for one, first in zip(problems, firsts)]
            print_answers(objects, problems, several=steps is not None)
            return
        for one, first in zip(problems, firsts):
            if latex:
                print_text(first.latex())
            else:
                print_expansion(one, name, first, full=full)
        return
    check_no_order(digits)
    with waiting(f"deriving the {name}"):
        found = whole_polynomials(problems, quantity, of, road, checkpoint, memory_limit)
        starts = [None if polynomial.symbols else polynomial.decreasing_from() for polynomial in found]
    if output is not None:
        found[0].save(output)
    answers = list(zip(problems, found, starts))
    if as_json:
        objects = [{**asked, **polynomial_object(polynomial, one, start)} for one, polynomial, start in answers]
        print_answers(objects, problems, several=steps is not None)
        return
    for one, polynomial, start in answers:
        if latex:
            print_text(polynomial.latex())
        else:
            print_polynomial(one, name, polynomial, start, full=full)
    if output is not None and not latex:
        print_text(f"Saved: {output}")


def plan(
    file: File,
    order: Order = None,
    digits: Digits = None,
    memory_limit: MemoryLimit = None,
    step: Step = None,
    learning_rate: LearningRate = None,
    as_json: Json = False,
) -> None:
    """What each road to the variance would cost, and which one derive takes; nothing is started."""
    problem = load(file, step, learning_rate)
    from linvar.cli.derivations import check_no_order
    from linvar.symbolic.plan import plan as predict
    from linvar.symbolic.roads.large_batch.road import LargeBatch

    if order is None:
        check_no_order(digits)
    found = predict(problem, None if order is None else LargeBatch(order, digits), memory_limit=memory_limit)
    if as_json:
        print_json(plan_object(found))
    else:
        print_shown(found.to_table({"road": "--method"}))
