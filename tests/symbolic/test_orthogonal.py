"""Moments in orthogonal polynomials equal those of products, term by term, for any moments of the coordinates."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.laws.coordinates import Coordinate, Moments, Normal, Rademacher, Uniform
from linvar.symbolic.algebra.ring import Exponents, Numbers, Ring, to_rational
from linvar.symbolic.laws.coordinates import moments_of
from linvar.symbolic.laws.gaussian import ExactGaussian
from linvar.symbolic.laws.halves import paired
from linvar.symbolic.laws.independent import ExactIndependent
from linvar.symbolic.laws.law import exponents, graded
from linvar.symbolic.laws.monomials import moments_by_monomials
from linvar.symbolic.laws.orthogonal import Basis, moments_of_products
from linvar.testing import coordinates

#: of a number whose fourth moment says that it is a sign, and whose fifth that it is none
NO_NUMBER = Moments([0, 1, 0, 1, 5, 1, 0, 1, 0, 1, 0, 1])
ONES: list[Coordinate] = [
    Normal(),
    Normal("1/2", "1/3"),
    Uniform(0, 2),
    Rademacher(),
    Moments([1, 1, 1, 1, 1, 1, 1, 1]),
]


def by_terms(features: list[Ring], order: int, moments: list[list[Fraction]]) -> dict[Exponents, Fraction]:
    """Every product multiplied out, and each of its monomials replaced by its mean."""
    found = {}
    for key, places in graded(len(features), order):
        product = prod((features[j] for j in places[1:]), start=features[places[0]])
        value = sum(
            (to_rational(c) * prod((known[k] for known, k in zip(moments, powers)), start=Fraction(1))
             for powers, c in product.terms()),
            Fraction(0),
        )  # fmt: skip
        if value:
            found[key] = value
    return found


@given(
    st.lists(
        st.dictionaries(
            st.tuples(st.integers(0, 2), st.integers(0, 2)), st.fractions(-2, 2, max_denominator=3), max_size=4
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.sampled_from(ONES[:4]), min_size=2, max_size=2),
    st.integers(1, 4),
)
def test_moments_are_those_of_products(
    terms: list[dict[Exponents, Fraction]], laws: list[Coordinate], order: int
) -> None:
    ring = Ring(2)
    features = [ring.from_terms({key: lv.Rational(c) for key, c in one.items()}) for one in terms]
    known = [moments_of(law, 2 * order) for law in laws]
    assert moments_of_products(features, order, known) == by_terms(features, order, known)


def test_what_vanishes_is_left_out() -> None:
    sign = Basis.of(moments_of(Rademacher(), 8), 4, 4)
    constant = Basis.of([Fraction(1)] * 9, 4, 4)
    assert sign is not None and constant is not None
    assert [list(map(int, row)) for row in sign.table] == [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]
    assert [list(map(int, row)) for row in constant.table] == [[1]] * 5
    assert [float(norm.p) for norm in sign.norms] == [1, 1]


def test_moments_of_no_number_are_summed_over_points() -> None:
    """A norm of zero that vanishes for no reason: the caller's moments are taken as they are."""
    assert Basis.of(moments_of(NO_NUMBER, 12), 3, 3) is None
    assert Basis.of(moments_of(NO_NUMBER, 4), 2, 2) is not None
    law = ExactIndependent(lv.Independent([NO_NUMBER, Normal()], lambda z: (z, z[0] * z[1])))
    x, _, y = coordinates(3)
    features = [x**2, x + y / 2]
    ring = Ring(2)
    e, normal = ring.gens
    found = by_terms([e**2, e + e * normal / 2], 3, [moments_of(NO_NUMBER, 12), moments_of(Normal(), 12)])
    assert law.moments(features, 3, Numbers) == found
    assert found[2, 1] == 5


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "law",
    [
        lv.Gaussian([[1, "-1/2"]], noise_variance="1/4"),
        lv.Gaussian([[1, "-1/2"]], covariance=[[2, 1], [1, "1/2"]], mean=["1/3", -1]),
        lv.Gaussian([[1, "-1/2"]], covariance=[[0, 0], [0, 0]], mean=["1/3", -1]),
    ],
    ids=["noise", "covariance of rank 1 and a mean", "constant"],
)
def test_normal_features_of_any_degree(law: lv.Gaussian, order: int) -> None:
    twin = ExactGaussian(law)
    z = coordinates(twin.width)
    features = [z[0] - 1, z[0] * z[1] ** 2 - z[-1], z[1] ** 2 + z[0] / 3]
    found = twin.moments(features, order, Numbers)
    assert found == {key: value for key, value in twin._moments_by_isserlis(features, order, Numbers).items() if value}
    assert found.keys() <= {*exponents(3, order)}


@pytest.mark.parametrize("order", [1, 3])
def test_cumulants_of_inhomogeneous_forms(order: int) -> None:
    """(z, 1) is normal, too."""
    twin = ExactGaussian(lv.Gaussian([[1, "-1/2"]], covariance=[[2, 1], [1, 3]], mean=["1/3", -1], noise_variance=2))
    z, ring = coordinates(3), Ring(3)
    features = [z[0] ** 2 + z[1] / 2 - 3, z[2] + z[0] * z[2], z[1] ** 2]
    higher = [*features[:2], z[1] ** 2 + 0 * z[0] ** 3]
    assert [f.degree for f in higher] == [2, 2, 2]
    assert twin.cumulants(features, order, ring) == super(ExactGaussian, twin).cumulants(features, order, ring)


def test_halves_are_paired() -> None:
    values = [[2, 3], [5, 7], [-1, 4]]
    columns = {(): [1, 1]} | {
        key: [prod(values[j][i] for j in key) for i in range(2)] for _, key in graded(3, 3)
    }  # fmt: skip
    weighted = {key: [3 * column[0], -column[1]] for key, column in columns.items()}
    for order in range(1, 6):
        expected = {powers: 3 * prod(values[j][0] for j in key) - prod(values[j][1] for j in key)
                    for powers, key in graded(3, order)}  # fmt: skip
        assert dict(paired(weighted, columns, 3, order)) == {key: value for key, value in expected.items() if value}


def test_monomials_agree() -> None:
    law = lv.Gaussian([[1, "-1/2"]], noise_variance="1/4")
    twin = ExactGaussian(law)
    x, y, noise = coordinates(3)
    known = {(): Fraction(1)}

    def moment(places: tuple[int, ...]) -> Fraction:
        powers = [places.count(place) for place in range(3)]
        variances = [Fraction(1), Fraction(1), Fraction(1, 4)]
        return prod((moments_of(Normal(0, v), k)[k] for v, k in zip(variances, powers)), start=known[()])

    features = [x**2 * noise, noise - y]
    assert twin.moments(features, 3, Numbers) == moments_by_monomials(features, 3, Numbers, moment)
