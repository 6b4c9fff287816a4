"""The backward pass of a function that has one of its own (``jax.custom_vjp``), as a program, and the products in it.

JAX traces the user's functions: the forward pass leaves residuals r, the backward pass is a program B(r, c) of them and of the
cotangents c of the outputs. Where what it gives for a parameter V is, up to the order of its entries and numbers that
multiply the whole, a sum of products

    dV = sum over terms of rows of h(r) times rows of delta(r, c),

each term acts like a matrix product of V and the example, whatever the forward pass computes: the gradient is the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.evaluation import (
    Atom,
    Values,
    aval_of,
    bind,
    evaluate,
    is_inexact,
    is_variable,
    read,
    shape_of,
    size_of,
    variables,
)
from linvar.numeric.gradients.per_example.flattening import Level, flatten
from linvar.numeric.gradients.per_example.jaxprs import (
    broadcast_axes_of,
    dot_of,
    if_read,
    operation,
    permutation_of,
    primal_of,
    reduced_axes_of,
)
from linvar.numeric.gradients.per_example.meshes import shape_like

#: A rearrangement of an array: its axes in another order, or another shape.
Move: TypeAlias = tuple[str, tuple[int, ...]]
#: Multiplied or divided by a single number.
Scale: TypeAlias = tuple[str, Atom]
_THROUGH = frozenset(("copy", "copy_p", "convert_element_type", "sharding_constraint", "optimization_barrier"))
_RESHAPED = frozenset(("reshape", "squeeze", "expand_dims"))
#: Types whose products JAX takes as they are.
STANDARD = tuple(map(jnp.dtype, (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64)))


class NotAProductError(LookupError):
    """The cotangent of this argument is not a sum of products that are understood."""


@dataclass(frozen=True)
class Side:
    """One factor: which of its axes both share and keep, which are summed over, which are its own."""

    value: Atom
    groups: tuple[int, ...]
    rows: tuple[int, ...]
    own: tuple[int, ...]

    def lengths(self, axes: Sequence[int]) -> tuple[int, ...]:
        """Of these axes."""
        return tuple(shape_of(self.value)[a] for a in axes)


@dataclass(frozen=True)
class Product:
    """One term: the axes (groups, own of h, own of delta) in this ``order`` and shape, then moved; delta is scaled."""

    h: Side
    delta: Side
    order: tuple[int, ...]
    shape: tuple[int, ...]
    moves: tuple[Move, ...]
    scales: tuple[Scale, ...]

    def dtype(self, of: np.dtype) -> np.dtype:
        """Of delta, scaled, for a V of this type: one in which cotangents add up."""
        found = computable(aval_of(self.delta.value).dtype, of)
        for _, by in self.scales:
            found = jnp.promote_types(found, aval_of(by).dtype)
        return jnp.dtype(found)

    def scaled(self, values: Values, of: np.dtype) -> jax.Array:
        """delta."""
        dtype = self.dtype(of)
        result = jnp.asarray(read(values, self.delta.value)).astype(dtype)
        for how, by in self.scales:
            number = jnp.reshape(jnp.asarray(read(values, by), dtype), ())
            result = result / number if how == "div" else result * number
        return result


def computable(dtype: np.dtype, of: np.dtype) -> np.dtype:
    """Integers and numbers of eight bits, whose products JAX does not take as they are, in the type of V, or wider."""
    return dtype if dtype in STANDARD else jnp.promote_types(of, jnp.float32)


@dataclass(frozen=True, eq=False)
class Backward:
    """Forward: the inputs to the outputs and the residuals. Back: residuals and cotangents to those of the moving inputs."""

    forward: core.ClosedJaxpr
    back: core.ClosedJaxpr
    outputs: tuple[core.Var, ...]  # of the equation, those that are used
    moving: tuple[int, ...]  # inputs in which one can differentiate

    @cached_property
    def _makers(self) -> dict[core.Var, core.JaxprEqn]:
        return {v: equation for equation in self.back.jaxpr.eqns for v in equation.outvars}

    @cached_property
    def _of_cotangents(self) -> set[core.Var]:
        """What depends on the cotangents of the outputs."""
        found = set(self.back.jaxpr.invars[len(self.forward.jaxpr.outvars) - len(self.outputs) :])
        for equation in self.back.jaxpr.eqns:
            if any(v in found for v in variables(equation.invars)):
                found.update(equation.outvars)
        return found

    def products(self, position: int) -> list[Product]:
        """The terms of the cotangent of one input.

        Raises:
            NotAProductError: it is something else.
        """
        return self._terms(self.back.jaxpr.outvars[self.moving.index(position)], (), (), ())

    def run_forward(self, inputs: Sequence[ArrayLike]) -> tuple[list[ArrayLike], list[ArrayLike]]:
        """The outputs and the residuals."""
        results: list[ArrayLike] = core.jaxpr_as_fun(self.forward)(*inputs)
        return results[: len(self.outputs)], results[len(self.outputs) :]

    def run_back(
        self, residuals: Sequence[ArrayLike], cotangents: Sequence[ArrayLike], wanted: Sequence[Atom]
    ) -> Values:
        """The values in the backward program that these need; without cotangents where none depends on them."""
        program: core.Jaxpr = self.back.jaxpr
        values: Values = dict(zip(program.constvars, self.back.consts))
        values.update(zip(program.invars, [*residuals, *cotangents]))
        needed, chosen = set(variables(wanted)), set()
        for equation in reversed(program.eqns):
            if needed.intersection(equation.outvars):
                needed.update(variables(equation.invars))
                chosen.add(id(equation))
        evaluate(program, values, lambda equation: id(equation) in chosen)
        return values

    def _terms(
        self, value: Atom, moves: tuple[Move, ...], scales: tuple[Scale, ...], summed: tuple[int, ...]
    ) -> list[Product]:
        """Of a value that is then summed over these axes, rearranged and scaled."""
        if not is_variable(value):
            if not np.any(read({}, value)):
                return []
            raise NotAProductError("a number")
        equation = self._makers.get(value)
        if equation is None:
            raise NotAProductError("an input")
        name, operands = operation(equation), equation.invars
        if name in ("add", "add_any", "sub"):
            first, second = operands
            if shape_of(first) != shape_of(second):
                raise NotAProductError(name)
            minus = ((("mul", _number(-1.0, value)),) if name == "sub" else ()) + scales
            return [*self._terms(first, moves, scales, summed), *self._terms(second, moves, minus, summed)]
        if name == "neg":
            return self._terms(operands[0], moves, (("mul", _number(-1.0, value)), *scales), summed)
        if name in _THROUGH:
            place = equation.outvars.index(value) if name == "optimization_barrier" else 0
            return self._terms(operands[place], moves, scales, summed)
        if name in ("mul", "div"):
            single = [self._single(v) if shape_of(value) != () else None for v in operands]
            for place in (1, 0) if name == "mul" else (1,):
                number = single[place]
                if number is not None and size_of(operands[1 - place]) == size_of(value):
                    try:
                        return self._terms(operands[1 - place], moves, ((name, number), *scales), summed)
                    except NotAProductError:  # a factor of length one
                        continue
        if name == "dot_general":
            return [replace(self._dot(equation, summed), moves=moves, scales=scales)]
        if name == "mul":
            return [replace(self._outer(equation, summed), moves=moves, scales=scales)]
        if summed:
            raise NotAProductError(name)
        if name == "reduce_sum":
            return self._terms(operands[0], moves, scales, reduced_axes_of(equation))
        if name == "transpose":
            return self._terms(operands[0], (("transpose", permutation_of(equation)), *moves), scales, ())
        placed = if_read(broadcast_axes_of, equation)
        if placed is not None and size_of(operands[0]) == 1:
            source = self._single(operands[0])
            if source is not None and not is_variable(source) and not np.any(read({}, source)):
                return []
        if name in _RESHAPED or (placed is not None and size_of(operands[0]) == size_of(value)):
            return self._terms(operands[0], (("reshape", shape_of(value)), *moves), scales, ())
        raise NotAProductError(name)

    def _single(self, value: Atom) -> Atom | None:
        """The one number that fills a value, if one does."""
        while is_variable(value) and size_of(value) > 1:
            equation = self._makers.get(value)
            if equation is None or operation(equation) not in (*_THROUGH, *_RESHAPED, "broadcast_in_dim"):
                return None
            value = equation.invars[0]
        while is_variable(value) and value in self._makers and operation(self._makers[value]) == "broadcast_in_dim":
            value = self._makers[value].invars[0]
        return value

    def _sides(self, one: Side, two: Side) -> tuple[Side, Side, bool]:
        """h and delta, and whether they are in this order."""
        late = [is_variable(side.value) and side.value in self._of_cotangents for side in (one, two)]
        if all(late):
            raise NotAProductError("both factors depend on the cotangents")
        return (two, one, False) if late[0] else (one, two, True)

    def _dot(self, equation: core.JaxprEqn, summed: tuple[int, ...]) -> Product:
        """A matrix product; a sum over its batch axes makes rows of them."""
        dot = dot_of(equation)
        if any(axis >= len(dot.batch[0]) for axis in summed):
            raise NotAProductError("a sum over an axis of one factor")
        sides = []
        for value, contracted, batch in zip(equation.invars, dot.contracted, dot.batch):
            kept = tuple(a for i, a in enumerate(batch) if i not in summed)
            rows = tuple(a for i, a in enumerate(batch) if i in summed) + contracted
            own = tuple(a for a in range(len(shape_of(value))) if a not in (*contracted, *batch))
            sides.append(Side(value, kept, rows, own))
        left, right = sides
        h, delta, kept_order = self._sides(left, right)
        groups, mine, theirs = len(h.groups), len(h.own), len(delta.own)
        order = list(range(groups + mine + theirs))
        if not kept_order:
            order = [*order[:groups], *order[groups + mine :], *order[groups : groups + mine]]
        lengths = [*h.lengths(h.groups), *h.lengths(h.own), *delta.lengths(delta.own)]
        return Product(h, delta, tuple(order), tuple(lengths[i] for i in order), (), ())

    def _outer(self, equation: core.JaxprEqn, summed: tuple[int, ...]) -> Product:
        """Entries multiplied, of factors that are constant along some axes: ``jnp.outer``, and sums of such."""
        out = shape_of(equation.outvars[0])
        if any(shape_of(v) == () for v in equation.invars):
            raise NotAProductError("mul")
        (one, first), (two, second) = (self._spread(v, out) for v in equation.invars)
        long = [axis for axis, length in enumerate(out) if length > 1]
        both = [axis for axis in long if axis in first and axis in second]
        groups = [axis for axis in both if axis not in summed]
        alone = [[axis for axis in long if axis in mine and axis not in both] for mine in (first, second)]
        covered = set(both) | set(alone[0]) | set(alone[1])
        if covered != set(long) or any(axis in summed for own in alone for axis in own):
            raise NotAProductError("mul")
        if groups and not all(alone):
            raise NotAProductError("an entrywise product")
        sides, places = [], []
        for value, mine, own in ((one, first, alone[0]), (two, second, alone[1])):
            kept, own_axes = tuple(mine[axis] for axis in groups), tuple(mine[axis] for axis in own)
            rows = [mine[axis] for axis in both if axis in summed]
            rows += [a for a in range(len(shape_of(value))) if a not in (*kept, *own_axes, *rows)]  # of length one
            sides.append(Side(value, kept, tuple(rows), own_axes))
            places.append(own)
        h, delta, kept_order = self._sides(*sides)
        axes = [*groups, *(places[0] if kept_order else places[1]), *(places[1] if kept_order else places[0])]
        order = sorted(range(len(axes)), key=lambda i: axes[i])
        shape = tuple(length for axis, length in enumerate(out) if axis not in summed)
        return Product(h, delta, tuple(order), shape, (), ())

    def _spread(self, value: Atom, out: tuple[int, ...]) -> tuple[Atom, dict[int, int]]:
        """What a factor was before it was repeated along some axes; its axis for each of the product's that has one."""
        axes = {axis: axis for axis, length in enumerate(shape_of(value)) if length > 1}
        while is_variable(value) and value in self._makers:
            equation = self._makers[value]
            source, placed = equation.invars[0] if equation.invars else value, if_read(broadcast_axes_of, equation)
            if placed is not None:
                back = {to: a for a, to in enumerate(placed) if shape_of(source)[a] > 1}
            elif operation(equation) in _RESHAPED:
                before, after = ([a for a, n in enumerate(shape_of(v)) if n > 1] for v in (source, value))
                if [shape_of(source)[a] for a in before] != [shape_of(value)[a] for a in after]:
                    break
                back = dict(zip(after, before))
            else:
                break
            axes = {axis: back[a] for axis, a in axes.items() if a in back}
            value = source
        return value, axes


def _number(value: float, like: Atom) -> Atom:
    """A number written into the program."""
    dtype = aval_of(like).dtype
    return core.Literal(np.asarray(value, dtype), jax.core.ShapedArray((), dtype))


def backward_of(equation: core.JaxprEqn) -> Backward:
    """Trace the forward and the backward pass of a function that has its own."""
    template: core.Jaxpr = primal_of(equation).jaxpr
    moving = tuple(i for i, v in enumerate(equation.invars) if is_inexact(v))
    trees: list[tuple[jax.tree_util.PyTreeDef, list[core.Var]]] = []

    def forward(*inputs: jax.Array) -> list[jax.Array]:
        used: list[core.Var] = []

        def outputs(chosen: Sequence[jax.Array]) -> list[jax.Array]:
            merged = list(inputs)
            for i, x in zip(moving, chosen):
                merged[i] = x
            found = bind(template, equation, merged)
            used[:] = found
            return list(found.values())

        results, pull = jax.vjp(outputs, [inputs[i] for i in moving])
        residuals, tree = jax.tree.flatten(pull)
        trees.append((tree, used))
        return [*results, *residuals]

    first = jax.make_jaxpr(forward)(*map(_shaped, equation.invars))
    ((tree, used),) = trees

    def back(residuals: Sequence[jax.Array], cotangents: Sequence[jax.Array]) -> list[jax.Array]:
        given = iter(cotangents)
        whole = [next(given) if is_inexact(v) else np.zeros(shape_of(v), jax.dtypes.float0) for v in used]
        (found,) = tree.unflatten(residuals)(whole)
        return list(found)

    left = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in first.out_avals[len(used) :]]
    second = jax.make_jaxpr(back)(left, [_shaped(v) for v in used if is_inexact(v)])
    flat = flatten(second, [Level.CONSTANT] * len(second.jaxpr.invars))
    return Backward(first, flat, tuple(used), moving)


def _shaped(atom: Atom) -> jax.ShapeDtypeStruct:
    return shape_like(aval_of(atom))
