"""First-order gradient variance: against the exact half, simulation, direct sums; memory, chunks."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tiers import slow_but

import linvar as lv
from linvar.numeric import first_order
from linvar.numeric.delta_method.full import Moments, full_step
from linvar.numeric.delta_method.linearized import Program, Rates
from linvar.numeric.delta_method.probes import Vectors, probe_step
from linvar.numeric.gradients.callables import take
from linvar.numeric.laws.normal_rule import normal_rule
from linvar.numeric.models.network import loss as network_loss
from linvar.numeric.models.network import network_from_problem
from linvar.numeric.simulation.run_moments import terms_of_rows

RATES = ["1/10", "1/7"]
#: Some ten matrix products of at most 16 x 16 in float64.
ROUNDING = 1e-9
UPDATES: list[dict[str, Any]] = [
    {"momentum": "1/2"},
    {"momentum": "1/2", "nesterov": True},
    {"weight_decay": "1/3"},
    {"momentum": "-1/3", "nesterov": True, "weight_decay": "1/5"},
]


def linear_loss(weights: Any, example: Any) -> Any:
    """1/2 ||P x - y||^2, written again."""
    x, y = example
    for weight in weights:
        x = weight @ x
    return 0.5 * jnp.sum((x - y) ** 2)


def tanh_loss(params: Any, example: Any) -> Any:
    """Two layers with biases."""
    x, y = example
    hidden = jnp.tanh(params["first"] @ x + params["bias"])
    return 0.5 * jnp.sum((params["last"] @ hidden - y) ** 2)


def fractions(rng: np.random.Generator, rows: int, columns: int) -> list[list[Fraction]]:
    """Small random numbers, exact."""
    return [[Fraction(int(rng.integers(-4, 5)), 4) for _ in range(columns)] for _ in range(rows)]


def floats(matrices: Any) -> list[jax.Array]:
    return [jnp.asarray(np.asarray(matrix, "float64")) for matrix in matrices]


def network(widths: tuple[int, ...], rng: np.random.Generator) -> list[list[list[Fraction]]]:
    return [fractions(rng, b, a) for a, b in itertools.pairwise(widths)]


def assert_exact(path: Any, weights: Any, law: Any, steps: int, **update: Any) -> None:
    """Every coefficient of 1/b of the exact half at t = 0..steps, and the values at b = infinity; 1.5 times it is rejected."""
    rounding = 1e-12  # of a few products of small matrices in float64
    for t in range(steps + 1):
        exact = lv.derive(lv.Problem(weights, law, RATES[:t], t, **update))
        for own, polynomial in (
            (path.variance, exact.variance),
            (path.second_moment, exact.second_moment),
            (path.squared_mean, exact.squared_mean),
            (path.loss, exact.loss),
        ):
            limit, expected = (float(x) for x in (*polynomial.coefficients, 0, 0)[:2])
            assert own.limit[t] == pytest.approx(limit, rel=rounding)
            assert own.coefficient[t] == pytest.approx(expected, rel=rounding)
            assert not expected or own.coefficient[t] != pytest.approx(1.5 * expected, rel=rounding)
        assert path.variance.coefficient[t] > 0
        assert_moments(path, exact, t, rounding)


def assert_moments(path: Any, exact: Any, t: int, rounding: float) -> None:
    """Mean and covariance of the weights, and their squared distance."""
    covariance = np.asarray([[float((*p.coefficients, 0, 0)[1]) for p in row] for row in exact.weight_covariance])
    mean = np.asarray([float((*p.coefficients, 0, 0)[1]) for m in exact.weights for row in m for p in row])
    for own, expected in ((path.weight_covariance[t], covariance), (path.mean_shift[t], mean)):
        assert own == pytest.approx(expected, rel=rounding, abs=rounding * abs(expected).max())
    assert path.squared_distance.coefficient[t] == pytest.approx(np.trace(covariance), rel=rounding)
    assert t == 0 or np.trace(covariance) > 0


def tanh_problem(seed: int = 0, n: int = 12) -> tuple[Any, Any]:
    """Parameters and data of a small network, float64."""
    rng = np.random.default_rng(seed)
    params = {"first": rng.normal(size=(3, 2)), "bias": rng.normal(size=3), "last": rng.normal(size=(1, 3))}
    return jax.tree.map(jnp.asarray, (params, (rng.normal(size=(n, 2)), rng.normal(size=(n, 1)))))


# linear networks: the exact half


@pytest.mark.parametrize(
    "widths, steps",
    [((1, 1), 2), ((3, 1), 2), ((2, 2), 2), ((1, 1, 1), 2), ((2, 2, 1), 1), ((2, 1, 2), 1), ((1, 1, 1, 1), 1)],
)
def test_gaussian_laws_equal_the_exact_half(widths: tuple[int, ...], steps: int) -> None:
    rng = np.random.default_rng(sum(widths))
    weights, width = network(widths, rng), widths[0]
    factor = fractions(rng, width, width)
    covariance = [[sum((a * b for a, b in zip(u, v)), Fraction(u is v)) for u in factor] for v in factor]
    law = lv.Gaussian(fractions(rng, widths[-1], width), covariance, [1] * width, noise_variance="1/3")
    with jax.enable_x64(True):
        path = first_order(linear_loss, floats(weights), law, [1 / 10, 1 / 7][:steps], steps)
    assert_exact(path, weights, law, steps)
    assert path.method == "full" and not path.variance.standard_error.any()


@pytest.mark.parametrize("widths, steps", [((2, 1), 2), ((2, 2), 2), ((1, 1, 1), 2), ((2, 2, 1), 1)])
def test_data_sets_equal_the_exact_half(widths: tuple[int, ...], steps: int) -> None:
    rng = np.random.default_rng(7 + sum(widths))
    weights = network(widths, rng)
    law = lv.Dataset(fractions(rng, 4, widths[0]), fractions(rng, 4, widths[-1]))
    with jax.enable_x64(True):
        path = first_order(linear_loss, floats(weights), law, [1 / 10, 1 / 7][:steps], steps)
        assert_exact(path, weights, law, steps)
        rows = tuple(np.asarray(part, "float64") for part in (law.inputs, law.targets))
        same = first_order(linear_loss, floats(weights), rows, [1 / 10, 1 / 7][:steps], steps)
    np.testing.assert_array_equal(same.variance.coefficient, path.variance.coefficient)


@pytest.mark.parametrize("update", UPDATES, ids=str)
def test_momentum_and_weight_decay_equal_the_exact_half(update: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    weights = network((1, 1, 1), rng)
    law = lv.Dataset(fractions(rng, 4, 1), fractions(rng, 4, 1))
    numbers = {name: value if value is True else float(Fraction(value)) for name, value in update.items()}
    with jax.enable_x64(True):
        path = first_order(linear_loss, floats(weights), law, [1 / 10, 1 / 7], 2, **numbers)
    assert_exact(path, weights, law, 2, **update)


def test_a_gaussian_law_by_probes_and_the_module_of_the_problem(key: Any) -> None:
    """Seven normals: the rule of sign vectors; weighted examples in both methods."""
    law = lv.Gaussian([[1, 0, -1, 2, 0, 1], [0, 1, 1, 0, 0, 1]], noise_variance=0)
    weights = [[["1/2", 0, 1, 0, "1/4", 0], [0, 1, 0, 0, 0, -1]], [[1, 0], ["1/2", 1]]]
    problem = lv.Problem(weights, law, "1/20", 1)
    with jax.enable_x64(True):
        graph, params = nnx.split(network_from_problem(problem))

        def loss(params: Any, example: Any) -> Any:
            return network_loss(nnx.merge(graph, params), example)

        full = first_order(loss, params, law, 1 / 20, 1)
        probed = first_order(loss, params, law, 1 / 20, 1, method="probes", probes=256, key=key)
    exact = [float(lv.gradient_variance(problem.replace(step=t)).coefficients[1]) for t in (0, 1)]
    assert full.variance.coefficient == pytest.approx(exact, rel=ROUNDING)
    assert probed.variance.coefficient[0] == pytest.approx(exact[0], rel=ROUNDING)
    assert abs(probed.variance.estimate().z(exact[1])) < 5 < abs(probed.variance.estimate().z(1.5 * exact[1]))


@pytest.mark.parametrize("width", [0, 1, 2, 4, 5, 8, 17])
def test_the_rules_have_the_moments_of_normals(width: int) -> None:
    """Every moment up to order 4, a few hundred terms of order width^2 each."""
    points, weights = normal_rule(width)
    assert weights.min() > 0
    for order in range(5):
        for index in itertools.combinations_with_replacement(range(width), order):
            powers = [index.count(i) for i in set(index)]
            expected = 0 if any(k % 2 for k in powers) else math.prod(1 if k == 2 else 3 for k in powers)
            assert weights @ np.prod(points[:, list(index)], axis=1) == pytest.approx(expected, abs=1e-11), index


def test_without_replacement_to_first_order() -> None:
    """Linear regression is a polynomial in c = (n-b)/(b(n-1)) = (n u - 1)/(n - 1): its derivative at c = 0."""
    rng = np.random.default_rng(5)
    law = lv.Dataset(fractions(rng, 5, 2), fractions(rng, 5, 1))
    problem = lv.Problem([[[1, "1/2"]]], law, RATES, 2, "without_replacement")
    with jax.enable_x64(True):
        path = first_order(linear_loss, floats([[[1.0, 0.5]]]), law, [1 / 10, 1 / 7], 2)
    coefficients = [Fraction(str(c)) for c in lv.gradient_variance(problem).coefficients]
    slope = sum(k * c * Fraction(1, 5) ** (k - 1) for k, c in enumerate(coefficients) if k) * Fraction(4, 5)
    assert path.variance.coefficient[2] == pytest.approx(float(slope), rel=ROUNDING)
    assert path.variance.coefficient[2] != pytest.approx(1.5 * float(slope), rel=ROUNDING)
    at_start = lv.gradient_variance(problem.replace(step=0, learning_rate=0))
    assert path.variance.at(3, "without_replacement")[0] == pytest.approx(float(at_start(3)), rel=ROUNDING)
    assert path.variance.at(3)[0] == pytest.approx(path.variance.coefficient[0] / 3)
    assert not path.variance.at(5, "without_replacement").any()


# any loss


def test_a_tanh_network_agrees_with_simulation(key: Any) -> None:
    """20,000 runs at b = 32 and at b = 96: five standard errors, fixed key; the last batch alone is rejected.

    b var(b) = beta_1 + beta_2 / b + ..., so beta_1 = (96 f(96) - 32 f(32)) / 64 but for a term in 1 / (32 * 96).
    """
    runs, steps, rates, update = 20_000, 4, [0.3, 0.2, 0.3, 0.2], {"momentum": 0.5, "nesterov": True}
    with jax.enable_x64(True):
        params, data = tanh_problem()
        path = first_order(tanh_loss, params, data, rates, steps, weight_decay=0.1, **update)

        def mean_loss(params: Any, batch: Any) -> Any:
            return jnp.mean(jax.vmap(tanh_loss, (None, 0))(params, batch))

        optimizer = optax.chain(
            optax.add_decayed_weights(0.1), optax.sgd(lambda t: jnp.asarray([*rates, 0.0])[t], **update)
        )

        def run(b: int, key: Any) -> Any:
            now, memory = params, optimizer.init(params)
            for t in range(steps + 1):
                rows = jax.random.randint(jax.random.fold_in(key, t), (b,), 0, 12)
                gradient = jax.grad(mean_loss)(now, jax.tree.map(lambda x: x[rows], data))  # noqa: B023
                updates, memory = optimizer.update(gradient, memory, now)
                now = optax.apply_updates(now, updates)
            return jnp.concatenate([jnp.ravel(g) for g in jax.tree.leaves(gradient)])

        found = {}
        for b in (32, 96):
            keys = jax.random.split(jax.random.fold_in(key, b), runs)
            gradients = jax.jit(lambda keys, b=b: jax.lax.map(lambda k: run(b, k), keys, batch_size=500))(keys)
            found[b] = terms_of_rows([np.asarray(gradients)]).estimates()[0]
    weights = {32: -(32**2) / 64, 96: 96**2 / 64}
    value = sum(weights[b] * found[b].value for b in found)
    error = math.hypot(*(weights[b] * found[b].standard_error for b in found))
    assert path.propagated[steps] > 5 * error and 0.1 * path.variance.coefficient[steps] > 5 * error
    assert abs(value - path.variance.coefficient[steps]) < 5 * error
    assert abs(value - 1.5 * path.variance.coefficient[steps]) > 5 * error
    assert abs(value - path.per_example[steps]) > 5 * error  # the last batch alone is not enough


RULES: list[dict[str, float]] = [{}, {"momentum": 0.5, "weight_decay": 0.1}]


@pytest.mark.parametrize("update", slow_but(RULES, RULES[1]), ids=["plain", "momentum"])
def test_probes_agree_with_the_full_covariance(update: dict[str, float], key: Any) -> None:
    """2,000 probes, five standard errors, fixed key; 1.5 times the propagated part is rejected."""
    with jax.enable_x64(True):
        params, data = tanh_problem(1)
        full = first_order(tanh_loss, params, data, 0.2, 5, **update)
        probed = first_order(tanh_loss, params, data, 0.2, 5, method="probes", probes=2000, key=key, **update)
    np.testing.assert_allclose(probed.per_example, full.per_example, rtol=ROUNDING)
    np.testing.assert_allclose(probed.loss.limit, full.loss.limit, rtol=ROUNDING)
    np.testing.assert_allclose(probed.gradient_norm, full.gradient_norm, rtol=ROUNDING)
    assert probed.propagated[0] == full.propagated[0] == 0 == probed.variance.standard_error[0]
    for t in range(1, 6):
        assert abs(probed.propagated[t] - full.propagated[t]) < 5 * probed.variance.standard_error[t]
        assert abs(probed.propagated[t] - 1.5 * full.propagated[t]) > 5 * probed.variance.standard_error[t]
        for name in ("second_moment", "squared_mean", "loss", "squared_distance"):
            own, exact = getattr(probed, name), getattr(full, name)
            reach = 5 if own.runs == 2000 else 16  # of Student's t of eight blocks: as rare as five of a normal
            assert abs(own.estimate(t).z(exact.coefficient[t])) < reach
            np.testing.assert_allclose(own.limit, exact.limit, rtol=ROUNDING)


@pytest.mark.parametrize("method", slow_but(["full", "probes"], "full"))
def test_weights_are_repetitions(method: str, key: Any) -> None:
    """Examples of weights 1/6, 2/6 and 3/6, and the same examples once, twice and three times."""
    with jax.enable_x64(True):
        params, data = tanh_problem(2, n=3)
        repeated = jax.tree.map(lambda x: jnp.repeat(x, jnp.asarray([1, 2, 3]), axis=0), data)
        weights = np.asarray([1, 2, 3]) / 6
        options: dict[str, Any] = {"method": method, "probes": 500, "key": key}
        own = first_order(tanh_loss, params, data, 0.2, 2, weights=weights, **options)
        same = first_order(tanh_loss, params, repeated, 0.2, 2, **options)
    np.testing.assert_allclose(own.per_example, same.per_example, rtol=ROUNDING)
    np.testing.assert_allclose(own.loss.limit, same.loss.limit, rtol=ROUNDING)
    errors = 5 * np.hypot(own.variance.standard_error, same.variance.standard_error)
    assert (abs(own.propagated - same.propagated) <= errors + ROUNDING * same.propagated).all()
    assert (abs(own.propagated - 1.5 * same.propagated)[1:] > errors[1:]).all()
    errors = 5 * np.hypot(own.loss.standard_error, same.loss.standard_error) + ROUNDING
    assert (abs(own.loss.coefficient - same.loss.coefficient) <= errors).all() and own.loss.coefficient[2] > errors[0]
    with pytest.raises(ValueError, match="needs examples that count the same"):
        own.variance.at(2, "without_replacement")


@pytest.mark.parametrize(
    ("method", "weighted"),
    [
        ("full", False),
        ("probes", True),
        pytest.param("full", True, marks=pytest.mark.slow),
        pytest.param("probes", False, marks=pytest.mark.slow),
    ],
)
def test_chunks_change_rounding_only(method: str, weighted: bool, key: Any) -> None:
    weights = np.arange(1, 14) / 91 if weighted else None
    with jax.enable_x64(True):
        params, data = tanh_problem(3, n=13)
        options: dict[str, Any] = {"method": method, "probes": 7, "key": key, "weights": weights}
        whole = first_order(tanh_loss, params, data, 0.2, 2, **options)
        # one probe and one example at a time, or five examples
        options |= {"byte_budget": 2} if method == "probes" and weighted else {"chunk_size": 5}
        parts = first_order(tanh_loss, params, data, 0.2, 2, **options)
    np.testing.assert_allclose(parts.variance.coefficient, whole.variance.coefficient, rtol=ROUNDING)
    np.testing.assert_allclose(parts.variance.standard_error, whole.variance.standard_error, rtol=ROUNDING)
    assert parts.propagated[2] > 1e-3 * parts.variance.coefficient[2]


def shapes_in(jaxpr: Any) -> list[tuple[int, ...]]:
    """Shapes of everything computed, inside loops and calls too."""
    found = []
    for equation in jaxpr.eqns:
        found += [v.aval.shape for v in equation.outvars if hasattr(v.aval, "shape")]
        for value in equation.params.values():
            for inner in value if isinstance(value, (list, tuple)) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    found += shapes_in(inner)
    return found


def large_problem() -> tuple[Any, Any, int]:
    """50,960 parameters, float32."""
    rng = np.random.default_rng(0)
    params = {"first": rng.normal(size=(784, 63)) / 28, "bias": np.zeros(784), "last": rng.normal(size=(1, 784)) / 28}
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    data = jnp.asarray(rng.normal(size=(16, 63)), jnp.float32), jnp.asarray(rng.normal(size=(16, 1)), jnp.float32)
    return params, data, sum(x.size for x in jax.tree.leaves(params))


def test_many_parameters_need_no_square_matrix(key: Any) -> None:
    params, data, count = large_problem()
    assert count > 50_000
    moving = [jnp.zeros((8, *x.shape), x.dtype) for x in jax.tree.leaves(params)], None
    program = Program(False, False, 16, 8, 2**28)
    taken, _ = take(tanh_loss, params, batched=None)
    traced = jax.make_jaxpr(probe_step, static_argnums=1)(
        taken, program, params, None, Vectors(moving, moving), data, None, None, Rates(0.1, 0.0, 0.0), key
    )
    largest = max(math.prod(shape) for shape in shapes_in(traced.jaxpr))
    assert 8 * 784 * 63 <= largest < 20 * count
    small, rows = tanh_problem()
    own = jax.make_jaxpr(full_step, static_argnums=1)(
        taken,
        program,
        small,
        None,
        Moments(jnp.zeros((12, 12)), jnp.zeros(12)),
        rows,
        None,
        None,
        Rates(0.1, 0.0, 0.0),
    )
    assert (12, 12) in shapes_in(own.jaxpr)  # the check above can fail


def test_many_parameters_agree_with_direct_products(key: Any) -> None:
    """t = 1: tr(H C H) = a^2 mean ||H (g_i - g)||^2 at w_1 with gradients at w_0; five standard errors and float32."""
    params, data, _ = large_problem()
    path = first_order(tanh_loss, params, data, 0.1, 1, probes=64, key=key)
    assert path.method == "probes" and path.variance.estimate().runs == 64

    def mean_loss(params: Any) -> Any:
        return jnp.mean(jax.vmap(tanh_loss, (None, 0))(params, data))

    each = jax.jit(jax.vmap(jax.grad(tanh_loss), (None, 0)))(params, data)
    centred = jax.tree.map(lambda g: g - jnp.mean(g, axis=0), each)
    moved = jax.tree.map(lambda x, g: x - 0.1 * jnp.mean(g, axis=0), params, each)
    products = jax.jit(jax.vmap(lambda v: jax.jvp(jax.grad(mean_loss), (moved,), (v,))[1]))(centred)
    expected = 0.01 * sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(products)) / 16
    trace = sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(centred)) / 16
    assert path.per_example[0] == pytest.approx(trace, rel=1e-4)
    assert abs(path.propagated[1] - expected) < 5 * path.variance.standard_error[1] < 0.5 * expected


# smallest cases, kinds of parameters


def test_no_steps_is_the_trace_of_one_gradient() -> None:
    path = first_order(lambda w, x: w * x, jnp.asarray(1.0), jnp.asarray([1.0, 2.0, 6.0]), 0.5, 0)
    assert path.variance.coefficient.tolist() == pytest.approx([14 / 3], rel=1e-6)
    assert repr(path.variance.estimate()) == "4.66667 +- 0 (0 runs)"
    assert repr(path) == "FirstOrder(0 steps, variance[0]=(4.66667)/b, loss[0]=3 + (0)/b, method='full')"


def test_a_perfect_fit_has_no_variance(key: Any) -> None:
    x = jnp.asarray([[1.0, 2.0], [3.0, 1.0]])
    for method in ("full", "probes"):
        path = first_order(linear_loss, [jnp.eye(2)], (x, x), 0.1, 3, method=method, key=key)
        assert not path.variance.coefficient.any() and not path.loss.limit.any()


def test_other_leaves_stay_and_half_precision_is_widened(key: Any) -> None:
    def loss(params: Any, x: Any) -> Any:
        return 0.5 * (params["w"].astype(jnp.float32) * params["power"] - x[params["row"]]) ** 2

    data = jnp.asarray([[0.0, 1.0], [0.0, 3.0], [0.0, 8.0]])
    params = {"w": jnp.asarray(2.0, jnp.bfloat16), "row": jnp.asarray(1), "power": 1.0}
    for method in ("full", "probes"):
        path = first_order(loss, params, data, 0.1, 2, method=method, key=key)
        single = first_order(loss, params | {"w": 2.0}, data, 0.1, 2, method=method, key=key)
        np.testing.assert_array_equal(path.variance.coefficient, single.variance.coefficient)
        # gradients (w p - x)(p, w) of variance 26/3 (p^2 + w^2)
        assert path.variance.coefficient[0] == pytest.approx(26 / 3 * 5, rel=1e-6)


def test_a_relu_counts_without_its_kinks() -> None:
    """1/2 (relu(w x) - y)^2 with w x > 0 throughout is linear regression; its kink at w x = 0 adds nothing."""
    x, y = jnp.asarray([1.0, 2.0, -1.0]), jnp.asarray([1.0, 1.0, 1.0])
    own = first_order(lambda w, e: 0.5 * (jax.nn.relu(w * e[0]) - e[1]) ** 2, 1.5, (x, y), 0.1, 2)
    zeroed = jnp.maximum(x, 0)
    same = first_order(lambda w, e: 0.5 * (w * e[0] - e[1]) ** 2, 1.5, (zeroed, y), 0.1, 2)
    np.testing.assert_allclose(own.variance.coefficient, same.variance.coefficient, rtol=1e-6)


def test_schedules_and_progress() -> None:
    data, counts = jnp.asarray([1.0, 2.0, 6.0]), []
    schedule = optax.exponential_decay(0.5, 1, 0.5)
    loss = lambda w, x: 0.5 * (w - x) ** 4  # noqa: E731
    own = first_order(loss, 0.5, data, lambda t: 0.01 * schedule(t), 2, progress=lambda *a: counts.append(a))
    same = first_order(loss, 0.5, data, [0.005, 0.0025], 2)
    np.testing.assert_array_equal(own.variance.coefficient, same.variance.coefficient)
    assert counts == [(1, 3), (2, 3), (3, 3)]
