"""A table of functions by their docstrings: what ``linvar.families.table`` lists."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Family(NamedTuple):
    """A line of the table: what its docstring says; ``fact`` is what linvar reproduces, as tests."""

    name: str
    formula: str
    degree: str
    weights: str
    source: str
    fact: str

    def __str__(self) -> str:
        return f"{self.name}: {self.formula}\n    Degree {self.degree}\n    {self.source}\n    {self.fact}"


def catalogue(functions: Iterable[Callable[..., Any]]) -> tuple[Family, ...]:
    """A line for each function, as its docstring has it: its first line, and the sections Degree, Weights, Source and Fact.

    >>> def square(params, example):
    ...     \"\"\"Half a square: 1/2 (w x)^2.
    ...
    ...     Degree: 2.
    ...     \"\"\"
    >>> catalogue([square])[0].degree, catalogue([square])[0].fact
    ('2.', '')
    """
    rows = []
    for function in functions:
        text = inspect.getdoc(function) or ""
        sections = re.findall(r"^([A-Z]\w+): (.*?)(?=\n\n|\n[A-Z]\w+: |\Z)", text, re.M | re.S)
        found = {title: " ".join(words.split()) for title, words in sections}
        parts = (found.get(part, "") for part in ("Degree", "Weights", "Source", "Fact"))
        rows.append(Family(function.__name__, text.partition("\n")[0], *parts))
    return tuple(rows)
