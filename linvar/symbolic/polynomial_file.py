"""A BatchPolynomial as plain data and as a JSON file: numbers are strings "p/q", symbols are names, nothing is code.

Reading matches every number against a pattern and every key against its kind; the text is never evaluated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from linvar.exact import Rational, parse_rational
from linvar.symbolic.ring import Element, Ring, to_rational

if TYPE_CHECKING:
    from linvar.symbolic.polynomial import BatchPolynomial

_FORMAT = "linvar polynomial 1"
_KEYS = {"format", "coefficients", "symbols", "sampling", "dataset_size", "degree_bound"}


def to_dict(polynomial: BatchPolynomial) -> dict[str, Any]:
    """Plain lists and strings; with symbols a coefficient is a list of [exponents, "p/q"]."""
    if polynomial.symbols:
        coefficients: list[Any] = [
            [[list(map(int, exponents)), str(to_rational(c))] for exponents, c in element.terms()]
            for element in polynomial._elements
        ]
    else:
        coefficients = [str(value) for value in polynomial.coefficients]
    return {
        "format": _FORMAT,
        "coefficients": coefficients,
        "symbols": [symbol.name for symbol in polynomial.symbols],
        "sampling": polynomial.sampling,
        "dataset_size": polynomial.dataset_size,
        "degree_bound": polynomial.degree_bound,
    }


def from_dict(data: Any) -> tuple[list[Element], Ring, dict[str, Any]]:
    """What ``to_dict`` wrote, checked: the coefficients, their ring, and the other arguments of a BatchPolynomial."""
    if not isinstance(data, dict) or data.get("format") != _FORMAT or set(data) != _KEYS:
        raise ValueError(f'an object with "format": "{_FORMAT}" and the keys {", ".join(sorted(_KEYS))} is expected')
    names, rows = data["symbols"], data["coefficients"]
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)):
        raise ValueError("symbols: a list of different names is expected")
    if not isinstance(data["sampling"], str) or type(data["degree_bound"]) is not int:
        raise ValueError("sampling must be a string and degree_bound an integer")
    if not isinstance(rows, list) or not rows:
        raise ValueError("coefficients: a list is expected, ascending in powers of 1/b")
    symbols: tuple[Any, ...] = ()
    if names:
        import sympy

        symbols = tuple(sympy.Symbol(name) for name in names)
    ring = Ring(0, symbols)
    elements = [_read_coefficient(row, ring, f"coefficients[{k}]") for k, row in enumerate(rows)]
    return elements, ring, {key: data[key] for key in ("sampling", "dataset_size", "degree_bound")}


def save(data: dict[str, Any], path: Any) -> None:
    """Write plain data as one line of JSON, atomically."""
    from linvar.atomic import write_atomically

    write_atomically(path, json.dumps(data) + "\n")


def read(path: Any) -> Any:
    """The JSON in a file; ValueError if it is none."""
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except RecursionError:
            raise ValueError("its brackets are nested too deeply") from None


def _read_coefficient(row: Any, ring: Ring, name: str) -> Element:
    """One coefficient of ``to_dict``, checked."""
    if not ring.symbols:
        return ring.lift(_read_number(row, name))
    terms: dict[tuple[int, ...], Rational] = {}
    entries: list[Any] = row if isinstance(row, list) else [None]
    for term in entries:
        valid = isinstance(term, list) and len(term) == 2 and isinstance(term[0], list)
        valid = valid and len(term[0]) == len(ring.symbols)
        if not valid or not all(type(e) is int and 0 <= e < 2**31 for e in term[0]):
            raise ValueError(f'{name}: a list of [exponents, "p/q"] is expected, one exponent for each symbol')
        if tuple(term[0]) in terms:
            raise ValueError(f"{name}: the exponents {term[0]} come twice")
        terms[tuple(term[0])] = _read_number(term[1], name)
    return ring.from_terms(terms)


def _read_number(text: Any, name: str) -> Rational:
    """A number of any length: a result may be longer than what is accepted from a problem file."""
    if not isinstance(text, str):
        raise ValueError(f'{name}: a string "p/q" is expected')
    return parse_rational(text, name, max_digits=len(text))
