"""Formulas in traces: reference values, every width against the expansion, in floating point, options, refusals."""

from __future__ import annotations

import itertools
import json
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

import linvar as lv
from linvar.errors import DerivationTooLargeError, InputError, InputTypeError
from linvar.flint import fmpq
from linvar.symbolic.traces import statement as statements
from linvar.symbolic.traces.derivation import Derivation
from linvar.symbolic.traces.network import Network

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "traces.json").read_text())
QUANTITIES = ("variance", "second_moment", "squared_mean")
WIDTHS = list(itertools.product(range(1, 5), repeat=3))
ALPHA = sympy.Symbol("alpha")


def drawn(
    widths: tuple[int, ...], kind: str, seed: int, step: int = 1, rate: Any = "2/7", **further: Any
) -> lv.Problem:
    """A problem of small fractions; "general" has a covariance, which may be singular, and "noisy" label noise besides."""
    draw = random.Random(seed)

    def matrix(rows: int, columns: int) -> list[list[Fraction]]:
        return [[Fraction(draw.randint(-2, 2), draw.choice((1, 2, 3))) for _ in range(columns)] for _ in range(rows)]

    weights = [matrix(rows, columns) for columns, rows in itertools.pairwise(widths)]
    half = matrix(widths[0], widths[0])
    sigma = [[sum(a * b for a, b in zip(x, y)) for y in half] for x in half]
    law = lv.Gaussian(
        matrix(widths[-1], widths[0]),
        covariance=None if kind == "identity" else sigma,
        noise_variance="3/4" if kind == "noisy" else 0,
    )
    return lv.Problem(weights, law, rate, step, **further)


def formula_of(problem: lv.Problem, quantity: str = "variance", kind: str = "general", **options: Any) -> Any:
    covariance = "identity" if kind == "identity" else "general"
    return lv.trace_formula(problem.depth, problem.step, quantity, covariance=covariance, **options)


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["name"])
def test_reference_tables(case: dict[str, Any]) -> None:
    covariance = {} if case["covariance"] is None else {"covariance": case["covariance"]}
    law = lv.Gaussian(case["teacher"], noise_variance=case["noise_variance"], **covariance)
    problem = lv.Problem([case["W1"], case["W2"]], law, ALPHA, 1)
    white = case["covariance"] is None and case["noise_variance"] == "0"
    for quantity, kind in itertools.product(QUANTITIES, ("identity", "general") if white else ("general",)):
        found = {}
        for k, coefficient in enumerate(formula_of(problem, quantity, kind)(problem).coefficients):
            for (j,), value in sympy.Poly(coefficient, ALPHA).terms():
                if value:
                    found.setdefault(str(k), {})[str(j)] = Fraction(int(value.p), int(value.q))
        expected = case["expected"][quantity]
        assert found == {k: {j: Fraction(value) for j, value in row.items()} for k, row in expected.items()}


def compare(widths: tuple[int, ...], kind: str, seed: int, step: int = 1) -> None:
    """Every quantity, and each leaf's, by formulas and by the expansion."""
    problem = drawn(widths, kind, seed, step)
    exact = lv.derive(problem, lv.Expansion())
    for quantity in QUANTITIES:
        formula = formula_of(problem, quantity, kind)
        assert formula(problem) == getattr(exact, quantity)
        leaves = tuple(one(problem) for one in formula.per_leaf)
        assert leaves == getattr(exact.per_leaf, quantity)
    assert formula_of(problem, "loss", kind)(problem) == exact.loss


@examples(12)
@given(
    st.sampled_from([w for w in WIDTHS if sum(w) <= 7]),
    st.sampled_from(("identity", "general", "noisy")),
    st.integers(0, 10**6),
)
def test_every_width_equals_the_expansion(widths: tuple[int, ...], kind: str, seed: int) -> None:
    if kind == "noisy" and widths[0] + widths[2] > 4:
        kind = "general"  # the expansion of noise is long
    compare(widths, kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_all_widths_up_to_four(widths: tuple[int, ...]) -> None:
    for seed, kind in enumerate(("identity", "general")):
        compare(widths, kind, seed)


@pytest.mark.parametrize("widths", [(2, 3), (1, 1, 1), (2, 3, 2), (2, 1, 2, 1), (1, 2, 1, 2, 1)], ids=str)
@pytest.mark.parametrize("kind", ["identity", "noisy"])
def test_any_depth_before_the_first_step(widths: tuple[int, ...], kind: str) -> None:
    problem = drawn(widths, kind, 3, 0)
    exact = lv.derive(problem)
    for quantity in (*QUANTITIES, "loss"):
        assert formula_of(problem, quantity, kind)(problem) == getattr(exact, quantity)


def test_one_layer_after_a_step() -> None:
    problem = drawn((3, 2), "noisy", 5)
    assert formula_of(problem)(problem) == lv.gradient_variance(problem, lv.Regression())


def test_a_wrong_integer_is_not_equal() -> None:
    """Each of some terms times 3/2, one at a time."""
    problem = drawn((2, 2, 1), "identity", 1)
    formula = lv.trace_formula()
    right = formula(problem)
    for key in random.Random(0).sample(sorted(formula.terms), 8):
        words, number = next(iter(formula.terms[key].items()))
        wrong = lv.TraceFormula(formula._statement)
        wrong.terms = {**formula.terms, key: {**formula.terms[key], words: fmpq(3 * number, 2)}}  # type: ignore[dict-item]
        assert wrong(problem) != right


def test_counts() -> None:
    white, general = lv.trace_formula(), lv.trace_formula(covariance="general")
    assert (white.count(), len(white.traces)) == (2606, 121)
    assert (general.count(), len(general.traces)) == (8515, 1177)
    assert sum(map(len, white.coefficient(1).values())) == 192
    assert lv.trace_formula(3, quantity="second_moment", order=1).count() == 15744


@pytest.mark.slow
def test_counts_of_three_layers() -> None:
    assert lv.trace_formula(3, quantity="second_moment", order=2).count() == 87686
    assert lv.trace_formula(3, quantity="squared_mean", order=2).count() == 35759


def first_order(widths: tuple[int, ...], kind: str) -> None:
    problem = drawn(widths, kind, 2)
    exact = lv.large_batch(problem, order=1)
    for quantity in QUANTITIES:
        assert formula_of(problem, quantity, kind, order=1)(problem) == getattr(exact, quantity)


@pytest.mark.parametrize("widths", [(1, 1, 1, 1), (2, 1, 1, 2)], ids=str)
def test_three_layers_to_first_order(widths: tuple[int, ...]) -> None:
    first_order(widths, "identity")


@pytest.mark.slow
def test_three_layers_of_any_covariance_to_first_order() -> None:
    first_order((1, 2, 1, 1), "general")


def test_an_order_cuts_the_formula_off() -> None:
    problem = drawn((2, 2, 1), "identity", 4)
    whole, cut = lv.trace_formula(), lv.trace_formula(order=2)
    assert cut.terms == {key: terms for key, terms in whole.terms.items() if key[0] <= 2}
    assert cut(problem).coefficients == whole(problem).coefficients[:3]
    assert lv.trace_formula(order=6) == whole


def test_the_textbook_form() -> None:
    """var_0 = (tr E^T H E Z + tr E K E^T + tr Z tr E^T H E + tr K tr E E^T)/b."""
    expected = {
        (("E", "Z", "E^T", "H"),): 1,
        (("E", "K", "E^T"),): 1,
        (("Z",), ("E", "E^T", "H")): 1,
        (("K",), ("E", "E^T")): 1,
    }
    formula = lv.trace_formula(step=0, covariance="general")
    assert formula.coefficient(1) == {0: expected}
    assert formula.coefficient(0) == {}
    assert formula.letters["E"] == "(W_2 W_1 - W*) Sigma^{1/2}"
    assert ((), ("E", "E^T", "H")) in lv.trace_formula(step=0).coefficient(1)[0]


def test_three_layers_have_the_names_of_their_layers() -> None:
    (terms,) = lv.trace_formula(3, 0).coefficient(1).values()
    assert terms[("E", "W1^T", "W2^T", "W2", "W1", "E^T"),] == 1


def test_equality_and_display() -> None:
    formula = lv.trace_formula()
    assert formula == lv.trace_formula(2, 1) and hash(formula) == hash(lv.trace_formula())
    assert formula != lv.trace_formula(covariance="general") and formula != 3
    assert repr(formula) == "<variance of 2 layers at t = 1, identity covariance: 2,606 terms in 121 traces>"
    assert repr(formula.per_leaf[1]).startswith("<variance of layer 2 of 2 at t = 1")
    assert formula.layers == (1, 2) and formula.per_leaf[1].layers == (2,)


def test_the_order_of_terms_is_fixed() -> None:
    """Derived twice, everything comes in one order."""
    first = list(lv.trace_formula().terms.items())
    statements.forget()
    assert list(lv.trace_formula().terms.items()) == first


def test_symbols_of_weights_law_and_rate() -> None:
    w, v, c = sympy.symbols("w v c")
    problem = lv.Problem([[[w]], [[2]]], lv.Gaussian([[c]], noise_variance=v), ALPHA, 1)
    assert lv.trace_formula(covariance="general")(problem) == lv.gradient_variance(problem, lv.Expansion())


def test_weight_decay() -> None:
    formula = lv.trace_formula(covariance="general", weight_decay=True)
    assert formula.parameters == ("alpha", "kept")
    for widths, kind in (((2, 1, 1), "general"), ((1, 2, 1), "noisy")):
        problem = drawn(widths, kind, 6, weight_decay="2/5")
        exact = lv.derive(problem, lv.Expansion())
        assert formula(problem) == exact.variance
        squared = lv.trace_formula(2, 1, "squared_mean", covariance="general", weight_decay=True)
        assert squared(problem) == exact.squared_mean


def test_rates_of_layers() -> None:
    """A second layer that is c times a parameter moves c^2 times as far: a loss of its own, by another road."""
    c = Fraction(3, 2)

    def scaled(params: Any, example: Any) -> Any:
        x, y = example
        return ((params["v"] * c.numerator / c.denominator @ params["w"] @ x - y) ** 2).sum() / 2

    w, teacher, rate = [["1/2", "1/3"]], [[1, "-1/2"]], Fraction(1, 5)
    problem = lv.Problem({"w": w, "v": [[Fraction(2) / c]]}, lv.Gaussian(teacher), rate, 1, loss=scaled)
    leaves = lv.derive(problem).per_leaf.variance
    formula = lv.trace_formula(layer_rates=True)
    arrays = [np.array([[0.5, 1 / 3]]), np.array([[2.0]])], np.array([[1, -0.5]])
    rates = np.array([float(rate), float(rate * c**2)])
    for leaf, one, factor in (("w", formula.per_leaf[0], 1), ("v", formula.per_leaf[1], c**2)):
        for b in (1, 3):
            assert one.table(*arrays)(rates, b) * float(factor) == pytest.approx(float(leaves[leaf](b)), rel=1e-13)
    whole, plain = formula.table(*arrays), lv.trace_formula().table(*arrays)
    assert whole(np.array([0.3, 0.3]), 2) == pytest.approx(float(plain(0.3, 2)), rel=1e-13)


def arrays_of(problem: lv.Problem) -> tuple[list[Any], Any, Any, float]:
    floats = [np.array([[float(e) for e in row] for row in matrix]) for matrix in problem.leaves]
    teacher, sigma = (
        np.array([[float(e) for e in row] for row in m]) for m in (problem.law.teacher, problem.law.covariance)
    )
    return floats, teacher, sigma, float(problem.law.noise_variance)


@pytest.mark.parametrize("widths", [(3, 2, 4), (6, 5, 3), (2, 7, 1)], ids=str)
@pytest.mark.parametrize("quantity", [*QUANTITIES, "loss"])
def test_the_table_in_floating_point(widths: tuple[int, ...], quantity: str) -> None:
    problem = drawn(widths, "noisy", 8, rate=ALPHA)
    formula = formula_of(problem, quantity)
    table = formula.table(*arrays_of(problem))
    exact = np.zeros(table.values.shape)
    for k, coefficient in enumerate(formula(problem).coefficients):
        for (j,), value in sympy.Poly(coefficient, ALPHA).terms():
            exact[k, j] = value
    assert (np.abs(table.values - exact) <= 1e-13 * table.condition).all()
    assert (table.condition >= np.abs(table.values)).all() and (np.abs(exact).max() > 0)
    assert table(0.1, [1, 4]) == pytest.approx([np.polynomial.polynomial.polyval2d(1 / b, 0.1, exact) for b in (1, 4)])


def test_a_network_of_real_size() -> None:
    """784-256-10: exact fractions and float64 agree to 1e-13 of each entry."""
    draw = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Any:
        return lv.rationalize((draw.normal(size=(rows, columns)) * columns**-0.5).tolist(), 3)

    weights, teacher = [matrix(256, 784), matrix(10, 256)], matrix(10, 784)
    problem = lv.Problem(weights, lv.Gaussian(teacher), "1/20", 1)
    formula = lv.trace_formula()
    exact = formula(problem)
    table = formula.table([np.array(w, float) for w in weights], np.array(teacher, float))
    assert exact.degree == 6
    assert table(0.05, [1, 32, 512]) == pytest.approx([float(exact(b)) for b in (1, 32, 512)], rel=1e-13)


def test_in_jax() -> None:
    problem = drawn((3, 2, 2), "identity", 9)
    formula = lv.trace_formula()
    weights, teacher, _, _ = arrays_of(problem)
    table, f = formula.table(weights, teacher), formula.to_jax()

    def of(rate: Any, b: Any, scale: Any, first: Any) -> Any:
        return f([scale * first, scale * weights[1]], teacher, rate, b)

    with jax.enable_x64(True):
        both = jax.jit(jax.vmap(jax.value_and_grad(of, (0, 1, 3)), (None, None, 0, None)))
        values, (in_rate, in_b, in_first) = both(0.0, 4.0, jnp.array([1.0, 2.0]), jnp.array(weights[0]))
        twice = formula.table([2 * w for w in weights], teacher)
        assert np.allclose(values, [table(0.0, 4.0), twice(0.0, 4.0)], rtol=1e-12)
        # at rate 0 the second column; 4 d/db of u at b = 4 is -u
        assert in_rate[0] == pytest.approx(0.25 ** np.arange(7) @ table.values[:, 1])
        assert in_b[0] == pytest.approx((table(0.0, 4.0 + 1e-5) - table(0.0, 4.0 - 1e-5)) / 2e-5, rel=1e-6)
        moved = weights[0].copy()
        moved[1, 2] += 1e-6
        difference = formula.table([moved, weights[1]], teacher)(0.0, 4.0) - table(0.0, 4.0)
        assert in_first[0][1, 2] == pytest.approx(difference / 1e-6, rel=1e-4)


def test_a_covariance_in_jax() -> None:
    """In the floating point of the arguments; sizes that broadcast."""
    problem = drawn((3, 2, 2), "noisy", 9, 0, rate=0)
    formula = formula_of(problem)
    arguments = arrays_of(problem)
    table, f = formula.table(*arguments), formula.to_jax()
    weights, teacher, sigma, noise = arguments
    sizes = jnp.array([1.0, 4.0])
    found = f(weights, teacher, 0.0, sizes, sigma, noise)
    assert found.dtype == jnp.float32
    assert np.allclose(found, table(0.0, sizes), rtol=1e-5)
    assert np.allclose(f.table(*arguments), table.values, rtol=1e-5)


@pytest.mark.slow
def test_the_general_formula_in_jax() -> None:
    problem = drawn((3, 2, 2), "noisy", 9)
    formula = formula_of(problem)
    with jax.enable_x64(True):
        assert np.allclose(
            formula.to_jax().table(*arrays_of(problem)), formula.table(*arrays_of(problem)).values, rtol=1e-12
        )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"depth": 0}, InputError, "depth=0 is out of range"),
        ({"depth": 2.0}, InputTypeError, "depth=2.0"),
        ({"depth": 40}, InputError, "depth=40"),
        ({"step": 2}, InputError, "step=2 has no formula in traces.*first_order_formula"),
        ({"step": True}, InputTypeError, "step=True"),
        ({"quantity": "noise"}, InputError, "quantity='noise' is unknown.*'second_moment'"),
        ({"covariance": "white"}, InputError, "covariance='white' is unknown"),
        ({"covariance": None}, InputTypeError, "covariance=None"),
        ({"order": -1}, InputError, "order=-1"),
        ({"layer_rates": 1}, InputTypeError, "layer_rates=1"),
        ({"depth": 3}, DerivationTooLargeError, "would take .*order"),
        ({"depth": 5, "order": 1}, DerivationTooLargeError, "would take"),
    ],
)
def test_bad_statements(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lv.trace_formula(**arguments)


def test_problems_of_another_kind_are_refused() -> None:
    formula = lv.trace_formula()
    plain = drawn((2, 2, 1), "identity", 1)
    rows = lv.Dataset([[1, 2], [0, 1]], [1, 2])
    for problem, message in (
        (drawn((2, 1), "identity", 1), "has depth 1"),
        (plain.replace(step=0, learning_rate=0), "has step=0"),
        (plain.replace(law=rows), "is not of iid zero-mean normal inputs"),
        (plain.replace(law=lv.Gaussian(plain.law.teacher, mean=[1, 0])), "is not of iid zero-mean normal inputs"),
        (plain.replace(momentum="1/2"), "has momentum"),
        (plain.replace(weight_decay="1/2"), "has weight_decay"),
        (drawn((2, 2, 1), "general", 1), "has a covariance or label noise"),
    ):
        with pytest.raises(InputError, match=message):
            formula(problem)
    with pytest.raises(InputError, match="one learning rate for all layers"):
        lv.trace_formula(layer_rates=True)(plain)
    with pytest.raises(InputTypeError, match="problem=3"):
        formula(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="k=-1"):
        formula.coefficient(-1)
    with pytest.raises(InputError, match="k=3 is beyond"):
        lv.trace_formula(order=2).coefficient(3)
    with pytest.raises(InputError, match="per_leaf"):
        _ = lv.trace_formula(quantity="loss").per_leaf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [np.ones((2, 3))]}, "has 1 matrices, and the formula is of 2 layers"),
        ({"weights": [np.ones((2, 3)), np.ones((1, 4))]}, r"weights\[1\] has shape \(1, 4\)"),
        ({"weights": [np.ones(3), np.ones((1, 4))]}, r"weights\[0\]"),
        ({"weights": [np.full((2, 3), np.nan), np.ones((1, 2))]}, r"weights\[0\] has an entry that is not finite"),
        ({"teacher": np.ones((2, 3))}, r"teacher has shape \(2, 3\)"),
        ({"covariance": np.eye(3)}, "covariance is given to a formula for the identity"),
        ({"noise_variance": 0.1}, "noise_variance"),
        ({"noise_variance": -1.0}, "noise_variance=-1.0 is negative"),
        ({"weights": [np.ones((2, 3)) * 1j, np.ones((1, 2))]}, r"weights\[0\].*real numbers"),
        ({"weights": [[["1", "2", "3"]], [[1]]]}, r"weights\[0\].*real numbers"),
        ({"teacher": None}, "teacher.*real numbers"),
        ({"noise_variance": True}, "noise_variance.*real numbers"),
        ({"weights": [np.full((2, 3), 1e200), np.ones((1, 2))]}, "beyond float64"),
        ({"weights": {0: np.ones((2, 3))}}, "weights"),
    ],
)
def test_bad_arrays(change: dict[str, Any], message: str) -> None:
    arguments = {"weights": [np.ones((2, 3)), np.ones((1, 2))], "teacher": np.ones((1, 3))}
    with pytest.raises((InputError, InputTypeError), match=message):
        lv.trace_formula().table(**{**arguments, **change})


@pytest.mark.parametrize(
    ("covariance", "message"),
    [([[1, 2], [0, 1]], "is not symmetric"), ([[-1, 0], [0, 1]], "is not positive semi-definite")],
)
def test_bad_covariances(covariance: Any, message: str) -> None:
    formula = lv.trace_formula(step=0, covariance="general")
    for evaluate in (formula.table, formula.to_jax().table):
        with pytest.raises(InputError, match=message):
            evaluate([np.ones((1, 2)), np.ones((1, 1))], np.ones((1, 2)), covariance)


@pytest.mark.parametrize(
    ("rate", "size", "message"),
    [
        (0.1, 0, "batch_size=0.0 is no batch size"),
        (0.1, [2, -1], "batch_size=-1.0"),
        (0.1, "4", "batch_size='4'"),
        (0.1j, 4, "learning_rate"),
        ([0.1, 0.2], [1, 2, 3], "batch_size has shape"),
    ],
)
def test_bad_rates_and_sizes(rate: Any, size: Any, message: str) -> None:
    formula, weights, teacher = lv.trace_formula(step=0), [np.ones((2, 3)), np.ones((1, 2))], np.ones((1, 3))
    for evaluate in (formula.table(weights, teacher), lambda *at: formula.to_jax()(weights, teacher, *at)):
        with pytest.raises((InputError, InputTypeError), match=message):
            evaluate(rate, size)


def test_a_rate_for_each_layer_is_wanted() -> None:
    table = lv.trace_formula(step=0, layer_rates=True).table([np.ones((2, 3)), np.ones((1, 2))], np.ones((1, 3)))
    for rate in (0.1, [0.1, 0.2, 0.3]):
        with pytest.raises(InputError, match="learning_rate.*alpha_1, alpha_2 in its last axis"):
            table(rate, 4)


def test_a_formula_without_terms_is_zero() -> None:
    formula = lv.trace_formula(order=0)
    assert formula.count() == 0
    assert formula.table([np.ones((2, 3)), np.ones((1, 2))], np.ones((1, 3)))(0.1, [1, 2]).tolist() == [0, 0]


def test_the_cost_is_that_of_the_quantity() -> None:
    """The loss of three layers is whole, and equal to the expansion's."""
    formula = lv.trace_formula(3, quantity="loss")
    assert formula.count() == 1260
    problem = drawn((1, 1, 1, 1), "identity", 2)
    assert formula(problem) == lv.derive(problem, lv.Expansion()).loss


def test_kept_terms_are_nobodys_to_change_and_threads_share_them() -> None:
    with pytest.raises(TypeError):
        lv.trace_formula().terms[1, (0,)] = {}  # type: ignore[index]
    statements.forget()
    orders = [1, 2, 3, 1, 2, 3]
    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(lambda order: lv.trace_formula(order=order).count(), orders))
    assert counts == [lv.trace_formula(order=order).count() for order in orders]


def test_a_report_that_raises_leaves_nothing_behind() -> None:
    statements.forget()

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lv.trace_formula(progress=stop)
    assert lv.trace_formula().count() == 2606


def test_pickles() -> None:
    formula = lv.trace_formula(step=0)
    f = formula.to_jax()
    arguments = [np.ones((2, 3)), np.ones((1, 2))], np.ones((1, 3))
    value = f(*arguments, 0.1, 4)
    again = pickle.loads(pickle.dumps(f))
    assert again(*arguments, 0.1, 4) == value and pickle.loads(pickle.dumps(formula)) == formula


def test_the_road_conforms() -> None:
    law = lv.Gaussian([["1/2", 1]], [[2, 1], [1, 1]], noise_variance="1/2")
    problems = [
        lv.Problem([[[1, "1/2"]], [["-1/3"]]], law, "1/4", 1),
        lv.Problem([[[1, "1/2"], [2, 0]], [["-1/3", 1]]], lv.Gaussian([["1/2", 1]]), ALPHA, 1),
        lv.Problem([[[1, 2]], [[2]], [["1/3"], [1]]], lv.Gaussian([[1, 0], [0, 1]]), "1/4", 0),
    ]
    assert lv.testing.check_road(lv.Traces(), problems) > 100


@pytest.mark.parametrize(
    ("problem", "obstacle"),
    [
        (drawn((2, 2, 1), "identity", 1, 2, rate="1/9"), "two layers at t = 1"),
        (drawn((1, 1, 1, 1), "identity", 1), "two layers at t = 1"),
        (drawn((2, 1), "identity", 1), "road of its own"),
        (drawn((1, 1, 1), "identity", 1, momentum="1/2"), "plain SGD"),
        (drawn((1, 1, 1), "identity", 1).replace(weights=[[[ALPHA]], [[1]]]), "it takes numbers"),
        (drawn((1, 1, 1), "identity", 1).replace(law=lv.Dataset([[1]], [1])), "normal inputs"),
    ],
)
def test_where_the_road_is_closed(problem: lv.Problem, obstacle: str) -> None:
    assert obstacle in str(lv.plan(problem)["traces"])
    with pytest.raises(InputError, match=r"Traces\(\) does not apply"):
        lv.derive(problem, lv.Traces())


def test_the_road_is_taken_where_it_is_cheapest() -> None:
    """A network that no other road reaches, in a moment; a small one by the expansion while no formula is derived."""
    wide = drawn((12, 7, 5), "identity", 2)
    assert lv.plan(wide).choice.road == "traces"
    exact = lv.derive(wide)
    assert exact.plan.road == "traces"
    assert exact.variance == lv.trace_formula()(wide)
    assert exact.second_moment - exact.squared_mean == exact.variance
    statements.forget()
    assert lv.plan(drawn((1, 1, 1), "identity", 2)).choice.road == "expansion"


def test_letters_that_are_forgotten_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where letters are many, those not in use give their characters to others: the same formula."""
    from linvar.symbolic.words import letters

    whole = Derivation(Network(2), 1).variance((0, 1))
    monkeypatch.setattr(letters, "_MANY", 20)
    assert Derivation(Network(2), 1).variance((0, 1)) == whole
