"""SGD runs: against enumeration, hand-computed values and the exact reference values, with stated budgets.

Tolerances are 5 standard errors at fixed keys; each comparison also rejects 3/2 and 2/3 of the truth.
"""

import json
import math
from fractions import Fraction
from functools import partial
from itertools import combinations, product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import slow_but

from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.numeric import arguments
from linvar.numeric.laws.sampling import sampler_from_problem
from linvar.numeric.simulation import runs, trajectories
from linvar.numeric.simulation.rare_batches import rare_batches
from linvar.numeric.simulation.trajectories import simulate
from linvar.problem import Problem

REFERENCE = Path(__file__).parents[1] / "reference" / "variance.json"
CASES = [case for case in json.loads(REFERENCE.read_text())["cases"] if case["t"] <= 1]
KEY = jax.random.key(20)
TINY = Problem(
    weights=[[[1, 0], ["1/2", 1]], [[1, "-1/2"]]],
    law=Dataset([[1, 2], [0, 1], [-1, 1], [2, "1/2"]], [3, 2, -1, "9/2"]),
    learning_rate="1/10",
)


def check(estimate, truth):
    """Within 5 standard errors of the truth, and not of 3/2 or 2/3 of it."""
    if truth == 0:
        assert estimate.value == 0 or abs(estimate.z(0)) < 5
        return
    assert abs(estimate.z(truth, rounding=1e-12)) < 5, (estimate, truth)
    assert abs(estimate.z(1.5 * truth)) > 5 and abs(estimate.z(truth / 1.5)) > 5, (estimate, truth)


def _append(calls, *arguments):
    """A progress callback that remembers."""
    calls.append(arguments)


def enumerate_runs(problem, batch_size):
    """Every run on a tiny data set, by loops and central differences: gradients of each layer, one row a run; losses.

    A central difference of step 1/2 of the loss in one entry is exact: the loss is quadratic in each entry.
    """
    x = np.array([[float(v) for v in row] for row in problem.law.inputs])
    y = np.array([[float(v) for v in row] for row in problem.law.targets])
    rows = range(len(x))
    choose = product(rows, repeat=batch_size) if problem.sampling == "iid" else combinations(rows, batch_size)
    batches = [list(batch) for batch in choose]

    def batch_loss(weights, batch):
        end_to_end = np.eye(x.shape[1])
        for weight in weights:
            end_to_end = weight @ end_to_end
        return 0.5 * np.sum((x[batch] @ end_to_end.T - y[batch]) ** 2) / len(batch)

    def gradient(weights, batch):
        slopes = []
        for layer, weight in enumerate(weights):
            slope = np.zeros_like(weight)
            for index in np.ndindex(weight.shape):
                values = []
                for shift in (0.5, -0.5):
                    moved = [w.copy() for w in weights]
                    moved[layer][index] += shift
                    values.append(batch_loss(moved, batch))
                slope[index] = values[0] - values[1]
            slopes.append(slope)
        return slopes

    states = [[np.array([[float(v) for v in row] for row in matrix]) for matrix in problem.weights]]
    for rate in problem.learning_rates:
        states = [
            [w - float(rate) * g for w, g in zip(weights, gradient(weights, batch))]
            for weights in states
            for batch in batches
        ]
    last = [gradient(weights, batch) for weights in states for batch in batches]
    losses = [batch_loss(weights, list(rows)) for weights in states]
    return [np.array([slopes[layer].ravel() for slopes in last]) for layer in range(problem.depth)], np.array(losses)


@pytest.mark.parametrize(
    ("sampling", "batch_size", "step"),
    [("iid", 1, 0), ("iid", 3, 0), ("iid", 2, 1), ("without_replacement", 1, 0), ("without_replacement", 3, 0),
     ("without_replacement", 2, 1), ("without_replacement", 3, 2)],
)  # fmt: skip
def test_against_every_run_of_a_tiny_data_set(sampling, batch_size, step):
    problem = TINY.replace(sampling=sampling, step=step)
    moments = simulate(KEY, problem, batch_sizes=[batch_size], runs=20_000)[batch_size]
    layers, losses = enumerate_runs(problem, batch_size)
    variances = [layer.var(axis=0).sum() for layer in layers]
    second_moments = [(layer**2).sum(axis=1).mean() for layer in layers]
    squared_means = [(layer.mean(axis=0) ** 2).sum() for layer in layers]
    check(moments.loss, losses.mean())
    if batch_size == 1:
        assert moments.conditional_variance is None
    else:  # runs that share all but the last batch stand together
        number = len(layers[0]) // len(losses)
        groups = [layer.reshape(len(losses), number, -1) for layer in layers]
        check(moments.conditional_variance, sum(group.var(axis=1).sum(axis=1).mean() for group in groups))
    for total, per_layer, truths in [
        (moments.variance, moments.variance_per_layer, variances),
        (moments.second_moment, moments.second_moment_per_layer, second_moments),
        (moments.squared_mean, moments.squared_mean_per_layer, squared_means),
    ]:
        check(total, sum(truths))
        for estimate, truth in zip(per_layer, truths, strict=True):
            check(estimate, truth)


@pytest.mark.parametrize(("sampling", "factor"), [("iid", 1 / 3), ("without_replacement", (4 - 3) / (3 * (4 - 1)))])
def test_at_step_zero_the_variance_is_a_factor_times_the_trace_over_examples(sampling, factor):
    moments = simulate(KEY, TINY.replace(sampling=sampling), batch_sizes=[3], runs=20_000)[3]
    layers, _ = enumerate_runs(TINY, 1)
    check(moments.variance, factor * sum(layer.var(axis=0).sum() for layer in layers))


def test_by_hand_width_one():
    """w = 2, teacher -1, x standard normal: G = 3 S, so E||G||^2 = 9 (1 + 2/b), ||E G||^2 = 9, loss 9/2."""
    problem = Problem(weights=[[[2]]], law=Gaussian([[-1]]))
    for b, moments in simulate(KEY, problem, batch_sizes=[1, 8], runs=20_000).items():
        check(moments.variance, 18 / b)
        check(moments.second_moment, 9 + 18 / b)
        check(moments.squared_mean, 9)
        check(moments.loss, 4.5)


def test_a_learning_rate_a_step():
    """Width one: E (w - w*) shrinks by (1 - 1/2)(1 - 1/4), whatever b."""
    problem = Problem(weights=[[[2]]], law=Gaussian([[-1]]), learning_rate=["1/2", "1/4"], step=2)
    moments = simulate(KEY, problem, batch_sizes=[64], runs=4000)[64]
    check(moments.squared_mean, (3 * 0.5 * 0.75) ** 2)


@pytest.mark.parametrize("batch_size", slow_but([1, 3, 9, 64], 1, 9))  # 9 has more rows than 5, too
def test_second_moments_drawn_directly_have_the_law_of_the_batch(batch_size):
    """Moments of S, the mean of (x, e) (x, e)^T over a batch, up to the third, by both roads."""
    law = Gaussian([[1, 0], [0, 1]], mean=[2, -1], noise_variance=4)
    problem = Problem([[[1, 0], [0, 1]]], law)
    runs = 40_000
    with jax.enable_x64(True):
        sampler = sampler_from_problem(problem, second_moments=True)
        assert sampler.rows(batch_size) == min(batch_size, 5)
        x, y = jax.jit(jax.vmap(lambda key: sampler.draw(key, batch_size)))(jax.random.split(KEY, runs))
        plain = sampler_from_problem(problem)
        x1, y1 = jax.jit(jax.vmap(lambda key: plain.draw(key, batch_size)))(jax.random.split(jax.random.key(7), runs))
    matrices = []
    for inputs, targets in ((x, y), (x1, y1)):
        rows = np.concatenate([np.asarray(inputs), np.asarray(targets - inputs) / 2], axis=-1)  # (c x, c e)
        matrices.append((np.einsum("rbi,rbj->rij", rows, rows) / rows.shape[1]).reshape(runs, 16))
    mean = (np.outer([2, -1, 0, 0], [2, -1, 0, 0]) + np.eye(4)).ravel()
    error = matrices[0].std(axis=0) / np.sqrt(runs)
    assert np.all(np.abs(matrices[0].mean(axis=0) - mean) < 5 * error)
    direct, by_examples = (m - mean for m in matrices)
    for power in (2, 3):
        error = np.hypot((direct**power).std(axis=0), (by_examples**power).std(axis=0)) / np.sqrt(runs)
        one, two = (direct**power).mean(axis=0), (by_examples**power).mean(axis=0)
        assert np.all(np.abs(one - two) < 5 * error)
        if power == 2:
            assert np.all(np.abs(1.5 * one - two) > 5 * error)
    mixed = [m[:, :1] * m[:, [1, 5, 2, 15]] for m in (direct, by_examples)]
    error = np.hypot(*(m.std(axis=0) for m in mixed)) / np.sqrt(runs)
    assert np.all(np.abs(mixed[0].mean(axis=0) - mixed[1].mean(axis=0)) < 5 * error)


@pytest.mark.parametrize("batch_size", slow_but([1, 50], 1))
def test_both_ways_of_drawing_batches_agree(batch_size):
    law = Gaussian([[1, 0], [0, 2]], covariance=[[2, 1], [1, 1]], mean=[1, 0], noise_variance=1)
    problem = Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], law, learning_rate="1/100", step=1)
    examples, direct = (
        simulate(KEY, problem, batch_sizes=[batch_size], runs=30_000, batches=batches)[batch_size]
        for batches in ("examples", "second_moments")
    )
    assert direct.conditional_variance is None
    for name in ("variance", "second_moment", "loss"):
        one, two = getattr(examples, name), getattr(direct, name)
        error = math.hypot(one.standard_error, two.standard_error)
        assert abs(one.value - two.value) < 5 * error and abs(1.5 * one.value - two.value) > 5 * error
        assert one.value != two.value


def test_second_moments_at_a_batch_size_no_batch_could_have():
    """Width one as above, at b = 10^9."""
    problem = Problem(weights=[[[2]]], law=Gaussian([[-1]]))
    moments = simulate(KEY, problem, batch_sizes=[10**9], runs=20_000, batches="second_moments")[10**9]
    check(moments.variance, 18e-9)
    assert abs(moments.squared_mean.value - 9) < 1e-5


def test_second_moments_are_for_gaussian_laws():
    with pytest.raises(ValueError, match="batches='second_moments' is for a Gaussian law"):
        simulate(KEY, TINY, batch_sizes=[2], runs=10, batches="second_moments")
    with pytest.raises(ValueError, match="batches='all' is unknown"):
        simulate(KEY, TINY, batch_sizes=[2], runs=10, batches="all")


@pytest.mark.parametrize(
    ("case", "batches"),
    [
        pytest.param(case, batches, marks=[pytest.mark.slow] * (number % 2))
        for batches, cases in (("examples", CASES), ("second_moments", CASES[::3]))
        for number, case in enumerate(cases)
    ],
    ids=lambda value: value if isinstance(value, str) else value["id"],
)
def test_against_the_exact_reference(case, batches):
    problem = Problem(case["weights"], Gaussian(case["teacher"]), case["alpha"], case["t"])
    batch_size = 4 if batches == "second_moments" or CASES.index(case) % 2 else 16
    results = simulate(KEY, problem, batch_sizes=[batch_size], runs=16_000, batches=batches)
    for b, moments in results.items():
        for estimate, name in [
            (moments.variance, "coefficients_in_u"),
            (moments.second_moment, "second_moment_in_u"),
            (moments.squared_mean, "squared_mean_in_u"),
        ]:
            check(estimate, float(sum(Fraction(c) / b**k for k, c in enumerate(case[name]))))


def test_the_whole_data_set_without_replacement_has_exactly_zero_variance():
    for step in (0, 2):
        problem = TINY.replace(sampling="without_replacement", step=step)
        moments = simulate(KEY, problem, batch_sizes=[4], runs=50)[4]
        assert moments.variance.value == 0 and moments.variance.standard_error == 0
        assert moments.second_moment.standard_error == 0 and moments.squared_mean.standard_error == 0
        truth = sum((layer.mean(axis=0) ** 2).sum() for layer in enumerate_runs(problem, 4)[0])
        assert moments.squared_mean.value == pytest.approx(truth, rel=1e-12)  # float64


def test_a_perfect_fit_has_nothing_at_all():
    problem = Problem(weights=[[[1, 2]], [[1]]], law=Gaussian([[1, 2]]), learning_rate="1/10", step=1)
    moments = simulate(KEY, problem, batch_sizes=[2], runs=10)[2]
    for name in ("variance", "second_moment", "squared_mean", "loss"):
        assert getattr(moments, name).value == 0
    assert moments.variance.z(0) == 0


def test_a_zero_mean_still_has_a_standard_error():
    """w = w*, noisy targets: E G = 0. Over repeats the z-scores of the squared mean have spread about 1."""
    problem = Problem(weights=[[[1, 0]]], law=Gaussian([[1, 0]], noise_variance=1))
    keys = jax.random.split(KEY, 60)
    scores = [simulate(key, problem, batch_sizes=[2], runs=200)[2].squared_mean.z(0) for key in keys]
    # mean of 60 scores: s.e. 0.13; a standard error that forgot the second order would send them to infinity
    assert abs(np.mean(scores)) < 0.6 and 0.6 < np.std(scores) < 1.6


def test_standard_errors_are_the_spread_over_repeats():
    problem = TINY.replace(step=1)
    repeats = [simulate(key, problem, batch_sizes=[2], runs=400)[2] for key in jax.random.split(KEY, 80)]
    for name in ("variance", "second_moment", "squared_mean", "loss"):
        estimates = [getattr(moments, name) for moments in repeats]
        ratio = np.std([e.value for e in estimates]) / np.mean([e.standard_error for e in estimates])
        assert 0.7 < ratio < 1.4  # the spread of 80 repeats is known to 8 %, 4 of them


def test_the_terms_average_to_the_estimates():
    moments = simulate(KEY, TINY.replace(step=1), batch_sizes=[2], runs=500)[2]
    assert moments.variance_terms.shape == moments.second_moment_terms.shape == (500, 2)
    assert moments.loss_terms.shape == (500,)
    for terms, total, per_layer in [
        (moments.variance_terms, moments.variance, moments.variance_per_layer),
        (moments.second_moment_terms, moments.second_moment, moments.second_moment_per_layer),
    ]:
        np.testing.assert_allclose(terms.mean(axis=0), [estimate.value for estimate in per_layer], rtol=1e-12)
        np.testing.assert_allclose(terms.sum(axis=1).mean(), total.value, rtol=1e-12)
    assert moments.variance.value + moments.squared_mean.value == pytest.approx(moments.second_moment.value, rel=1e-12)


# 203 gradients of 6 floats are 9,744 bytes: a smaller budget also makes every run twice instead of keeping it
@pytest.mark.parametrize(("sampling", "budget", "twice"), [("iid", 9_800, False), ("without_replacement", 5_000, True)])
def test_the_answer_does_not_depend_on_the_chunks(sampling, budget, twice, monkeypatch):
    problem = TINY.replace(sampling=sampling, step=1)
    whole = simulate(KEY, problem, batch_sizes=[2], runs=203)[2]
    sizes = []
    original = trajectories._Chunks._chunk_size
    monkeypatch.setattr(trajectories._Chunks, "_chunk_size", lambda *a: sizes.append(original(*a)) or sizes[-1])
    calls = []
    record = partial(_append, calls)
    small = simulate(KEY, problem, batch_sizes=[2], runs=203, byte_budget=budget, progress=record)[2]
    assert 1 <= sizes[-1] < 30
    assert calls[-1] == (203 * (1 + twice),) * 2
    for name in ("variance_terms", "second_moment_terms", "loss_terms"):  # float64, other orders of summation
        np.testing.assert_allclose(getattr(small, name), getattr(whole, name), rtol=1e-10, atol=1e-13)
    for name in ("variance", "squared_mean", "loss"):
        here, there = getattr(small, name), getattr(whole, name)
        np.testing.assert_allclose(here.value, there.value, rtol=1e-11)
        np.testing.assert_allclose(here.standard_error, there.standard_error, rtol=1e-9)


def test_runs_and_batch_sizes_have_keys_of_their_own():
    problem = TINY.replace(step=1)
    both = simulate(KEY, problem, batch_sizes=[2, 3, 2], runs=64)
    assert list(both) == [2, 3]
    np.testing.assert_array_equal(both[2].loss_terms, simulate(KEY, problem, batch_sizes=[2], runs=64)[2].loss_terms)
    longer = simulate(KEY, problem, batch_sizes=[2], runs=80)[2]
    np.testing.assert_allclose(both[2].loss_terms, longer.loss_terms[:64], rtol=1e-12)
    other = simulate(jax.random.key(21), problem, batch_sizes=[2], runs=64)[2]
    assert not np.allclose(both[2].loss_terms, other.loss_terms)


def test_float32_and_no_global_flag():
    before = jnp.zeros(1).dtype
    problem = TINY.replace(step=1)
    single = simulate(KEY, problem, batch_sizes=[2], runs=20_000, dtype="float32")[2]
    assert single.variance_terms.dtype == "float64"  # sums over runs are done in float64
    check(single.variance, sum(layer.var(axis=0).sum() for layer in enumerate_runs(problem, 2)[0]))
    assert np.array_equal(single.loss_terms, single.loss_terms.astype("float32"))
    double = simulate(KEY, problem, batch_sizes=[2], runs=9)[2].loss_terms
    assert not np.array_equal(double, double.astype("float32"))
    assert jnp.zeros(1).dtype == before


def test_one_program_serves_every_batch_size_and_all_numbers_of_a_problem():
    problem = TINY.replace(step=1)
    simulate(KEY, problem, batch_sizes=[2], runs=64)
    rare_batches(KEY, problem, batch_size=2, runs=64)
    count = runs._run._cache_size()
    other = problem.replace(learning_rate="1/7", weights=[[[3, 0], [0, 1]], [[1, 5]]])
    simulate(jax.random.key(5), problem, batch_sizes=[2, 3, 4, 1], runs=64)
    simulate(KEY, other, batch_sizes=[4], runs=64)
    rare_batches(KEY, other, batch_size=4, runs=64)
    assert runs._run._cache_size() == count
    simulate(KEY, problem.replace(step=2), batch_sizes=[4], runs=64)
    assert runs._run._cache_size() == count + 1


def test_runs_that_diverge_are_counted_and_poison_the_estimates():
    problem = Problem(weights=[[[10]], [[10]], [[10]]], law=Gaussian([[1]]), learning_rate=1000, step=5)
    moments = simulate(KEY, problem, batch_sizes=[1], runs=20)[1]
    assert moments.nonfinite_runs == 20
    for name in ("variance", "second_moment", "squared_mean", "loss"):
        assert math.isnan(getattr(moments, name).value) and math.isnan(getattr(moments, name).standard_error)
    assert simulate(KEY, TINY, batch_sizes=[1], runs=20)[1].nonfinite_runs == 0


@pytest.mark.parametrize("key", [0, None, jax.random.PRNGKey(0), jax.random.split(jax.random.key(0), 2)])
def test_a_typed_key_is_required(key):
    with pytest.raises(TypeError, match=r"^key.*jax\.random\.key\(seed\)"):
        arguments.check_key(key)  # directly: while annotations are checked, simulate stops before its own message
    with pytest.raises(TypeError, match="key"):
        simulate(key, TINY, batch_sizes=[1], runs=2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_sizes": [0]}, ValueError, "batch_sizes contains 0: .* at least 1"),
        ({"batch_sizes": [5]}, ValueError, "batch_sizes contains 5, .* 4 examples: .* sampling='iid'"),
        ({"batch_sizes": []}, ValueError, "empty"),
        ({"batch_sizes": [True]}, TypeError, "truth value"),
        ({"runs": 1}, ValueError, "runs=1: .* at least 2"),
        ({"dtype": "float16"}, ValueError, "dtype='float16'"),
        ({"step": -1}, ValueError, "step=-1"),
        ({"byte_budget": 100}, ValueError, "byte_budget=100: one run needs about [0-9]+ bytes"),
    ],
)
def test_bad_arguments_are_named_with_the_cure(options, error, message):
    problem = TINY.replace(sampling="without_replacement")
    with pytest.raises(error, match=message):
        simulate(KEY, problem, **{"batch_sizes": [2], "runs": 10, **options})


def test_a_float_is_no_batch_size():
    with pytest.raises(TypeError, match=r"batch_sizes\[0\]=2.0 is of type float: give an integer"):
        arguments.check_batch_sizes([2.0], None)
    with pytest.raises(TypeError, match=r"batch_sizes=3 is of type int: give a list"):
        arguments.check_batch_sizes(3, None)
    assert arguments.check_batch_sizes(np.array([2, 4]), None) == (2, 4)


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    problem = TINY.replace(learning_rate=sympy.Symbol("alpha"), step=1)
    with pytest.raises(ValueError, match="symbols alpha"):
        simulate(KEY, problem, batch_sizes=[2], runs=10)


@pytest.mark.filterwarnings("error")
def test_squares_beyond_float64_leave_an_infinite_error_and_no_warning(key):
    problem = Problem([[[10**80, 2]]], Gaussian([[1, 0]]), "10", 4)
    moments = simulate(key, problem, batch_sizes=[2], runs=20)[2]
    assert not moments.nonfinite_runs and moments.variance.value > 1e160
    for estimate in (moments.variance, moments.second_moment, moments.squared_mean, moments.loss):
        assert np.isfinite(estimate.value) and estimate.standard_error == np.inf
