"""Products that are read off the backward pass of a function that has one of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.backward import (
    Backward,
    NotAProductError,
    Product,
    backward_of,
    computable,
)
from linvar.numeric.gradients.per_example.entries import Entry, Layout, Loop, Strategy, by_pairs
from linvar.numeric.gradients.per_example.evaluation import (
    aval_of,
    is_floating,
    is_inexact,
    is_variable,
    read,
    shape_of,
    zeros_like,
)
from linvar.numeric.gradients.per_example.jaxprs import operation

#: The outputs of the function, and what its terms read.
_Seen: TypeAlias = tuple[list[jax.Array], list[jax.Array]]


@dataclass(frozen=True)
class BackwardProduct(Entry):
    """One term of the cotangent of V: h is kept by the forward pass, delta is what the backward pass multiplies it by."""

    program: Backward
    number: int = 0

    kind = "matrix product"

    @property
    def _product(self) -> Product:
        return self.program.products(self.position)[self.number]

    @property
    def like(self) -> jax.core.ShapedArray:
        return aval_of(self._product.delta.value)

    @property
    def local_tap(self) -> jax.ShapeDtypeStruct:
        product = self._product
        return jax.ShapeDtypeStruct(shape_of(product.delta.value), product.dtype(self._dtype))

    @property
    def local_kept(self) -> jax.ShapeDtypeStruct:
        h = self._product.h.value
        return jax.ShapeDtypeStruct(shape_of(h), aval_of(h).dtype)

    @property
    def _dtype(self) -> np.dtype:
        found: np.dtype = aval_of(self.value).dtype
        return found

    @property
    def _rows(self) -> int:
        return math.prod(self._product.h.lengths(self._product.h.rows))

    @property
    def _groups(self) -> int:
        return math.prod(self._product.h.lengths(self._product.h.groups))

    @property
    def contracted(self) -> int:
        return math.prod(self._product.h.lengths(self._product.h.own))

    @property
    def free(self) -> int:
        return math.prod(self._product.delta.lengths(self._product.delta.own))

    @property
    def layout(self) -> Layout:
        """As of a matrix product where every axis of V is one of the product's; else what is done to its entries."""
        product = self._product
        remaining, exact = iter(product.order), len(product.order) == len(product.shape)
        axes = [next(remaining) if exact or length > 1 else -1 for length in product.shape]
        shape = list(product.shape)
        for how, what in product.moves:
            if how == "transpose":
                axes, shape = [axes[a] for a in what], [shape[a] for a in what]
            elif [n for n in shape if n > 1] == [n for n in what if n > 1]:
                long = iter([a for a, n in zip(axes, shape) if n > 1])
                axes, shape = [next(long) if n > 1 else -1 for n in what], list(what)
            else:
                axes = []
                break
        if sorted(axes) != sorted(product.order):
            return product.order, product.shape, *(((how == "transpose"), *what) for how, what in product.moves)
        groups, mine = len(product.h.groups), len(product.h.own)
        placed = tuple(axes.index(i) for i in range(len(axes)))
        return placed[groups : groups + mine], placed[:groups], placed[groups + mine :]

    def inputs(self, kept: jax.Array) -> jax.Array:
        """h."""
        side = self._product.h
        return self._arrange(kept.astype(computable(kept.dtype, self._dtype)), side.groups, side.rows, side.own)

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta, its rows in the order of h's."""
        side = self._product.delta
        return self._arrange(delta, side.groups, side.rows, side.own)

    def weight(self, product: jax.Array) -> jax.Array:
        """The product's axes in order, then what the backward pass does to its entries."""
        term = self._product
        h, delta = term.h, term.delta
        lengths = [*h.lengths(h.groups), *h.lengths(h.own), *delta.lengths(delta.own)]
        outer = product.shape[:-3] + self.mapped
        shaped = product.reshape(*outer, *lengths)
        lead = range(len(outer))
        shaped = jnp.transpose(shaped, [*lead, *(len(outer) + a for a in term.order)]).reshape(*outer, *term.shape)
        for how, what in term.moves:
            if how == "transpose":
                shaped = jnp.transpose(shaped, [*lead, *(len(outer) + a for a in what)])
            else:
                shaped = shaped.reshape(*outer, *what)
        return shaped

    def strategy(self, rows: int, centred: bool) -> Strategy:
        """Pairs of rows, or matrices."""
        return by_pairs(self, rows, centred)

    def run(
        self,
        jaxpr: core.Jaxpr,
        equation: core.JaxprEqn,
        inputs: Sequence[ArrayLike],
        entries: Sequence[Entry],
        taps: Sequence[jax.Array],
    ) -> tuple[dict[core.Var, jax.Array], list[ArrayLike]]:
        """The function with a backward pass that gives every delta as the cotangent of a tap, and else what it gave."""
        program = self.program
        terms = [program.products(entry.position)[entry.number] for entry in entries]
        dtypes = [aval_of(entry.value).dtype for entry in entries]
        given = {entry.position for entry in entries}
        typed = [jnp.asarray(x, aval_of(v).dtype) if not is_variable(v) else x for v, x in zip(equation.invars, inputs)]
        kept, late = [term.h.value for term in terms], [term.delta.value for term in terms]
        late += [by for term in terms for _, by in term.scales]
        passed = {i: v for i, v in zip(program.moving, program.back.jaxpr.outvars) if i not in given}

        def forward(arguments: list[ArrayLike], taps: list[jax.Array]) -> tuple[_Seen, list[ArrayLike]]:
            outputs, residuals = program.run_forward(arguments)
            values = program.run_back(residuals, (), kept)
            return ([jnp.asarray(x) for x in outputs], [jnp.asarray(read(values, v)) for v in kept]), residuals

        def back(residuals: list[ArrayLike], seen: _Seen) -> tuple[list[ArrayLike], list[jax.Array]]:
            cotangents = [c for c, v in zip(seen[0], program.outputs) if is_inexact(v)]
            values = program.run_back(residuals, cotangents, [*passed.values(), *late])
            found = [
                read(values, passed[i]) if i in passed
                else zeros_like(v) if is_inexact(v)
                else np.zeros(shape_of(v), jax.dtypes.float0)
                for i, v in enumerate(equation.invars)
            ]  # fmt: skip
            return found, [term.scaled(values, dtype) for term, dtype in zip(terms, dtypes)]

        @jax.custom_vjp
        def function(arguments: list[ArrayLike], taps: list[jax.Array]) -> _Seen:
            return forward(arguments, taps)[0]

        function.defvjp(forward, back)
        outputs, read_by = function(typed, list(taps))
        return dict(zip(program.outputs, outputs)), list(read_by)


def entries_of(
    value: core.Var, path: tuple[int, ...], position: int, loops: tuple[Loop, ...], equation: core.JaxprEqn
) -> list[Entry] | str:
    """The products in the backward pass of an equation that has its own, or why there are none."""
    if not is_floating(value):
        return ""
    try:
        program = backward_of(equation)
    except Exception as error:  # of any kind: these are the user's functions, for inputs that nobody asks of
        return f"the backward pass of {operation(equation)} cannot be read ({type(error).__name__})"
    try:
        terms = program.products(position)
    except NotAProductError as error:
        if len(shape_of(value)) < 2:
            return ""
        return f"the backward pass of {operation(equation)} gives no product of two arrays ({error})"
    return [BackwardProduct(value, path, position, loops, equation, program, term) for term in range(len(terms))]
