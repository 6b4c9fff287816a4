"""Entries: the equations through which a parameter's value V acts on an example in a way that can be used.

Each kind (``kinds/``) brings the inputs h and the cotangents delta of one or many iterations to one shape, in which the
gradient of one example with respect to V is, group by group, a sum over rows of outer products:

    h: (examples, groups, rows, contracted)    delta: (examples, groups, rows, free)
    dV = sum over rows of h[row] delta[row]^T: (groups, contracted, free)

A matrix product and a convolution (whose rows are its output positions, h the patch under each) do so directly; a
lookup is a matrix product with one-hot rows, of which only the indices are kept. Iterations of a scan are rows where V
is the same in all of them, groups where every iteration has a V of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.arithmetic import contract
from linvar.numeric.gradients.per_example.evaluation import aval_of, bind
from linvar.numeric.gradients.per_example.factors import EXAMPLES, Factor, NotFactoredError, Term, fresh_axes
from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.meshes import shape_like

if TYPE_CHECKING:
    from linvar.numeric.gradients.per_example.kinds.lookup import Lookup

#: How the gradients of a group of leaves are computed (``groups.py``).
Strategy: TypeAlias = Literal[
    "none", "constant", "outer", "lookup", "gram", "factored", "direct", "materialised", "fallback"
]
#: From the cheapest to the costliest.
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
#: a row of a per-example matrix written and read costs about as much as this many multiplications on it
MATERIALISE_COST = 30
#: h and delta of one or many entries that are alike: (examples, groups, rows, contracted) and (examples, groups, rows, free).
Rows: TypeAlias = tuple[jax.Array, jax.Array]
#: Groups of axes.
Layout: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Loop:
    """A scan around an entry: its length, and whether V is a slice of its own in every iteration."""

    length: int
    mapped: bool


@dataclass(frozen=True)
class Entry:
    """One equation at which V meets the example (see the module docstring)."""

    value: core.Var  # the variable V at the top level
    path: tuple[int, ...]  # the equation: indices from the top level through the bodies of scans
    position: int  # V's place among the equation's inputs
    loops: tuple[Loop, ...]
    equation: core.JaxprEqn

    kind = "entry"
    #: which of several at this place
    number = 0

    @property
    def example_position(self) -> int:
        """The place of the example's value among the equation's inputs."""
        return 1 - self.position

    @property
    def like(self) -> jax.core.ShapedArray:
        """The type of the cotangents of one iteration, with how it varies and is spread over devices."""
        return aval_of(self.equation.outvars[0])

    @property
    def local_tap(self) -> jax.ShapeDtypeStruct:
        """Shape and type of the cotangents of one iteration."""
        output = self.equation.outvars[0]
        return shape_like(aval_of(output))

    @property
    def local_kept(self) -> jax.ShapeDtypeStruct:
        """Shape and type of what is kept of one iteration."""
        h = self.equation.invars[self.example_position]
        return shape_like(aval_of(h))

    @property
    def tap_shape(self) -> tuple[int, ...]:
        """Shape of the cotangents of one example."""
        return tuple(loop.length for loop in self.loops) + tuple(self.local_tap.shape)

    def shapes(self, examples: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
        """Of what is kept of some examples, the equation's own input and its output's cotangents."""
        loops = tuple(loop.length for loop in self.loops)
        h, delta = self.local_kept, self.local_tap
        return h.update(shape=(examples, *loops, *h.shape)), delta.update(shape=(examples, *loops, *delta.shape))

    @property
    def rows(self) -> int:
        """Rows of one example in one group."""
        return math.prod(loop.length for loop in self.loops if not loop.mapped) * self._rows

    @property
    def groups(self) -> int:
        """Groups: products that share no entry of V."""
        return math.prod(self.mapped) * self._groups

    @property
    def mapped(self) -> tuple[int, ...]:
        """Lengths of the loops in which every iteration has a V of its own."""
        return tuple(loop.length for loop in self.loops if loop.mapped)

    def _arrange(self, array: jax.Array, groups: Sequence[int], rows: Sequence[int], rest: Sequence[int]) -> jax.Array:
        """(examples, loops, local axes) -> (examples, groups, rows, rest)."""
        mapped = [1 + i for i, loop in enumerate(self.loops) if loop.mapped]
        fixed = [1 + i for i, loop in enumerate(self.loops) if not loop.mapped]
        first = 1 + len(self.loops)
        order = [mapped + [first + a for a in groups], fixed + [first + a for a in rows], [first + a for a in rest]]
        lengths = [math.prod(array.shape[a] for a in axes) for axes in order]
        return jnp.transpose(array, [0, *itertools.chain(*order)]).reshape(array.shape[0], *lengths)

    # what a kind must know

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Does V, at this place among the inputs of an equation, act on the example in this way?"""
        raise NotImplementedError

    @property
    def _rows(self) -> int:
        """Rows of one iteration."""
        raise NotImplementedError

    @property
    def _groups(self) -> int:
        """Groups of one iteration."""
        raise NotImplementedError

    @property
    def contracted(self) -> int:
        """Length of h[row]."""
        raise NotImplementedError

    @property
    def free(self) -> int:
        """Length of delta[row]."""
        raise NotImplementedError

    @property
    def layout(self) -> Layout:
        """Which axes of V are which: products of entries add up row by row only if they agree in this."""
        raise NotImplementedError

    def inputs(self, kept: jax.Array) -> jax.Array:
        """h of some examples, from the equation's own input."""
        raise NotImplementedError

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta of some examples, from the equation's output."""
        raise NotImplementedError

    def weight(self, product: jax.Array) -> jax.Array:
        """(..., groups, contracted, free) -> (..., *shape of V)."""
        raise NotImplementedError

    # what a kind may know better

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """Itself, if it takes rows of V by keys, so that the strategy "lookup" can have it."""
        return ()

    def strategy(self, rows: int, centred: bool) -> Strategy:
        """Of such entries with so many rows in all, where V is a leaf itself."""
        return "outer" if rows == 1 else "materialised"

    @property
    def cost(self) -> int:
        """Multiplications and copies, in multiplications, to form the gradient of one example."""
        matrix = self.groups * self.contracted * self.free
        return matrix * (self.rows + MATERIALISE_COST) + MATERIALISE_COST * self.copied

    def kept(self, inputs: Sequence[ArrayLike]) -> ArrayLike:
        """What is kept of an equation's inputs: the example's."""
        return inputs[self.example_position]

    def run(
        self,
        jaxpr: core.Jaxpr,
        equation: core.JaxprEqn,
        inputs: Sequence[ArrayLike],
        entries: Sequence[Entry],
        taps: Sequence[jax.Array],
    ) -> tuple[dict[core.Var, jax.Array], list[ArrayLike]]:
        """The equation with the taps of all its entries, of this kind: its outputs, and what each entry reads."""
        outputs = bind(jaxpr, equation, inputs)
        (output,) = equation.outvars
        for tap in taps:
            if output in outputs:  # not if nothing reads it
                outputs[output] = outputs[output] + tap
        return outputs, [entry.kept(inputs) for entry in entries]

    @property
    def copied(self) -> int:
        """Numbers of one example that are copied to make h."""
        return 0

    def product(self, rows: Rows) -> jax.Array:
        """Per-example gradients of V from the rows of some entries like this one: (examples, *shape of V)."""
        return self.weight(contract("ngtc,ngtf->ngcf", *rows))

    def total(self, rows: Rows) -> jax.Array:
        """Their sum over the examples: (*shape of V,)."""
        return self.weight(contract("ngtc,ngtf->gcf", *rows))

    def pairs(self, rows: Rows) -> Term:
        """The same gradients as a product of factors, as groups of matrices."""
        groups, row, contracted, free = fresh_axes(4)
        left, right = rows
        factors = (Factor(left, (EXAMPLES, groups, row, contracted)), Factor(right, (EXAMPLES, groups, row, free)))
        return Term(factors, (groups, contracted, free), (self.groups, self.contracted, self.free))

    def term(self, h: jax.Array, delta: jax.Array) -> Term:
        """The same with the axes of V.

        Raises:
            NotFactoredError: if they are not.
        """
        raise NotFactoredError(f"a {self.kind} is not done to factors")


@dataclass(frozen=True)
class _Alike:
    """Entries that agree in this have products that add up row by row."""

    kind: str
    layout: Layout
    mapped: tuple[int, ...]
    groups: int
    contracted: int
    free: int


def alike(entry: Entry) -> _Alike:
    """What entries must agree in for their rows to be put one after another."""
    return _Alike(entry.kind, entry.layout, entry.mapped, entry.groups, entry.contracted, entry.free)


def rows_of(entries: Sequence[Entry], h: Sequence[jax.Array], delta: Sequence[jax.Array]) -> Rows:
    """The rows of entries that are alike, one after another."""
    inputs = [entry.inputs(x) for entry, x in zip(entries, h)]
    cotangents = [entry.cotangents(x) for entry, x in zip(entries, delta)]
    if len(entries) == 1:
        return inputs[0], cotangents[0]
    return jnp.concatenate(inputs, axis=2), jnp.concatenate(cotangents, axis=2)


def by_pairs(entry: Entry, rows: int, centred: bool) -> Strategy:
    """Of a matrix product: pairs of rows, where rows^2 products of h and of delta cost less than matrices."""
    if rows == 1:
        return "outer"
    matrix = entry.contracted * entry.free
    pays = rows * rows * (entry.contracted + entry.free) < MATERIALISE_COST * matrix
    return "gram" if pays and not centred else "materialised"
