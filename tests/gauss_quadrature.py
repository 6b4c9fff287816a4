"""A second road to deeper networks and real batch sizes: Gauss quadrature of the second moment S of a batch, in floats.

For x ~ N(0, C C^T) Bartlett's factor has the law of S, for integers b >= 1 and for real b > d_0 - 1: S = C T T^T C^T / b, with
T lower triangular, its entries independent, T_ii^2 ~ chi^2_{b-i} (i from 0), T_ij ~ N(0, 1) below the diagonal; columns i >= b
vanish (M. S. Bartlett, 1933). The gradient of a noiseless teacher is linear in x x^T: that of a batch is the SUM of the gradients
of the columns of C T / sqrt(b), each propagated forwards and backwards as one example. Nothing of linvar is called; a Problem
is read for its plain data.

A polynomial of degree D in S has degree 2 D in each normal number. Averaged over these it is even in each T_ii, for a change of
sign of a column of T leaves S alone: a polynomial of degree D in T_ii^2. So D + 1 nodes of Gauss-Hermite and D // 2 + 1 of
generalised Gauss-Laguerre are exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import ceil, fsum, prod
from typing import Any

import numpy as np
from mpmath import mp
from oracles import Moments, floats

Rule = tuple[np.ndarray, np.ndarray]  # nodes, and weights that add up to 1
Layers = list[np.ndarray]  # one array a layer: (d_l, d_{l-1}, nodes)

BLOCK = 3072  # nodes of step 0 side by side: so few that arrays of matrices stay in the cache


@cache
def normal_rule(count: int) -> Rule:
    """Gauss-Hermite: exact for z ~ N(0, 1) and polynomials of degree 2 count - 1 in z."""
    return golub_welsch([0] * count, list(range(1, count)))


@cache
def chi_square_rule(freedom: Fraction, count: int) -> Rule:
    """Generalised Gauss-Laguerre: exact for r ~ chi^2_freedom and polynomials of degree 2 count - 1 in r."""
    return golub_welsch(
        [4 * k + freedom for k in range(count)], [2 * k * (2 * k + freedom - 2) for k in range(1, count)]
    )


def golub_welsch(diagonal: Sequence[Any], squares: Sequence[Any]) -> Rule:
    """Nodes and weights from p_{k+1} = (x - diagonal_k) p_k - squares_k p_{k-1}.

    In so many digits that the smallest weights are right to a relative 1e-16: the largest nodes carry the high moments.
    """
    count = len(diagonal)
    with mp.workdps(50 + 4 * count):
        jacobi = mp.zeros(count)
        for k, entry in enumerate(map(Fraction, diagonal)):
            jacobi[k, k] = mp.mpf(entry.numerator) / entry.denominator
        for k, entry in enumerate(map(Fraction, squares)):
            jacobi[k, k + 1] = jacobi[k + 1, k] = mp.sqrt(mp.mpf(entry.numerator) / entry.denominator)
        nodes, vectors = mp.eigsy(jacobi)
        return np.array([float(x) for x in nodes]), np.array([float(x**2) for x in vectors[0, :]])


def bartlett_grid(degree: int, size: int, batch_size: Fraction) -> Rule:
    """T / sqrt(b), shape (size, columns, nodes), and weights (nodes,): exact for polynomials of this degree in S."""
    if batch_size <= size - 1 and batch_size.denominator != 1:
        raise ValueError(f"batch_size={batch_size} is no integer and not above d_0 - 1 = {size - 1}: S has no such law")
    columns = min(size, ceil(batch_size))
    below = [(i, j) for j in range(columns) for i in range(j + 1, size)]
    rules = [chi_square_rule(batch_size - j, degree // 2 + 1) for j in range(columns)]
    rules += [normal_rule(degree + 1)] * len(below)
    nodes = [axis.ravel() for axis in np.meshgrid(*[rule[0] for rule in rules], indexing="ij")]
    factor = np.zeros((size, columns, len(nodes[0])))
    for j in range(columns):
        factor[j, j] = np.sqrt(nodes[j])
    for (i, j), values in zip(below, nodes[columns:]):
        factor[i, j] = values
    weights = prod(np.meshgrid(*[rule[1] for rule in rules], indexing="ij")).ravel()
    return factor / float(batch_size) ** 0.5, weights


def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(i, k, nodes) times (k, j, nodes): a matrix product at every node, one node being as good as all."""
    return sum(left[:, k, None] * right[k] for k in range(len(right)))


def transpose(array: np.ndarray) -> np.ndarray:
    """(i, j, nodes) to (j, i, nodes)."""
    return array.swapaxes(0, 1)


def summed_gradients(weights: Layers, teacher: np.ndarray, x: np.ndarray) -> Layers:
    """The gradients of 1/2 ||W_L ... W_1 x - W* x||^2, summed over the columns of x (d_0, columns, nodes)."""
    values = [x]
    for matrix in weights:
        values.append(multiply(matrix, values[-1]))
    error, gradients = values.pop() - multiply(teacher, x), []
    for matrix in reversed(weights):
        gradients.append(multiply(error, transpose(values.pop())))
        error = multiply(transpose(matrix), error)
    return gradients[::-1]


def summed_losses(weights: Layers, teacher: np.ndarray, x: np.ndarray) -> np.ndarray:
    """1/2 ||W_L ... W_1 x - W* x||^2, summed over the columns of x."""
    value = x
    for matrix in weights:
        value = multiply(matrix, value)
    return 0.5 * ((value - multiply(teacher, x)) ** 2).sum((0, 1))


def bartlett_quadrature(problem: Any, batch_size: Any, max_nodes: int = 250_000_000) -> Moments:
    """Moments at a batch size that may be a fraction, for a Gaussian law without mean and noise; exact up to rounding.

    S of step s occurs to the power 2 (2L-1)^(t-s), the measured one (s = t) to the power 2. All nodes of step 0 are
    side by side in an array; the nodes of the other steps are visited one by one.
    """
    law, batch_size = problem.law, Fraction(batch_size)
    if any(law.mean) or law.noise_variance or problem.momentum or problem.weight_decay:
        raise ValueError("this quadrature is for plain SGD, inputs without mean, and targets without noise")
    root = np.linalg.cholesky(floats(law.covariance))[..., None]
    teacher = floats(law.teacher)[..., None]
    start = [floats(matrix)[..., None] for matrix in problem.weights]
    odd = 2 * len(start) - 1
    grids = [bartlett_grid(2 * odd ** (problem.step - s), len(root), batch_size) for s in range(problem.step + 1)]
    grids = [(multiply(root, factor), chances) for factor, chances in grids]
    if prod(len(chances) for _, chances in grids) > max_nodes:
        raise ValueError(f"quadrature of {problem!r} at batch_size={batch_size} takes more than {max_nodes} nodes")

    def points(s: int) -> Iterator[tuple[np.ndarray, Any]]:
        """Columns and weights of step s: blocks of nodes for step 0, one node at a time for the others."""
        (x, chances), size = grids[s], BLOCK if s == 0 else 1
        return ((x[..., k : k + size], chances[k : k + size]) for k in range(0, len(chances), size))

    # one row for every block: summed exactly at the end, for a total would lose the many parts below its last digit
    losses: list[float] = []
    second: list[list[float]] = []  # of each layer
    means: list[np.ndarray] = []  # of each entry

    def visit(weights: Layers, probability: np.ndarray, s: int) -> None:
        """Add what the states at step s give."""
        if s == problem.step:
            losses.append(float((probability * summed_losses(weights, teacher, root)).sum()))
        for x, chances in points(s):
            gradients, joint = summed_gradients(weights, teacher, x), probability * chances
            if s < problem.step:
                rate = float(problem.learning_rates[s])
                visit([matrix - rate * gradient for matrix, gradient in zip(weights, gradients)], joint, s + 1)
                continue
            weighted = [joint * gradient for gradient in gradients]
            means.append(np.concatenate([one.sum(-1).ravel() for one in weighted]))
            second.append([float((a * b).sum()) for a, b in zip(weighted, gradients)])

    visit(start, np.ones(1), 0)
    layer = np.repeat(np.arange(len(start)), [matrix.size for matrix in start])
    squares = np.array([fsum(entry) ** 2 for entry in zip(*means)])
    norms = tuple(float(squares[layer == l].sum()) for l in range(len(start)))
    return Moments(tuple(map(fsum, zip(*second))), norms, fsum(losses))
