"""Laws that are drawn: moments against closed forms, rare batches without bias, rules and expectations of weighted examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import slow_but

import linvar as lv
from linvar.errors import InputError
from linvar.laws.law import Law
from linvar.numeric.delta_method.coefficients import first_order
from linvar.numeric.laws.law import RareBatch
from linvar.numeric.laws.rows import RowSampler
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.regression import regression_curve
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.trajectories import simulate

#: examples drawn of each law, and standard errors that a mean may be off
DRAWS, BUDGET = 200_000, 4.5
#: batches of two examples for the rare samplers
BATCHES = 40_000
IID = numeric_scheme("iid")
#: E f(x, y) = number
Means = dict[Callable[[Any, Any], Any], float]

FINITE = lv.Finite([[1, 0], [-1, 2], [4, 1]], [[1], [0], ["1/2"]], ["1/2", "7/16", "1/16"])
EQUAL = lv.Finite([[1, 0], [-1, 2], [4, 1]], [[1], [0], ["1/2"]], ["1/3"] * 3)
ROWS = lv.Dataset([[1, 0], [-1, 2], [4, 1]], [[1], [0], ["1/2"]])
#: x = (z0, 1 + z1), y = (2 z0^2 + z2, z0 z1, 3), z3 does not vary
MIXED = lv.Independent(
    [lv.Uniform(-1, 1), lv.Normal(0, "1/4"), lv.Rademacher(), lv.Normal(1, 0)],
    lambda z: ([z[0], z[3] + z[1]], [2 * z[0] ** 2 + z[2], z[0] * z[1], 3]),
)
SHIFTED = lv.Independent([lv.Uniform(0, 3), lv.Normal(2, 3)], lambda z: ([z[0], z[1]], z[0] - z[1]))
SIGNS = lv.Independent([lv.Rademacher()] * 2, lambda z: ([z[0], 1], 2 * z[0] * z[1] + 1))
#: singular: the second input is the first, and 1 more
NORMAL = lv.Gaussian([[1, 2]], [[2, 2], [2, 2]], mean=[0, 1], noise_variance="1/4")
STUDENT = lv.ScaleMixture(NORMAL, degrees_of_freedom=40)
TWO_SCALES = lv.ScaleMixture(NORMAL, scales=[1, 3], probabilities=["9/10", "1/10"])


def scale_means(second: float, fourth: float, sixth: float) -> Means:
    """With E s^2, E s^4, E s^6: x0 = s g of variance 2, x1 = x0 + 1, y = x0 + 2 x1 + s e, e of variance 1/4."""
    return {
        lambda x, y: x[:, 0] ** 2: 2 * second,
        lambda x, y: x[:, 0] * x[:, 1]: 2 * second,
        lambda x, y: x[:, 1] * y[:, 0]: 2 + 6 * second,
        lambda x, y: x[:, 0] ** 4: 12 * fourth,
        # one scale for the whole example: independent ones would give the product of the E s^2
        lambda x, y: x[:, 0] ** 2 * (y[:, 0] - x[:, 0] - 2 * x[:, 1]) ** 2: fourth / 2,
        lambda x, y: x[:, 0] ** 6: 15 * 8 * sixth,
    }


def of_rows(law: Any) -> Means:
    """Sums over the rows."""
    rows = [[list(map(float, row)) for row in part] for part in (law.inputs, law.targets)]
    x, y = map(np.asarray, rows)
    shares = np.asarray([float(share) for share in getattr(law, "probabilities", [1 / len(x)] * len(x))])
    wanted = [
        lambda x, y: x[:, 0] * x[:, 1],
        lambda x, y: x[:, 0] * y[:, 0],
        lambda x, y: x[:, 0] ** 4,
        lambda x, y: x[:, 0] ** 6,
    ]
    return {f: float(shares @ f(x, y)) for f in wanted}


def moment(nu: int, order: int) -> float:
    """E s^(2k), s^2 = nu / chi^2_nu: nu^k / ((nu - 2) ... (nu - 2k))."""
    return math.prod(nu / (nu - 2 * j) for j in range(1, order + 1))


#: name: the law, and means of its examples; those of degree 2, 4 and 6
CASES: dict[str, tuple[Law, Means]] = {
    "finite": (FINITE, of_rows(FINITE)),
    "rows": (ROWS, of_rows(ROWS)),
    "mixed": (
        MIXED,
        {
            lambda x, y: x[:, 0] ** 2: 1 / 3,
            lambda x, y: x[:, 1] ** 2: 5 / 4,
            lambda x, y: x[:, 1] ** 4: 1 + 6 / 4 + 3 / 16,
            lambda x, y: y[:, 0]: 2 / 3,
            lambda x, y: y[:, 0] ** 2: 4 / 5 + 1,
            lambda x, y: y[:, 0] * x[:, 0] ** 2: 2 / 5,
            lambda x, y: y[:, 1] * x[:, 0] * x[:, 1]: 1 / 12,
            lambda x, y: y[:, 2]: 3.0,
            lambda x, y: x[:, 0] ** 6: 1 / 7,
            lambda x, y: (x[:, 1] - 1) ** 6: 15 / 64,
        },
    ),
    "shifted": (
        SHIFTED,
        {
            lambda x, y: x[:, 0]: 3 / 2,
            lambda x, y: x[:, 0] ** 2: 3.0,
            lambda x, y: x[:, 0] ** 4: 81 / 5,
            lambda x, y: x[:, 1] ** 4: 16 + 6 * 4 * 3 + 3 * 9,
            lambda x, y: x[:, 0] * y[:, 0]: 0.0,
            lambda x, y: x[:, 0] ** 6: 729 / 7,
        },
    ),
    "signs": (
        SIGNS,
        {
            lambda x, y: y[:, 0] ** 2: 5.0,
            lambda x, y: x[:, 0]: 0.0,
            lambda x, y: x[:, 0] ** 2: 1.0,
            lambda x, y: y[:, 0]: 1.0,
            lambda x, y: y[:, 0] ** 4: (81 + 1) / 2,
        },
    ),
    "student": (STUDENT, scale_means(*(moment(40, k) for k in (1, 2, 3)))),
    "two scales": (TWO_SCALES, scale_means(0.9 + 0.1 * 9, 0.9 + 0.1 * 81, 0.9 + 0.1 * 729)),
}
case = pytest.mark.parametrize("name", CASES)


def assert_mean(values: Any, expected: float) -> None:
    """Within the budget of standard errors; 1.5 times it is not."""
    values = np.asarray(values, "float64")
    error = BUDGET * values.std() / math.sqrt(len(values)) + 1e-6 * abs(expected)  # rounding of float32
    assert abs(values.mean() - expected) <= error, (values.mean(), expected, error)
    if expected:
        assert abs(values.mean() - 1.5 * expected) > error


@pytest.mark.parametrize("dtype", slow_but(["float64", "float32"], "float64"))
@case
def test_samplers_have_the_moments_of_their_laws(name: str, dtype: str, key: Any) -> None:
    law, means = CASES[name]
    with jax.enable_x64(dtype == "float64"):
        sampler = numeric_law(law).sampler(IID, dtype)
        assert sampler.gives_examples and sampler.rows(DRAWS) == DRAWS and sampler.bytes_at_once(2) > 0
        x, y = jax.jit(lambda key, sampler: sampler.draw(key, DRAWS))(key, sampler)
        assert x.dtype == y.dtype == dtype
        x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    for f, expected in means.items():
        assert_mean(f(x, y), expected)


def drawn(law: Any, key: Any, degree: int = 6, scheme: Any = IID) -> RareBatch:
    """Batches of two, half of them plain."""
    with jax.enable_x64(True):
        source = numeric_law(law).rare_sampler(scheme, degree, 0.5)
        assert source is not None
        draw = jax.jit(jax.vmap(lambda key, source: source.draw_rare(key, 2), (0, None)))
        return RareBatch(*map(np.asarray, draw(jax.random.split(key, BATCHES), source)))


@case
def test_rare_batches_have_no_bias(name: str, key: Any) -> None:
    """E_mixture[f / M] = E f for 1, every f of the table on each example, and its products with the first on the other one."""
    law, means = CASES[name]
    batch = drawn(law, key)
    weights = np.exp(-batch.log_ratio)
    assert weights.max() <= 2 * (1 + 1e-9)  # one over the probability that nothing is exaggerated
    assert_mean(weights, 1.0)
    first, second = (  # the two examples of a batch
        [np.asarray(f(batch.inputs[:, j], batch.targets[:, j])) for f in means] for j in (0, 1)
    )
    for one, other, expected in zip(first, second, means.values()):
        assert_mean(weights * one, expected)
        assert_mean(weights * other, expected)
        assert_mean(weights * first[0] * other, expected * next(iter(means.values())))


@pytest.mark.parametrize("name", slow_but(["finite", "mixed", "student", "two scales"], "mixed", "student"))
def test_a_wrong_density_is_seen(name: str, key: Any) -> None:
    """Log ratios off by a factor of 1.5, or of the density of an example: the mean weight is no longer 1."""
    batch = drawn(CASES[name][0], key)
    for wrong in (1.5 * np.exp(-batch.log_ratio), np.exp(-1.5 * batch.log_ratio)):
        with pytest.raises(AssertionError):
            assert_mean(wrong, 1.0)


@pytest.mark.parametrize(
    "law", slow_but([MIXED, STUDENT, TWO_SCALES, FINITE], MIXED), ids=lambda law: type(law).__name__
)
def test_rare_batches_are_rarer(law: Any, key: Any) -> None:
    """The longest example lies beyond those of as many plain batches, or is as frequent as many of them together."""
    batch = drawn(law, key, degree=20)
    lengths = np.sum(batch.inputs**2, axis=2).max(axis=1)
    with jax.enable_x64(True):
        plain, _ = numeric_law(law).sampler(IID, "float64").draw(key, 2 * BATCHES)
        far = np.quantile(np.sum(np.asarray(plain) ** 2, axis=1).reshape(-1, 2).max(axis=1), 0.999)
    assert np.mean(lengths >= far) > 2 * np.mean(np.exp(-batch.log_ratio) * (lengths >= far)) > 0


def test_signs_only_are_exaggerated_to_themselves(key: Any) -> None:
    batch = drawn(SIGNS, key)
    assert np.allclose(batch.log_ratio, 0, atol=1e-14)


def test_a_scale_of_small_probability_is_drawn_often(key: Any) -> None:
    """Of probability 1e-9, with nearly all of E x^2 = 1 + 1e-9 (1e12 - 1): plain examples never see it."""
    law = lv.ScaleMixture(lv.Gaussian([[1]]), scales=[1, 10**6], probabilities=["999999999/1000000000", "1/1000000000"])
    batch = drawn(law, key, degree=4)
    assert_mean(np.exp(-batch.log_ratio) * batch.inputs[:, 0, 0] ** 2, 1001.0 - 1e-9)
    with jax.enable_x64(True):
        x, _ = numeric_law(law).sampler(IID, "float64").draw(key, DRAWS)
        assert np.mean(np.asarray(x) ** 2) < 2


def test_one_coordinate_of_many_is_exaggerated_too(key: Any) -> None:
    """E z0^12 = 11!! among ten normals, all of it where z0 is large and the others are as always."""
    law = lv.Independent([lv.Normal()] * 10, lambda z: (z, z[0]))
    batch = drawn(law, key, degree=12)
    assert_mean(np.exp(-batch.log_ratio) * batch.inputs[:, 0, 0] ** 12, 10395.0)


def test_equal_probabilities_are_a_data_set(key: Any) -> None:
    """The same rows are drawn, and everything computed from them is the same: 1e-13, some sums in float64."""
    finite, rows = numeric_law(EQUAL), numeric_law(ROWS)
    with jax.enable_x64(True):
        sampler = finite.sampler(IID, "float64")
        assert isinstance(sampler, RowSampler)
        x, _ = sampler.draw(key, 30_000)
        counts = np.unique(np.asarray(x[:, 0]), return_counts=True)[1]
        # chi-square of 2 degrees of freedom: mean + 5 standard deviations; a row drawn 1.5 times as often is beyond
        assert np.sum((counts - 10_000) ** 2 / 10_000) < 2 + 5 * 2 < 0.25 * 10_000
        ours, theirs = finite.rare_sampler(IID, 8, 0.5), rows.rare_sampler(IID, 8, 0.5)
        for name in ("log_ratios", "tilted"):
            assert np.asarray(getattr(ours, name)) == pytest.approx(np.asarray(getattr(theirs, name)), rel=1e-13)
        means, plain = finite.expectations(), rows.expectations()
        assert (means.examples, plain.examples, means.terms, plain.terms) == (None, 3, 3, 3)
        weights, covariance = jnp.asarray([[1.0, -2.0]]), jnp.asarray([[2.0, 1.0], [1.0, 3.0]])
        for one, other in zip(means.at(weights), plain.at(weights)):
            assert np.asarray(one) == pytest.approx(np.asarray(other), rel=1e-13)
        assert np.asarray(means.hessian()) == pytest.approx(np.asarray(plain.hessian()), rel=1e-13)
        squares = plain.at(weights).squares
        pair = [np.asarray(one.weighted(covariance, squares)) for one in (means, plain)]
        assert pair[0] == pytest.approx(pair[1], rel=1e-13)
    ours, theirs = (one.finite_rule(np.dtype("float64")) for one in (finite, rows))
    np.testing.assert_array_equal(ours.inputs, theirs.inputs)
    np.testing.assert_array_equal(ours.targets, theirs.targets)
    assert ours.weights == pytest.approx(1 / 3) and theirs.weights is None
    assert finite.squared_lengths() == rows.squared_lengths() == (17.0, 1.0)


def squared_loss(weights: Any, example: tuple[Any, Any]) -> Any:
    """1/2 ||W x - y||^2."""
    x, y = example
    return 0.5 * jnp.sum((weights @ x - y) ** 2)


@pytest.mark.parametrize("step", [0, 2])
def test_weighted_atoms_by_the_curve_and_the_first_order_equal_the_exact_half(step: int) -> None:
    """Rational sums rounded once against float64: 1e-10; with other probabilities they differ."""
    problem = lv.Problem([[[1, "1/2"]]], FINITE, "1/10", step)
    exact = lv.gradient_variance(problem)
    curve = regression_curve(problem, [1, 3, 10])
    assert curve.gradient_variance == pytest.approx([float(exact(b)) for b in (1, 3, 10)], rel=1e-10)
    with pytest.raises(InputError, match="batch_sizes=None needs max_batch_size="):
        regression_curve(problem)
    assert len(regression_curve(problem, max_batch_size=7).batch_sizes) == 7
    other = regression_curve(problem.replace(law=ROWS), [1]).gradient_variance[0]
    assert other != pytest.approx(float(exact(1)), rel=1e-2)
    with jax.enable_x64(True):
        path = first_order(squared_loss, np.asarray([[1, 0.5]]), FINITE, 0.1, step)
    assert path.variance.coefficient[-1] == pytest.approx(float(exact.coefficients[1]), rel=1e-10)
    assert path.examples is None


LINEAR = lv.Independent(
    [lv.Uniform(-1, 2), lv.Normal(1, "1/4"), lv.Rademacher(), lv.Normal(3, 0)],
    lambda z: ([z[0], z[1] + z[2], z[3]], [z[0] + z[1] - z[2], 2 * z[2] + 1]),
)


def test_the_rule_of_independent_coordinates_has_their_moments_to_order_five() -> None:
    """Monomials of z = (x0, ., .): 1e-13, 54 terms in float64; 3 * 3 * 2 points, one coordinate is still."""
    rule = numeric_law(LINEAR).finite_rule(np.dtype("float64"))
    assert rule.weights is not None and len(rule.weights) == 18 and min(rule.weights) > 0
    x, y = rule.inputs, rule.targets
    sign, z0 = (y[:, 1] - 1) / 2, x[:, 0]
    z1 = x[:, 1] - sign
    np.testing.assert_allclose(x[:, 2], 3)
    np.testing.assert_allclose(y[:, 0], z0 + z1 - sign)
    uniform = [1, 1 / 2, 1, 5 / 4, 11 / 5, 7 / 2]  # (2^(k+1) - (-1)^(k+1)) / (3 (k+1))
    normal = [1, 1, 5 / 4, 7 / 4, 1 + 6 / 4 + 3 / 16, 1 + 10 / 4 + 15 / 16]
    for a in range(6):
        for c in range(6 - a):
            for d in range(6 - a - c):
                expected = uniform[a] * normal[c] * (d % 2 == 0)
                found = rule.weights @ (z0**a * z1**c * sign**d)
                assert found == pytest.approx(expected, rel=1e-13, abs=1e-13)
    assert rule.weights @ z0**6 != pytest.approx(127 / 21, rel=1e-3)  # it is no more than that


def test_the_rule_gives_the_first_coefficient() -> None:
    """One weight, x uniform on (-1, 1), y = x + e, e of variance 1/4: V(w) = 4/45 (w - 1)^2 + 1/12, by the exact recursion."""
    law = lv.Independent([lv.Uniform(), lv.Normal(0, "1/4")], lambda z: (z[0], z[0] + z[1]))

    def noise(w: float) -> float:
        return (w - 1) ** 2 * 4 / 45 + 1 / 12

    with jax.enable_x64(True):
        path = first_order(squared_loss, np.asarray([[3.0]]), law, 0.3, 1)
    moved = 3 - 0.3 * 2 / 3
    expected = [noise(3), noise(moved) + 0.09 * noise(3) / 9]
    assert path.variance.coefficient == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match="loss is not a polynomial of degree 2 in the example, and only for one"):
        first_order(lambda w, z: jnp.sum(w * z[0]) ** 3, np.asarray([[3.0]]), law, 0.3, 1)


@pytest.mark.parametrize(
    "law",
    [MIXED, lv.Independent([lv.Rademacher()] * 9, lambda z: (z, z[0])), STUDENT],
    ids=["square", "nine", "student"],
)
def test_other_laws_have_no_finite_rule(law: Any) -> None:
    cure = "give a large sample of it, arrays with the examples first"
    with pytest.raises(InputError, match=rf"^data=.* has (no|a) finite rule.*: {cure}$"):
        first_order(squared_loss, np.ones((law.target_width, law.input_width)), law, 0.1, 1)


@pytest.mark.parametrize("law", [SHIFTED, STUDENT], ids=["independent", "student"])
def test_other_laws_have_no_regression_curve(law: Any) -> None:
    with pytest.raises(InputError, match=r"^law=.* has no regression curve .*: use linvar.gradient_variance"):
        regression_curve(lv.Problem([[[1, 1]]], law), [1])
    with pytest.raises(InputError, match="batches='second_moments' is for a Gaussian law, and this is another"):
        simulate(jax.random.key(0), lv.Problem([[[1, 1]]], law), batch_sizes=[1], runs=2, batches="second_moments")


def test_a_list_of_moments_cannot_be_drawn() -> None:
    law = lv.Independent([lv.Normal(), [0, 1, 0, 3]], lambda z: (z[0], z[1]))
    with pytest.raises(
        InputError,
        match=r"^coordinates\[1\]=\[0, 1, 0, 3\] is known by its moments, and nothing draws it: .* give linvar",
    ):
        simulate(jax.random.key(0), lv.Problem([[[1]]], law), batch_sizes=[1], runs=2)
