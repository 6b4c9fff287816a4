"""Landscapes whose points are the numbers of a template."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from linvar.problem import Problem
from linvar.search.ascent import Landscape
from linvar.search.template import Template


class Numbers(Landscape):
    """log var of the problems of a template.

    Attributes:
        template: what is varied.
        numbers: all of it, varied or not.
    """

    template: Template
    numbers: jax.Array

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, "s p"]:
        """Random points about the template."""
        return self.template.draw(key, count)

    def roundings(self, point: np.ndarray) -> Iterator[Problem]:
        """The problems of a point."""
        return self.template.roundings(point)
