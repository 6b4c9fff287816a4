"""A loss as a part of a problem: equality, pickles, files, rows of any structure, and its two twins."""

from __future__ import annotations

import copy
import functools
import pickle
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies
import sympy
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import linvar as lv
from linvar import families
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational
from linvar.models.function import Function
from linvar.models.loss import LossModel, numbers
from linvar.numeric.models.registry import numeric_model
from linvar.plain_data import ProblemFileError
from linvar.problem_file import load_problem, problem_from_dict
from linvar.symbolic.algebra.ring import Ring
from linvar.symbolic.models import loss as exact_losses
from linvar.trees import Structure

TABLE = lv.Dataset([[1, 2], [0, 3], [2, -1]], [1, 2, 0])
WEIGHTS = {"w": [1, "1/2"]}
HERE = __name__


def loss(
    params: Any, example: Any, *, power: int = 2, scales: Any = (1, 1), name: str = "a", flag: bool = False
) -> Any:
    x, y = example
    return ((params["w"] @ x - y) ** power).sum() * (2 if flag else 1)


def other(params: Any, example: Any) -> Any:
    return (params["w"] ** 2).sum() * example[0][0]


@jax.jit
def compiled(params: Any, example: Any) -> Any:
    return other(params, example)


def of_rows(params: Any, example: Any) -> Any:
    user, item, rating = example
    return (params["U"][user] @ params["V"][item] - rating) ** 2 / 2


def structured(params: Any, example: Any) -> Any:
    return params["t"][0] * params["a"]["b.c"].sum() + params["t"][1].sum() ** 2 * example[0][0]


def touching(params: Any, example: Any, *, path: str) -> Any:
    Path(path).touch()
    return 1.0 * params["w"].sum()


def wild(params: Any, example: Any, **arguments: Any) -> Any:
    return params["w"].sum()


class Loss:
    def __call__(self, params: Any, example: Any) -> Any:
        return other(params, example)

    @staticmethod
    def static(params: Any, example: Any) -> Any:
        return other(params, example)

    def bound(self, params: Any, example: Any) -> Any:
        return other(params, example)


INSTANCE = Loss()
ALIAS = other
RATINGS = [(0, 1, "1/2"), (1, 0, 2), (1, 1, "-3/2"), (0, 0, 1)]
FACTORS = {"U": [[1, "1/2"], [0, 1]], "V": [["1/2", 1], [1, -1]]}


def problem(function: Any, weights: Any = WEIGHTS, law: Any = TABLE, **others: Any) -> lv.Problem:
    return lv.Problem(weights, law, "1/10", 1, loss=function, **others)


# equality and pickles


def test_problems_are_equal_where_function_and_arguments_are() -> None:
    cubed = functools.partial(loss, power=3)
    assert problem(loss) == problem(loss) and hash(problem(loss)) == hash(problem(loss))
    assert problem(cubed) == problem(functools.partial(functools.partial(loss, power=2), power=3))
    assert problem(functools.partial(loss, scales=(1, 2), power=3)) == problem(
        functools.partial(loss, power=3, scales=(1, 2))
    )
    distinct = [
        loss,
        cubed,
        functools.partial(loss, power=2),
        functools.partial(loss, flag=True),
        functools.partial(loss, flag=1),
    ]
    distinct += [
        other,
        compiled,
        INSTANCE,
        INSTANCE.bound,
        Loss.static,
        lambda p, e: p["w"].sum(),
        lambda p, e: p["w"].sum(),
    ]
    assert len({problem(function) for function in distinct}) == len(distinct)
    assert problem(INSTANCE.bound) == problem(INSTANCE.bound) and problem(loss) != lv.Problem(
        [[[1, "1/2"]]], TABLE, "1/10", 1
    )


@pytest.mark.parametrize(
    "function", [loss, compiled, INSTANCE.bound, functools.partial(loss, power=3, scales=(1, (2, "1/3")))]
)
def test_problems_are_pickled(function: Any) -> None:
    stated = problem(function)
    again = pickle.loads(pickle.dumps(stated))
    assert lv.gradient_variance(again) == lv.gradient_variance(stated) and copy.deepcopy(stated).degree == again.degree
    if function != INSTANCE.bound:  # a copy of an object without == is another
        assert again == stated and hash(again) == hash(stated)


def test_a_pickle_of_a_function_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(problem(other))
    assert pickle.loads(pickled) == problem(other)
    monkeypatch.delattr(sys.modules[HERE], "other")
    with pytest.raises(InputError, match="loss was .*:other, which is not there any more: pickle the problem again"):
        pickle.loads(pickled)


def test_arguments_are_settled_as_a_file_gives_them_back() -> None:
    found = Function.of(functools.partial(loss, scales=(Fraction(4, 2), "3/6", "text"), power="3"))
    assert found.arguments == (("power", 3), ("scales", (2, Rational(1, 2), "text")))
    assert found.types == (int, (int, Rational, str)) and "loss(power=3, scales=(2, 1/2, 'text'))" in repr(found)


def test_replace_takes_other_weights_losses_and_laws() -> None:
    stated = problem(other)
    assert stated.replace(weights={"w": [3, 4]}).weights == {"w": [3, 4]}
    assert stated.replace(loss=loss).degree == 2 and stated.replace(loss=functools.partial(loss, power=3)).degree == 3
    assert stated.replace(loss=loss).replace(loss=other) == stated
    assert stated.replace(law=lv.Gaussian([[1, 0]])).law == lv.Gaussian([[1, 0]])
    moved = stated.replace(weights=({"w": [1, 2]}, [[3]]), loss=lambda params, example: other(params[0], example))
    assert [*map(type, moved.weights)] == [dict, list] and lv.gradient_variance(moved) != 0
    with pytest.raises(InputTypeError, match="loss fails on one example .*params of 0 2, 1 1"):
        stated.replace(weights=([1, 2], [3]))
    with pytest.raises(InputTypeError, match="weights=.* is of type dict, which has no order: give a list of matrices"):
        stated.replace(loss=None)
    with pytest.raises(InputError, match="stands beside model="):
        problem(other, model=stated.model)


def test_weights_may_have_symbols() -> None:
    s = sympy.Symbol("s")
    exact = lv.gradient_variance(problem(other, {"w": [s, 1]}).replace(step=0))
    assert exact.coefficients[1] == sympy.expand((4 * s**2 + 4) * Rational(2, 3))
    stated = problem(other, {"w": [s, 1]})
    assert stated.to_dict()["symbols"] == ["s"] and problem_from_dict(stated.to_dict()) == stated


# files


@pytest.mark.parametrize(
    "stated",
    [
        problem(loss),
        problem(functools.partial(loss, power=4, scales=(1, "1/2", ()), name="x", flag=True)),
        problem(functools.partial(loss, name=Fraction(1, 2))),
        problem(compiled),
        problem(Loss.static),
        problem(ALIAS),
        problem(families.diagonal, {"u": [1, 2], "v": [0, "1/3"]}),
        problem(of_rows, FACTORS, lv.Dataset(RATINGS)),
        problem(of_rows, FACTORS, lv.Finite(RATINGS, probabilities=["1/2", "1/4", "1/8", "1/8"])),
        problem(structured, {"a": {"b.c": [1, 2]}, "t": (1, [[1, 2], [3, "1/4"]])}),
    ],
    ids=range(10),
)
def test_files_give_the_problem_back(stated: lv.Problem, tmp_path: Path) -> None:
    stated.save(tmp_path / "problem.json")
    assert load_problem(tmp_path / "problem.json") == stated


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda params, example: params["w"].sum(),
            "loss is <lambda>, which has no name in a module: write it with def",
        ),
        (INSTANCE, "loss is <.*Loss object.*>, which has no name"),
        (INSTANCE.bound, "loss is Loss.bound, which has no name"),
        (functools.partial(loss, name=0.5), "loss_arguments.name=0.5 is of type float: bind integers, fractions, text"),
        (functools.partial(loss, scales=(1, None)), r"loss_arguments.scales\[1\]=None is of type NoneType"),
    ],
)
def test_what_has_no_place_in_a_file(function: Any, message: str) -> None:
    with pytest.raises(ProblemFileError, match=message):
        problem(function).to_dict()


def read(name: Any, arguments: Any = None, weights: Any = None) -> lv.Problem:
    law = {"kind": "dataset", "inputs": [[1, 2], [0, 1]], "targets": [1, 2]}
    data = {"loss": name, "weights": weights or {"w": [1, 2]}, "law": law}
    return problem_from_dict(data if arguments is None else {**data, "loss_arguments": arguments})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (3, "loss=3 is not accepted: write the name of a family"),
        (None, "loss=null is not accepted"),
        (True, "loss=true is not accepted"),
        ("", "loss='' is not found: write \"module:function\", or a family: .*diagonal"),
        ("nosuch", "loss='nosuch' is not found"),
        ("__all__", "loss='__all__' is no loss"),
        ("table", "loss='table' is (no loss|not found)"),
        (f"{HERE}:nosuch", "is not found"),
        (f"{HERE}:ALIAS", "is the name of another: write .*:other"),
        (f"{HERE}:INSTANCE", "is no loss with these arguments: name a function"),
        (f"{HERE}:INSTANCE.bound", "is no loss"),
        (f"{HERE}:Loss", "is no loss"),
        (f"{HERE}:Loss.bound", "is no loss"),
        (f"{HERE}:loss.__globals__", "is no loss"),
        (f"{HERE}:functools.partial", "is no loss"),
        (f"{HERE}:np.save", "is the name of another|is no loss"),
        (f"{HERE}:pickle.loads", "is no loss"),
        (f"{HERE}:touching", "is no loss with these arguments"),
        ("os:system", "is no loss"),
        ("posix:system", "is no loss"),
        ("subprocess:run", "is no loss"),
        ("builtins:exec", "is no loss"),
        ("builtins:print", "is no loss"),
        ("linvar:Problem", "is no loss"),
        ("__main__:loss", "loss='__main__:loss' is (not found|no loss)|has no name"),
        (":loss", "is of a module that is not imported"),
        ("loss:", "is of a module that is not imported"),
        (
            "antigravity:geohash",
            'is of a module that is not imported: import "antigravity" in Python before',
        ),
        ("x" * 100_000, "is not found"),
        ("\n\0:\x1b", "is of a module that is not imported"),
    ],
)
def test_files_that_name_no_loss(name: Any, message: str) -> None:
    before = set(sys.modules)
    with pytest.raises(ProblemFileError, match=message) as caught:
        read(name)
    assert len(str(caught.value)) < 420 and set(sys.modules) == before


def test_a_file_calls_nothing_before_all_of_it_is_read(tmp_path: Path) -> None:
    """What it names is called with tracers once the problem is stated, and not if something else is wrong."""
    arguments = {"path": str(tmp_path / "here")}
    with pytest.raises(ProblemFileError, match="weights.w=0.5"):
        read(f"{HERE}:touching", arguments, {"w": 0.5})
    assert not (tmp_path / "here").exists()
    read(f"{HERE}:touching", arguments)
    assert (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (3, "loss_arguments=3 is not accepted: write an object"),
        ([1], "loss_arguments=.* is not accepted"),
        ({"nosuch": 1}, "is no loss with these arguments"),
        ({"params": 1}, "is no loss with these arguments"),
        ({"": 1}, "is no loss with these arguments"),
        ({"power": 0.5}, "loss_arguments.power=0.5 is not an exact number"),
        ({"power": None}, "loss_arguments.power=null is not an exact number"),
        ({"power": {"a": 1}}, "loss_arguments.power={...} is not an exact number"),
        ({"power": "1/0"}, "loss_arguments.power='1/0' has denominator 0"),
        ({"scales": [1, ["1" * 200_000]]}, "has an integer of 200000 digits"),
    ],
)
def test_files_with_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ProblemFileError, match=message):
        read(f"{HERE}:loss", arguments)


def test_arguments_and_weights_that_do_not_fit_are_said_of_the_loss() -> None:
    assert read(f"{HERE}:loss", {"power": "4"}).degree == 4 and read(f"{HERE}:wild", {"a b": 1}).degree == 1
    with pytest.raises(ProblemFileError, match="loss fails on one example .KeyError: 'u'.*params of w 2"):
        read("diagonal")
    with pytest.raises(ProblemFileError, match="loss_arguments has no loss"):
        problem_from_dict(
            {"weights": [[[1]]], "law": {"kind": "gaussian", "teacher": [[1]]}, "loss_arguments": {"a": 1}}
        )


# rows of any structure


@pytest.mark.parametrize(
    ("rows", "whole"),
    [
        ([1, 2, 3], (True,)),
        ([1, "1/2"], (False,)),
        ([2**31, 1], (False,)),
        ([(1, 2), (3, "4/2")], (True, True)),
        ([[1, 2], [3, 4]], (True,)),
        (np.array([[1, 2], [3, 4]]), (True,)),
        ([{"a": 1, "b": [1, "1/2"]}, {"b": [0, 1], "a": 2}], (True, False)),
        ([(1, (2, [3, 4])), (1, (2, [3, 5]))], (True, True, True)),
        ((number for number in (1, 2)), (True,)),
        ([5], (True,)),
    ],
)
def test_rows_of_any_structure(rows: Any, whole: tuple[bool, ...]) -> None:
    law = lv.Dataset(rows)
    assert law.structure.whole == whole and lv.Dataset.from_dict(law.to_dict(), lambda keys: law) == law
    assert pickle.loads(pickle.dumps(law)) == law and hash(
        lv.Dataset.from_dict(law.to_dict(), lambda keys: law)
    ) == hash(law)

    def linear(params: Any, example: Any) -> Any:
        return params * sum(jnp.sum(1.0 * leaf) for leaf in jax.tree.leaves(example))

    sums = [sum(map(Fraction, row)) for row in law.examples]
    mean = sum(sums) / len(sums)
    assert lv.gradient_variance(lv.Problem(2, law, loss=linear))(1) == sum((s - mean) ** 2 for s in sums) / len(sums)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows is empty: give at least one row"),
        ([[1, 2], [3]], r"rows\[1\] has the leaves 1, where 2 stood"),
        ([(1, 2), [1, 2]], r"rows\[1\] has the leaves 2, where 0, 1 stood"),
        ({"a": [1]}, "rows=.* is of type dict, which has no order: give a list of rows"),
        ([0.5], r"rows\[0\]=0.5 is of type float"),
        ([sympy.Symbol("x")], r"rows contain symbols \(x\)"),
        ("123", "rows='123' is of type str: give a list of rows"),
        ([None], r"rows\[0\] has no leaf"),
    ],
)
def test_what_are_no_rows(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lv.Dataset(rows)


def test_rows_are_for_losses() -> None:
    with pytest.raises(InputError, match="the data set has no targets: give targets, or the loss= that takes its rows"):
        lv.Problem([[[1]]], lv.Dataset([(1, 2), (3, 4)]))
    assert "Dataset(2 rows of a number)" in repr(lv.Dataset([1, 2]))


def test_matrix_completion_by_hand() -> None:
    """Of the ratings (0, 1) -> 1/2 and (1, 0) -> 2, (1, 1) -> -3/2, (0, 0) -> 1: grad l = r (v, u), Var = sum of all squares."""
    rows = [(user, item, Fraction(rating)) for user, item, rating in RATINGS]
    u, v = ([[Fraction(entry) for entry in row] for row in FACTORS[name]] for name in "UV")
    gradients = []
    for user, item, rating in rows:
        residual = sum(a * b for a, b in zip(u[user], v[item])) - rating
        flat = {("U", user, k): residual * v[item][k] for k in range(2)} | {
            ("V", item, k): residual * u[user][k] for k in range(2)
        }
        gradients.append([flat.get((name, i, k), Fraction(0)) for name in "UV" for i in range(2) for k in range(2)])
    mean = [sum(column) / 4 for column in zip(*gradients)]
    variance = sum((g - m) ** 2 for row in gradients for g, m in zip(row, mean)) / 4
    found = lv.gradient_variance(problem(of_rows, FACTORS, lv.Dataset(RATINGS)).replace(step=0))
    assert found(1) == variance and found(1) * Fraction(3, 2) != variance


# the two ways of reading examples


def diagonal(params: Any, example: Any) -> Any:
    x, y = example
    return ((params[:2] ** 2 - params[2:] * params[0]) @ x - y).sum() ** 2 + x[0] ** 2


@strategies.examples(25)
@given(st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=5), st.booleans())
def test_rows_one_by_one_are_the_polynomial_in_the_example(rows: list[tuple[int, ...]], weighted: bool) -> None:
    inputs, targets = [row[:2] for row in rows], [row[2] for row in rows]
    law = lv.Dataset(inputs, targets)
    if weighted:
        parts = len(rows) * (len(rows) + 1) // 2
        law = lv.Finite(inputs, targets, [Fraction(k + 1, parts) for k in range(len(rows))])
    model, _ = LossModel(Function.of(diagonal)).fitted([1, 2, "1/2", -1])
    whole = Ring(7)
    at_once = whole.zero + model.program(law).run(whole.gens[:4], whole.gens[4:])
    ring = Ring(4)
    losses = [ring.zero + model.program(law).run(ring.gens, numbers(row)) for row in law.examples]
    for row, one in zip(rows, losses):
        assert at_once.compose(*ring.gens, *map(ring.lift, row), ctx=ring.context) == one
    mean = sum((one * ring.lift(share) for one, share in zip(losses, law.shares)), ring.zero)
    psi, directions = exact_losses._factorised([one - mean for one in losses], ring)
    for entries, one in zip(psi, losses):
        rest = one - mean - sum((e * ring.lift(p) for e, p in zip(directions, entries)), ring.zero)
        assert rest.is_constant()  # what no weight meets
    for place in range(4):
        assert [d.derivative(place) for d in directions].count(ring.zero) <= len(directions)
    assert len(directions) <= max(len({*rows}) - 1, 0)


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
def test_both_ways_derive_the_same(step: int, sampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    law = lv.Dataset([[1, 2], [0, 1], [1, -1], [2, 0]], [1, 0, 2, 1])
    found = []
    for most in (0, 10**9):
        monkeypatch.setattr(exact_losses, "_monomials", lambda width, degree, most=most: most)
        exact_losses._read.cache_clear()

        def fresh(params: Any, example: Any) -> Any:
            return diagonal(params, example)

        exact = lv.derive(lv.Problem([1, 2, "1/2", -1], law, "1/10", step, sampling, loss=fresh))
        found.append((exact.variance, exact.second_moment, exact.loss, exact.weights))
    assert found[0] == found[1] and found[0][0] != 0


# the numeric twin


@pytest.mark.parametrize(
    ("stated", "row"),
    [
        (problem(of_rows, FACTORS, lv.Dataset(RATINGS)), 2),
        (problem(loss), 1),
        (problem(structured, {"a": {"b.c": [1, 2]}, "t": (1, [[1, 2], [3, "1/4"]])}), 2),
    ],
    ids=["rows", "table", "structure"],
)
def test_the_numeric_twin_computes_the_same_loss(stated: lv.Problem, row: int) -> None:
    twin, example = numeric_model(stated), stated.law.examples[row]
    with jax.enable_x64(True):
        parts = [
            jnp.asarray([float(entry) for entry in part], dtype=float)
            for part in (stated.law.inputs[row], stated.law.targets[row])
        ]
        value = Fraction(float(twin.loss(twin.leaves(stated), (parts[0], parts[1]))))
    flat = [entry for matrix in stated.leaves for line in matrix for entry in line]
    exact = stated.model.program(stated.law).run([*map(Ring(0).lift, flat)], numbers(example))
    assert Ring(0).zero + exact == Ring(0).lift(value) and value != 0


def test_memory_counts_what_is_inside_calls_and_loops() -> None:
    def plain(params: Any, example: Any) -> Any:
        return (params["w"] * params["w"]).sum()

    def looped(params: Any, example: Any) -> Any:
        return lax.scan(lambda c, _: (c * params["w"], None), params["w"], None, length=50)[0].sum()

    sizes = [numeric_model(problem(f)).activations for f in (plain, jax.jit(plain), looped)]
    assert sizes[0] == sizes[1] == 3 and sizes[2] == 2 * 50 + 1


# batches by their second moment


def test_batches_by_their_second_moment_are_for_quadratic_forms(key: Any) -> None:
    """With a bias, an L2 term or a higher degree a batch enters through more than the second moment of (x, y)."""
    law = lv.Gaussian([[1, 2]], noise_variance="1/2")

    def of(params: Any, example: Any, *, bias: int = 0, decay: int = 0, power: int = 1) -> Any:
        x, y = example
        return ((((params["u"] * params["v"]) @ x) ** power - y + bias) ** 2).sum() / 2 + decay * (
            params["u"] ** 2
        ).sum()

    problem = lv.Problem({"u": [1, "1/2"], "v": [2, 1]}, law, "1/50", 1, loss=of)
    found = lv.simulate(key, problem, batch_sizes=[2], runs=4_000, batches="second_moments")[2].variance
    assert abs(found.value - float(lv.gradient_variance(problem)(2))) < 5 * found.standard_error
    for more in ({"bias": 1}, {"decay": 1}, {"power": 2}):
        with pytest.raises(
            InputError, match="batches='second_moments' is for losses that are quadratic forms in the example"
        ):
            lv.simulate(
                key,
                problem.replace(loss=functools.partial(of, **more)),
                batch_sizes=[2],
                runs=8,
                batches="second_moments",
            )


# what is too large, and what is no mistake


@pytest.mark.parametrize(
    "law", [lv.Gaussian([[1] * 30]), lv.Dataset([[i + j for j in range(30)] for i in range(40)], [0] * 40)]
)
def test_a_loss_that_cannot_be_multiplied_out_is_refused_at_once(law: Any) -> None:
    problem = lv.Problem(
        {"w": [[1] * 30] * 10}, law, "1/10", 1, loss=lambda p, e: (((p["w"] @ e[0]).sum() - e[1]) ** 4).sum()
    )
    for ask in (lv.plan, lv.derive, lv.gradient_variance):
        with pytest.raises(lv.DerivationTooLargeError, match="may have .* terms when it is multiplied out"):
            ask(problem)


def test_terms_are_counted_from_above() -> None:
    """(u_1 x_1 + u_2 x_2 - y)^2 has 6; powers of one sum are counted as such."""
    weights, _ = Structure.of({"u": [1, 2]}, "weights")
    pair = Structure.pair(2, 1)
    square = Function.of(lambda p, e: (p["u"] @ e[0] - e[1][0]) ** 2).program(weights, pair).degrees()
    sixth = Function.of(lambda p, e: (p["u"].sum()) ** 6).program(weights, pair).degrees()
    assert (square.terms, sixth.terms) == (6, 7)


@pytest.mark.parametrize("loss", [lambda p, e: (p["w"] ** 2).sum(), lambda p, e: 0 * p["w"].sum() + 1.0])
def test_a_loss_that_ignores_the_example_has_no_noise(loss: Any, key: Any) -> None:
    problem = lv.Problem({"w": [1, 2]}, lv.Dataset([[1], [2]], [1, 0]), "1/10", 1, loss=loss)
    assert lv.gradient_variance(problem) == 0
    assert lv.simulate(key, problem, batch_sizes=[2], runs=16)[2].variance.value == 0
    report = lv.verify(problem, key=key, runs=64, batch_sizes=[1], progress=False)
    assert not any(row.verdict == "REJECT" for row in report.rows)


def test_what_has_changed_since_it_was_stated_is_not_simulated(key: Any) -> None:
    scale = np.array([1.0, 2.0])
    problem = lv.Problem(
        {"w": [1, 2]}, lv.Dataset([[1, 2], [0, 1]], [1, 0]), loss=lambda p, e: ((p["w"] * scale) @ e[0] - e[1][0]) ** 2
    )
    lv.simulate(key, problem, batch_sizes=[1], runs=4)
    scale[0] = 5.0
    with pytest.raises(InputTypeError, match="loss closes over something that has changed"):
        lv.simulate(key, problem, batch_sizes=[1], runs=4)


def test_a_derivative_of_its_own_is_refused_whatever_its_value() -> None:
    @jax.custom_jvp
    def nothing(x: Any) -> Any:
        return jnp.zeros_like(x)

    nothing.defjvp(lambda primals, tangents: (jnp.zeros_like(primals[0]), tangents[0]))
    with pytest.raises(InputTypeError, match="stops or replaces a derivative"):
        lv.Problem({"w": [1]}, lv.Gaussian([[1]]), loss=lambda p, e: (p["w"] + nothing(p["w"])) @ e[0])
