"""Which batch size has the lowest expected loss, after the same steps and of the same examples: exact, and checked first."""

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest
import sympy

import linvar as lv
from linvar.errors import InputTypeError
from linvar.symbolic.compare import compare_batch_sizes
from linvar.symbolic.sgd.questions import DoubledLoss
from linvar.symbolic.sgd.road import cost_at_one_size, integrator_at_one_size
from linvar.symbolic.sgd.steps import Steps

#: to first order and exactly, a smaller batch lowers the loss of the first; never that of the others
FAR = lv.Problem([[[1, 0]], [[1]]], lv.Gaussian([[17, 0]]), "1/20", 1)
NOISY = lv.Problem([[[1, 2]]], lv.Gaussian([[3, 1]], noise_variance=1), "1/10", 4)
ROWS = lv.Dataset([[1, 2], [0, 1], [3, -1], [1, 1], [2, 0]], [1, 0, 2, -1, 1])
PROBLEMS = {
    "one layer": NOISY,
    "rows": NOISY.replace(law=ROWS),
    "subsets": NOISY.replace(law=ROWS, sampling="without_replacement", momentum="1/2"),
    "decay, two outputs": lv.Problem([[[1, 0], [2, 1]]], lv.Gaussian([[3, 1], [0, 1]]), "1/9", 2, weight_decay="1/5"),
    "biases": lv.Problem([([[1, 2]], [1])], ROWS, "1/10", 2, bias=True),
    "two layers": FAR,
}


def brute_force(polynomial: lv.BatchPolynomial, most: int) -> int:
    """The smallest b <= most with the lowest value."""
    return min(range(1, most + 1), key=lambda b: (polynomial(b), b))


@pytest.mark.parametrize("name", PROBLEMS)
def test_losses_are_those_of_the_polynomials(name: str) -> None:
    problem = PROBLEMS[name]
    examples = 2 if problem.degree > 2 else 8
    found = lv.compare_batch_sizes(problem, examples=examples)
    assert found.loss == lv.expected_loss(problem)
    equal = found.equal_examples
    assert equal is not None and all(b * t == examples for b, t in zip(equal.batch_sizes, equal.steps))
    largest = problem.largest_batch_size or examples
    assert equal.batch_sizes == tuple(b for b in range(1, largest + 1) if examples % b == 0)
    for b, t, loss, same in zip(equal.batch_sizes, equal.steps, equal.losses, found.equal_steps.losses):
        assert loss == lv.expected_loss(problem.at_step(t))(b)
        assert same == found.loss(b)
    for one in (equal, found.equal_steps):
        assert one.losses[one.batch_sizes.index(one.lowest)] == min(one.losses)
        assert one.smaller_batches_help == (min(one.losses) < one.losses[-1])


def test_a_smaller_batch_may_help_after_the_same_steps() -> None:
    found = compare_batch_sizes(FAR, [2, 4, 6, 64])
    assert found.best_batch_size == 6 == found.equal_steps.lowest == brute_force(found.loss, 300)
    assert found.equal_steps.smaller_batches_help and found.equal_examples is None
    # never with one layer: the loss comes down to its limit
    never = compare_batch_sizes(NOISY)
    assert never.best_batch_size is None and not never.equal_steps.smaller_batches_help
    assert never.equal_steps.batch_sizes == (1, 2, 4, 8, 16, 32, 64)


def test_of_the_same_examples_either_may_be_lower() -> None:
    """Few examples: the smaller batch makes more steps. Many: it is its noise that is left."""
    few, many = (compare_batch_sizes(NOISY, [1, 16], examples=N).equal_examples for N in (16, 400))
    assert few is not None and many is not None
    assert few.lowest == 1 and few.smaller_batches_help
    assert many.steps == (400, 25) and many.lowest == 16 and not many.smaller_batches_help


COEFFICIENTS = [
    [0],
    [3],
    [0, 1],
    [0, -1],
    [1, -7, 20],
    [0, 1, -2],
    [5, "-3/2", "1/2", 7],
    [1, -5, 6],
    [0, -3, 2],
    [1, -12, 47, -60],
    [2, -200, 7000],
    [2, "-200000/3", "10000000000/9"],
]


@pytest.mark.parametrize("coefficients", COEFFICIENTS)
def test_the_lowest_value_is_that_of_brute_force(coefficients: list[object]) -> None:
    whole = lv.BatchPolynomial(coefficients)
    found, most = whole.lowest_at(), 400
    if found is None:
        assert all(whole(b) > whole.coefficients[0] for b in range(1, most))
        assert whole(most) > whole(10 * most)
    elif found < most:
        assert found == brute_force(whole, most)
    else:
        assert all(whole(found) < whole(b) for b in (1, 2, found - 1, found + 1, 10 * found))
    for n in (1, 2, 5, 13):
        few = lv.BatchPolynomial(coefficients, sampling="without_replacement", dataset_size=n)
        assert few.lowest_at() == brute_force(few, n)


def test_equal_values_count_as_the_smaller_batch() -> None:
    assert lv.BatchPolynomial([0, -5, 6]).lowest_at() == 2  # -5/b + 6/b^2 is -1 at b = 2 and at b = 3
    # -2/b + 1/b^2 is -1 at b = 1 only; 1 - 2/b + 1/b^2 is 0 there, and comes down from 1 nowhere
    assert lv.BatchPolynomial([1, -2, 1]).lowest_at() == 1
    with pytest.raises(lv.InputError, match="symbols"):
        (lv.BatchPolynomial([0, 1]) * sympy.Symbol("w")).lowest_at()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": 0}, "examples=0: give the number of examples, an integer >= 1"),
        ({"examples": 2.0}, "examples=2.0 is of type float"),
        ({"examples": 10**10}, "more than 1,000,000,000: give batch_sizes too"),
        ({"batch_sizes": [1, 3], "examples": 8}, r"batch_sizes\[1\]=3 makes no whole number of steps of examples=8"),
        ({"batch_sizes": [1, 0]}, r"batch_sizes\[1\]=0 is out of range: give integers >= 1"),
        ({"batch_sizes": [True]}, r"batch_sizes\[0\]=True is a truth value"),
        ({"batch_sizes": []}, "batch_sizes is empty"),
        ({"batch_sizes": 4}, "batch_sizes=4"),
        ({"steps": 3}, "steps=3 is no argument of compare_batch_sizes"),
    ],
)
def test_what_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(lv.InputError, match=message):
        lv.compare_batch_sizes(NOISY, **change)


def test_problems_that_are_refused() -> None:
    with pytest.raises(lv.InputError, match="problem=3 is of type int"):
        lv.compare_batch_sizes(3)  # type: ignore[arg-type]
    with pytest.raises(lv.InputError, match="problem has the symbols a: give numbers"):
        lv.compare_batch_sizes(NOISY.replace(learning_rate=sympy.Symbol("a")))
    schedule = NOISY.replace(learning_rate=["1/2", "1/3", "1/4", "1/5"])
    assert lv.compare_batch_sizes(schedule, [2, 4], examples=8).equal_examples is not None
    with pytest.raises(
        lv.InputError, match="examples=8 makes 8 steps at b = 1, beyond the schedule of 4 learning rates"
    ):
        lv.compare_batch_sizes(schedule, examples=8)
    subsets = PROBLEMS["subsets"]
    with pytest.raises(lv.InputError, match="without replacement give integers from 1 to 5"):
        lv.compare_batch_sizes(subsets, [6])
    assert lv.compare_batch_sizes(subsets).equal_steps.batch_sizes == (1, 2, 4)


def test_what_does_not_fit_is_said_before_it_starts() -> None:
    with pytest.raises(
        lv.DerivationTooLargeError,
        match=r"b = 4 makes 4 steps: .* use batch sizes from 8 on \(batch_sizes=\[8, 16\]\) or fewer examples",
    ):
        lv.compare_batch_sizes(FAR, examples=16)
    with pytest.raises(
        lv.DerivationTooLargeError, match=r"makes .* steps, about .* in all: use batch sizes from 1,250 on"
    ):
        lv.compare_batch_sizes(NOISY, examples=10**6, memory_limit=10**5)
    with pytest.raises(lv.DerivationTooLargeError, match="step=9"):
        lv.compare_batch_sizes(FAR.at_step(9), [2, 4], examples=4)


def test_steps_beyond_all_use_are_refused_in_few_words() -> None:
    with pytest.raises(
        lv.DerivationTooLargeError, match=r"b = 1 makes 10,000,.* steps, about .* use fewer examples"
    ) as refused:
        compare_batch_sizes(NOISY, [1], examples=10**400)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("name", ["one layer", "subsets", "biases"])
def test_a_road_by_numbers_gives_values_and_says_what_they_cost(name: str) -> None:
    steps = Steps(PROBLEMS[name])
    at = integrator_at_one_size(lv.Regression(), steps, 3)
    (doubled,) = at.expectations(DoubledLoss(), lambda *_: None)
    assert lv.BatchPolynomial([doubled], ring=at.answers) == 2 * lv.expected_loss(PROBLEMS[name])(3)
    many = Steps(PROBLEMS[name].at_step(200))
    one, whole = cost_at_one_size(lv.Regression(), many), lv.Regression().cost(many)
    assert one.is_open and one.seconds > 0 and 100 * one.bytes < whole.bytes


def test_other_roads_have_no_numbers() -> None:
    for road in (lv.Expansion(), lv.Traces(), lv.Lattice(), lv.Regression):  # the last one is no road
        assert cost_at_one_size(road, Steps(NOISY)).obstacle is not None
    assert (
        cost_at_one_size(lv.Regression(), Steps(FAR)).obstacle == lv.Regression().cost(Steps(FAR)).obstacle is not None
    )
    with pytest.raises(lv.InputError, match="does not apply"):
        compare_batch_sizes(FAR, [1], examples=1, road=lv.Regression())
    with pytest.raises(InputTypeError, match="road=<class"):
        compare_batch_sizes(NOISY, [1], examples=1, road=lv.Regression)  # type: ignore[arg-type]


def test_no_examples_no_data() -> None:
    """n = 1, b = 1 and t = 0 are what is left."""
    one = lv.Problem([[[1, 2]]], lv.Dataset([[1, 1]], [0]), "1/4", 0, "without_replacement")
    found = lv.compare_batch_sizes(one, examples=3)
    assert found.equal_steps.losses == (Fraction(9, 2),) and found.best_batch_size == 1
    assert found.equal_examples is not None and found.equal_examples.steps == (3,)
    assert found.equal_examples.losses == (lv.expected_loss(one.at_step(3))(1),)


def test_what_is_the_same_at_every_batch_size_has_no_lowest_one() -> None:
    """No step, no rate, nothing to learn; and steps that leave a loss which differs."""
    perfect = lv.Problem([[[1, 2]]], lv.Gaussian([[1, 2]]), "1/10", 2)
    for still in (NOISY.replace(learning_rate=0), perfect):
        found = compare_batch_sizes(still, [1, 4], examples=4)
        assert found.sentences == (f"after t = {still.step} steps it is the same at every b",
                                   "after 4 examples it is the same at those compared")  # fmt: skip
        assert not found.equal_steps.smaller_batches_help
    found = compare_batch_sizes(NOISY.at_step(0), [1, 4], examples=4)
    assert found.sentences == (
        "after t = 0 steps it is the same at every b",
        "after 4 examples b = 1 is lowest of those compared",
    )


def test_how_it_is_shown() -> None:
    found = compare_batch_sizes(FAR, [1, 2], examples=2)
    assert repr(found).startswith("BatchComparison(after t = 1 steps b = 6 is lowest of all b; after 2 examples b = 2")
    table = found.to_table()
    assert [row[0].value for row in table.rows] == [1, 2] and table.rows[1][3].value == found.loss(2)
    assert len(table.notes) == 2 and "<td" in found._repr_html_()
    assert pickle.loads(pickle.dumps(found)) == found
    assert len(compare_batch_sizes(FAR, [1, 2]).to_table().columns) == 2
