"""Derivations: everything asked once and kept, several steps in one sweep, and roads of one's own."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import pytest
import sympy
from flint import fmpq
from roads import Watched, WholeExpansion, asked

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.symbolic.algebra.ring import Element
from linvar.symbolic.derivation import derived
from linvar.symbolic.plan import choose
from linvar.symbolic.quantities import Loss, SecondMoment, SquaredMean, Variance, WeightCovariance, Weights
from linvar.symbolic.roads.expansion.integrator import Expanded
from linvar.symbolic.roads.regression.recursion import Recursion
from linvar.symbolic.sgd.questions import DoubledLoss, Entries, Question
from linvar.symbolic.sgd.road import Integrator, Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps

DATA = lv.Dataset([[1], ["1/2"], [-1]], [1, 0, "1/2"])
WIDE = lv.Dataset([[1, 2], [0, 1], [-1, 1]], [[1, 0], [0, "1/2"], [2, 1]])
DEEP = lv.Problem([[[1], ["1/2"]], [["-1/2", 1]]], DATA, "1/5", 1, momentum="1/2", weight_decay="1/7")
SCALARS = ("variance", "update_variance", "second_moment", "squared_mean", "loss")
OF_LEAVES = ("variance", "update_variance", "second_moment", "squared_mean")


def everything(exact: lv.Derivation) -> dict[str, Any]:
    """All that a derivation has, by name; nothing of the update where a schedule has none."""
    none = {"update_variance"} if isinstance(exact.problem.learning_rate, tuple) else set()
    found = {name: getattr(exact, name) for name in SCALARS if name not in none}
    found |= {f"{name} of layers": getattr(exact.per_leaf, name) for name in OF_LEAVES if name not in none}
    return {**found, "weights": exact.weights, "weight_covariance": exact.weight_covariance}


# kept


def test_each_question_is_asked_once() -> None:
    """Of the road; and nothing before the first quantity is asked for."""
    road = Watched()
    exact = lv.derive(DEEP, road)
    assert road.sweeps == [(1,)] and road.asked == []
    first = everything(exact)
    assert Counter(road.asked) == {
        (1, key): 1
        for key in (
            "norms of the gradient", "norms of the gradient, per leaf", "means of the gradient",
            "norms of the update", "norms of the update, per leaf", "means of the update",
            "doubled loss", "weights", "products of weights",
        )
    }  # fmt: skip
    again = everything(exact)
    assert all(again[name] == value for name, value in first.items()) and len(road.asked) == 9
    assert exact.variance is exact.variance and exact.all(Loss())[0] is exact.loss
    assert road.sweeps == [(1,)]


@pytest.mark.parametrize(
    ("ask", "keys"),
    [
        (lv.gradient_variance, ["norms of the gradient", "means of the gradient"]),
        (lv.second_moment, ["norms of the gradient"]),
        (lv.squared_mean, ["means of the gradient"]),
        (lambda *a: lv.gradient_variance(*a, of="update"), ["norms of the update", "means of the update"]),
        (lv.expected_loss, ["doubled loss"]),
        (lv.expected_weights, ["weights"]),
        (lv.weight_covariance, ["weights", "products of weights"]),
    ],
)
def test_the_doors_ask_for_no_more_than_they_need(ask: Any, keys: list[str]) -> None:
    road = Watched()
    found = ask(DEEP, road)
    assert [key for _, key in road.asked] == keys
    assert found == ask(DEEP)


def test_a_derivation_says_what_it_is() -> None:
    exact = lv.derive(DEEP, lv.Expansion())
    assert exact.problem is DEEP and exact.road == lv.Expansion()
    (planned,) = lv.plan(DEEP, lv.Expansion()).roads
    assert exact.plan == planned == lv.plan(DEEP)["expansion"]
    assert repr(exact) == f"Derivation({DEEP!r}, road=Expansion())"
    assert lv.derive(DEEP).road == lv.Expansion() and lv.derive(DEEP.replace(step=0)).plan.road == "expansion"


def test_quantities_are_names_of_what_is_kept() -> None:
    """Frozen and hashable, equal by what they say, in any process."""
    quantities = [
        kind(of, per_leaf) for kind in (Variance, SecondMoment, SquaredMean) for of in ("gradient", "update")
        for per_leaf in (False, True)
    ] + [Loss(), Weights(), WeightCovariance()]  # fmt: skip
    assert len({*quantities}) == len(quantities) == 15
    assert pickle.loads(pickle.dumps(quantities)) == quantities
    assert Variance() == Variance("gradient", per_leaf=False) and Variance() != SecondMoment()
    with pytest.raises(AttributeError):
        Variance().of = "update"  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize("rule", [{}, {"momentum": "1/2", "nesterov": True}, {"weight_decay": "1/3"}])
@pytest.mark.parametrize(
    "weights", [[[[1, 2], [0, "1/3"]]], [[[1, "1/2"]], [["-1/2"], [1]]], [[[1, 0]], [[2]], [[1], [0]]]]
)
def test_layers_add_up(weights: Any, rule: dict[str, Any]) -> None:
    for sampling in ("iid", "without_replacement"):
        exact = lv.derive(lv.Problem(weights, WIDE, "1/5", 1, sampling, **rule))
        for name in OF_LEAVES:
            layers = getattr(exact.per_leaf, name)
            assert len(layers) == len(weights)
            assert sum(layers[1:], layers[0]) == getattr(exact, name) != 0
        for second, squared, variance in zip(
            exact.per_leaf.second_moment, exact.per_leaf.squared_mean, exact.per_leaf.variance, strict=True
        ):
            assert second - squared == variance


@pytest.mark.parametrize("of", ["gradients", "Update", "", 3, None])
def test_what_is_measured_is_the_gradient_or_the_update(of: Any) -> None:
    """Refused before anything is derived, at the doors and by the quantities themselves."""
    road = Watched()
    for quantity in (lv.gradient_variance, lv.second_moment, lv.squared_mean):
        with pytest.raises(InputError, match="of=.*: write 'gradient' or 'update'"):
            quantity(DEEP, road, of=of)
    assert road.sweeps == []
    for kind in (Variance, SecondMoment, SquaredMean):
        with pytest.raises(InputError, match="of=.*: write 'gradient' or 'update'"):
            lv.derive(DEEP, road).one(kind(of))
    assert road.asked == []


def test_the_update_after_a_schedule_has_no_variance() -> None:
    exact = lv.derive(DEEP.replace(learning_rate=["1/5"]))
    for ask in (lambda: exact.update_variance, lambda: exact.per_leaf.update_variance):
        with pytest.raises(
            InputError, match=r"of='update' with a schedule of 1 learning rates.*: give one learning_rate"
        ):
            ask()
    assert exact.variance == lv.gradient_variance(DEEP)


# several steps


SWEEPS: dict[str, tuple[lv.Problem, Road | None]] = {
    "chosen": (DEEP, None),
    "expansion": (DEEP.replace(momentum=0, weight_decay=0, step=2), lv.Expansion()),
    "expansion, schedule and momentum": (DEEP.replace(learning_rate=["1/5", 0, "1/3"], step=3), lv.Expansion()),
    "expansion, without replacement": (
        lv.Problem([[[1]], [["-1/2"]]], DATA, ["1/5", "1/7"], 2, "without_replacement", momentum="1/3", nesterov=True),
        lv.Expansion(),
    ),
    "expansion, three layers": (lv.Problem([[[1]], [[2]], [["1/2"]]], lv.Gaussian([[3]]), "1/5", 1), lv.Expansion()),
    "expansion, symbols": (
        lv.Problem(lv.symbolic_weights([1, 1, 1]), lv.Gaussian([[3]]), sympy.Symbol("a"), 1),
        lv.Expansion(),
    ),
    "expansion, one layer": (lv.Problem([[[1, 2], [0, 1]]], WIDE, "1/5", 2, momentum="1/2"), WholeExpansion()),
    "regression": (lv.Problem([[[1, 2], [0, 1]]], WIDE, "1/5", 3, weight_decay="1/3"), lv.Regression()),
    "regression, schedule and momentum": (
        lv.Problem([[[1, 2], [0, 1]]], WIDE, ["1/5", 0, "1/3"], 3, "without_replacement", momentum="1/2", nesterov=True),
        lv.Regression(),
    ),
    "lattice, schedule and momentum": (
        lv.Problem([[[1]], [["-1/2"]]], DATA, ["1/5", "1/7"], 2, momentum="1/3"),
        lv.Lattice(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith("lattice") else n for n in SWEEPS]
)
def test_a_sweep_equals_single_derivations(name: str) -> None:
    """Of steps in any order, some of them twice; different steps have different answers."""
    problem, road = SWEEPS[name]
    steps = [problem.step, 0, *range(problem.step), problem.step]
    found = lv.derive_steps(problem, steps, road)
    assert [exact.problem.step for exact in found] == steps
    single = {t: lv.derive(problem.at_step(t), road) for t in set(steps)}
    quantities = ("loss",) if name.startswith("lattice") else None  # which compiles for each
    for t, exact in zip(steps, found):
        assert (exact.road, exact.plan, exact.problem) == (single[t].road, single[t].plan, problem.at_step(t))
        if quantities:
            assert all(getattr(exact, one) == getattr(single[t], one) for one in quantities)
        else:
            assert everything(exact) == everything(single[t])
    moved = [t for t in {*steps} if t == 0 or problem.learning_rates[t - 1] != 0]
    assert len({exact.variance for exact in found}) == len(moved) > 1


def test_a_sweep_is_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are expanded once, step by step, whatever is asked; the moments of linear regression alike."""
    made: list[tuple[str, Any]] = []

    def watch(kind: type, name: str) -> None:
        right = getattr(kind, name)

        def watched(self: Any, *arguments: Any) -> Any:
            made.append((name, arguments[0] if name == "_following" else None))
            return right(self, *arguments)

        monkeypatch.setattr(kind, name, watched)

    for kind, name in ((Expanded, "_following"), (Recursion, "_step")):
        watch(kind, "__init__")
        watch(kind, name)
    problem = lv.Problem([[[1]], [["-1/2"]]], DATA, "1/5", 2)
    exact = lv.derive_steps(problem, [2, 0, 1, 2], lv.Expansion())
    assert made == [("__init__", None)]
    for one in exact:
        assert one.variance.degree and one.weights and one.loss
    assert Counter(made) == {("__init__", None): 1, ("_following", 0): 1, ("_following", 1): 1}
    made.clear()
    for one in lv.derive_steps(lv.Problem([[[1]]], DATA, "1/5", 3), [3, 1, 2], lv.Regression()):
        assert one.variance.degree and one.loss and one.update_variance
    assert Counter(made) == {("__init__", None): 1, ("_step", None): 3}


def test_steps_of_one_road_are_given_to_it_together() -> None:
    """Each once, in their order, and each derivation is asked of its own."""
    road = Watched()
    found = lv.derive_steps(DEEP, (t for t in (2, 0, 2)), road)
    assert road.sweeps == [(0, 2)]
    assert found[0].loss == found[2].loss != found[1].loss
    assert road.asked == [(2, "doubled loss"), (2, "doubled loss"), (0, "doubled loss")]


@dataclass(frozen=True)
class Short:
    """The expansion of so many steps at most."""

    most: int
    name: ClassVar[str] = "short"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """An obstacle beyond that."""
        if steps.problem.step > self.most:
            return RoadPlan(self.name, obstacle=f"it takes {self.most} steps")
        return RoadPlan(self.name, "a few steps", 0.0, 1)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[Integrator, ...]:
        """Those of the expansion; what is beyond was never to come here."""
        assert max(at) <= self.most and steps.problem.step == max(at)
        return lv.Expansion().integrators(steps, at)


def test_each_step_takes_the_road_that_suits_it() -> None:
    long = Watched()
    problems = [DEEP.replace(step=t, momentum=0) for t in (2, 0, 1)]
    found = derived(problems, None, None, None, (Short(1), long))
    assert [one.road for one in found] == [long, Short(1), Short(1)] and long.sweeps == [(2,)]
    assert [one.variance for one in found] == [lv.gradient_variance(problem) for problem in problems]
    assert derived([], None, None, None) == () == lv.derive_steps(DEEP, [])


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (
            3,
            InputTypeError,
            r"steps=3 .*give several in their order, like range\(4\), or one as linvar.derive\(problem",
        ),
        ("12", InputTypeError, "steps='12'"),
        ({1, 2}, InputTypeError, "steps="),
        ([0, -1], InputError, "step=-1"),
        ([0, 1.0], InputTypeError, r"steps\[1\]=1.0 is of type float: give an integer"),
        ([True], InputTypeError, r"steps\[0\]=True is a truth value: give an integer"),
        ([1, "0"], InputTypeError, r"steps\[1\]='0' is of type str: give an integer"),
        (None, InputTypeError, "steps=None"),
    ],
)
def test_what_is_no_list_of_steps_is_refused(steps: Any, error: type[Exception], message: str) -> None:
    road = Watched()
    for problem in (DEEP, DEEP.replace(learning_rate=["1/5"])):
        with pytest.raises(error, match=message):
            lv.derive_steps(problem, steps, road)
    assert road.sweeps == []


def test_nothing_is_made_where_one_of_the_steps_does_not_fit() -> None:
    with pytest.raises(lv.DerivationTooLargeError, match="step=1000000"):
        lv.derive_steps(DEEP, [0, 10**6])
    with pytest.raises(InputError, match="learning_rate"):
        lv.derive_steps(DEEP.replace(learning_rate=["1/5"]), [0, 1, 2])
    road = Short(1)
    with pytest.raises(InputError, match=r"road=Short\(most=1\) does not apply: it takes 1 steps: leave it out"):
        lv.derive_steps(DEEP, [1, 2], road)


@pytest.mark.parametrize("problem", [None, 3, "two-layer", {}, lv.Problem])
def test_what_is_no_problem_is_refused(problem: Any) -> None:
    for ask in (
        lv.derive,
        lv.gradient_variance,
        lambda one: lv.derive_steps(one, [1]),
        lambda one: lv.large_batch(one, 1),
    ):
        with pytest.raises(InputTypeError, match="problem=.*: give a linvar.Problem"):
            ask(problem)


# roads of one's own


def test_a_road_of_ones_own_is_taken_for_everything() -> None:
    """Twenty lines, the public protocol, no entry in any registry."""
    exact, own = lv.derive(DEEP), lv.derive(DEEP, WholeExpansion())
    assert everything(own) == everything(exact) and own.plan == WholeExpansion().cost(Steps(DEEP))
    (planned,) = lv.plan(DEEP, WholeExpansion()).roads
    assert planned == own.plan
    one_layer = lv.Problem([[[1, 2], [0, 1]]], WIDE, "1/5", 2, momentum="1/2")
    assert everything(lv.derive(one_layer, WholeExpansion())) == everything(lv.derive(one_layer, lv.Regression()))


#: The quantities that an answer to a question is part of.
PARTS = {
    "norms of the gradient": {"second_moment", "variance"},
    "norms of the gradient, per leaf": {"second_moment of layers", "variance of layers"},
    "means of the gradient": {"squared_mean", "variance", "squared_mean of layers", "variance of layers"},
    "norms of the update": {"update_variance"},
    "norms of the update, per leaf": {"update_variance of layers"},
    "means of the update": {"update_variance", "update_variance of layers"},
    "doubled loss": {"loss"},
    "weights": {"weights", "weight_covariance"},
    "products of weights": {"weight_covariance"},
}  # fmt: skip


def wrong_answer(key: str, place: int) -> Watched:
    """A road of which one answer to one question is 3/2 of what it should be."""

    def change(question: Question, answers: list[Element]) -> list[Element]:
        if question.key() == key:
            answers = list(answers)
            answers[place] = answers[place] * fmpq(3, 2)
        return answers

    return Watched(change=change)


@pytest.mark.parametrize("key", PARTS)
@pytest.mark.parametrize("place", [0, -1])
def test_a_wrong_road_is_seen(key: str, place: int) -> None:
    """One answer to one question times 3/2: the quantities made of it differ, and no other.

    Where batches are drawn without replacement nothing is checked on the way, so that all of them are to be compared.
    """
    problem = DEEP.replace(sampling="without_replacement")

    right, wrong = everything(lv.derive(problem, Watched())), everything(lv.derive(problem, wrong_answer(key, place)))
    assert {name for name in right if right[name] != wrong[name]} == PARTS[key]


def test_a_variance_that_stays_as_the_batches_grow_is_a_fault() -> None:
    """With iid batches it is checked: a wrong norm or a wrong mean of the gradient is no variance of anything."""
    for key in ("norms of the gradient", "means of the gradient"):
        exact = lv.derive(DEEP, wrong_answer(key, 0))
        with pytest.raises(ArithmeticError, match="does not vanish as the batch size grows"):
            exact.variance  # noqa: B018
        assert exact.loss == lv.expected_loss(DEEP)


def test_a_question_of_ones_own_goes_to_every_road() -> None:
    """E of entries is E of the entries: asked as such, and as a derivation asks it."""
    for road in (lv.Expansion(), WholeExpansion(), Watched()):
        entries = asked(DEEP, Entries(), road)
        rows = [entry for matrix in lv.derive(DEEP, road).weights for row in matrix for entry in row]
        assert len(entries) == len(rows) == 4
        (doubled,) = asked(DEEP, DoubledLoss(), road)
        assert doubled == sum(asked(DEEP, DoubledLoss(), lv.Expansion()))


class Loose(WholeExpansion):
    """A road without a hash, such as one that may be changed after it was asked."""

    __hash__ = None  # type: ignore[assignment]  # that is what is tested


NO_ROADS = [3, "lattice", "auto", lv.Lattice, WholeExpansion, object(), [lv.Expansion()], {}, lv.LargeBatch(1), Loose()]


@pytest.mark.parametrize("road", NO_ROADS, ids=lambda road: repr(road)[:20])
def test_what_is_no_road_is_refused(road: Any) -> None:
    """A road's name, its class, a list of roads, the first coefficients alone, or what cannot be kept in a table."""
    for ask in (lv.derive, lv.gradient_variance, lv.weight_covariance, lambda *a: lv.derive_steps(a[0], [0, 1], a[1])):
        with pytest.raises(InputTypeError, match="^road=") as caught:
            ask(DEEP, road)
        assert caught.value.argument == "road" and caught.value.value is road


@dataclass(frozen=True)
class Costly:
    """One that would take so much."""

    seconds: float = 1.0
    bytes: int = 1
    waits: bool = False
    name: ClassVar[str] = "costly"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """As it says; not predicted in a hurry if it waits."""
        if self.waits and not thorough:
            return RoadPlan(self.name, obstacle="not yet", waits=True)
        return RoadPlan(self.name, "a lot", self.seconds, self.bytes)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[Integrator, ...]:
        """Those of the expansion."""
        return lv.Expansion().integrators(steps, at)


def test_what_it_costs_decides() -> None:
    steps = Steps(DEEP)
    with pytest.raises(lv.DerivationTooLargeError, match="costly: a lot, .*more than the limit of 100 bytes"):
        lv.derive(DEEP, Costly(bytes=101), memory_limit=100)
    assert lv.derive(DEEP, Costly(bytes=100), memory_limit=100).loss == lv.expected_loss(DEEP)
    assert lv.derive(DEEP, Costly(seconds=1e9)).loss  # asked for: however long it takes
    quick, slow = Costly(seconds=6.0), Costly(seconds=7.0)
    assert choose(steps, None, None, (slow, quick))[0] is quick
    assert choose(steps, None, None, (slow, Costly(seconds=1e9)))[0] is slow
    waiting = Costly(seconds=1.0, waits=True)
    assert choose(steps, None, None, (waiting, slow))[0] is slow  # not predicted where another is open
    chosen, plan = choose(steps, None, None, (waiting, Costly(seconds=1e9)))
    assert chosen is waiting and plan.seconds == 1.0
    with pytest.raises(lv.DerivationTooLargeError, match="costly"):
        choose(steps, None, None, (Costly(seconds=1e9),))


def test_a_value_at_a_batch_size_is_that_of_all_batches() -> None:
    """By hand, so that the roads here are tied to something: one layer, two examples, b = 1, one step."""
    problem = lv.Problem([[[2]]], lv.Dataset([[1], [2]], [0, 0]), "1/10", 1)
    weights = [2 - Fraction(1, 10) * 2 * x * x for x in (1, 2)]  # gradient w x^2
    gradients = [w * x * x for w in weights for x in (1, 2)]
    mean = sum(gradients) / 4
    truth = sum(g * g for g in gradients) / 4 - mean**2
    for road in (None, lv.Regression(), WholeExpansion(), Watched()):
        assert lv.derive(problem, road).variance(1) == truth
