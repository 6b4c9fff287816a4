"""What the command line prints: tables and JSON objects."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from linvar.cli.layout import listed, print_shown, table, wrapped
from linvar.plain_data import expression_text

if TYPE_CHECKING:
    from linvar.cli.demo import Section
    from linvar.exact import Exact
    from linvar.plain_data import Plain
    from linvar.problem import Problem
    from linvar.search.nonmonotone import SearchResult
    from linvar.symbolic.plan import Plan
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.symbolic.result.truncated import LargeBatchExpansion
    from linvar.verification.report import Report

_SHOWN_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


def polynomial_object(polynomial: BatchPolynomial, problem: Problem, start: int | None) -> dict[str, Plain]:
    """A polynomial as ``derive --json`` prints it."""
    return {
        "coefficients": [expression_text(value) for value in polynomial.coefficients],
        "symbols": [str(symbol) for symbol in polynomial.symbols],
        "degree": polynomial.degree,
        "degree_bound": polynomial.degree_bound,
        "decreasing_from": start,
        "sampling": polynomial.sampling,
        "dataset_size": polynomial.dataset_size,
        "problem": problem.to_dict(),
    }


def expansion_object(expansion: LargeBatchExpansion, problem: Problem) -> dict[str, Plain]:
    """A large-batch expansion as ``derive --order --json`` prints it: no degree, and the remainder that is not known."""
    if expansion.exact:
        coefficients: Plain = [expression_text(value) for value in expansion.exact_coefficients]
    else:
        coefficients = [{"low": str(low), "high": str(high)} for low, high in expansion.intervals]
    return {
        "order": expansion.order,
        "digits": expansion.digits,
        "coefficients": coefficients,
        "symbols": [str(symbol) for symbol in expansion.symbols],
        "remainder": f"O(1/b^{expansion.order + 1})",
        "sampling": problem.sampling,
        "problem": problem.to_dict(),
    }


def plan_object(plan: Plan) -> dict[str, Plain]:
    """A plan as ``plan --json`` prints it; null where nothing is predicted."""
    roads = [
        {
            "road": road.road,
            "size": road.size or None,
            "seconds": road.seconds,
            "bytes": road.bytes or None,
            "obstacle": road.obstacle,
        }
        for road in plan.roads
    ]
    choice = None if plan.choice is None else plan.choice.road
    return {"problem": plan.problem.to_dict(), "choice": choice, "roads": roads}


def report_object(report: Report) -> dict[str, Plain]:
    """A report as ``verify --json`` prints it."""
    return {**report.to_dict(), "problem": report.problem.to_dict()}


def search_object(result: SearchResult) -> dict[str, Plain]:
    """A search as ``search --json`` prints it."""
    return {
        "found": result.found,
        "rise": result.rise,
        "relative_rise": None if result.relative_rise is None else str(result.relative_rise),
        "values": None if result.values is None else [str(value) for value in result.values],
        "largest_slope": result.largest_slope if math.isfinite(result.largest_slope) else None,
        "starts": result.starts,
        "seconds": result.seconds,
        "theorem": result.theorem,
        "problem": None if result.problem is None else result.problem.to_dict(),
    }


def print_polynomial(
    problem: Problem, quantity: str, polynomial: BatchPolynomial, start: int | None, *, full: bool = False
) -> None:
    """Coefficients and a few values: as tables, long numbers cut, or with ``full`` as lines with all their digits."""
    print_prose(f"{problem!r}\n{quantity} = {polynomial!r}\n")
    largest = polynomial.largest_batch_size
    sizes = [b for b in _SHOWN_BATCH_SIZES if largest is None or b < largest] + ([largest] if largest else [])
    power = _power_of(polynomial.symbols)
    _print_numbers(f"coefficient of {power}", "k", dict(enumerate(polynomial.coefficients)), full)
    if not polynomial.symbols:
        _print_numbers(f"{quantity} at b = {{}}", "b", dict(zip(sizes, polynomial(sizes))), full)
    if polynomial.symbols:
        decreasing = f"in the symbols {', '.join(map(str, polynomial.symbols))}"
    elif start is None:
        decreasing = "not strictly decreasing in b from any b on"
    else:
        decreasing = f"strictly decreasing in b from b = {start} on"
    print_prose(f"degree {polynomial.degree} (at most {polynomial.degree_bound} for such problems); {decreasing}")


def print_expansion(problem: Problem, quantity: str, expansion: LargeBatchExpansion, *, full: bool = False) -> None:
    """The first coefficients; no values, which they do not give."""
    print_prose(f"{problem!r}\n{quantity} = {expansion!r}\n")
    power = _power_of(expansion.symbols)
    if expansion.digits is None:
        _print_numbers(f"coefficient of {power}", "k", dict(enumerate(expansion.exact_coefficients)), full)
    else:
        from linvar.symbolic.result.display import enclosure

        balls = [enclosure(ball, expansion.digits) for ball in expansion.enclosures]
        if full:
            print_text("".join(f"coefficient of {power.format(k)} = {ball}\n" for k, ball in enumerate(balls)))
        else:
            headers = ["k", f"enclosure of the coefficient of {power.format('k')}"]
            print_text(f"{table(headers, [[str(k), ball] for k, ball in enumerate(balls)], 1)}\n")
    print_prose(
        f"not the whole polynomial: its first {expansion.order + 1} coefficients; "
        f"what follows is O({power.format(expansion.order + 1)}), so there is no value at a batch size and no degree"
    )


def _power_of(symbols: Sequence[object]) -> str:
    """A power of the reciprocal batch size, {} for its exponent."""
    from linvar.symbolic.result.display import batch_size_name

    return f"1/{batch_size_name(symbols)}^{{}}"


def _print_numbers(name: str, index: str, numbers: Mapping[int, Exact], full: bool) -> None:
    """Exact numbers, each with its index: as lines with all digits, or as a table."""
    if full:
        print_text("".join(f"{name.format(k)} = {expression_text(value)}\n" for k, value in numbers.items()))
        return
    rows = [[str(k), expression_text(value), _approximate(value)] for k, value in numbers.items()]
    about = all(row[2] for row in rows)
    headers = [index, name.replace(" = {}", "").format(index), "about"]
    print_text(f"{table(headers[: 2 + about], [row[: 2 + about] for row in rows], 1)}\n")


def print_section(section: Section) -> None:
    """One problem of the demo."""
    title = wrapped(section.title)
    print_text(f"\n{title}\n{'-' * max(map(len, title.splitlines()))}")
    if section.remark:
        print_prose(section.remark)
    print_prose(f"variance = {section.report.variance!r}")
    print_shown(section.report)


def _approximate(value: Exact) -> str:
    """The leading digits of an exact number of any size; nothing of a polynomial in symbols."""
    from linvar.exact import Rational, leading_digits

    if not isinstance(value, Rational):
        return ""
    if not value:
        return "0"
    mantissa, exponent = leading_digits(value)
    return f"{mantissa}e{exponent}" if exponent else mantissa


def print_text(text: str) -> None:
    print(text, flush=True)


def print_prose(text: str) -> None:
    """Text in lines that fit the terminal."""
    print_text(wrapped(text))


def print_answers(objects: Sequence[dict[str, Plain]], problems: Sequence[Problem], *, several: bool) -> None:
    """The answer as an object; those at several steps in a list, each with its step."""
    print_json([{"step": one.step, **found} for one, found in zip(problems, objects)] if several else objects[0])


def print_json(data: Plain) -> None:
    """One object, or a list of them; what JSON has no number for (NaN, infinities) becomes null."""
    print(json.dumps(_finite(data), allow_nan=False))


def _finite(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_lines(lines: Mapping[str, str], as_json: bool) -> None:
    """Names, and a line about each."""
    if as_json:
        print_json(lines)
    else:
        print_text(listed(lines))
