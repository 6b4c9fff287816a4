"""to_jax: floating-point values, and a word where cancellation leaves nothing of them."""

from __future__ import annotations

import warnings
from fractions import Fraction
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from linvar.errors import InputError, InputTypeError
from linvar.symbolic.result.polynomial import BatchPolynomial

#: (u - 1/2)^77 + 7e-24, expanded: at b = 2 the terms, of size up to 1, cancel to 7e-24
CANCELLING = BatchPolynomial(
    [comb(77, k) * Fraction(-1, 2) ** (77 - k) + Fraction(7, 10**24) * (k == 0) for k in range(78)]
)
A = sympy.Symbol("a")


def test_a_value_lost_to_cancellation_is_warned_of_by_name() -> None:
    f = CANCELLING.to_jax()
    with jax.enable_x64(True):
        with pytest.warns(
            RuntimeWarning, match=r"b=2: the terms cancel, and float64 .*: for the exact value .*, p\(2\)$"
        ):
            lost = float(f(2.0))
        assert CANCELLING(2) == Fraction(7, 10**24) and abs(lost - 7e-24) > 1e-19, "nothing is left of the value"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kept = f(1000)
    np.testing.assert_allclose(kept, float(CANCELLING(1000)), rtol=1e-13)  # the first coefficient is most of it


def test_one_warning_for_many_batch_sizes_names_the_worst() -> None:
    p = BatchPolynomial([Fraction(10**7 - 1, 10**8), "-1/10"])  # 1/10 (1 - 1/b) - 1e-8: lost to float32 at b = 1
    with pytest.warns(RuntimeWarning) as caught:
        p.to_jax()(jnp.asarray([[4.0, 1.0], [2.0, 3.0]]))
    (warning,) = caught
    assert "b=1:" in str(warning.message) and "enable_x64" in str(warning.message) and warning.filename == __file__
    with warnings.catch_warnings(), jax.enable_x64(True):
        warnings.simplefilter("error")
        np.testing.assert_allclose(p.to_jax()(1), -1e-8, rtol=1e-6)  # condition 2e7 times 4e-16


def test_condition_is_the_ratio_of_the_sums() -> None:
    p = BatchPolynomial([0, 18, -17, A**2 - 3])
    b = np.array([1, 2, 7])
    with jax.enable_x64(True):
        f = p.to_jax()
        for a in (0.5, -2.0):
            u = 1 / b
            terms = np.array([18 * u, -17 * u**2, a**2 * u**3, -3 * u**3])
            expected = np.abs(terms).sum(0) / np.abs(terms.sum(0))
            np.testing.assert_allclose(f.condition(b, a=a), expected, rtol=1e-13)  # condition <= 30 times an ulp
            np.testing.assert_allclose(jax.jit(f.condition)(b, a=a), expected, rtol=1e-13)
            assert not np.allclose(f.condition(b, a=a + 1), expected, rtol=1e-13)
    assert float(BatchPolynomial([0]).to_jax().condition(3)) == 1
    assert float(BatchPolynomial([0, 1, -1]).to_jax().condition(1)) == np.inf


def test_a_true_zero_that_is_the_difference_of_terms_is_warned_of() -> None:
    v = BatchPolynomial(["-1/7", "6/7"], sampling="without_replacement", dataset_size=6)
    with pytest.warns(RuntimeWarning, match="b=6: the terms cancel"):
        v.to_jax()(range(1, 7))


@pytest.mark.parametrize("b", [0, -1, -2.5, float("nan"), np.array([3, 0, -4])])
def test_what_is_no_batch_size_is_refused_outside_jit(b: object) -> None:
    f = BatchPolynomial([0, 18]).to_jax()
    for call in (f, f.condition):
        with pytest.raises(InputError, match="batch_size=(0|-1|-2.5|nan) is no batch size: give numbers > 0"):
            call(b)
    assert not np.isfinite(jax.jit(f)(0.0)), "a traced b is not looked at"


@pytest.mark.parametrize("b", ["2", None, 1j, True])
def test_what_is_no_number_is_refused_by_type(b: object) -> None:
    with pytest.raises(InputTypeError, match="batch_size"):
        BatchPolynomial([0, 18]).to_jax()(b)


def test_a_batch_of_more_than_there_is_is_refused() -> None:
    f = BatchPolynomial(["-1/4", 1], sampling="without_replacement", dataset_size=4).to_jax()
    with pytest.raises(InputError, match="batch_size=5.* is more than the 4 examples of the data set"):
        f([1, 5, 2])


def test_transformations_of_the_function() -> None:
    p = BatchPolynomial([A, A**2, "1/2"])
    with jax.enable_x64(True):
        f = p.to_jax()
        assert float(jax.grad(f)(2.0, a=3.0)) == pytest.approx(-9 / 4 - 1 / 8, rel=1e-14)
        np.testing.assert_allclose(
            jax.vmap(lambda a: f(2.0, a=a))(jnp.arange(3.0)), [1 / 8, 13 / 8, 33 / 8], rtol=1e-14
        )
        np.testing.assert_allclose(jax.jit(f)(jnp.arange(1, 3), a=1.0), [2.5, 1.625], rtol=1e-14)
    with pytest.raises(InputTypeError, match="a='x'|a="):
        f(2, a="x")
