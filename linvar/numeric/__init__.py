"""The floating-point half: JAX. It differentiates a loss; it shares no formula with the exact half.

Names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linvar.numeric.first_order import FirstOrder as FirstOrder
    from linvar.numeric.first_order import first_order_variance as first_order_variance
    from linvar.numeric.moments import GradientMoments as GradientMoments
    from linvar.numeric.moments import gradient_moments as gradient_moments
    from linvar.numeric.noise import NoiseScale as NoiseScale
    from linvar.numeric.noise import noise_scale as noise_scale
    from linvar.numeric.noise import two_batch_noise_scale as two_batch_noise_scale
    from linvar.numeric.recorder import record_noise as record_noise
    from linvar.numeric.recorder import recorded_noise as recorded_noise
    from linvar.numeric.regression import regression_curve as regression_curve
    from linvar.numeric.trajectories import simulate as simulate

_HOMES = {
    "FirstOrder": "first_order",
    "first_order_variance": "first_order",
    "GradientMoments": "moments",
    "gradient_moments": "moments",
    "NoiseScale": "noise",
    "noise_scale": "noise",
    "two_batch_noise_scale": "noise",
    "record_noise": "recorder",
    "recorded_noise": "recorder",
    "regression_curve": "regression",
    "simulate": "trajectories",
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
