"""Whether a law says the same thing everywhere: its moments, what follows from them, its examples, the roads."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import TYPE_CHECKING

from linvar.errors import InputError
from linvar.exact import Matrix, Rational
from linvar.laws.law import Law
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.laws.registry import LAWS
from linvar.problem import Problem
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Exponents, Ring
from linvar.symbolic.derivation import derive
from linvar.symbolic.laws.law import ExactLaw, exponents
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.features import Functionals, eliminated, eliminated_by_moments, unit_forms
from linvar.symbolic.roads.lattice.road import Lattice
from linvar.symbolic.roads.regression.road import Regression
from linvar.symbolic.sgd.questions import Norms
from linvar.symbolic.sgd.road import Road
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.truncation import large_batch
from linvar.testing.checking import check
from linvar.testing.roads import compare

if TYPE_CHECKING:
    import jax
    import sympy

#: features whose moments are compared, and up to which order
_FEATURES, _ORDER = 3, 3
#: standard errors by which a mean of samples may miss the exact one: over some hundred comparisons, once in 10^8 suites
_MOST_ERRORS = 7.0


def check_law(law: Law, *, key: jax.Array | None = None, rows: int = 100_000) -> None:
    """Run a law through what linvar asks of it: the conformance suite of laws, shipped ones and yours.

    Exactly, with ==: the moments of features are those of their products; second and fourth moments, cumulants, power sums and
    where z can be fit them; two networks have the same variance on every road that is open
    to them, and the first coefficients in 1/b; a problem file gives the law back. With a key, by simulation: moments up to
    order 4 of ``rows`` examples, within 7 standard errors, and variances for which ``linvar.verify`` may not say REJECT.

    Args:
        law: of numbers or with symbols (which are not simulated).
        key: a typed key of JAX, if the law draws examples.
        rows: how many are drawn.

    Raises:
        AssertionError: it says what does not fit.

    >>> import linvar as lv
    >>> check_law(lv.Finite([[1], [-2]], ["1/2", 0], ["1/3", "2/3"]))
    """
    exact = exact_law(law)
    _check_shapes(law, exact)
    values = [one.value for one in law.numbers_to_vary()]
    check(not values or law.with_numbers(values) == law, "with_numbers does not give the law back")
    features = list(islice(_features(exact.width), _FEATURES))
    _check_products(exact, features)
    _check_what_follows(exact, features)
    _check_support(exact)
    _check_roads(law)
    _check_file(law)
    if key is not None and not law.symbols:
        from linvar.testing.samples import check_samples

        check_samples(law, key, rows, _MOST_ERRORS)


def _features(width: int) -> Iterator[Polynomial]:
    """A product of two coordinates, and quadratic forms of small integers; the same ones for the same width."""
    z, draws = coordinates(width), random.Random(width)
    yield z[0] * z[-1]
    while True:
        terms = [(draws.randrange(width), draws.randrange(width), draws.choice((-2, -1, 1, 2))) for _ in range(3)]
        yield sum((z[a] * z[c] * factor for a, c, factor in terms), Polynomial())


def _check_shapes(law: Law, exact: ExactLaw) -> None:
    """Maps of the widths that the statement has."""
    for name, matrix, rows in (
        ("input_map", exact.input_map, law.input_width),
        ("target_map", exact.target_map, law.target_width),
    ):
        shape = (len(matrix), *{len(row) for row in matrix})
        check(shape == (rows, exact.width), f"{name} has the shape {shape}, not {(rows, exact.width)}")
    check(exact.size == law.size and set(exact.symbols) == set(law.symbols), "the twins differ in size or symbols")


def _check_products(exact: ExactLaw, features: list[Polynomial]) -> None:
    """E prod f^a is the mean of one feature, the product; coordinates by themselves too."""
    ring = Ring(0, exact.symbols)
    many = list(islice(_features(exact.width), 6))
    for some, order in ((features, _ORDER), (list(coordinates(exact.width))[:4], 4), (features[:1], 8), (many, 2)):
        if exact.highest_moment is not None:
            order = min(order, exact.highest_moment // max(feature.degree for feature in some))
        found = exact.moments(some, order, ring)
        for powers in exponents(len(some), order):
            whole = prod((f**k for f, k in zip(some, powers)), start=Polynomial.constant(1))
            (mean,) = exact.means([whole], ring)
            value = found.get(powers, ring.zero)
            check(
                value == mean, f"E of features to the powers {powers} is {value}, but the mean of their product {mean}"
            )
    twice = exact.means([features[0] * 2 - 3], ring)[0]
    check(twice == exact.means(features[:1], ring)[0] * 2 - 3, "means are not linear")


def _check_what_follows(exact: ExactLaw, features: list[Polynomial]) -> None:
    """Formulas of the law's own against what follows from its moments."""
    plain, ring = _Plain(exact), Ring(len(features), exact.symbols)
    order = _ORDER if exact.highest_moment is None else min(_ORDER, exact.highest_moment // 2)
    size = range(exact.width)
    scalars = ring.scalars
    pairs: list[tuple[str, Callable[[ExactLaw], object]]] = [
        ("second_moment", lambda law: law.second_moment(scalars)),
        ("means", lambda law: law.means(features, scalars)),
        ("cumulants", lambda law: law.cumulants(features, order, ring)),
        ("powers", lambda law: law.powers(features, order, ring)),
    ]
    if exact.highest_moment is None or exact.highest_moment >= 4:
        form = [[scalars.lift(1 + (i + j) % 3) for j in size] for i in size]
        pairs.append(("weighted_second_moment", lambda law: law.weighted_second_moment(form, scalars)))
    if exact.size is not None:
        pairs.append(("power_sums", lambda law: law.power_sums(features, order, ring)))
        pairs.append(("central power_sums", lambda law: law.power_sums(features, order, ring, central=True)))
    for name, ask in pairs:
        check(ask(exact) == ask(plain), f"{name} is not what follows from the moments")


def _check_support(exact: ExactLaw) -> None:
    """Relations between products of coordinates: those at the points where z can be are those that second moments tell."""
    size = min(exact.width, 4)
    pairs = tuple((a, c) for a in range(size) for c in range(a, size))
    functionals = Functionals(exact.width, unit_forms(exact.width), unit_forms(exact.width), pairs)
    if exact.highest_moment is not None and exact.highest_moment < 4:
        return
    if exact.fills_space:
        check(len(list(exact.scattered(3))) == 3, "a law that fills its space has no scattered points")
    here, there = (find(exact, functionals).features for find in (eliminated, eliminated_by_moments))
    words = f"{len(here)} products of coordinates vary independently where z can be, and by their moments {len(there)}"
    check(len(here) == len(there), words)
    check(
        exact.symbols != () or (here.chosen, here.coordinates) == (there.chosen, there.coordinates),
        "products of coordinates have other relations where z can be than by their moments",
    )


def _check_roads(law: Law) -> None:
    """One and two layers: the expansion and every other road that is open say the same."""
    inputs, outputs = law.input_width, law.target_width
    one = [[[Rational((-1) ** (i + j), 1 + (i + j) % 3) for j in range(inputs)] for i in range(outputs)]]
    two = [[[Rational(1, 1 + j) for j in range(inputs)]], [[Rational(i + 1, 2)] for i in range(outputs)]]
    cases: list[tuple[Problem, Road]] = [
        (Problem(one, law, "1/10", 2), Regression()),
        (Problem(two, law, "1/10", 1), Lattice()),
    ]
    if law.size is not None:
        cases.append((Problem(two, law, "1/10", 1, "without_replacement"), Lattice()))
    for problem, road in cases:
        steps = Steps(problem)
        try:
            steps.check_moments(Norms().degree(2 * problem.depth))
        except InputError:  # the law has not the moments that this problem needs
            continue
        if road.cost(steps).obstacle is None:
            compare(road, problem, [Norms()])
        if problem.scheme.unbounded:
            leading, whole = large_batch(problem, 1).variance, derive(problem).variance
            check(leading.agrees_with(whole), f"large batches give {leading} for {problem!r}, and the whole is {whole}")


def _check_file(law: Law) -> None:
    """What a problem file keeps is the law."""
    if law.kind in LAWS and not law.symbols:
        data = law.to_dict()
        check([*data][0] == "kind" and {*data} <= {"kind", *law.keys}, f"to_dict has the keys {[*data]}")
        check(LAWS[law.kind].from_dict(data, _no_table) == law, "from_dict does not give back what to_dict wrote")


def _no_table(keys: object) -> Law:
    """A law that names a table did not come from ``to_dict``."""
    raise AssertionError(f"to_dict names a table: {keys}")


@dataclass(frozen=True)
class _Plain(ExactLaw):
    """The moments of a law, and nothing else that it knows."""

    law: ExactLaw

    @property
    def input_map(self) -> Matrix:
        return self.law.input_map

    @property
    def target_map(self) -> Matrix:
        return self.law.target_map

    @property
    def size(self) -> int | None:
        return self.law.size

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        return self.law.symbols

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        return self.law.moments(features, order, ring)
