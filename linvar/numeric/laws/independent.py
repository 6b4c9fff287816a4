"""Independent coordinates z, and an example (x, y) whose entries are polynomials in them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from linvar.errors import InputError
from linvar.laws.independent import Independent
from linvar.laws.polynomial import Polynomial
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.coordinates import NumericCoordinate, Standard, find_numeric_coordinate
from linvar.numeric.laws.law import Batch, FiniteRule, IndependentSampler, NumericLaw
from linvar.numeric.laws.mixture import MOST_LEVELS, Mixture
from linvar.numeric.schemes.scheme import NumericScheme

#: Coordinates of a tensor rule, at most: 3^8 points.
_MOST_COORDINATES = 8
#: Lines on which a loss is checked to be quadratic.
_LINES = 16


@dataclass(frozen=True)
class NumericIndependent(NumericLaw):
    """The numeric twin of a ``linvar.Independent``, each of whose coordinates can be drawn.

    Raises:
        InputError: a coordinate cannot.
    """

    law: Independent

    def __post_init__(self) -> None:
        self._coordinates  # noqa: B018  refused here, not in a simulation

    @property
    def statement(self) -> object:
        """The law."""
        return self.law

    def sampler(self, scheme: NumericScheme, dtype: str) -> PolynomialSampler:
        """Independent examples."""
        return self._sampler(dtype)

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> ExaggeratedCoordinates:
        """s^degree times the normal density peaks at s^2 = degree: strengths up to it, the degree in one coordinate."""
        highest = degree * max(1, *(entry.degree for entry in self._entries))
        levels = min(MOST_LEVELS, max(3, math.ceil(math.log2(highest)) + 1))
        strengths = jnp.asarray(2.0 ** np.arange(1, levels + 1))
        return ExaggeratedCoordinates(self._sampler("float64"), strengths, plain_probability)

    def finite_rule(self, dtype: np.dtype) -> FiniteRule:
        """Three Gauss nodes a coordinate, exact for a loss of degree 2 in an example that is linear in few coordinates.

        Raises:
            InputError: the example is not linear in them, or there are many.
        """
        count = len(self._coordinates)
        if count > _MOST_COORDINATES or max(entry.degree for entry in self._entries) > 1:
            cure = "give a large sample of it, arrays with the examples first"
            most = f"has a finite rule only where the example is linear in at most {_MOST_COORDINATES} coordinates"
            raise InputError("data", self.law, cure, fault=most)
        nodes, shares = zip(*(self._coordinates[k].standard.nodes() for k in self._order))
        points = np.asarray(list(itertools.product(*nodes)))
        weights = np.asarray([math.prod(one) for one in itertools.product(*shares)])
        start, shift = np.random.default_rng(0).normal(size=(2, _LINES, 1, count))
        along = (start + np.arange(4)[:, None] * shift).reshape(4 * _LINES, count)
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            examples = self._sampler("float64").examples
            rule, lines = ([np.asarray(part) for part in examples(jnp.asarray(rows))] for rows in (points, along))
        return FiniteRule(rule[0].astype(dtype), rule[1].astype(dtype), weights, (lines[0], lines[1]))

    def _sampler(self, dtype: str) -> PolynomialSampler:
        order = self._order
        position = {place: rank for rank, place in enumerate(order)}
        monomials = list(dict.fromkeys(key for entry in self._entries for key, _ in entry.terms)) or [()]
        degree = max(1, *map(len, monomials))
        # a row of places for each monomial, filled up with the place of a one
        places = [[*(position[k] for k in key), *[len(order)] * (degree - len(key))] for key in monomials]
        found = [dict(entry.terms) for entry in self._entries]
        table = [[terms.get(key, 0) for terms in found] for key in monomials]
        coordinates = [self._coordinates[k] for k in order]
        kinds = itertools.groupby(coordinate.standard for coordinate in coordinates)
        return PolynomialSampler(
            location=jnp.asarray(np.asarray([one.location for one in coordinates], dtype)),
            scale=jnp.asarray(np.asarray([one.scale for one in coordinates], dtype)),
            places=jnp.asarray(np.asarray(places, "int32")),
            coefficients=jnp.asarray(to_floats(table, "example", dtype)),
            kinds=tuple((standard, len(list(group))) for standard, group in kinds),
            inputs=self.law.input_width,
        )

    @property
    def _entries(self) -> tuple[Polynomial, ...]:
        """Of x, then of y."""
        return self.law.inputs + self.law.targets

    @cached_property
    def _coordinates(self) -> tuple[NumericCoordinate, ...]:
        """The twins of the coordinates."""
        found = []
        for place, coordinate in enumerate(self.law.coordinates):
            twin = find_numeric_coordinate(coordinate)
            if twin is None:
                cure = "to simulate the law give linvar.Normal(...), linvar.Uniform(...) or linvar.Rademacher()"
                fault = "is known by its moments, and nothing draws it"
                raise InputError(f"coordinates[{place}]", coordinate, cure, fault=fault)
            found.append(twin)
        return tuple(found)

    @cached_property
    def _order(self) -> list[int]:
        """The coordinates by kind, those that can be exaggerated first."""
        kinds = list(dict.fromkeys(one.standard for one in self._coordinates))
        kinds.sort(key=lambda standard: not standard.can_be_exaggerated)
        ranks = [kinds.index(one.standard) for one in self._coordinates]
        return sorted(range(len(ranks)), key=ranks.__getitem__)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["location", "scale", "places", "coefficients"],
    meta_fields=["kinds", "inputs"],
)
@dataclass(frozen=True)
class PolynomialSampler(IndependentSampler):
    """z = location + scale s, and (x, y) = the monomials of z times coefficients.

    Attributes:
        location, scale: of the coordinates, (m,).
        places: (monomials, degree), the coordinates of each, m for none.
        coefficients: (monomials, d_0 + d_L).
        kinds: how many coordinates in a row are of each standard law; those that can be exaggerated first.
        inputs: d_0.
    """

    location: jax.Array
    scale: jax.Array
    places: jax.Array
    coefficients: jax.Array
    kinds: tuple[tuple[Standard, int], ...]
    inputs: int

    @property
    def exaggerable(self) -> int:
        """How many coordinates can be exaggerated."""
        return sum(count for standard, count in self.kinds if standard.can_be_exaggerated)

    def examples_of(self, key: Key[Array, ""], rows: int) -> Batch:
        """Independent examples."""
        uniforms = self.uniforms(key, rows)
        columns = [standard.of(uniforms[:, here]) for standard, here in self.columns]
        return self.examples(jnp.concatenate(columns, axis=1))

    def uniforms(self, key: Key[Array, ""], rows: int) -> Float[Array, "rows m"]:
        """Numbers in (-1, 1)."""
        dtype = self.location.dtype
        above = jnp.nextafter(jnp.asarray(-1, dtype), jnp.asarray(0, dtype))
        return jax.random.uniform(key, (rows, len(self.location)), dtype, above, 1)

    @property
    def columns(self) -> list[tuple[Standard, slice]]:
        """The coordinates of each standard law."""
        ends = itertools.accumulate(count for _, count in self.kinds)
        return [(standard, slice(end - count, end)) for (standard, count), end in zip(self.kinds, ends)]

    def examples(self, standard: Float[Array, "batch m"]) -> Batch:
        """(x, y) of standard numbers."""
        z = self.location + self.scale * standard
        ones = jnp.ones((len(z), 1), z.dtype)
        monomials = jnp.prod(jnp.concatenate([z, ones], axis=1)[:, self.places], axis=2)
        both = monomials @ self.coefficients
        return both[:, : self.inputs], both[:, self.inputs :]

    def bytes_at_once(self, rows: int) -> int:
        """The numbers, their bits, monomials, inputs and targets."""
        entries = 4 * len(self.location) + 2 * self.places.size + 2 * self.coefficients.shape[1]
        return rows * self.location.dtype.itemsize * entries


@partial(jax.tree_util.register_dataclass, data_fields=["law", "strengths"], meta_fields=["plain_probability"])
@dataclass(frozen=True)
class ExaggeratedCoordinates(Mixture):
    """Examples of which some have all their coordinates exaggerated, or one, equally likely: over the plain law the density

        rho_k = (prod_i rho_{k,i}(z_i) + mean_i rho_{k,i}(z_i)) / 2,

    i over the coordinates that can be exaggerated, to the strength k of ``strengths``, (levels,). Where none can be, rho = 1.
    """

    law: PolynomialSampler
    strengths: jax.Array
    plain_probability: float

    @property
    def levels(self) -> int:
        """As many as there are strengths."""
        return len(self.strengths)

    def more_rows(
        self, state: Any, number: Int[Array, ""], level: Int[Array, ""], chosen: Bool[Array, " rows"]
    ) -> tuple[Any, Batch, Float[Array, "levels rows"]]:
        """Of the chosen examples all coordinates exaggerated, or one."""
        number_key, place_key = jax.random.split(jax.random.fold_in(state, number))
        numbers = self._numbers(self.law.uniforms(number_key, len(chosen)), level, chosen, place_key)
        return state, self.law.examples(numbers), self._log_ratios(numbers)

    def bytes_at_once(self, rows: int) -> int:
        """Those of plain examples, and the ratios."""
        return self.law.bytes_at_once(rows) + 24 * rows * self.levels

    def _numbers(
        self, uniforms: Float[Array, "batch m"], level: Int[Array, ""], chosen: Array, key: Key[Array, ""]
    ) -> Float[Array, "batch m"]:
        """Standard numbers, of the chosen examples all or one exaggerated."""
        coin, place = jax.random.uniform(key, (2, len(uniforms)), uniforms.dtype)
        one = jnp.arange(uniforms.shape[1]) == (place * self.law.exaggerable).astype(jnp.int32)[:, None]
        moved = chosen[:, None] & ((coin < 0.5)[:, None] | one)
        strength = self.strengths[level]
        columns = [
            jnp.where(moved[:, here], standard.exaggerated(v, strength), standard.of(v))
            for standard, here, v in ((standard, here, uniforms[:, here]) for standard, here in self.law.columns)
        ]
        return jnp.concatenate(columns, axis=1)

    def _log_ratios(self, numbers: Float[Array, "batch m"]) -> Float[Array, "levels batch"]:
        """log rho_k."""
        count, strengths = self.law.exaggerable, self.strengths[:, None, None]
        if count == 0:
            return jnp.zeros((len(self.strengths), len(numbers)), numbers.dtype)
        parts = [standard.log_ratio(numbers[:, here], strengths) for standard, here in self.law.columns]
        ratios = jnp.concatenate(parts, axis=2)[:, :, :count]
        one = jax.nn.logsumexp(ratios, axis=2) - math.log(count)
        return jnp.logaddexp(jnp.sum(ratios, axis=2), one) - math.log(2)


_: type[NumericLaw] = NumericIndependent
