"""What is loaded when: `import linvar` costs nothing, an exact numeric derivation needs no JAX."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import linvar as lv

HEAVY = {"jax", "jaxlib", "flax", "optax", "matplotlib", "sympy", "numpy", "flint", "sklearn", "typer", "rich"}
PROBLEM = "problem = lv.Problem([[[1, 0], [1, 1]], [[1, 2]]], lv.Gaussian([[1, 1]]), learning_rate='1/10', step=1)"


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter that ran the code."""
    tail = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_linvar_loads_nothing_heavy():
    loaded = loaded_after("import linvar")
    assert "linvar" in loaded and not loaded & HEAVY


@pytest.mark.parametrize("name", ["jax", "numpy", "sympy", "matplotlib"])
def test_the_check_above_can_fail(name):
    assert name in loaded_after(f"import linvar, {name}") & HEAVY


@pytest.mark.parametrize(
    "call",
    [
        "lv.gradient_variance(problem).decreasing_from()",
        "[one.per_leaf.variance for one in lv.derive_steps(problem, range(2))]",
        "repr(lv.second_moment(problem) - lv.squared_mean(problem)), lv.expected_loss(problem)(3)",
        "lv.gradient_variance(lv.Problem([[[1]]], lv.Dataset([[1], [2]], [[1], [1]]), sampling='without_replacement')).latex()",
        "lv.wishart_moment([['A', 'A']], {'A': [[1, 2], [0, 1]]})",
    ],
)
def test_an_exact_numeric_derivation_loads_no_jax(call):
    loaded = loaded_after(f"import linvar as lv\n{PROBLEM}\n{call}")
    assert "flint" in loaded and not loaded & {"jax", "jaxlib", "flax", "matplotlib", "sympy", "numpy"}


def test_a_float_value_of_a_polynomial_may_load_numpy_but_no_jax():
    loaded = loaded_after(f"import linvar as lv, numpy\n{PROBLEM}\nlv.gradient_variance(problem)(numpy.arange(1, 4))")
    assert "numpy" in loaded and not loaded & {"jax", "sympy"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["derive", "--help"],
        ["verify", "-h"],
        ["example"],
        ["example", "two-layer"],
        ["experiment", "--list"],
        [],
    ],
)
def test_help_loads_the_terminal_libraries_only(arguments):
    loaded = loaded_after(f"from linvar.cli.app import main; assert main({arguments!r}) == 0")
    assert "typer" in loaded and not loaded & (HEAVY - {"typer", "rich"})


def test_derive_loads_no_jax_and_no_matplotlib():
    loaded = loaded_after("from linvar.cli.app import main; assert main(['derive', 'two-layer', '--json']) == 0")
    assert "flint" in loaded and not loaded & {"jax", "matplotlib", "sympy"}


def test_the_numeric_half_loads_no_symbolic_half():
    modules = "linvar.numeric.simulation.trajectories, linvar.numeric.simulation.rare_batches, linvar.numeric.gradients.moments"
    code = f"import sys, {modules}"
    tail = "assert not [name for name in sys.modules if name.startswith('linvar.symbolic') or name == 'flint']"
    assert "jax" in loaded_after(f"{code}\n{tail}")


def test_import_changes_no_setting_of_jax():
    code = "import jax; before = dict(jax.config.values)\n"
    code += "import linvar.verification.verify, linvar.cli.app, linvar.plotting.variance"
    loaded_after(f"{code}\nassert dict(jax.config.values) == before")


def test_every_public_name_exists():
    for name in lv.__all__:
        assert getattr(lv, name).__doc__, name
    assert set(lv.__all__) <= set(dir(lv))
    with pytest.raises(AttributeError, match="module 'linvar' has no attribute 'nothing'$"):
        lv.nothing  # noqa: B018
