"""The linear network over any ring, with biases or without.

With A_l = W_L ... W_{l+1} and B_l = W_{l-1} ... W_1 the batch gradient of layer l is G_l = A_l^T R B_l^T, where
R = (1/b) sum (P x - y) x^T is the end-to-end gradient: every layer's gradient is a linear image of that one matrix.

With biases, x -> W_l x + c_l, the inputs are (x, 1): P is [P | p], and so is R. What comes out below layer l is H_l (x, 1),
H_1 = [I | 0] and H_{l+1} = W_l H_l + [0 | c_l]; the gradients are A_l^T R H_l^T of W_l, and A_l^T R (0, ..., 0, 1)^T of c_l.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from linvar.matrices import Rows, product, subtract, transpose
from linvar.rings import T

#: A and B of every leaf, whose gradient is A^T R B^T; None stands for the identity
Surroundings = tuple[list["Rows[T] | None"], list["Rows[T] | None"]]


class Network:
    """W_1, ..., W_L; each is a leaf."""

    def surroundings(self, weights: Sequence[Rows[T]]) -> Surroundings[T]:
        """(A_1..A_L, B_1..B_L): the products above and below each layer."""
        below: list[Rows[T] | None] = [None]
        for matrix in weights[:-1]:
            below.append(matrix if below[-1] is None else product(matrix, below[-1]))
        return _above(weights), below

    def end_to_end(self, weights: Sequence[Rows[T]]) -> Rows[T]:
        """P = W_L ... W_1."""
        result = weights[0]
        for matrix in weights[1:]:
            result = product(matrix, result)
        return result

    def residual_map(self, weights: Sequence[Rows[T]], input_map: Rows[T], target_map: Rows[T]) -> Rows[T]:
        """Q = P X - Y: the residual P x - y of an example z is Q z."""
        return subtract(product(self.end_to_end(weights), input_map), target_map)

    def gradients(self, weights: Sequence[Rows[T]], end_to_end_gradient: Rows[T]) -> list[Rows[T]]:
        """A^T R B^T of every leaf."""
        result = []
        for above, below in zip(*self.surroundings(weights)):
            gradient = end_to_end_gradient if above is None else product(transpose(above), end_to_end_gradient)
            result.append(gradient if below is None else product(gradient, transpose(below)))
        return result


class WithBiases(Network):
    """W_1, c_1, ..., W_L, c_L; each is a leaf, and c_l a column. The inputs end with 1."""

    def surroundings(self, weights: Sequence[Rows[T]]) -> Surroundings[T]:
        """(A_1, A_1, ..., A_L, A_L), (H_1, (0, ..., 0, 1), ..., H_L, (0, ..., 0, 1))."""
        inputs = len(weights[0][0])
        # zeros and ones of the integers, which every ring multiplies by
        first = cast("Rows[T]", [[int(i == j) for j in range(inputs + 1)] for i in range(inputs)])
        last = cast("Rows[T]", [[0] * inputs + [1]])
        below: list[Rows[T] | None] = [first, last]
        so_far: Rows[T] | None = None
        for matrix, bias in zip(weights[:-2:2], weights[1:-2:2]):
            so_far = _after(matrix, bias, so_far)
            below += [so_far, last]
        return [above for above in _above(weights[::2]) for _ in range(2)], below

    def end_to_end(self, weights: Sequence[Rows[T]]) -> Rows[T]:
        """[P | p]: the network is x -> P x + p."""
        result: Rows[T] | None = None
        for matrix, bias in zip(weights[::2], weights[1::2]):
            result = _after(matrix, bias, result)
        assert result is not None
        return result


def _above(matrices: Sequence[Rows[T]]) -> list[Rows[T] | None]:
    """A_1, ..., A_L."""
    above: list[Rows[T] | None] = [None]
    for matrix in reversed(matrices[1:]):
        above.append(matrix if above[-1] is None else product(above[-1], matrix))
    return above[::-1]


def _after(matrix: Rows[T], bias: Rows[T], before: Rows[T] | None) -> Rows[T]:
    """W H + [0 | c]; of the first layer, [W | c]."""
    if before is None:
        return [[*row, c] for row, (c,) in zip(matrix, bias)]
    return [[*row[:-1], row[-1] + c] for row, (c,) in zip(product(matrix, before), bias)]


LINEAR, BIASED = Network(), WithBiases()
