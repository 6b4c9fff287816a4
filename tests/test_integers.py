"""An integer of NumPy, or of anything with __index__, is taken wherever an int is; a float or a truth value nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import linvar as lv
from linvar.errors import InputTypeError

WEIGHTS, LAW = [[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]])
PROBLEM = lv.Problem(WEIGHTS, LAW, "1/10", 1)
NORMAL = lv.Gaussian([[1, 2]])

#: each of one integer, which stands for what it is in the answer
TAKEN: dict[str, Callable[[Any], Any]] = {
    "Problem": lambda k: lv.gradient_variance(lv.Problem(WEIGHTS, LAW, "1/10", k)),
    "replace": lambda k: PROBLEM.replace(step=k),
    "at_step": lambda k: lv.Problem(WEIGHTS, LAW, ["1/10", "1/5"], 2).at_step(k),
    "derive_steps": lambda k: lv.derive_steps(PROBLEM, [k])[0].variance,
    "trace_formula": lambda k: str(lv.trace_formula(k, 0)),
    "trace_formula order": lambda k: lv.trace_formula(2, 0, order=k).order,
    "first_order_formula": lambda k: lv.first_order_formula(k, 1).pairs,
    "first_order_formula step": lambda k: lv.first_order_formula(2, k).pairs,
    "large_batch": lambda k: lv.large_batch(PROBLEM, k).variance,
    "large_batch digits": lambda k: str(lv.large_batch(PROBLEM, 1, digits=k).variance),
    "LargeBatch": lambda k: lv.LargeBatch(k),
    "plan": lambda k: str(lv.plan(PROBLEM, lv.LargeBatch(1, k)).roads[0].obstacle),
    "symbolic_matrix": lambda k: lv.symbolic_matrix("t", k, 2),
    "symbolic_weights": lambda k: lv.symbolic_weights([2, k]),
    "rationalize": lambda k: lv.rationalize(0.123, k),
    "from_arrays": lambda k: lv.Problem.from_arrays([[[0.123]]], lv.Gaussian([[1]]), decimals=k),
    "ScaleMixture": lambda k: lv.ScaleMixture(NORMAL, degrees_of_freedom=k),
    "evaluation": lambda k: lv.gradient_variance(PROBLEM)(k),
    "power": lambda k: lv.gradient_variance(PROBLEM) ** k,
    "weights": lambda k: lv.Problem([[[k, 1]]], NORMAL, k),
    "Dataset": lambda k: lv.Dataset([[k, 1]], [k]),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_integers_of_numpy_are_integers(name: str) -> None:
    ask = TAKEN[name]
    for made in (np.int64, np.int32, np.uint8, sympy.Integer):
        assert ask(made(2)) == ask(2), made
    assert ask(np.int64(1)) == ask(1) and repr(ask(np.int64(1))) == repr(ask(1))


#: of each a float and a truth value, of Python and of NumPy; a polynomial takes floats
REFUSED = [
    (name, value)
    for name in TAKEN
    for value in (2.0, np.float64(2), True, np.bool_(True))
    if name != "evaluation" or not isinstance(value, float)
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_floats_and_truth_values_are_no_integers(name: str, value: Any) -> None:
    with pytest.raises(InputTypeError):
        TAKEN[name](value)
