"""The room stands between the statements and both halves: it imports neither, and JAX only when a loss is recorded."""

from __future__ import annotations

import subprocess
import sys


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has then."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {*done.stdout.split()}


def test_the_room_imports_neither_half() -> None:
    rooms = "arithmetic, degrees, indexing, interpreter, movement, program, values, windows"
    loaded = loaded_after(f"from linvar.tracing import {rooms}")
    halves = {
        name
        for name in loaded
        if name.startswith(("linvar.symbolic", "linvar.numeric", "linvar.models", "linvar.laws"))
    }
    assert not halves and not loaded & {"jax", "sympy"} and "linvar.tracing.interpreter" in loaded


def test_statements_load_what_is_light() -> None:
    loaded = loaded_after("import linvar.models.loss, linvar.models.function, linvar.trees, linvar.problem")
    assert not loaded & {"jax", "numpy", "flint", "sympy", "linvar.tracing.program"} and "linvar.models.loss" in loaded
