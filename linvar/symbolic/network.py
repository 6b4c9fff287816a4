"""The linear network over any ring: products of matrices, and steps of SGD.

With A_l = W_L ... W_{l+1} and B_l = W_{l-1} ... W_1 the batch gradient of layer l is G_l = A_l^T R B_l^T, where
R = (1/b) sum (P x - y) x^T is the end-to-end gradient: every layer's gradient is a linear image of that one matrix.
Entries are anything with + and *; matrices are lists of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from linvar.exact import Exact
from linvar.problem import Problem

Matrix = Sequence[Sequence[Any]]


def product(a: Matrix, b: Matrix) -> list[list[Any]]:
    """Matrix product; zero entries are skipped."""
    zero = a[0][0] * 0
    columns = [[(k, entry) for k, entry in enumerate(column) if entry != 0] for column in zip(*b)]
    return [[sum((row[k] * entry for k, entry in column if row[k] != 0), zero) for column in columns] for row in a]


def transpose(a: Matrix) -> list[list[Any]]:
    """Transpose."""
    return [list(column) for column in zip(*a)]


def subtract(a: Matrix, b: Matrix) -> list[list[Any]]:
    """Entrywise difference."""
    return [[x - y for x, y in zip(first, second)] for first, second in zip(a, b)]


def add_scaled(a: Matrix, b: Matrix, factor: Any) -> list[list[Any]]:
    """a + factor b; zero entries of b are skipped."""
    return [[x + factor * y if y != 0 else x for x, y in zip(first, second)] for first, second in zip(a, b)]


def squared_norm(a: Matrix) -> Any:
    """Sum of the squared entries (Frobenius norm, squared)."""
    return sum((x * x for row in a for x in row if x != 0), a[0][0] * 0)


def surroundings(weights: Sequence[Matrix]) -> tuple[list[Matrix | None], list[Matrix | None]]:
    """(A_1..A_L, B_1..B_L): the products above and below each layer; None stands for the identity."""
    above: list[Matrix | None] = [None]
    for matrix in reversed(weights[1:]):
        above.append(matrix if above[-1] is None else product(above[-1], matrix))
    below: list[Matrix | None] = [None]
    for matrix in weights[:-1]:
        below.append(matrix if below[-1] is None else product(matrix, below[-1]))
    return above[::-1], below


def end_to_end(weights: Sequence[Matrix]) -> Matrix:
    """P = W_L ... W_1."""
    result = weights[0]
    for matrix in weights[1:]:
        result = product(matrix, result)
    return result


def residual_map(weights: Sequence[Matrix], input_map: Matrix, target_map: Matrix) -> Matrix:
    """Q = P X - Y: the residual P x - y of an example z is Q z."""
    return subtract(product(end_to_end(weights), input_map), target_map)


def layer_gradients(weights: Sequence[Matrix], end_to_end_gradient: Matrix) -> list[Matrix]:
    """G_l = A_l^T R B_l^T for l = 1..L."""
    result = []
    for above, below in zip(*surroundings(weights)):
        gradient = end_to_end_gradient if above is None else product(transpose(above), end_to_end_gradient)
        result.append(gradient if below is None else product(gradient, transpose(below)))
    return result


@dataclass(frozen=True)
class State:
    """What SGD carries from step to step.

    Attributes:
        weights: W_1, ..., W_L.
        momenta: the same shapes; empty where the problem has no momentum.
    """

    weights: Sequence[Matrix]
    momenta: Sequence[Matrix] = ()


class Update:
    """The steps of SGD of a problem, over a ring, in the conventions of optax.

    With the batch gradient G_l: the decayed gradient is D_l = G_l + weight_decay W_l, the momentum M_l' = D_l + momentum M_l
    (zero at the start), the direction M_l', with Nesterov D_l + momentum M_l', and W_l' = W_l - learning_rate * direction.
    """

    def __init__(self, problem: Problem, ring: Any) -> None:
        self.problem = problem
        self.ring = ring
        self._momentum = ring.lift(problem.momentum)
        self._decay = ring.lift(problem.weight_decay)

    def start(self) -> State:
        """The initial weights, at rest."""
        weights = [[[self.ring.lift(entry) for entry in row] for row in matrix] for matrix in self.problem.weights]
        if self.problem.momentum == 0:
            return State(weights)
        zero = self.ring.lift(0)
        return State(weights, [[[zero] * len(row) for row in matrix] for matrix in weights])

    def advance(self, state: State, gradients: Sequence[Matrix], learning_rate: Exact) -> State:
        """The state after an update with these batch gradients, all layers at once."""
        directions, momenta = self.directions(state, gradients)
        rate = self.ring.lift(learning_rate)
        moved = [
            subtract(matrix, [[rate * entry for entry in row] for row in direction])
            for matrix, direction in zip(state.weights, directions)
        ]
        return State(moved, momenta)

    def directions(self, state: State, gradients: Sequence[Matrix]) -> tuple[list[Matrix], list[Matrix]]:
        """What the learning rate multiplies, and the new momenta, from the batch gradients of the loss."""
        if self.problem.weight_decay != 0:
            gradients = [add_scaled(g, matrix, self._decay) for g, matrix in zip(gradients, state.weights)]
        if not state.momenta:
            return list(gradients), []
        momenta: list[Matrix] = [add_scaled(g, m, self._momentum) for g, m in zip(gradients, state.momenta)]
        if not self.problem.nesterov:
            return momenta, momenta
        return [add_scaled(g, m, self._momentum) for g, m in zip(gradients, momenta)], momenta

    def gain(self) -> Any:
        """The factor with which a gradient enters the direction: 1, with Nesterov 1 + momentum."""
        return self._momentum + 1 if self.problem.nesterov else self.ring.lift(1)
