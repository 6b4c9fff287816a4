"""``linvar formula``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from linvar.cli.arguments import STEP, Json, Latex, Quantity, QuantityOption, check_output, integer
from linvar.cli.layout import wrapped
from linvar.cli.terminal import print_json, print_prose, print_text
from linvar.errors import DerivationTooLargeError, InputError, Words

if TYPE_CHECKING:
    from linvar.plain_data import Plain
    from linvar.symbolic.first_order_formula import FirstOrderFormula
    from linvar.symbolic.traces.formula import TraceFormula


class Covariance(StrEnum):
    """Of the inputs, of a formula in traces."""

    identity = "identity"
    general = "general"


def formula(
    depth: Annotated[
        int,
        typer.Option(
            "--depth",
            metavar="L",
            parser=integer("--depth", "give the number of layers, an integer >= 1"),
            help="Layers of the network.",
        ),
    ] = 2,
    step: Annotated[
        int, typer.Option("--step", metavar="T", parser=STEP, help="Updates before the gradient is measured: 0 or 1.")
    ] = 1,
    quantity: QuantityOption = Quantity.variance,
    order: Annotated[
        int | None,
        typer.Option(
            "--order",
            metavar="K",
            parser=integer("--order", "give the highest power of 1/b, an integer >= 0"),
            help="The highest power of 1/b; all of them if not given.",
        ),
    ] = None,
    covariance: Annotated[
        Covariance, typer.Option("--covariance", help="Of the inputs; general has label noise too.")
    ] = Covariance.identity,
    layer_rates: Annotated[bool, typer.Option("--layer-rates", help="A learning rate for each layer.")] = False,
    weight_decay: Annotated[bool, typer.Option("--weight-decay", help="With weight decay in the step.")] = False,
    coefficient: Annotated[
        int | None,
        typer.Option(
            "--coefficient",
            metavar="K",
            parser=integer("--coefficient", "give a power of 1/b, an integer >= 0"),
            help="Print the terms of the coefficient of 1/b^K only.",
        ),
    ] = None,
    isotropic: Annotated[
        bool,
        typer.Option(
            "--isotropic", help="Where W_l = s times an isometry of width n, the teacher c times one: a polynomial."
        ),
    ] = False,
    first_order: Annotated[
        bool, typer.Option("--first-order", help="The coefficient of 1/b by itself, any step and covariance.")
    ] = False,
    latex: Latex = False,
    as_json: Json = False,
) -> None:
    """Print the formula of the variance for networks of every width, in traces of products of weights."""
    check_output(as_json, latex, full=False)
    if first_order:
        _check_first_order(quantity, order, covariance, layer_rates, weight_decay, coefficient, isotropic)
        from linvar.symbolic.first_order_formula import first_order_formula

        _print_first_order(first_order_formula(depth, step), latex, as_json)
        return
    if step > 1:
        fault = "has no formula in traces (millions of terms)"
        raise InputError("--step", step, "give 0 or 1, or --first-order for the coefficient of 1/b", fault=fault)
    if coefficient is not None and isotropic:
        raise InputError("--isotropic", Words("is given with --coefficient"), "leave one of the two out")
    if coefficient is not None and coefficient < 0:
        raise InputError("--coefficient", coefficient, "give a power of 1/b, an integer >= 0", fault="is negative")
    if coefficient is not None and order is not None and coefficient > order:
        raise InputError("--coefficient", coefficient, "give a higher order", fault=f"is beyond --order {order}")
    from linvar.symbolic.traces.formula import trace_formula

    found = trace_formula(
        depth, step, quantity.value, order, covariance.value, layer_rates=layer_rates, weight_decay=weight_decay
    )
    if as_json:
        print_json(_object(found, coefficient, isotropic))
    elif isotropic:
        import sympy

        expression = found.isotropic()
        print_text(sympy.latex(expression) if latex else wrapped(f"{found!r}\n{expression}"))
    elif latex:
        print_text(found.to_latex(coefficient, longest=10**9) if coefficient is not None else found.to_latex())
    else:
        print_prose(f"{found!r}\n{found.text(coefficient)}")


def _check_first_order(
    quantity: Quantity,
    order: int | None,
    covariance: Covariance,
    layer_rates: bool,
    weight_decay: bool,
    coefficient: int | None,
    isotropic: bool,
) -> None:
    """Refuse what is of a formula in traces."""
    given = {
        "--quantity": quantity is not Quantity.variance,
        "--order": order is not None,
        "--covariance": covariance is not Covariance.identity,
        "--layer-rates": layer_rates,
        "--weight-decay": weight_decay,
        "--coefficient": coefficient is not None,
        "--isotropic": isotropic,
    }
    for option, is_given in given.items():
        if is_given:
            fault = "is given with --first-order, the coefficient of 1/b in the variance for every covariance"
            raise InputError(option, Words(fault), "leave one of the two out")


def _print_first_order(found: FirstOrderFormula, latex: bool, as_json: bool) -> None:
    """The coefficient of 1/b: its LaTeX alone, or with the number of pairs that it sums over."""
    if latex:
        print_text(found.to_latex())
        return
    try:
        text = found.to_latex()
    except DerivationTooLargeError as error:
        text = ""
        equations = error.statement
    else:
        equations = text
    sizes = {"depth": found.depth, "step": found.step, "pairs": found.pairs, "pairs_if_white": found.pairs_if_white}
    if as_json:
        print_json({**sizes, "latex": text or None})
        return
    layers = f"{found.depth} layer{'s' * (found.depth > 1)}"
    print_prose(f"beta_1, the coefficient of 1/b in the variance, of {layers} at t = {found.step}")
    print_prose(f"pairs (X, Y), (X', Y'): {found.pairs:,}; for the identity covariance {found.pairs_if_white:,}")
    print_text(equations)


def _object(found: TraceFormula, coefficient: int | None, isotropic: bool) -> dict[str, Plain]:
    """A formula in traces as ``formula --json`` prints it: a term is an integer and a product of words, lists of letters."""
    statement: dict[str, Plain] = {
        "depth": found.depth,
        "step": found.step,
        "quantity": found.quantity,
        "order": found.order,
        "covariance": found.covariance,
        "parameters": list(found.parameters),
        "letters": found.letters,
        "scale": str(found.scale),
    }
    if isotropic:
        return {**statement, "isotropic": str(found.isotropic())}
    powers = range(found.degree + 1) if coefficient is None else [coefficient]
    return {**statement, "coefficients": [{"power": k, "terms": _terms(found, k)} for k in powers]}


def _terms(found: TraceFormula, k: int) -> list[Plain]:
    """The terms of the coefficient of 1/b^k, with the powers of the parameters."""
    return [
        {
            "powers": [powers] if isinstance(powers, int) else list(powers),
            "integer": integer,
            "traces": [list(word) for word in product],
        }
        for powers, products in found.coefficient(k).items()
        for product, integer in products.items()
    ]
