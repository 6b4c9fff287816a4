"""Without replacement from n examples: the polynomial is the one of degree below n that has the values at b = 1..n."""

from __future__ import annotations

import json
import operator
import pickle
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracles
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from roads import asked

import linvar as lv
from linvar.errors import InputError
from linvar.symbolic.algebra.ring import coefficients_of, to_exact
from linvar.symbolic.result import polynomial as module
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.questions import DoubledLoss
from linvar.symbolic.sgd.road import Road
from linvar.text_files import FileError

small = st.fractions(min_value=-20, max_value=20, max_denominator=12)
A, B = sympy.symbols("a c")


def few(coefficients: Any, n: int, **arguments: Any) -> lv.BatchPolynomial:
    """A polynomial for batches without replacement from n examples."""
    return lv.BatchPolynomial(coefficients, sampling="without_replacement", dataset_size=n, **arguments)


def interpolated(values: list[Any]) -> tuple[Any, ...]:
    """Coefficients, of degree below n, through the values at u = 1, 1/2, ..., 1/n: Newton's divided differences."""
    nodes = [Fraction(1, b) for b in range(1, len(values) + 1)]
    table = list(values)
    for order in range(1, len(nodes)):
        for i in range(len(nodes) - 1, order - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (nodes[i] - nodes[i - order])
    result: list[Any] = [0]
    for value, node in zip(reversed(table), reversed(nodes)):  # result * (u - node) + value
        result = [a - node * b for a, b in zip([0, *result], [*result, 0])]
        result[0] += value
    while len(result) > 1 and result[-1] == 0:
        result.pop()
    return tuple(result)


def plain(coefficients: list[Fraction], b: int) -> Fraction:
    """The value of any polynomial at 1/b."""
    return sum((c * Fraction(1, b) ** k for k, c in enumerate(coefficients)), Fraction(0))


# the representative


@given(st.lists(small, min_size=1, max_size=9), st.integers(1, 10))
def test_it_is_the_interpolant(coefficients: list[Fraction], n: int) -> None:
    p = few(coefficients, n)
    values = [plain(coefficients, b) for b in range(1, n + 1)]
    assert p(range(1, n + 1)) == values
    assert p.coefficients == interpolated(values) and p.degree < n
    assert p == few(interpolated(values), n) and hash(p) == hash(few(interpolated(values), n))


@given(st.lists(small, min_size=1, max_size=6), st.lists(small, min_size=1, max_size=6), st.integers(1, 5))
def test_every_operation_gives_the_interpolant(ours: list[Fraction], theirs: list[Fraction], n: int) -> None:
    p, q = few(ours, n), few(theirs, n)
    sizes = range(1, n + 1)
    for sign in (operator.add, operator.sub, operator.mul):
        expected = [sign(plain(ours, b), plain(theirs, b)) for b in sizes]
        assert sign(p, q).coefficients == interpolated(expected)
        assert sign(p, q).degree_bound <= n - 1
    assert (p**3).coefficients == interpolated([plain(ours, b) ** 3 for b in sizes])
    assert (-p / 7).coefficients == interpolated([-plain(ours, b) / 7 for b in sizes])
    assert (p / lv.b**4).coefficients == interpolated([plain(ours, b) / b**4 for b in sizes])
    assert (2 - p * lv.u).coefficients == interpolated([2 - plain(ours, b) / b for b in sizes])
    # a multiple of (u - 1)...(u - 1/n) by hand is zero
    vanishing = sympy.prod(lv.u - sympy.Rational(1, b) for b in sizes)
    assert p + vanishing * (3 + lv.u) == p and p * 0 + vanishing == 0


def test_a_degree_far_above_n_is_reduced_at_once() -> None:
    """u^10,000 of ten examples: its n values; a long division takes minutes."""
    p, power = few([1, "2/3", 0, -5], 10), lv.u**10_000
    start = time.process_time()
    moved = p * power + 3
    assert time.process_time() - start < 10
    assert moved.degree == 9 and moved(range(1, 11)) == [3 + p(b) / Fraction(b) ** 10_000 for b in range(1, 11)]
    assert moved != p * (power / lv.b) + 3


def test_symbols_are_reduced_monomial_by_monomial() -> None:
    """subs commutes with the reduction: a^2 u^2 + c u^3 - u^4 for n = 2 and 3."""
    for n in (1, 2, 3):
        p = few([1, 0, A**2, B, -1], n)
        numbers = few([1, 0, 4, Fraction(1, 3), -1], n)
        assert p.degree < n and p.subs({A: 2, B: "1/3"}) == numbers
        assert numbers.coefficients == interpolated([plain([1, 0, 4, Fraction(1, 3), -1], b) for b in range(1, n + 1)])
        for b in range(1, n + 1):
            assert sympy.expand(p(b) - (1 + A**2 / sympy.Integer(b) ** 2 + B / sympy.Integer(b) ** 3)) == sympy.Rational(
                -1, b**4
            )  # fmt: skip
        square = (p * p).subs({A: 2, B: "1/3"})
        assert square == numbers**2
    assert few([A, 0, A - A, 1 - 1], 1).coefficients == (A,)
    assert few([0, A, -A], 1) == 0  # a symbol whose multiple vanishes


def test_one_example_is_a_constant() -> None:
    p = few([1, 2, "1/2"], 1, degree_bound=9)
    assert p.coefficients == p.factor_coefficients == (Fraction(7, 2),) and p == Fraction(7, 2)
    assert (p.degree, p.degree_bound, p.turning_points(), p.decreasing_from()) == (0, 0, (), None)
    assert repr(p) == "7/2    (u = 1/b, b <= 1, degree 0)"


def test_below_n_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And with iid batches nothing is reduced, whatever n."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("reduced")

    monkeypatch.setattr(module.residues, "reduced", refuse)
    assert few([0, 1, 2, 0, 0, 0], 3).coefficients == (0, 1, 2)
    assert few([1] * 9, 10**6).degree == 8
    assert lv.BatchPolynomial([1] * 9, dataset_size=2).degree == 8
    with pytest.raises(AssertionError, match="reduced"):
        few([0, 1, 2, 1], 3)


def test_bounds() -> None:
    assert few([0, 0, 0, 1], 3).degree_bound == few([0, 0, 0, 1], 3, degree_bound=7).degree_bound == 2
    assert few([0, 1], 9, degree_bound=5).degree_bound == 5 and (few([0, 1], 9) ** 20).degree_bound == 8
    with pytest.raises(InputError, match="degree_bound=1: give an integer >= the degree, 2"):
        few([0, 0, 0, 1], 3, degree_bound=1)
    with pytest.raises(InputError, match="degree_bound=9.0"):
        few([0, 1], 3, degree_bound=9.0)
    data = lv.Dataset([[1], [2], [3], [4]], [1, 0, 2, 1])
    for problem in (lv.Problem([[[1]], [[2]]], data, "1/10", 1), lv.Problem([[[1]], [[2]]], lv.Gaussian([[1]]), 0, 1)):
        assert problem.degree_bound == 6
    drawn = lv.Problem([[[1]], [[2]]], data, "1/10", 1, "without_replacement")
    assert drawn.degree_bound == 3 and drawn.replace(step=0).degree_bound == 1
    assert lv.gradient_variance(drawn).degree_bound == lv.expected_loss(drawn).degree_bound == 3


# trends, factor, floats


def test_what_is_said_of_it_is_said_of_the_representative() -> None:
    """p = u + M (M u + 1), M = (u - 1)(u - 1/2)(u - 1/3), is u: no turning point, whatever p does between."""
    m = (lv.u - 1) * (lv.u - sympy.Rational(1, 2)) * (lv.u - sympy.Rational(1, 3))
    coefficients = sympy.Poly(lv.u + 10**4 * m * (m * lv.u + 1), lv.u).all_coeffs()[::-1]
    iid, p = lv.BatchPolynomial(coefficients), few(coefficients, 3)
    assert iid.degree == 7 and len(iid.turning_points()) >= 2
    assert p.coefficients == (0, 1) and p.turning_points() == () and p.decreasing_from() == 1
    assert [row.sign for row in p.sign_table()] == [-1]
    assert p.factor_coefficients == (Fraction(1, 3), Fraction(2, 3))
    assert float(p.to_jax()(2)) == 0.5 and p.latex() == r"\frac{1}{b}" and p.as_expr() == lv.u


@given(st.lists(small, min_size=1, max_size=8), st.integers(2, 6))
def test_factor_coefficients_are_as_few(coefficients: list[Fraction], n: int) -> None:
    p = few(coefficients, n)
    assert len(p.factor_coefficients) == p.degree + 1 <= n
    for b in range(1, n + 1):
        factor = Fraction(n - b, b * (n - 1))
        assert sum(c * factor**k for k, c in enumerate(p.factor_coefficients)) == plain(coefficients, b)


# networks


NET = lv.Problem(
    weights=[[[1, "1/2"], ["-1/3", 1]], [[1, "-1/2"]]],
    law=lv.Dataset([[1, 0], ["1/2", 1], [-1, 2], [0, "-3/2"]], [1, 0, "1/2", -1]),
    learning_rate="1/4",
    step=1,
    sampling="without_replacement",
)
QUANTITIES: dict[str, Callable[[oracles.Moments], Any]] = {
    "second_moment": lambda moments: moments.second_moment,
    "squared_mean": lambda moments: moments.squared_mean,
    "gradient_variance": lambda moments: moments.variance,
    "expected_loss": lambda moments: moments.expected_loss,
}


def unreduced(problem: lv.Problem) -> tuple[Any, ...]:
    """Coefficients of twice the expected loss as the moments of a batch give them."""
    (doubled,) = asked(problem, DoubledLoss(), lv.Expansion())
    return tuple(to_exact(part, ()) for part in coefficients_of(doubled, answer_ring(())))


@pytest.fixture(scope="module")
def listed() -> list[oracles.Moments]:
    """All batches of every size."""
    return [oracles.enumerate_batches(NET, b) for b in (1, 2, 3, 4)]


def check_four_rows(road: Road, listed: list[oracles.Moments]) -> None:
    """Two layers, one step: degree 6 of four values. Coefficients are those through the values of all batches."""
    for name, value in QUANTITIES.items():
        found = getattr(lv, name)(NET, road)
        assert found.coefficients == interpolated([value(moments) for moments in listed]), name
        assert found.degree <= 3 == found.degree_bound
    layers = lv.derive(NET, road).per_leaf.variance
    for layer, polynomial in enumerate(layers):
        assert polynomial.coefficients == interpolated([moments.variances[layer] for moments in listed])
    assert layers[0] + layers[1] == lv.gradient_variance(NET)
    assert lv.second_moment(NET, road) - lv.squared_mean(NET) == lv.gradient_variance(NET)


def test_a_network_on_four_rows(listed: list[oracles.Moments]) -> None:
    check_four_rows(lv.Expansion(), listed)


@pytest.mark.slow
def test_the_lattice_on_four_rows(listed: list[oracles.Moments]) -> None:
    check_four_rows(lv.Lattice(), listed)


def test_moments_of_a_batch_alone_do_not_fix_it() -> None:
    """Before the reduction a polynomial with the same values has other coefficients: here of degree 4, on three rows."""
    law = lv.Dataset(NET.law.inputs[:3], NET.law.targets[:3])
    problem = NET.replace(law=law)
    other, loss = unreduced(problem), 2 * lv.expected_loss(problem)
    assert len(other) > 3 == len(loss.coefficients) and other[1] != loss.coefficients[1]
    assert [plain(list(other), b) for b in (1, 2, 3)] == loss([1, 2, 3])
    assert few(other, 3) == loss


def test_symbols_of_a_network_are_reduced() -> None:
    w = sympy.Symbol("w")
    first, second = NET.weights
    symbolic = NET.replace(weights=[first, [[w, second[0][1]]]])
    loss = lv.expected_loss(symbolic)
    assert loss.degree <= 3 and loss.subs({w: 1}) == lv.expected_loss(NET)
    covariance = lv.weight_covariance(NET.replace(law=lv.Dataset([[1, 0], [0, 1]], [1, 2])))
    assert {entry.degree for row in covariance for entry in row} <= {0, 1}


# files


def statement(coefficients: list[str], version: int, **changes: Any) -> dict[str, Any]:
    """A saved polynomial of three examples."""
    return {
        "format": f"linvar polynomial {version}",
        "coefficients": coefficients,
        "symbols": [],
        "sampling": "without_replacement",
        "dataset_size": 3,
        "degree_bound": 6,
        **changes,
    }


def test_a_file_of_the_first_format_is_reduced_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(statement(["1", "0", "0", "2", "-1/2"], 1)))
    p = lv.load_polynomial(path)
    assert p == few([1, 0, 0, 2, "-1/2"], 3) and (p.degree, p.degree_bound) == (2, 2)
    p.save(path)
    data = json.loads(path.read_text())
    assert data["format"] == "linvar polynomial 2" and len(data["coefficients"]) == 3 and data["degree_bound"] == 2
    assert lv.load_polynomial(path) == p == pickle.loads(pickle.dumps(p))
    symbols = statement([[[[1], "1"]], [], [], [[[2], "1/3"]]], 1, symbols=["a"])  # type: ignore[list-item]
    assert lv.BatchPolynomial.from_dict(symbols) == few([A, 0, 0, A**2 / 3], 3)
    iid = statement(["0", "1", "2", "3", "4"], 1, sampling="iid")
    assert lv.BatchPolynomial.from_dict(iid).degree == 4
    assert lv.BatchPolynomial.from_dict({**iid, "format": "linvar polynomial 2"}).degree == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (statement(["1", "0", "0", "2"], 2), "coefficients has 4 entries, where 3 examples fix no more than 3"),
        (statement([[], [], [], [[[1], "1"]]], 2, symbols=["a"]), "coefficients has 4 entries"),  # type: ignore[list-item]
        (statement(["1", "2"], 2, dataset_size=0), "dataset_size=0"),
        (statement(["1", "2"], 2, dataset_size=None), "dataset_size"),
        (statement(["1", "0", "2"], 2, degree_bound=1), "degree_bound=1"),
        (statement(["1", "0", "0", "2"], 1, degree_bound=1), "degree_bound=1"),
        (statement(["1"], 3), "has the format 'linvar polynomial 3'"),
        (statement(["1"], 1, format=["linvar polynomial 1"]), "is no object that to_dict writes"),
        (statement(["1"], 1, format={}), "is no object that to_dict writes"),
    ],
)
def test_damaged_and_later_files(data: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FileError, match=f"p.json' is not a saved BatchPolynomial: .*({message})"):
        lv.load_polynomial(path)
