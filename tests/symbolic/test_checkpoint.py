"""Checkpoints of the lattice: what is no checkpoint, or belongs to no lattice, is refused; nothing waits for a pipe."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.symbolic.quantities import SecondMoment
from linvar.symbolic.roads.lattice.checkpoint import Checkpoint, digest
from linvar.symbolic.roads.lattice.integrator import _Grid
from linvar.symbolic.roads.lattice.modular import PRIME_LIMIT
from linvar.symbolic.roads.lattice.reconstruction import CHECKS, LEAST_PRIME, is_prime_in_use, primes_below
from linvar.symbolic.sgd.questions import DoubledLoss, Entries, Means, Norms, Products, Question

DEEP = lv.Problem([[["3/2"]], [["-2/3"]]], lv.Gaussian([["1/2"]], noise_variance="1/3"), "1/5", 1)
FLAT = DEEP.replace(weights=[[["3/2"]]])
QUANTITIES = (
    lv.gradient_variance,
    lv.second_moment,
    lv.squared_mean,
    lv.expected_loss,
    lv.expected_weights,
    lv.weight_covariance,
)
FIRST = next(primes_below(PRIME_LIMIT))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A whole checkpoint."""
    path = tmp_path_factory.mktemp("finished") / "residues.json"
    assert lv.expected_loss(DEEP, lv.Lattice(checkpoint=path)) == lv.expected_loss(DEEP)
    return json.loads(path.read_text())


def spoilt(data: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> str:
    """The checkpoint with other rows (prime -> residues) of its one question, and a checksum that fits."""
    body = json.loads(json.dumps(data["residues"]))
    change(next(iter(body.values())))
    return json.dumps({**data, "residues": body, "checksum": digest(body)})


def renamed(prime: str) -> Callable[[dict[str, Any]], None]:
    """The first prime under another name."""

    def change(rows: dict[str, Any]) -> None:
        rows[prime] = rows.pop(next(iter(rows)))

    return change


def replaced(value: Any) -> Callable[[dict[str, Any]], None]:
    """The first residue of the first prime is something else."""

    def change(rows: dict[str, Any]) -> None:
        next(iter(rows.values()))[0] = value

    return change


def emptied(rows: dict[str, Any]) -> None:
    """One residue fewer."""
    next(iter(rows.values())).pop()


def tabled(rows: dict[str, Any]) -> None:
    """A table in place of a row."""
    rows[next(iter(rows))] = {"0": 1}


NO_PRIME = "is not one of the primes that the lattice uses"
NO_RESIDUE = "are not integers from 0 to"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed("10"), NO_PRIME),
        (renamed("7"), NO_PRIME),  # a prime, but one that would confirm a wrong answer once in seven times
        (renamed(str(FIRST - 1)), NO_PRIME),
        (renamed(str(2**61 - 1)), NO_PRIME),
        (renamed(f"+{FIRST}"), NO_PRIME),
        (renamed("p"), NO_PRIME),
        (replaced(2.5), NO_RESIDUE),
        (replaced(2.0), NO_RESIDUE),
        (replaced("7"), NO_RESIDUE),
        (replaced(True), NO_RESIDUE),
        (replaced(None), NO_RESIDUE),
        (replaced(-1), NO_RESIDUE),
        (replaced(FIRST), NO_RESIDUE),
        (replaced(10**30), NO_RESIDUE),
        (tabled, NO_RESIDUE),
        (emptied, "the wrong number of coefficients"),
    ],
)
def test_a_checksum_that_fits_is_not_enough(
    finished: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "residues.json"
    path.write_text(spoilt(finished, change))
    with pytest.raises(InputError, match=f"checkpoint=.*{message}.*: delete the file, or give the path of another"):
        lv.expected_loss(DEEP, lv.Lattice(checkpoint=path))
    path.write_text(spoilt(finished, lambda rows: None))
    assert lv.expected_loss(DEEP, lv.Lattice(checkpoint=path)) == lv.expected_loss(DEEP)


@pytest.mark.parametrize("content", ["[]", '"text"', "{", "1" * 5000, "[" * 10**5, '{"format": 3}', ""])
def test_a_foreign_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.json"
    path.write_text(content)
    with pytest.raises(InputError, match="foreign.json"):
        lv.expected_loss(DEEP, lv.Lattice(checkpoint=path))
    assert path.read_text() == content


def test_a_prime_that_divides_a_denominator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "residues.json"
    Checkpoint(path, "problem").add("question", {FIRST: [1, 2]})
    read = Checkpoint(path, "problem")
    assert read.of("question", 2, [3]) == {FIRST: [1, 2]} and read.of("another", 5) == {}
    with pytest.raises(InputError, match=f"its prime {FIRST} divides a denominator of the problem"):
        read.of("question", 2, [3, 2 * FIRST])


def test_the_primes_of_the_lattice() -> None:
    assert is_prime_in_use(FIRST, PRIME_LIMIT) and not is_prime_in_use(FIRST, FIRST)
    assert not is_prime_in_use(FIRST - 1, PRIME_LIMIT) and not is_prime_in_use(65537, PRIME_LIMIT)
    small = 2**25 + 100
    assert all(LEAST_PRIME < p < small for p in primes_below(small))


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("problem", [DEEP, FLAT], ids=["expansion", "regression"])
def test_a_checkpoint_that_no_road_keeps_is_refused(quantity: Any, problem: lv.Problem, tmp_path: Path) -> None:
    """Only the lattice has one; no other road takes it, and where the lattice does not apply, nothing is written."""
    path = tmp_path / "residues.json"
    with pytest.raises(InputTypeError, match=r"checkpoint=.*: give road=linvar.Lattice\(checkpoint=...\)"):
        quantity(problem, checkpoint=path)
    for road in (lv.Expansion, lv.Regression):
        with pytest.raises(TypeError, match="checkpoint=.* is no argument of .*: "):
            road(checkpoint=path)
    if problem is FLAT:
        with pytest.raises(InputError, match=r"road=Lattice\(.*does not apply: one layer has a road of its own"):
            quantity(problem, lv.Lattice(checkpoint=path))
    assert not list(tmp_path.iterdir())


def test_a_path_that_is_none_is_refused_with_the_road() -> None:
    with pytest.raises(InputTypeError, match="checkpoint=5 is of type int: give the path of a file"):
        lv.Lattice(checkpoint=5)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(InputError, match="has a null byte in its name"):
        lv.Lattice(checkpoint="a\0b")


#: What is asked, and the string under which its residues are kept: part of the file's format, never to change.
KEYS: dict[Question, str] = {
    Norms(): "norms of the gradient",
    Norms("update"): "norms of the update",
    Norms(per_leaf=True): "norms of the gradient, per leaf",
    Norms("update", per_leaf=True): "norms of the update, per leaf",
    Means(): "means of the gradient",
    Means("update"): "means of the update",
    DoubledLoss(): "doubled loss",
    Entries(): "weights",
    Products(): "products of weights",
}


def test_the_keys_of_questions() -> None:
    """Distinct, and what they were when the oldest file was written."""
    assert [question.key() for question in KEYS] == list(KEYS.values())
    assert len(set(KEYS.values())) == len(KEYS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], lv.Derivation]:
    """A checkpoint of all that a derivation is asked, and what it answered."""
    path = tmp_path_factory.mktemp("whole") / "residues.json"
    exact = lv.derive(DEEP, lv.Lattice(checkpoint=path))
    layers = exact.per_leaf
    assert exact.variance and exact.update_variance and layers.variance and layers.update_variance and exact.loss
    assert exact.weights and exact.weight_covariance
    return json.loads(path.read_text()), exact


def test_residues_are_kept_under_the_keys(whole: tuple[dict[str, Any], lv.Derivation]) -> None:
    """One file for all that one problem is asked."""
    data, _ = whole
    assert set(data["residues"]) == set(KEYS.values())
    assert data["checksum"] == digest(data["residues"])


@pytest.mark.parametrize("key", ["doubled loss", "weights", "norms of the update"])
def test_it_goes_on_from_what_is_under_the_key(
    key: str, whole: tuple[dict[str, Any], lv.Derivation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the primes that are there none is run again; the rows of another question are not taken for its own."""
    data, exact = whole
    asked: list[int] = []
    right = _Grid.residues

    def residues(self: Any, primes: Any, advance: Any) -> Any:
        asked.extend(primes)
        return right(self, primes, advance)

    monkeypatch.setattr(_Grid, "residues", residues)
    ask = {
        "doubled loss": lambda one: one.loss,
        "weights": lambda one: one.weights,
        "norms of the update": lambda one: one.all(SecondMoment("update")),
    }[key]
    path, rows = tmp_path / "residues.json", data["residues"][key]

    def found(residues: dict[str, Any]) -> set[int]:
        """The primes that are run with these residues kept; the answer is right."""
        path.write_text(json.dumps({**data, "residues": residues, "checksum": digest(residues)}))
        asked.clear()
        assert ask(lv.derive(DEEP, lv.Lattice(checkpoint=path))) == ask(exact)
        return set(asked)

    primes = list(rows)
    assert found({key: rows}) == set()
    assert found({}) == set(map(int, primes))
    assert CHECKS > 2 < len(primes)
    rest = found({key: {p: rows[p] for p in primes[:2]}})
    assert rest and not rest & set(map(int, primes[:2]))
    others = {name: kept for name, kept in data["residues"].items() if name != key}
    assert found(others) == set(map(int, primes))


def test_a_pipe_a_directory_and_a_missing_folder_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is a pipe, a socket or a device"):
        lv.expected_loss(DEEP, lv.Lattice(checkpoint=pipe))
    with pytest.raises(OSError, match="it is a directory"):
        lv.expected_loss(DEEP, lv.Lattice(checkpoint=tmp_path))
    with pytest.raises(OSError, match="there is no directory"):
        lv.expected_loss(DEEP, lv.Lattice(checkpoint=tmp_path / "no" / "c"))
