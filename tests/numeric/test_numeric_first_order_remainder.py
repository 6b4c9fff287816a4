"""What first order leaves out: O(1/b^2) for a smooth loss, and not for every loss of three derivatives."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.numeric import first_order
from linvar.numeric.delta_method import coefficients

#: 1/b.
FACTORS = 4.0 ** -np.arange(6, 13)
#: Three nodes of the Gauss-Hermite rule: a law of x with the mean and the variance of N(0, 1).
NODES, SHARES = math.sqrt(3) * np.asarray([-1.0, 0.0, 1.0]), np.asarray([1, 4, 1]) / 6


def loss_with(extra: Any) -> Any:
    """w^2/2 - x w + extra(w): the batch gradient depends on the mean of x alone."""
    return lambda w, x: w**2 / 2 - x * w + extra(w)


ROUGH = loss_with(lambda w: jnp.abs(w) ** 3.1)  # three derivatives, the third not Lipschitz at 0
SMOOTH = loss_with(lambda w: w**4)
ANALYTIC = loss_with(lambda w: jnp.cos(w) / 2)


def standard_normal() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for N(0, 1): Gauss-Legendre on pieces of [-12, 12], graded towards 0 where |z|^3.1 is not smooth."""
    ends = np.concatenate([[0.0], 12.0 * 2.0 ** -np.arange(24, -1, -1)])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    z = (middle[:, None] + half[:, None] * nodes).ravel()
    share = (half[:, None] * weights).ravel() * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.concatenate([-z, z]), np.concatenate([share, share])


def variance_after_one_step(loss: Any, factor: float) -> float:
    """Var(G_1) from w_0 = 0 at rate 1, x ~ N(0, 1): G_1 = L'(w_1) - (mean of the second batch), w_1 = -G_0; no sampling."""
    z, share = standard_normal()
    slope = jax.vmap(jax.grad(loss), (0, None))
    weights = -jax.vmap(jax.grad(loss), (None, 0))(0.0, jnp.asarray(math.sqrt(factor) * z))
    gradient = np.asarray(slope(weights, 0.0))
    mean = share @ gradient
    return factor + float(share @ (gradient - mean) ** 2)


def remainders(loss: Any) -> np.ndarray:
    """Var(G_1) - beta_1 / b at every factor."""
    with jax.enable_x64(True):
        path = first_order(loss, jnp.asarray(0.0), jnp.asarray(NODES), 1.0, 1, weights=SHARES)
        assert path.variance.coefficient[1] == pytest.approx(2.0 if loss is not ANALYTIC else 1.25, rel=1e-14)
        return np.asarray([variance_after_one_step(loss, u) - path.variance.coefficient[1] * u for u in FACTORS])


def test_the_quadrature_has_the_moments_of_a_normal_law() -> None:
    z, share = standard_normal()
    for power in (0, 2, 2.1, 3.1, 4.2, 6):  # E|z|^p = 2^(p/2) Gamma((p+1)/2) / sqrt(pi)
        exact = 2 ** (power / 2) * math.gamma((power + 1) / 2) / math.sqrt(math.pi)
        assert share @ np.abs(z) ** power == pytest.approx(exact, rel=1e-13)


def test_a_third_derivative_that_is_not_lipschitz_leaves_more_than_the_square() -> None:
    found = remainders(ROUGH)
    orders = np.log(found[:-1] / found[1:]) / math.log(4)
    assert np.all(found > 0) and np.all(np.diff(orders) < 0)  # towards 1.55 from above
    assert orders[-1] == pytest.approx(1.55, abs=2e-3)
    assert np.all(found[1:] / FACTORS[1:] ** 2 > 1.5 * found[:-1] / FACTORS[:-1] ** 2)  # O(u^2) would be bounded
    moment = lambda p: 2 ** (p / 2) * math.gamma((p + 1) / 2) / math.sqrt(math.pi)  # noqa: E731
    exact = 6.2 * moment(3.1) * FACTORS**1.55 + 9.61 * moment(4.2) * FACTORS**2.1  # of the module's docstring
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    assert "6.2 E|z|^3.1 b^-1.55 + 9.61 E|z|^4.2 b^-2.1" in str(coefficients.__doc__)


@pytest.mark.parametrize(("loss", "limit"), [(SMOOTH, 24.0), (ANALYTIC, 0.25)])
def test_a_smooth_loss_leaves_the_square(loss: Any, limit: float) -> None:
    """w^4: G_1 = w + 4 w^3 - .., 2 E w 4 w^3 = 24 u^2. cos(w)/2: w - sin(w)/2 = w/2 + w^3/12 - .., 2/24 * 3 u^2."""
    found = remainders(loss)
    orders = np.log(np.abs(found[:-1] / found[1:])) / math.log(4)
    assert orders[-3] == pytest.approx(2.0, abs=2e-3)
    assert found[-3] / FACTORS[-3] ** 2 == pytest.approx(limit, rel=1e-2)
    assert found[-3] / FACTORS[-3] ** 2 != pytest.approx(1.5 * limit, rel=1e-2)
