"""Second roads to every number of the exact half: enumeration, quadrature in fractions and in floats, simulation.

Nothing of linvar is called; a Problem is read for its plain data only. Gradients come from propagating every example
forwards and backwards through the layers, never from the end-to-end gradient; expectations are sums over batches.
The batch gradient is the MEAN over b examples of the gradient of 1/2 ||P x - y||^2, given the initial weights only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np

Rows = tuple[tuple[Fraction, ...], ...]
Network = tuple[Rows, ...]  # one matrix a layer: weights, or a gradient
Example = tuple[tuple[Fraction, ...], tuple[Fraction, ...]]
Batch = tuple[tuple[Example, ...], Fraction]  # the examples, and the probability


@dataclass(frozen=True)
class Moments:
    """E ||G_l||^2 and ||E G_l||^2 of each layer, W_1 first, and E of the population loss at step t (factor 1/2)."""

    second_moments: tuple[Any, ...]
    squared_means: tuple[Any, ...]
    expected_loss: Any

    @property
    def variances(self) -> tuple[Any, ...]:
        """The variance of each layer."""
        return tuple(a - b for a, b in zip(self.second_moments, self.squared_means))

    @property
    def second_moment(self) -> Any:
        """Summed over layers."""
        return sum(self.second_moments)

    @property
    def squared_mean(self) -> Any:
        """Summed over layers."""
        return sum(self.squared_means)

    @property
    def variance(self) -> Any:
        """Summed over layers."""
        return sum(self.variances)


# exact: fractions


def fractions(matrix: Sequence[Sequence[Any]]) -> Rows:
    """Rows of plain Fractions."""
    return tuple(tuple(Fraction(entry) for entry in row) for row in matrix)


def example_gradient(weights: Network, example: Example) -> Network:
    """The gradient of 1/2 ||W_L ... W_1 x - y||^2 in every layer, by propagation forwards and backwards."""
    x, y = example
    values = [x]
    for matrix in weights:
        values.append(tuple(sum((w * h for w, h in zip(row, values[-1])), Fraction(0)) for row in matrix))
    error = tuple(h - target for h, target in zip(values.pop(), y))
    gradients = []
    for matrix in reversed(weights):
        below = values.pop()
        gradients.append(tuple(tuple(e * h for h in below) for e in error))
        error = tuple(sum((w * e for w, e in zip(column, error)), Fraction(0)) for column in zip(*matrix))
    return tuple(reversed(gradients))


def example_loss(weights: Network, example: Example) -> Fraction:
    """1/2 ||W_L ... W_1 x - y||^2."""
    value, y = example
    for matrix in weights:
        value = tuple(sum((w * h for w, h in zip(row, value)), Fraction(0)) for row in matrix)
    return sum(((h - target) ** 2 for h, target in zip(value, y)), Fraction(0)) / 2


def combine(terms: Sequence[tuple[Fraction, Network]]) -> Network:
    """sum_i c_i N_i, entry by entry."""
    factors = [factor for factor, _ in terms]
    return tuple(
        tuple(
            tuple(sum((c * entry for c, entry in zip(factors, entries)), Fraction(0)) for entries in zip(*rows))
            for rows in zip(*layers)
        )
        for layers in zip(*(network for _, network in terms))
    )


def all_batches(examples: Sequence[Example], batch_size: int, sampling: str) -> list[Batch]:
    """Every batch with its probability: multisets if iid, subsets if without replacement."""
    uniform = Fraction(1, len(examples))
    if sampling == "without_replacement":
        chosen = list(combinations(examples, batch_size))
        return [(batch, Fraction(1, len(chosen))) for batch in chosen]
    return weighted_batches([(example, uniform) for example in examples], batch_size)


def weighted_batches(examples: Sequence[tuple[Example, Fraction]], batch_size: int) -> list[Batch]:
    """Every multiset of b examples, its multinomial number of orders times the product of the probabilities."""
    result = []
    for rows in combinations_with_replacement(range(len(examples)), batch_size):
        orders = factorial(batch_size) // prod(factorial(rows.count(row)) for row in set(rows))
        probability = orders * prod((examples[row][1] for row in rows), start=Fraction(1))
        result.append((tuple(examples[row][0] for row in rows), probability))
    return result


def batch_gradient(weights: Network, batch: Sequence[Example], known: dict[Example, Network]) -> Network:
    """The mean of the gradients of the examples; ``known`` remembers those at these weights."""
    for example in batch:
        if example not in known:
            known[example] = example_gradient(weights, example)
    return combine([(Fraction(1, len(batch)), known[example]) for example in batch])


def optax_step(
    problem: Any, weights: Network, momenta: Network, gradient: Network, rate: Fraction
) -> tuple[Network, Network]:
    """Weights and momenta after one step of optax.chain(add_decayed_weights, sgd(rate, momentum, nesterov))."""
    mu, decay = Fraction(problem.momentum), Fraction(problem.weight_decay)
    decayed = combine([(Fraction(1), gradient), (decay, weights)])
    trace = combine([(Fraction(1), decayed), (mu, momenta)])
    direction = combine([(Fraction(1), decayed), (mu, trace)]) if problem.nesterov else trace
    return combine([(Fraction(1), weights), (-rate, direction)]), trace


def sum_over_batches(
    problem: Any, batches: Callable[[int], list[Batch]], population: list[Batch], of: str = "gradient"
) -> Moments:
    """Sum over every sequence of batches: ``batches(s)`` are those of step s, ``population`` the single examples."""
    start = tuple(map(fractions, problem.weights))
    rest = combine([(Fraction(0), start)])
    state: dict[tuple[Network, Network], Fraction] = {(start, rest): Fraction(1)}
    for s in range(problem.step):
        rate = Fraction(problem.learning_rates[s])
        after: dict[tuple[Network, Network], Fraction] = defaultdict(Fraction)
        for (weights, momenta), probability in state.items():
            known: dict[Example, Network] = {}
            for batch, chance in batches(s):
                gradient = batch_gradient(weights, batch, known)
                moved, trace = optax_step(problem, weights, momenta, gradient, rate)
                after[moved, trace if problem.momentum else rest] += probability * chance
        state = after
    last, depth = batches(problem.step), len(problem.weights)
    second, means, loss = [Fraction(0)] * depth, [], Fraction(0)
    for (weights, momenta), probability in state.items():
        known = {}
        gradients = [(probability * chance, batch_gradient(weights, batch, known)) for batch, chance in last]
        if of == "update":
            rate, back = Fraction(problem.learning_rate), (Fraction(-1), weights)
            moved_by = [(c, optax_step(problem, weights, momenta, gradient, rate)[0]) for c, gradient in gradients]
            gradients = [(c, combine([(Fraction(1), moved), back])) for c, moved in moved_by]
        means.append((Fraction(1), combine(gradients)))
        second = [second[l] + sum(c * squared_norm(gradient[l]) for c, gradient in gradients) for l in range(depth)]
        loss += probability * sum(chance * example_loss(weights, batch[0]) for batch, chance in population)
    return Moments(tuple(second), tuple(map(squared_norm, combine(means))), loss)


def squared_norm(rows: Rows) -> Fraction:
    """Sum of squares."""
    return sum((entry**2 for row in rows for entry in row), Fraction(0))


def enumerate_batches(problem: Any, batch_size: int, of: str = "gradient") -> Moments:
    """Exact moments over every sequence of t + 1 batches of a tiny data set, in Fractions."""
    examples = list(zip(fractions(problem.law.inputs), fractions(problem.law.targets)))
    batches = all_batches(examples, batch_size, problem.sampling)
    return sum_over_batches(problem, lambda step: batches, all_batches(examples, 1, "iid"), of)


def exact_quadrature(problem: Any, batch_size: int) -> Moments:
    """Exact moments for a Gaussian law, in Fractions: rational nodes whose weights reproduce every moment needed.

    An input of step s occurs to the power 4 (2L-1)^(t-s) at most, its noise to half of that. Interpolatory rules on
    equally spaced nodes have weights of both signs, which an exact sum does not mind.
    """
    degrees = [4 * (2 * len(problem.weights) - 1) ** (problem.step - s) for s in range(problem.step + 1)]
    batches = [weighted_batches(gaussian_examples(problem.law, degree), batch_size) for degree in degrees]
    return sum_over_batches(problem, lambda step: batches[step], weighted_batches(gaussian_examples(problem.law, 4), 1))


def gaussian_examples(law: Any, degree: int) -> list[tuple[Example, Fraction]]:
    """Weighted examples with the moments of the law up to ``degree`` in each input, half of it in each noise."""
    mean, teacher = tuple(map(Fraction, law.mean)), fractions(law.teacher)
    lower, variances = ldl(fractions(law.covariance))
    noise_rule = normal_rule(Fraction(law.noise_variance), degree // 2)
    result = []
    for nodes in product(*(normal_rule(variance, degree) for variance in variances), *[noise_rule] * len(teacher)):
        free, noise = [z for z, _ in nodes[: len(mean)]], [z for z, _ in nodes[len(mean) :]]
        x = tuple(m + sum(a * z for a, z in zip(row, free)) for m, row in zip(mean, lower))
        y = tuple(sum((w * h for w, h in zip(row, x)), e) for row, e in zip(teacher, noise))
        result.append(((x, y), prod((weight for _, weight in nodes), start=Fraction(1))))
    return result


def ldl(sigma: Rows) -> tuple[Rows, list[Fraction]]:
    """Unit lower triangular ``lower`` and variances with sigma = lower diag(variances) lower^T."""
    size = len(sigma)
    lower = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    variances: list[Fraction] = []
    for j in range(size):
        variances.append(sigma[j][j] - sum(lower[j][k] ** 2 * variances[k] for k in range(j)))
        for i in range(j + 1, size):
            rest = sigma[i][j] - sum(lower[i][k] * lower[j][k] * variances[k] for k in range(j))
            lower[i][j] = rest / variances[j] if variances[j] else Fraction(0)
    return tuple(map(tuple, lower)), variances


def normal_rule(variance: Fraction, degree: int) -> list[tuple[Fraction, Fraction]]:
    """Nodes and weights of sum_i w_i f(z_i) = E f(z), z ~ N(0, variance), for every f of at most this degree (even)."""
    if not variance:
        return [(Fraction(0), Fraction(1))]
    nodes = [Fraction(i) for i in range(-degree // 2, degree // 2 + 1)]
    moments = [0 if k % 2 else variance ** (k // 2) * prod(range(1, k, 2)) for k in range(degree + 1)]
    rule = []
    for node in nodes:
        basis = [Fraction(1)]  # the Lagrange polynomial of the node, ascending
        for other in nodes:
            if other != node:
                basis = [(a - other * b) / (node - other) for a, b in zip((0, *basis), (*basis, 0))]
        rule.append((node, sum(c * m for c, m in zip(basis, moments))))
    return rule


# floating point: NumPy


def floats(matrix: Any) -> np.ndarray:
    """A float64 array."""
    return np.array([[float(entry) for entry in row] for row in matrix])


def batch_gradients(weights: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The mean gradient of each layer for many batches: x (..., b, d_0), y (..., b, d_L), W_l (..., d_l, d_{l-1})."""
    values = [x]
    for matrix in weights:
        values.append(values[-1] @ matrix.swapaxes(-1, -2))
    error, gradients = values.pop() - y, []
    for matrix in reversed(weights):
        gradients.append(error.swapaxes(-1, -2) @ values.pop() / x.shape[-2])
        error = error @ matrix
    return gradients[::-1]


def end_losses(weights: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mean over the rows of x and y of 1/2 ||P x - y||^2, for many weights."""
    for matrix in weights:
        x = x @ matrix.swapaxes(-1, -2)
    return 0.5 * ((x - y) ** 2).sum(-1).mean(-1)


def gaussian_rows(law: Any, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets from standard normal numbers, as many as the law is wide (``normal_width``)."""
    teacher = floats(law.teacher)
    values, vectors = np.linalg.eigh(floats(law.covariance))
    factor = vectors[:, values > 1e-12] * np.sqrt(values[values > 1e-12])
    x = floats([law.mean])[0] + normal[..., : factor.shape[1]] @ factor.T
    y = x @ teacher.T
    if law.noise_variance != 0:
        y = y + float(law.noise_variance) ** 0.5 * normal[..., factor.shape[1] :]
    return x, y


def normal_width(law: Any) -> int:
    """The standard normal numbers behind one example: the rank of the covariance, and the noise."""
    rank = int((np.linalg.eigvalsh(floats(law.covariance)) > 1e-12).sum())
    return rank + (len(law.teacher) if law.noise_variance != 0 else 0)


def gauss_grid(nodes: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """The tensor Gauss-Hermite rule of a standard normal vector: points (nodes^dimension, dimension), weights."""
    if not dimension:
        return np.zeros((1, 0)), np.ones(1)
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.stack(np.meshgrid(*[points] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
    return grid, np.prod(np.meshgrid(*[weights / weights.sum()] * dimension, indexing="ij"), axis=0).ravel()


def gauss_quadrature(problem: Any, batch_size: int, max_nodes: int = 1_000_000) -> Moments:
    """Moments for a Gaussian law by tensor Gauss-Hermite quadrature of every batch, exact up to rounding.

    2 (2L-1)^(t-s) + 1 nodes in every coordinate of step s: exact to the power 4 (2L-1)^(t-s) that occurs.
    """
    depth, width = len(problem.weights), normal_width(problem.law)
    counts = [2 * (2 * depth - 1) ** (problem.step - s) + 1 for s in range(problem.step + 1)]
    if prod(count ** (batch_size * width) for count in counts) > max_nodes:
        raise ValueError(f"quadrature of {problem!r} at batch_size={batch_size} takes more than {max_nodes} nodes")
    if problem.momentum or problem.weight_decay:
        raise ValueError("the quadrature is for plain SGD")
    weights, probability = [floats(matrix)[None] for matrix in problem.weights], np.ones(1)
    for count, rate in zip(counts, (*problem.learning_rates, None)):
        grid, chances = gauss_grid(count, batch_size * width)
        x, y = gaussian_rows(problem.law, grid.reshape(-1, batch_size, width))
        gradients = batch_gradients([matrix[:, None] for matrix in weights], x, y)
        joint = np.multiply.outer(probability, chances)
        if rate is not None:
            moved = [matrix[:, None] - float(rate) * gradient for matrix, gradient in zip(weights, gradients)]
            weights = [matrix.reshape(-1, *matrix.shape[2:]) for matrix in moved]
            probability = joint.ravel()
    second = tuple(float((joint[..., None, None] * gradient**2).sum()) for gradient in gradients)
    means = tuple(float(((joint[..., None, None] * gradient).sum((0, 1)) ** 2).sum()) for gradient in gradients)
    grid, chances = gauss_grid(2, width)
    x, y = gaussian_rows(problem.law, grid[:, None])
    losses = end_losses([matrix[:, None] for matrix in weights], x, y)
    return Moments(second, means, float(probability @ losses @ chances))


class Simulated(NamedTuple):
    """A Monte-Carlo value and its standard error."""

    value: float
    standard_error: float

    def rejects(self, expected: Any) -> bool:
        """Whether ``expected`` is more than five standard errors away: one true value in two million is."""
        return not abs(self.value - float(expected)) < 5 * self.standard_error


@dataclass(frozen=True)
class Simulation:
    """Unbiased estimates from independent runs, summed over layers."""

    second_moment: Simulated
    squared_mean: Simulated
    variance: Simulated
    expected_loss: Simulated


def simulate_numpy(problem: Any, batch_size: int, runs: int = 100_000, seed: int = 0) -> Simulation:
    """Run SGD ``runs`` times with fresh batches; any law, any sampling."""
    rng = np.random.default_rng(seed)
    weights = [np.repeat(floats(matrix)[None], runs, axis=0) for matrix in problem.weights]
    momenta, mu, decay = (
        [np.zeros_like(matrix) for matrix in weights],
        float(problem.momentum),
        float(problem.weight_decay),
    )
    for rate in problem.learning_rates:
        gradients = batch_gradients(weights, *draw(problem, rng, runs, batch_size))
        gradients = [gradient + decay * matrix for gradient, matrix in zip(gradients, weights)]
        momenta = [gradient + mu * momentum for gradient, momentum in zip(gradients, momenta)]
        if problem.nesterov:
            gradients = [gradient + mu * momentum for gradient, momentum in zip(gradients, momenta)]
        directions = gradients if problem.nesterov else momenta
        weights = [matrix - float(rate) * direction for matrix, direction in zip(weights, directions)]
    gradients = batch_gradients(weights, *draw(problem, rng, runs, batch_size))
    flat = np.concatenate([gradient.reshape(runs, -1) for gradient in gradients], axis=1)
    mean = flat.mean(0)
    spread = ((flat - mean) ** 2).sum(1)
    variance, along = spread.sum() / (runs - 1), flat @ mean
    # ||mean||^2 overshoots by variance / runs; it varies with 4 Var <G, E G> / runs and at most 2 variance^2 / runs^2
    error = np.sqrt(4 * along.var() / runs + 2 * variance**2 / runs**2)
    # one fresh example a run: unbiased for the population loss
    losses = end_losses(weights, *draw(problem, rng, runs, 1))
    return Simulation(
        second_moment=average((flat**2).sum(1)),
        squared_mean=Simulated(float(mean @ mean - variance / runs), float(error)),
        variance=Simulated(float(variance), average(spread).standard_error),
        expected_loss=average(losses),
    )


def average(values: np.ndarray) -> Simulated:
    """The mean of independent values."""
    return Simulated(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))


def draw(problem: Any, rng: np.random.Generator, runs: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """A batch for every run: inputs (runs, b, d_0), targets (runs, b, d_L)."""
    law = problem.law
    if not hasattr(law, "inputs"):
        return gaussian_rows(law, rng.standard_normal((runs, batch_size, normal_width(law))))
    x, y = floats(law.inputs), floats(law.targets)
    if problem.sampling == "iid":
        rows = rng.integers(len(x), size=(runs, batch_size))
    else:
        rows = rng.random((runs, len(x))).argsort(axis=1)[:, :batch_size]
    return x[rows], y[rows]


# residues: NumPy


def variance_modulo(problem: Any, prime: int) -> int:
    """The variance at b = 1 modulo a prime below 2^31: the sum of ``sum_over_batches`` over hundreds of thousands of sequences.

    For plain SGD. A variance with another numerator agrees by chance, with probability 1 / prime about.
    """
    if problem.momentum or problem.weight_decay:
        raise ValueError("this sum is for plain SGD")

    def residue(value: Any) -> int:
        number = Fraction(value)
        return number.numerator * pow(number.denominator, -1, prime) % prime

    def residues(values: Any) -> np.ndarray:
        return np.array([[residue(entry) for entry in row] for row in values], np.int64)

    def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Matrix products over leading axes; one product of two residues at a time fits into 63 bits."""
        terms = [a[..., :, k, None] * b[..., None, k, :] % prime for k in range(a.shape[-1])]
        return sum(terms[1:], terms[0]) % prime

    odd, law = 2 * len(problem.weights) - 1, problem.law
    weights = [residues(matrix)[None] for matrix in problem.weights]
    chances = np.ones(1, np.int64)
    for s in range(problem.step + 1):
        if hasattr(law, "inputs"):
            examples = [((x, y), Fraction(1, len(law.inputs))) for x, y in zip(law.inputs, law.targets)]
        else:
            examples = gaussian_examples(law, 4 * odd ** (problem.step - s))
        x, y = (residues([example[side] for example, _ in examples])[None, :, :, None] for side in (0, 1))
        weights = [matrix[:, None] for matrix in weights]
        chances = chances[:, None] * residues([[chance for _, chance in examples]]) % prime
        values = [x]
        for matrix in weights:
            values.append(times(matrix, values[-1]))
        error, gradients = (values.pop() - y) % prime, []
        for matrix in reversed(weights):
            gradients.append(times(error, values.pop().swapaxes(-1, -2)))
            error = times(matrix.swapaxes(-1, -2), error)
        gradients.reverse()
        if s < problem.step:
            rate = residue(problem.learning_rates[s])
            moved = [(matrix - rate * gradient) % prime for matrix, gradient in zip(weights, gradients)]
            weights, chances = [matrix.reshape(-1, *matrix.shape[2:]) for matrix in moved], chances.ravel()
    second, squared = 0, 0
    for gradient in gradients:
        gradient = np.broadcast_to(gradient, (*chances.shape, *gradient.shape[2:]))
        shares = chances[..., None, None] * gradient % prime
        second += int((shares * gradient % prime).sum())
        squared += sum(int(mean) ** 2 for mean in shares.sum((0, 1)).ravel() % prime)
    return (second - squared) % prime
