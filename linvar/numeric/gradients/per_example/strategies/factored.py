"""Sums of products of few rows: ||g_i||^2 is the sum over pairs of rows of (h . h') (delta . delta'), without forming g_i.

Also where a leaf enters through a function of it (``transposed.py``): the terms are then those of J^T dV_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.per_example.factors import Norms
from linvar.numeric.gradients.per_example.strategies.quantities import Sums


def factored(norms: Sequence[Norms | None], mean: list[jax.Array], live: jax.Array, count: jax.Array) -> Sums:
    """From the norms of every leaf's gradients, and their mean.

    Args:
        norms: one item a leaf, None where its gradients are zero; examples that do not count have zeros.
        mean: one item a leaf.
        live: (n,) 1 for an example that counts, 0 for one that does not.
        count: sum of ``live``.
    """
    zero = Norms(jnp.zeros_like(live), jnp.zeros_like(live))
    found = [own or zero for own in norms]
    each = [own.norms for own in found]
    scatter = [-count * sum_of_squares(m) for m in mean]
    return Sums(mean, scatter, each, [], sizes=[own.sizes for own in found], apart=each)
