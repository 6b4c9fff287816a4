"""What is asked: words of letters, their matrices and the covariance, checked and made exact."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, TypeAlias

from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, Words, cut, shown
from linvar.exact import Matrix, exact_matrix, ordered, shape
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import identity

#: a product of traces: a word of letters each, with an S (or, in an answer, a Sigma) after every letter
Traces: TypeAlias = tuple[tuple[str, ...], ...]

#: Highest order, the number of letters, whatever the width.
LARGEST_ORDER = 200


def checked_words(words: Any) -> Traces:
    """Words as tuples of strings; at least one word, none of them empty."""
    state = []
    for i, word in enumerate(ordered(words, "words", 'give a list of words, as [["A", "B"], ["C"]]')):
        example = list(word[:5]) if isinstance(word, str) and word else ["A", "B"]
        letters = tuple(ordered(word, f"words[{i}]", f"give a list of letters, as {example}"))
        for j, letter in enumerate(letters):
            if not isinstance(letter, str):
                raise InputTypeError(f"words[{i}][{j}]", letter, "give a letter, which is a string")
        if not letters:
            raise InputError(
                f"words[{i}]", Words("is empty"), "give at least one letter, for instance ['A'] for tr(A S)"
            )
        state.append(letters)
    if not state:
        raise InputError("words", Words("is empty"), 'give at least one word, for instance [["A"]] for tr(A S)')
    order = sum(map(len, state))
    if order > LARGEST_ORDER:
        raise DerivationTooLargeError(
            f"words={show_words(tuple(state))} is of order {order} (all letters together), more than the limit of "
            f"{LARGEST_ORDER}",
            [("", "fewer letters")],
        )
    return tuple(state)


def checked_matrices(state: Traces, matrices: Any) -> dict[str, Matrix]:
    """Exact square matrices of one width, one for every letter."""
    if not isinstance(matrices, Mapping):
        raise InputTypeError(
            "matrices",
            Words(f"is of type {type(matrices).__name__}"),
            'give a dictionary, as {"A": [[1, 0], [0, 1]]}',
        )
    missing = sorted({letter for word in state for letter in word} - set(matrices))
    if missing:
        known = cut(", ".join(shown(name, 20) for name in islice(matrices, 20)) or "none", 80)
        fault = f"has no {shown(missing[0], 40)}, a letter of words={show_words(state)} (letters given: {known})"
        raise InputError("matrices", Words(fault), "add it")
    checked: dict[str, Matrix] = {}
    for name, value in matrices.items():
        place = f"matrices[{shown(name, 40)}]"
        matrix = exact_matrix(value, place)
        rows, columns = shape(matrix)
        if rows != columns:
            raise InputError(place, Words(f"has shape {(rows, columns)}"), "give a square matrix, as wide as S")
        for other, first in checked.items():
            if len(first) != rows:
                fault = Words(f"has shape {(rows, rows)} and matrices[{shown(other, 40)}] has {shape(first)}")
                raise InputError(place, fault, "give all one width")
            break
        checked[name] = matrix
    return checked


def checked_covariance(covariance: Any, width: int) -> tuple[Matrix, int]:
    """Sigma, the identity if None, and its rank, the width with symbols; the law checks that it is positive semi-definite."""
    if covariance is None:
        return identity(width), width
    sigma = exact_matrix(covariance, "covariance")
    if shape(sigma) != (width, width):
        fault = Words(f"has shape {shape(sigma)}, but matrices are of width {width}")
        raise InputError("covariance", fault, f"give a ({width}, {width}) matrix")
    law = Gaussian(teacher=[[0] * width], covariance=sigma)
    return law.covariance, width if law.independent is None else len(law.independent)


def show_count(count: int) -> str:
    """A count with its digits in groups, or its power of ten when long."""
    return f"{count:,}" if count < 10**15 else f"10^{len(str(count)) - 1}"


def show_words(state: Traces) -> str:
    """Words as the user typed them, cut when long."""
    return cut(str([list(word) for word in state]), 60)
