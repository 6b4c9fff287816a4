"""What ``?lv.name`` shows: an example of everything public that is called, and what comes next, by names that exist."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import linvar as lv

CALLED = [name for name in lv.__all__ if callable(getattr(lv, name))]
#: where one starts, and goes on: their last paragraph says what comes next
STARTS = [
    "Problem", "Gaussian", "gradient_variance", "second_moment", "squared_mean", "expected_loss", "expected_weights",
    "weight_covariance", "derive", "derive_steps", "large_batch", "plan", "verify", "simulate",
]  # fmt: skip
_NAME = re.compile(r"``linvar\.([A-Za-z_.]+?)(?:\(|``)")


def resolved(path: str) -> Any:
    """What a dotted name stands for."""
    found: Any = lv
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", CALLED)
def test_everything_public_has_an_example_in_its_docstring(name: str) -> None:
    text = inspect.getdoc(getattr(lv, name)) or ""
    example = ">>> " in text or name in {"Rational"}
    assert example and text.partition("\n")[0].endswith((".", "?", ":", ","))


@pytest.mark.parametrize("name", CALLED)
def test_names_in_docstrings_exist(name: str) -> None:
    text = inspect.getdoc(getattr(lv, name)) or ""
    for path in _NAME.findall(text):
        assert resolved(path) is not None, path


@pytest.mark.parametrize("name", STARTS)
def test_the_doors_say_what_comes_next(name: str) -> None:
    text = inspect.getdoc(getattr(lv, name)) or ""
    last = text.rstrip().rpartition("\n\n")[2]
    assert last.startswith("Next: ") and _NAME.findall(last)
    assert name not in _NAME.findall(last), "it leads to others"


@pytest.mark.parametrize("name", [name for name in STARTS if name != "Gaussian"])
def test_their_examples_are_wider_than_one_number(name: str) -> None:
    text = inspect.getdoc(getattr(lv, name)) or ""
    assert re.search(r"Problem\((?:weights=)?\[\[\[[^\]]+, ", text)
    assert not re.search(r"Problem\((?:weights=)?\[\[\[[^,\]]+\]\]", text), "a network of one number"


def test_the_checks_above_can_fail() -> None:
    with pytest.raises(AttributeError):
        resolved("Problem.from_nothing")
    assert _NAME.findall("Next: ``linvar.derive``, ``linvar.plan(problem)``.") == ["derive", "plan"]
