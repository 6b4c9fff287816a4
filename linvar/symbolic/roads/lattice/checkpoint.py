"""Residues of finished primes on disk, so that a long derivation can be interrupted and resumed.

A JSON file: the format's name, the key of the problem, the residues (question -> prime -> numbers) and a checksum of
them. It is written atomically; one that is damaged, or belongs to another problem, is refused, never trusted. The checksum
guards against accidents, not against forgery, so everything else is checked too: what is called a prime is one of those
the lattice uses, and every residue an integer of its range.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from linvar.atomic import check_writable, write_atomically
from linvar.errors import InputError
from linvar.symbolic.roads.lattice.modular import PRIME_LIMIT
from linvar.symbolic.roads.lattice.reconstruction import is_prime_in_use
from linvar.symbolic.sgd.steps import Steps
from linvar.text_files import checked_path, read_text

#: Changes whenever residues of an older version of the code could mean something else.
FORMAT = "linvar lattice residues 2"

#: Bytes a checkpoint may have: that many residues no derivation comes to.
LARGEST = 2**30
_PRIME = re.compile("[1-9][0-9]{0,8}")

Residues = dict[int, list[int]]


def problem_key(steps: Steps) -> str:
    """sha256 of what is derived: of the statement of a problem, as a file holds it, or of the polynomial of a loss."""
    return digest(steps.model.statement(steps.problem))


def digest(data: Any) -> str:
    """sha256 of plain data, written as JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Checkpoint:
    """The residues of one problem, in memory and (with a path) in a file.

    Args:
        path: the file; None keeps nothing on disk. A file that is there is read and checked.
        problem: the key of the problem whose residues they are.

    Raises:
        InputError: the file is damaged, belongs to another problem or version, or is no regular file.
        InputTypeError: the path is no path.
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None, problem: str) -> None:
        self.path = None if path is None else checked_path(path, "checkpoint")
        self._key = problem
        self._residues: dict[str, Residues] = {}
        if self.path is not None:
            check_writable(self.path)
            if os.path.exists(self.path):
                self._residues = self._read(read_text(self.path, "checkpoint", LARGEST))

    def of(self, question: str, width: int, denominators: Sequence[int] = ()) -> Residues:
        """The residues known of a question with this many numbers, none of whose primes divides a denominator."""
        known = self._residues.get(question, {})
        if any(len(numbers) != width for numbers in known.values()):
            self._refuse("holds residues of the wrong number of coefficients")
        for p in known:
            if any(denominator % p == 0 for denominator in denominators):
                self._refuse(f"is damaged: its prime {p} divides a denominator of the problem")
        return dict(known)

    def add(self, question: str, residues: Mapping[int, Sequence[int]]) -> None:
        """Keep the residues of further primes."""
        known = self._residues.setdefault(question, {})
        known.update({p: list(map(int, numbers)) for p, numbers in residues.items()})
        if self.path is not None:
            body = {name: {str(p): row for p, row in rows.items()} for name, rows in self._residues.items()}
            data = {"format": FORMAT, "problem": self._key, "residues": body, "checksum": digest(body)}
            write_atomically(self.path, json.dumps(data))

    def _read(self, content: str) -> dict[str, Residues]:
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
        if not all(isinstance(rows, dict) for rows in body.values()):
            self._refuse("is damaged: its residues are no table of integers")
        return {
            name: {self._prime(p): self._row(row, int(p)) for p, row in rows.items()} for name, rows in body.items()
        }

    def _prime(self, text: str) -> int:
        """A prime that the lattice may have used."""
        if not _PRIME.fullmatch(text) or not is_prime_in_use(int(text), PRIME_LIMIT):
            self._refuse("is damaged: a number in it is not one of the primes that the lattice uses")
        return int(text)

    def _row(self, row: object, p: int) -> list[int]:
        """Residues modulo a prime."""
        if not isinstance(row, list) or not all(type(x) is int and 0 <= x < p for x in row):
            self._refuse(f"is damaged: its residues modulo {p} are not integers from 0 to {p - 1}")
        return row

    def _refuse(self, reason: str) -> NoReturn:
        raise InputError("checkpoint", self.path, "delete the file, or give the path of another", fault=reason)
