"""What the numeric half asks of the law of an example: its numeric twin.

A twin reads the statement of its law (``linvar.laws``) and none of the exact half's formulas. Whatever else the numeric half does
with a law goes through ``NumericLaw``, so that no other room knows which laws there are: a sampler is its one obligation, the
rest follows, or is refused by name. A law of a user may do with less, a function ``sample`` (``samples.py``).

Samplers and expectations are pytrees: arrays of the law inside, what changes the program (noise or not, the scheme) as metadata.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from linvar.errors import InputError
from linvar.numeric.schemes.scheme import NumericScheme, numeric_scheme

#: Examples that sizes of inputs and targets are measured on, where a law has no formula for them.
_MEASURED = 1_024

Batch: TypeAlias = tuple[Float[Array, "batch input"], Float[Array, "batch output"]]


class Sampler(ABC):
    """Random batches, some rows at a time, so that one program serves batches of every size."""

    @property
    def gives_examples(self) -> bool:
        """Whether the rows drawn are the examples of the batch; else others with its second moments."""
        return True

    @property
    def counts(self) -> bool:
        """Whether the batch size has to be exact as a float: it decides which rows are drawn, and is more than a factor."""
        return False

    def rows(self, batch_size: int) -> int:
        """How many rows stand for a batch: the batch size, where they are its examples."""
        return batch_size

    @abstractmethod
    def begin(self, key: Key[Array, ""], row_key: Key[Array, ""], batch_size: Float[Array, ""]) -> Any:
        """What the rows of one batch have in common, a pytree of arrays.

        Args:
            key: of what is drawn once for the batch.
            row_key: from which those of its rows are made, by their numbers.
            batch_size: b, a float, as it may exceed 32 bits.
        """

    @abstractmethod
    def more(self, state: Any, number: Int[Array, ""], rows: int) -> tuple[Any, Batch]:
        """The next rows of a batch, from the one of this number on; ``rows`` is part of the program."""

    @abstractmethod
    def bytes_at_once(self, rows: int) -> int:
        """Working memory of a batch of which so many rows are drawn at once, roughly."""

    def log_ratio(self, state: Any) -> Float[Array, ""]:
        """log of the density of a batch, all of whose rows have been drawn, over that of the law of the problem: here 0."""
        return jnp.zeros(())

    def draw(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """Inputs and targets of one batch, at once."""
        batch_key, row_key = jax.random.split(key)
        state = self.begin(batch_key, row_key, jnp.asarray(float(batch_size)))
        return self.more(state, jnp.int32(0), self.rows(batch_size))[1]


class IndependentSampler(Sampler):
    """Independent examples, each set of rows from a key of its own."""

    def begin(self, key: Key[Array, ""], row_key: Key[Array, ""], batch_size: Float[Array, ""]) -> Any:
        """The key of the rows."""
        return row_key

    def more(self, state: Any, number: Int[Array, ""], rows: int) -> tuple[Any, Batch]:
        """By the key of their number."""
        return state, self.examples_of(jax.random.fold_in(state, number), rows)

    @abstractmethod
    def examples_of(self, key: Key[Array, ""], rows: int) -> Batch:
        """Independent examples."""


class RareBatch(NamedTuple):
    """Inputs, targets and log M, the log of the batch's density under the exaggerated law over that under the plain one."""

    inputs: jax.Array
    targets: jax.Array
    log_ratio: jax.Array


class RareSampler(Sampler):
    """Batches of which some are exaggerated (``mixture.py``)."""

    @abstractmethod
    def log_ratio(self, state: Any) -> Float[Array, ""]:
        """log M of a batch of which all rows have been drawn."""

    def draw_rare(self, key: Key[Array, ""], batch_size: int) -> RareBatch:
        """One batch, at once."""
        batch_key, row_key = jax.random.split(key)
        state = self.begin(batch_key, row_key, jnp.asarray(float(batch_size)))
        state, batch = self.more(state, jnp.int32(0), batch_size)
        return RareBatch(*batch, self.log_ratio(state))


class AtWeights(NamedTuple):
    """Of the squared loss of x -> W x at weights W.

    Attributes:
        squares: ||W x - y||^2, as the law's ``weighted`` takes it: of each row, or as a form in x.
        gradient: of the mean loss, (o, d).
        loss: the mean, with the factor 1/2.
    """

    squares: jax.Array
    gradient: jax.Array
    loss: jax.Array


@runtime_checkable
class Expectations(Protocol):
    """Expectations over one example (x, y) that linear regression needs: proofs/linear-regression.md."""

    @property
    def examples(self) -> int | None:
        """n of a data set; None where an example is no row of one."""
        ...

    @property
    def terms(self) -> int:
        """How many examples are summed over; 1 where there is a formula."""
        ...

    def hessian(self) -> Float[Array, "d d"]:
        """H = E x x^T, for each row of the weights."""
        ...

    def at(self, weights: Float[Array, "o d"]) -> AtWeights:
        """Residuals, mean gradient and loss at these weights."""
        ...

    def weighted(self, covariance: Float[Array, "d d"], squares: jax.Array) -> Float[Array, "d d"]:
        """E[(x^T C x + ||r||^2) x x^T], with ||r||^2 as ``squares`` of :class:`AtWeights`."""
        ...


@dataclass(frozen=True, eq=False)
class FiniteRule:
    """Weighted examples in place of a law.

    Attributes:
        inputs, targets: examples first.
        weights: their probabilities, (k,); None where all are equal.
        lines: inputs and targets at four equally spaced places on each of some random lines, (lines * 4, ...): the rule holds for
            losses whose third differences on them vanish, polynomials of degree 2 in the example. None where it holds for any.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    lines: tuple[np.ndarray, np.ndarray] | None = None


class NumericLaw(ABC):
    """The numeric twin of a law without symbols.

    Only ``sampler`` must be written. Without ``rare_sampler`` nothing says what a sample hides, and ``linvar.verify`` answers
    UNRESOLVED; without ``expectations`` and ``finite_rule`` linear regression in floating point and the first-order variance
    refuse the law by name.
    """

    @property
    def statement(self) -> object:
        """The law that this is the twin of, for messages; itself where it is its own."""
        return self

    @abstractmethod
    def sampler(self, scheme: NumericScheme, dtype: str) -> Sampler:
        """Batches of examples, of arrays of ``dtype``."""

    def second_moment_sampler(self, dtype: str) -> Sampler:
        """Batches' second moments, (1/b) sum of (1, x, y) (1, x, y)^T, not their examples.

        Raises:
            InputError: the law has no way to draw them.
        """
        raise InputError(
            "batches", "second_moments", "write batches='examples'", fault="is for a Gaussian law, and this is another"
        )

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> RareSampler | None:
        """Batches in float64 that are exaggerated as far as a polynomial of this degree in the examples asks for.

        None: the law has no way to draw rare batches.
        """
        return None

    def expectations(self) -> Expectations:
        """For linear regression, in float64.

        Raises:
            InputError: the law has none.
        """
        cure = "use linvar.gradient_variance, which is exact, or linvar.numeric.simulate"
        raise InputError("law", self.statement, cure, fault="has no regression curve in floating point")

    def finite_rule(self, dtype: np.dtype) -> FiniteRule:
        """Weighted examples with the law's moments up to order 4.

        Raises:
            InputError: the law has none.
        """
        cure = "give a large sample of it, arrays with the examples first"
        raise InputError("data", self.statement, cure, fault="has no finite rule")

    def squared_lengths(self) -> tuple[float, float]:
        """Sizes of ||x||^2 and ||y||^2, for errors of rounding: the largest of the rows, or about the mean.

        Here means over a sample of fixed key and size.
        """
        with jax.enable_x64(True):
            batch = self.sampler(numeric_scheme("iid"), "float64").draw(jax.random.key(0), _MEASURED)
            inputs, targets = (float(np.mean(np.sum(np.asarray(part) ** 2, axis=1))) for part in batch)
        return inputs, targets
