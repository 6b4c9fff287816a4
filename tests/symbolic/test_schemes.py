"""The exact twins of the schemes: one protocol, and a scheme that nobody has heard of goes through every place that asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import comb, factorial

import jax
import numpy as np
import pytest
from flint import fmpq, fmpq_mpoly
from tiers import slow_but

import linvar as lv
from linvar.errors import InputError
from linvar.exact import Rational
from linvar.laws.law import Law
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.schemes.scheme import SCHEMES, Scheme, scheme_of
from linvar.symbolic.algebra.ring import Ring, coefficients_of, to_exact, to_rational
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.roads.lattice.modular import PRIME_LIMIT
from linvar.symbolic.roads.lattice.moments import BatchLaw
from linvar.symbolic.roads.lattice.reconstruction import primes_below
from linvar.symbolic.schemes import registry
from linvar.symbolic.schemes.registry import exact_scheme
from linvar.symbolic.schemes.scheme import ExactScheme, Statistics, T
from linvar.symbolic.sgd.batch_moments import answer_ring, batch_moments, central_moments

DATA = lv.Dataset([[1, 2], [0, 1], ["1/2", -1], [1, 3]], [1, 0, "2/3", -2])
NORMAL = lv.Gaussian([[1, "1/3"]], covariance=[[2, 1], [1, 1]], mean=["1/2", 0])
Z = coordinates(3)
FEATURES = [Z[0] * Z[0], Z[1] * Z[2]]
PRIMES = list(islice(primes_below(PRIME_LIMIT), 2))


def value(element: fmpq_mpoly, ring: Ring, u: Fraction) -> Fraction:
    """A polynomial in u alone at a number."""
    return sum((to_exact(part, ()) * u**k for k, part in enumerate(coefficients_of(element, ring))), Fraction(0))


@dataclass(frozen=True)
class Doubled:
    """A batch "of b" is one of 2 b independent examples: u -> u/2, g_k = w / 2^{k-1}. Written from the protocol alone."""

    dataset_powers = 1

    def covariance_factor(self, ring: Ring, dataset_size: int | None) -> fmpq_mpoly:
        return ring.gens[0] * fmpq(1, 2)

    def in_covariance_factor(
        self, elements: Sequence[fmpq_mpoly], ring: Ring, dataset_size: int | None
    ) -> list[fmpq_mpoly]:
        return [element * 2**k for k, element in enumerate(elements)]

    def logarithms(
        self, law: ExactLaw, features: Sequence[Polynomial], order: int, ring: Ring, central: bool
    ) -> list[fmpq_mpoly]:
        cumulants = law.cumulants(features, order, ring)
        if central:
            cumulants[0] = ring.zero
        w = ring.gens[len(features)]
        return [kappa * w * fmpq(1, 2 ** (k - 1) * factorial(k)) for k, kappa in enumerate(cumulants, 1)]

    def values(self, degree: int, ring: Ring, dataset_size: int | None) -> list[fmpq_mpoly]:
        return [ring.gens[0] ** (degree - j) for j in range(degree + 1)]

    def statistics(self, law: Statistics[T]) -> T:
        return law.cumulants()

    def growth(self, points: np.ndarray, inverses: np.ndarray, primes: np.ndarray) -> np.ndarray:
        halves = [[pow(2, -k, int(p)) for k in range(-1, inverses.shape[1] - 1)] for (p,) in primes.tolist()]
        found = np.array(halves, np.int64)[:, :, None] * points[:, None] % primes[:, None]
        found[:, 0] = 0
        return found

    def umbral_scale(self, size: int, dataset_size: int | None, primes: Sequence[int]) -> np.ndarray | None:
        return None


DOUBLED: ExactScheme = Doubled()


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a scheme that is known while a test runs."""
    monkeypatch.setitem(SCHEMES, "doubled", Scheme("doubled", "batches of 2 b", within_dataset=False))
    monkeypatch.setitem(registry._EXACT_SCHEMES, "doubled", DOUBLED)
    return "doubled"


@pytest.mark.parametrize("law", [DATA, NORMAL], ids=["data", "normal"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_new_scheme_goes_through_the_derivation_and_the_answer(doubled: str, law: Law, step: int) -> None:
    """Everything that asks a problem or a polynomial how its batches are drawn asks the scheme."""
    weights = [[[1, "1/2"], [0, 1]], [[1, -1]]]
    plain = lv.gradient_variance(lv.Problem(weights, law, "1/3", step))
    found = lv.gradient_variance(lv.Problem(weights, law, "1/3", step, doubled))
    assert found.sampling == "doubled" and found.scheme.words == "batches of 2 b"
    assert [found(b) for b in range(1, 12)] == [plain(2 * b) for b in range(1, 12)]
    assert found.degree == plain.degree and found.decreasing_from() is not None
    assert found.factor_coefficients == plain.coefficients  # in c = u/2
    assert found != plain and lv.BatchPolynomial.from_dict(found.to_dict()) == found
    with pytest.raises(InputError, match="doubled sampling"):
        found + plain


@pytest.mark.parametrize("sampling", ["doubled", *SCHEMES])
def test_the_factor_is_the_second_central_moment(doubled: str, sampling: str) -> None:
    """Cov(batch mean) = c Cov(one example), of both functionals and between them."""
    ring = answer_ring(())
    found = central_moments(exact_law(DATA), FEATURES, 2, sampling, ring)
    one = batch_moments(exact_law(DATA), FEATURES, 2, "iid", ring)
    factor = exact_scheme(sampling).covariance_factor(ring, DATA.size)
    means = [one[(1, 0)], one[(0, 1)]]
    for key, product in (((2, 0), means[0] ** 2), ((1, 1), means[0] * means[1]), ((0, 2), means[1] ** 2)):
        spread = value(one[key] - product, ring, Fraction(1))  # at b = 1
        assert spread != 0 and found[key] == factor * fmpq(spread.numerator, spread.denominator)


@pytest.mark.parametrize("sampling", ["doubled", *SCHEMES])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_polynomial_in_the_factor_is_the_polynomial(doubled: str, sampling: str, size: int) -> None:
    numbers = [Rational(3), Rational(-1, 2), Rational(5, 7), Rational(2)][:size]
    polynomial = lv.BatchPolynomial(numbers, sampling=sampling, dataset_size=size)
    ring = answer_ring(())
    c = exact_scheme(sampling).covariance_factor(ring, size)
    for b in range(1, size + 1):
        at = value(c, ring, Fraction(1, b))
        assert sum(k * at**i for i, k in enumerate(polynomial.factor_coefficients)) == polynomial(b)
    assert len(polynomial.factor_coefficients) <= max(1, size)


@pytest.mark.parametrize("sampling", ["doubled", *SCHEMES])
@pytest.mark.parametrize("central", slow_but([False, True], True))
def test_a_scheme_says_the_same_over_the_rationals_and_modulo_primes(
    doubled: str, sampling: str, central: bool
) -> None:
    """``logarithms`` and ``values``, exponentiated; ``growth``, ``statistics`` and ``umbral_scale``, beyond n examples too."""
    ring, degree = answer_ring(()), 6
    exact = (central_moments if central else batch_moments)(exact_law(DATA), FEATURES, degree, sampling, ring)
    batch = BatchLaw(exact_law(DATA), FEATURES, degree, sampling, central)
    geometry, arguments = batch.geometry(), batch.arguments(PRIMES)
    assert batch.count == comb(degree + 2, 2)
    for place, p in enumerate(PRIMES):
        table = {name: array[place] for name, array in arguments.items()}
        with jax.enable_x64(True):
            found = np.asarray(jax.jit(batch.moments)(float(p), table, geometry))
        for node, row in zip(batch.nodes.nodes.tolist(), found.tolist()):
            parts = coefficients_of(exact.get(tuple(node), ring.zero), ring)
            numbers = [to_rational(part.coefficient(0)) if part else Rational(0) for part in parts]
            wanted = [number.numerator * pow(number.denominator, -1, p) % p for number in numbers]
            assert [int(entry) % p for entry in row] == wanted + [0] * (batch.powers - len(wanted))


def test_a_wrong_scheme_is_seen(doubled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above fails where one of the two halves of a scheme is off by a factor 1.5 in one cumulant."""

    class Wrong(Doubled):
        def logarithms(
            self, law: ExactLaw, features: Sequence[Polynomial], order: int, ring: Ring, central: bool
        ) -> list[fmpq_mpoly]:
            found = super().logarithms(law, features, order, ring, central)
            return [*found[:1], found[1] * fmpq(3, 2), *found[2:]]

    monkeypatch.setitem(registry._EXACT_SCHEMES, doubled, Wrong())
    with pytest.raises(AssertionError):
        test_a_scheme_says_the_same_over_the_rationals_and_modulo_primes(doubled, doubled, False)
    with pytest.raises(AssertionError):
        test_the_factor_is_the_second_central_moment(doubled, doubled)


def test_cumulants_of_a_bernoulli_variable() -> None:
    """log(1 + w (e^x - 1)) up to x^9, from its moments, all w."""
    ring = Ring(2)
    theta, w = ring.gens
    law = exact_law(lv.Dataset([[1]], [[0]]))  # one example with q = 1: Q_k = theta^k
    logs = exact_scheme("without_replacement").logarithms(law, [Z[0] ** 2], 9, ring, central=False)
    cumulants: list[fmpq_mpoly] = []
    for n in range(1, 10):  # E X^n = w for all n
        cumulants.append(w - sum((comb(n - 1, k - 1) * cumulants[k - 1] * w for k in range(1, n)), ring.zero))
        assert logs[n - 1] == cumulants[-1] * theta**n * fmpq(1, factorial(n))


def test_statements_have_twins_and_say_how_large_a_batch_may_be() -> None:
    for name, scheme in SCHEMES.items():
        assert scheme_of(name) is scheme and exact_scheme(name).dataset_powers >= 1
        assert scheme.unbounded == (scheme.largest_batch(7) is None) == (not scheme.within_dataset)
    assert scheme_of("without_replacement").largest_batch(7) == 7
    problem = lv.Problem([[[1, 2]]], DATA, sampling="without_replacement")
    assert problem.scheme is lv.gradient_variance(problem).scheme is SCHEMES["without_replacement"]
    assert lv.gradient_variance(problem).largest_batch_size == problem.largest_batch_size == 4
