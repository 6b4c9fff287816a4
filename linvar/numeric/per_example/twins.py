"""The same equation of one program traced for two numbers of examples: what differs besides the examples' own axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from linvar.numeric.per_example.jaxprs import bind

#: parameters of an operation that hold shapes or programs, which are compared elsewhere
_SHAPES = frozenset(
    ("shape", "sharding", "out_sharding", "new_sizes", "sizes", "slice_sizes", "limit_indices", "length", "jaxpr", "call_jaxpr",
     "branches", "cond_jaxpr", "body_jaxpr", "jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd", "name", "debug", "debug_info")
)  # fmt: skip


def differs(equation: Any, other: Any) -> bool:
    """Is another operation done for another number of examples?"""
    return any(
        repr(value) != repr(other.params.get(key))
        for key, value in equation.params.items()
        if key not in _SHAPES and not callable(value)
    )


def grown(mine: Any, theirs: Any) -> list[int]:
    """Axes of a variable whose length depends on the number of examples."""
    a, b = mine.aval.shape, theirs.aval.shape
    return [place for place in range(len(a)) if len(b) != len(a) or a[place] != b[place]]


def programs(equation: Any) -> list[str]:
    """The programs inside an operation, with their constants."""
    flat = [x for value in equation.params.values() for x in (value if isinstance(value, tuple) else (value,))]
    return [f"{x} {getattr(x, 'consts', ())}" for x in flat if isinstance(x, (core.Jaxpr, core.ClosedJaxpr))]


def same_constant(mine: Any, theirs: Any) -> bool:
    """Is a captured array the same number by number? One of another shape, or traced outside, is not called different."""
    if isinstance(mine, jax.core.Tracer) or isinstance(theirs, jax.core.Tracer) or np.shape(mine) != np.shape(theirs):
        return True
    if mine is theirs or jax.dtypes.issubdtype(mine.dtype, jax.dtypes.extended):
        return True
    return bool(np.array_equal(np.asarray(mine), np.asarray(theirs), equal_nan=np.asarray(mine).dtype.kind == "f"))


def primal_of(equation: Any) -> core.ClosedJaxpr:
    """What a function with a derivative of its own computes."""
    return next(value for value in equation.params.values() if isinstance(value, core.ClosedJaxpr))


def tangent_of(equation: Any, moving: Sequence[int]) -> core.ClosedJaxpr:
    """The derivative of such a function: of all its inputs, then of the tangents of the moving ones."""
    template = primal_of(equation).jaxpr

    def tangent(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        own = dict(zip(moving, tangents))
        fixed = [own.get(i, np.zeros(x.shape, jax.dtypes.float0)) for i, x in enumerate(primals)]
        return jax.jvp(lambda *args: bind(template, equation, args), tuple(primals), tuple(fixed))[1]

    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
    return jax.make_jaxpr(tangent)(shapes, [shapes[place] for place in moving])
