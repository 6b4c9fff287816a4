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

from linvar.errors import DerivationTooLargeError
from linvar.exact import Matrix, Rational
from linvar.flint import fmpq, fmpq_mat
from linvar.laws.law import Law
from linvar.models.loss import LossModel, numbers, reading
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, Ring, to_fmpq, to_rational
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.polynomial.model import PolynomialModel

#: a loss of more terms is not multiplied out: some ten seconds, and a gigabyte
_MOST_TERMS = 2_000_000


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
        each = min(found.terms, _monomials(count, found.degree) + 1)
        _check_terms(len(rows) * each, statement, model)
        return _by_rows(model, statement, [numbers(row) for row in rows], count)
    both = _monomials(count + law.width, found.degree + (found.in_example or 0)) + 1
    _check_terms(min(found.terms, both), statement, model)
    ring = Ring(count + law.width, law.symbols)
    z = ring.gens[count:]
    example = [
        sum((z[a] * ring.lift(e) for a, e in enumerate(row) if e != 0), ring.zero)
        for row in (*law.input_map, *law.target_map)
    ]
    value = model.program(statement).run(ring.gens[:count], example)
    return law, ring.zero + value


def _check_terms(terms: int, statement: Law, model: LossModel) -> None:
    """Refuse a loss that cannot be multiplied out.

    Raises:
        DerivationTooLargeError: it says how many terms it may have.
    """
    if terms > _MOST_TERMS:
        count = f"{terms:.0e}".replace("e+", " times 10^") if terms >= 10**9 else f"{terms:,}"
        words = f"loss {model.function!r} of {statement!r} may have {count} terms when it is multiplied out"
        cure = [("", "fewer weights, inputs or rows"), ("", "a loss of a lower degree")]
        raise DerivationTooLargeError(f"{words}, and {_MOST_TERMS:,} are the most that are tried", cure)


def _monomials(width: int, degree: int) -> int:
    """Of degree 1 to ``degree`` in so many coordinates."""
    return comb(width + degree, degree) - 1


def _by_rows(model: LossModel, statement: Law, rows: Sequence[Sequence[fmpq]], count: int) -> tuple[ExactLaw, Element]:
    """lbar + sum_j z_j e_j, and the law of z = psi."""
    ring, program = Ring(count), model.program(statement)
    losses = [ring.zero + program.run(ring.gens, row) for row in rows]
    mean = sum((loss * to_fmpq(share) for loss, share in zip(losses, statement.shares)), ring.zero)
    psi, directions = _factorised([loss - mean for loss in losses], ring)
    relabelled = exact_law(statement.relabelled(psi))
    whole = Ring(count + relabelled.width)
    loss = mean.project_to_context(whole.context)
    for unit, direction in zip(whole.gens[count:], directions):
        loss = loss + unit * direction.project_to_context(whole.context)
    return relabelled, loss


def _factorised(parts: Sequence[Element], ring: Ring) -> tuple[Matrix, list[Element]]:
    """l_i - lbar = sum_j psi_ij e_j up to numbers: the rows psi_i, of coefficients of l_i - lbar, and the polynomials e_j.

    With T the table of coefficients, J its pivots and I independent rows, psi = T[:, J] and e = T[I, J]^-1 T[I, :].
    """
    terms = [dict(zip(part.monoms(), part.coeffs())) for part in parts]
    keys = sorted({key for part in terms for key in part if any(key)})
    if not keys:  # no weight meets what varies
        return ((Rational(0),),) * len(parts), []
    zero, constant = fmpq(0), (0,) * ring.variables
    table = fmpq_mat([[part.get(key, zero) for key in keys] for part in terms])
    pivots = _pivots(table)
    columns = [[table[i, k] for k in pivots] for i in range(len(parts))]
    basis = _pivots(fmpq_mat(columns).transpose())
    inverse = fmpq_mat([columns[i] for i in basis]).inv()
    apart = [parts[i] - terms[i].get(constant, zero) for i in basis]
    directions = [sum((part * inverse[j, k] for k, part in enumerate(apart)), ring.zero) for j in range(len(pivots))]
    return tuple(tuple(map(to_rational, row)) for row in columns), directions


def _pivots(table: fmpq_mat) -> list[int]:
    """The columns of a table that none before them spans."""
    reduced, rank = table.rref()
    found: list[int] = []
    for j in range(rank):
        found.append(next(k for k in range(found[-1] + 1 if found else 0, table.ncols()) if reduced[j, k]))
    return found
