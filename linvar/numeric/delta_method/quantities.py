"""A quantity along the path to first order: its value at b = infinity, and the coefficient of 1/b with its standard error."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from linvar.arguments import check_integer
from linvar.errors import InputError
from linvar.keywords import door
from linvar.numeric.arguments import check_batch_sizes
from linvar.numeric.estimates import Estimate
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.schemes.scheme import scheme_of


@dataclass(frozen=True, eq=False)
class FirstOrderQuantity:
    """limit + coefficient / b + o(1/b) after t = 0, 1, ..., steps updates, given the INITIAL parameters.

    Attributes:
        limit: (steps + 1,): the value at b = infinity, along w_{t+1} = w_t - a_t grad L(w_t).
        coefficient: (steps + 1,): of 1/b.
        standard_error: (steps + 1,): of ``coefficient``, over probes or blocks of them, which all steps share; 0 for "full".
        samples: (steps + 1, runs): independent estimates of ``coefficient``; method "full" has one, without error.
        sizes: (runs,): how many probes are behind each of them; ``coefficient`` is the mean with these weights.
        examples: n, where all examples count the same; None for weighted examples and laws that are no data set.
    """

    limit: np.ndarray
    samples: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    examples: int | None = field(repr=False)
    coefficient: np.ndarray = field(init=False)
    standard_error: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        value, error = mean_and_error(self.samples, self.sizes)
        object.__setattr__(self, "coefficient", value)
        object.__setattr__(self, "standard_error", error)

    @property
    def runs(self) -> int:
        """How many independent estimates there are; 0 where nothing is estimated."""
        return len(self.sizes) if len(self.sizes) > 1 else 0

    def estimate(self, step: int = -1) -> Estimate:
        """The coefficient after ``step`` updates (the last if -1) with its standard error.

        >>> half = np.asarray([[0.0, 0.0], [1.0, 2.0]])
        >>> FirstOrderQuantity(np.zeros(2), half, np.asarray([4, 4]), 100).estimate()
        1.50 +- 0.50 (2 runs)
        """
        step = check_step(step, len(self.limit) - 1)
        return Estimate(float(self.coefficient[step]), float(self.standard_error[step]), self.runs)

    @door
    def at(self, batch_size: int, sampling: str = "iid") -> np.ndarray:
        """What first order predicts for batches of b examples, (steps + 1,): limit + c coefficient.

        c = 1/b, or (n - b)/(b (n - 1)) without replacement.

        What is left out vanishes faster than 1/b as b grows; like 1/b^2 where the loss is smooth and tails are light, but not for
        every loss of three derivatives (see ``first_order``).

        Args:
            batch_size: b.
            sampling: "iid", or "without_replacement" from n examples that count the same.

        >>> FirstOrderQuantity(np.asarray([1.0, 0.5]), np.asarray([[0.0], [2.0]]), np.ones(1), None).at(8)
        array([1.  , 0.75])
        """
        return np.asarray(self.limit + self.factor(batch_size, sampling) * self.coefficient)

    def factor(self, batch_size: int, sampling: str = "iid") -> float:
        """c of a batch size: 1/b, or (n - b)/(b (n - 1)) without replacement from n examples.

        >>> FirstOrderQuantity(np.zeros(1), np.zeros((1, 1)), np.ones(1), 5).factor(2, "without_replacement")
        0.375
        """
        scheme = scheme_of(sampling)
        if scheme.within_dataset and self.examples is None:
            fault = "needs examples that count the same"
            raise InputError("sampling", sampling, "give data, no weights", fault=fault)
        sizes = np.asarray(check_batch_sizes([batch_size], scheme.largest_batch(self.examples)))
        return float(numeric_scheme(sampling).factor(sizes, self.examples)[0])


@dataclass(frozen=True, eq=False)
class FirstOrderLoss(FirstOrderQuantity):
    """An expected loss F, and the two parts of its coefficient, grad F . m + tr(Hess F C) / 2.

    Attributes:
        shift: (steps + 1,): grad F . m_t, as the mean of the parameters moves by m_t / b.
        spread: (steps + 1,): tr(Hess F C_t) / 2, as they spread around it with covariance C_t / b.
        epsilon: of the floating-point numbers it was computed in.
    """

    shift: np.ndarray
    spread: np.ndarray
    epsilon: float = field(repr=False)


def mean_and_error(samples: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the last axis, weighted by sizes, and its standard error; 0 where there is one sample.

    A mean over s probes has a variance like 1/s, which the squares around the mean are weighted with.

    >>> mean_and_error(np.asarray([[1.0, 3.0, 5.0]]), np.asarray([2, 2, 2]))
    (array([3.]), array([1.15470054]))
    """
    shares = np.asarray(sizes) / np.sum(sizes)
    first = samples[..., :1]  # centred on the first one: equal ones have no spread
    value = first[..., 0] + (samples - first) @ shares
    runs = samples.shape[-1]
    if runs == 1:
        return value, np.zeros_like(value)
    return value, np.sqrt((samples - value[..., None]) ** 2 @ shares / (runs - 1))


def check_step(step: int, last: int) -> int:
    """A number of updates that were followed, or -1 for all."""
    if not -1 <= check_integer(step, "step") <= last:
        raise InputError("step", step, f"give one of 0..{last}, or -1 for the last")
    return int(step)
