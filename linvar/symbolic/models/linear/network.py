"""The linear network over any ring.

With A_l = W_L ... W_{l+1} and B_l = W_{l-1} ... W_1 the batch gradient of layer l is G_l = A_l^T R B_l^T, where
R = (1/b) sum (P x - y) x^T is the end-to-end gradient: every layer's gradient is a linear image of that one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

from linvar.matrices import Rows, product, subtract, transpose
from linvar.rings import T


def surroundings(weights: Sequence[Rows[T]]) -> tuple[list[Rows[T] | None], list[Rows[T] | None]]:
    """(A_1..A_L, B_1..B_L): the products above and below each layer; None stands for the identity."""
    above: list[Rows[T] | None] = [None]
    for matrix in reversed(weights[1:]):
        above.append(matrix if above[-1] is None else product(above[-1], matrix))
    below: list[Rows[T] | None] = [None]
    for matrix in weights[:-1]:
        below.append(matrix if below[-1] is None else product(matrix, below[-1]))
    return above[::-1], below


def end_to_end(weights: Sequence[Rows[T]]) -> Rows[T]:
    """P = W_L ... W_1."""
    result = weights[0]
    for matrix in weights[1:]:
        result = product(matrix, result)
    return result


def residual_map(weights: Sequence[Rows[T]], input_map: Rows[T], target_map: Rows[T]) -> Rows[T]:
    """Q = P X - Y: the residual P x - y of an example z is Q z."""
    return subtract(product(end_to_end(weights), input_map), target_map)


def layer_gradients(weights: Sequence[Rows[T]], end_to_end_gradient: Rows[T]) -> list[Rows[T]]:
    """G_l = A_l^T R B_l^T for l = 1..L."""
    result = []
    for above, below in zip(*surroundings(weights)):
        gradient = end_to_end_gradient if above is None else product(transpose(above), end_to_end_gradient)
        result.append(gradient if below is None else product(gradient, transpose(below)))
    return result
