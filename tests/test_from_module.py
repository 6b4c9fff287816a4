"""Problem.from_module: modules of Flax nnx and pytrees, rounded, against JAX on the rounded module."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import linvar as lv
from linvar.errors import InputError, InputTypeError, NotFiniteError
from linvar.testing import check_model

ROWS = lv.Dataset([[1, 2, 0], [0, 1, -1], [2, "1/2", 1]], [[1, 0], [0, 1], [1, "-1/2"]])
PAIRS = lv.Dataset([[1, 2], [0, 1]], [1, -1])


class Convolution(nnx.Module):
    """A convolution and a linear layer, with biases."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(1, 2, (2,), padding="VALID", rngs=rngs)
        self.head = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(self.conv(x[:, None]).reshape(-1))


class Nested(nnx.Module):
    """A module in a module in a Sequential."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.body = nnx.Sequential(nnx.Linear(3, 1, rngs=rngs), Gate(rngs), lambda x: x * 2)

    def __call__(self, x: Any) -> Any:
        return self.body(x)


class Gate(nnx.Module):
    """A product of two linear maps."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.left, self.right = nnx.Linear(1, 2, rngs=rngs), nnx.Linear(1, 2, use_bias=False, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.left(x) * self.right(x)


class Tied(nnx.Module):
    """One layer used twice."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(2, 2, rngs=rngs)
        self.second = self.first
        self.head = nnx.Linear(2, 1, use_bias=False, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(self.second(self.first(x)))


class Dropped(nnx.Module):
    """A layer and dropout."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer, self.drop = nnx.Linear(2, 1, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.drop(self.layer(x))


class Normed(nnx.Module):
    """A layer and batch normalisation."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer, self.norm = nnx.Linear(2, 1, rngs=rngs), nnx.BatchNorm(1, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.norm(self.layer(x))


class Activated(nnx.Module):
    """A layer and relu."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer = nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return nnx.relu(self.layer(x))


@jax.tree_util.register_dataclass
@dataclass
class Chain:
    """A pytree as in Equinox: matrices of JAX and NumPy, an integer, indices, a function."""

    matrices: list[Any]
    order: Any
    times: int

    def __call__(self, x: Any) -> Any:
        for matrix in self.matrices:
            x = matrix @ x[self.order] * self.times
        return x


def module(kind: Callable[[nnx.Rngs], Any], seed: int = 0) -> Any:
    """A module whose biases are no zeros."""
    found = kind(nnx.Rngs(seed))
    state = nnx.state(found, nnx.Param)
    key = jax.random.key(seed)
    nnx.update(found, jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(key, leaf.shape, leaf.dtype), state))
    return found


def spread(found: Any, law: lv.Dataset, decimals: int) -> float:
    """The variance of one example's gradient, by JAX in float64 on the module with its weights rounded."""
    with jax.enable_x64(True):
        graph, params, rest = nnx.split(found, nnx.Param, ...)
        params = jax.tree.map(lambda leaf: jnp.asarray(np.round(np.asarray(leaf, np.float64), decimals)), params)
        x, y = (jnp.asarray([[float(e) for e in row] for row in rows]) for rows in (law.inputs, law.targets))

        def loss(state: Any, one: Any, target: Any) -> Any:
            return 0.5 * jnp.sum((nnx.merge(graph, state, rest)(one) - target) ** 2)

        leaves = jax.tree.leaves(jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(params, x, y))
        flat = np.concatenate([np.asarray(leaf).reshape(len(x), -1) for leaf in leaves], axis=1)
    return float(((flat - flat.mean(0)) ** 2).sum(1).mean())


@pytest.mark.parametrize(
    ("kind", "law", "weights", "degree"),
    [(Convolution, ROWS, 16, 4), (Nested, ROWS, 10, 8), (Tied, PAIRS, 8, 6), (Dropped, PAIRS, 3, 2)],
)
def test_modules_say_what_jax_says_of_them_rounded(kind: Any, law: lv.Dataset, weights: int, degree: int) -> None:
    found = module(kind)
    found.eval()
    problem = lv.Problem.from_module(found, law, decimals=2)
    assert sum(len(row) for leaf in problem.leaves for row in leaf) == weights and problem.degree == degree
    exact, by_jax = float(lv.gradient_variance(problem)(1)), spread(found, law, 2)
    # float64 keeps 2^-53 of each of some hundred numbers that are added: 1e-13 of the sum of squares; 100 times that
    assert abs(exact - by_jax) < 1e-11 * by_jax and abs(1.5 * exact - by_jax) > 0.1 * by_jax > 0.001
    assert abs(exact - spread(found, law, 7)) > 1e-7 * by_jax  # it is the rounded module


@pytest.mark.parametrize(("kind", "step"), [pytest.param(Tied, 0, marks=pytest.mark.slow), (Dropped, 1)])
def test_both_halves_and_all_roads_agree(kind: Any, step: int, key: jax.Array) -> None:
    found = module(kind)
    found.eval()
    check_model(lv.Problem.from_module(found, PAIRS, "1/10", step, decimals=1), key=key, runs=1_000)


def test_weights_are_the_params_by_name_and_rounded_openly() -> None:
    found = module(Nested)
    problem = lv.Problem.from_module(found, ROWS, decimals=3)
    pure = nnx.to_pure_dict(nnx.state(found, nnx.Param))
    assert problem.weights == jax.tree.map(lambda leaf: lv.rationalize(leaf, 3), pure)
    assert problem.weights["body"]["layers"][1]["left"]["kernel"] == lv.rationalize(
        found.body.layers[1].left.kernel[...], 3
    )
    leaves = lv.derive(problem).per_leaf.variance["body"]["layers"]
    assert set(leaves) == {0, 1} and set(leaves[1]) == {"left", "right"} and set(leaves[1]["right"]) == {"kernel"}
    assert lv.Problem.from_module(found, ROWS).weights == problem.weights
    assert lv.Problem.from_module(found, ROWS, decimals=1).weights != problem.weights
    assert repr(problem).endswith("learning_rate=0, step=0, model=<squared loss of Nested>)")


def test_a_module_is_the_function_that_it_computes() -> None:
    found = module(Tied)
    problem = lv.Problem.from_module(found, PAIRS, "1/10", 1, decimals=1)

    def loss(params: Any, example: Any) -> Any:
        x, y = example
        for _ in range(2):
            x = x @ params["first"]["kernel"] + params["first"]["bias"]
        return ((x @ params["head"]["kernel"] - y) ** 2).sum() / 2

    other = lv.Problem(problem.weights, PAIRS, "1/10", 1, loss=loss)
    assert lv.gradient_variance(problem) == lv.gradient_variance(other) != 0
    assert lv.expected_weights(problem) == lv.expected_weights(other)
    assert lv.large_batch(problem, 2).variance == lv.large_batch(other, 2).variance


def test_a_loss_of_your_own_calls_the_module() -> None:
    layer = module(lambda rngs: nnx.Linear(2, 2, rngs=rngs))
    problem = lv.Problem.from_module(layer, PAIRS, loss=_quartic)
    (k, m), (b, c) = problem.weights["kernel"], problem.weights["bias"]
    outputs = [
        (x * k[0] + z * m[0] + b, x * k[1] + z * m[1] + c, y) for (x, z), (y,) in zip(PAIRS.inputs, PAIRS.targets)
    ]
    assert lv.expected_loss(problem)(1) == Fraction(sum((p * q - y) ** 4 for p, q, y in outputs), 2)
    assert "_quartic of Linear>)" in repr(problem) and "{'bias': [" in repr(problem)
    data = lv.Dataset([{"at": (1, 2), "label": 1}, {"at": (0, 1), "label": -1}])
    rows = lv.Problem.from_module(
        layer, data, loss=lambda net, row: (net(jnp.stack(row["at"])).prod() - row["label"]) ** 4
    )
    assert lv.gradient_variance(rows) == lv.gradient_variance(problem)


def _quartic(net: Any, example: Any) -> Any:
    x, y = example
    return ((net(x).prod() - y) ** 4).sum()


def test_a_problem_of_a_module_goes_through_pickle_and_replace() -> None:
    found = module(Dropped)
    found.eval()
    problem = lv.Problem.from_module(found, PAIRS, "1/10", 1, momentum="1/2")
    again = pickle.loads(pickle.dumps(problem))
    assert (
        again == problem
        and hash(again) == hash(problem)
        and lv.gradient_variance(again) == lv.gradient_variance(problem)
    )
    assert lv.Problem.from_module(found, PAIRS, "1/10", 1, momentum="1/2") == problem
    zeros = problem.replace(weights={"layer": {"bias": [0], "kernel": [[0], [0]]}}, momentum=0)
    nnx.update(found, jax.tree.map(jnp.zeros_like, nnx.state(found, nnx.Param)))
    assert zeros == lv.Problem.from_module(found, PAIRS, "1/10", 1)


def test_other_constants_of_a_module_are_another_problem() -> None:
    chains = [
        Chain([jnp.ones((1, 2))], order, 1) for order in (jnp.asarray([0, 1]), jnp.asarray([1, 0]), np.asarray([1, 0]))
    ]
    problems = [lv.Problem.from_module(chain, PAIRS) for chain in chains]
    assert len(set(problems)) == 3 and lv.gradient_variance(problems[1]) == lv.gradient_variance(problems[2])
    assert lv.gradient_variance(problems[0]) == lv.gradient_variance(problems[1])  # ones: the order does not matter
    other = [lv.Problem.from_module(Chain([np.asarray([[1.0, 2.0]])], chain.order, 1), PAIRS) for chain in chains]
    assert lv.gradient_variance(other[0]) != lv.gradient_variance(other[1]) == lv.gradient_variance(other[2])


def test_pytrees_with_floating_arrays() -> None:
    chain = Chain([np.full((2, 2), 0.34), jnp.asarray([[1.0, -0.5]])], jnp.asarray([1, 0]), 2)
    problem = lv.Problem.from_module(chain, PAIRS, "1/100", 1, decimals=1)
    assert problem.weights == {"matrices": {0: lv.rationalize(np.full((2, 2), 0.3), 1), 1: [[1, Fraction(-1, 2)]]}}
    assert pickle.loads(pickle.dumps(problem)) == problem
    check_model(problem)
    linear = lv.Problem([[["3/5", "3/5"], ["3/5", "3/5"]], [[-1, 2]]], lv.Dataset([[2, 1], [1, 0]], [1, -1]))
    # twice the matrices that move: the gradient of each is twice that of the linear network
    assert lv.gradient_variance(problem.replace(step=0)) == 4 * lv.gradient_variance(linear) != 0


def test_weights_of_any_width_are_rounded() -> None:
    half = module(lambda rngs: nnx.Linear(2, 1, rngs=rngs, param_dtype=jnp.float16))
    problem = lv.Problem.from_module(half, PAIRS, "1/10", 1)
    assert problem.weights["kernel"] == [[round(Fraction(float(e)), 3) for e in row] for row in half.kernel[...]]
    check_model(problem)
    brain = module(lambda rngs: nnx.Linear(2, 1, rngs=rngs, param_dtype=jnp.bfloat16))
    assert lv.Problem.from_module(brain, PAIRS).weights["bias"] == [round(Fraction(float(brain.bias[0])), 3)]


def _linear(rngs: nnx.Rngs, dtype: Any) -> nnx.Linear:
    return nnx.Linear(2, 1, rngs=rngs, dtype=dtype)


def test_a_layer_with_a_type_of_its_own_is_exact_here() -> None:
    layers = [module(partial(_linear, dtype=dtype)) for dtype in (None, jnp.float32, jnp.bfloat16)]
    problems = [lv.Problem.from_module(layer, PAIRS, "1/10", 1) for layer in layers]
    assert len({lv.gradient_variance(problem) for problem in problems}) == 1 and len(set(problems)) == 3


@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types")
def test_what_depends_on_other_examples_or_draws_numbers_is_refused_with_the_cure() -> None:
    for kind, place in ((Dropped, "drop.rngs.count"), (Normed, "norm.mean")):
        with pytest.raises(InputError, match=rf"^module changes {place} .*: call module.eval\(\) first"):
            lv.Problem.from_module(module(kind), PAIRS)
    found = module(Normed)
    found.eval()
    with pytest.raises(
        InputTypeError, match=r"floats beside the weights \(norm.mean, norm.var\) are constants: fold them"
    ):
        lv.Problem.from_module(found, PAIRS)
    with pytest.raises(InputTypeError, match="max.*in relu"):
        lv.Problem.from_module(module(Activated), PAIRS)


def test_errors_name_the_argument() -> None:
    layer = module(lambda rngs: nnx.Linear(2, 1, rngs=rngs))
    broken = module(lambda rngs: nnx.Linear(2, 1, rngs=rngs))
    broken.bias[...] = jnp.asarray([jnp.nan])
    wide = module(lambda rngs: nnx.Linear(2, 3, rngs=rngs))
    calls: list[tuple[str, type[Exception], Callable[[], object]]] = [
        (r"module\.bias\[0\]=nan is not finite", NotFiniteError, lambda: lv.Problem.from_module(broken, PAIRS)),
        (r"shape \(3,\), and y has shape \(1,\): give loss=", InputError, lambda: lv.Problem.from_module(wide, PAIRS)),
        ("module=3 .*can be called", InputTypeError, lambda: lv.Problem.from_module(3, PAIRS)),
        ("module=.* is of type builtin_function", InputTypeError, lambda: lv.Problem.from_module(len, PAIRS)),
        (
            "module of type dict has no weights",
            InputTypeError,
            lambda: lv.Problem.from_module({"n": 1}, PAIRS, loss=_quartic),
        ),
        ("module=.*ArrayImpl", InputTypeError, lambda: lv.Problem.from_module(jnp.ones(2), PAIRS, loss=_quartic)),
        (r"loss='a' .*loss\(module, example\)", InputTypeError, lambda: lv.Problem.from_module(layer, PAIRS, loss="a")),  # type: ignore[arg-type]
        ("decimals=-1", InputError, lambda: lv.Problem.from_module(layer, PAIRS, decimals=-1)),
        ("learning_rate=0.1 is of type float", InputTypeError, lambda: lv.Problem.from_module(layer, PAIRS, 0.1)),
        (
            "problem has a module .*pickle",
            InputError,
            lambda: lv.Problem.from_module(layer, PAIRS).save("problem.json"),
        ),
    ]
    for words, kind, call in calls:
        with pytest.raises(kind, match=words):
            call()
