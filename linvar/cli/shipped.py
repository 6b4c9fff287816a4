"""The problem files shipped with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import PurePath
from typing import TYPE_CHECKING

from linvar.errors import InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from linvar.problem import Problem

#: What each of them is, in a line.
LINES = {
    "heavy-tails": "two layers after two steps: heavy tails, which a simulation resolves poorly",
    "noisy-regression": "one layer: correlated inputs, a bias, label noise, a schedule of learning rates",
    "small-dataset": "two layers on six examples, batches drawn without replacement",
    "symbols": "one weight, with symbols for it, the teacher and the learning rate",
    "three-scalar-layers": "three layers of width 1, one step",
    "two-layer": "two layers of width 2 on normal inputs, one step",
}


def example_names() -> list[str]:
    """Names of the shipped problem files, without suffix.

    >>> "two-layer" in example_names()
    True
    """
    return sorted(PurePath(entry.name).stem for entry in _files())


def example_text(name: str) -> str:
    """A shipped file as it is, by the name ``example_names`` has for it.

    >>> example_text("three-scalar-layers").splitlines()[1]
    'weights = [[[2]], [["1/2"]], [["-3/2"]]]'
    """
    return _file(name).read_text(encoding="utf-8")


def load_example(name: str) -> Problem:
    """A shipped problem, by the same name.

    >>> load_example("two-layer").widths
    (2, 2, 2)
    """
    from linvar.problem_file import load_problem

    with as_file(_file(name)) as path:
        return load_problem(path)


def _file(name: str) -> Traversable:
    """The file of a name."""
    for entry in _files():
        if PurePath(entry.name).stem == name:
            return entry
    raise InputError("NAME", name, f"give one of {', '.join(example_names())}", fault="is no shipped example")


def _files() -> list[Traversable]:
    """All of them."""
    folder = files("linvar") / "examples"
    return [entry for entry in folder.iterdir() if entry.name.endswith((".json", ".toml"))]
