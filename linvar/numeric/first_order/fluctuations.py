"""The two ways to carry the fluctuations along the path: their whole covariance, or random vectors that have it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import InputError, NotFiniteError, Words
from linvar.numeric.arguments import check_at_least, check_key
from linvar.numeric.estimates import Estimate
from linvar.numeric.first_order.arguments import Examples, Start, Updates
from linvar.numeric.first_order.linearized import (
    Leaves,
    Loss,
    Probes,
    Program,
    Rates,
    Seen,
    Step,
    differentiated,
    example_bytes,
    full_step,
    probe_step,
)
from linvar.numeric.simulation.run_moments import average

#: What is carried from step to step.
Carried = TypeVar("Carried")

#: Parameters up to which method="auto" carries their covariance.
FULL_PARAMETERS = 512
#: Matrices of the size of C that a step of method "full" holds.
_MATRICES = 6
#: Probes differentiated at a time.
_TOGETHER = 16


class Measured(NamedTuple):
    """What one step saw, on the host: mean loss, ||grad L||, tr Sigma, and ||H y||^2 of each probe (or its mean)."""

    loss: float
    gradient_norm: float
    per_example: float
    propagated: np.ndarray

    @classmethod
    def of(cls, seen: Seen) -> Measured:
        """The same as floats."""
        loss, gradient_norm, per_example, propagated = (np.asarray(x, "float64") for x in seen)  # float() is slower
        return cls(loss.item(), gradient_norm.item(), per_example.item(), propagated)


@dataclass(frozen=True)
class Setting:
    """What no step changes: the loss of an example, the compiled program, and the examples."""

    loss: Loss
    program: Program
    examples: Examples


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

    @abstractmethod
    def propagated(self, measured: Measured) -> Estimate:
        """tr(H C H)."""

    def follow(self, setting: Setting, start: Start, updates: Updates) -> Iterator[Measured]:
        """What is seen after 0, 1, ... and all updates; never a silent NaN."""
        own, _ = differentiated(start.params)
        params, velocity = start.params, [jnp.zeros_like(x) for x in own] if updates.momentum else None
        carried = self.at_start(own)
        for number, rate in enumerate([*updates.learning_rates, 0.0]):  # what the last one moves is not used
            rates = Rates(rate, updates.momentum, updates.weight_decay)
            params, velocity, carried, seen = self.step(setting, params, velocity, carried, rates, number)
            measured = Measured.of(seen)
            _check_finite(measured, number, start.dtype)
            yield measured


@dataclass(frozen=True)
class FullCovariance(Fluctuations[jax.Array]):
    """C_t, a P x P matrix for P parameters, 2P x 2P with momentum."""

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
    def row_bytes(self) -> int:
        """Its gradient."""
        return self.count * self.dtype.itemsize

    @property
    def width(self) -> int:
        """Of C."""
        return self.count * (2 if self.momentum else 1)

    def at_start(self, own: Leaves) -> jax.Array:
        """C_0 = 0."""
        return jnp.zeros((self.width, self.width), self.dtype)

    def step(
        self, setting: Setting, params: Any, velocity: Leaves | None, carried: jax.Array, rates: Rates, number: int
    ) -> Step:
        """Exact up to rounding."""
        loss, program, examples = setting.loss, setting.program, setting.examples
        step: Step = full_step(loss, program, params, velocity, carried, examples.data, examples.weights, rates)
        return step

    def propagated(self, measured: Measured) -> Estimate:
        """As measured, without error."""
        return Estimate(float(measured.propagated), 0.0, 0)


@dataclass(frozen=True)
class RandomVectors(Fluctuations[Probes]):
    """Vectors of covariance C_t, the signs of step s drawn with fold_in(key, s)."""

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
    def row_bytes(self) -> int:
        """No example's gradient is made."""
        return 0

    def at_start(self, own: Leaves) -> Probes:
        """y = 0; the momentum is not the same arrays, for both are given away."""

        def zeros() -> list[jax.Array]:
            return [jnp.zeros((self.probes, *x.shape), x.dtype) for x in own]

        return zeros(), zeros() if self.momentum else None

    def step(
        self, setting: Setting, params: Any, velocity: Leaves | None, carried: Probes, rates: Rates, number: int
    ) -> Step:
        """Without bias."""
        loss, program, examples = setting.loss, setting.program, setting.examples
        key = jax.random.fold_in(self.key, number)
        step: Step = probe_step(loss, program, params, velocity, carried, examples.data, examples.weights, rates, key)
        return step

    def propagated(self, measured: Measured) -> Estimate:
        """Mean of ||H y||^2 over probes."""
        return average(measured.propagated)


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
    examples: Examples,
    updates: Updates,
    *,
    chunk_size: int | None,
    byte_budget: int,
) -> Program:
    """How many vectors and examples at a time: such that their values fit the budget, forward and back."""
    together = _group(chosen.vectors, min(_TOGETHER, byte_budget // (8 * start.count * start.dtype.itemsize)))
    if chunk_size is None:
        one = example_bytes(loss, start.params, examples.data) * 2 * (1 + 2 * together) + chosen.row_bytes
        chunk_size = max(1, min(examples.count, byte_budget // one))
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
    if all(np.isfinite(x).all() for x in measured):
        return
    if not (math.isfinite(measured.loss) and math.isfinite(measured.gradient_norm)):
        what, cure = "a mean or a gradient", "lower learning_rate" if step else "look at params and data"
    else:
        cures = ["lower learning_rate"] * (step > 0) + ["scale the loss"]
        cures += ["use jax.enable_x64(True)"] * (dtype != np.float64)
        what, cure = "a variance", " or ".join(cures)
    raise NotFiniteError("loss", Words(f"after {step} of the steps has {what} that is not finite"), cure)
