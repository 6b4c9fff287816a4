"""Problem files: a Problem as JSON or TOML, exact numbers only.

A file is hostile until checked: it is size-limited, decoded, parsed into plain data (``plain_data.py``), and then every key is
looked up in a fixed list and every number matched by the pattern of ``linvar.exact``. Nothing is ever evaluated.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from linvar.atomic import write_atomically
from linvar.errors import InputError, Words, cut, shown
from linvar.exact import MAX_DIGITS, Rational, exact_matrix, parse_rational
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import identity
from linvar.plain_data import (
    Literal,
    Object,
    ProblemFileError,
    Written,
    parse_json,
    parse_toml,
    quoted,
    to_json,
    to_toml,
)
from linvar.problem import Problem
from linvar.text_files import checked_path, read_text

#: Longest problem file read, in bytes; longer ones are refused unread.
MAX_BYTES = 32 * 2**20

#: Largest ``step`` accepted from a file: far beyond any that can be derived.
MAX_STEP = 10_000

#: Integers up to this size are written as JSON integers, longer ones as strings (other readers would round them).
_MAX_PLAIN_INTEGER = 2**53

_PROBLEM_KEYS = ("weights", "law", "learning_rate", "step", "sampling", "momentum", "nesterov", "weight_decay")
_LAW_KEYS = {"gaussian": ("teacher", "covariance", "mean", "noise_variance"), "dataset": ("inputs", "targets")}
_TABLE_KEYS = ("file", "target", "decimals", "standardise", "header", "delimiter")


#: What is said of a table that was read: a function of one line.
Say = Callable[[str], object]

_Built = TypeVar("_Built")


def load_problem(path: str | os.PathLike[str], say: Say | None = None) -> Problem:
    """Read a problem file: TOML if its name ends in ``.toml``, JSON otherwise; ``-`` is JSON on standard input.

    The keys are those of ``Problem``: ``weights`` (a list of matrices, W_1 first; a matrix is a list of rows),
    ``law``, and the optional ``learning_rate``, ``step``, ``sampling``, ``momentum``, ``nesterov`` (true or false) and
    ``weight_decay``. Numbers are integers or strings "p/q"; nothing in the file is evaluated. The law is one of

    - ``{"kind": "gaussian", "teacher": ...}``, optional ``covariance``, ``mean``, ``noise_variance``;
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
        data = parse_toml(text) if name.lower().endswith(".toml") else parse_json(text)
        return problem_from_dict(data, folder="" if name == "-" else os.path.dirname(name), say=say)
    except ProblemFileError as error:
        raise ProblemFileError(f"{source}: {error.argument}", error.value, error.cure, error.fault) from error.__cause__
    except RecursionError:
        fault = Words("nests too deeply")
        cure = "a problem file has lists of matrices, no deeper than four brackets"
        raise ProblemFileError(f"{source}: it", fault, cure) from None


def save_problem(problem: Problem, path: str | os.PathLike[str]) -> None:
    """Write a problem file: TOML if its name ends in ``.toml``, JSON otherwise; all or nothing.

    ``load_problem`` gives an equal problem back.

    Raises:
        ProblemFileError: the problem has symbols, which a problem file cannot hold.
        OSError: the file cannot be written; an old file stays as it was.

    >>> save_problem(Problem([[[1]]], Gaussian(teacher=[[1]])), "no/such/folder/problem.json")
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: cannot write 'no/such/folder/problem.json': there is no directory ...
    """
    data = problem_to_dict(problem)
    toml = checked_path(path, "problem file", ProblemFileError).lower().endswith(".toml")
    write_atomically(path, to_toml(data) if toml else problem_to_json(problem) + "\n")


def problem_to_dict(problem: Problem) -> dict[str, Any]:
    """The content of a problem file: plain dictionaries, lists, integers and strings "p/q".

    Optional parts of a Gaussian law, momentum and weight decay are left out where they have their default value.

    Raises:
        ProblemFileError: the problem has symbols, which a problem file cannot hold.

    >>> problem_to_dict(Problem([[["1/2"]]], Gaussian(teacher=[[1]]), sampling="iid"))["weights"]
    [[['1/2']]]
    """
    if problem.symbols:
        names = cut(", ".join(str(symbol) for symbol in problem.symbols))
        cure = "build it with numbers in their place, or keep it with pickle: a problem file holds numbers only"
        raise ProblemFileError("problem", Words(f"has the symbols {names}"), cure)
    law: dict[str, Any]
    if isinstance(problem.law, Gaussian):
        law = {"kind": "gaussian", "teacher": _plain(problem.law.teacher)}
        if problem.law.covariance != identity(problem.law.input_width):
            law["covariance"] = _plain(problem.law.covariance)
        if any(problem.law.mean):
            law["mean"] = _plain(problem.law.mean)
        if problem.law.noise_variance != 0:
            law["noise_variance"] = _plain(problem.law.noise_variance)
    else:
        law = {"kind": "dataset", "inputs": _plain(problem.law.inputs), "targets": _plain(problem.law.targets)}
    further = {"momentum": problem.momentum, "nesterov": problem.nesterov, "weight_decay": problem.weight_decay}
    return {
        "weights": _plain(problem.weights),
        "law": law,
        "learning_rate": _plain(problem.learning_rate),
        "step": problem.step,
        "sampling": problem.sampling,
        **{key: value if isinstance(value, bool) else _plain(value) for key, value in further.items() if value},
    }


def problem_to_json(problem: Problem) -> str:
    """The problem as the text of a JSON problem file, one row of a matrix a line.

    >>> print(problem_to_json(Problem([[[1, "1/2"]]], Gaussian(teacher=[[1, 0]]))))
    {
      "weights": [
        [
          [1, "1/2"]
        ]
      ],
      "law": {
        "kind": "gaussian",
        "teacher": [
          [1, 0]
        ]
      },
      "learning_rate": 0,
      "step": 0,
      "sampling": "iid"
    }
    """
    return to_json(problem_to_dict(problem))


def problem_from_dict(data: Any, folder: str | os.PathLike[str] = "", say: Say | None = None) -> Problem:
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
    _check_keys(data, "", _PROBLEM_KEYS, ("weights", "law"))
    law = _law(data["law"], os.fspath(folder), say)
    weights = [_matrix(matrix, f"weights[{layer}]") for layer, matrix in enumerate(_list(data["weights"], "weights"))]
    rate = data.get("learning_rate", 0)
    read_rate = _vector if isinstance(rate, (list, tuple)) else _number
    learning_rate = read_rate(rate, "learning_rate")
    step = _step(data.get("step", 0))
    sampling = data.get("sampling", "iid")
    if not isinstance(sampling, str):
        _refuse("sampling", sampling, 'write "iid" or "without_replacement"')
    further = {key: _number(data[key], key) for key in ("momentum", "weight_decay") if key in data}
    nesterov = _boolean(data, "nesterov", "")
    return _built(lambda: Problem(weights, law, learning_rate, step, sampling, nesterov=bool(nesterov), **further), "")


def _law(data: Any, folder: str, say: Say | None) -> Gaussian | Dataset:
    """The law, of one of the two kinds."""
    if not isinstance(data, dict):
        _refuse("law", data, 'write an object with a "kind": "gaussian" or "dataset"')
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _LAW_KEYS:
        if "kind" not in data:
            raise ProblemFileError("law.kind", Words("is missing"), 'write "kind": "gaussian" or "kind": "dataset"')
        _refuse("law.kind", kind, 'write "gaussian" or "dataset"')
    if kind == "gaussian":
        return _gaussian(data)
    if "file" in data:
        return _table(data, folder, say)
    _check_keys(data, "law.", ("kind", *_LAW_KEYS[kind]), _LAW_KEYS[kind], 'or "file" and "target", for a table')
    inputs = _matrix(data["inputs"], "law.inputs")
    raw = _list(data["targets"], "law.targets")
    read = _matrix if any(isinstance(row, (list, tuple)) for row in raw) else _vector
    targets = read(raw, "law.targets")
    return _built(lambda: Dataset(inputs, targets), "law.")


def _gaussian(data: dict[str, Any]) -> Gaussian:
    """Inputs of a normal distribution."""
    _check_keys(data, "law.", ("kind", *_LAW_KEYS["gaussian"]), ("teacher",))
    readers: dict[str, Callable[[Any, str], Any]] = {"covariance": _matrix, "mean": _vector, "noise_variance": _number}
    optional = {key: read(data[key], f"law.{key}") for key, read in readers.items() if key in data}
    teacher = _matrix(data["teacher"], "law.teacher")
    return _built(lambda: Gaussian(teacher, **optional), "law.")


def _table(data: dict[str, Any], folder: str, say: Say | None) -> Dataset:
    """The rows of a table beside the problem file."""
    from linvar.datasets import read_table, rounded_table

    _check_keys(data, "law.", ("kind", *_TABLE_KEYS), ("file",))
    for key in ("file", "target", "delimiter"):
        if key in data and not (isinstance(data[key], str) and not isinstance(data[key], Literal) and data[key]):
            _refuse(f"law.{key}", data[key], "write a string that is not empty")
    decimals = data.get("decimals")
    if "decimals" in data and (isinstance(decimals, bool) or not isinstance(decimals, int)):
        _refuse("law.decimals", decimals, "write the digits kept after the decimal point, an integer >= 0")
    header, standardise = _boolean(data, "header", "law."), _boolean(data, "standardise", "law.")
    path = os.path.join(folder, data["file"])
    try:
        table = read_table(path, data.get("target"), delimiter=data.get("delimiter"), header=header)
        rounded = rounded_table(table, decimals, bool(standardise))
    except InputError as error:
        # what is wrong with the table names it; what is wrong with a key is of the law
        argument = f"law.{error.argument}" if error.argument in _TABLE_KEYS else error.argument
        cure = "write true if it names them, false if it is an example" if error.argument == "header" else error.cure
        raise ProblemFileError(argument, error.value, cure, error.fault) from error
    for line in (table.description, *table.remarks) if say else ():
        say(f"{table.name}: {line}")  # type: ignore[misc]
    if say and decimals is not None:
        moved = f"{rounded.largest_rounding_error:.2g} at most"
        say(f"{table.name}: {'standardised and ' if standardise else ''}rounded to {decimals} decimals, by {moved}")
    return rounded.dataset


def _boolean(data: dict[str, Any], key: str, prefix: str) -> bool | None:
    """True or false; None if it is not given."""
    value = data.get(key)
    if key in data and not isinstance(value, bool):
        _refuse(f"{prefix}{key}", value, "write true or false")
    return value


def _built(construct: Callable[[], _Built], prefix: str) -> _Built:
    """What a constructor makes; its error, which names an argument, becomes one that names the key."""
    try:
        return construct()
    except InputError as error:
        raise ProblemFileError(_key(error.argument, prefix), error.value, error.cure, error.fault) from error


def _key(argument: str, prefix: str) -> str:
    """The key in the file that an argument of a constructor comes from."""
    if argument.startswith(("teacher", "covariance", "mean", "noise_variance", "inputs", "targets")):
        return f"law.{argument}"
    return f"{prefix.rstrip('.')}: {argument}" if prefix and not argument.startswith(prefix) else argument


def _check_keys(data: Any, prefix: str, allowed: Sequence[str], required: Sequence[str], else_: str = "") -> None:
    """Exactly these keys, each once; ``else_`` says what other keys would do."""
    if not isinstance(data, dict):
        _refuse(prefix.rstrip(".") or "the problem", data, f"write an object with the keys {', '.join(required)}")
    if isinstance(data, Object) and data.duplicate is not None:
        raise ProblemFileError(f"{prefix}{quoted(data.duplicate)}", Words("is given twice"), "keep one of them")
    keys = f"the keys here are {', '.join(allowed)}{', ' if else_ else ''}{else_}"
    for key in data:
        if key not in allowed:
            close = difflib.get_close_matches(str(key)[:60], allowed, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            value = Written(quoted(data[key]))
            raise ProblemFileError(f"{prefix}{quoted(key)}", value, f"{hint}{keys}", fault="is an unknown key")
    for key in required:
        if key not in data:
            raise ProblemFileError(f"{prefix}{key}", Words("is missing"), keys)


def _number(value: Any, name: str) -> Rational:
    """An integer, or a string "p/q"."""
    if isinstance(value, bool):
        _refuse(name, value, "write the number 0 or 1")
    if isinstance(value, Rational):
        return value
    if isinstance(value, int):
        if value.bit_length() > 3.33 * MAX_DIGITS:
            raise ProblemFileError(name, Words(f"has more than {MAX_DIGITS} digits"), "give a shorter integer")
        return Rational(value)
    if not isinstance(value, str) or (isinstance(value, Literal) and not value.lstrip("+-").isdecimal()):
        _refuse(name, value, 'write an integer or a string "p/q"', "is not an exact number")
    return _built(lambda: parse_rational(value, name), "")


def _list(value: Any, name: str) -> Sequence[Any]:
    """A list that is not empty."""
    if not isinstance(value, (list, tuple)):
        _refuse(name, value, "write a list (a matrix is a list of rows)")
    if not value:
        _refuse(name, value, "give at least one entry", "is empty")
    return value


def _vector(value: Any, name: str) -> tuple[Rational, ...]:
    """A list of numbers (an empty one is a schedule of no steps)."""
    if value == [] and name == "learning_rate":
        return ()
    return tuple(_number(entry, f"{name}[{i}]") for i, entry in enumerate(_list(value, name)))


def _matrix(value: Any, name: str) -> Any:
    """A list of rows of equal length."""
    rows = [_vector(row, f"{name}[{i}]") for i, row in enumerate(_list(value, name))]
    return _built(lambda: exact_matrix(rows, name), "")


def _step(value: Any) -> int:
    """An integer from 0 to MAX_STEP."""
    if isinstance(value, (Literal, bool)) or not isinstance(value, int) or not 0 <= value <= MAX_STEP:
        _refuse("step", value, f"write the number of updates, an integer from 0 to {MAX_STEP}")
    return value


def _refuse(name: str, value: Any, cure: str, fault: str = "is not accepted") -> NoReturn:
    raise ProblemFileError(name, Written(quoted(value)), cure, fault)


def _plain(value: Any) -> Any:
    """Exact entries in lists as integers and strings."""
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if value.denominator == 1 and abs(value.numerator) <= _MAX_PLAIN_INTEGER:
        return value.numerator
    return str(value)
