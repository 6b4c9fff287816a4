"""A law along directions, modulo a prime: power sums and cumulants of q = sum_j theta_j f_j, f_j features of an example.

``Directions`` gives a scheme the statistics A_k it asks for (``linvar.symbolic.schemes``); two series do the rest,

    exponential  n M_n = sum_{k=1..n} f_k M_{n-k}          of M = exp( sum_k f_k / k )
    logarithm    A_n = n mu_n - sum_{k=1..n-1} A_k mu_{n-k}   of mu = exp( sum_k A_k / k ),

degree by degree, with a window that slides over the lower degrees so that n may be traced.
"""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from linvar.symbolic.roads.lattice.modular import matmul, multiply, reduce
from linvar.symbolic.schemes.scheme import Statistics

#: residues modulo one prime, by name
Tables = dict[str, jax.Array]

#: products of reduced residues that may be added before their sum is reduced
_SUMMANDS = 8
#: examples times directions in a block of power sums
_EXAMPLES = 2**18


@dataclass(frozen=True)
class Directions(ABC):
    """A law along some directions.

    Args:
        theta: the directions, shape (directions, features).
        law: residues of what ``ExactLaw.along`` gives.
        table: those of ``tables``.
        prime: the modulus.
        degree: D.
        central: whether q is taken less its mean.
    """

    theta: jax.Array
    law: Tables
    table: Tables
    prime: jax.Array
    degree: int
    central: bool

    @abstractmethod
    def power_sums(self) -> jax.Array:
        """sum_i q_i^k over the examples of a data set, k = 0..D (0 for k = 0), shape (D + 1, directions)."""

    @abstractmethod
    def cumulants(self) -> jax.Array:
        """kappa_k / (k-1)!, k = 0..D (0 for k = 0), shape (D + 1, directions)."""


class PointDirections(Directions):
    """Of ``values`` of the features at points with ``weights``; less their means already where that is asked."""

    def power_sums(self) -> jax.Array:
        """Points are the examples, each once."""
        return self._sums(jnp.ones_like(self.law["weights"]))

    def cumulants(self) -> jax.Array:
        """The logarithm of the weighted means."""
        return _logarithm(self._sums(self.law["weights"]), self.table, self.prime)

    def _sums(self, weights: jax.Array) -> jax.Array:
        """sum_i weights_i q_i^k; points a few at a time."""
        prime, values = self.prime, self.law["values"]  # (features, points)
        size = max(1, _EXAMPLES // len(self.theta))
        spare = -values.shape[1] % size
        blocks = jnp.pad(values, ((0, 0), (0, spare))).reshape(len(values), -1, size)
        masses = jnp.pad(weights, (0, spare)).reshape(-1, size)

        def add_block(sums: jax.Array, given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            block, mass = given
            # q_i = sum_j theta_j f_j(z_i), shape (directions, points)
            values = reduce(jnp.matmul(self.theta, block, precision=lax.Precision.HIGHEST), prime)

            def power(carry: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
                carry = multiply(carry, values, prime)
                return carry, reduce(carry.sum(axis=1), prime)

            _, found = lax.scan(power, jnp.broadcast_to(mass, values.shape), None, length=self.degree)
            return reduce(sums + found, prime), None

        start = jnp.zeros((self.degree, len(self.theta)))
        sums, _ = lax.scan(add_block, start, (jnp.moveaxis(blocks, 1, 0), masses))
        return jnp.concatenate([jnp.zeros_like(sums[:1]), sums])


class NormalDirections(Directions):
    """Of quadratic ``forms`` of a normal z with this ``mean`` and ``covariance``."""

    def power_sums(self) -> jax.Array:
        """A normal law has no examples: batches are no subsets of them."""
        raise NotImplementedError("a normal law has no examples to sum over")

    def cumulants(self) -> jax.Array:
        """2^{k-1} [ tr((Sigma Theta)^k) + k mu^T Theta (Sigma Theta)^{k-1} mu ], of z ~ N(mu, Sigma)."""
        law, prime = self.law, self.prime
        size = law["mean"].shape[0]
        flat = law["forms"].reshape(-1, size * size)
        form = reduce(jnp.matmul(flat.T, self.theta.T, precision=lax.Precision.HIGHEST), prime)
        form = form.reshape(size, size, -1)  # Theta of each direction, shape (z, z, directions)
        step = matmul(law["covariance"], form.reshape(size, -1), prime).reshape(form.shape)  # Sigma Theta
        start = matmul(law["mean"][None], form.reshape(size, -1), prime).reshape(size, -1)  # mu^T Theta

        def times(rows: jax.Array) -> jax.Array:
            """rows (.., z, directions) times Sigma Theta of each direction."""
            return reduce(_sum([reduce(rows[..., l, None, :] * step[l], prime) for l in range(size)]), prime)

        def power(carry: tuple[jax.Array, jax.Array], k: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
            matrix, vector = carry  # (Sigma Theta)^k and mu^T Theta (Sigma Theta)^{k-1}
            trace = _sum([matrix[i, i] for i in range(size)])
            mean = _sum([reduce(vector[i] * law["mean"][i], prime) for i in range(size)])
            value = reduce(trace + reduce(mean, prime) * k, prime)
            return (times(matrix), times(vector)), value

        orders = jnp.arange(1, self.degree + 1, dtype=self.theta.dtype)
        _, values = lax.scan(power, (step, start), orders)
        first = 1 if self.central else 0  # the mean of q is its first cumulant
        values = jnp.concatenate([jnp.zeros_like(values[: 1 + first]), values[first:]])
        return multiply(values, self.table["doubled"][:, None], prime)


#: by the name of ``Along.way``
WAYS: dict[str, type[Directions]] = {"points": PointDirections, "normal": NormalDirections}


def exponential(terms: jax.Array, inverses: jax.Array, prime: jax.Array) -> jax.Array:
    """M_0 = 1, n M_n = sum_{k=1..n} terms_k M_{n-k}; terms_0 = 0. Along axis 0."""
    size = len(terms)
    rows = jnp.pad(terms, [(0, -size % _SUMMANDS)] + [(0, 0)] * (terms.ndim - 1))
    window = _window(rows)

    def step(n: jax.Array, parts: jax.Array) -> jax.Array:
        before = window(n)
        sums = _sum([before[i::_SUMMANDS] * parts[i::_SUMMANDS] for i in range(_SUMMANDS)])
        total = reduce(reduce(sums, prime).sum(axis=0), prime)
        return parts.at[n].set(multiply(total, inverses[n], prime))

    start = jnp.zeros_like(rows).at[0].set(1.0)
    parts: jax.Array = lax.fori_loop(1, size, step, start)
    return parts[:size]


def _logarithm(means: jax.Array, table: Tables, prime: jax.Array) -> jax.Array:
    """A_n = kappa_n / (n-1)! from means of powers: with mu_n = means_n / n!, n mu_n = sum_{k=1..n} A_k mu_{n-k}."""
    inverses = table["inverses"]

    def shrink(n: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        falling, moments = carry  # 1 / (n-1)!
        falling = multiply(falling, inverses[n], prime)
        return falling, moments.at[n].set(multiply(moments[n], falling, prime))

    moments = means.at[0].set(1.0)
    _, moments = lax.fori_loop(1, len(means), shrink, (jnp.ones_like(prime), moments))
    window = _window(moments)

    def step(n: jax.Array, logs: jax.Array) -> jax.Array:
        total = reduce(window(n) * logs, prime).sum(axis=0)
        return logs.at[n].set(reduce(reduce(moments[n] * n, prime) - reduce(total, prime), prime))

    logs: jax.Array = lax.fori_loop(1, len(means), step, jnp.zeros_like(means))
    return logs


def _sum(parts: Sequence[jax.Array]) -> jax.Array:
    """The sum of a few arrays."""
    return functools.reduce(operator.add, parts)


def _window(terms: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """n -> (terms_n, terms_{n-1}, ..., terms_0, 0, ...), for a traced n."""
    padded = jnp.concatenate([terms[::-1], jnp.zeros_like(terms)])
    return lambda n: lax.dynamic_slice_in_dim(padded, len(terms) - 1 - n, len(terms))


_: tuple[type[Statistics[jax.Array]], ...] = (PointDirections, NormalDirections)
