"""Laws as statements: what they say of themselves to problems, files and errors, and a law that nobody has heard of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import linvar as lv
from linvar.errors import InputError, Words
from linvar.exact import Matrix, Rational
from linvar.laws.law import Law, ReadTable
from linvar.laws.registry import LAWS
from linvar.plain_data import Plain, ProblemFileError, built, check_keys, read_matrix
from linvar.problem_file import problem_from_dict
from linvar.symbolic.algebra.ring import Ring
from linvar.symbolic.laws.dataset import ExactDataset
from linvar.symbolic.laws.registry import exact_law

ROWS = [[1, 2, "1/2"], [0, 1, -1], [1, 1, 3]]


@dataclass(frozen=True)
class Listed(Law):
    """Rows (x, y) in one list, y the last number: a law of a user, from the members of ``Law`` alone."""

    rows: Matrix

    kind = "listed"
    keys = ("rows",)

    @property
    def data(self) -> lv.Dataset:
        return lv.Dataset([row[:-1] for row in self.rows], [row[-1:] for row in self.rows])

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def input_width(self) -> int:
        return len(self.rows[0]) - 1

    @property
    def target_width(self) -> int:
        return 1

    def misfit(self, inputs: int, outputs: int) -> InputError:
        return InputError("rows", Words(f"have {len(self.rows[0])} numbers"), f"give {inputs + outputs}")

    def to_dict(self) -> dict[str, Plain]:
        return {"kind": "listed", "rows": [[str(entry) for entry in row] for row in self.rows]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        check_keys(data, "law.", ("kind", "rows"), ("rows",))
        rows = read_matrix(data["rows"], "law.rows")
        return built(lambda: cls(rows), "law.", cls.keys)


LISTED = Listed(tuple(tuple(Rational(entry) for entry in row) for row in ROWS))
DATA = lv.Dataset([row[:2] for row in ROWS], [row[2] for row in ROWS])
exact_law.register(Listed, lambda law: ExactDataset(law.data))  # its twin is that of another law


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_law_of_a_user_derives_as_the_same_data_do(sampling: str, step: int) -> None:
    weights = [[[1, "1/2"], [0, 1]], [[1, -1]]]
    ours, theirs = (lv.Problem(weights, law, "1/3", step, sampling) for law in (LISTED, DATA))
    assert ours.dataset_size == 3 and ours.degree_bound == theirs.degree_bound
    assert lv.gradient_variance(ours) == lv.gradient_variance(theirs) != 0
    assert repr(ours).startswith("Problem(widths 2-2-1, Listed(")


def test_what_does_not_fit_is_said_by_the_law() -> None:
    with pytest.raises(InputError, match="^rows have 3 numbers: give 5$"):
        lv.Problem([[[1, 1, 1], [1, 1, 1]]], LISTED)
    with pytest.raises(InputError, match="^the data set has 2 inputs and 1 targets, but the network maps 3 inputs"):
        lv.Problem([[[1, 1, 1], [1, 1, 1]]], DATA)
    with pytest.raises(InputError, match=r"^teacher has shape \(1, 2\), .*: give a teacher of shape \(2, 3\)$"):
        lv.Problem([[[1, 1, 1], [1, 1, 1]]], lv.Gaussian([[1, 2]]))


@pytest.mark.parametrize("wrong", [lv.Gaussian, lv.Dataset, Listed, "gaussian", None, {"kind": "gaussian"}])
def test_what_is_no_law_is_refused(wrong: Any) -> None:
    """A class is none: only its objects are."""
    with pytest.raises(
        TypeError, match=r"^law=.* is of type .*: give a law, like linvar.Gaussian\(...\) or linvar.Dataset\(...\)$"
    ):
        lv.Problem([[[1, 2]]], wrong)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_kind_of_law_that_is_registered_is_saved_and_loaded(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = lv.Problem([[[1, 2]]], LISTED, "1/10", 1)
    problem.save(tmp_path / f"problem{suffix}")
    with pytest.raises(ProblemFileError, match='law.kind=listed is not accepted: write "gaussian" or "dataset"'):
        lv.load_problem(tmp_path / f"problem{suffix}")
    monkeypatch.setitem(LAWS, "listed", Listed)
    assert lv.load_problem(tmp_path / f"problem{suffix}") == problem
    data = json.loads(problem.to_json())
    assert data == problem.to_dict() and problem_from_dict(data) == problem
    with pytest.raises(ProblemFileError, match="^law.rows have 3 numbers: give 2$"):
        problem_from_dict({**data, "weights": [[[1]]]})
    with pytest.raises(ProblemFileError, match="did you mean rows"):
        problem_from_dict({**data, "law": {"kind": "listed", "row": []}})


def test_every_law_of_a_file_says_its_kind_and_its_keys() -> None:
    laws = [DATA, lv.Gaussian([[1, 2]], [[2, 1], [1, 3]], [0, 1], "1/2")]
    assert [law.kind for law in laws] == ["dataset", "gaussian"] and {law.kind for law in laws} == set(LAWS)
    for law in laws:
        assert [*law.to_dict()] == ["kind", *law.keys] and LAWS[law.kind] is type(law)


def test_a_law_without_examples_has_no_power_sums() -> None:
    with pytest.raises(InputError, match="has no examples to sum over: give linvar.Dataset"):
        exact_law(lv.Gaussian([[1]])).power_sums([], 1, Ring(0))
