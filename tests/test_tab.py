"""What TAB shows: public names and nothing else, of linvar, its modules and what they make, whatever was imported before."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import linvar as lv

ROOT = Path(__file__).parent.parent
MODULES = ["lv", "lv.families", "lv.datasets", "lv.testing", "lv.numeric"]
HEAVY = """
import linvar.cli.app, linvar.plotting, linvar.search.nonmonotone, linvar.verification.verify, linvar.experiments.curves
import linvar.symbolic.roads.lattice.integrator, linvar.numeric.gradients.recorder, linvar.testing.models, linvar.tables.reading
from linvar.symbolic.plan import plan
"""
#: of ``Problem``: a name that is added or goes is added here, or goes, on purpose
_PROBLEM = """
    at_step dataset_size degree degree_bound degree_in_example depth distinct_learning_rates from_arrays from_expression
    from_module growth is_linear_regression largest_batch_size law learning_rate learning_rates leaves model momentum nesterov
    numbers_to_dict plain replace sampling save scheme step symbols to_dict to_json to_table weight_decay weights widths
"""


def test_modules_show_their_public_names_whatever_was_imported() -> None:
    code = "import json, linvar as lv\n" + HEAVY
    code += "".join(f"{name}.__name__\n" for name in MODULES)
    code += f"print(json.dumps([[dir(one), sorted(one.__all__)] for one in ({', '.join(MODULES)})]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = dict(zip(MODULES, json.loads(done.stdout.splitlines()[-1])))
    assert found["lv"][0] == sorted(lv.__all__)
    for name, (shown, public) in found.items():
        assert shown == sorted(public + ["table"] * (name == "lv.families")), name
        assert not {"annotations", "symbolic", "problem", "Any", "InputTypeError"} & {*shown}


def public(value: object) -> list[str]:
    """What TAB shows of an object."""
    return [name for name in dir(value) if not name.startswith("_")]


def undocumented(value: object) -> list[str]:
    """Of these, those with no words: neither their own nor in the docstring of their class."""
    found = []
    for name in public(value):
        kept = inspect.getattr_static(type(value), name, None)
        words = inspect.getdoc(kept) if kept is not None and not isinstance(kept, (str, tuple, int)) else None
        classes = [one for one in type(value).__mro__ if one.__module__.startswith("linvar")]
        named = any(
            f"{name}:" in (one.__doc__ or "") or name in vars(one).get("__annotations__", {}) for one in classes
        )
        if not words and not named:
            found.append(name)
    return found


def made() -> dict[str, Any]:
    """Each used: what it keeps, it has kept."""
    problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), "1/10", step=0)
    exact = lv.derive(problem)
    report = lv.verify(problem, runs=100, batch_sizes=[2], progress=False)
    expansion = lv.large_batch(problem, 1).variance
    return {
        "problem": problem, "law": problem.law, "rows": lv.Dataset([[1, 2], [0, 1]], [1, 0]), "variance": exact.variance,
        "exact": exact, "leaves": exact.per_leaf, "report": report, "plan": lv.plan(problem), "expansion": expansion,
        "formula": lv.first_order_formula(2, 0), "lattice": lv.Lattice(), "normal": lv.Normal(),
    }  # fmt: skip


def test_instances_show_no_attribute_without_words() -> None:
    objects = made()
    assert {name: undocumented(value) for name, value in objects.items() if undocumented(value)} == {}
    assert public(objects["problem"]) == sorted(_PROBLEM.split())


def test_use_adds_no_attribute() -> None:
    problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), "1/10", step=1)
    before, exact = public(problem), lv.derive(problem)
    start, first = public(exact), public(exact.variance)
    (
        hash(problem),
        repr(problem),
        problem.symbols,
        problem.weights,
        problem.degree,
        problem.to_dict(),
        problem.to_table(),
    )
    exact.loss, exact.weights, exact.per_leaf.variance, exact.second_moment, repr(exact)
    exact.variance.decreasing_from(), repr(exact.variance), exact.variance(3), exact.variance.latex()
    assert (public(problem), public(exact), public(exact.variance)) == (before, start, first)


@pytest.mark.parametrize("name", ["stray", "_own"])
def test_the_checks_above_see_a_stray_attribute(name: str) -> None:
    class Result:
        """A result."""

    Result.__module__, found = "linvar.made.here", Result()
    setattr(found, name, 1)
    assert undocumented(found) == [name] * (not name.startswith("_"))
