"""Problem files: a Problem as JSON or TOML, exact numbers only.

A file is hostile until checked: it is size-limited, decoded, parsed into plain data, and then every key is looked
up in a fixed list and every number matched by the pattern of ``linvar.exact``. Nothing is ever evaluated. A number
that is no exact number (``0.5``, ``1e9``, ``NaN``) is kept as the text it was, so that the error can say where.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from linvar.atomic import write_atomically
from linvar.exact import MAX_DIGITS, Rational, exact_matrix, integer_to_str, parse_rational
from linvar.laws import Dataset, Gaussian, identity
from linvar.problem import Problem

#: Longest problem file read, in bytes; longer ones are refused unread.
MAX_BYTES = 32 * 2**20

#: Largest ``step`` accepted from a file: far beyond any that can be derived.
MAX_STEP = 10_000

#: Integers up to this size are written as JSON integers, longer ones as strings (other readers would round them).
_MAX_PLAIN_INTEGER = 2**53

_PROBLEM_KEYS = ("weights", "law", "learning_rate", "step", "sampling", "momentum", "nesterov", "weight_decay")
_LAW_KEYS = {"gaussian": ("teacher", "covariance", "mean", "noise_variance"), "dataset": ("inputs", "targets")}


_Built = TypeVar("_Built")


class ProblemFileError(ValueError):
    """A problem file (or dictionary) that does not state a problem; one line: the key, its value and the cure."""


class _Literal(str):
    """A number of the file as it was written, not (yet) accepted as an exact number."""


class _Object(dict[str, Any]):
    """A JSON object that remembers a key given twice."""

    duplicate: str | None = None


def load_problem(path: str | os.PathLike[str]) -> Problem:
    """Read a problem file: TOML if its name ends in ``.toml``, JSON otherwise.

    The keys are those of ``Problem``: ``weights`` (a list of matrices, W_1 first; a matrix is a list of rows),
    ``law`` (``{"kind": "gaussian", "teacher": ...}``, optional ``covariance``, ``mean``, ``noise_variance``; or
    ``{"kind": "dataset", "inputs": ..., "targets": ...}``), and the optional ``learning_rate``, ``step``, ``sampling``,
    ``momentum``, ``nesterov`` (true or false) and ``weight_decay``. Numbers are integers or strings "p/q"; nothing in the
    file is evaluated.

    Args:
        path: a file of at most 32 MiB, UTF-8.

    Returns:
        The problem, exactly as written.

    Raises:
        ProblemFileError: the file cannot be read, is malformed, or states no valid problem.

    >>> import tempfile
    >>> problem = Problem([[["1/2"]]], Gaussian(teacher=[[1]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     problem.save(f"{folder}/problem.json")
    ...     load_problem(f"{folder}/problem.json") == problem
    True
    """
    source = os.fspath(path)
    text = _read(source)
    try:
        data = _parse_toml(text) if source.lower().endswith(".toml") else _parse_json(text)
        return problem_from_dict(data)
    except ProblemFileError as error:
        raise ProblemFileError(f"{source}: {error}") from error.__cause__
    except RecursionError:
        raise ProblemFileError(
            f"{source}: it nests too deeply: a problem file has lists of matrices, no deeper than four brackets"
        ) from None


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
    toml = os.fspath(path).lower().endswith(".toml")
    write_atomically(path, _to_toml(data) if toml else problem_to_json(problem) + "\n")


def problem_to_dict(problem: Problem) -> dict[str, Any]:
    """The content of a problem file: plain dictionaries, lists, integers and strings "p/q".

    Optional parts of a Gaussian law, momentum and weight decay are left out where they have their default value.

    Raises:
        ProblemFileError: the problem has symbols, which a problem file cannot hold.

    >>> problem_to_dict(Problem([[["1/2"]]], Gaussian(teacher=[[1]]), sampling="iid"))["weights"]
    [[['1/2']]]
    """
    if problem.symbols:
        names = ", ".join(str(symbol) for symbol in problem.symbols)
        raise ProblemFileError(
            f"problem has the symbols {names}: a problem file holds numbers only: build the problem with numbers in "
            f"their place, or keep it with pickle"
        )
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
    return _to_json(problem_to_dict(problem), "")


def problem_from_dict(data: Any) -> Problem:
    """The problem a dictionary states; the keys and numbers of a problem file (see ``load_problem``).

    Raises:
        ProblemFileError: an unknown, missing or repeated key, something that is no exact number, shapes that do
            not fit, or any other statement ``Problem`` refuses.

    >>> problem_from_dict({"weights": [[[1]]], "law": {"kind": "gaussian", "teacher": [[0.5]]}})
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    linvar.problem_file.ProblemFileError: law.teacher[0][0]=0.5 is not an exact number: write an integer or...
    """
    _check_keys(data, "", _PROBLEM_KEYS, ("weights", "law"))
    law = _law(data["law"])
    weights = [_matrix(matrix, f"weights[{layer}]") for layer, matrix in enumerate(_list(data["weights"], "weights"))]
    rate = data.get("learning_rate", 0)
    read_rate = _vector if isinstance(rate, (list, tuple)) else _number
    learning_rate = read_rate(rate, "learning_rate")
    step = _step(data.get("step", 0))
    sampling = data.get("sampling", "iid")
    further = {key: _number(data[key], key) for key in ("momentum", "weight_decay") if key in data}
    nesterov = data.get("nesterov", False)
    if not isinstance(nesterov, bool):
        _refuse("nesterov", nesterov, "write true or false")
    return _build(lambda: Problem(weights, law, learning_rate, step, sampling, nesterov=nesterov, **further), "")


def _law(data: Any) -> Gaussian | Dataset:
    """The law, of one of the two kinds."""
    if not isinstance(data, dict):
        _refuse("law", data, 'write an object with a "kind": "gaussian" or "dataset"')
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _LAW_KEYS:
        if "kind" not in data:
            raise ProblemFileError('law.kind is missing: write "kind": "gaussian" or "kind": "dataset"')
        _refuse("law.kind", kind, 'write "gaussian" or "dataset"')
    keys = _LAW_KEYS[kind]
    required = keys[:1] if kind == "gaussian" else keys
    _check_keys(data, "law.", ("kind", *keys), required)
    if kind == "gaussian":
        readers: dict[str, Callable[[Any, str], Any]] = {
            "covariance": _matrix,
            "mean": _vector,
            "noise_variance": _number,
        }
        optional = {key: read(data[key], f"law.{key}") for key, read in readers.items() if key in data}
        teacher = _matrix(data["teacher"], "law.teacher")
        return _build(lambda: Gaussian(teacher, **optional), "law.")
    inputs = _matrix(data["inputs"], "law.inputs")
    raw = _list(data["targets"], "law.targets")
    read = _matrix if any(isinstance(row, (list, tuple)) for row in raw) else _vector
    targets = read(raw, "law.targets")
    return _build(lambda: Dataset(inputs, targets), "law.")


def _build(construct: Callable[[], _Built], prefix: str) -> _Built:
    """Run a constructor; its error, which names an argument, becomes one that names the key."""
    try:
        return construct()
    except (TypeError, ValueError) as error:
        message = " ".join(str(error).split())
        for key in ("teacher", "covariance", "mean", "noise_variance", "inputs", "targets"):
            if message.startswith(key):
                message = f"law.{message}"
        if prefix and not message.startswith(prefix):
            message = f"{prefix.rstrip('.')}: {message}"
        raise ProblemFileError(message) from error


def _check_keys(data: Any, prefix: str, allowed: Sequence[str], required: Sequence[str]) -> None:
    """Exactly these keys, each once."""
    if not isinstance(data, dict):
        _refuse(prefix.rstrip(".") or "the problem", data, f"write an object with the keys {', '.join(required)}")
    if isinstance(data, _Object) and data.duplicate is not None:
        raise ProblemFileError(f"{prefix}{_quote(data.duplicate)} is given twice: keep one of them")
    for key in data:
        if key not in allowed:
            close = difflib.get_close_matches(str(key)[:60], allowed, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            value = _quote(data[key])
            raise ProblemFileError(
                f"{prefix}{_quote(key)}={value} is an unknown key: {hint}The keys here are {', '.join(allowed)}"
            )
    for key in required:
        if key not in data:
            raise ProblemFileError(f"{prefix}{key} is missing: the keys here are {', '.join(allowed)}")


def _number(value: Any, name: str) -> Rational:
    """An integer, or a string "p/q"."""
    if isinstance(value, bool):
        _refuse(name, value, "write the number 0 or 1")
    if isinstance(value, Rational):
        return value
    if isinstance(value, int):
        if value.bit_length() > 3.33 * MAX_DIGITS:
            raise ProblemFileError(f"{name} has more than {MAX_DIGITS} digits: give a shorter integer")
        return Rational(value)
    if not isinstance(value, str) or (isinstance(value, _Literal) and not value.lstrip("+-").isdecimal()):
        _refuse(name, value, 'write an integer or a string "p/q"', "is not an exact number")
    try:
        return parse_rational(value, name)
    except ValueError as error:
        raise ProblemFileError(str(error)) from None


def _list(value: Any, name: str) -> Sequence[Any]:
    """A list that is not empty."""
    if not isinstance(value, (list, tuple)):
        _refuse(name, value, "write a list (a matrix is a list of rows)")
    if not value:
        raise ProblemFileError(f"{name}=[] is empty: give at least one entry")
    return value


def _vector(value: Any, name: str) -> tuple[Rational, ...]:
    """A list of numbers (an empty one is a schedule of no steps)."""
    if value == [] and name == "learning_rate":
        return ()
    return tuple(_number(entry, f"{name}[{i}]") for i, entry in enumerate(_list(value, name)))


def _matrix(value: Any, name: str) -> Any:
    """A list of rows of equal length."""
    rows = [_vector(row, f"{name}[{i}]") for i, row in enumerate(_list(value, name))]
    try:
        return exact_matrix(rows, name)
    except ValueError as error:
        raise ProblemFileError(str(error)) from None


def _step(value: Any) -> int:
    """An integer from 0 to MAX_STEP."""
    if isinstance(value, (_Literal, bool)) or not isinstance(value, int) or not 0 <= value <= MAX_STEP:
        _refuse("step", value, f"write the number of updates, an integer from 0 to {MAX_STEP}")
    return value


def _refuse(name: str, value: Any, cure: str, what: str = "is not accepted") -> NoReturn:
    raise ProblemFileError(f"{name}={_quote(value)} {what}: {cure}")


def _quote(value: Any, limit: int = 60) -> str:
    """A value as the file has it, on one line, cut when long; nested data is only named."""
    if isinstance(value, _Literal):
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


def _read(source: str) -> str:
    """The text of the file; its size is looked at first, and no more than the limit is ever read."""
    too_long = f"it is longer than the {MAX_BYTES // 2**20} MiB a problem file may have: give a smaller file"
    try:
        status = os.stat(source)
        if stat.S_ISDIR(status.st_mode):
            raise ProblemFileError(f"{source}: it is a directory: give the path of a JSON or TOML problem file")
        if status.st_size > MAX_BYTES:
            raise ProblemFileError(f"{source}: {too_long}")
        with open(source, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ProblemFileError(f"{source}: there is no such file: give the path of a problem file") from None
    except ProblemFileError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProblemFileError(f"{ascii(source)}: it cannot be read ({reason}): give a readable file") from None
    if len(data) > MAX_BYTES:
        raise ProblemFileError(f"{source}: {too_long}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemFileError(f"{source}: it is not UTF-8 (byte {error.start}): save it as UTF-8 text") from None


def _parse_json(text: str) -> Any:
    """Plain data; numbers that are no short integers stay text."""

    def pairs(items: list[tuple[str, Any]]) -> _Object:
        result = _Object()
        for key, value in items:
            if key in result:
                result.duplicate = key
            result[key] = value
        return result

    try:
        return json.loads(
            text,
            object_pairs_hook=pairs,
            parse_float=_Literal,
            parse_constant=_Literal,
            parse_int=lambda digits: int(digits) if len(digits) <= 4_000 else _Literal(digits),
        )
    except json.JSONDecodeError as error:
        raise ProblemFileError(
            f"it is not JSON ({error.msg}, line {error.lineno} column {error.colno}): correct it there, "
            f"or name a TOML file .toml"
        ) from None


def _parse_toml(text: str) -> Any:
    """Plain data; decimals stay text."""
    try:
        return tomllib.loads(text, parse_float=_Literal)
    except tomllib.TOMLDecodeError as error:
        reason = " ".join(str(error).split())
        raise ProblemFileError(f"it is not TOML ({reason}): correct it there, or name a JSON file .json") from None
    except ValueError:  # CPython reads no integer of more than 4,300 digits
        raise ProblemFileError('it has an integer of more than 4,300 digits: write it as a string "p/q"') from None


def _plain(value: Any) -> Any:
    """Exact entries in lists as integers and strings."""
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if value.denominator == 1 and abs(value.numerator) <= _MAX_PLAIN_INTEGER:
        return value.numerator
    return str(value)


def _to_json(value: Any, indent: str) -> str:
    """JSON, indented, with lists of numbers on one line."""
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {_to_json(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join(f"{inner}{_to_json(entry, inner)}" for entry in value) + f"\n{indent}]"
    return json.dumps(value)


def _to_toml(data: dict[str, Any]) -> str:
    """TOML: the keys of the problem, then the table of the law (JSON's lists, integers and strings are TOML's)."""
    lines = [f"{key} = {_to_json(value, '')}" for key, value in data.items() if key != "law"]
    lines += ["", "[law]", *(f"{key} = {_to_json(value, '')}" for key, value in data["law"].items())]
    return "\n".join(lines) + "\n"
