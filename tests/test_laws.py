"""Laws as statements: what they say of themselves to problems, files and errors, and a law that nobody has heard of."""

from __future__ import annotations

import json
import pickle
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
    assert repr(ours).startswith('Problem([[[1, "1/2"], [0, 1]], [[1, -1]]], Listed(')


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
    with pytest.raises(
        ProblemFileError,
        match='law.kind=listed is not accepted: write "gaussian" or "dataset" or "finite" or "independent" or "scale_mixture"',
    ):
        lv.load_problem(tmp_path / f"problem{suffix}")
    monkeypatch.setitem(LAWS, "listed", Listed)
    assert lv.load_problem(tmp_path / f"problem{suffix}") == problem
    data = json.loads(problem.to_json())
    assert data == problem.to_dict() and problem_from_dict(data) == problem
    with pytest.raises(ProblemFileError, match="^law.rows have 3 numbers: give 2$"):
        problem_from_dict({**data, "weights": [[[1]]]})
    with pytest.raises(ProblemFileError, match="did you mean rows"):
        problem_from_dict({**data, "law": {"kind": "listed", "row": []}})


FILED = [
    lv.Finite([[1, 2], [0, "1/2"]], [[1], [3]], ["1/3", "2/3"]),
    lv.Independent(
        [lv.Uniform(0, "1/2"), lv.Normal(1, "1/4"), lv.Rademacher(), [0, 1, 0, "3/2", 0, 4, 0, 16]],
        lambda z: ([z[0] * z[1] - "1/2", 2 * z[2]], z[3] ** 2 + 1),
    ),
    lv.ScaleMixture(lv.Gaussian([[1, 2]], mean=[0, "1/3"]), degrees_of_freedom=9),
    lv.ScaleMixture(lv.Gaussian([[1, 2]]), scales=[1, "5/2"], probabilities=["9/10", "1/10"]),
]


@pytest.mark.parametrize("suffix", [".json", ".toml"])
@pytest.mark.parametrize("law", FILED, ids=lambda law: law.kind)
def test_the_further_laws_are_saved_and_loaded(law: Law, suffix: str, tmp_path: Path) -> None:
    problem = lv.Problem([[[1, "1/2"]]], law, "1/10", 1)
    problem.save(tmp_path / f"problem{suffix}")
    again = lv.load_problem(tmp_path / f"problem{suffix}")
    assert again == problem and hash(again) == hash(problem) and repr(again) == repr(problem)
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert lv.gradient_variance(again.replace(step=0)) == lv.gradient_variance(problem.replace(step=0))


def in_file(statement: Law, changes: dict[str, Any]) -> dict[str, Any]:
    """A problem file with some keys of its law changed; left out where None."""
    data = lv.Problem([[[1, "1/2"]]], statement, "1/10").to_dict()
    kept = {key: value for key, value in {**data["law"], **changes}.items() if value is not None}  # type: ignore[dict-item]
    return {**data, "law": kept}


@pytest.mark.parametrize(
    ("law", "changes", "message"),
    [
        (0, {"probabilities": ["1/3", "1/3"]}, "law.probabilities add up to 2/3, not to 1: divide them by 2/3"),
        (0, {"probabilities": [0, 1]}, r"law.probabilities\[0\]=0 is not positive"),
        (0, {"probabilities": [1]}, "law.probabilities has 1 entries and inputs has 2"),
        (0, {"probabilities": None}, "law.probabilities is missing"),
        (0, {"size": 3}, "law.size=3 is an unknown key"),
        (1, {"coordinates": []}, "law.coordinates=\\[\\] is empty"),
        (1, {"coordinates": [{"kind": "cauchy"}]}, r"law.coordinates\[0\].kind is cauchy: write"),
        (1, {"coordinates": [{"kind": "normal", "sigma": 1}]}, r"law.coordinates\[0\].sigma=1 is an unknown key"),
        (1, {"coordinates": [{"kind": "uniform", "low": 1, "high": 1}]}, "high=1 is not above low=1"),
        (1, {"coordinates": [3]}, r"law.coordinates\[0\] is no object with a kind"),
        (1, {"inputs": [[["1/2", [9]]]]}, r"law.inputs\[0\]\[0\]\[1\]\[0\] is 9: write a coordinate, 0 to 3"),
        (1, {"inputs": [["1/2"]]}, r"law.inputs\[0\]\[0\]=1/2 is not accepted|law.inputs\[0\]\[0\]"),
        (1, {"targets": [[[0.5, [0]]]]}, r"law.targets\[0\]\[0\]\[0\]=0.5"),
        (2, {"degrees_of_freedom": None}, "got no scale: give degrees_of_freedom="),
        (2, {"degrees_of_freedom": "1/2"}, "degrees_of_freedom=1/2"),
        (2, {"degrees_of_freedom": 0}, "degrees_of_freedom=0 is not positive"),
        (2, {"law": {"kind": "dataset"}}, "law.law is no Gaussian law"),
        (3, {"degrees_of_freedom": 9}, "got degrees_of_freedom and scales and probabilities"),
        (3, {"scales": [1, -1]}, r"scales\[1\]=-1 is not positive"),
        (3, {"probabilities": None}, "got scales"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(law: int, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemFileError, match=message):
        problem_from_dict(in_file(FILED[law], changes))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lv.Independent([lv.Normal()], lambda z: (z, 0.1 * z[0])), "example=0.1 is of type float"),
        (lambda: lv.Independent([lv.Normal()], lambda z: z), r"example does not give a pair \(x, y\)"),
        (lambda: lv.Independent([lv.Normal()], lambda z: (z[:0], z)), "example gives an empty x"),
        (lambda: lv.Independent([lv.Normal()], lambda z: (z, z[3])), r"cannot be traced \(IndexError"),
        (lambda: lv.Independent([lv.Normal()], lambda z: (z, 1 / z[0])), "cannot be traced|is no number"),
        (lambda: lv.Independent([lv.Normal()], lambda z: (z, z[0] ** -1)), "example=-1 is no such power"),
        (lambda: lv.Independent([lv.Normal()], 3), "example=3 is of type int"),
        (lambda: lv.Independent([], lambda z: (z, z)), "coordinates is empty"),
        (lambda: lv.Independent([7], lambda z: (z, z)), r"coordinates\[0\]=7"),
        (lambda: lv.Independent([[1]], lambda z: (z, z)), "moments has 1 entries"),
        (lambda: lv.Independent([[2, 1]], lambda z: (z, z)), r"moments\[1\]=1 is below the square"),
        (lambda: lv.Normal(0, -1), "variance=-1 is negative"),
        (lambda: lv.Uniform(0.5, 1), "low=0.5"),
        (lambda: lv.Finite([[1]], [1, 2], [1]), "inputs has 1 rows and targets has 2"),
        (lambda: lv.ScaleMixture(DATA, degrees_of_freedom=3), "law=Dataset.* give linvar.Gaussian"),
        (lambda: lv.ScaleMixture(lv.Gaussian([[1]]), degrees_of_freedom=2.5), "degrees_of_freedom=2.5"),
    ],
)
def test_what_is_wrong_is_named(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_every_law_of_a_file_says_its_kind_and_its_keys() -> None:
    laws = [DATA, lv.Gaussian([[1, 2]], [[2, 1], [1, 3]], [0, 1], "1/2"), *FILED]
    assert {law.kind for law in laws} == set(LAWS)
    for law in laws:
        assert {*law.to_dict()} <= {"kind", *law.keys} and LAWS[law.kind] is type(law)
        assert [*law.to_dict()][0] == "kind"
    assert [*laws[1].to_dict()] == ["kind", *laws[1].keys]


def test_a_law_without_examples_has_no_power_sums() -> None:
    with pytest.raises(InputError, match="has no examples to sum over: give linvar.Dataset"):
        exact_law(lv.Gaussian([[1]])).power_sums([], 1, Ring(0))


# the teacher 0, whose shape is that of the weights


@pytest.mark.parametrize("zero", [0, "0", Rational(0)])
@pytest.mark.parametrize("further", [{}, {"noise_variance": "1/4"}, {"covariance": [[2, 1], [1, 1]]}, {"mean": [1, 0]}])
def test_a_teacher_of_0_takes_the_shape_of_the_weights(zero: Any, further: dict[str, Any]) -> None:
    weights = [[[1, 2]], [[1], [3], [0]]]
    ours, written = lv.Gaussian(zero, **further), lv.Gaussian([[0, 0]] * 3, **further)
    problem = lv.Problem(weights, ours, "1/10", 1)
    assert problem == lv.Problem(weights, written, "1/10", 1) and problem.law == written
    assert lv.gradient_variance(problem) == lv.gradient_variance(problem.replace(law=written)) != 0
    assert ours == lv.Gaussian(teacher=0, **further) and hash(ours) == hash(lv.Gaussian(0, **further))
    assert ours != written and eval(repr(ours), {"Gaussian": lv.Gaussian}) == ours == pickle.loads(pickle.dumps(ours))
    stated = json.loads(json.dumps(ours.to_dict()))
    assert LAWS["gaussian"].from_dict(stated, lambda keys: written) == ours
    assert problem_from_dict({"weights": [[[1, 2]], [[1], [3], [0]]], "law": stated}).law == written
    assert problem_from_dict(problem.to_dict()) == problem
    assert lv.Problem([[["1/2", 1]]], ours).law.teacher == ((0, 0),)


def test_a_teacher_of_0_at_a_random_scale() -> None:
    weights = [[[1, 2]]]
    ours = lv.ScaleMixture(lv.Gaussian(0), degrees_of_freedom=9)
    assert lv.Problem(weights, ours).law == lv.ScaleMixture(lv.Gaussian([[0, 0]]), degrees_of_freedom=9)
    two = {"scales": [1, 3], "probabilities": ["1/2", "1/2"]}
    assert lv.Problem(weights, lv.ScaleMixture(lv.Gaussian(0), **two)).law.law.teacher == ((0, 0),)
    assert lv.Problem.from_arrays([[[0.5, 1.0]]], teacher=0).law == lv.Gaussian([[0, 0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lv.Gaussian(0).input_width, "^teacher=0 has no shape yet: write it as a matrix of zeros, d_L rows of"),
        (lambda: lv.testing.check_law(lv.Gaussian(0)), "^teacher=0 has no shape yet"),
        (lambda: exact_law(lv.Gaussian(0)).input_map, "^teacher=0 has no shape yet"),
        (lambda: lv.Problem({"w": [1, 2]}, lv.Gaussian(0), loss=lv.families.quartic),
         "^teacher=0 has no shape yet: weights of a loss do not tell it: write it as a matrix of zeros"),
        (lambda: lv.Problem([[[1, 2]]], lv.Gaussian(0, mean=[1, 2, 3])), "law has covariance and mean of 3 inputs, but"),
        (lambda: lv.Gaussian(0, [[1, 0], [0, 1]], mean=[1]), r"mean has length 1, but covariance has 2 columns"),
        (lambda: lv.Gaussian(0, [[1, 0]]), r"covariance has shape \(1, 2\), but it is square: give"),
        (lambda: lv.Gaussian(0, [[1, 2], [2, 1]]), "not positive semi-definite"),
        (lambda: lv.Gaussian(0.0), "teacher=0.0 is of type float, not an exact number"),
        (lambda: lv.Gaussian(False), "teacher=False"),
        (lambda: lv.Gaussian(2), "teacher=2 is of type int: give a list"),
        (lambda: problem_from_dict({"weights": [[[1]]], "law": {"kind": "gaussian", "teacher": False}}), "law.teacher=false"),
    ],
)  # fmt: skip
def test_a_law_without_a_shape_says_so(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
