"""Everything that shows itself: short unless asked for more, whole words on a narrow console, the same table everywhere."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy
from rich.cells import cell_len
from rich.console import Console

import linvar as lv
from linvar.display.tabular import Tabular
from linvar.experiments.runner import Result
from linvar.numeric.regression import RegressionCurve
from linvar.search.nonmonotone import SearchResult
from linvar.verification.evidence import Evidence, Levels
from linvar.verification.report import Report, Row

REGRESSION = lv.Problem([[[1, 2]]], lv.Gaussian([[2, "1/3"]], noise_variance="1/7"), "1/10", 200)
NET = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
RISING = lv.Problem([[["81/100"]], [["6/5"]]], lv.Gaussian([["11/25"]]), learning_rate="19/10", step=3)
SQUARE = [[1, 2, 0], [0, 1, 1], ["1/3", 0, 1]]
ROWS = 3_000


def everything(problem: lv.Problem) -> lv.Derivation:
    exact = lv.derive(problem)
    for name in (
        "variance",
        "update_variance",
        "second_moment",
        "squared_mean",
        "loss",
        "weights",
        "weight_covariance",
    ):
        getattr(exact, name)
    exact.per_leaf.variance  # noqa: B018
    return exact


def steps() -> tuple[lv.Derivation, ...]:
    found = lv.derive_steps(REGRESSION, range(0, 201, 2))
    found[50].variance, found[-1].variance  # noqa: B018
    return found


def of_sixty_symbols() -> lv.BatchPolynomial:
    total = sum(sympy.symbols("w1:61")) ** 2
    return lv.BatchPolynomial([0, sympy.expand(total), *range(1, 99)])


def symbolic() -> lv.Derivation:
    weights = lv.symbolic_weights([2, 2, 1])
    return everything(lv.Problem(weights, lv.Gaussian(lv.symbolic_matrix("T", 1, 2)), sympy.Symbol("a")))


def report() -> Report:
    """Of many batch sizes, none of them resolved."""
    evidence = Evidence(0.1, 0.1, 0.0, 0.9, 1.0, 0.0, ("one run carries 90% of the spread", "the halves differ"))
    value = lv.Rational(10**400, 7**300)
    rows = (
        Row("variance", b, value, 1e9 / b, 1e-9, 8, -3e5, np.inf, "UNRESOLVED", evidence) for b in range(1, ROWS + 1)
    )
    return Report(NET, {}, tuple(rows), Levels(1e-3, ROWS))


def large_batches() -> Tabular:
    found = lv.large_batch(NET.replace(step=2), 2, digits=900)
    found.variance, found.weight_covariance  # noqa: B018
    return found


def rising() -> SearchResult:
    variance = lv.gradient_variance(RISING)
    return SearchResult(RISING, variance, (128, 186), lv.Rational(variance(186) / variance(128) - 1), 0.1, 10**6, 59.0)


def curve() -> RegressionCurve:
    sizes = np.arange(1, ROWS + 1)
    return RegressionCurve(sizes, *(np.exp(-k * sizes / 7) for k in range(5)), np.zeros((9, 99)), 1e-9)


def table_of_formula() -> object:
    return lv.trace_formula(step=1).table([np.ones((3, 2)), np.ones((1, 3))], np.zeros((1, 2)))


TABLES: dict[str, Callable[[], Tabular]] = {
    "report": report,
    "plan": lambda: lv.plan(NET.replace(step=9_999)),
    "plan of large batches": lambda: lv.plan(NET.replace(step=20), lv.LargeBatch(2, digits=30)),
    "regression of 200 steps": lambda: everything(REGRESSION),
    "100 steps": steps,
    "network": lambda: everything(NET),
    "symbols": symbolic,
    "large batches": large_batches,
    "search": rising,
    "theorem": lambda: lv.search_nonmonotone(1),
    "nothing found": lambda: SearchResult(None, None, None, None, -0.1, 10**9, 1e6),
    "curve": curve,
}
OTHERS: dict[str, Callable[[], object]] = {
    "road": lambda: lv.plan(NET)["lattice"],
    "polynomial of 200 steps": lambda: lv.gradient_variance(REGRESSION),
    "polynomial of 60 symbols": of_sixty_symbols,
    "covariance of 18 weights": lambda: lv.weight_covariance(lv.Problem([SQUARE] * 2, lv.Gaussian(SQUARE), "1/9", 1)),
    "moments": lambda: lv.RegressionMoments(REGRESSION),
    "first order": lambda: lv.first_order_formula(2, 2),
    "first order, many": lambda: lv.first_order_formula(30, 1),
    "first order, too many": lambda: lv.first_order_formula(64, 10**99),
    "traces": lambda: lv.trace_formula(depth=2, step=1),
    "table of traces": table_of_formula,
    "experiment": lambda: Result("regression", ["words " * 20] * 20, {}, Path("a" * 200), Path("b" * 200), 3),
}
once = cache(lambda name: {**TABLES, **OTHERS}[name]())


def printed(value: object, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(value)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*TABLES, *OTHERS])
def test_nothing_over_ten_kilobytes_is_shown_that_nobody_asked_for(name: str) -> None:
    value = once(name)
    looks = [repr(value), str(value)]
    looks += [getattr(value, look)() for look in ("_repr_html_", "_repr_latex_") if hasattr(value, look)]
    assert all(0 < len(look.encode()) < 10_000 for look in looks)
    if name in TABLES:
        assert len(str(value.to_table()).encode()) < 10_000


@pytest.mark.parametrize("name", TABLES)
def test_a_narrow_console_shows_whole_words(name: str) -> None:
    """Of every cell that is shown; and the same table as ``to_table``."""
    value = once(name)
    assert printed(value, 50) == printed(value.to_table(), 50) and value._repr_html_() == value.to_table()._repr_html_()
    table = value.to_table().elided(2)
    said = printed(table, 50)
    assert max(map(cell_len, map(str.rstrip, said.splitlines()))) <= 50
    words = [word for row in table.rows for cell in row for word in cell.text.split() if len(word) <= 40]
    assert all(word in said for word in words)


@pytest.mark.parametrize("name", ["report", "plan", "100 steps", "network", "search", "curve"])
def test_a_table_of_a_result_is_whole_where_it_is_asked_for(name: str) -> None:
    value = once(name)
    table = value.to_table()
    rows = len(table.rows)
    assert (
        rows > 0
        and len(table.to_markdown().splitlines()) == rows + 2
        and len(table.to_latex().splitlines()) == rows + 6
    )
    assert table.to_html().count("<tr>") == rows + 1 and len(table.to_text().splitlines()) >= rows + 2


def test_the_curve_and_the_search_have_their_numbers_in_their_tables() -> None:
    found, rise = curve(), rising()
    rows = found.to_table().rows
    assert len(rows) == ROWS and [cell.value for cell in rows[6]] == [
        7, found.gradient_variance[6], found.squared_mean[6], found.weight_variance[6], found.expected_loss[6],
        found.squared_distance[6],
    ]  # fmt: skip
    assert "1e-09" in found.to_table().notes[0]
    assert [[cell.value for cell in row] for row in rise.to_table().rows] == [
        list(pair) for pair in zip((128, 186), rise.values)
    ]
    assert rise.to_table().notes[1] == "Its variance has a minimum at b = 127.855, a maximum at b = 185.93"
    assert "with one layer" in once("theorem").to_table().title and "-0.1" in once("nothing found").to_table().title


def test_a_formula_is_latex_or_says_what_it_is() -> None:
    assert once("first order")._repr_latex_() == f"$\\displaystyle {once('first order').to_latex()}$"
    assert once("first order, many")._repr_latex_().startswith(r"$\beta_1 \text{ of 30 linear layers")
