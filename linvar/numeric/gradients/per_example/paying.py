"""Norms by the transpose of a function of parameters done to factors, where that pays: counted before it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
from jax.extend import core

from linvar.numeric.gradients.per_example.composite import Seen, norms_of
from linvar.numeric.gradients.per_example.entries import MATERIALISE_COST, Entry
from linvar.numeric.gradients.per_example.evaluation import aval_of, shape_of, size_of
from linvar.numeric.gradients.per_example.factors import (
    EXAMPLES,
    MOST_TERMS,
    Factor,
    Norms,
    NotFactoredError,
    Term,
    fresh_axes,
)
from linvar.numeric.gradients.per_example.jaxprs import call_of, dot_of, if_read
from linvar.numeric.gradients.per_example.meshes import shape_like
from linvar.numeric.gradients.per_example.patterns import pattern_of
from linvar.numeric.gradients.per_example.pull import Parameters
from linvar.numeric.gradients.per_example.transposed import Terms, transposed

#: multiplications that one number read and written costs
PASS_COST = MATERIALISE_COST // 2
#: From all leaves and, of some values, h and delta of every entry and the gradients of those that are taken as they are, to the
#: norms of the gradients of some leaves, None where those are zero; compiled, so that it is traced once.
FactoredNorms: TypeAlias = Callable[
    [Sequence[jax.Array], Sequence[jax.Array], Sequence[jax.Array], Sequence[jax.Array]], list[Norms | None]
]


def _terms_of_values(
    values: Sequence[core.Var],
    entries: Sequence[Entry],
    h: Sequence[jax.Array],
    delta: Sequence[jax.Array],
    direct: dict[core.Var, jax.Array],
) -> list[Terms]:
    """The terms of the gradients by some values: of every entry one, and what is taken as it is."""
    result: list[Terms] = []
    for v in values:
        mine = [(e, x, d) for e, x, d in zip(entries, h, delta) if e.value is v]
        if len(mine) > MOST_TERMS:
            raise NotFactoredError("it meets the example in many places")
        terms = [Seen.of(e.term(x, d)) for e, x, d in mine]
        if v in direct:
            axes = fresh_axes(direct[v].ndim - 1)
            terms.append(Seen.of(Term((Factor(direct[v], (EXAMPLES, *axes)),), axes, direct[v].shape[1:])))
        result.append(tuple(terms))
    return result


def _terms_of_leaves(
    parameters: Parameters,
    own: Sequence[int],
    values: Sequence[core.Var],
    leaves: Sequence[jax.Array],
    cotangents: Sequence[Terms],
) -> list[Terms]:
    """The terms of some leaves' gradients, or others of the same norms, from those of the values that are functions of them."""
    pattern = pattern_of(parameters, own, values)
    if pattern is not None:
        return [tuple(pattern.terms(cotangents[0]))]
    found = transposed(*parameters.pull_program(own, values), leaves, cotangents)
    return [terms if isinstance(terms, tuple) else () for terms in found]  # an array is a leaf's zero


def factored_norms(
    parameters: Parameters,
    own: Sequence[int],
    values: Sequence[core.Var],
    entries: Sequence[Entry],
    direct: Sequence[core.Var],
    examples: int,
) -> FactoredNorms | None:
    """The norms of the gradients of some leaves, if they cost less so than from the gradients themselves.

    Args:
        parameters: the program.
        own: the leaves.
        values: that are functions of them.
        entries: of all values.
        direct: values that are taken as they are.
        examples: how many there will be.
    """
    mine = [entry for entry in entries if entry.value in values]
    taken = [v for v in values if v in direct]
    shapes = [entry.shapes(examples) for entry in mine]
    leaves = [shape_like(aval_of(v)) for v in parameters.variables]
    kept = [shape_like(aval_of(v), (examples, *shape_of(v))) for v in taken]

    @jax.jit
    def norms(
        leaves: Sequence[jax.Array], h: Sequence[jax.Array], delta: Sequence[jax.Array], direct: Sequence[jax.Array]
    ) -> list[Norms | None]:
        found = _terms_of_values(values, mine, h, delta, dict(zip(taken, direct)))
        terms = _terms_of_leaves(parameters, own, values, leaves, found)
        return [norms_of(some) if some else None for some in terms]

    parameters.pull_program(own, values)  # outside of what is traced next
    try:
        traced = norms.trace(leaves, [h for h, _ in shapes], [d for _, d in shapes], kept)
    except NotFactoredError:
        return None
    matrices = sum(entry.cost for entry in mine) + MATERIALISE_COST * sum(size_of(parameters.variables[i]) for i in own)
    return norms if _cost(traced.jaxpr.jaxpr) < examples * matrices else None


def _cost(program: core.Jaxpr) -> int:
    """In multiplications: of every product its own, of every other operation its passes."""
    total = 0
    for equation in program.eqns:
        called = if_read(call_of, equation)
        if called is not None:
            total += _cost(called.jaxpr)
            continue
        product = if_read(dot_of, equation)
        if product is not None:
            shape = shape_of(equation.invars[0])
            total += size_of(equation.outvars[0]) * math.prod(shape[a] for a in product.contracted[0])
        total += PASS_COST * sum(map(size_of, equation.outvars))
    return total
