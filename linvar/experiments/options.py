"""Options of ``linvar experiment``: which go together, and with which experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from linvar.errors import InputError, Words
from linvar.experiments import get_experiment

#: What says something of a table, and nothing without one.
_OF_A_TABLE = ("target", "header", "delimiter")
_REGRESSION = "linvar experiment regression --table FILE --target COLUMN"


def check_options(
    name: str | None, options: Mapping[str, object], others: Mapping[str, object], list_experiments: bool
) -> None:
    """Every option that was given means something to what was asked for.

    Args:
        name: of the experiment; None where they are listed.
        options: what was given, by the names of ``run_experiment``.
        others: what every experiment takes, by the options as typed.
        list_experiments: ``--list`` was given.

    Raises:
        InputError: an option beside a list of all experiments, or of another experiment, or of a table that is not given.

    >>> check_options("regression", {"target": "price"}, {}, False)
    Traceback (most recent call last):
    linvar.errors.InputError: --target 'price' says something of a table, and none is given: add --table FILE
    """
    given = {**{_option(key, value): value for key, value in options.items()}, **others}
    if list_experiments or name is None:
        if list_experiments and name is not None:
            raise InputError("NAME", name, "leave one of the two out", fault="is given with --list, which lists all")
        for option, value in given.items():
            fault = "is given without an experiment"
            raise _refusal(option, value, "write linvar experiment NAME, or leave it out to see the list", fault)
        return
    known = get_experiment(name).options
    if "table" not in options and name != "diabetes":
        for key in _OF_A_TABLE:
            if key in options:
                cure = "add --table FILE" if "table" in known else f"write {_REGRESSION}"
                raise _refusal(
                    _option(key, options[key]), options[key], cure, "says something of a table, and none is given"
                )
    for key, value in options.items():
        if key not in known:
            takes = ", ".join(f"--{option.replace('_', '-')}" for option in known) or "none of its own"
            cure = f"write {_REGRESSION}" if key in ("table", *_OF_A_TABLE) else f"its options are {takes}"
            raise _refusal(_option(key, value), value, cure, f"is no option of {name}")
    if "table" in known and "table" not in options:
        raise InputError("--table", Words("is missing"), f"write {_REGRESSION}")


@contextmanager
def as_typed() -> Iterator[None]:
    """What cannot be known of a header is asked for by the options that say it."""
    try:
        yield
    except InputError as error:
        if error.argument != "header":
            raise
        cure = "give --header if it names them, --no-header if it is an example"
        raise InputError("--header or --no-header", error.value, cure) from error


def _option(key: str, value: object) -> str:
    """An option as typed."""
    return f"--no-{key}" if value is False else f"--{key.replace('_', '-')}"


def _refusal(option: str, value: object, cure: str, fault: str) -> InputError:
    """An option and its value, where it has one."""
    return InputError(option, Words(fault), cure) if isinstance(value, bool) else InputError(option, value, cure, fault)
