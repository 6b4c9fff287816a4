"""What is kept of one batch: sums over its examples, and a few numbers of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax


class Totals(NamedTuple):
    """Sums over the live examples of one batch; lists with one item a leaf.

    Attributes:
        examples: how many are live, a float.
        mean: mean gradient of every leaf.
        scatter: sum of squared deviations from it.
        squares: mean of the squares entry by entry; empty if not asked for.
        deviations: sum of squared deviations entry by entry; empty if not asked for.
        sizes: of terms that cancel in the norms, summed over the examples; zero where none do.
    """

    examples: jax.Array
    mean: list[jax.Array]
    scatter: list[jax.Array]
    squares: list[jax.Array]
    deviations: list[jax.Array]
    sizes: list[jax.Array]

    def with_tables(self, placed: Callable[[list[jax.Array]], list[jax.Array]]) -> Totals:
        """What has the shapes of the leaves, placed in another way."""
        mean, squares, deviations = map(placed, (self.mean, self.squares, self.deviations))
        return self._replace(mean=mean, squares=squares, deviations=deviations)


class PerExample(NamedTuple):
    """What is kept of every example of one batch.

    Attributes:
        losses: (n,), 0 where not live.
        live: (n,) booleans.
        norms: (n,) squared norms, one item a leaf; empty if not asked for.
        products: (n,) g_i . v, one item; empty if not asked for.
    """

    losses: jax.Array
    live: jax.Array
    norms: list[jax.Array]
    products: list[jax.Array]


class BatchSums(NamedTuple):
    """The sums of one batch, and what is kept of its examples."""

    totals: Totals
    each: PerExample
