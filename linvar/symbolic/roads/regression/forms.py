"""Forms of degree at most 2 in the state, integrated with its mean and covariance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from linvar.flint import fmpq
from linvar.symbolic.algebra.ring import Element, Exponents, Ring

#: the entries of the state that are multiplied, none to two of them
Used = tuple[int, ...]


def by_entries(form: Element, count: int) -> dict[Used, dict[Exponents, fmpq]]:
    """The terms of a polynomial of degree <= 2 in the first ``count`` variables, the state's entries; the others are symbols."""
    found: dict[Used, dict[Exponents, fmpq]] = {}
    for key, coefficient in form.terms():
        used = tuple(i for i, power in enumerate(key[:count]) if power for _ in range(power))
        assert len(used) <= 2
        found.setdefault(used, {})[key[count:]] = coefficient
    return found


def expectation(
    form: Element,
    count: int,
    answers: Ring,
    means: Sequence[Element],
    covariance: Callable[[int, int], Element],
) -> Element:
    """E of such a form: a polynomial in u (and the symbols), exact."""
    total = answers.zero
    for used, terms in by_entries(form, count).items():
        value = answers.from_terms({(0, *key): c for key, c in terms.items()})
        if len(used) == 1:
            value = value * means[used[0]]
        elif len(used) == 2:
            value = value * (covariance(*used) + means[used[0]] * means[used[1]])
        total = total + value
    return total
