"""The lattice road: SGD run on integer batch moments modulo primes equals the expansion, to the fraction.

Random problems: ``test_roads_agree.py``; its parts: ``test_modular.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from roads import asked

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.symbolic.roads.lattice import integrator as lattice
from linvar.symbolic.roads.lattice import programs
from linvar.symbolic.roads.lattice.integrator import LatticeSum
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.steps import Steps

DATA = lv.Dataset([[1, 2], [0, 1], [-1, 1]], [1, 0, "1/2"])
TWO_LAYERS = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
WITH_RULE = TWO_LAYERS.replace(momentum="1/2", nesterov=True, weight_decay="1/3")


@dataclass(frozen=True)
class SpreadLossWeight:
    """A question of one's own: the spread, the loss and a weight."""

    name: str = "spread, loss and a weight"

    def degree(self, loss: int) -> int:
        return 2 * (loss - 1)

    def forms(self, last: LastStep) -> list[Any]:
        return [sum(last.spreads()[1:], last.spreads()[0]), last.doubled_loss(), last.entries[0]]

    def key(self) -> str:
        return self.name


@dataclass(frozen=True)
class ProductOfWeights:
    """One of an entry of each of two layers."""

    name: str = "a product of two weights"

    def degree(self, loss: int) -> int:
        return 2

    def forms(self, last: LastStep) -> list[Any]:
        return [last.state.weights[0][0][0] * last.state.weights[1][0][1]]

    def key(self) -> str:
        return self.name


@pytest.mark.parametrize(
    ("quantity", "problem"),
    [
        (lv.gradient_variance, TWO_LAYERS),
        (lv.gradient_variance, WITH_RULE),
        (lv.expected_loss, WITH_RULE),
        (lv.gradient_variance, lv.Problem([[[1, "1/2"]], [[-1]]], DATA, "1/5", 1, "without_replacement")),
    ],
)
def test_every_quantity_equals_the_expansion(problem: lv.Problem, quantity: Any) -> None:
    found, expected = (quantity(problem, road) for road in (lv.Lattice(), lv.Expansion()))
    assert found == expected != expected * 2 or not expected


@pytest.mark.slow  # tests/symbolic/test_roads_agree.py has two steps of other networks
def test_two_steps_equal_the_expansion() -> None:
    problem = TWO_LAYERS.replace(step=2, learning_rate=["1/10", "1/7"])
    seen: list[tuple[int, int]] = []
    found = lv.gradient_variance(problem, lv.Lattice(), progress=lambda done, total: seen.append((done, total)))
    assert found == lv.gradient_variance(problem, lv.Expansion()) and found.degree == 23
    assert seen and all(0 <= done <= total for done, total in seen)


@pytest.mark.slow
def test_blocks_change_nothing() -> None:
    question = SpreadLossWeight()
    for problem, bytes_of_a_block in ((TWO_LAYERS, 1), (TWO_LAYERS.replace(step=2), 2**17)):
        whole = asked(problem, question, lv.Lattice())
        assert asked(problem, question, lv.Lattice(block_bytes=bytes_of_a_block)) == whole
        assert whole == asked(problem, question, lv.Expansion())


def test_a_prime_of_several_calls_is_the_sum_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of step 0 in slices; progress is reported after each of them."""
    monkeypatch.setattr(lattice, "_CALL", 300)
    monkeypatch.setattr(lattice, "_BATCH", 1)
    problem = TWO_LAYERS.replace(step=2)
    seen: list[tuple[int, int]] = []
    question, small = ProductOfWeights(), lv.Lattice(block_bytes=2**17)
    found = asked(problem, question, small, lambda done, total: seen.append((done, total)))
    assert found == asked(problem, question, lv.Expansion())
    nodes = 84 * 10  # C(6 + 3, 3) C(2 + 3, 3)
    assert seen == sorted(seen, key=lambda pair: pair[0]) and all(done <= total for done, total in seen)
    assert any(done % nodes for done, _ in seen) and seen[-1][0] % nodes == 0


def test_an_interrupted_derivation_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "residues.json"
    problem = TWO_LAYERS.replace(step=2)

    def stop(done: int, total: int) -> None:
        if path.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lv.expected_loss(problem, lv.Lattice(checkpoint=str(path)), progress=stop)
    kept = path.read_text()
    assert lv.expected_loss(problem, lv.Lattice(checkpoint=str(path))) == lv.expected_loss(problem)
    path.write_text(kept[: len(kept) // 2])
    with pytest.raises(ValueError, match="residues.json"):
        lv.expected_loss(problem, lv.Lattice(checkpoint=str(path)))
    path.write_text(kept)
    with pytest.raises(ValueError, match="residues.json"):
        lv.expected_loss(problem.replace(learning_rate="1/11"), lv.Lattice(checkpoint=str(path)))
    with pytest.raises(ValueError, match="with several steps"):
        lv.derive_steps(problem, [1, 2], lv.Lattice(checkpoint=str(path)))
    assert path.read_text() == kept


def test_nothing_moves_and_symbols() -> None:
    fitted = lv.Problem([[[1]], [[2]]], lv.Gaussian([[2]]), "1/10", 2)
    assert not lv.gradient_variance(fitted, lv.Lattice())
    assert lv.gradient_variance(fitted.replace(step=0, weights=[[[1]], [[3]]]), lv.Lattice()).degree == 1
    symbolic = lv.Problem(lv.symbolic_weights([1, 1, 1]), lv.Gaussian([[2]]))
    with pytest.raises(
        ValueError, match=r"road=Lattice\(.*\) does not apply: it takes numbers, no symbols: leave it out"
    ):
        lv.gradient_variance(symbolic, lv.Lattice())
    with pytest.raises(
        InputError, match="the lattice takes numbers only, and the problem has the symbols .*: give them"
    ):
        lv.Lattice().integrators(Steps(symbolic), [0])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"checkpoint": 5}, InputTypeError, "checkpoint=5 is of type int"),
        ({"devices": "cpu"}, InputTypeError, "devices='cpu'.*: give devices of JAX"),
        ({"devices": ["cpu"]}, InputTypeError, r"devices\[0\]='cpu' is of type str: give devices of JAX"),
        ({"devices": 1}, InputTypeError, "devices=1 is of type int: give devices of JAX"),
        ({"devices": []}, InputError, r"devices=\(\) is empty: give devices of JAX"),
        ({"block_bytes": 0}, InputError, "block_bytes=0: give a number of bytes, >= 1"),
        ({"block_bytes": 2.0**20}, InputTypeError, "block_bytes=1048576.0 is of type float"),
        ({"block_bytes": None}, InputTypeError, "block_bytes=None"),
        ({"block_bytes": True}, InputTypeError, "block_bytes=True is a truth value"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """When it is written down."""
    with pytest.raises(error, match=message):
        lv.Lattice(**options)


def test_roads_of_equal_options_are_equal() -> None:
    """Whatever sequence the devices came in."""
    host = jax.devices("cpu")
    one, two = lv.Lattice(devices=host), lv.Lattice(devices=tuple(host))  # type: ignore[arg-type]  # a list, as JAX gives it
    assert one == two and hash(one) == hash(two) and one != lv.Lattice()
    assert lv.gradient_variance(TWO_LAYERS, one) == lv.gradient_variance(TWO_LAYERS)


def test_a_device_without_exact_float64_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    host = jax.devices("cpu")
    fake = [SimpleNamespace(platform="tpu")]
    monkeypatch.setattr(jax, "devices", lambda backend=None: host if backend == "cpu" else fake)
    assert LatticeSum(Steps(TWO_LAYERS)).devices == tuple(host)
    monkeypatch.setattr(jax, "devices", lambda backend=None: host[:1])
    assert LatticeSum(Steps(TWO_LAYERS)).devices == tuple(host[:1])


@pytest.mark.parametrize("rule", [pytest.param({}, marks=pytest.mark.slow), {"momentum": "1/3"}])
def test_a_first_step_without_variables(rule: dict[str, str]) -> None:
    """A perfect fit, which weight decay then leaves: whatever the first batch, the step is the same."""
    problem = lv.Problem([[[1]], [[3]]], lv.Gaussian([[3]]), "1/2", 2, weight_decay="1/5", **rule)
    for quantity in (lv.gradient_variance, lv.expected_loss):
        assert quantity(problem, lv.Lattice()) == quantity(problem, lv.Expansion()) != 0


# programs


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts of programs, as they are traced; nothing that was traced before is known."""
    texts: list[str] = []
    make_jaxpr = jax.make_jaxpr

    def watched(function: Any) -> Any:
        def trace(*arguments: Any) -> Any:
            texts.append(str((made := make_jaxpr(function)(*arguments)).jaxpr))
            return made

        return trace

    monkeypatch.setattr(programs.jax, "make_jaxpr", watched)
    programs._kept.cache_clear()
    yield texts
    programs._kept.cache_clear()


def narrow(weight: str, rate: str = "1/7") -> lv.Problem:
    """One of two layers of one unit."""
    return lv.Problem([[[weight]], [["2/3"]]], lv.Gaussian([["7/11"]]), rate, 1)


def test_an_equal_problem_is_not_traced_again(traced: list[str]) -> None:
    first = lv.expected_loss(narrow("3/5"), lv.Lattice())
    once = len(traced)
    assert once >= 2  # weights of the nodes, and the sum
    assert lv.expected_loss(narrow("3/5"), lv.Lattice()) == first and len(traced) == once
    assert lv.derive(narrow("3/5"), lv.Lattice()).loss == first and len(traced) == once
    lv.squared_mean(narrow("3/5"), lv.Lattice())  # another question
    assert len(traced) > once


def test_problems_of_one_pattern_share_their_programs(traced: list[str]) -> None:
    """Traced anew, to the same text, which is compiled once; another pattern is another program."""
    found = lv.expected_loss(narrow("3/5"), lv.Lattice())
    texts, compiled = set(traced), programs._run._cache_size()
    other = lv.expected_loss(narrow("-5/9", "2/11"), lv.Lattice())
    assert other == lv.expected_loss(narrow("-5/9", "2/11")) != found
    assert set(traced) == texts and programs._run._cache_size() == compiled
    assert lv.expected_loss(narrow("0"), lv.Lattice()) == lv.expected_loss(narrow("0"))
    assert set(traced) > texts and programs._run._cache_size() > compiled


def test_what_is_kept_is_no_array(traced: list[str]) -> None:
    """Under its key a program is made once; how it was made, with all that it held, is forgotten at once."""
    held = []
    assert programs.once("key", lambda: held.append("made") or len(held)) == 1
    assert programs.once("key", lambda: held.append("again") or len(held)) == 1
    assert held == ["made"]
    with pytest.raises(ZeroDivisionError):
        programs.once("fails", lambda: 1 // 0)
    assert programs.once("fails", lambda: 7) == 7  # what failed is not kept


DEVICES = """
import jax, json
import linvar as lv
problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
print(json.dumps([jax.device_count(), [str(c) for c in lv.gradient_variance(problem, lv.Lattice()).coefficients]]))
"""


def test_several_devices_give_the_same_fractions() -> None:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=3"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    devices, coefficients = json.loads(done.stdout)
    assert devices == 3 and coefficients == [str(c) for c in lv.gradient_variance(TWO_LAYERS).coefficients]
