"""A refusal's cures: each is offered where it applies and nowhere else, and one that is followed helps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

import linvar as lv
from linvar.symbolic import plan as planning
from linvar.symbolic.limits import MOST_SECONDS, format_bytes
from linvar.symbolic.plan import _cures, choose
from linvar.symbolic.sgd.road import RoadPlan
from linvar.symbolic.sgd.steps import Steps

#: widths 2-3-1, no matrix is square
OBLONG = lv.Problem([[[1, 2], [0, 1], [3, -1]], [[1, -1, 2]]], lv.Gaussian([[1, 0]]), "1/10", 4)
ROWS = lv.Dataset([[i, i * i % 7] for i in range(40)], [[i % 5] for i in range(40)])


FIRST = "linvar.large_batch(problem, order=2) for the first coefficients"


def words(found: list[tuple[str, str]]) -> list[str]:
    """The cures without the arguments they are about."""
    return [text for _, text in found]


def cures_of(
    problem: lv.Problem, order: int | None = None, digits: int | None = None, memory_limit: int | None = None
) -> list[tuple[str, str]]:
    """What a derivation that does not fit offers."""
    with pytest.raises(lv.DerivationTooLargeError) as caught:
        if order is None:
            lv.derive(problem, memory_limit=memory_limit)
        else:
            lv.large_batch(problem, order, digits, memory_limit=memory_limit)
    return list(caught.value.cures)


def expansion(problem: lv.Problem) -> RoadPlan:
    """What the expansion would cost."""
    return lv.plan(problem, memory_limit=1)["expansion"]


def cheaper(one: RoadPlan, other: RoadPlan) -> bool:
    """Less memory in less time."""
    return one.bytes < other.bytes and one.seconds < other.seconds


def test_every_cure_has_a_case_below() -> None:
    """Of one problem or another; so a cure that is added needs a test that it helps."""
    symbols = lv.Problem(lv.symbolic_weights([2, 3, 2, 1]), lv.Gaussian([[1, 0]]), "1/10", 4)
    offered = {
        *words(cures_of(OBLONG)),
        *words(cures_of(symbols)),
        *words(cures_of(lv.Problem([[[1, 2]]], lv.Gaussian([[2, 1]]), "1/10", 1), memory_limit=1)),
        *words(cures_of(OBLONG.replace(step=20), order=2)),
    }
    offered = {text.partition(" (")[0] for text in offered if not text.startswith("road=")}
    assert offered == {
        FIRST, "digits=30 for certified enclosures", "a smaller order", "fewer steps",
        "numbers in place of some of the symbols", "smaller widths", "fewer inputs or outputs", "fewer layers",
        "a larger memory_limit=",
    } | (offered & {"a machine with more memory"})  # fmt: skip


def test_the_first_coefficients_fit_where_they_are_offered() -> None:
    assert ("order", FIRST) in cures_of(OBLONG)
    assert lv.plan(OBLONG, lv.LargeBatch(1)).choice is not None
    for problem in (OBLONG.replace(law=ROWS, sampling="without_replacement"), OBLONG.replace(step=0)):
        assert "order" not in dict(cures_of(problem, memory_limit=1))


def test_enclosures_fit_where_they_are_offered() -> None:
    long = OBLONG.replace(step=20)
    assert dict(cures_of(long, order=2))["digits"] == "digits=30 for certified enclosures"
    assert lv.plan(long, lv.LargeBatch(2, digits=30)).choice is not None
    assert "digits" not in dict(cures_of(long, order=2, digits=30, memory_limit=1))
    assert "digits" not in dict(cures_of(OBLONG.replace(step=0), order=2, memory_limit=1))
    symbols = OBLONG.replace(learning_rate=sympy.Symbol("alpha"))
    assert "digits" not in dict(cures_of(symbols, order=2, memory_limit=1))


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_a_smaller_order_costs_less_and_is_offered_above_one(order: int) -> None:
    smaller = ("order", f"a smaller order (order={order})")
    assert (smaller in cures_of(OBLONG, order=order, memory_limit=1)) == (order > 1)
    less, more = (lv.plan(OBLONG, lv.LargeBatch(k))["large_batch"] for k in (order, order + 1))
    assert cheaper(less, more)


def test_what_makes_a_problem_smaller_makes_it_cheaper() -> None:
    """Fewer steps, widths, layers, numbers for symbols: each is offered for the problem that it makes cheaper."""
    deep = lv.Problem([[[1, 2], [0, 1], [3, -1]], [[1, -1, 2], [0, 1, 1]], [[1, 2]]], OBLONG.law, "1/10", 1)
    symbolic = OBLONG.replace(step=1, learning_rate=sympy.Symbol("alpha"))
    wide = lv.Problem([[[1, 2, 1], [0, 1, 1], [3, -1, 0]], [[1, -1, 2]]], lv.Gaussian([[1, 0, 2]]), "1/10", 1)
    for dear, cheap, cure in (
        (OBLONG.replace(step=2), OBLONG.replace(step=1), "fewer steps (step=2)"),
        (deep, OBLONG.replace(step=1), "fewer layers"),
        (symbolic, OBLONG.replace(step=1), "numbers in place of some of the symbols"),
        (wide, OBLONG.replace(step=1), "smaller widths"),
    ):
        offered = words(cures_of(dear, memory_limit=1))
        assert cure in offered and cheaper(expansion(cheap), expansion(dear)), cure
        others = {"fewer steps (step=2)", "fewer layers", "numbers in place of some of the symbols"} - {cure}
        assert not others & set(offered), cure
    layer = lv.Problem([[[1, 2, 1]]], lv.Gaussian([[2, 1, 0]]), "1/10", 2)
    assert "fewer inputs or outputs" in words(cures_of(layer, memory_limit=1))
    narrow = lv.Problem([[[1, 2]]], lv.Gaussian([[2, 1]]), "1/10", 2)
    assert cheaper(*(lv.plan(problem)["regression"] for problem in (narrow, layer)))


def test_more_memory_is_offered_where_it_is_what_is_missing() -> None:
    """As much as is needed is enough, a byte less is not."""
    problem = OBLONG.replace(step=1)
    need = expansion(problem).bytes
    assert dict(cures_of(problem, memory_limit=need - 1))["memory_limit"] == "a larger memory_limit= (in bytes)"
    assert choose(Steps(problem), lv.Expansion(), need)[1].bytes == need
    with pytest.raises(lv.DerivationTooLargeError, match=r"or a larger memory_limit= \(in bytes\)$"):
        choose(Steps(problem), lv.Expansion(), need - 1)


@pytest.mark.parametrize(
    ("needed", "cure"),
    [
        (1.0, "a larger memory_limit= (in bytes)"),
        (2.0, "a larger memory_limit= (in bytes)"),
        (2.001, "a machine with more memory"),
        (2**44, None),
    ],
)
def test_the_machine_decides_between_a_limit_and_another_machine(
    needed: float, cure: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``needed`` times half of the memory of this machine, or more than any machine has: 16 TB."""
    half, limit = 10**9, 1000
    monkeypatch.setattr(planning, "default_memory_limit", lambda: half)
    amount = int(needed * half) if needed < 3 else int(needed)
    too_much = f"more than the limit of {format_bytes(limit)}"
    roads = (
        RoadPlan("lattice", "nodes", 1.0, 10 * amount, obstacle=too_much),
        RoadPlan("expansion", "monomials", 1.0, amount, obstacle=too_much),
        RoadPlan("regression", "coefficients", 1.0, 1, obstacle="it is for one layer"),
    )
    offered = words(_cures(lv.Plan(OBLONG, roads), limit, []))
    memory = {"a larger memory_limit= (in bytes)", "a machine with more memory"} & set(offered)
    assert memory == ({cure} if cure else set())


def test_a_road_that_is_only_too_long_is_offered_by_name() -> None:
    slow = RoadPlan("expansion", "monomials", seconds=MOST_SECONDS * 2, bytes=100)
    other = replace(slow, road="lattice", obstacle="it takes numbers, no symbols")
    found = lv.Plan(OBLONG, (slow, other))
    assert found.choice is None
    assert [cure for cure in _cures(found, 10**9, []) if cure[0] == "road"] == [
        ("road", "road=linvar.Expansion(), if that may take so long")
    ]
    assert replace(slow, asked=True).is_open and not slow.is_open
    assert replace(slow, seconds=MOST_SECONDS).is_open
