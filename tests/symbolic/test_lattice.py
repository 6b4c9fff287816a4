"""The lattice road: SGD run on integer batch moments modulo primes equals the expansion, to the fraction.

Random problems: ``test_roads_agree.py``; its parts: ``test_modular.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

import linvar as lv
from linvar.symbolic.roads.expansion.road import Expansion
from linvar.symbolic.roads.lattice import road as lattice
from linvar.symbolic.roads.lattice.road import Lattice
from linvar.symbolic.sgd.last_step import LastStep

DATA = lv.Dataset([[1, 2], [0, 1], [-1, 1]], [1, 0, "1/2"])
TWO_LAYERS = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
WITH_RULE = TWO_LAYERS.replace(momentum="1/2", nesterov=True, weight_decay="1/3")


def forms(problem: lv.Problem) -> Any:
    """What is asked of a state: spreads, loss and weights."""

    def of(state: Any, ring: Any) -> list[Any]:
        last = LastStep(state, problem, ring)
        return [sum(last.spreads()[1:], last.spreads()[0]), last.doubled_loss(), state.weights[0][0][0]]

    return of


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
    found, expected = (quantity(problem, method=method) for method in ("lattice", "expansion"))
    assert found == expected != expected * 2 or not expected


def test_two_steps_equal_the_expansion() -> None:
    problem = TWO_LAYERS.replace(step=2, learning_rate=["1/10", "1/7"])
    seen: list[tuple[int, int]] = []
    found = lv.gradient_variance(problem, method="lattice", progress=lambda done, total: seen.append((done, total)))
    assert found == lv.gradient_variance(problem, method="expansion") and found.degree == 23
    assert seen and all(0 <= done <= total for done, total in seen)


@pytest.mark.slow
def test_blocks_change_nothing() -> None:
    problem = TWO_LAYERS.replace(step=2)
    whole = Lattice(TWO_LAYERS).expectations(forms(TWO_LAYERS), 6)
    assert Lattice(TWO_LAYERS, block_bytes=1).expectations(forms(TWO_LAYERS), 6) == whole
    assert Lattice(problem, block_bytes=2**17).expectations(forms(problem), 6) == Lattice(problem).expectations(
        forms(problem), 6
    )


def test_a_prime_of_several_calls_is_the_sum_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of step 0 in slices; progress is reported after each of them."""
    monkeypatch.setattr(lattice, "_CALL", 300)
    monkeypatch.setattr(lattice, "_BATCH", 1)
    problem = TWO_LAYERS.replace(step=2)
    seen: list[tuple[int, int]] = []

    def form(state: Any, ring: Any) -> list[Any]:
        return [state.weights[0][0][0] * state.weights[1][0][1]]

    road = Lattice(problem, block_bytes=2**17, progress=lambda done, total: seen.append((done, total)))
    assert road.expectations(form, 2) == Expansion(problem).expectations(form, 2)
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
        lv.expected_loss(problem, method="lattice", checkpoint=str(path), progress=stop)
    kept = path.read_text()
    assert lv.expected_loss(problem, method="lattice", checkpoint=str(path)) == lv.expected_loss(problem)
    path.write_text(kept[: len(kept) // 2])
    with pytest.raises(ValueError, match="residues.json"):
        lv.expected_loss(problem, method="lattice", checkpoint=str(path))
    path.write_text(kept)
    with pytest.raises(ValueError, match="residues.json"):
        lv.expected_loss(problem.replace(learning_rate="1/11"), method="lattice", checkpoint=str(path))
    with pytest.raises(ValueError, match="with several steps"):
        lv.expected_loss(problem, steps=[1], checkpoint=str(path))


def test_nothing_moves_and_symbols() -> None:
    fitted = lv.Problem([[[1]], [[2]]], lv.Gaussian([[2]]), "1/10", 2)
    assert not lv.gradient_variance(fitted, method="lattice")
    assert lv.gradient_variance(fitted.replace(step=0, weights=[[[1]], [[3]]]), method="lattice").degree == 1
    with pytest.raises(ValueError, match="method='lattice' does not apply: it takes numbers, no symbols"):
        lv.gradient_variance(lv.Problem(lv.symbolic_weights([1, 1, 1]), lv.Gaussian([[2]])), method="lattice")


def test_a_device_without_exact_float64_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    host = jax.devices("cpu")
    fake = [SimpleNamespace(platform="tpu")]
    monkeypatch.setattr(jax, "devices", lambda backend=None: host if backend == "cpu" else fake)
    assert Lattice(TWO_LAYERS)._devices == host
    monkeypatch.setattr(jax, "devices", lambda backend=None: host[:1])
    assert Lattice(TWO_LAYERS)._devices == host[:1]


@pytest.mark.parametrize("rule", [{}, {"momentum": "1/3"}])
def test_a_first_step_without_variables(rule: dict[str, str]) -> None:
    """A perfect fit, which weight decay then leaves: whatever the first batch, the step is the same."""
    problem = lv.Problem([[[1]], [[3]]], lv.Gaussian([[3]]), "1/2", 2, weight_decay="1/5", **rule)
    for quantity in (lv.gradient_variance, lv.expected_loss):
        assert quantity(problem, method="lattice") == quantity(problem, method="expansion") != 0


DEVICES = """
import jax, json
import linvar as lv
problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
print(json.dumps([jax.device_count(), [str(c) for c in lv.gradient_variance(problem, method="lattice").coefficients]]))
"""


def test_several_devices_give_the_same_fractions() -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    devices, coefficients = json.loads(done.stdout)
    assert devices == 3 and coefficients == [str(c) for c in lv.gradient_variance(TWO_LAYERS).coefficients]
