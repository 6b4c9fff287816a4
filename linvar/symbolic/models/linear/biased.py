"""The exact twin of the linear network with biases: a linear network on (x, 1), whose last rows do not move.

So the matrix R carries all the randomness here too (``network``). One layer is a loss of degree 2, whose moments close on
themselves, and a law that does not say what (x, 1) is has no such matrix: there the loss is multiplied out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from linvar.exact import Matrix
from linvar.matrices import Rows, product
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, Ring, sum_elements
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.closure import NOT_CLOSED, Closure
from linvar.symbolic.models.linear.model import LinearModel
from linvar.symbolic.models.linear.network import BIASED, Network
from linvar.symbolic.models.model import ExactModel
from linvar.symbolic.models.polynomial.model import PolynomialModel, symbols_of


class BiasedModel(LinearModel):
    """x -> W_L (... (W_1 x + c_1) ...) + c_L; its law is that of (x, 1) and y."""

    network: ClassVar[Network] = BIASED

    @property
    def layers(self) -> tuple[Matrix, ...] | None:
        """It is no product of matrices."""
        return None

    @cached_property
    def closure(self) -> Closure:
        """It has several layers."""
        return NOT_CLOSED

    @property
    def widths(self) -> tuple[int, ...]:
        """Each with the 1 beside it, but the last."""
        *inner, outputs = self.problem.widths
        return (*(width + 1 for width in inner), outputs)

    # gradients have terms of every degree up to 2L - 1, as those of any loss

    def monomials(self, variables: Sequence[int], central: Sequence[bool], factors: int) -> int:
        """As of any loss."""
        return ExactModel.monomials(self, variables, central, factors)

    def answer_terms(self, variables: Sequence[int]) -> int:
        """As of any loss."""
        return ExactModel.answer_terms(self, variables)

    def kept_in_symbols(self, order: int) -> tuple[int, int]:
        """As of any loss."""
        return ExactModel.kept_in_symbols(self, order)


def exact_biased(problem: Problem, law: ExactLaw) -> ExactModel:
    """The twin of a network with biases in a problem."""
    extended = problem.law.with_constant()
    if problem.depth == 1 or extended is None:
        return PolynomialModel(problem, law, loss=_loss(problem, law))
    return BiasedModel(problem, exact_law(extended))


def _loss(problem: Problem, law: ExactLaw) -> Element:
    """1/2 ||W_L (... (W_1 x + c_1) ...) + c_L - y||^2, multiplied out."""
    count = sum(len(matrix) * len(matrix[0]) for matrix in problem.leaves)
    ring = Ring(count + law.width, symbols_of(problem, law))
    entries, z = iter(ring.gens), ring.gens[count:]
    at = [[[next(entries) for _ in row] for row in matrix] for matrix in problem.leaves]

    def column(rows: Matrix) -> Rows[Element]:
        """A linear image of the coordinates."""
        return [[sum_elements(ring, (z[a] * ring.lift(e) for a, e in enumerate(row) if e != 0))] for row in rows]

    value = column(law.input_map)
    for matrix, bias in zip(at[::2], at[1::2]):
        value = [[entry + c] for (entry,), (c,) in zip(product(matrix, value), bias)]
    misfit = [a - b for (a,), (b,) in zip(value, column(law.target_map))]
    return sum_elements(ring, (entry * entry for entry in misfit)) / 2


_: type[ExactModel] = BiasedModel
