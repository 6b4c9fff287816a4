"""Words that mention arguments: as in Python, and as options of a command."""

from __future__ import annotations

import pickle

import pytest
import typer

from linvar.cli.app import app
from linvar.cli.errors import as_typed, option_names, spelled
from linvar.errors import Argument, InputError, Said

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
