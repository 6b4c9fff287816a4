"""A problem, as the sums over pairs take it: where they apply, and its exact matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from linvar.exact import Exact as Number
from linvar.exact import Rational
from linvar.flint import fmpq, fmpz, fmpz_mat
from linvar.laws.law import identity
from linvar.symbolic.algebra.ring import to_fmpq
from linvar.symbolic.laws.wishart import Wishart
from linvar.symbolic.models.model import ExactModel
from linvar.symbolic.pairs.kinds import Exact
from linvar.symbolic.pairs.path import At, Setting
from linvar.symbolic.pairs.sums import by_pairs
from linvar.symbolic.pairs.tangents import by_tangents


def wishart_of(model: ExactModel) -> Wishart | None:
    """The law, where the lists hold for the problem: a linear network, numbers, plain SGD, a normal law of mean zero."""
    problem = model.problem
    return model.law.wishart if model.layers is not None and problem.plain and not problem.symbols else None


def setting_of(model: ExactModel, law: Wishart) -> Setting[Exact]:
    """Its matrices."""
    problem = model.problem
    white = law.covariance == identity(len(law.covariance))
    noise = _number(law.noise_variance)
    return Setting(
        tuple(map(Exact.of, problem.leaves)),
        Exact.of(law.teacher).scaled(-1),
        tuple(_number(rate) for rate in problem.learning_rates),
        None if white else Exact.of(law.covariance),
        Exact.identity(len(law.teacher)).scaled(noise) if noise else None,
        Exact.identity,
    )


def units(at: At[Exact]) -> Iterator[tuple[Exact, Exact]]:
    """Each unit matrix of an end-to-end gradient, and its image under the covariance of the noise."""
    rows, columns = at.mean.rows, at.mean.columns
    for place in range(rows * columns):
        unit = Exact(fmpz_mat(rows, columns, [int(k == place) for k in range(rows * columns)]), fmpz(1))
        yield unit, at.correlated(unit)


def coefficients(model: ExactModel, law: Wishart, listed: bool) -> list[fmpq]:
    """The coefficient of u in the variance of each layer's gradient: by pairs if ``listed``, else by directions."""
    setting = setting_of(model, law)
    found = by_pairs(setting) if listed else by_tangents(setting, units)
    assert found is not None  # lists that are too long are not asked for
    return [value.reduced for value in found]


def _number(value: Number) -> fmpq:
    """A number of a problem without symbols."""
    return to_fmpq(cast("Rational", value))
