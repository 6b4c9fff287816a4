"""Exaggerated batches: which of their examples are drawn from an exaggerated law, and the density of the mixture.

For one example let rho_k be exaggerated over plain density at level k, and let p be the probability that nothing is exaggerated.
Over the plain law of a batch z_1 .. z_b the mixture has the density

    M = p + (1 - p) mean_k m_k,     m_k = mean_j rho_k(z_j)                                  one example is exaggerated
                                    m_k = (mean_j rho_k(z_j) + prod_j rho_k(z_j)) / 2        one or, equally likely, all

The first holds for random subsets too; the second is for batches of independent examples.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from linvar.numeric.laws.law import Batch, RareSampler

#: Levels of exaggeration, at most.
MOST_LEVELS = 12


class Choice(NamedTuple):
    """What is exaggerated in a batch.

    Attributes:
        level: k.
        first: the number of the example that is exaggerated alone; -1 for none.
        everyone: whether all examples are.
    """

    level: Int[Array, ""]
    first: Int[Array, ""]
    everyone: Bool[Array, ""]

    def of(self, numbers: Int[Array, " rows"]) -> Bool[Array, " rows"]:
        """Whether the examples of these numbers are exaggerated."""
        return self.everyone | (numbers == self.first)


class Drawn(NamedTuple):
    """A batch of which some rows have been drawn.

    Attributes:
        choice: what is exaggerated.
        batch_size: b.
        one, all: (levels,): log sum_j rho_k(z_j), and sum_j log rho_k(z_j), over the rows drawn.
        state: of the law.
    """

    choice: Choice
    batch_size: Float[Array, ""]
    one: Float[Array, " levels"]
    all: Float[Array, " levels"]
    state: Any


class Mixture(RareSampler):
    """Batches by the mixture, from a law's own exaggerated examples."""

    plain_probability: float

    @property
    @abstractmethod
    def levels(self) -> int:
        """How many levels of exaggeration there are."""

    @property
    def independent(self) -> bool:
        """Whether the examples of a batch are."""
        return True

    def begin_rows(
        self, key: Key[Array, ""], uniform: Float[Array, ""], batch_size: Float[Array, ""], choice: Choice
    ) -> Any:
        """What the rows have in common, from their key and a number that is uniform on (0, 1): the key."""
        return key

    @abstractmethod
    def more_rows(
        self, state: Any, number: Int[Array, ""], level: Int[Array, ""], chosen: Bool[Array, " rows"]
    ) -> tuple[Any, Batch, Float[Array, "levels rows"]]:
        """The next rows, those ``chosen`` exaggerated at ``level``, and log rho_k of each."""

    def begin(self, key: Key[Array, ""], row_key: Key[Array, ""], batch_size: Float[Array, ""]) -> Drawn:
        """None, one or (where examples are independent) all are exaggerated."""
        coin, which, place, rest = jax.random.uniform(key, (4,), batch_size.dtype)
        plain = self.plain_probability
        everyone = jnp.logical_and(self.independent, coin > (1 + plain) / 2)
        number = jnp.minimum(place * batch_size, batch_size - 1).astype(jnp.int32)
        level = (which * self.levels).astype(jnp.int32)
        choice = Choice(level, jnp.where(coin < plain, -1, number), everyone)
        nothing = jnp.zeros(self.levels, batch_size.dtype)
        return Drawn(choice, batch_size, nothing - jnp.inf, nothing, self.begin_rows(row_key, rest, batch_size, choice))

    def more(self, state: Drawn, number: Int[Array, ""], rows: int) -> tuple[Drawn, Batch]:
        """The next rows."""
        numbers = number + jnp.arange(rows, dtype=jnp.int32)
        inner, batch, ratios = self.more_rows(state.state, number, state.choice.level, state.choice.of(numbers))
        live = numbers < state.batch_size
        one = jnp.concatenate([state.one[:, None], jnp.where(live, ratios, -jnp.inf)], axis=1)
        all_ = state.all + jnp.sum(jnp.where(live, ratios, 0), axis=1)
        return state._replace(one=jax.nn.logsumexp(one, axis=1), all=all_, state=inner), batch

    def log_ratio(self, state: Drawn) -> Float[Array, ""]:
        """log M from log rho_k(z_j)."""
        kinds = [state.one - jnp.log(state.batch_size), *([state.all] if self.independent else [])]
        share = (1 - self.plain_probability) / (len(kinds) * self.levels)
        exaggerated = jnp.concatenate(kinds) + math.log(share)
        return jax.nn.logsumexp(jnp.append(exaggerated, math.log(self.plain_probability)))
