"""What derivations show of themselves: what was found, as a table. Nothing is derived by showing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from linvar.display.cell import Cell
from linvar.display.table import Entry, Table
from linvar.problem import Problem
from linvar.symbolic.quantities import (
    Loss,
    Polynomials,
    Quantity,
    SecondMoment,
    SquaredMean,
    Variance,
    WeightCovariance,
    Weights,
)
from linvar.symbolic.result import display, latex

if TYPE_CHECKING:
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.symbolic.result.truncated import LargeBatchExpansion
    from linvar.symbolic.sgd.road import RoadPlan

#: what a derivation is asked for by an attribute of its own
_ATTRIBUTES: tuple[Quantity, ...] = (
    Variance(), Variance("update"), SecondMoment(), SquaredMean(), Loss(), Weights(), WeightCovariance(),
)  # fmt: skip
_FURTHER = ("degree", "terms", "decreasing from")
#: a polynomial of more terms is not written out where it has symbols, nor is all of its LaTeX, nor is decided where it falls
_MOST_TERMS = 40


def table_of_quantities(problem: Problem, plan: RoadPlan, found: Mapping[Quantity, Polynomials]) -> Table:
    """A row a quantity that was found; the others are named."""
    known = [quantity for quantity in _ATTRIBUTES if quantity in found]
    known += [quantity for quantity in found if quantity not in _ATTRIBUTES]
    rows = [[quantity.name, *_entries(found[quantity])] for quantity in known]
    notes = _notes(plan, {quantity.name for quantity in found})
    return Table(["quantity", f"polynomial in {_unit(problem)}", *_FURTHER], rows, f"Derivation of {problem!r}", notes)


def table_of_expansions(problem: Problem, plan: RoadPlan, found: Mapping[str, Sequence[LargeBatchExpansion]]) -> Table:
    """A row a quantity whose first coefficients were found, by its name; the others are named."""
    rows = []
    for name, expansions in found.items():
        first, *others = expansions
        text, _, _ = repr(first).partition("    (")
        written = latex.expansion_notebook(first._elements, first.symbols, first.digits)
        rows.append([name, f"{len(expansions):,} expansions" if others else Cell(text, first, written)])
    columns = ["quantity", f"expansion in {_unit(problem)}"]
    return Table(columns, rows, f"Large batches of {problem!r}", _notes(plan, set(found)))


def _notes(plan: RoadPlan, found: Set[str]) -> list[str]:
    """The road, and what was not found yet."""
    further = [quantity.name for quantity in _ATTRIBUTES if quantity.name not in found]
    notes = [f"Road: {plan.cost} (predicted)"]
    return [*notes, f"Derived when first asked for: {', '.join([*further, 'per_leaf'])}"] if further else notes


def table_of_steps(steps: Iterable[tuple[Problem, RoadPlan, Polynomials | None]]) -> Table:
    """A row a step: its variance, where it was found."""
    listed = sorted(steps, key=lambda step: step[0].step)
    rows = [[problem.step, plan.road, *_entries(found)] for problem, plan, found in listed]
    notes = ["-: derived when first asked for, as .variance"] if any(found is None for *_, found in listed) else []
    title = f"Variance up to {listed[-1][0]!r}" if listed else "No steps"
    unit = _unit(*(problem for problem, *_ in listed))
    return Table(["t", "road", f"polynomial in {unit}", *_FURTHER], rows, title, notes)


def _unit(*problems: Problem) -> str:
    """u = 1/b, as far as no symbol has taken these names."""
    symbols = [symbol for problem in problems for symbol in problem.symbols]
    name = "u = " if display.generator_name(symbols) == "u" else ""
    return f"{name}1/{display.batch_size_name(symbols)}"


def _entries(found: Polynomials | None) -> list[Entry]:
    """What stands in the columns of a polynomial; of several polynomials the largest degree and all terms."""
    if found is None:
        return [None] * (1 + len(_FURTHER))
    degree, terms = max(one.degree for one in found), sum(one.terms for one in found)
    if len(found) > 1:
        return [f"{len(found):,} polynomials", degree, terms, None]
    (one,) = found
    return [formula_cell(one), degree, terms, _start(one)]


def formula_cell(polynomial: BatchPolynomial) -> Cell:
    """A polynomial in a table."""
    short = polynomial.terms <= _MOST_TERMS
    text, _, _ = repr(polynomial).partition("    (")
    if polynomial.symbols and not short:
        text = f"{polynomial.terms:,} terms in {len(polynomial.symbols)} symbols"
    return Cell(text, polynomial, polynomial.latex() if short else latex.notebook(polynomial))


def _start(polynomial: BatchPolynomial) -> int | None:
    """b_0, from which on it falls, where that is decided at once."""
    return None if polynomial.symbols or polynomial.degree > _MOST_TERMS else polynomial.decreasing_from()
