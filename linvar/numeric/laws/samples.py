"""A law of a user's own that says how an example is drawn, and no more: its ``sample`` is its numeric twin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.laws.law import Law
from linvar.numeric.laws.law import Batch, IndependentSampler, NumericLaw
from linvar.numeric.schemes.scheme import NumericScheme


@runtime_checkable
class Samples(Protocol):
    """A law that draws its examples."""

    def sample(self, key: Key[Array, ""], rows: int, dtype: str) -> Any:
        """Independent examples, drawn in JAX: x of shape (rows, d_0) and y of shape (rows, d_L).

        Args:
            key: a typed key, all that the examples may depend on.
            rows: how many.
            dtype: "float64" or "float32", of both arrays.
        """
        ...


@dataclass(frozen=True)
class NumericSamples(NumericLaw):
    """The numeric twin of a law with ``sample``: independent examples, and nothing else is known."""

    law: Law
    samples: Samples

    def __post_init__(self) -> None:
        try:
            hash(self.law)
        except TypeError:
            cure = "make it a frozen dataclass of numbers and tuples: a simulation is compiled once for equal laws"
            raise InputTypeError("law", self.law, cure, fault="cannot be hashed") from None

    @property
    def statement(self) -> object:
        """The law."""
        return self.law

    def sampler(self, scheme: NumericScheme, dtype: str) -> ExampleSampler:
        """Independent examples.

        Raises:
            InputError: the scheme draws rows by their numbers; or ``sample`` gives something else than it should.
        """
        if not scheme.independent:
            fault = Words(f"draws rows by their numbers, and law={shown(self.law)} has only sample, which knows none")
            raise InputError(
                "sampling", fault, "write sampling='iid', or give its rows, linvar.Dataset(inputs, targets)"
            )
        sampler = ExampleSampler(self.samples, (self.law.input_width, self.law.target_width), dtype)
        sampler.examples_of(jax.random.key(0), 2)  # what it gives is looked at before anything starts
        return sampler


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["law", "widths", "dtype"])
@dataclass(frozen=True)
class ExampleSampler(IndependentSampler):
    """Examples by a law's own ``sample``; the law is part of the program.

    Attributes:
        law: what draws them.
        widths: (d_0, d_L).
        dtype: of their numbers.
    """

    law: Samples
    widths: tuple[int, int]
    dtype: str

    def examples_of(self, key: Key[Array, ""], rows: int) -> Batch:
        """Independent examples.

        Raises:
            InputError: ``sample`` gives something else than two arrays of these shapes and numbers.
        """
        found = self.law.sample(key, rows, self.dtype)
        shapes = tuple((rows, width) for width in self.widths)
        given = _described(found)
        if not isinstance(found, (tuple, list)) or given != [f"{self.dtype} of shape {shape}" for shape in shapes]:
            names = cut(", ".join(given)) or "no arrays"
            cure = f"give a pair of {self.dtype} arrays of shapes {shapes[0]} and {shapes[1]}"
            raise InputError("law.sample", Words(f"gives {names}, law={shown(self.law)}"), cure)
        inputs, targets = map(jnp.asarray, found)
        return inputs, targets

    def bytes_at_once(self, rows: int) -> int:
        """Inputs and targets, and as much again twice to draw them."""
        return 3 * rows * jnp.dtype(self.dtype).itemsize * sum(self.widths)


def _described(found: Any) -> list[str]:
    """Type and shape of the arrays in a value; nothing, where something else is in it."""
    try:
        return [f"{jnp.result_type(part)} of shape {jnp.shape(part)}" for part in jax.tree.leaves(found)]
    except (TypeError, ValueError):
        return []


_: type[NumericLaw] = NumericSamples
