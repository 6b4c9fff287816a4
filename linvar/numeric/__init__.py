"""The floating-point half: JAX. It differentiates a loss; it shares no formula with the exact half.

Names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linvar.numeric.first_order.coefficients import FirstOrder as FirstOrder
    from linvar.numeric.first_order.coefficients import first_order_variance as first_order_variance
    from linvar.numeric.gradients.moments import GradientMoments as GradientMoments
    from linvar.numeric.gradients.moments import gradient_moments as gradient_moments
    from linvar.numeric.gradients.noise import NoiseScale as NoiseScale
    from linvar.numeric.gradients.noise import noise_scale as noise_scale
    from linvar.numeric.gradients.noise import two_batch_noise_scale as two_batch_noise_scale
    from linvar.numeric.gradients.recorder import record_noise as record_noise
    from linvar.numeric.gradients.recorder import recorded_noise as recorded_noise
    from linvar.numeric.regression import regression_curve as regression_curve
    from linvar.numeric.simulation.trajectories import simulate as simulate

_HOMES = {
    "FirstOrder": "first_order.coefficients",
    "first_order_variance": "first_order.coefficients",
    "GradientMoments": "gradients.moments",
    "gradient_moments": "gradients.moments",
    "NoiseScale": "gradients.noise",
    "noise_scale": "gradients.noise",
    "two_batch_noise_scale": "gradients.noise",
    "record_noise": "gradients.recorder",
    "recorded_noise": "gradients.recorder",
    "regression_curve": "regression",
    "simulate": "simulation.trajectories",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'linvar.numeric' has no attribute {name!r}")
    value = getattr(import_module(f"linvar.numeric.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
