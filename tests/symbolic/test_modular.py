"""The parts of the lattice road, one by one: arithmetic modulo a prime, moments of a batch, the way back to fractions."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import linvar as lv
from linvar.errors import InputError
from linvar.exact import Rational
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.symbolic.algebra.ring import coefficients_of, to_rational
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.roads.lattice import directions, modular
from linvar.symbolic.roads.lattice import moments as modular_moments
from linvar.symbolic.roads.lattice.checkpoint import digest
from linvar.symbolic.roads.lattice.integrator import _Grid
from linvar.symbolic.roads.lattice.modular import LIMIT, PRIME_LIMIT, REDUCED, Modulus, Residue, residues_of
from linvar.symbolic.roads.lattice.moments import BatchLaw
from linvar.symbolic.roads.lattice.reconstruction import CHECKS, primes_below, reconstruct
from linvar.symbolic.sgd.batch_moments import answer_ring, batch_moments

#: The first prime that is used, and one that no derivation comes down to (60,000 primes later).
PRIMES = (next(primes_below(PRIME_LIMIT)), next(primes_below(PRIME_LIMIT - 2**20)))


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """As in ``LatticeSum.expectations``."""
    with jax.enable_x64(True):
        yield


def whole(array: Any) -> list[int]:
    """The entries as Python integers; each of them is one."""
    flat = np.asarray(array, np.float64).reshape(-1)
    assert (flat == np.rint(flat)).all()
    return [int(x) for x in flat]


# arrays of residues


@pytest.mark.parametrize("p", PRIMES)
def test_reduction_is_exact_up_to_the_limit(p: int) -> None:
    draws = random.Random(p)
    most = LIMIT // p
    edges = [k * p + half for k in (0, 1, most // 2, most - 1) for half in (-p // 2, p // 2, p // 2 + 1, -1, 0, 1)]
    numbers = [LIMIT, LIMIT - 1, *edges, *(draws.randrange(LIMIT) for _ in range(10_000))]
    numbers += [-number for number in numbers]
    assert max(numbers) == LIMIT and all(int(float(number)) == number for number in numbers)
    found = whole(jax.jit(modular.reduce)(np.array(numbers, np.float64), float(p)))
    assert all((r - x) % p == 0 and abs(r) <= REDUCED for r, x in zip(found, numbers))
    beyond = [4 * LIMIT + 1, 4 * LIMIT + 3]  # float64 has neither
    assert whole(modular.reduce(np.array(beyond, np.float64), float(p))) != [x % p for x in beyond]


@pytest.mark.parametrize("p", PRIMES)
def test_products_of_the_largest_residues_are_exact(p: int) -> None:
    draws = random.Random(p)
    sizes = [REDUCED, p // 2, p // 2 - 1, 1, 0, *(draws.randrange(REDUCED) for _ in range(30))]
    numbers = sizes + [-size for size in sizes]
    a = np.array(numbers, np.float64)
    found = whole(jax.jit(modular.multiply)(a[:, None], a[None, :], float(p)))
    wanted = [x * y for x in numbers for y in numbers]
    assert all((r - x) % p == 0 and abs(r) <= REDUCED for r, x in zip(found, wanted))


@pytest.mark.parametrize("p", PRIMES)
def test_matrix_products_of_the_largest_residues_and_most_summands_are_exact(p: int) -> None:
    """Rows of one sign, so that every partial sum is as large as it can be; and of random signs."""
    summands = 2**14
    draws = np.random.default_rng(p)
    half = REDUCED - REDUCED % 2**13 + 2**12  # the low half is as large as it can be, too
    rows = np.stack([np.full(summands, x) for x in (REDUCED, -REDUCED, p // 2, half - 2**13, half - 2**13 - 1)])
    rows = np.concatenate([rows, draws.integers(-(p // 2), p // 2 + 1, (3, summands))])
    columns = np.concatenate([rows[:2], draws.integers(-(p // 2), p // 2 + 1, (2, summands))]).T
    found = whole(jax.jit(modular.matmul)(rows.astype(float), columns.astype(float), float(p)))
    wanted = [sum(x * y for x, y in zip(a, b)) for a in rows.tolist() for b in columns.T.tolist()]
    assert all((r - x) % p == 0 and abs(r) <= REDUCED for r, x in zip(found, wanted))
    assert max(map(abs, wanted)) > 2**63  # in one sum of float64 nothing would be left of it


# a residue that knows its bound


def tree(draws: random.Random, leaves: list[Any], most: int) -> Any:
    """A random expression in nested tuples: ("+", a, b), ("-", a, b), ("*", a, b), ("neg", a), or a leaf."""
    grown = [("leaf", leaf) for leaf in draws.sample(range(len(leaves)), len(leaves))]
    for _ in range(most):
        a, b = draws.choice(grown[-3:]), draws.choice(grown)
        kind = draws.choice(["+", "-", "*", "*", "+", "-", "neg"])
        grown.append((kind, a) if kind == "neg" else (kind, a, b))
    return grown[-1]


def evaluate(node: Any, leaves: list[Any], known: dict[int, Any], seen: Any = None) -> Any:
    """The value of an expression; equal subexpressions are computed once, as in a program."""
    if id(node) not in known:
        kind, *parts = node
        if kind == "leaf":
            value = leaves[parts[0]]
        else:
            a, *rest = (evaluate(part, leaves, known, seen) for part in parts)
            value = -a if kind == "neg" else a + rest[0] if kind == "+" else a - rest[0] if kind == "-" else a * rest[0]
        known[id(node)] = value
        if seen is not None:
            seen(value)
    return known[id(node)]


@pytest.mark.parametrize("p", PRIMES)
def test_expressions_that_would_overflow_are_exact(p: int) -> None:
    draws = random.Random(p)
    overflows = 0
    for _ in range(60):
        constants = [Rational(draws.randrange(-9, 10), draws.randrange(1, 6)) for _ in range(3)]
        constants += [Rational(0), Rational(1), Rational(-1), Rational(1024), Rational(-1025), Rational(1, 10**40)]
        bounds = [REDUCED, REDUCED, 1, 10, 2**20, LIMIT]
        integers = [[bound, -bound, *(draws.randrange(-bound, bound + 1) for _ in range(3))] for bound in bounds]
        root = tree(draws, [*constants, *bounds], 25)

        def residues(ring: Modulus, values: list[Any], constants: Any = constants, bounds: Any = bounds) -> list[Any]:
            return [*map(ring.lift, constants), *(ring.residue(v, bound) for v, bound in zip(values, bounds))]

        collected: dict[Rational, int] = {}
        arrays = [np.array(values, np.float64) for values in integers]
        evaluate(root, residues(Modulus(float(p), constants=collected), arrays), {}).values()
        ring = Modulus(float(p), residues_of(list(collected), [p])[0], collected)

        def seen(value: Residue) -> None:
            if value.exact is None:
                assert value.bound <= LIMIT and max(map(abs, whole(value.array))) <= value.bound

        found = whole(evaluate(root, residues(ring, arrays), {}, seen).values() + np.zeros(5))
        sizes = []
        for place, residue in enumerate(found):
            numbers = [*map(Fraction, constants), *(Fraction(values[place]) for values in integers)]
            value = evaluate(root, numbers, {}, lambda value, sizes=sizes: sizes.append(abs(value)))
            assert (residue - value.numerator * pow(value.denominator, -1, p)) % p == 0
        overflows += max(sizes) > 2**53
    assert overflows > 40, "the expressions are too small to need a reduction"


# moments of a batch


LAWS = {
    "gaussian": (lv.Gaussian([[1, "1/2"]], [[2, "1/3"], ["1/3", 1]], ["1/2", -1], "1/5"), "iid"),
    "data set": (lv.Dataset([[1, "1/2"], [0, 1], [-2, "1/3"]], [1, "2/7", 0]), "iid"),
    "without replacement": (lv.Dataset([[1, "1/2"], [0, 1], [-2, "1/3"]], [1, "2/7", 0]), "without_replacement"),
    "one example": (lv.Dataset([[1, "1/2"]], [3]), "without_replacement"),
}


@pytest.mark.parametrize(
    ("name", "variables", "degree"),
    [
        ("gaussian", 1, 7), ("gaussian", 2, 5), ("gaussian", 3, 2), ("data set", 2, 5), ("without replacement", 1, 7),
        ("without replacement", 3, 3), ("one example", 2, 5),
    ],
)  # fmt: skip
def test_moments_and_weights_of_a_batch_equal_the_exact_ones(name: str, variables: int, degree: int) -> None:
    """Degrees beyond the size of the data set too. Weights: sum_x x^e omega_x is the moment e, for every e."""
    law, sampling = LAWS[name]
    draws = random.Random(variables)
    size = exact_law(law).width
    chosen = []
    for _ in range(variables):
        square = [[Rational(draws.randrange(-6, 7), draws.randrange(1, 4)) for _ in range(size)] for _ in range(size)]
        form = tuple(tuple(Rational(a + b) for a, b in zip(row, column)) for row, column in zip(square, zip(*square)))
        chosen.append(Polynomial.quadratic(form))
    ring = answer_ring(())
    exact = batch_moments(exact_law(law), chosen, degree, sampling, ring)
    batch = BatchLaw(exact_law(law), chosen, degree, sampling)
    geometry, arguments = batch.geometry(), batch.arguments(PRIMES)
    exponents = [tuple(map(int, node)) for node in batch.nodes.nodes]
    assert len(exponents) == batch.count and sum(map(max, exponents)) > 0
    moments, weights = jax.jit(batch.moments), jax.jit(batch.weights)
    for place, p in enumerate(PRIMES):
        table = {key: value[place] for key, value in arguments.items()}
        found = np.array(whole(moments(float(p), table, geometry))).reshape(batch.count, batch.powers)
        omega = np.array(whole(weights(float(p), table, geometry))).reshape(batch.count, batch.powers)
        for e, row in zip(exponents, found.tolist()):
            element = exact.get(e, ring.zero)
            numbers = [
                to_rational(part.coefficient(0)) if part else Rational(0) for part in coefficients_of(element, ring)
            ]
            wanted = [n.numerator * pow(n.denominator, -1, p) % p for n in numbers]
            wanted += [0] * (batch.powers - len(wanted))
            assert [value % p for value in row] == wanted
            powers = [prod(x**k for x, k in zip(node, e)) for node in exponents]
            assert [sum(x * w for x, w in zip(powers, column)) % p for column in omega.T.tolist()] == wanted
        assert any(value for row in found.tolist() for value in row[1:]) or batch.dataset_size == 1


# the way back to fractions


def residues_at(numbers: list[Fraction], primes: list[int]) -> dict[int, list[int]]:
    """Prime -> the residue of every number."""
    return {p: [n.numerator * pow(n.denominator, -1, p) % p for n in numbers] for p in primes}


def some_numbers(draws: random.Random, kind: str) -> list[Fraction]:
    """Zeros, negative and large ones among them; or all of a kind."""

    def digits(count: int) -> int:
        return draws.choice([1, -1]) * draws.randrange(10**count)

    if kind == "common denominator":
        return [Fraction(digits(20), 10**30 + 57) for _ in range(6)]
    if kind == "different denominators":
        return [Fraction(digits(9), draws.randrange(1, 10**5)) for _ in range(6)]
    if kind == "integers":
        return [Fraction(digits(draws.randrange(1, 60))) for _ in range(6)]
    if kind == "large":
        return [Fraction(digits(150), abs(digits(20)) + 1), Fraction(0), Fraction(-1, 10**100 + 267)]
    return [Fraction(0), Fraction(-1), Fraction(1, 2), Fraction(0)] if kind == "small" else [Fraction(0)] * 3


KINDS = ("common denominator", "different denominators", "integers", "large", "small", "zero")


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_come_back_and_never_wrong_ones(kind: str) -> None:
    """With one prime after another: None, until they are the right ones, and from then on."""
    draws = random.Random(kind)
    for _ in range(5):
        numbers = some_numbers(draws, kind)
        known = residues_at(numbers, list(islice(primes_below(PRIME_LIMIT), 60)))
        answers = [reconstruct(dict(islice(known.items(), count))) for count in range(1, 61)]
        determined = next(count for count, answer in enumerate(answers) if answer is not None)
        assert all(answer == numbers for answer in answers[determined:])
        assert answers[0] is None and (determined > 1 or kind in ("small", "zero", "integers"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 20, -1])
def test_one_wrong_residue_gives_nothing(kind: str, place: int) -> None:
    """Of the primes that determine, and of the last, which checks."""
    draws = random.Random(place)
    numbers = some_numbers(draws, kind)
    known = residues_at(numbers, list(islice(primes_below(PRIME_LIMIT), 60)))
    assert reconstruct(known) == numbers
    p = list(known)[place]
    for change in (1, p // 2, draws.randrange(1, p)):
        wrong = {**known, p: [(known[p][0] + change) % p, *known[p][1:]]}
        assert reconstruct(wrong) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_prime_must_agree(kind: str) -> None:
    """The fewest primes that determine, and three more: a wrong number in any of the three, in any place, is noticed."""
    numbers = some_numbers(random.Random(kind), kind)
    known = residues_at(numbers, list(islice(primes_below(PRIME_LIMIT), 60)))
    assert CHECKS == 3
    fewest = next(k for k in range(1, 61) if reconstruct(dict(islice(known.items(), k))) is not None)
    assert fewest > CHECKS
    few = dict(islice(known.items(), fewest))
    for p in list(few)[-CHECKS:]:
        for place in range(len(numbers)):
            row = [(x + (i == place)) % p for i, x in enumerate(few[p])]
            assert reconstruct({**few, p: row}) is None


def test_primes_in_a_denominator_are_left_out_or_give_nothing() -> None:
    first, second, third = islice(primes_below(PRIME_LIMIT), 3)
    assert list(islice(primes_below(PRIME_LIMIT, [6, second * 5]), 2)) == [first, third]
    numbers = [Fraction(1, second), Fraction(2, 3)]
    others = list(islice(primes_below(PRIME_LIMIT, [second]), 12))
    assert reconstruct(residues_at(numbers, others)) == numbers
    for garbage in (0, 1, 12345):  # the number has no residue modulo this prime
        row = {second: [garbage, 2 * pow(3, -1, second) % second]}
        assert reconstruct({**residues_at(numbers, others), **row}) is None
        assert reconstruct({**row, **residues_at(numbers, others)}) is None


def test_blocks_of_examples_directions_and_columns_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power sums, parts and changes of basis are made a few at a time where there are many."""
    law = lv.Dataset([[i, i * i % 5 - 2] for i in range(11)], [i % 3 for i in range(11)])
    z = coordinates(3)
    chosen = [z[0] ** 2, 2 * z[0] * z[1], 2 * z[1] * z[2]]
    found = []
    for small in (False, True):
        if small:
            for name, size in (("_EXAMPLES", 40), ("_BLOCK", 200), ("_COLUMNS", 3)):
                monkeypatch.setattr(directions if name == "_EXAMPLES" else modular_moments, name, size)
        batch = BatchLaw(exact_law(law), chosen, 5, "iid")
        table = {key: value[0] for key, value in batch.arguments(PRIMES[:1]).items()}
        found.append(whole(jax.jit(batch.weights)(float(PRIMES[0]), table, batch.geometry())))
    assert found[0] == found[1] and len(set(found[0])) > 100


# a fault on the way


PROBLEM = lv.Problem([[["3/2"]], [["-2/3"]]], lv.Gaussian([["1/2"]], noise_variance="1/3"), "1/5", 1)
QUANTITIES = (lv.gradient_variance, lv.expected_loss)


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("fault", [0, 3, -1])
def test_a_wrong_residue_never_gives_a_wrong_answer(quantity: Any, fault: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one prime, the first of those computed together, one in between, the last."""
    truth = quantity(PROBLEM, lv.Expansion())
    right, spoilt = _Grid.residues, []

    def residues(self: Any, primes: Any, advance: Any) -> Any:
        found = right(self, primes, advance)
        if not spoilt:
            p = list(found)[fault]
            found[p] = [*found[p][:1], (found[p][1] + 1) % p, *found[p][2:]]
            spoilt.append(p)
        return found

    monkeypatch.setattr(_Grid, "residues", residues)
    with pytest.raises(ArithmeticError, match="do not fit together"):
        assert quantity(PROBLEM, lv.Lattice()) == truth
    assert quantity(PROBLEM, lv.Lattice()) == truth and spoilt


@pytest.mark.parametrize("place", [0, -1])
def test_a_wrong_residue_in_a_file_that_looks_right_is_not_trusted(place: int, tmp_path: Path) -> None:
    """Its checksum is computed anew: what is left is that the residues do not fit together."""
    path = tmp_path / "residues.json"
    ask = partial(lv.expected_loss, PROBLEM, lv.Lattice(checkpoint=str(path)))
    truth = ask()
    data = json.loads(path.read_text())
    rows = next(iter(data["residues"].values()))
    prime = list(rows)[place]
    rows[prime][0] = (rows[prime][0] + 1) % int(prime)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="the checksum of its residues is wrong"):
        ask()
    path.write_text(json.dumps({**data, "checksum": digest(data["residues"])}))
    with pytest.raises(InputError, match="checkpoint=.* do not fit together.* one of them is wrong: delete the file"):
        assert ask() == truth
    path.unlink()
    assert ask() == truth == lv.expected_loss(PROBLEM)
