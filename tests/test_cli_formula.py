"""The command line: formulas for every width."""

from __future__ import annotations

import json

import pytest
import sympy
from command_line import bad, good, no_lines_of_progress  # noqa: F401

import linvar as lv


def test_a_formula_is_printed_as_text_and_latex(capsys):
    for options, arguments in (
        ([], {}),
        (["--depth", "1", "--step", "0", "--quantity", "loss"], {"depth": 1, "step": 0, "quantity": "loss"}),
        (["--order", "1", "--covariance", "general"], {"order": 1, "covariance": "general"}),
        (["--depth", "1", "--weight-decay"], {"depth": 1, "weight_decay": True}),
        (["--step", "0", "--layer-rates"], {"step": 0, "layer_rates": True}),
    ):
        expected = lv.trace_formula(**arguments)
        assert good(capsys, "formula", *options) == f"{expected!r}\n{expected.text()}\n"
        assert good(capsys, "formula", *options, "--latex") == f"{expected.to_latex()}\n"


def test_one_coefficient_term_by_term(capsys):
    expected = lv.trace_formula(depth=1)
    assert good(capsys, "formula", "--depth", "1", "--coefficient", "2").splitlines()[1:] == [expected.text(2)]
    assert good(capsys, "formula", "--depth", "1", "--coefficient", "2", "--latex") == f"{expected.to_latex(2)}\n"
    long = lv.trace_formula().to_latex(1, longest=10**6)
    assert len(long) > 10_000 and good(capsys, "formula", "--coefficient", "1", "--latex") == f"{long}\n"


def test_isotropic_is_a_polynomial(capsys):
    expected = lv.trace_formula(step=0).isotropic()
    lines = good(capsys, "formula", "--step", "0", "--isotropic").splitlines()
    assert lines[1:] == [str(expected)] == ["2*n*s**2*u*(c - s**2)**2*(n + 1)"]
    assert good(capsys, "formula", "--step", "0", "--isotropic", "--latex") == f"{sympy.latex(expected)}\n"
    assert json.loads(good(capsys, "formula", "--step", "0", "--isotropic", "--json"))["isotropic"] == str(expected)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--step", "0"], {"step": 0}),
        (
            ["--depth", "1", "--order", "1", "--covariance", "general"],
            {"depth": 1, "order": 1, "covariance": "general"},
        ),
        (
            ["--depth", "1", "--weight-decay", "--quantity", "loss"],
            {"depth": 1, "weight_decay": True, "quantity": "loss"},
        ),
    ],
)
def test_json_has_all_terms(capsys, options, arguments):
    expected = lv.trace_formula(**arguments)
    data = json.loads(good(capsys, "formula", *options, "--json"))
    assert (data["depth"], data["step"], data["quantity"]) == (expected.depth, expected.step, expected.quantity)
    assert data["letters"] == expected.letters and data["parameters"] == list(expected.parameters)
    assert data["scale"] == str(expected.scale) and data["order"] == expected.order
    for entry in data["coefficients"]:
        found = {}
        for term in entry["terms"]:
            power = term["powers"][0] if len(expected.parameters) == 1 else tuple(term["powers"])
            found.setdefault(power, {})[tuple(map(tuple, term["traces"]))] = term["integer"]
        assert found == expected.coefficient(entry["power"])
    assert sum(len(entry["terms"]) for entry in data["coefficients"]) == expected.count()
    (one,) = json.loads(good(capsys, "formula", *options, "--coefficient", "1", "--json"))["coefficients"]
    assert one == data["coefficients"][1]


def test_the_formula_of_the_first_order(capsys):
    expected = lv.first_order_formula(2, 3)
    out = good(capsys, "formula", "--first-order", "--step", "3")
    assert "of 2 layers at t = 3" in out and f"{expected.pairs:,}; " in out and out.endswith(f"{expected.to_latex()}\n")
    assert good(capsys, "formula", "--first-order", "--step", "3", "--latex") == f"{expected.to_latex()}\n"
    data = json.loads(good(capsys, "formula", "--first-order", "--depth", "1", "--step", "0", "--json"))
    expected = lv.first_order_formula(1, 0)
    sizes = {"pairs": expected.pairs, "pairs_if_white": expected.pairs_if_white}
    assert data == {"depth": 1, "step": 0, **sizes, "latex": expected.to_latex()}


def test_a_long_formula_of_the_first_order_is_counted_and_not_printed(capsys):
    options = ("formula", "--first-order", "--depth", "4", "--step", "2")
    data = json.loads(good(capsys, *options, "--json"))
    assert data["latex"] is None and data["pairs"] == lv.first_order_formula(4, 2).pairs
    assert "terms, more than 150" in good(capsys, *options).splitlines()[-1]
    assert "terms, more than 150: use fewer steps or fewer layers" in bad(capsys, *options, "--latex")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--step", "2"], "--step 2 has no formula in traces (millions of terms): give 0 or 1, or --first-order"),
        (["--step", "-1"], "--step -1 is out of range"),
        (["--depth", "0"], "--depth 0 is out of range"),
        (["--depth", "99"], "--depth 99 is out of range: give at most 16 layers"),
        (["--depth", "3"], "would take 15 hours or more: use a smaller order (--order 1), --first-order for the first"),
        (["--order", "-1"], "--order -1 is out of range"),
        (["--coefficient", "-1"], "--coefficient -1 is negative"),
        (["--order", "1", "--coefficient", "2"], "--coefficient 2 is beyond --order 1: give a higher order"),
        (["--coefficient", "1", "--isotropic"], "--isotropic is given with --coefficient: leave one of the two out"),
        (["--latex", "--json"], "--latex is given with --json: leave one of the two out"),
        (["--covariance", "x"], "'x' is not one of 'identity', 'general'"),
        (["--first-order", "--order", "1"], "--order is given with --first-order, the coefficient of 1/b"),
        (["--first-order", "--quantity", "loss"], "--quantity is given with --first-order"),
        (["--first-order", "--covariance", "general"], "--covariance is given with --first-order"),
        (["--first-order", "--layer-rates"], "--layer-rates is given with --first-order"),
        (["--first-order", "--weight-decay"], "--weight-decay is given with --first-order"),
        (["--first-order", "--isotropic"], "--isotropic is given with --first-order"),
        (["--first-order", "--coefficient", "0"], "--coefficient is given with --first-order"),
        (["--first-order", "--depth", "0"], "--depth 0 is too small"),
        (["--first-order", "--step", "-1"], "--step -1 is too small"),
        (["--first-order", "--step", "40"], "of at most 12 steps: use fewer steps or fewer layers"),
    ],
)
def test_what_no_formula_is_for_is_refused(capsys, options, message):
    assert message in bad(capsys, "formula", *options)
