"""The variables of each step: which linear functionals of its batch moment S_z the step needs.

They are the entries of S_z X^T in general; at step 0, where the weights are fixed numbers, a basis of the span of the
entries of R_0, when it is smaller (d_L d_0 of them at most: that is what lets real data through).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import fmpq_mat

from linvar.exact import Matrix, Rational
from linvar.problem import Problem
from linvar.symbolic import network
from linvar.symbolic.batch_moments import unit_form
from linvar.symbolic.ring import to_fmpq, to_rational


@dataclass(frozen=True)
class Step:
    """The batch of one step: which functionals of S_z are its variables, and R's functionals in terms of them."""

    forms: Sequence[Matrix]
    #: step 0 only, when a basis of R_0 is used: R_0[i][j] as coefficients of the variables
    gradient: tuple[tuple[tuple[Rational, ...], ...], ...] | None = None


@dataclass(frozen=True)
class UnitForms(Sequence[Matrix]):
    """The forms of entries of S_z, made one by one: all of them are too many where there are hundreds of inputs."""

    size: int
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return UnitForms(self.size, self.pairs[place])
        return unit_form(self.size, *self.pairs[place])


def step_kinds(problem: Problem) -> tuple[Step, Step]:
    """The variables of step 0, and of every later step.

    Where the gradient vanishes whatever the batch and stays so (a perfect fit without weight decay, or zero weights above
    and below every layer), no step has variables.
    """
    general = Step(UnitForms(_size(problem), tuple(needed_pairs(problem))))
    first = _first_step(problem, general)
    still = Step((), ((((),) * problem.widths[0]),) * problem.widths[-1])
    fitted = not first.forms and problem.weight_decay == 0
    unmoved = not any(problem.distinct_learning_rates) and problem.momentum == 0
    if fitted or unmoved or _vanishes(problem):
        return still, still
    return first if first.forms else still, general


def steps_of(problem: Problem) -> list[Step]:
    """The variables of steps 0..t-1."""
    if not problem.step:
        return []
    first, general = step_kinds(problem)
    return [first if s == 0 else general for s in range(problem.step)]


def _vanishes(problem: Problem) -> bool:
    """Is A_l^T R B_l^T = 0 for every R and l?"""

    def zero(matrix: network.Matrix | None) -> bool:
        return matrix is not None and not any(entry != 0 for row in matrix for entry in row)

    return all(zero(above) or zero(below) for above, below in zip(*network.surroundings(problem.weights)))


def _size(problem: Problem) -> int:
    """m, the dimension of z."""
    return len(problem.law.input_map[0])


def needed_pairs(problem: Problem) -> list[tuple[int, int]]:
    """Entries (row <= column) of S_z that occur in S_z X^T."""
    columns = {c for row in problem.law.input_map for c, entry in enumerate(row) if entry != 0}
    size = _size(problem)
    return [(a, c) for a in range(size) for c in range(a, size) if a in columns or c in columns]


def _first_step(problem: Problem, general: Step) -> Step:
    """A basis of the functionals in R_0 = Q_0 S_z X^T, if the weights and teacher are numbers and it is smaller."""
    entries = [e for matrix in (*problem.weights, problem.law.target_map) for row in matrix for e in row]
    if not all(isinstance(entry, Rational) for entry in entries):
        return general
    residual = network.residual_map(problem.weights, problem.law.input_map, problem.law.target_map)
    inputs = problem.law.input_map
    pairs = needed_pairs(problem)
    places = {pair: place for place, pair in enumerate(pairs)}
    width = len(inputs)
    matrix = fmpq_mat(len(pairs), len(residual) * width)
    for r, row in enumerate(residual):
        for i, column in enumerate(inputs):
            for c, second in enumerate(column):
                for a, first in enumerate(row) if second != 0 else ():
                    if first != 0:
                        place = places[min(a, c), max(a, c)], r * width + i
                        matrix[place] += to_fmpq(first * second)
    reduced, rank = matrix.rref()
    if rank >= len(pairs):
        return general
    pivots = [next(j for j in range(matrix.ncols()) if reduced[i, j] != 0) for i in range(rank)]
    size = _size(problem)
    basis = tuple(_symmetric_product(residual[j // width], inputs[j % width], size) for j in pivots)
    gradient = tuple(
        tuple(tuple(to_rational(reduced[i, r * width + c]) for i in range(rank)) for c in range(width))
        for r in range(len(residual))
    )
    return Step(basis, gradient)


def _symmetric_product(row: Sequence[Any], column: Sequence[Any], size: int) -> Matrix:
    """(row column^T + column row^T) / 2: the form of row S column^T."""
    return tuple(
        tuple(Rational((row[a] * column[c] + row[c] * column[a]) / 2) for c in range(size)) for a in range(size)
    )


def end_to_end_gradient(
    problem: Problem, step: Step, weights: Sequence[network.Matrix], variables: Sequence[Any], ring: Any
) -> network.Matrix:
    """The end-to-end gradient R = Q S_z X^T of a step in its variables, over any ring."""
    zero = ring.lift(0)
    if step.gradient is not None:
        return [
            [sum((v * ring.lift(c) for c, v in zip(entry, variables) if c), zero) for entry in row]
            for row in step.gradient
        ]
    size = _size(problem)
    moment = [[zero] * size for _ in range(size)]
    for (a, c), variable in zip(needed_pairs(problem), variables):
        moment[a][c] = moment[c][a] = variable
    inputs, targets = (
        [[ring.lift(entry) for entry in row] for row in matrix]
        for matrix in (problem.law.input_map, problem.law.target_map)
    )
    residual = network.residual_map(weights, inputs, targets)
    return network.product(network.product(residual, moment), network.transpose(inputs))
