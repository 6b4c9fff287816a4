"""From gradients by values V, which are functions of the parameters alone, to gradients by the leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32
from linvar.numeric.gradients.per_example.evaluation import (
    Values,
    aval_of,
    bind,
    is_floating,
    read,
    variables,
)
from linvar.numeric.gradients.per_example.flattening import Level, Levels, equation_level, flatten
from linvar.numeric.gradients.per_example.jaxprs import operation
from linvar.numeric.gradients.per_example.meshes import Types, shape_like

#: Such a map as a program, (all leaves, cotangents) -> cotangents of some leaves, and the levels of its inputs.
PullProgram: TypeAlias = tuple[core.ClosedJaxpr, list[Level]]
#: A linear map from cotangents of values V to cotangents of every leaf, None where a leaf is not touched.
Pull: TypeAlias = Callable[[Sequence[jax.Array]], list[jax.Array | None]]


#: Leaves and values that are functions of them.
Question: TypeAlias = tuple[tuple[int, ...], tuple[core.Var, ...]]


@dataclass(frozen=True)
class Parameters:
    """The part of a program that computes values from its leaves alone."""

    jaxpr: core.ClosedJaxpr
    levels: Levels
    count: int  # leaves
    programs: dict[Question, PullProgram] = field(default_factory=dict, compare=False)  # that were asked for
    patterns: dict[Question, object] = field(default_factory=dict, compare=False)  # the same (``patterns.py``)
    images: dict[object, np.ndarray] = field(default_factory=dict, compare=False)  # by the programs that make them

    @property
    def variables(self) -> list[core.Var]:
        """The leaves'."""
        return list(self.jaxpr.jaxpr.invars[: self.count])

    def values(self, leaves: Sequence[jax.Array], wanted: Sequence[core.Var]) -> list[jax.Array]:
        """These values; only what they need is computed."""
        program: core.Jaxpr = self.jaxpr.jaxpr
        needed, equations = set(wanted), []
        for equation in reversed(program.eqns):
            if equation_level(self.levels, equation) < Level.EXAMPLE and any(v in needed for v in equation.outvars):
                needed.update(variables(equation.invars))
                equations.append(equation)
        types = Types.declared(program)
        with types.explicit():
            values: Values = dict(zip(program.constvars, self.jaxpr.consts))
            values.update(zip(self.variables, types.entering(leaves)))
            for equation in reversed(equations):
                values.update(bind(program, equation, [read(values, v) for v in equation.invars]))
            found = [jnp.asarray(values[v]) for v in wanted]
        return types.leaving(found)

    def pull(self, leaves: Sequence[jax.Array], wanted: Sequence[core.Var]) -> Pull:
        """The transpose, at these leaves, of the derivative of some values."""
        itself = self._converted
        if all(v in itself for v in wanted):

            def add(cotangents: Sequence[jax.Array]) -> list[jax.Array | None]:
                result: list[jax.Array | None] = [None] * len(leaves)
                for v, c in zip(wanted, cotangents):
                    old = result[itself[v]]
                    result[itself[v]] = c if old is None else old + c
                return result

            return add
        moving = [i for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.inexact)]

        def function(chosen: Sequence[jax.Array]) -> list[jax.Array]:
            merged = list(leaves)
            for i, x in zip(moving, chosen):
                merged[i] = x
            return self.values(merged, wanted)

        outputs, backward = jax.vjp(function, [leaves[i] for i in moving])

        def pull(cotangents: Sequence[jax.Array]) -> list[jax.Array | None]:
            (pulled,) = backward([c.astype(o.dtype) for c, o in zip(cotangents, outputs)])
            result: list[jax.Array | None] = [None] * len(leaves)
            for i, x in zip(moving, pulled):
                result[i] = at_least_float32(x)
            return result

        return pull

    def pull_program(self, own: Sequence[int], wanted: Sequence[core.Var]) -> PullProgram:
        """The same to these leaves, as a program."""
        key = (tuple(own), tuple(wanted))
        if key not in self.programs:
            self.programs[key] = self._pull_program(own, wanted)
        return self.programs[key]

    def pulled(
        self,
        leaves: Sequence[jax.Array],
        own: Sequence[int],
        wanted: Sequence[core.Var],
        cotangents: Sequence[jax.Array],
    ) -> list[jax.Array]:
        """That program at these leaves, of these cotangents."""
        program, _ = self.pull_program(own, wanted)
        typed = [c.astype(aval_of(v).dtype) for c, v in zip(cotangents, wanted)]
        return [at_least_float32(jnp.asarray(x)) for x in core.jaxpr_as_fun(program)(*leaves, *typed)]

    def _pull_program(self, own: Sequence[int], wanted: Sequence[core.Var]) -> PullProgram:

        def function(*args: jax.Array) -> list[jax.Array]:
            leaves, cotangents = list(args[: self.count]), list(args[self.count :])

            def of_own(chosen: Sequence[jax.Array]) -> list[jax.Array]:
                merged = list(leaves)
                for i, x in zip(own, chosen):
                    merged[i] = x
                return self.values(merged, wanted)

            pulled: list[jax.Array] = jax.vjp(of_own, [leaves[i] for i in own])[1](cotangents)[0]
            return pulled

        inputs = [shape_like(aval_of(v)) for v in (*self.variables, *wanted)]
        levels = [Level.PARAMETER] * self.count + [Level.EXAMPLE] * len(wanted)
        return flatten(jax.make_jaxpr(function)(*inputs), levels), levels

    @property
    def _converted(self) -> Mapping[core.Var, int]:
        """Values that are a leaf itself, at most in another floating-point type."""
        found = {v: i for i, v in enumerate(self.variables)}
        for equation in self.jaxpr.jaxpr.eqns:
            if operation(equation) == "convert_element_type" and all(map(is_floating, equation.outvars)):
                leaves = [found[v] for v in variables(equation.invars) if v in found]
                found.update(zip(equation.outvars, leaves))
        return found


def touched(cotangent: ArrayLike | None) -> jax.Array:
    """Of a leaf in which the values are differentiable."""
    assert cotangent is not None
    return jnp.asarray(cotangent)
