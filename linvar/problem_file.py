"""Problem files, read: a Problem as JSON or TOML, exact numbers only (``Problem.save`` writes them).

A file is hostile until checked: it is size-limited, decoded, parsed into plain data (``plain_data.py``), and then every key is
looked up in a fixed list and every number matched by the pattern of ``linvar.exact``. Nothing is ever evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from linvar import file_symbols
from linvar.errors import InputError, Words, cut, shown
from linvar.exact import FRACTION, Matrix, Vector
from linvar.keywords import door
from linvar.laws.law import Law
from linvar.laws.registry import LAWS
from linvar.models.function import Function
from linvar.plain_data import (
    Literal,
    Plain,
    ProblemFileError,
    built,
    check_keys,
    parse_either,
    parse_json,
    parse_toml,
    read_exact,
    read_flag,
    read_list,
    read_matrix,
    read_number,
    read_vector,
    refuse,
)
from linvar.problem import Problem
from linvar.schemes.scheme import SCHEMES
from linvar.text_files import checked_path, read_text
from linvar.trees import from_plain

#: Longest problem file read, in bytes; longer ones are refused unread.
MAX_BYTES = 32 * 2**20

#: Levels of lists in an argument of a loss.
_MOST_NESTED = 64

#: Largest ``step`` accepted from a file: far beyond any that can be derived.
MAX_STEP = 10_000

_PROBLEM_KEYS = (
    "symbols", "bias", "loss", "loss_arguments", "weights", "law", "learning_rate", "step", "sampling", "momentum", "nesterov",
    "weight_decay",
)  # fmt: skip
_SYMBOLIC = ("weights", "learning_rate", "momentum", "weight_decay")
_TABLE_KEYS = ("file", "target", "decimals", "standardise", "header", "delimiter")

#: What is said of a table that was read: a function of one line.
Say = Callable[[str], object]


@door
def load_problem(path: str | os.PathLike[str], say: Say | None = None) -> Problem:
    """Read a problem file: TOML if its name ends in ``.toml``, JSON otherwise; ``-`` is standard input, either of them.

    The keys are those of ``Problem``: ``weights`` (a list of matrices, W_1 first; a matrix is a list of rows),
    ``law``, and the optional ``learning_rate``, ``step``, ``sampling``, ``momentum``, ``nesterov`` (true or false),
    ``weight_decay`` and ``bias`` (true: ``weights`` is a list of pairs [W_l, c_l]). Numbers are integers or strings "p/q";
    nothing in the file is evaluated or imported. A ``loss`` is the name of a family, or "module:function" of a module that is
    imported already; ``loss_arguments`` are bound to it, and ``weights`` are then dictionaries and lists. With
    ``"symbols": ["a", "c"]`` the numbers of weights, learning rate, momentum, weight decay and a Gaussian law may be strings
    that are polynomials in these, "a**2/3 + 1". The law is one of

    - ``{"kind": "gaussian", "teacher": ...}`` (0: of the shape of the weights), optional ``covariance``, ``mean``,
      ``noise_variance``;
    - ``{"kind": "dataset", "inputs": ..., "targets": ...}``;
    - ``{"kind": "dataset", "file": "house.csv", "target": "price", "decimals": 4}``: a table as
      ``linvar.datasets.read_table`` reads it, its path as typed (seen from the problem file's directory, or absolute), and as
      ``rounded_table`` rounds it: every digit is kept without ``decimals``, and the columns stay as they are unless
      ``"standardise": true`` brings them to mean 0 and variance 1. Optional: ``target`` (the last column), ``header`` (true
      or false), ``delimiter``. Once read, the problem holds the numbers: ``Problem.save`` writes them out.

    Args:
        path: a regular file of at most 32 MiB, UTF-8.
        say: called with each line there is to say about a table that was read: its rows, inputs and target, what was passed
            over, the rounding error.

    Returns:
        The problem, exactly as written.

    Raises:
        ProblemFileError: the file or its table cannot be read, is malformed, or states no valid problem.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = open(f"{folder}/house.csv", "w").write("rooms,price\\n3,210.5\\n4,300\\n2,150.25\\n")
    ...     law = '{"kind": "dataset", "file": "house.csv", "target": "price", "decimals": 1}'
    ...     _ = open(f"{folder}/problem.json", "w").write(f'{{"weights": [[[1]]], "law": {law}}}')
    ...     load_problem(f"{folder}/problem.json").law.targets
    ((421/2,), (300,), (1503/10,))
    """
    name = checked_path(path, "problem file", ProblemFileError)
    text = read_text(path, "problem file", MAX_BYTES, error=ProblemFileError, stdin=True)
    source = "standard input" if name == "-" else cut(name) if name.isprintable() else shown(name)
    try:
        data = _parser(name)(text)
        return problem_from_dict(data, folder="" if name == "-" else os.path.dirname(name), say=say)
    except ProblemFileError as error:
        raise ProblemFileError(f"{source}: {error.argument}", error.value, error.cure, error.fault) from error.__cause__
    except RecursionError:
        fault = Words("nests too deeply")
        cure = "a problem file has lists of matrices, no deeper than four brackets"
        raise ProblemFileError(f"{source}: it", fault, cure) from None


def _parser(name: str) -> Callable[[str], Plain]:
    """What reads a file of this name."""
    if name == "-":
        return parse_either
    return parse_toml if name.lower().endswith(".toml") else parse_json


def save_problem(problem: Problem, path: str | os.PathLike[str]) -> None:
    """Write a problem file, as ``Problem.save`` does."""
    problem.save(path)


def problem_from_dict(data: Plain, folder: str | os.PathLike[str] = "", say: Say | None = None) -> Problem:
    """The problem a dictionary states; the keys and numbers of a problem file (see ``load_problem``).

    Args:
        data: the dictionary.
        folder: where the path of a table starts; the working directory if empty.
        say: as in ``load_problem``.

    Raises:
        ProblemFileError: an unknown, missing or repeated key, something that is no exact number, shapes that do
            not fit, or any other statement ``Problem`` refuses.

    >>> problem_from_dict({"weights": [[[1]]], "law": {"kind": "gaussian", "teacher": [[0.5]]}})
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    linvar.plain_data.ProblemFileError: law.teacher[0][0]=0.5 is not an exact number: write an integer or...
    """
    keys = _with_symbols(check_keys(data, "", _PROBLEM_KEYS, ("weights", "law")))
    law = _law(keys["law"], os.fspath(folder), say)
    loss, weights = _loss(keys)
    rate = keys.get("learning_rate", 0)
    if isinstance(rate, (list, tuple)):  # an empty one is a schedule of no steps
        learning_rate: object = read_vector(rate, "learning_rate") if rate else ()
    else:
        learning_rate = read_exact(rate, "learning_rate")
    step = _step(keys.get("step", 0))
    sampling = keys.get("sampling", "iid")
    if not isinstance(sampling, str):
        refuse("sampling", sampling, f"write {' or '.join(map(_quote, SCHEMES))}")
    momentum, decay = (read_exact(keys.get(key, 0), key) for key in ("momentum", "weight_decay"))
    nesterov = bool(read_flag(keys, "nesterov", ""))
    return built(
        lambda: Problem(
            weights,
            law,
            learning_rate,
            step,
            sampling,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=decay,
            bias=bool(read_flag(keys, "bias", "")),
            loss=loss,
        ),
        "",
        law.keys,
    )


def _with_symbols(keys: Mapping[str, Plain]) -> Mapping[str, Plain]:
    """The keys, with the expressions in the symbols that they declare read."""
    if "symbols" not in keys:
        return keys
    symbols = file_symbols.declared(keys["symbols"])
    found = {key: file_symbols.read(keys[key], key, symbols) for key in _SYMBOLIC if key in keys}
    law = keys["law"]
    kind = law.get("kind") if isinstance(law, dict) else None
    if isinstance(law, dict) and isinstance(kind, str) and kind in LAWS:
        found["law"] = law = copy(law)  # which remembers a key given twice
        law.update(
            {key: file_symbols.read(law[key], f"law.{key}", symbols) for key in LAWS[kind].symbolic if key in law}
        )
    return {**keys, **found}


def _loss(keys: Mapping[str, Plain]) -> tuple[Function | None, Any]:
    """The loss, if one is named, and the weights: matrices of a linear network, or any structure."""
    if "loss" not in keys:
        if "loss_arguments" in keys:
            raise ProblemFileError("loss_arguments", Words("has no loss"), "name the loss, or leave it out")
        read = _read_pair if read_flag(keys, "bias", "") else read_matrix
        layers = enumerate(read_list(keys["weights"], "weights"))
        return None, [read(matrix, f"weights[{layer}]") for layer, matrix in layers]
    name, arguments = keys["loss"], keys.get("loss_arguments", {})
    if not isinstance(name, str) or isinstance(name, Literal):
        refuse("loss", name, 'write the name of a family, or "module:function"')
    if not isinstance(arguments, Mapping):
        refuse("loss_arguments", arguments, "write an object: name and value of each argument")
    bound = {key: _argument(value, f"loss_arguments.{key}") for key, value in arguments.items()}
    return Function.named(name, bound), from_plain(keys["weights"], "weights")


def _read_pair(layer: Plain, name: str) -> tuple[Matrix, Vector]:
    """[W_l, c_l]."""
    parts = read_list(layer, name)
    if len(parts) != 2:
        refuse(name, layer, "with a bias write [W_l, c_l], a matrix and a list of as many numbers as it has rows")
    return read_matrix(parts[0], f"{name}[0]"), read_vector(parts[1], f"{name}[1]")


def _argument(value: Plain, name: str, depth: int = 0) -> Any:
    """An argument of a loss: true, false, text; a number, or lists of them as tuples."""
    if depth > _MOST_NESTED:
        raise ProblemFileError(cut(name), Words("nests too deeply"), f"use {_MOST_NESTED} levels of lists at most")
    if isinstance(value, (list, tuple)):
        return tuple(_argument(part, f"{name}[{place}]", depth + 1) for place, part in enumerate(value))
    if isinstance(value, bool) or (
        isinstance(value, str) and not isinstance(value, Literal) and not FRACTION.fullmatch(value)
    ):
        return value
    number = read_number(value, name)
    return int(number) if number.denominator == 1 else number


def _law(data: Plain, folder: str, say: Say | None) -> Law:
    """The law, of one of the known kinds."""
    if not isinstance(data, dict):
        refuse("law", data, f'write an object with a "kind": {" or ".join(map(_quote, LAWS))}')
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in LAWS:
        if "kind" not in data:
            kinds = " or ".join(f'"kind": {_quote(known)}' for known in LAWS)
            raise ProblemFileError("law.kind", Words("is missing"), f"write {kinds}")
        refuse("law.kind", kind, f"write {' or '.join(map(_quote, LAWS))}")
    return LAWS[kind].from_dict(data, lambda keys: _table(keys, folder, say))


def _quote(name: str) -> str:
    """A name as it stands in a file."""
    return f'"{name}"'


def _table(data: Mapping[str, Plain], folder: str, say: Say | None) -> Law:
    """The rows of a table beside the problem file."""
    from linvar.datasets import read_table, rounded_table

    check_keys(data, "law.", ("kind", *_TABLE_KEYS), ("file",))
    file, target, delimiter = (_text(data, key) for key in ("file", "target", "delimiter"))
    assert file is not None
    decimals = _decimals(data)
    header, standardise = read_flag(data, "header", "law."), bool(read_flag(data, "standardise", "law."))
    try:
        table = read_table(os.path.join(folder, file), target, delimiter=delimiter, header=header)
        rounded = rounded_table(table, decimals, standardise)
    except InputError as error:
        # what is wrong with the table names it; what is wrong with a key is of the law
        argument = f"law.{error.argument}" if error.argument in _TABLE_KEYS else error.argument
        cure = "write true if it names them, false if it is an example" if error.argument == "header" else error.cure
        raise ProblemFileError(argument, error.value, cure, error.fault) from error
    if say is not None:
        for line in (table.description, *table.remarks):
            say(f"{table.name}: {line}")
        if decimals is not None:
            moved = f"{rounded.largest_rounding_error:.2g} at most"
            say(f"{table.name}: {'standardised and ' if standardise else ''}rounded to {decimals} decimals, by {moved}")
    return rounded.dataset


def _text(data: Mapping[str, Plain], key: str) -> str | None:
    """A string that is not empty; None if it is not given."""
    value = data.get(key)
    if key in data and (not isinstance(value, str) or isinstance(value, Literal) or not value):
        refuse(f"law.{key}", value, "write a string that is not empty")
    return value if isinstance(value, str) else None


def _decimals(data: Mapping[str, Plain]) -> int | None:
    """An integer; None if it is not given."""
    value = data.get("decimals")
    if "decimals" in data and (isinstance(value, bool) or not isinstance(value, int)):
        refuse("law.decimals", value, "write the digits kept after the decimal point, an integer >= 0")
    return value if isinstance(value, int) else None


def _step(value: Plain) -> int:
    """An integer from 0 to MAX_STEP."""
    if isinstance(value, (Literal, bool)) or not isinstance(value, int) or not 0 <= value <= MAX_STEP:
        refuse("step", value, f"write the number of updates, an integer from 0 to {MAX_STEP}")
    return value
