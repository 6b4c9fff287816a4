"""Checks that both halves share: old words are refused with the new ones, and signatures stay what they are."""

from __future__ import annotations

import doctest
import inspect
import pickle
import sys

import pytest
import typer

from linvar.arguments import OLD_WORDS, refuses_old_words
from linvar.cli.app import app
from linvar.cli.errors import as_typed, option_names, spelled
from linvar.errors import Argument, InputError, InputTypeError, Said


@refuses_old_words(*OLD_WORDS)
def derived(problem: str, road: str | None = None, *, of: str = "gradient") -> tuple[str, str | None, str]:
    """What came in.

    >>> derived("p", of="update")
    ('p', None, 'update')
    """
    return problem, road, of


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"per_layer": True}, "per_layer=True is no argument of derived any more: use linvar.derive(problem).per_leaf"),
        (
            {"per_layer": False},
            "per_layer=False is no argument of derived any more: use linvar.derive(problem).per_leaf",
        ),
        ({"steps": [1, 2]}, "steps=[1, 2] is no argument of derived any more: use linvar.derive_steps(problem, steps)"),
        (
            {"order": None},
            "order=None is no argument of derived any more: use linvar.large_batch(problem, order, digits); "
            "in a plan road=linvar.LargeBatch(order, digits)",
        ),
        (
            {"digits": 30},
            "digits=30 is no argument of derived any more: use linvar.large_batch(problem, order, digits); "
            "in a plan road=linvar.LargeBatch(order, digits)",
        ),
        (
            {"method": "lattice"},
            "method='lattice' is no argument of derived any more: give road=linvar.Lattice() (Expansion(), Regression())",
        ),
        (
            {"checkpoint": "kept"},
            "checkpoint='kept' is no argument of derived any more: give road=linvar.Lattice(checkpoint=...)",
        ),
    ],
)
def test_an_old_word_is_refused_with_the_new_one(given, message):
    with pytest.raises(InputTypeError) as caught:
        derived("p", of="update", **given)
    assert str(caught.value) == message and isinstance(caught.value, InputError) and isinstance(caught.value, TypeError)
    assert caught.value.argument == next(iter(given))


def test_every_old_word_is_tried_above_and_the_first_of_two_is_named():
    assert set(OLD_WORDS) == {"per_layer", "steps", "order", "digits", "method", "checkpoint"}
    with pytest.raises(InputTypeError, match="^order=2 is no argument of derived any more"):
        derived("p", digits=8, order=2)


def test_an_unknown_keyword_stays_pythons_own_error():
    with pytest.raises(TypeError, match=r"derived\(\) got an unexpected keyword argument 'stepz'") as caught:
        derived("p", stepz=3)
    assert not isinstance(caught.value, InputError)


def test_only_the_words_that_were_named_are_refused():
    @refuses_old_words("steps")
    def function(problem: str, order: int = 0) -> int:
        return order

    assert function("p", order=2) == 2
    with pytest.raises(TypeError, match="unexpected keyword argument 'method'"):
        function("p", method="lattice")
    with pytest.raises(KeyError):
        refuses_old_words("never_was_one")


def test_the_function_looks_as_it_was_written():
    assert derived("p", "r") == ("p", "r", "gradient")
    assert str(inspect.signature(derived)).startswith(
        "(problem: 'str', road: 'str | None' = None, *, of: 'str' = 'gradient')"
    )
    assert derived.__name__ == "derived" and derived.__module__ == __name__


def test_its_doctests_are_still_found():
    found = doctest.DocTestFinder().find(sys.modules[__name__], __name__)
    (own,) = (test for test in found if test.name.endswith(".derived"))
    assert own.examples


# the same words on the command line

OPTIONS = {"order": "--order", "digits": "--digits", "road": "--method", "checkpoint": "--checkpoint"}
ROAD = Argument("road", "lattice", "road=linvar.Lattice()")
FIRST = Argument("order", "2", "linvar.large_batch(problem, order=2)")


@pytest.mark.parametrize(
    ("said", "python", "typed"),
    [
        (Said("leave {} out", Argument("road")), "leave road= out", "leave --method out"),
        (Said("give {}", ROAD), "give road=linvar.Lattice()", "give --method lattice"),
        (Said("use {}", FIRST), "use linvar.large_batch(problem, order=2)", "use --order 2"),
        (Said("{} or {}", FIRST, Argument("of", "update")), "linvar.large_batch(problem, order=2) or of=update",
         "--order 2 or of=update"),
    ],
)  # fmt: skip
def test_words_of_the_library_as_options(said, python, typed):
    assert said == python == str(pickle.loads(pickle.dumps(said))) and spelled(said, OPTIONS) == typed
    assert pickle.loads(pickle.dumps(said)).typed(OPTIONS) == typed and said.typed({}) == python


def test_words_that_only_look_like_arguments_stay():
    assert spelled("with order=1 and {braces}", OPTIONS) == "with order=1 and {braces}"


def test_a_road_is_named_as_it_was_typed():
    error = InputError("road", "lattice", Said("leave {} out", Argument("road")), fault="does not apply")
    assert str(as_typed(error, OPTIONS)) == "--method 'lattice' does not apply: leave --method out"
    assert as_typed(error, {"order": "--order"}).argument == "road"


def test_method_is_where_a_road_is_typed():
    group = typer.main.get_command(app)
    derive, verify = (option_names(group.get_command(None, name)) for name in ("derive", "verify"))
    assert derive["road"] == "--method" and "road" not in verify
