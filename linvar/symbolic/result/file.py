"""A BatchPolynomial as plain data and as a JSON file: numbers are strings "p/q", symbols are names, nothing is code.

Reading matches every number against a pattern and every key against its kind; the text is never evaluated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from linvar.errors import InputError, Words, shown
from linvar.exact import Rational, parse_rational
from linvar.plain_data import Plain
from linvar.schemes.scheme import SCHEMES
from linvar.symbolic.algebra.ring import Element, Exponents, Ring, to_rational
from linvar.text_files import FileError, read_text

if TYPE_CHECKING:
    import sympy

    from linvar.symbolic.result.polynomial import BatchPolynomial

_FORMAT = "linvar polynomial 2"
#: without replacement its polynomials may have a degree of n or more: they are reduced when they are read
_UNREDUCED = "linvar polynomial 1"
#: the longest file that is read, in bytes
_LARGEST = 2**32
Built = TypeVar("Built")
_KEYS = {"format", "coefficients", "symbols", "sampling", "dataset_size", "degree_bound"}


#: coefficients as terms: exponents of the symbols, and a number
Terms = list[list[tuple[Exponents, Rational]]]


def terms_of(elements: Iterable[Element]) -> Terms:
    """Elements as plain terms."""
    return [[(tuple(map(int, key)), to_rational(c)) for key, c in element.terms()] for element in elements]


def elements_of(terms: Terms, ring: Ring) -> list[Element]:
    """The inverse, in the ring of their symbols."""
    return [ring.from_terms(dict(element)) for element in terms]


@dataclass(frozen=True)
class Saved:
    """What a file holds: the arguments of a BatchPolynomial, which checks the last three against each other."""

    elements: list[Element]
    ring: Ring
    sampling: str
    dataset_size: int | None
    degree_bound: int


def to_dict(polynomial: BatchPolynomial) -> dict[str, Plain]:
    """Plain lists and strings; with symbols a coefficient is a list of [exponents, "p/q"]."""
    coefficients: Plain
    if polynomial.symbols:
        coefficients = [
            [[list(exponents), str(value)] for exponents, value in terms] for terms in terms_of(polynomial._elements)
        ]
    else:
        coefficients = [str(value) for value in polynomial.coefficients]
    return {
        "format": _FORMAT,
        "coefficients": coefficients,
        "symbols": [_write_symbol(symbol) for symbol in polynomial.symbols],
        "sampling": polynomial.sampling,
        "dataset_size": polynomial.dataset_size,
        "degree_bound": polynomial.degree_bound,
    }


def from_dict(data: Any) -> Saved:
    """What ``to_dict`` wrote, checked."""
    if not isinstance(data, dict) or data.get("format") not in (_FORMAT, _UNREDUCED) or set(data) != _KEYS:
        format_ = data.get("format") if isinstance(data, dict) else None
        later = isinstance(format_, str) and format_ not in (_FORMAT, _UNREDUCED)
        fault = Words(f"has the format {shown(format_)}" if later else "is no object that to_dict writes")
        raise InputError("data", fault, f'give one with "format": "{_FORMAT}" and the keys {", ".join(sorted(_KEYS))}')
    rows = data["coefficients"]
    if not isinstance(data["sampling"], str) or type(data["degree_bound"]) is not int:
        raise InputError(
            "sampling or degree_bound", Words("is damaged"), "sampling is a string, degree_bound an integer"
        )
    if not isinstance(rows, list) or not rows:
        raise InputError("coefficients", rows, "a list is expected, ascending in powers of 1/b")
    symbols = _read_symbols(data["symbols"])
    ring = Ring(0, symbols)
    elements = [_read_coefficient(row, ring, f"coefficients[{k}]") for k, row in enumerate(rows)]
    size = data["dataset_size"]
    scheme = SCHEMES.get(data["sampling"])
    limit = scheme.largest_batch(size) if scheme is not None and type(size) is int and size > 0 else None
    if data["format"] == _FORMAT and limit is not None and any(elements[limit:]):
        fault = Words(f"has {len(elements)} entries, where {shown(size)} examples fix no more than {shown(size)}")
        raise InputError("coefficients", fault, "give those of the polynomial of degree below dataset_size")
    return Saved(elements, ring, data["sampling"], size, data["degree_bound"])


def save(data: dict[str, Plain], path: Any) -> None:
    """Write plain data as one line of JSON, atomically."""
    from linvar.atomic import write_atomically

    write_atomically(path, json.dumps(data) + "\n")


def load(path: Any, build: Callable[[Any], Built]) -> Built:
    """What ``build`` makes of the JSON in a file; an error names the file."""
    text = read_text(path, "polynomial file", _LARGEST)
    try:
        return build(json.loads(text))
    except InputError as error:
        raise FileError(
            _subject(path), Words(f"is not a saved BatchPolynomial: {error.statement}"), error.cure
        ) from None
    except json.JSONDecodeError as error:
        fault = Words(f"is not a saved BatchPolynomial: it is not JSON ({error.msg}, line {error.lineno})")
    except RecursionError:
        fault = Words("is not a saved BatchPolynomial: its brackets are nested too deeply")
    except ValueError:  # CPython reads no integer of more than 4,300 digits
        fault = Words("is not a saved BatchPolynomial: it has an integer of more than 4,300 digits outside a string")
    raise FileError(_subject(path), fault, "give a file that BatchPolynomial.save wrote")


def _subject(path: Any) -> str:
    return f"polynomial file {shown(os.fsdecode(path))}"


def _write_symbol(symbol: Any) -> Plain:
    """A symbol's name; an entry of a matrix or an indexed base with its indices."""
    import sympy

    if isinstance(symbol, sympy.Symbol):
        return str(symbol.name)
    base, *indices = symbol.args
    entry = [int(index) for index in indices]
    if isinstance(base, sympy.MatrixSymbol):
        return {"matrix": base.name, "shape": [int(size) for size in base.shape], "entry": entry}
    return {"indexed": str(base), "entry": entry}


def _read_symbols(names: Any) -> tuple[sympy.Expr, ...]:
    """The inverse, of all of them."""
    if names == []:
        return ()
    import sympy

    cure = "a list of different names is expected"
    if not isinstance(names, list):
        raise InputError("symbols", names, cure)
    symbols = []
    for name in names:
        if isinstance(name, str):
            symbols.append(sympy.Symbol(name))
            continue
        kind = set(name) if isinstance(name, dict) else set()
        entry = name.get("entry") if kind else None
        if not isinstance(entry, list) or not all(type(index) is int and 0 <= index < 2**31 for index in entry):
            raise InputError("symbols", names, cure)
        if kind == {"matrix", "shape", "entry"} and isinstance(name["matrix"], str) and len(entry) == 2:
            symbols.append(sympy.MatrixSymbol(name["matrix"], *_read_shape(name["shape"], entry))[tuple(entry)])
        elif kind == {"indexed", "entry"} and isinstance(name["indexed"], str) and entry:
            symbols.append(sympy.IndexedBase(name["indexed"])[tuple(entry)])
        else:
            raise InputError("symbols", names, cure)
    if len(set(map(str, symbols))) < len(symbols):
        raise InputError("symbols", names, cure)
    return tuple(symbols)


def _read_shape(shape: Any, entry: list[int]) -> list[int]:
    """Rows and columns of a matrix of symbols, with room for the entry."""
    valid = isinstance(shape, list) and len(shape) == 2 and all(type(size) is int for size in shape)
    if valid and all(index < size < 2**31 for index, size in zip(entry, shape)):
        return list(shape)
    raise InputError("symbols", Words("has a matrix of no such shape"), "a shape is two integers")


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
            raise InputError(name, term, 'a list of [exponents, "p/q"] is expected, one exponent for each symbol')
        if tuple(term[0]) in terms:
            raise InputError(name, Words(f"has the exponents {shown(term[0])} twice"), "each term comes once")
        terms[tuple(term[0])] = _read_number(term[1], name)
    return ring.from_terms(terms)


def _read_number(text: Any, name: str) -> Rational:
    """A number of any length: a result may be longer than what is accepted from a problem file."""
    if not isinstance(text, str):
        raise InputError(name, text, 'a string "p/q" is expected')
    return parse_rational(text, name, max_digits=len(text))
