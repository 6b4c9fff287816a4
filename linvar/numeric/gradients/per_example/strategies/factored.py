"""Sums of products of few rows: ||g_i||^2 is the sum over pairs of rows of (h . h') (delta . delta'), without forming g_i.

Also where a leaf enters through a function of it (``transposed.py``): the terms are then those of J^T dV_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import sum_in_stages, sum_of_squares
from linvar.numeric.gradients.per_example.composite import norms_of
from linvar.numeric.gradients.per_example.factors import Norms
from linvar.numeric.gradients.per_example.strategies.quantities import Sums
from linvar.numeric.gradients.per_example.transposed import Terms


def factored(terms: Sequence[Terms], mean: list[jax.Array], live: jax.Array, count: jax.Array) -> Sums:
    """From the terms of every leaf's gradients, and their mean.

    Args:
        terms: one item a leaf, empty where its gradients are zero; examples that do not count have zeros.
        mean: one item a leaf.
        live: (n,) 1 for an example that counts, 0 for one that does not.
        count: sum of ``live``.
    """
    found = [norms_of(own) if own else Norms(jnp.zeros_like(live), jnp.zeros_like(live)) for own in terms]
    norms = [each.norms for each in found]
    scatter = [-count * sum_of_squares(m) for m in mean]
    return Sums(mean, scatter, norms, [], sizes=[sum_in_stages(each.sizes) for each in found], apart=norms)
