"""``linvar derive`` and ``linvar plan``."""

from __future__ import annotations

from typing import Annotated

import typer

from linvar.cli.arguments import Digits, File, Json, MemoryLimit, Method, Of, Order, Quantity, check_derivation, load
from linvar.cli.terminal import (
    expansion_object,
    plan_object,
    polynomial_object,
    print_expansion,
    print_json,
    print_polynomial,
    print_text,
)
from linvar.progress import waiting


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
