"""Hostile text as plain data: JSON and TOML whose numbers stay exact or stay text; nothing is evaluated.

A number that is no short integer (``0.5``, ``1e9``, ``NaN``) is kept as the text it was, so that an error can say what and where.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

from linvar.errors import InputError, Words, one_line
from linvar.exact import integer_to_str


class ProblemFileError(InputError):
    """A problem file (or dictionary) that does not state a problem; one line: the key, its value and the cure."""


class Literal(str):
    """A number of the file as it was written, not (yet) accepted as an exact number."""


class Object(dict[str, Any]):
    """A JSON object that remembers a key given twice."""

    duplicate: str | None = None


class Written(str):
    """A value as the file has it: shown in messages as it is."""

    def __repr__(self) -> str:
        return str(self)


def parse_json(text: str) -> Any:
    """Plain data; numbers that are no short integers stay text."""

    def pairs(items: list[tuple[str, Any]]) -> Object:
        result = Object()
        for key, value in items:
            if key in result:
                result.duplicate = key
            result[key] = value
        return result

    try:
        return json.loads(
            text,
            object_pairs_hook=pairs,
            parse_float=Literal,
            parse_constant=Literal,
            parse_int=lambda digits: int(digits) if len(digits) <= 4_000 else Literal(digits),
        )
    except json.JSONDecodeError as error:
        fault = f"is not JSON ({error.msg}, line {error.lineno} column {error.colno})"
        raise ProblemFileError("it", Words(fault), "correct it there, or name a TOML file .toml") from None


def parse_toml(text: str) -> Any:
    """Plain data; decimals stay text."""
    try:
        return tomllib.loads(text, parse_float=Literal)
    except tomllib.TOMLDecodeError as error:
        fault = f"is not TOML ({one_line(str(error))})"
        raise ProblemFileError("it", Words(fault), "correct it there, or name a JSON file .json") from None
    except ValueError:  # CPython reads no integer of more than 4,300 digits
        fault = "has an integer of more than 4,300 digits"
        raise ProblemFileError("it", Words(fault), 'write it as a string "p/q"') from None


def quoted(value: Any, limit: int = 60) -> str:
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


def to_json(value: Any, indent: str = "") -> str:
    """JSON, indented, with lists of numbers on one line."""
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {to_json(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join(f"{inner}{to_json(entry, inner)}" for entry in value) + f"\n{indent}]"
    return json.dumps(value)


def to_toml(data: dict[str, Any]) -> str:
    """TOML: the keys that hold no object, then a table for each that does (JSON's lists, integers and strings are TOML's)."""
    lines = [f"{key} = {to_json(value)}" for key, value in data.items() if not isinstance(value, dict)]
    for name, table in data.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {to_json(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
