"""Hostile text as plain data, and plain data as exact numbers: JSON and TOML; nothing is evaluated.

A number that is no short integer (``0.5``, ``1e9``, ``NaN``) is kept as the text it was, so that an error can say what and where.
What is read from plain data (``read_number``, ``read_matrix``, ...) is checked key by key, and every number is matched by the
pattern of ``linvar.exact``; what is written (``plain``) is read back as it was.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias, TypeVar

from linvar.errors import InputError, Words, one_line
from linvar.exact import MAX_DIGITS, Exact, Matrix, Rational, Vector, exact_matrix, integer_to_str, parse_rational
from linvar.keywords import closest

#: what JSON can say
Plain: TypeAlias = "None | bool | int | float | str | Sequence[Plain] | Mapping[str, Plain]"
#: exact numbers in tuples, as matrices and vectors hold them
_Nested: TypeAlias = "Exact | tuple[_Nested, ...]"
_Built = TypeVar("_Built")

#: Integers up to this size are written as JSON integers, longer ones as strings (other readers would round them).
_MAX_PLAIN_INTEGER = 2**53


class ProblemFileError(InputError):
    """A problem file (or dictionary) that does not state a problem; one line: the key, its value and the cure."""


class Literal(str):
    """A number of the file as it was written, not (yet) accepted as an exact number."""


class Expression(str):
    """An expression in symbols as the file has it, and its value."""

    value: Exact

    @classmethod
    def of(cls, text: str, value: Exact) -> Expression:
        """The text, with its value."""
        found = cls(text)
        found.value = value
        return found


class Object(dict[str, Plain]):
    """A JSON object that remembers a key given twice."""

    duplicate: str | None = None


class Written(str):
    """A value as the file has it: shown in messages as it is."""

    def __repr__(self) -> str:
        return str(self)


def parse_json(text: str, *, cure: str = "correct it there, or name a TOML file .toml") -> Plain:
    """Plain data; numbers that are no short integers stay text."""

    def pairs(items: list[tuple[str, Plain]]) -> Object:
        result = Object()
        for key, value in items:
            if key in result:
                result.duplicate = key
            result[key] = value
        return result

    try:
        data: Plain = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_float=Literal,
            parse_constant=Literal,
            parse_int=lambda digits: int(digits) if len(digits) <= 4_000 else Literal(digits),
        )
        return data
    except json.JSONDecodeError as error:
        fault = f"is not JSON ({error.msg}, line {error.lineno} column {error.colno})"
        raise ProblemFileError("it", Words(fault), cure) from None


def parse_toml(text: str, *, cure: str = "correct it there, or name a JSON file .json") -> Plain:
    """Plain data; decimals stay text."""
    try:
        return tomllib.loads(text, parse_float=Literal)
    except tomllib.TOMLDecodeError as error:
        fault = f"is not TOML ({one_line(str(error))})"
        raise ProblemFileError("it", Words(fault), cure) from None
    except ValueError:  # CPython reads no integer of more than 4,300 digits
        fault = "has an integer of more than 4,300 digits"
        raise ProblemFileError("it", Words(fault), 'write it as a string "p/q"') from None


def parse_either(text: str) -> Plain:
    """Plain data of a text without a name: JSON where it begins with a brace, as no TOML does, and TOML otherwise.

    >>> parse_either('{"step": 1}') == parse_either("step = 1")
    True
    """
    if text.lstrip().startswith("{"):
        return parse_json(text, cure="correct it there")
    return parse_toml(text, cure="correct it there; JSON begins with {")


def quoted(value: object, limit: int = 60) -> str:
    """A value as the file has it, on one line, cut when long; nested data is only named.

    >>> quoted(True), quoted([1]), quoted("a b"), quoted(Literal("1e9"))
    ('true', '[...]', '"a b"', '1e9')
    """
    if isinstance(value, Literal):
        text = str(value)
    elif isinstance(value, dict):
        text = "{...}"
    elif isinstance(value, (list, tuple)):
        text = "[...]" if value else "[]"
    elif isinstance(value, int) and not isinstance(value, bool):
        text = integer_to_str(value)
    elif value is None or isinstance(value, bool):
        text = json.dumps(value)
    else:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else str(value)
        if isinstance(value, str) and not (value.isidentifier() and len(value) <= limit):
            text = json.dumps(value[: 2 * limit])
    return text if len(text) <= limit else f"{text[: limit // 2]}...{text[-limit // 4 :]}"


def to_json(value: Plain, indent: str = "") -> str:
    """JSON, indented, with lists of numbers on one line."""
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {to_json(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join(f"{inner}{to_json(entry, inner)}" for entry in value) + f"\n{indent}]"
    return json.dumps(value)


def to_toml(data: Mapping[str, Plain]) -> str:
    """TOML: the keys that hold no object, then a table for each that does (JSON's lists, integers and strings are TOML's)."""
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in data.items() if not isinstance(value, dict)]
    for name, table in data.items():
        if isinstance(table, dict):
            lines += ["", f"[{_toml_key(name)}]"]
            lines += [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _toml_key(key: str) -> str:
    """A key as it is, or as text where it has other signs than letters, digits, - and _."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_text(key)


def _toml_text(text: str) -> str:
    """A string: JSON's, without pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(value: Plain) -> str:
    """JSON's numbers, strings and lists are TOML's; an object inside is an inline table."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return _toml_text(value) if isinstance(value, str) else to_json(value)


def plain(value: _Nested) -> Plain:
    """Exact numbers in tuples as lists of integers and strings: "p/q", or an expression in symbols.

    >>> plain(((Rational(1), Rational(1, 2)),))
    [[1, '1/2']]
    """
    if isinstance(value, tuple):
        return [plain(entry) for entry in value]
    if not isinstance(value, Rational):
        return expression_text(value)
    if value.denominator == 1 and abs(value.numerator) <= _MAX_PLAIN_INTEGER:
        return int(value.numerator)
    return str(value)


def expression_text(value: Exact) -> str:
    """An exact number, or a polynomial in symbols, in the words of a problem file; integers of any length.

    >>> import sympy
    >>> a, c = sympy.symbols("a c")
    >>> expression_text(a**2 / 3 - 2 * a * c - c + 1)
    'a**2/3 - 2*a*c - c + 1'
    """
    if isinstance(value, Rational):
        return str(value)
    text = ""
    for term in value.as_ordered_terms():
        number, monomial = term.as_coeff_Mul()
        p, q = abs(int(number.p)), int(number.q)
        factors = [integer_to_str(p)] * (p != 1 or monomial == 1) + [str(monomial)] * (monomial != 1)
        sign = (" - " if text else "-") if number < 0 else " + " * bool(text)
        text += f"{sign}{'*'.join(factors)}" + (f"/{integer_to_str(q)}" if q != 1 else "")
    return text


def check_keys(
    data: Plain, prefix: str, allowed: Sequence[str], required: Sequence[str], else_: str = ""
) -> Mapping[str, Plain]:
    """The data, an object with exactly these keys, each once; ``else_`` says what other keys would do."""
    if not isinstance(data, dict):
        refuse(prefix.rstrip(".") or "the problem", data, f"write an object with the keys {', '.join(required)}")
    if isinstance(data, Object) and data.duplicate is not None:
        raise ProblemFileError(f"{prefix}{quoted(data.duplicate)}", Words("is given twice"), "keep one of them")
    keys = f"the keys here are {', '.join(allowed)}{', ' if else_ else ''}{else_}"
    for key in data:
        if key not in allowed:
            close = closest(str(key), allowed)
            hint = f"did you mean {close}? " if close else ""
            value = Written(quoted(data[key]))
            raise ProblemFileError(f"{prefix}{quoted(key)}", value, f"{hint}{keys}", fault="is an unknown key")
    for key in required:
        if key not in data:
            raise ProblemFileError(f"{prefix}{key}", Words("is missing"), keys)
    return data


def read_number(value: Plain, name: str) -> Rational:
    """An integer, or a string "p/q".

    >>> read_number("6/4", "step")
    3/2
    """
    if isinstance(value, bool):
        refuse(name, value, "write the number 0 or 1")
    if isinstance(value, Rational):
        return value
    if isinstance(value, int):
        if value.bit_length() > 3.33 * MAX_DIGITS:
            raise ProblemFileError(name, Words(f"has more than {MAX_DIGITS} digits"), "give a shorter integer")
        return Rational(value)
    if not isinstance(value, str) or (isinstance(value, Literal) and not value.lstrip("+-").isdecimal()):
        refuse(name, value, 'write an integer or a string "p/q"', "is not an exact number")
    return built(lambda: parse_rational(value, name))


def read_exact(value: Plain, name: str) -> Exact:
    """A number, or an expression in the symbols that the file declares."""
    return value.value if isinstance(value, Expression) else read_number(value, name)


def read_list(value: Plain, name: str) -> Sequence[Plain]:
    """A list that is not empty."""
    if not isinstance(value, (list, tuple)):
        refuse(name, value, "write a list (a matrix is a list of rows)")
    if not value:
        refuse(name, value, "give at least one entry", "is empty")
    return value


def read_vector(value: Plain, name: str) -> Vector:
    """A list of numbers, not empty."""
    return tuple(read_exact(entry, f"{name}[{i}]") for i, entry in enumerate(read_list(value, name)))


def read_matrix(value: Plain, name: str) -> Matrix:
    """A list of rows of equal length."""
    rows = [read_vector(row, f"{name}[{i}]") for i, row in enumerate(read_list(value, name))]
    return built(lambda: exact_matrix(rows, name))


def read_flag(data: Mapping[str, Plain], key: str, prefix: str) -> bool | None:
    """True or false; None if it is not given."""
    value = data.get(key)
    if key in data and not isinstance(value, bool):
        refuse(f"{prefix}{key}", value, "write true or false")
    return value if isinstance(value, bool) else None


def built(construct: Callable[[], _Built], prefix: str = "", keys: Sequence[str] = ()) -> _Built:
    """What a constructor makes; its error, which names an argument, becomes one that names the key.

    Args:
        construct: calls the constructor.
        prefix: of the object that is constructed.
        keys: arguments that are keys of the ``law``.
    """
    try:
        return construct()
    except InputError as error:
        raise ProblemFileError(_key(error.argument, prefix, keys), error.value, error.cure, error.fault) from error


def _key(argument: str, prefix: str, keys: Sequence[str]) -> str:
    """The key in the file that an argument of a constructor comes from."""
    if argument.startswith(tuple(keys)):
        return f"law.{argument}"
    return f"{prefix.rstrip('.')}: {argument}" if prefix and not argument.startswith(prefix) else argument


def refuse(name: str, value: object, cure: str, fault: str = "is not accepted") -> NoReturn:
    """Name the key, its value and the cure."""
    raise ProblemFileError(name, Written(quoted(value)), cure, fault)
