"""The same equation of one program traced for two numbers of examples: what differs besides the examples' own axis."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.evaluation import Atom, aval_of, bind, shape_of
from linvar.numeric.gradients.per_example.jaxprs import primal_of


def grown(mine: Atom, theirs: Atom) -> list[int]:
    """Axes of a variable whose length depends on the number of examples."""
    a, b = shape_of(mine), shape_of(theirs)
    return [place for place in range(len(a)) if len(b) != len(a) or a[place] != b[place]]


def same_constant(mine: ArrayLike, theirs: ArrayLike) -> bool:
    """Is a captured array the same number by number? One of another shape, or traced outside, is not called different."""
    if isinstance(mine, jax.core.Tracer) or isinstance(theirs, jax.core.Tracer) or np.shape(mine) != np.shape(theirs):
        return True
    if mine is theirs or (hasattr(mine, "dtype") and jax.dtypes.issubdtype(mine.dtype, jax.dtypes.extended)):
        return True
    a, b = np.asarray(mine), np.asarray(theirs)
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def tangent_of(equation: core.JaxprEqn, moving: Sequence[int]) -> core.ClosedJaxpr:
    """The derivative of such a function: of all its inputs, then of the tangents of the moving ones."""
    template = primal_of(equation).jaxpr

    def tangent(primals: Sequence[jax.Array], tangents: Sequence[jax.Array]) -> list[jax.Array]:
        own = dict(zip(moving, tangents))
        fixed = [own.get(i, np.zeros(x.shape, jax.dtypes.float0)) for i, x in enumerate(primals)]

        def outputs(*arguments: jax.Array) -> list[jax.Array]:
            return list(bind(template, equation, arguments).values())

        found: list[jax.Array] = jax.jvp(outputs, tuple(primals), tuple(fixed))[1]
        return found

    shapes = [jax.ShapeDtypeStruct(shape_of(v), aval_of(v).dtype) for v in equation.invars]
    return jax.make_jaxpr(tangent)(shapes, [shapes[place] for place in moving])
