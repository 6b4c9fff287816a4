"""The exact twin of any loss: its jaxpr over a ring, and then the polynomial alone.

Where an example is polynomial in coordinates of its law the loss is run once, on the weights and these coordinates as
variables. Of rows, where they are fewer than the monomials in an example, or where the loss compares or indexes by what is in
them, it is run row by row on numbers: with the polynomials l_i(w) of n rows,

    l_i(w) = lbar(w) + sum_j psi_ij e_j(w),      lbar = sum_i p_i l_i,

by a rank factorisation of the matrix of their coefficients less lbar (those of no weight left out): the rows (psi_i1, ...,
psi_ir) stand for the examples. Source: derived here; proofs/features-of-a-batch.md has the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

from linvar.exact import Matrix, Rational
from linvar.flint import fmpq, fmpq_mat
from linvar.laws.law import Law
from linvar.models.loss import LossModel, numbers, reading
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, Exponents, Ring, to_fmpq, to_rational
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.polynomial.model import PolynomialModel


def exact_loss(problem: Problem, law: ExactLaw, model: LossModel) -> PolynomialModel:
    """The twin of a loss in a problem."""
    found, loss = _read(model, problem.law, law)
    return PolynomialModel(problem, found, loss=loss)


@lru_cache(maxsize=16)
def _read(model: LossModel, statement: Law, law: ExactLaw) -> tuple[ExactLaw, Element]:
    """The loss as an element of ``Ring(weights + width of the law, symbols)``, and that law."""
    found, rows = reading(model, statement), statement.examples
    count = sum(model.shape.sizes)
    if rows is not None and (found.in_example is None or len(rows) <= _monomials(law.width, found.in_example)):
        return _by_rows(model, statement, [numbers(row) for row in rows], count)
    ring = Ring(count + law.width, law.symbols)
    z = ring.gens[count:]
    example = [
        sum((z[a] * ring.lift(e) for a, e in enumerate(row) if e != 0), ring.zero)
        for row in (*law.input_map, *law.target_map)
    ]
    value = model.program(statement).run(ring.gens[:count], example)
    return law, ring.zero + value


def _monomials(width: int, degree: int) -> int:
    """Of degree 1 to ``degree`` in so many coordinates."""
    return comb(width + degree, degree) - 1


def _by_rows(model: LossModel, statement: Law, rows: Sequence[Sequence[fmpq]], count: int) -> tuple[ExactLaw, Element]:
    """lbar + sum_j z_j e_j, and the law of z = psi."""
    ring, program = Ring(count), model.program(statement)
    losses = [ring.zero + program.run(ring.gens, row) for row in rows]
    mean = sum((loss * to_fmpq(share) for loss, share in zip(losses, statement.shares)), ring.zero)
    terms = [dict((loss - mean).terms()) for loss in losses]
    keys = sorted({key for part in terms for key in part if any(key)})
    zero = fmpq(0)
    psi: Matrix = ((Rational(0),),) * len(rows)  # where no weight meets what varies
    directions: list[dict[Exponents, fmpq]] = []
    if keys:  # each of them is in some row, so that the rank is at least 1
        table = fmpq_mat([[part.get(key, zero) for key in keys] for part in terms])
        reduced, rank = table.rref()
        pivots = [next(k for k in range(len(keys)) if reduced[j, k]) for j in range(rank)]
        psi = tuple(tuple(to_rational(table[i, k]) for k in pivots) for i in range(len(rows)))
        directions = [{key: reduced[j, k] for k, key in enumerate(keys) if reduced[j, k]} for j in range(rank)]
    relabelled = exact_law(statement.relabelled(psi))
    whole = Ring(count + relabelled.width)
    units = whole.gens[count:]
    loss = whole.from_terms(dict(mean.terms()))
    for unit, direction in zip(units, directions):
        loss = loss + unit * whole.from_terms(direction)
    return relabelled, loss
