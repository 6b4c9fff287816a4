"""First order: losses polynomial in the weights against the exact half, test losses, probes, and whether smaller batches help."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linvar as lv
from linvar.errors import InputError, NotFiniteError
from linvar.numeric import first_order

#: Of sums of some hundred terms in float64.
ROUNDING = 1e-12
X, Y = [[1, 2], [-1, "1/2"], ["3/2", 0]], [[1], ["-1/2"], [2]]
DATA = lv.Dataset(X, Y)
NORMAL = lv.Gaussian([[1, "-1/2"]], [[1, "1/2"], ["1/2", 2]], noise_variance="1/3")
SIGNS = lv.Independent([lv.Rademacher(), lv.Uniform(-1, 2)], lambda z: ([z[0], z[0] + z[1]], [z[0] / 2 - z[1]]))
DIAGONAL: dict[str, Any] = {"u": ["1/2", 1], "v": [1, "-1/3"]}


def numbers(params: Any) -> Any:
    """Exact entries as arrays of float64."""
    if isinstance(params, dict):
        return {name: numbers(own) for name, own in params.items()}
    return jnp.asarray(np.vectorize(lambda x: float(Fraction(x)))(np.asarray(params, object)))


def first_two(polynomial: Any) -> tuple[float, float]:
    """The value at b = infinity and the coefficient of 1/b."""
    limit, coefficient = (*map(float, polynomial.coefficients), 0.0, 0.0)[:2]
    return limit, coefficient


TWO = {"a": [["1/2", 1]], "W": [[1, 0], ["1/2", "-1/3"]]}
#: Losses, parameters, laws, updates, and the last step: derivations of later ones take too long.
FAMILIES: list[Any] = [
    (lv.families.quartic, {"w": [["1/2", "-1/4"]]}, DATA, {"momentum": "1/2", "weight_decay": "1/5"}, 2),
    (lv.families.product, {"u": ["1/2", 1], "v": [1, "-1/3"]}, NORMAL, {}, 1),
]
#: Others, whose derivations take longer.
FURTHER: list[Any] = [
    (lv.families.diagonal, DIAGONAL, DATA, {}, 2),
    (lv.families.diagonal, DIAGONAL, SIGNS, {}, 1),
    (lv.families.power, {"u": ["1/2", 1]}, DATA, {"momentum": "1/3", "nesterov": True}, 2),
    (lv.families.diagonal, DIAGONAL, NORMAL, {"weight_decay": "1/4"}, 1),
    (lv.families.phase_retrieval, {"w": ["1/2", "-1/3"]}, lv.Dataset(X, [[1], [2], ["1/2"]]), {}, 2),
    (lv.families.quadratic, TWO, DATA, {}, 1),
    (lv.families.bilinear, TWO | {"V": [[0, 1], [1, "1/2"]]}, DATA, {}, 1),
    (lv.families.quartic, {"w": [["1/2", "-1/4"]]}, DATA, {}, 2),
]


def check_family(loss: Any, params: Any, law: Any, update: Any, last: int) -> None:
    """Every coefficient is that of the exact half, and both parts of the loss count."""
    rates = ["1/20", "1/30"]
    rule = {name: own if own is True else float(Fraction(own)) for name, own in update.items()}
    with jax.enable_x64(True):
        path = first_order(loss, numbers(params), law, [1 / 20, 1 / 30], 2, test_data=law, **rule)
    assert path.test_loss is not None
    np.testing.assert_allclose(path.test_loss.coefficient, path.loss.coefficient, rtol=ROUNDING)
    for t in range(last + 1):
        exact = lv.derive(lv.Problem(params, law, rates[:t], t, loss=loss, **update))
        for name in ("variance", "second_moment", "squared_mean", "loss"):
            own, (limit, coefficient) = getattr(path, name), first_two(getattr(exact, name))
            assert own.limit[t] == pytest.approx(limit, rel=ROUNDING)
            assert own.coefficient[t] == pytest.approx(coefficient, rel=ROUNDING)
        assert t == 0 or coefficient != 0
        assert (path.loss.shift[t] != 0) == (t == 2) and (path.loss.spread[t] != 0) == (t > 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_polynomial_in_the_weights_equal_the_exact_half(family: Any) -> None:
    check_family(*family)


@pytest.mark.slow
@pytest.mark.parametrize("family", FURTHER)
def test_further_losses_polynomial_in_the_weights_equal_the_exact_half(family: Any) -> None:
    check_family(*family)


def linear(weight: Any, example: Any) -> Any:
    return 0.5 * jnp.sum((weight @ example[0] - example[1]) ** 2)


@pytest.mark.parametrize("shares", [None, [0.5, 0.25, 0.125, 0.125]])
def test_a_test_loss_is_that_of_the_exact_moments_of_the_weights(shares: Any) -> None:
    """E 1/2 ||w x - y||^2 on four other examples, from E w and Cov w of the exact half: quadratic in w."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    with jax.enable_x64(True):
        path = first_order(
            linear, jnp.asarray([[0.5, 1.0]]), DATA, [1 / 10, 1 / 7], 2, test_data=(x, y), test_weights=shares
        )
    weights = np.full(4, 0.25) if shares is None else np.asarray(shares)
    moment = (weights[:, None] * x).T @ x
    assert path.test_loss is not None and path.weight_covariance is not None and path.mean_shift is not None
    for t in (1, 2):
        exact = lv.derive(lv.Problem([[["1/2", 1]]], DATA, ["1/10", "1/7"][:t], t))
        limit = np.asarray([[first_two(own)[0] for own in row] for row in exact.weights[0]])
        shift = np.asarray([first_two(own)[1] for row in exact.weights[0] for own in row])
        covariance = np.asarray([[first_two(own)[1] for own in row] for row in exact.weight_covariance])
        residual = x @ limit.T - y
        slope = (weights[:, None] * residual).T @ x
        expected = float(slope.ravel() @ shift + np.trace(moment @ covariance) / 2)
        assert path.test_loss.coefficient[t] == pytest.approx(expected, rel=ROUNDING)
        assert path.test_loss.limit[t] == pytest.approx(float(weights @ residual[:, 0] ** 2) / 2, rel=ROUNDING)
        assert path.loss.coefficient[t] != pytest.approx(expected, rel=1e-3)


def tanh_loss(w: Any, example: Any) -> Any:
    x, y = example
    return 0.5 * (w["a"] @ jnp.tanh(w["c"] * x) - y) ** 2


def test_probes_have_no_bias_and_honest_errors(key: Any) -> None:
    """25 keys, momentum: their mean is the full covariance's within five of its errors, 1.5 times it is not.

    21 probes: blocks of two and of three. The squared errors are those of 25 keys, which are known within 30 %.
    """
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        params = {"a": jnp.asarray(rng.normal(size=3)), "c": jnp.asarray(rng.normal(size=3))}
        data, test = ((rng.normal(size=(n, 3)), rng.normal(size=n)) for n in (8, 5))
        options: dict[str, Any] = {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "test_data": test}
        full = first_order(tanh_loss, params, data, 0.3, 2, progress=False, **options)
        options |= {"method": "probes", "probes": 21, "progress": False}
        runs = [first_order(tanh_loss, params, data, 0.3, 2, key=k, **options) for k in jax.random.split(key, 25)]
    for name in ("variance", "second_moment", "squared_mean", "loss", "test_loss", "squared_distance"):
        exact = getattr(full, name).coefficient[2]
        found = np.asarray([getattr(run, name).coefficient[2] for run in runs])
        errors = np.asarray([getattr(run, name).standard_error[2] for run in runs])
        spread = found.std(ddof=1) / len(runs) ** 0.5
        assert abs(found.mean() - exact) < 5 * spread
        assert abs(found.mean() - 1.5 * exact) > 5 * spread or name == "squared_mean"
        assert 0.35 < np.mean(errors**2) / found.var(ddof=1) < 3
    parts = runs[0].variance.coefficient + runs[0].squared_mean.coefficient
    assert runs[0].second_moment.coefficient == pytest.approx(parts, rel=1e-9)
    assert (runs[0].loss.runs, runs[0].variance.runs, full.loss.runs) == (8, 21, 0)


def quadratic(w: Any, x: Any) -> Any:
    return 0.5 * (w - x) ** 2


def test_smaller_batches_help_by_the_sign_of_the_coefficient(key: Any) -> None:
    """A double well (w^2 - 1)^2 / 4 started left of its hill at w = 0.05: noise pushes it down; a parabola: up."""

    def well(w: Any, x: Any) -> Any:
        return (w**2 - 1) ** 2 / 4 - x * w

    noise = np.asarray([-0.5, 0.5])
    path = first_order(well, 0.05, noise, 0.1, 3, test_data=np.asarray([4.0]))
    verdict = path.smaller_batches_help()
    assert verdict.train.answer == "yes" and verdict.train.effect.value == path.loss.coefficient[3] < 0
    assert verdict.test is not None and verdict.test.effect.value == path.test_loss.coefficient[3]
    assert path.smaller_batches_help(0).train.answer == "unresolved"  # no update, no effect
    up = first_order(quadratic, 3.0, noise, 0.1, 3).smaller_batches_help(2)
    assert up.train.answer == "no" and up.test is None and up.step == 2
    assert repr(up) == f"SmallerBatches(after 2 steps, train: no ({up.train.effect.value:.6g}))"
    assert "no" in str(up.to_table()) and "smaller batches help" in up.to_table().columns
    few = first_order(well, 0.05, noise, 0.1, 3, method="probes", probes=2, key=key).smaller_batches_help()
    # two blocks, one degree of freedom: 12.7 standard errors
    assert few.train.answer == ("yes" if few.train.effect.z(0) < -12.7063 else "unresolved")


def test_equal_examples_compare_different_numbers_of_steps() -> None:
    with jax.enable_x64(True):
        path = first_order(quadratic, 3.0, np.asarray([-1.0, 1.0]), 0.5, 4, test_data=np.asarray([0.0]))
    found = path.at_equal_examples(16, 8)
    assert (found.examples, found.batch_sizes, found.steps) == (32, (8, 16), (4, 2))
    # L(w) = w^2/2 + 1/2 at w_t = 3/2^t, C_2 = 5/16, C_4 = 1/4 (1 + 1/4 + 1/16 + 1/64)
    losses = (9 / 256 / 2 + 0.5 + 85 / 256 / 16, 9 / 16 / 2 + 0.5 + 5 / 16 / 32)
    assert found.train_losses == pytest.approx(losses, rel=ROUNDING) and found.train.answer == "yes"
    assert found.train.effect.value == pytest.approx(losses[0] - losses[1], rel=ROUNDING)
    assert found.test is not None and found.test_losses == pytest.approx([own - 0.5 for own in losses], rel=ROUNDING)
    assert "b = 8, 4 steps" in found.to_table().columns and "after 32 examples" in repr(found)
    assert path.at_equal_examples(8, 16, 16).steps == (2, 1)
    whole = path.at_equal_examples(1, 2, 4, sampling="without_replacement")  # b = n: no noise at all
    assert whole.train_losses[1] == path.loss.limit[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, 8), "b2=8 is b1: give two different"),
        ((0, 8), "b1=0: a batch has at least 1"),
        ((3, 5), "steps=4 are too few for batch sizes 3 and 5: follow the path for at least 5"),
        ((8, 16, 24), "examples=24: give a multiple of 16, at most 32"),
        ((8, 16, 64), "examples=64: give a multiple of 16, at most 32"),
        ((8, 16, 0), "examples=0: give a multiple of 16"),
    ],
)
def test_equal_examples_refuse(arguments: Any, message: str) -> None:
    path = first_order(quadratic, 3.0, np.asarray([-1.0, 1.0]), 0.5, 4)
    with pytest.raises(InputError, match=message):
        path.at_equal_examples(*arguments)


def test_a_loss_without_a_third_derivative_is_refused() -> None:
    with pytest.raises(NotFiniteError, match="has a third derivative that is not finite: smooth the loss"):
        first_order(lambda w, x: jnp.abs(w) ** 2.5 - x * w, 0.0, np.asarray([-1.0, 1.0]), 0.5, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_data": (np.ones(2), np.ones(3))}, r"test_data has leaves with leading axes"),
        ({"test_weights": [1.0]}, "test_weights is given without test_data"),
        ({"test_data": np.ones(2), "test_weights": [1.0]}, r"test_weights has shape \(1,\), but test_data has 2"),
        ({"test_data": DATA, "test_weights": [1.0]}, "leave test_weights out"),
        ({"test_data": np.asarray([np.nan])}, "a test loss that is not finite: look at test_data"),
    ],
)
def test_test_data_are_refused_by_name(changes: Any, message: str) -> None:
    with pytest.raises((InputError, NotFiniteError), match=message):
        first_order(quadratic, 3.0, np.asarray([1.0, 2.0]), 0.1, 1, **changes)


def test_the_old_name_is_refused_with_the_new_word() -> None:
    for module in (lv, lv.numeric):
        with pytest.raises(AttributeError, match="has no attribute 'first_order_variance': did you mean first_order.$"):
            getattr(module, "first_order_variance")  # noqa: B009  # mypy knows that it is gone
