"""Exaggerated batches: which of their examples are drawn from an exaggerated law, and the density of the mixture.

For one example let rho_k be exaggerated over plain density at level k, and let p be the probability that nothing is exaggerated.
Over the plain law of a batch z_1 .. z_b the mixture has the density

    M = p + (1 - p) mean_k m_k,     m_k = mean_j rho_k(z_j)                                  one example is exaggerated
                                    m_k = (mean_j rho_k(z_j) + prod_j rho_k(z_j)) / 2        one or, equally likely, all

The first holds for random subsets too; the second is for batches of independent examples.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

#: Levels of exaggeration, at most.
MOST_LEVELS = 12


def choose(
    uniforms: Float[Array, " 3"], levels: int, plain: float, batch_size: int, independent: bool
) -> tuple[Int[Array, ""], Bool[Array, " batch"]]:
    """A level, and which examples are exaggerated: none, one, or (where examples are ``independent``) all of them."""
    coin = uniforms[0]
    level = (uniforms[1] * levels).astype(jnp.int32)
    one = jnp.arange(batch_size) == (uniforms[2] * batch_size).astype(jnp.int32)
    everyone = jnp.logical_and(independent, coin > (1 + plain) / 2)
    return level, jnp.where(coin < plain, False, jnp.where(everyone, True, one))


def log_mixture(ratios: Float[Array, "levels batch"], plain: float, independent: bool) -> Float[Array, ""]:
    """log M from log rho_k(z_j)."""
    levels, batch_size = ratios.shape
    one = jax.nn.logsumexp(ratios, axis=1) - math.log(batch_size)  # log mean_j rho_k
    kinds = jnp.logaddexp(one, jnp.sum(ratios, axis=1)) - math.log(2) if independent else one  # log m_k
    exaggerated = jax.nn.logsumexp(kinds) - math.log(levels)
    return jnp.logaddexp(math.log(plain), math.log1p(-plain) + exaggerated)
