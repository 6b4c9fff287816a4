"""What derivations show: what was found, and nothing is derived by showing it."""

from __future__ import annotations

import io
import pickle

import pytest
import sympy
from rich.console import Console

import linvar as lv
from linvar.symbolic.derivation import Derivations
from linvar.symbolic.result.matrix import PolynomialMatrix

PROBLEM = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 2]]), "1/10", 1)
COLUMNS = ("polynomial in u = 1/b", "degree", "terms", "decreasing from")


def looked_at(value: object) -> list[str]:
    """A value everywhere."""
    console = Console(width=60, file=io.StringIO())
    console.print(value)
    table = value.to_table()  # type: ignore[attr-defined]
    return [
        repr(value), value._repr_html_(), console.file.getvalue(),  # type: ignore[attr-defined]
        str(table), table.to_latex(), table.to_markdown(),
    ]  # fmt: skip


def test_a_derivation_shows_what_was_found_and_derives_nothing(monkeypatch) -> None:
    exact = lv.derive(PROBLEM)
    monkeypatch.setattr(type(exact), "_answer", lambda *_: pytest.fail("something is derived"))
    assert all(looked_at(exact)) and exact.to_table().rows == ()
    (_, rest) = exact.to_table().notes
    assert rest.endswith(
        "variance, update_variance, second_moment, squared_mean, loss, weights, weight_covariance, per_leaf"
    )
    monkeypatch.undo()
    exact.loss, exact.variance, exact.weight_covariance, exact.weights, exact.per_leaf.variance  # noqa: B018
    monkeypatch.setattr(type(exact), "_answer", lambda *_: pytest.fail("something is derived"))
    table = exact.to_table()
    assert (
        table.columns == ("quantity", *COLUMNS) and repr(PROBLEM) in table.title and exact.plan.cost in table.notes[0]
    )
    rows = {row[0].text: row[1:] for row in table.rows}
    assert list(rows) == ["variance", "loss", "weights", "weight_covariance", "per_leaf.variance"]
    for name in ("variance", "loss"):
        whole = getattr(exact, name)
        assert [cell.value for cell in rows[name]] == [whole, whole.degree, whole.terms, whole.decreasing_from()]
        assert repr(whole).startswith(rows[name][0].text) and rows[name][0].latex == whole.latex()
    entries = [entry for matrix in exact.weights for row in matrix for entry in row]
    assert [cell.value for cell in rows["weights"]] == [
        "6 polynomials", max(one.degree for one in entries), sum(one.terms for one in entries), None,
    ]  # fmt: skip
    assert (
        rows["weight_covariance"][0].text == "21 polynomials" and rows["per_leaf.variance"][0].text == "2 polynomials"
    )
    assert table.notes[1] == "Derived when first asked for: update_variance, second_moment, squared_mean, per_leaf"
    assert all(looked_at(exact)) and repr(exact) == f"Derivation({PROBLEM!r}, road={exact.road!r})"


def test_a_name_is_that_of_the_attribute() -> None:
    exact = lv.derive(PROBLEM)
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
        assert name in [row[0].text for row in exact.to_table().rows]
        if name not in ("loss", "weights", "weight_covariance"):
            getattr(exact.per_leaf, name)
            assert f"per_leaf.{name}" in [row[0].text for row in exact.to_table().rows]
    assert len(exact.to_table().rows) == 11 and len(exact.to_table().notes) == 1


def test_steps_are_a_tuple_and_a_table() -> None:
    found = lv.derive_steps(PROBLEM, [1, 0, 2])
    assert isinstance(found, tuple) and found == tuple(found) and type(found) is Derivations and len(found) == 3
    assert lv.derive_steps(PROBLEM, []) == () and repr(lv.derive_steps(PROBLEM, [])) == "Derivations()"
    assert all(looked_at(lv.derive_steps(PROBLEM, [])))
    assert [[cell.text for cell in row] for row in found.to_table().rows] == [
        [str(t), found[0].plan.road, "-", "-", "-", "-"] for t in range(3)
    ]
    one = found[0].variance
    table = found.to_table()
    assert [row[2].value for row in table.rows] == [None, one, None] and table.columns == ("t", "road", *COLUMNS)
    assert [cell.value for cell in table.rows[1][3:]] == [one.degree, one.terms, 1] and len(table.notes) == 1
    assert [other.variance.degree for other in found] and found.to_table().notes == ()
    assert repr(found) == f"Derivations(t = 1, 0, 2; {found[2]!r})" and all(looked_at(found))
    assert type(pickle.loads(pickle.dumps(Derivations()))) is Derivations


@pytest.mark.parametrize(("order", "digits"), [(1, None), (2, None), (2, 20)])
def test_large_batches_show_the_expansions_that_were_found(order: int, digits: int | None, monkeypatch) -> None:
    """Of order 1 the variance has a way of its own."""
    found = lv.large_batch(PROBLEM, order, digits)
    assert (
        all(looked_at(found))
        and found.to_table().rows == ()
        and "weights, weight_covariance, per_leaf" in str(found.to_table())
    )
    variance, loss = found.variance, found.loss
    found.update_variance, found.per_leaf.variance, found.weights  # noqa: B018
    monkeypatch.setattr(type(found), "_answer", lambda *_: pytest.fail("something is derived"))
    table = found.to_table()
    rows = {row[0].text: row[1] for row in table.rows}
    assert list(rows) == ["variance", "loss", "update_variance", "per_leaf.variance", "weights"]
    assert rows["variance"].text.endswith(f"O(u^{order + 1})") and rows["variance"].value is variance
    assert rows["loss"].latex == loss._repr_latex_().removeprefix("$\\displaystyle ").removesuffix("$")
    assert (rows["weights"].text, rows["per_leaf.variance"].text) == ("6 expansions", "2 expansions")
    assert table.notes[1] == "Derived when first asked for: second_moment, squared_mean, weight_covariance, per_leaf"
    assert all(looked_at(found))


def test_symbols_and_zeros_are_shown() -> None:
    w = sympy.Symbol("w")
    symbolic = lv.derive(lv.Problem([[[w]]], lv.Gaussian([[1]])))
    (row,) = (symbolic.variance, symbolic.to_table().rows)[1]
    assert row[1].text.count("w") >= 2 and row[-1].missing and "w<sup>2</sup>" in symbolic._repr_html_()
    nothing = lv.derive(lv.Problem([[[1]]], lv.Gaussian([[1]])))
    assert nothing.variance == 0
    assert [cell.text for cell in nothing.to_table().rows[0]] == ["variance", "0", "0", "0", "-"]
    with_u = lv.derive(lv.Problem([[[sympy.Symbol("u")]]], lv.Gaussian([[1]])))
    assert with_u.variance.degree == 1 and "u_" in with_u.to_table().rows[0][1].text


def entries_of(latex: str) -> list[list[str]]:
    """Of a pmatrix."""
    assert latex.startswith("\\begin{pmatrix}\n") and latex.endswith("\n\\end{pmatrix}")
    return [line.split(" & ") for line in latex.splitlines()[1:-1] for line in [line.removesuffix(" \\\\")]]


def notebook(matrix: PolynomialMatrix) -> list[list[str]]:
    return entries_of(matrix._repr_latex_().removeprefix("$\\displaystyle ").removesuffix("$"))


def test_a_covariance_is_a_tuple_that_is_shown_as_a_matrix() -> None:
    small, moments = (
        lv.weight_covariance(PROBLEM),
        lv.RegressionMoments(lv.Problem([[[1, 2]]], lv.Gaussian([[1, 0]]), "1/9", 2)),
    )
    assert type(small) is PolynomialMatrix and isinstance(small, tuple) and small == tuple(small) and len(small) == 6
    for matrix in (moments.weight_covariance(), moments.gradient_covariance(), small):
        whole = [[entry.latex() for entry in row] for row in matrix]
        assert type(matrix) is PolynomialMatrix and entries_of(matrix.to_latex()) == whole == notebook(matrix)
    assert repr(moments.weight_covariance()) == repr(tuple(moments.weight_covariance()))
    again = pickle.loads(pickle.dumps(small))
    assert again == small and type(again) is PolynomialMatrix


def test_a_large_matrix_shows_its_corners_and_counts_long_entries() -> None:
    rows = [[lv.BatchPolynomial([0, 10 * i + j]) for j in range(9)] for i in range(7)]
    matrix = PolynomialMatrix(map(tuple, rows))
    assert repr(matrix) == "PolynomialMatrix(7 x 9, of degree 1)" and len(entries_of(matrix.to_latex())) == 7
    shown = notebook(matrix)
    assert shown[3] == ["\\vdots"] * 3 + ["\\ddots"] + ["\\vdots"] * 3 and len(shown) == 7
    places = ([0, 1, 2, 4, 5, 6], [0, 1, 2, 6, 7, 8])
    kept = [[row[j] for j in (0, 1, 2, 4, 5, 6)] for row in (shown[i] for i in (0, 1, 2, 4, 5, 6))]
    assert kept == [[rows[i][j].latex() for j in places[1]] for i in places[0]] and {row[3] for row in shown} > {
        "\\cdots"
    }
    giant = lv.BatchPolynomial([0, sympy.expand(sum(sympy.symbols("w1:12")) ** 2)] * 9)
    short = lv.BatchPolynomial([1, 2, 3, 4])
    assert notebook(PolynomialMatrix([(giant, short)]))[0][1] == short.latex()
    many = PolynomialMatrix([(giant,) * 20] * 20)
    assert len(many._repr_latex_()) < 10_000 and len(repr(many)) < 100 and "terms" in many._repr_latex_()
    assert notebook(PolynomialMatrix([(lv.BatchPolynomial([10**39, 10**38 + 1, "1/7"]),)]))[0][0].count("0") > 70
