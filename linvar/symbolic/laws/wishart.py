"""Zero-mean Gaussian examples: all that matters of them is the covariance, and a batch's second moment is a Wishart matrix."""

from __future__ import annotations

from dataclasses import dataclass

from linvar.exact import Exact, Matrix


@dataclass(frozen=True)
class Wishart:
    """x ~ N(0, covariance), y = teacher x + noise, noise ~ N(0, noise_variance I).

    Attributes:
        teacher: W*, shape (d_L, d_0).
        covariance: Sigma, shape (d_0, d_0).
        noise_variance: of each coordinate of the target.
    """

    teacher: Matrix
    covariance: Matrix
    noise_variance: Exact
