"""Residues of finished primes on disk, so that a long derivation can be interrupted and resumed.

A JSON file: the format's name, the key of the problem, the residues (question -> prime -> numbers) and a checksum of
them. It is written atomically; one that is damaged, or belongs to another problem, is refused, never trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from linvar.atomic import check_writable, write_atomically
from linvar.problem import Problem

#: Changes whenever residues of an older version of the code could mean something else.
FORMAT = "linvar lattice residues 1"

Residues = dict[int, list[int]]


def problem_key(problem: Problem) -> str:
    """sha256 of the statement of a problem."""
    law = problem.law
    statement = {
        "law": [type(law).__name__, *(f"{name}={getattr(law, name)!r}" for name in law.__dataclass_fields__)],
        **{name: repr(getattr(problem, name)) for name in problem.__dataclass_fields__ if name != "law"},
    }
    return digest(statement)


def digest(data: Any) -> str:
    """sha256 of plain data, written as JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Checkpoint:
    """The residues of one problem, in memory and (with a path) in a file.

    Args:
        path: the file; None keeps nothing on disk. A file that is there is read and checked.
        problem: the key of the problem whose residues they are.

    Raises:
        ValueError: the file is damaged, or belongs to another problem or version.
        OSError: the file cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str] | None, problem: str) -> None:
        self.path = path
        self._key = problem
        self._residues: dict[str, Residues] = {}
        if path is not None:
            check_writable(path)
            if Path(path).exists():
                self._residues = self._read(Path(path).read_bytes())

    def of(self, question: str, width: int) -> Residues:
        """The residues known of a question with this many numbers."""
        known = self._residues.get(question, {})
        if any(len(numbers) != width for numbers in known.values()):
            self._refuse("holds residues of the wrong number of coefficients")
        return dict(known)

    def add(self, question: str, residues: Mapping[int, Sequence[int]]) -> None:
        """Keep the residues of further primes."""
        known = self._residues.setdefault(question, {})
        known.update({p: list(map(int, numbers)) for p, numbers in residues.items()})
        if self.path is not None:
            body = {name: {str(p): row for p, row in rows.items()} for name, rows in self._residues.items()}
            data = {"format": FORMAT, "problem": self._key, "residues": body, "checksum": digest(body)}
            write_atomically(self.path, json.dumps(data))

    def _read(self, content: bytes) -> dict[str, Residues]:
        """The residues of a file's content, checked."""
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            self._refuse("is damaged: it is no JSON")
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            self._refuse(f"is not a checkpoint of this version (format {FORMAT!r})")
        if data.get("problem") != self._key:
            self._refuse("belongs to another problem")
        body = data.get("residues")
        if not isinstance(body, dict) or data.get("checksum") != digest(body):
            self._refuse("is damaged: the checksum of its residues is wrong")
        try:
            return {name: {int(p): list(map(int, row)) for p, row in rows.items()} for name, rows in body.items()}
        except (AttributeError, TypeError, ValueError):
            self._refuse("is damaged: its residues are no table of integers")

    def _refuse(self, reason: str) -> NoReturn:
        raise ValueError(
            f"checkpoint={os.fspath(self.path or '')!r} {reason}: delete the file, or give the path of another"
        )
