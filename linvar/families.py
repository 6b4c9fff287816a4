"""Losses that the field studies, each of ONE example and polynomial in its weights: ``Problem(loss=families.diagonal, ...)``.

Weights are dictionaries by the names below, examples (x, y) of shapes (d,) and (m,) unless it says otherwise. Arguments after
params and example are bound with ``functools.partial(families.power, depth=3)``.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Array

__all__ = ["autoencoder", "diagonal"]


def diagonal(params: Any, example: tuple[Array, Array]) -> Array:
    """The diagonal network x -> (u * u - v * v) . x: 1/2 ((u^2 - v^2) . x - y)^2. Degree 4.

    Weights: u and v of shape (d,); y of shape (1,). Source: Woodworth et al., Kernel and rich regimes (2020).
    """
    x, y = example
    residual = (params["u"] ** 2 - params["v"] ** 2) @ x - y
    return (residual**2).sum() / 2


def autoencoder(params: Any, example: tuple[Array, Array]) -> Array:
    """The tied linear autoencoder x -> W^T W x: 1/2 ||W^T W x - x||^2. Degree 4. Weights: W of shape (k, d); y is not used."""
    x, _ = example
    residual = params["W"].T @ (params["W"] @ x) - x
    return (residual**2).sum() / 2
