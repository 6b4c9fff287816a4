"""Problem.from_expression: losses in SymPy against the same losses in JAX, linear networks, and numbers in place of symbols."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples, rationals

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.numeric.models.registry import numeric_model
from linvar.testing import check_model

w, v, a, c, x, y = sympy.symbols("w v a c x y")
SQUARE = (w * v * x - y) ** 2 / 2
DATA = {x: [1, 2, 3], y: [0, 1, "1/2"]}
DRAWN = {x: lv.Normal("1/2", 2), y: lv.Uniform(0, 1)}
build = lv.Problem.from_expression


def number(value: Any) -> sympy.Rational:
    """A fraction of SymPy."""
    found = Fraction(value)
    return sympy.Rational(found.numerator, found.denominator)


@st.composite
def losses(
    draw: st.DrawFn,
) -> tuple[sympy.Expr, Callable[[Any, Any], Any], dict[Any, Fraction], Any, Any, dict[str, Any]]:
    """A polynomial in SymPy and as a function of params and (x, y); weights, the law of both, and further arguments."""
    weights = st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 1), (0, 2), (3, 0), (0, 0)])
    entries = st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 0), (0, 0)])
    found = draw(st.lists(st.tuples(weights, entries, rationals().filter(bool)), min_size=2, max_size=4))
    terms = [(*of_weights, *of_example, k) for of_weights, of_example, k in found]
    expression = sum((number(k) * w**i * v**j * x**m * y**n for i, j, m, n, k in terms), sympy.Integer(0))

    def loss(params: Any, example: Any) -> Any:
        first, second = (part.reshape(()) for part in example)
        total = 0 * params["w"]
        for i, j, m, n, k in terms:
            term = params["w"] ** i * params["v"] ** j * first**m * second**n
            total = total + k.numerator * term / k.denominator
        return total

    starts = {w: draw(rationals()), v: draw(rationals().filter(bool))}
    rows = draw(st.lists(st.tuples(rationals(), rationals()), min_size=1, max_size=3))
    data = draw(st.booleans())
    if data:
        mine: Any = {x: [row[0] for row in rows], y: [row[1] for row in rows]}
        other: lv.Dataset | lv.Independent = lv.Dataset([[row[0]] for row in rows], [row[1] for row in rows])
    else:
        mine = {x: lv.Uniform(-1, 2), y: lv.Rademacher()}
        other = lv.Independent(list(mine.values()), lambda z: (z[:1], z[1:]))
    further = {
        "learning_rate": Fraction(1, 4), "step": draw(st.integers(0, 1)),
        "sampling": "without_replacement" if data and draw(st.booleans()) else "iid",
    }  # fmt: skip
    return expression, loss, starts, mine, other, further


@given(losses())
@examples(30)
def test_expressions_equal_the_same_losses_in_jax(made: Any) -> None:
    expression, loss, starts, mine, other, further = made
    by_name = {str(symbol): start for symbol, start in starts.items()}
    found, wanted = (
        lv.derive(problem)
        for problem in (build(expression, starts, mine, **further), lv.Problem(by_name, other, loss=loss, **further))
    )
    assert (
        found.variance == wanted.variance
        and found.loss == wanted.loss
        and found.update_variance == wanted.update_variance
    )
    for symbol in (w, v):
        assert found.weights[symbol] == wanted.weights[str(symbol)]
        assert found.per_leaf.variance[symbol] == wanted.per_leaf.variance[str(symbol)]
    assert list(found.problem.weights) == [w, v] and not found.problem.symbols


def test_a_linear_network_in_symbols_is_the_linear_network() -> None:
    weights, inputs = sympy.MatrixSymbol("W", 1, 2), sympy.MatrixSymbol("X", 2, 1)
    law, entries = lv.Gaussian([[1, "-1/2"]], noise_variance="1/4"), [weights[0, 0], weights[0, 1]]
    problem = build(
        ((weights * inputs)[0, 0] - y) ** 2 / 2, dict(zip(entries, [1, "1/3"])), law, "1/10", 2,
        example=[inputs[0, 0], inputs[1, 0], y],
    )  # fmt: skip
    linear = lv.Problem([[[1, "1/3"]]], law, "1/10", 2)
    assert lv.gradient_variance(problem) == lv.gradient_variance(linear) != 0
    assert lv.expected_weights(problem)[entries[1]] == lv.expected_weights(linear)[0][0][1]
    assert lv.large_batch(problem, 2).variance == lv.large_batch(linear, 2).variance
    assert problem.degree == problem.degree_in_example == 2


@pytest.mark.parametrize(
    ("expression", "law", "step"),
    [
        (SQUARE.subs(y, a * y) + c * w**2, DRAWN, 0),
        (SQUARE.subs(y, a * y) + c * w**2, DRAWN, 1),
        ((w * x - a * y) ** 2 / 2 + v * (c - v), DRAWN, 2),
        ((w**2 * x - a) ** 2 / 2 - v, DATA, 2),
        (c * x * w * v + a, DATA, 2),
    ],
)
def test_numbers_may_stand_for_the_symbols_that_are_left(expression: sympy.Expr, law: Any, step: int) -> None:
    numbers = {a: 3, c: Fraction(1, 5)}
    problem = build(expression, {w: 2, v: "-1/3"}, law, "1/10", step)
    assert set(problem.symbols) == {a, c} & expression.free_symbols != set()
    known = build(expression.subs({s: number(n) for s, n in numbers.items()}), {w: 2, v: "-1/3"}, law, "1/10", step)
    found, wanted, given = lv.derive(problem), lv.derive(known), {s: numbers[s] for s in problem.symbols}
    assert found.variance.subs(given) == wanted.variance != 0 and found.loss.subs(given) == wanted.loss
    for symbol in (w, v):
        assert found.weights[symbol].subs(given) == wanted.weights[symbol]
        assert found.per_leaf.second_moment[symbol].subs(given) == wanted.per_leaf.second_moment[symbol]
    if step < 2:
        assert lv.large_batch(problem, 2).variance.agrees_with(found.variance)


def test_symbols_stay_by_hand() -> None:
    """g = (w - a) x^2: of a normal x the variance is 2 (w - a)^2 / b, and E w_1 = w - (w - a)/10."""
    problem = build((w * x - a * x) ** 2 / 2, {w: w}, {x: lv.Normal()}, "1/10")
    assert problem.symbols == (a, w) and problem.weights == {w: w}
    u = lv.u
    assert lv.gradient_variance(problem) - 2 * (w - a) ** 2 * u == 0
    assert lv.expected_weights(problem.replace(step=1))[w] - w + (w - a) / 10 == 0
    assert lv.gradient_variance(problem.replace(weights={w: 2})) - 2 * (2 - a) ** 2 * u == 0
    tied = build((w * x - v * x) ** 2 / 2, {w: w, v: c}, {x: lv.Normal()})
    assert lv.derive(tied).per_leaf.variance[w] - 2 * (w - c) ** 2 * u == 0


def test_symbols_of_a_law_and_of_the_loss_are_the_same() -> None:
    law = lv.Gaussian([[a]])
    problem = build((w * x - a * y) ** 2 / 2, {w: 2}, law, "1/10", 1, example=[x, y])
    known = build((w * x - 3 * y) ** 2 / 2, {w: 2}, lv.Gaussian([[3]]), "1/10", 1, example=[x, y])
    assert problem.symbols == (a,) and lv.gradient_variance(problem).subs({a: 3}) == lv.gradient_variance(known) != 0
    unused = build((w * x) ** 2 / 2, {w: 2}, law, "1/10", 1, example=[x, y])
    assert lv.gradient_variance(unused) == lv.gradient_variance(lv.Problem([[[2]]], lv.Gaussian([[0]]), "1/10", 1))


@pytest.mark.parametrize(
    ("law", "sampling"), [(DATA, "without_replacement"), pytest.param(DRAWN, "iid", marks=pytest.mark.slow)]
)
def test_both_halves_and_all_roads_agree(law: Any, sampling: str, key: jax.Array) -> None:
    check_model(build(SQUARE, {w: "3/2", v: "1/3"}, law, "1/10", 1, sampling), key=key, runs=1_000)


def test_the_lattice_and_momentum() -> None:
    problem = build(SQUARE, {w: "3/2", v: "1/3"}, DATA, "1/10", 1, momentum="1/2", nesterov=True, weight_decay="1/5")
    found = lv.gradient_variance(problem)
    assert (
        lv.gradient_variance(problem, lv.Lattice())
        == found
        != lv.gradient_variance(problem.replace(momentum=0, nesterov=False))
    )


def test_floats_are_those_of_the_expression_as_it_was_given() -> None:
    """(w - 1)^8 near w = 1: expanded it would be rounding errors alone."""
    problem = build((w - 1) ** 8 * x + sympy.sqrt(4) * w * 0 + sympy.UnevaluatedExpr(x - 1) * w, {w: 1}, {x: [1, 3]})
    model = numeric_model(problem)
    with jax.enable_x64(True):
        at, example = jnp.asarray([[1 + 2.0**-10]]), (jnp.asarray([3.0]), jnp.asarray([]))
        value, slope = jax.value_and_grad(lambda leaf: model.loss((leaf,), example))(at)
        assert float(value) == 3 * 2.0**-80 + 2 * (1 + 2.0**-10) and float(slope[0, 0]) == 24 * 2.0**-70 + 2
        tiny = numeric_model(build((w - 1) ** 8, {w: 1}, {x: [1]})).loss((at,), (jnp.asarray([0.0]), jnp.asarray([])))
    assert float(tiny) == 2.0**-80 and tiny.dtype == np.float64
    constant = numeric_model(build(sympy.Integer(3), {w: 1}, {x: [1]}))
    assert float(constant.loss((jnp.ones((1, 1)),), (jnp.ones(1), jnp.ones(0)))) == 3 and constant.activations > 0


def test_problems_are_equal_where_their_losses_are() -> None:
    one, other = (build(loss, {w: 2, v: 1}, DATA) for loss in (SQUARE, sympy.expand(SQUARE)))
    assert one == other and hash(one) == hash(other) and one != build(2 * SQUARE, {w: 2, v: 1}, DATA)
    again = pickle.loads(pickle.dumps(one))
    assert again == one and repr(again) == repr(one) and lv.gradient_variance(again) == lv.gradient_variance(one)
    assert repr(one) == "Problem({w: 2, v: 1}, Dataset(3 rows of x, y), learning_rate=0, step=0, loss=(v*w*x - y)**2/2)"


def test_columns_go_to_their_symbols_whatever_their_order() -> None:
    loss = (w * x - 2 * y + a * x) ** 2
    one, other = (build(loss, {w: 1}, dict(pairs)) for pairs in (DATA.items(), reversed(DATA.items())))
    assert one == other
    swapped = build(loss.subs({x: y, y: x}, simultaneous=True), {w: 1}, {y: DATA[x], x: DATA[y]})
    assert lv.gradient_variance(swapped) == lv.gradient_variance(one) != 0
    arrays = build(loss, {w: 1}, {x: np.asarray([1, 2, 3]), y: (0, 1, Fraction(1, 2))})
    assert arrays == one


def test_moments_and_any_law() -> None:
    known = [0, 1, 0, 3, 0, 15, 0, 105]
    law = lv.Independent([known], lambda z: (z, 2 * z))
    problem = build((w * x - y) ** 2 / 2, {w: 1}, law, "1/10", 1, example=[x, y])
    assert lv.gradient_variance(problem) == lv.gradient_variance(lv.Problem([[[1]]], lv.Gaussian([[2]]), "1/10", 1))
    data = build((w * x) ** 2 / 2, {w: 1}, {x: known})  # a list of values, never of moments
    squares = [value**2 for value in known]
    mean = Fraction(sum(squares), 8)
    assert lv.gradient_variance(data)(1) == sum((square - mean) ** 2 for square in squares) / 8


@pytest.mark.parametrize(
    ("expression", "variance", "loss"),
    [(sympy.Integer(3), 0, 3), (a, 0, a), (x + w, 0, 3 - Fraction(1, 10)), (x * w, Fraction(2, 3), None)],
)
def test_the_smallest_losses(expression: sympy.Expr, variance: Any, loss: Any) -> None:
    exact = lv.derive(build(expression, {w: 1}, {x: [1, 2, 3]}, "1/10", 1))
    assert exact.variance.coefficients[-1] == variance and exact.variance.degree == (variance != 0)
    assert loss is None or exact.loss.coefficients == (loss,)


def test_errors_name_the_argument() -> None:
    other = sympy.Symbol("w", positive=True)
    problem, law = build(SQUARE, {w: 1, v: 2}, DATA), lv.Gaussian([[1]])
    calls: list[tuple[str, Callable[[], object]]] = [
        (r"has the part exp\(w\), which is no polynomial in w", lambda: build(sympy.exp(w) * x, {w: 1}, DATA)),
        (r"has the part exp\(a\), .*a symbol of its own", lambda: build(sympy.exp(a) * x * w, {w: 1}, DATA)),
        ("has the part 1/w, which is no polynomial in w", lambda: build(x / w, {w: 1}, DATA)),
        (r"has the part w\*\*a", lambda: build(x * w**a, {w: 1}, DATA)),
        (r"has the part Abs\(x\), which is no polynomial in x", lambda: build(w * abs(x), {w: 1}, DATA)),
        (r"^expression=0.1\*w contains a float: use sympy.Rational", lambda: build(0.1 * w, {w: 1}, DATA)),
        (r"^expression='w\*x' is of type str", lambda: build("w*x", {w: 1}, DATA)),  # type: ignore[arg-type]
        ("^expression=.* is of type .*Matrix", lambda: build(sympy.Matrix([w * x]), {w: 1}, DATA)),
        ("^weights is empty", lambda: build(x, {}, DATA)),
        (r"^weights=\[w\] is of type list", lambda: build(w * x, [w], DATA)),  # type: ignore[arg-type]
        ("^weights='w' is no symbol", lambda: build(w * x, {"w": 1}, DATA)),
        (r"^weights\[w\]=0.5 is of type float", lambda: build(w * x, {w: 0.5}, DATA)),
        ("two different symbols are both named 'w'", lambda: build(w * x, {w: 1, other: 2}, DATA)),
        ("two different symbols are both named 'w'", lambda: build(other * x, {w: 1}, DATA)),
        ("two different symbols are both named 'w'", lambda: build(w * x, {w: 1}, DATA, other)),
        ("law=x is a weight and of the example", lambda: build(w * x, {w: 1, x: 2}, DATA)),
        ("contains v, which is a weight with another", lambda: build(w * v * x, {w: v, v: 1}, DATA)),
        ("contains x, which is of the example", lambda: build(w * x, {w: x}, DATA)),
        ("contains w, which is a weight with another", lambda: build(w * x, {w: 1}, DATA, w)),
        ("contains w, which is a weight", lambda: build(w * x, {w: 1}, lv.Gaussian([[w]]), example=[x, y])),
        ("^law is empty", lambda: build(w, {w: 1}, {})),
        (r"^law\[x\]=1 is of type int", lambda: build(w * x, {w: 1}, {x: 1})),
        (r"^law\[y\]\[0\]=0.5 is of type float", lambda: build(w * x, {w: 1}, {x: [1], y: [0.5]})),
        (r"^law\[y\] has 2 values, and law\[x\] has 1", lambda: build(w * x, {w: 1}, {x: [1], y: [1, 2]})),
        ("^law has laws of numbers beside lists", lambda: build(w * x, {w: 1}, {x: lv.Normal(), y: [1, 2]})),
        (r"^law=\[x\] is of type list", lambda: build(w * x, {w: 1}, [x])),  # type: ignore[arg-type]
        ("^example=None: give the symbols", lambda: build(w * x, {w: 1}, law)),
        (r"^law has examples x 1, y 1 of 2 in all, and symbols for 1", lambda: build(w * x, {w: 1}, law, example=[x])),
        ("^example=x stands twice", lambda: build(w * x, {w: 1}, law, example=[x, x])),
        ("^example=.* stands beside a dictionary", lambda: build(w * x, {w: 1}, DATA, example=[x, y])),
        ("^problem has a loss in SymPy, .*pickle", lambda: problem.save("problem.json")),
        ("^weights gives w, and the weights of the loss are w, v", lambda: problem.replace(weights={w: 1})),
        (r"^weights=\[1\] is of type list", lambda: problem.replace(weights=[1])),
        ("contains the symbols a", lambda: numeric_model(build(a * w * x, {w: 1}, DATA)).leaves(build(a * w, {w: 1}, DATA))),
    ]  # fmt: skip
    for words, call in calls:
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(InputTypeError):
        build(0.1 * w, {w: 1}, DATA)


def test_a_checkpoint_knows_an_expression_by_its_polynomial(tmp_path: Any) -> None:
    """Equal polynomials share it, whatever they were written as; others are refused."""
    problem = build((w * x - y) ** 2 * w / 2, {w: 1}, DATA, "1/10", 1)
    same = build(w * (w * x) ** 2 / 2 - w**2 * x * y + w * y**2 / 2, {w: 1}, DATA, "1/10", 1)
    road = lv.Lattice(checkpoint=tmp_path / "residues.json")
    assert lv.gradient_variance(problem, road) == lv.gradient_variance(same, road) == lv.gradient_variance(problem)
    with pytest.raises(InputError, match="belongs to another problem"):
        lv.gradient_variance(build((w * x - y) ** 2 * w, {w: 1}, DATA, "1/10", 1), road)
