"""Wishart words: references, brute force over Wick pairings in index form, both roads, symmetries, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path
from random import Random

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

import linvar.symbolic.words.wishart as module
from linvar import progress
from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, LinvarError
from linvar.exact import exact_matrix
from linvar.laws.law import identity
from linvar.symbolic.algebra.ring import to_exact
from linvar.symbolic.words import expansion
from linvar.symbolic.words import size as word_size
from linvar.symbolic.words.integers import Matrices
from linvar.symbolic.words.numbers import expected_traces
from linvar.symbolic.words.recursion import Recursion
from linvar.symbolic.words.size import WordSize, expansion_size, recursion_levels, recursion_size
from linvar.symbolic.words.traces import expected_words
from linvar.symbolic.words.wishart import wishart_moment

REFERENCES = json.loads((Path(__file__).parents[1] / "reference" / "wishart.json").read_text())["entries"]
A, B, C = [[1, 2], [0, -1]], [[0, 1], [-1, 1]], [[2, "-1/3"], [1, 0]]
LETTERS = {"A": A, "B": B, "C": C}
SIGMA = [[2, "1/2"], ["1/2", 1]]


def trim(coefficients):
    """Without zeros at the end; the zero polynomial is (0,)."""
    values = list(coefficients)
    while len(values) > 1 and values[-1] == 0:
        values.pop()
    return tuple(values)


def pairings(items: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    """Every way to pair the items."""
    if not items:
        yield []
        return
    first, *rest = items
    for i, other in enumerate(rest):
        for remaining in pairings((*rest[:i], *rest[i + 1 :])):
            yield [(first, other), *remaining]


def isserlis(words, matrices, sigma):
    """The moment from Isserlis' theorem: all pairings of the Gaussian factors, summed over all indices."""
    width = len(sigma)
    letters = [letter for word in words for letter in word]
    order = len(letters)
    # factor m is S[row m][column m], and its letter's entry is A[column of the factor before][row m]
    before, start = {}, 0
    for word in words:
        for k in range(len(word)):
            before[start + k] = start + (k - 1) % len(word)
        start += len(word)
    values = [Fraction(0)] * order
    for pairing in pairings(tuple(range(2 * order))):
        # the examples of paired factors must agree: b^groups choices, of b^order in the means
        group = list(range(order))
        for one, other in pairing:
            old, new = group[one // 2], group[other // 2]
            group = [new if value == old else value for value in group]
        total = Fraction(0)
        for index in product(range(width), repeat=2 * order):
            total += prod(Fraction(sigma[index[i]][index[j]]) for i, j in pairing) * prod(
                Fraction(matrices[letters[m]][index[2 * before[m] + 1]][index[2 * m]]) for m in range(order)
            )
        values[order - len(set(group))] += total
    return trim(values)


@pytest.mark.parametrize("entry", REFERENCES, ids=[entry["id"] for entry in REFERENCES])
def test_references(entry):
    result = wishart_moment(entry["word"], entry["matrices"], entry["Sigma"])
    assert result.coefficients == tuple(map(Fraction, entry["coefficients_in_u"]))
    assert result.sampling == "iid"
    assert result.degree_bound == entry["order"] - 1


@pytest.mark.parametrize("entry", REFERENCES, ids=[entry["id"] for entry in REFERENCES])
def test_references_by_both_roads(entry):
    state = tuple(map(tuple, entry["word"]))
    matrices = {name: exact_matrix(value, name) for name, value in entry["matrices"].items()}
    sigma = exact_matrix(entry["Sigma"], "covariance")
    expected = tuple(map(Fraction, entry["coefficients_in_u"]))
    assert trim(expected_traces(state, matrices, sigma)) == expected
    assert trim(module.expand_entries(state, matrices, sigma, ())[0]) == expected


def test_a_wrong_coefficient_is_not_equal():
    entry = next(entry for entry in REFERENCES if entry["id"] == "w13")
    result = wishart_moment(entry["word"], entry["matrices"], entry["Sigma"]).coefficients
    for k, coefficient in enumerate(result):
        wrong = list(map(Fraction, entry["coefficients_in_u"]))
        wrong[k] *= Fraction(3, 2)
        assert coefficient != 0 and result != tuple(wrong)


@pytest.mark.parametrize(
    "words",
    [[["A"]], [["A", "B"]], [["A"], ["B"]], [["A", "B", "C"]], [["A", "B"], ["C"]], [["A"], ["B"], ["C"]]],
    ids=str,
)
def test_isserlis(words):
    matrices = {name: exact_matrix(value, name) for name, value in LETTERS.items()}
    expected = isserlis(words, matrices, exact_matrix(SIGMA, "sigma"))
    assert wishart_moment(words, LETTERS, SIGMA).coefficients == expected
    assert wishart_moment(words, LETTERS).coefficients == isserlis(words, matrices, identity(2)) != expected


@pytest.mark.parametrize("words", [[["A", "A", "B", "B"]], [["A", "B"], ["B", "A"]], [["A"], ["B", "B", "A"]]], ids=str)
def test_isserlis_order_four_width_one(words):
    matrices = {"A": exact_matrix([["2/3"]], "A"), "B": exact_matrix([[-5]], "B")}
    sigma = exact_matrix([["3/2"]], "sigma")
    assert wishart_moment(words, matrices, sigma).coefficients == isserlis(words, matrices, sigma)


@pytest.mark.parametrize("order", [1, 2, 3, 7, 12])
def test_width_one_is_a_chi_square(order):
    u = sympy.Symbol("u")
    expected = sympy.Poly(prod((1 + 2 * i * u for i in range(order)), start=sympy.Integer(1)), u).all_coeffs()[::-1]
    assert wishart_moment([["A"] * order], {"A": [[1]]}).coefficients == tuple(map(int, expected))
    assert wishart_moment([["A"]] * order, {"A": [[1]]}).coefficients == tuple(map(int, expected))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_trace_of_identity_is_a_chi_square_of_all_coordinates(batch_size):
    # b tr S is chi-square with 3 b degrees of freedom: E (b tr S)^k = prod_{i<k} (3 b + 2 i)
    value = wishart_moment([["I"]] * 5, {"I": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]})(batch_size)
    assert value == Fraction(prod(3 * batch_size + 2 * i for i in range(5)), batch_size**5)


def test_zero_matrix_and_zero_covariance():
    zero = [[0, 0], [0, 0]]
    assert wishart_moment([["A", "Z"]], {"A": A, "Z": zero}).coefficients == (0,)
    assert wishart_moment([["A", "B", "C"]], LETTERS, zero).coefficients == (0,)


def test_singular_covariance_is_the_projected_moment():
    # only the first coordinate varies: S = s e e^T, tr(A S B S) = A_00 B_00 s^2
    assert wishart_moment([["A", "C"]], LETTERS, [[3, 0], [0, 0]]).coefficients == (18, 36)


entries = st.fractions(min_value=-3, max_value=3, max_denominator=4)


@st.composite
def moments(draw):
    """Words over three letters, of order <= 4, with random rational matrices and covariance of width <= 3."""
    width = draw(st.integers(1, 3))
    matrix = st.lists(st.lists(entries, min_size=width, max_size=width), min_size=width, max_size=width)
    letters = {name: draw(matrix) for name in "ABC"}
    factor = draw(matrix)
    sigma = [[sum((a * b for a, b in zip(row, other)), Fraction(0)) for other in factor] for row in factor]
    word = st.lists(st.sampled_from("ABC"), min_size=1, max_size=3)
    words = draw(st.lists(word, min_size=1, max_size=3).filter(lambda words: sum(map(len, words)) <= 4))
    return words, letters, sigma


@examples(40)
@given(moments(), st.integers(0, 2), st.randoms())
def test_symmetries(moment, shift, random):
    words, letters, sigma = moment
    expected = wishart_moment(words, letters, sigma)
    rotated = [word[shift % len(word) :] + word[: shift % len(word)] for word in words]
    random.shuffle(rotated)
    assert wishart_moment(rotated, letters, sigma) == expected
    transposed = {name: [list(column) for column in zip(*matrix)] for name, matrix in letters.items()}
    assert wishart_moment([word[::-1] for word in words], transposed, sigma) == expected


@examples(30)
@given(moments(), entries)
def test_homogeneity(moment, factor):
    words, letters, sigma = moment
    expected = wishart_moment(words, letters, sigma).coefficients
    order, count = sum(map(len, words)), sum(word.count("A") for word in words)
    scaled = {**letters, "A": [[factor * entry for entry in row] for row in letters["A"]]}
    assert wishart_moment(words, scaled, sigma).coefficients == trim(factor**count * c for c in expected)
    grown = [[factor**2 * entry for entry in row] for row in sigma]
    assert wishart_moment(words, letters, grown).coefficients == trim(factor ** (2 * order) * c for c in expected)


@examples(30)
@given(moments())
def test_all_roads_agree(moment):
    words, letters, sigma = moment
    state = tuple(map(tuple, words))
    used = {name: exact_matrix(letters[name], name) for word in words for name in word}
    center = exact_matrix(sigma, "sigma")
    recursion = trim(expected_traces(state, used, center))
    assert trim(module.expand_entries(state, used, center, ())[0]) == recursion
    coefficients, _ = module.evaluate_traces(state, used, center, ())
    assert trim(to_exact(value, ()) for value in coefficients) == recursion


@pytest.mark.parametrize("way", ["expansion", "recursion"])
def test_symbols(monkeypatch, way):
    monkeypatch.setattr(module, "_choose", lambda *arguments: WordSize(way, 1, 0.0, 1))
    a, c, s = sympy.symbols("a c s")
    symbolic = {"A": [[a, 2 * c], [0, -a]], "B": [[0, 1], [c - a, 1]]}
    sigma = [[s, "1/2"], ["1/2", 1]]
    result = wishart_moment([["A", "B"], ["B"]], symbolic, sigma)
    values = {a: 3, c: sympy.Rational(-2, 5), s: 2}
    numeric = {
        name: [[sympy.sympify(entry).subs(values) for entry in row] for row in matrix]
        for name, matrix in symbolic.items()
    }
    expected = wishart_moment([["A", "B"], ["B"]], numeric, [[2, "1/2"], ["1/2", 1]])
    assert tuple(sympy.expand(sympy.sympify(str(k)).subs(values)) for k in result.coefficients) == tuple(
        sympy.Rational(str(k)) for k in expected.coefficients
    )
    assert result.symbols == (a, c, s)


def test_symbols_width_one_in_closed_form():
    a, s = sympy.symbols("a s")
    result = wishart_moment([["A", "A"], ["A"]], {"A": [[a]]}, [[s]]).coefficients
    assert [sympy.expand(k - factor * a**3 * s**3) for k, factor in zip(result, (1, 6, 8))] == [0, 0, 0]


@pytest.mark.parametrize("words", [["A"], ["AB", "C"], ["ABC", "AD"], ["A", "A", "BA"]], ids=str)
def test_expected_words_counts_all_pairings(words):
    order = sum(map(len, words))
    total = sum(count for products in expected_words(map(list, words)).values() for count in products.values())
    assert total == prod(range(1, 2 * order, 2))


def test_expected_words_of_three_letters():
    # E tr(A S B S) tr(C S), at u^0: the product of the traces; two loops of u^1 and u^2 by hand for symmetric letters
    symmetric = expected_words([["A", "B"], ["C"]], symmetric="ABC")
    assert symmetric == {
        0: {(("A", "B"), ("C",)): 1},
        1: {(("A",), ("B",), ("C",)): 1, (("A", "B"), ("C",)): 1, (("A", "B", "C"),): 4},
        2: {(("A",), ("B", "C")): 2, (("A", "C"), ("B",)): 2, (("A", "B", "C"),): 4},
    }
    assert expected_words([["C"], ["B", "A"]], symmetric="ABC") == symmetric


def twelve_matrices(width):
    """Letters A to L, without symmetry."""
    draw = Random(0)
    return {name: [[draw.randint(-9, 9) for _ in range(width)] for _ in range(width)] for name in "ABCDEFGHIJKL"}


@pytest.mark.parametrize(
    "words, matrices, covariance, error, message",
    [
        ([], {"A": A}, None, ValueError, "words is empty"),
        ([["A"], []], {"A": A}, None, ValueError, r"words\[1\] is empty"),
        ("AB", LETTERS, None, TypeError, "words='AB' is of type str"),
        (["AB"], LETTERS, None, TypeError, r"words\[0\]='AB' is of type str.*\['A', 'B'\]"),
        ([[1]], LETTERS, None, TypeError, r"words\[0\]\[0\]=1 is of type int"),
        (3, LETTERS, None, TypeError, "words=3"),
        (
            [{"A", "B"}],
            LETTERS,
            None,
            InputTypeError,
            r"words\[0\]=\{'A', 'B'\} is of type set, which has no order: give a list of letters",
        ),
        (
            {("A",), ("B",)},
            LETTERS,
            None,
            InputTypeError,
            "words=.* is of type set, which has no order: give a list of words",
        ),
        ([frozenset("A")], LETTERS, None, InputTypeError, r"words\[0\]=.* is of type frozenset"),
        ([{"A": 1}], LETTERS, None, InputTypeError, r"words\[0\]=\{'A': 1\} is of type dict"),
        (bytearray(b"AB"), LETTERS, None, InputTypeError, "words=.* is of type bytearray"),
        ([bytearray(b"AB")], LETTERS, None, InputTypeError, r"words\[0\]=.* is of type bytearray"),
        ([["A" * 10**6]], LETTERS, None, InputError, "matrices has no 'AAA.*AAA', a letter of words="),
        ([["A"]], {"A": A, "x" * 10**6: [[1, 2]]}, None, InputError, "has shape"),
        ([["A", "X"]], LETTERS, None, ValueError, "matrices has no 'X'"),
        ([["A"]], [A], None, TypeError, "matrices is of type list"),
        ([["A"]], {"A": [[1, 2]]}, None, ValueError, r"matrices\['A'\] has shape \(1, 2\)"),
        ([["A", "B"]], {"A": A, "B": [[1]]}, None, ValueError, r"matrices\['B'\] has shape \(1, 1\)"),
        ([["A"]], {"A": [[0.5]]}, None, TypeError, r"matrices\['A'\]\[0\]\[0\]=0.5 is of type float"),
        ([["A"]], {"A": 3}, None, TypeError, r"matrices\['A'\]=3"),
        ([["A"]], {"A": A}, [[1]], ValueError, r"covariance has shape \(1, 1\)"),
        ([["A"]], {"A": A}, [[1, 2], [0, 1]], ValueError, "covariance is not symmetric"),
        ([["A"]], {"A": A}, [[1, 2], [2, 1]], ValueError, "not positive semi-definite"),
        ([["A"]], {"A": A}, [[1.0, 0], [0, 1]], TypeError, "covariance.*float"),
        (
            [list("ABCDEFGHIJKL")],
            twelve_matrices(9),
            None,
            DerivationTooLargeError,
            r"order 12, on matrices of width 9: recursion: about .* terms, .*; expansion: about .* terms, .*: too long: use",
        ),
    ],
)
def test_bad_input(words, matrices, covariance, error, message):
    with pytest.raises(error, match=message) as caught:
        wishart_moment(words, matrices, covariance)
    assert isinstance(caught.value, (LinvarError, TypeError, ValueError)) and len(str(caught.value)) < 400


def test_words_may_be_any_sequence():
    wanted = wishart_moment([["A", "B"], ["C"]], LETTERS)
    for words in ((("A", "B"), ("C",)), iter([iter("AB"), ["C"]]), [("A", "B"), np.array(["C"])]):
        assert wishart_moment(words, LETTERS) == wanted


def test_a_refusal_offers_only_what_applies():
    one = [[sum(sympy.symbols("a:9"))]]
    with pytest.raises(DerivationTooLargeError, match="use numbers in place of some of the symbols or fewer letters$"):
        wishart_moment([["A"] * 30], {"A": one})
    with pytest.raises(DerivationTooLargeError, match="too long: use fewer letters or matrices of smaller width$"):
        wishart_moment([list("ABCDEFGHIJKL")], twelve_matrices(9))


def test_too_many_symbols_are_refused():
    symbols = [[sympy.Symbol(f"m{i}{j}") for j in range(6)] for i in range(6)]
    with pytest.raises(DerivationTooLargeError, match="in place of some of the symbols"):
        wishart_moment([["M"] * 7], {"M": symbols})


def test_very_long_words_are_refused_at_once():
    with pytest.raises(DerivationTooLargeError, match="order 1000000 .* limit of 200"):
        wishart_moment([["A"] * 1_000_000], {"A": [[1]]})
    with pytest.raises(DerivationTooLargeError, match=r"about 10\^\d+ terms"):
        wishart_moment([["A"] * 150], {"A": twelve_matrices(40)["C"]})


def test_expected_words_refuses():
    with pytest.raises(DerivationTooLargeError, match=r"order 10: up to \(2\*10-1\)!! = 654,729,075"):
        expected_words([["A"] * 10])
    with pytest.raises(ValueError, match=r"'A\^T'"):
        expected_words([["A^T"]])
    with pytest.raises(InputTypeError, match="symmetric=3 is of type int"):
        expected_words([["A"]], symmetric=3)


# what it will take


def named(order, width, sigma=None):
    """One word of different letters, as _choose takes them."""
    letters = "ABCDEFGHIJKL"[:order]
    matrices = {name: exact_matrix(twelve_matrices(width)[name], name) for name in letters}
    return (tuple(letters),), matrices, identity(width) if sigma is None else exact_matrix(sigma, "covariance")


MEASURED = """
from linvar.laws.law import identity
from linvar.symbolic.words.numbers import expected_traces
from linvar.symbolic.words.expansion import expand_entries
from tests.symbolic.test_words import named, peak
arguments = named({order}, {width})
expected_traces((("A", "A", "A"),), {{"A": identity(2)}}, identity(2))
expand_entries((("A", "A"),), {{"A": identity(2)}}, identity(2), ())
before = peak()
{call}
print(peak() - before)
"""


def peak():
    """Of the resident memory of this process, in bytes (that of getrusage begins with its parent's)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
@pytest.mark.parametrize(
    ("order", "width", "way", "call"),
    [
        (7, 20, "recursion", "expected_traces(*arguments)"),
        pytest.param(6, 5, "expansion", "expand_entries(*arguments, ())", marks=pytest.mark.slow),
        (8, 4, "expansion", "expand_entries(*arguments, ())"),
    ],
)
def test_predicted_bytes_are_right_within_a_factor_of_three(order, width, way, call):
    """Of the growth of resident memory in a process of its own; 30 to 100 MB (benchmarks/word_sizes.py has more)."""
    state, matrices, sigma = named(order, width)
    sizes = {
        "recursion": recursion_size(state, matrices, sigma),
        "expansion": expansion_size(state, matrices, sigma, width),
    }
    code = MEASURED.format(order=order, width=width, call=call)
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, cwd=root,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert sizes[way].bytes / 3 < int(done.stdout) < 3 * sizes[way].bytes


@pytest.mark.parametrize(
    "words", [["ABCDE"], ["AB", "CD", "E"], ["ABABA"], ["AAAAAA"], ["S", "S", "S", "SS"], ["AT", "AT", "TA"]]
)
def test_states_and_letters_are_counted(words, monkeypatch):
    """Up to the order in which letters are made, which moves which S is taken out first."""
    letters = {**{name: exact_matrix(value, name) for name, value in twelve_matrices(3).items()},
               "S": exact_matrix([[1, 2, 0], [2, 3, 5], [0, 5, 1]], "S")}  # fmt: skip
    letters["T"] = tuple(zip(*letters["A"]))
    state = tuple(map(tuple, words))
    used = {letter: letters[letter] for word in state for letter in word}
    met = []
    levels = Recursion.levels

    def watched(self, *arguments):
        for order, level in levels(self, *arguments):
            if isinstance(self.alphabet, Matrices):
                met.append((order, len(level), len(self.alphabet.matrices)))
            yield order, level

    monkeypatch.setattr(Recursion, "levels", watched)
    expected_traces(state, used, identity(3))
    monkeypatch.undo()
    found = recursion_levels(state, used, identity(3))
    real = met[: len(found)]
    assert [level.order for level in found] == [order for order, _, _ in real]
    assert sum(level.states for level in found) == recursion_size(state, used, identity(3)).terms
    for level, (_, states, letters_met) in zip(found, real):
        assert 0.7 * states <= level.states <= 1.5 * states and 0.5 * letters_met <= level.letters <= 2 * letters_met


def test_steps_that_are_not_counted_are_extrapolated(monkeypatch):
    state, matrices, sigma = named(7, 3)
    counted = recursion_size(state, matrices, sigma)
    for terms in (2_000, 200, 10):
        monkeypatch.setattr(word_size, "_COUNTED_TERMS", terms)
        found = recursion_size(state, matrices, sigma)
        assert (
            counted.terms <= found.terms < 1.6 * counted.terms and counted.bytes / 2 < found.bytes < 3 * counted.bytes
        )


def test_the_quicker_way_is_taken():
    """At order 8 the entries of S have 24,310 monomials at width 4 and 319,770 at width 5; the recursion has as many states."""
    for words, width, way in (
        ("ABCDEFGH", 4, "expansion"),
        ("ABCDEFGH", 5, "recursion"),
        ("AAAAAAAA", 5, "recursion"),
        ("ABABABAB", 5, "recursion"),
    ):
        used = {name: exact_matrix(twelve_matrices(width)[name], name) for name in words}
        assert module._choose((tuple(words),), used, identity(width), width, (), 2**40).way == way
    one = {"I": [[int(i == j) for j in range(5)] for i in range(5)]}
    value = wishart_moment([["I"]] * 8, one)(3)  # b tr S is chi-square with 15 degrees of freedom
    assert value == Fraction(prod(15 + 2 * i for i in range(8)), 3**8)


def test_both_ways_agree_where_each_is_taken():
    state, matrices, sigma = named(6, 3, [[2, 1, "1/3"], [1, "5/2", 0], ["1/3", 0, 1]])
    assert trim(expected_traces(state, matrices, sigma)) == trim(module.expand_entries(state, matrices, sigma, ())[0])


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_singular_covariance_leaves_fewer_coordinates(rank):
    factor = [[1, 2], [0, "1/3"], [-1, 1], [4, "1/2"]]
    sigma = [[sum(Fraction(a) * Fraction(b) for a, b in zip(x[:rank], y[:rank])) for y in factor] for x in factor]
    state, matrices, center = named(5, 4, sigma)
    assert expansion_size(state, matrices, center, rank).bytes < expansion_size(state, matrices, center, 4).bytes
    turned, variances = expansion._in_independent_coordinates(matrices, center)
    assert len(variances) == rank and all(len(matrix) == rank for matrix in turned.values())
    assert all(entry == 0 for i, row in enumerate(variances) for j, entry in enumerate(row) if i != j)
    assert trim(module.expand_entries(state, matrices, center, ())[0]) == trim(expected_traces(state, matrices, center))


def test_what_does_not_fit_is_refused_before_anything_is_computed(monkeypatch):
    def fail(*arguments):
        raise AssertionError("computed")

    for name in ("expected_traces", "expand_entries", "evaluate_traces"):
        monkeypatch.setattr(module, name, fail)
    words, matrices = [list("ABCDEFGH")], twelve_matrices(5)
    with pytest.raises(DerivationTooLargeError) as caught:
        wishart_moment(words, matrices, memory_limit=10**7)
    message = str(caught.value)
    assert (
        "order 8, on matrices of width 5: recursion: about " in message
        and "; expansion: about 319,770 terms, " in message
    )
    assert ": more than the limit of 10 MB: use fewer letters" in message and len(message) < 400
    assert {argument for argument, _ in caught.value.cures} >= {"memory_limit"} and "order=" not in message
    with pytest.raises(AssertionError, match="computed"):
        wishart_moment(words, matrices, memory_limit=2**40)
    with pytest.raises(DerivationTooLargeError, match=r"limit of 1 bytes: use a larger memory_limit= \(in bytes\)$"):
        wishart_moment([["A"]], {"A": [[1]]}, memory_limit=1)
    for wrong in (0, -1, float("nan"), "1GB", True):
        with pytest.raises(InputError, match="memory_limit=.*is no number of bytes"):
            wishart_moment([["A"]], {"A": [[1]]}, memory_limit=wrong)


def test_progress_is_counted_by_each_way():
    a = sympy.Symbol("a")
    for words, matrices in (
        (["AAAAAA"], twelve_matrices(4)),
        (["ABCDE"], twelve_matrices(3)),
        (["AA"], {"A": [[a, 1], [1, 0]]}),
    ):
        counts = []
        found = wishart_moment(map(list, words), matrices, progress=lambda *now: counts.append(now))  # noqa: B023
        assert found == wishart_moment(map(list, words), matrices, progress=False)
        assert counts[0][0] == 0 and counts[-1][0] == counts[-1][1] > 0 and len({total for _, total in counts}) == 1
        assert [done for done, _ in counts] == sorted(done for done, _ in counts) and len(counts) > 2


def test_what_takes_long_says_so_before_it_starts(monkeypatch, capsys):
    wishart_moment([list("ABCDEFG")], twelve_matrices(3))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "EVERY", 0.02)
    compute = module.expand_entries

    def slow(*arguments):
        time.sleep(0.2)
        return compute(*arguments)

    monkeypatch.setattr(progress, "LONG", 0.0)
    monkeypatch.setattr(module, "expand_entries", slow)
    expected = wishart_moment([list("ABCDEFG")], twelve_matrices(3), progress=False)
    assert capsys.readouterr().err == ""
    assert wishart_moment([list("ABCDEFG")], twelve_matrices(3)) == expected
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("linvar: Wishart moment: expansion: about 792 terms, 0.0")
    assert said[1].startswith("linvar: Wishart moment: ")
    for wrong in (3, "yes"):
        with pytest.raises(InputTypeError, match="progress="):
            wishart_moment([["A"]], {"A": [[1]]}, progress=wrong)
