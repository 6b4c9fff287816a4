"""The two ways to carry what the noise does along the path: covariance and mean in full, or random vectors that have them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import InputError, NotFiniteError, Words
from linvar.numeric.arguments import check_at_least, check_key
from linvar.numeric.delta_method.arguments import Examples, Start, Updates
from linvar.numeric.delta_method.full import Moments, full_step
from linvar.numeric.delta_method.linearized import (
    Leaves,
    Loss,
    OfLoss,
    Program,
    Rates,
    Seen,
    Step,
    Weights,
    differentiated,
    example_bytes,
)
from linvar.numeric.delta_method.probes import Vectors, block_numbers, probe_step
from linvar.numeric.gradients.callables import TakenLoss

#: What is carried from step to step.
Carried = TypeVar("Carried")

#: Parameters up to which method="auto" carries their covariance.
FULL_PARAMETERS = 512
#: Matrices of the size of C that a step of method "full" holds.
_MATRICES = 6
#: Probes differentiated at a time.
_TOGETHER = 16
#: Independent mean shifts, which say how far off their average is.
_BLOCKS = 8


class Measured(NamedTuple):
    """What one step saw, as ``Seen``, on the host, in float64."""

    train: OfLoss
    test: OfLoss | None
    gradient_norm: np.ndarray
    per_example: np.ndarray
    propagated: np.ndarray
    distance: np.ndarray
    drift: np.ndarray
    weights: Weights | None

    @classmethod
    def of(cls, seen: Seen, weights: bool) -> Measured:
        """The same as arrays; with or without the moments of the weights."""
        host: Seen = jax.tree.map(lambda x: np.asarray(x, "float64"), seen if weights else seen._replace(weights=None))
        return cls(*host)  # type: ignore[arg-type]  # arrays of NumPy in place of JAX's


@dataclass(frozen=True)
class Setting:
    """What no step changes: the loss of an example, the compiled program, the examples, and whether weights are kept."""

    loss: TakenLoss
    program: Program
    examples: Examples
    test: Examples | None
    weights: bool

    @property
    def test_data(self) -> tuple[Any, Any] | None:
        """As a step takes it."""
        return None if self.test is None else (self.test.data, self.test.weights)


class Fluctuations(ABC, Generic[Carried]):
    """How y, the first-order fluctuation of an iterate times sqrt(b), is carried from step to step."""

    @property
    @abstractmethod
    def method(self) -> str:
        """Its word in ``method=``."""

    @property
    @abstractmethod
    def vectors(self) -> int:
        """Directions that a step differentiates along."""

    @property
    @abstractmethod
    def tangents(self) -> int:
        """How many times the values of the loss of an example each of them takes, forward and back."""

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """Memory that each example takes beside the values of its loss."""

    @abstractmethod
    def at_start(self, own: Leaves) -> Carried:
        """No fluctuation yet, in new arrays: a step takes them away."""

    @abstractmethod
    def step(
        self, setting: Setting, params: Any, velocity: Leaves | None, carried: Carried, rates: Rates, number: int
    ) -> Step:
        """The update with this number, 0 first."""

    @property
    @abstractmethod
    def runs(self) -> int:
        """How many independent numbers a step measures of each mean over probes; 1 where there are none."""

    @property
    @abstractmethod
    def blocks(self) -> np.ndarray:
        """Of each of these its block, 0, 1, ...; a mean shift is carried once a block."""

    def follow(self, setting: Setting, start: Start, updates: Updates) -> Iterator[Measured]:
        """What is seen after 0, 1, ... and all updates; never a silent NaN."""
        own, _ = differentiated(start.params)
        params, velocity = start.params, [jnp.zeros_like(x) for x in own] if updates.momentum else None
        carried = self.at_start(own)
        for number, rate in enumerate([*updates.learning_rates, 0.0]):  # what the last one moves is not used
            rates = Rates(rate, updates.momentum, updates.weight_decay)
            params, velocity, carried, seen = self.step(setting, params, velocity, carried, rates, number)
            measured = Measured.of(seen, setting.weights)
            _check_finite(measured, number, start.dtype)
            yield measured


@dataclass(frozen=True)
class FullCovariance(Fluctuations[Moments]):
    """C_t, a P x P matrix for P parameters, 2P x 2P with momentum, and m_t."""

    count: int
    momentum: bool
    dtype: np.dtype[Any]

    @property
    def method(self) -> str:
        """In full."""
        return "full"

    @property
    def vectors(self) -> int:
        """The columns of H."""
        return self.count

    @property
    def tangents(self) -> int:
        """Of two directions, their product, and the value."""
        return 4

    @property
    def row_bytes(self) -> int:
        """Its gradient."""
        return self.count * self.dtype.itemsize

    @property
    def width(self) -> int:
        """Of C."""
        return self.count * (2 if self.momentum else 1)

    @property
    def runs(self) -> int:
        """One, without error."""
        return 1

    @property
    def blocks(self) -> np.ndarray:
        """One."""
        return np.zeros(1, int)

    def at_start(self, own: Leaves) -> Moments:
        """C_0 = 0 and m_0 = 0."""
        return Moments(jnp.zeros((self.width, self.width), self.dtype), jnp.zeros(self.width, self.dtype))

    def step(
        self, setting: Setting, params: Any, velocity: Leaves | None, carried: Moments, rates: Rates, number: int
    ) -> Step:
        """Exact up to rounding."""
        loss, program, examples, test = setting.loss, setting.program, setting.examples, setting.test_data
        step: Step = full_step(loss, program, params, velocity, carried, examples.data, examples.weights, test, rates)
        return step


@dataclass(frozen=True)
class RandomVectors(Fluctuations[Vectors]):
    """Vectors of covariance C_t, and of mean m_t, the signs of step s drawn with fold_in(key, s)."""

    probes: int
    momentum: bool
    key: jax.Array

    @property
    def method(self) -> str:
        """By probes."""
        return "probes"

    @property
    def vectors(self) -> int:
        """The probes."""
        return self.probes

    @property
    def tangents(self) -> int:
        """One direction, and the value; blocks, with two, are half as many at a time."""
        return 2

    @property
    def row_bytes(self) -> int:
        """No example's gradient is made."""
        return 0

    @property
    def runs(self) -> int:
        """The probes."""
        return self.probes

    @property
    def blocks(self) -> np.ndarray:
        """Of each probe."""
        return np.asarray(block_numbers(self.probes, min(self.probes, _BLOCKS)))

    def at_start(self, own: Leaves) -> Vectors:
        """y = 0 and m = 0; the momentum is not the same arrays, for all are given away."""

        def zeros(count: int) -> list[jax.Array]:
            return [jnp.zeros((count, *x.shape), x.dtype) for x in own]

        vectors, shifts = self.probes, min(self.probes, _BLOCKS)
        momentum = self.momentum
        return Vectors(
            (zeros(vectors), zeros(vectors) if momentum else None), (zeros(shifts), zeros(shifts) if momentum else None)
        )

    def step(
        self, setting: Setting, params: Any, velocity: Leaves | None, carried: Vectors, rates: Rates, number: int
    ) -> Step:
        """Without bias."""
        loss, program, examples, test = setting.loss, setting.program, setting.examples, setting.test_data
        key = jax.random.fold_in(self.key, number)
        step: Step = probe_step(
            loss, program, params, velocity, carried, examples.data, examples.weights, test, rates, key
        )
        return step


def choose_fluctuations(
    method: str, start: Start, momentum: bool, *, probes: int, key: Any, byte_budget: int
) -> FullCovariance | RandomVectors:
    """The way that was asked for; "auto" carries the whole covariance of up to ``FULL_PARAMETERS`` parameters.

    Raises:
        InputError: it does not fit, or needs a key or more probes.
    """
    if method == "full" or (method == "auto" and start.count <= FULL_PARAMETERS):
        full = FullCovariance(start.count, momentum, start.dtype)
        needed = _MATRICES * full.width**2 * start.dtype.itemsize
        if needed > byte_budget:
            raise InputError(
                "byte_budget",
                byte_budget,
                f"method='full' with {start.count:,} parameters needs about {needed:,} bytes; raise byte_budget to that, or "
                f"write method='probes'",
            )
        return full
    check_at_least(probes, "probes", 2, "a standard error over probes needs at least 2")
    if key is None:
        cure = f"method 'probes' ({start.count:,} parameters) needs one, jax.random.key(seed)"
        raise InputError("key", Words("is None"), cure)
    return RandomVectors(int(probes), momentum, check_key(key))


def make_program(
    chosen: FullCovariance | RandomVectors,
    loss: Loss,
    start: Start,
    examples: Sequence[Examples],
    updates: Updates,
    *,
    chunk_size: int | None,
    byte_budget: int,
) -> Program:
    """How many vectors and examples at a time: such that their values fit the budget, forward and back."""
    together = _group(chosen.vectors, min(_TOGETHER, byte_budget // (8 * start.count * start.dtype.itemsize)))
    if chunk_size is None:
        values = max(example_bytes(loss, start.params, own.data) for own in examples)
        one = values * 2 * (1 + chosen.tangents * together) + chosen.row_bytes
        chunk_size = max(1, min(examples[0].count, byte_budget // one))
    else:
        check_at_least(chunk_size, "chunk_size", 1, "give the number of examples differentiated at a time, >= 1")
    return Program(updates.momentum != 0, updates.nesterov, int(chunk_size), together, byte_budget)


def _group(vectors: int, limit: int) -> int:
    """Vectors at a time, at most ``limit``: without a rest, which would be compiled apart, if that costs less than half."""
    limit = max(1, min(limit, vectors))
    divisor = next(size for size in range(limit, 0, -1) if vectors % size == 0)
    return divisor if 2 * divisor > limit else limit


def _check_finite(measured: Measured, step: int, dtype: np.dtype[Any]) -> None:
    """Never a silent NaN."""
    if _finite(measured):
        return
    wide = dtype == np.float64
    cures = ["lower learning_rate"] * (step > 0) + ["scale the loss"] + ["use jax.enable_x64(True)"] * (not wide)
    if not _finite((measured.train.value, measured.gradient_norm)):
        what, cure = "a mean or a gradient", "lower learning_rate" if step else "look at params and data"
    elif measured.test is not None and not _finite(measured.test.value):
        what, cure = "a test loss", "lower learning_rate" if step else "look at test_data"
    elif _finite((measured.per_example, measured.propagated, measured.distance)):
        what, cure = "a third derivative", " or ".join(["smooth the loss", *cures])
    else:
        what, cure = "a variance", " or ".join(cures)
    raise NotFiniteError("loss", Words(f"after {step} of the steps has {what} that is not finite"), cure)


def _finite(numbers: Any) -> bool:
    """All of a tree of arrays."""
    return all(bool(np.isfinite(x).all()) for x in jax.tree.leaves(numbers))
