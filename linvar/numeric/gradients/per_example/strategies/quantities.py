"""What every strategy gives, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax


@dataclass(frozen=True)
class Wanted:
    """What is asked for beyond mean and scatter."""

    norms: bool = False
    squares: bool = False
    deviations: bool = False
    centred: bool = False


@dataclass(frozen=True)
class Sums:
    """Of one group: lists with one item a leaf (one a value V, before the pull back to the leaves).

    Attributes:
        mean: of the gradients.
        scatter: sum of squared deviations from the mean, less that of ``apart``.
        norms: (n,) squared norm of every example's gradient; empty if not asked for.
        squares: mean of the squares, entry by entry; empty if not asked for.
        deviations: sum of squared deviations from the mean, entry by entry; empty if not asked for.
        sizes: (n,) of the terms that cancel in the norms; empty where none do.
        apart: (n,) what is to be summed over the examples and added to ``scatter``; empty where nothing is.
    """

    mean: list[jax.Array]
    scatter: list[jax.Array]
    norms: list[jax.Array]
    squares: list[jax.Array]
    deviations: list[jax.Array] = field(default_factory=list)
    sizes: list[jax.Array] = field(default_factory=list)
    apart: list[jax.Array] = field(default_factory=list)

    def some(self, which: slice) -> Sums:
        """Of some of the leaves."""
        every = (self.mean, self.scatter, self.norms, self.squares, self.deviations, self.sizes, self.apart)
        return Sums(*(of[which] for of in every))
