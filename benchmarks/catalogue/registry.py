"""What a model of the catalogue is, and how its numbers are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

#: loss of one example (of a batch with ``batched``), parameters, batch, options of gradient_moments (``batched``, ``key``).
Made: TypeAlias = tuple[Callable[..., Any], Any, Any, dict[str, Any]]


@dataclass(frozen=True)
class Model:
    """A model, at the size that is timed and at a small one that is checked in float64.

    Attributes:
        name: one word.
        family: the file it stands in.
        about: one line.
        make: small -> (loss, params, batch, options).
        formed: a parameter enters through a function of parameters that is not linear in it.
        tolerance: of the check, relative: rounding of float64 but for what is not computed in float64.
    """

    name: str
    family: str
    about: str
    make: Callable[[bool], Made]
    formed: bool
    tolerance: float


#: Every model by name, in the order of the files.
MODELS: dict[str, Model] = {}


def model(
    *, formed: bool = False, tolerance: float = 1e-9
) -> Callable[[Callable[[bool], Made]], Callable[[bool], Made]]:
    """Enter a function ``small -> (loss, params, batch, options)`` in the catalogue, under its own name."""

    def enter(make: Callable[[bool], Made]) -> Callable[[bool], Made]:
        name, family = make.__name__, make.__module__.rpartition(".")[2]
        if name in MODELS:
            raise ValueError(f"two models are called {name}")
        about = (make.__doc__ or "").splitlines()[0].rstrip(".")
        MODELS[name] = Model(name, family, about, make, formed, tolerance)
        return make

    return enter


class Draw:
    """Random numbers as single precision NumPy arrays, the same at every call."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def normal(self, *shape: int) -> Any:
        """Standard normal numbers."""
        return np.asarray(self._rng.normal(size=shape), "float32")

    def weight(self, *shape: int) -> Any:
        """A matrix or a kernel, outputs last: variance 1 / (number of inputs)."""
        return self.normal(*shape) / np.float32(math.sqrt(math.prod(shape[:-1])))

    def stacked(self, layers: int, *shape: int) -> Any:
        """The weights of several layers in one array."""
        return np.stack([self.weight(*shape) for _ in range(layers)])

    def dense(self, inputs: int, outputs: int) -> dict[str, Any]:
        """A weight and a bias."""
        return {"w": self.weight(inputs, outputs), "b": np.zeros(outputs, "float32")}

    def kernel(self, *shape: int) -> dict[str, Any]:
        """The weight and bias of a convolution."""
        return {"w": self.weight(*shape), "b": np.zeros(shape[-1], "float32")}

    def integers(self, high: int, *shape: int) -> Any:
        """Whole numbers below ``high``."""
        return self._rng.integers(0, high, shape).astype("int32")

    def uniform(self, *shape: int) -> Any:
        """Numbers between 0 and 1."""
        return np.asarray(self._rng.uniform(size=shape), "float32")


def dense(p: Any, x: Any) -> Any:
    """x W + b."""
    return x @ p["w"] + p["b"]
