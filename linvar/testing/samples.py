"""Whether the examples that a law draws have its moments."""

from __future__ import annotations

import math
import random
from itertools import combinations_with_replacement, islice

import jax
import numpy as np

from linvar.laws.law import Law
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.laws.registry import exact_law
from linvar.testing.checking import check
from linvar.verification.verify import verify

#: products of two numbers, and of four, that are looked at
_PAIRS, _FOURS = 300, 40


def check_samples(law: Law, key: jax.Array, rows: int, most_errors: float) -> None:
    """Means of products of numbers of an example, of order up to 4 and of one number up to 8, and a variance by simulation.

    Args:
        law: one that draws examples.
        key: a typed key.
        rows: examples drawn.
        most_errors: standard errors by which a mean may miss the exact one.

    Raises:
        AssertionError: it says which mean is how far off.
    """
    exact = exact_law(law)
    draw_key, verify_key = jax.random.split(key)
    with jax.enable_x64(True):
        sampler = numeric_law(law).sampler(numeric_scheme("iid"), "float64")
        x, y = jax.jit(lambda key: sampler.draw(key, rows))(draw_key)  # as in simulations: one program
        drawn = np.concatenate([np.asarray(x), np.asarray(y)], axis=1)
    check(drawn.shape == (rows, law.input_width + law.target_width), f"examples have the shape {drawn.shape}")
    # x = X z and y = Y z: each number of an example is linear in z
    z = coordinates(exact.width)
    example = [
        sum((z[a] * entry for a, entry in enumerate(row) if entry != 0), Polynomial())
        for row in (*exact.input_map, *exact.target_map)
    ]
    highest = math.inf if exact.highest_moment is None else exact.highest_moment
    numbers, draws = range(len(example)), random.Random(len(example))
    places: list[tuple[int, ...]] = [(i,) for i in numbers]
    places += islice(combinations_with_replacement(numbers, 2), _PAIRS)
    places += [tuple(sorted(draws.choices(numbers, k=4))) for _ in range(_FOURS)]
    places += [(i,) * order for i in numbers for order in (4, 6, 8)]
    # the spread of a mean of order k takes moments of order 2 k
    places = sorted({p for p in places if 2 * len(p) <= highest}, key=lambda p: (len(p), p))
    products = [math.prod((example[i] for i in p), start=Polynomial.constant(1)) for p in places]
    for place, mean in zip(places, exact.means(products, Numbers)):
        values = np.prod(drawn[:, list(place)], axis=1)
        error = float(values.std() / math.sqrt(rows))
        off = abs(float(values.mean()) - float(mean))
        check(
            off <= most_errors * error + 1e-9 * (1 + abs(float(mean))),
            f"the mean of the product of the numbers {place} of {rows:,} examples (x, y) is {values.mean():.6g} +- {error:.2g}, "
            f"and exactly {float(mean):.6g}",
        )
    weights = [[[1 / (1 + j) for j in range(law.input_width)] for _ in range(law.target_width)]]
    problem = Problem.from_arrays(weights, law, "1/10", 0)
    if highest >= 4:
        report = verify(problem, key=verify_key, runs=4_000, batch_sizes=[2], progress=False)
        check(not any(row.verdict == "REJECT" for row in report.rows), f"verify rejects the variance:\n{report}")
