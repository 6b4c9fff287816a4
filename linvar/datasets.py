"""Real data sets, rounded openly to exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from linvar.exact import Rational, rationalize
from linvar.laws import Dataset


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message has the command that installs it."""


@dataclass(frozen=True)
class RoundedDataset:
    """A Dataset together with what rounding did to it.

    Attributes:
        dataset: the exact data set.
        decimals: digits kept after the decimal point.
        largest_rounding_error: the largest |rounded - given| over all inputs and targets, measured; at most
            ``10**-decimals / 2``.
    """

    dataset: Dataset
    decimals: int
    largest_rounding_error: float


def diabetes(decimals: int = 4) -> Dataset:
    """The diabetes data of Efron et al. (2004), 442 patients x 10 inputs, as an exact ``Dataset``.

    scikit-learn's columns have mean 0 and squared norm 1; here they are multiplied by sqrt(442), and the target
    becomes (y - mean(y)) / std(y): every column has mean 0 and variance 1 (divisor n). All entries are then
    rounded to ``decimals`` digits, so means and variances hold up to that rounding;
    ``rounded_diabetes`` reports how far it moved an entry.

    Args:
        decimals: digits kept after the decimal point, >= 0.

    Returns:
        442 examples, 10 inputs, 1 target.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    >>> diabetes()
    Dataset(442 examples, 10 inputs, 1 target)

    Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32 (2004).
    """
    return rounded_diabetes(decimals).dataset


def rounded_diabetes(decimals: int = 4) -> RoundedDataset:
    """The data of ``diabetes`` with the largest rounding error, measured.

    Args, Raises: as ``diabetes``.

    >>> rounded_diabetes(decimals=4).largest_rounding_error <= 0.5e-4
    True
    """
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise MissingExtraError(
            'the diabetes data come with scikit-learn, which is not installed: pip install "linvar[data]"'
        ) from error
    inputs, targets = load_diabetes(return_X_y=True)
    inputs = inputs * len(inputs) ** 0.5
    targets = (targets - targets.mean()) / targets.std()
    rounded_inputs, rounded_targets = rationalize(inputs, decimals), rationalize(targets, decimals)
    largest = max(
        *(_distance(a, b) for given, rounded in zip(inputs, rounded_inputs) for a, b in zip(given, rounded)),
        *(_distance(a, b) for a, b in zip(targets, rounded_targets)),
    )
    return RoundedDataset(Dataset(rounded_inputs, rounded_targets), decimals, largest)


def _distance(given: Any, rounded: Rational) -> float:
    """|rounded - given|, exact until the end."""
    return float(abs(Rational(float(given)) - rounded))
