"""The recursion on words: levels, alphabets against Wick pairings, powers cut off, letters used again, the end on numbers."""

from __future__ import annotations

from collections import defaultdict
from math import prod
from random import Random

import pytest

from linvar.errors import DerivationTooLargeError
from linvar.exact import Rational, exact_matrix
from linvar.flint import fmpz_mat, fmpz_poly
from linvar.laws.law import identity
from linvar.matrices import product, trace, transpose
from linvar.symbolic.words import integers, letters
from linvar.symbolic.words.ending import LAST, Ending
from linvar.symbolic.words.expansion import expand_entries
from linvar.symbolic.words.integers import Matrices, Polynomials
from linvar.symbolic.words.letters import Characters, Terms, Texts
from linvar.symbolic.words.numbers import expected_traces
from linvar.symbolic.words.recursion import Recursion, count_pairings
from linvar.symbolic.words.traces import TRANSPOSED, expected_words
from tests.symbolic.test_words import LETTERS, SIGMA, isserlis, named, trim, twelve_matrices

#: letters and their transposes; S is symmetric
TRANSPOSES = {"A": "a", "a": "A", "B": "b", "b": "B", "C": "c", "c": "C", "S": "S"}
SYMMETRIC = [[2, 1], [1, "-1/2"]]
LISTS = [["A"], ["AB"], ["A", "B"], ["AS", "a"], ["ABC"], ["AB", "c"], ["A", "B", "S"]]


def random_words(seed, highest=5):
    """Words over A, B, C, their transposes and S, of order 2 to the highest."""
    draw = Random(seed)
    flat = "".join(draw.choice(list(TRANSPOSES)) for _ in range(draw.randint(2, highest)))
    cuts = sorted(draw.sample(range(1, len(flat)), draw.randint(0, len(flat) - 1)))
    return [flat[i:j] for i, j in zip([0, *cuts], [*cuts, len(flat)])]


def by_texts(words, most=None):
    """Power of u and canonical texts of the traces -> coefficient, in order."""
    texts, terms = Texts(TRANSPOSES), Terms(most)
    recursion = Recursion(texts)
    start = recursion.canonical("".join(map(texts.letter, word)) for word in words)
    found = recursion.expectation({start: {terms.number(0, (), None): 1}}, terms) or {}
    named_terms = {}
    for number, count in found.items():
        power, traces, _ = terms.monomials[number]
        named_terms[power, tuple(sorted(texts.words[one] for one in traces))] = count
    return dict(sorted(named_terms.items()))


def values(transposes):
    """Matrices of the letters and of their transposes, which are named so."""
    plain = {name: exact_matrix(value, name) for name, value in {**LETTERS, "S": SYMMETRIC}.items()}
    return {name: plain.get(name) or tuple(zip(*plain[other])) for name, other in transposes.items()}


def multiplied(word, matrices):
    """The trace of a product."""
    total = identity(2)
    for letter in word:
        total = product(total, matrices[letter])
    return trace(total)


@pytest.mark.parametrize("words", LISTS, ids=str)
def test_texts_count_the_pairings(words):
    matrices = values(TRANSPOSES)
    coefficients = [Rational(0)] * sum(map(len, words))
    for (power, texts), count in by_texts(words).items():
        coefficients[power] += count * prod(multiplied(text, matrices) for text in texts)
    assert trim(coefficients) == isserlis(words, matrices, identity(2))


@pytest.mark.parametrize("words", LISTS, ids=str)
def test_names_count_the_pairings(words):
    words = [word.replace("a", "B").replace("c", "C") for word in words]
    sigma = exact_matrix(SIGMA, "covariance")
    matrices = values({**{name: name for name in "ABCS"}, **{name + TRANSPOSED: name for name in "ABC"}})
    followed = {name: product(matrix, sigma) for name, matrix in matrices.items()}
    coefficients = [Rational(0)] * sum(map(len, words))
    for power, products in expected_words(list(map(list, words)), symmetric="S").items():
        for traces, count in products.items():
            coefficients[power] += count * prod(multiplied(word, followed) for word in traces)
    assert trim(coefficients) == isserlis(words, matrices, sigma)


@pytest.mark.parametrize("words", [["ABCab"], ["AB", "CA", "S"], ["A"] * 5, ["AAAAAA"]], ids=str)
def test_a_level_is_of_one_order(words):
    """Each has its states once, and as many terms as have been made, none lost; the last two S are one step, by (5) and (6)."""
    texts, terms = Texts(TRANSPOSES), Terms()
    recursion, order = Recursion(texts), sum(map(len, words))
    start = recursion.canonical("".join(map(texts.letter, word)) for word in words)
    orders = []
    for left, level in recursion.levels({start: {terms.number(0, (), None): 1}}, terms):
        orders.append(left)
        if left == 1:
            assert not level
            continue
        assert {sum(map(len, state)) for state in level} == {left}
        assert all(recursion.canonical(state) == state for state in level)
        count = sum(sum(weight.values()) for weight in level.values())
        assert count * count_pairings(left) == count_pairings(order)
    assert orders == list(range(order, -1, -1))


def test_states_of_several_orders_are_added():
    """Each with a factor of its own; nothing at all is None."""
    texts, terms = Texts(TRANSPOSES), Terms[str]()
    recursion = Recursion(texts)
    starts = {}
    for words, factor in ((["AB", "A"], "x"), (["S"], "y"), ([], "z")):
        state = recursion.canonical("".join(map(texts.letter, word)) for word in words)
        starts[state] = defaultdict(int, {terms.number(0, (), factor): 1})
    found = {}
    for number, count in recursion.expectation(starts, terms).items():
        power, traces, factor = terms.monomials[number]
        found.setdefault(factor, {})[power, tuple(sorted(texts.words[one] for one in traces))] = count
    assert dict(sorted(found.pop("x").items())) == by_texts(["AB", "A"])
    assert found == {"y": {(0, ("S",)): 1}, "z": {(0, ()): 1}}
    assert recursion.expectation({}, terms) is None


@pytest.mark.parametrize("seed", range(12))
def test_powers_cut_off_are_those_of_the_complete_answer(seed):
    words = random_words(seed)
    complete = by_texts(words)
    for most in range(sum(map(len, words)) + 1):
        assert by_texts(words, most) == {key: count for key, count in complete.items() if key[0] <= most}


def test_letters_used_again_give_the_same_answer(monkeypatch):
    freed = []
    free = Characters.free

    def watched(self, letter):
        freed.append(letter)
        free(self, letter)

    expected = [by_texts(random_words(seed, 6)) for seed in range(5)]
    monkeypatch.setattr(Characters, "free", watched)
    assert expected == [by_texts(random_words(seed, 6)) for seed in range(5)] and not freed
    monkeypatch.setattr(letters, "_MANY", 3)
    assert expected == [by_texts(random_words(seed, 6)) for seed in range(5)] and len(freed) > 50


def test_more_letters_than_characters_are_refused(monkeypatch):
    monkeypatch.setattr(letters, "_FIRST", 0x10FFFF)
    with pytest.raises(DerivationTooLargeError, match="letters.*fewer"):
        by_texts(["AB"])
    characters = Characters()
    last = characters.take()
    characters.free(last)
    assert characters.take() == last == "\U0010ffff"


# numbers


def start_of(words, matrices, sigma):
    """The alphabet and the first state of integer matrices."""
    alphabet = Matrices(fmpz_mat([list(map(int, row)) for row in sigma]))
    letter = {name: alphabet.letter(fmpz_mat(value)) for name, value in matrices.items()}
    recursion = Recursion(alphabet)
    return alphabet, recursion, recursion.canonical("".join(map(letter.__getitem__, word)) for word in words)


@pytest.mark.parametrize("sigma", [[[1, 0], [0, 1]], [[2, 1], [1, 3]], [[1, 2], [2, 4]], [[1, 0], [0, 0]]], ids=str)
@pytest.mark.parametrize(
    "words", [["ABCD"], ["AB", "CD"], ["A", "BCD"], ["A", "B", "C", "D"], ["ABA", "CT"], ["AT", "TA", "BC"]], ids=str
)
def test_the_end_is_that_of_the_plain_recursion(words, sigma):
    """Also where Sigma is singular, and different letters are one."""
    matrices = {name: value for name, value in twelve_matrices(2).items() if name in "ABC"}
    matrices |= {"T": transpose(matrices["A"]), "D": [[1, 5], [5, -2]]}
    _, recursion, start = start_of(words, matrices, sigma)
    plain = recursion.expectation({start: fmpz_poly([1])}, Polynomials())
    alphabet, recursion, start = start_of(words, matrices, sigma)
    levels = recursion.levels({start: fmpz_poly([1])}, Polynomials())
    level = next(level for order, level in levels if order == LAST + 1)
    assert Ending(alphabet).expectation(level, lambda done, total: None, 0, 4) == plain != 0
    used = {name: exact_matrix(matrices[name], name) for word in words for name in word}
    state, center = tuple(map(tuple, words)), exact_matrix(sigma, "covariance")
    assert trim(map(int, plain.coeffs())) == trim(expand_entries(state, used, center, ())[0])


def test_letters_of_numbers_are_freed_and_their_characters_used_again():
    alphabet, recursion, start = start_of(
        ["ABCDEF"], {name: twelve_matrices(3)[name] for name in "ABCDEF"}, identity(3)
    )
    highest, most = 0, 0
    for _, level in recursion.levels({start: fmpz_poly([1])}, Polynomials()):
        used = {letter for state in level for word in state for letter in word}
        assert used <= set(alphabet.matrices) and len(alphabet.matrices) == len(alphabet.mirror) <= 2 * len(used)
        most, highest = max(most, len(used)), max(highest, *map(ord, used or "\0"))
        assert all(alphabet.trace(letter) == alphabet.trace(chr(alphabet.mirror[ord(letter)])) for letter in used)
    assert most > 300 and not alphabet.matrices and highest < 256 + 3 * most


def test_equal_matrices_are_one_letter():
    sigma = fmpz_mat([[2, 1], [1, 3]])
    alphabet = Matrices(sigma)
    a, swap = fmpz_mat([[1, 2], [3, 4]]), fmpz_mat([[0, 1], [1, 0]])
    one, other = alphabet.letter(a), alphabet.letter(swap)
    assert alphabet.letter(a + 0 * a) == one and alphabet.letter(a.transpose()) == chr(alphabet.mirror[ord(one)]) != one
    assert chr(alphabet.mirror[ord(other)]) == other
    assert alphabet.letter(a * sigma * swap) == alphabet.join(one, other)
    assert alphabet.trace(alphabet.join(one, other)) == alphabet.trace(one + other)
    assert len(alphabet.matrices) == len(alphabet.mirror) == 5


def test_matrices_with_one_key_are_told_apart(monkeypatch):
    class Zeros:
        def __init__(self, seed):
            """As Random."""

        def getrandbits(self, bits):
            return 0

    state, matrices, sigma = named(6, 3, [[2, 1, 0], [1, 2, 0], [0, 0, 1]])
    expected = expected_traces(state, matrices, sigma)
    monkeypatch.setattr(integers, "Random", Zeros)
    assert expected_traces(state, matrices, sigma) == expected


def test_progress_of_numbers_moves_to_the_end():
    """Through the levels and through the end, never back, and never by much at once."""
    counts = []
    state, matrices, sigma = named(7, 2)
    assert expected_traces(state, matrices, sigma, lambda *now: counts.append(now)) == expected_traces(
        state, matrices, sigma
    )
    done = [count for count, _ in counts]
    assert {total for _, total in counts} == {700} and done[0] == 0 and done[-1] == 700 and done == sorted(done)
    assert len(set(done)) > 400 and max(j - i for i, j in zip(done, done[1:])) <= 100
