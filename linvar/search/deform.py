"""Networks of widths 1 of one depth turned into those of another: layers left out, layers put in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from linvar.errors import InputError, InputTypeError
from linvar.laws.gaussian import Gaussian
from linvar.problem import Problem

#: Layers that are put in: how many sets of them, and the logarithms between which their x_k are drawn. One with a small x_k
#: hardly moves, and changes next to nothing.
_SETS, _PUT_IN = 8, (math.log(0.01), math.log(6.0))
#: Most ways to leave layers out.
_WAYS = 64
#: The noise of a network without any, where it is varied.
_FAINT = 1e-3
_CURE = "give problems of widths 1, x ~ N(0, 1), plain SGD and one rate, as searches with a depth find them"


def points_near(near: Any, depth: int, label_noise: bool, draws: np.random.Generator) -> np.ndarray | None:
    """The points that networks of any depth become at this one, shape (k, p); None for none.

    Args:
        near: a list of problems.
        depth, label_noise: what is sought.
        draws: for what is put in.

    Raises:
        InputTypeError: it is no list of problems.
        InputError: one of them is not of the kind that is sought.
    """
    if not isinstance(near, Sequence):
        raise InputTypeError("near", near, "give a list of problems")
    parts = []
    for place, problem in enumerate(near):
        if not isinstance(problem, Problem):
            raise InputTypeError(f"near[{place}]", problem, _CURE)
        point = point_of(problem, label_noise)
        if point is None:
            raise InputError(f"near[{place}]", problem, _CURE, fault="is of another kind")
        parts.append(deformed(point, problem.depth, depth, draws))
    return np.concatenate(parts) if parts else None


def point_of(problem: Problem, label_noise: bool) -> np.ndarray | None:
    """log x_k, log(1 - tau) and, if asked for, log sigma (``linvar.search.objective``); None where they do not exist.

    >>> start = Problem([[[1]], [[2]]], Gaussian([["1/2"]]), learning_rate="1/10", step=1)
    >>> np.exp(point_of(start, False)).round(12).tolist()  # x_k = rate P (P - T) / w_k^2, 1 - T / P
    [0.3, 0.075, 0.75]
    """
    law = problem.law
    if not isinstance(law, Gaussian) or law.input_width != 1 or problem.symbols:
        return None
    plain = Gaussian(law.teacher, noise_variance=law.noise_variance)
    if problem != Problem(
        problem.leaves, plain, problem.learning_rate, problem.step
    ):  # of another model, mean, update, ...
        return None
    if any(len(leaf) != 1 for leaf in problem.leaves) or len(problem.distinct_learning_rates) != 1:
        return None
    weights = [float(leaf[0][0]) for leaf in problem.leaves]
    product, teacher, variance = math.prod(weights), float(law.teacher[0][0]), float(law.noise_variance)
    scale = product * (product - teacher) * float(problem.distinct_learning_rates[0])
    if not scale > 0 or (variance and not label_noise):
        return None
    numbers = [*(scale / weight**2 for weight in weights), 1 - teacher / product]
    if label_noise:
        numbers.append(math.sqrt(variance) / abs(product) or _FAINT)
    return np.log(numbers)


def deformed(point: np.ndarray, depth: int, to: int, draws: np.random.Generator) -> np.ndarray:
    """Points of depth ``to`` made from one of another depth, shape (k, p).

    >>> deformed(np.log([1.0, 2.0, 3.0, 0.5]), depth=3, to=2, draws=np.random.default_rng(0)).shape  # each layer left out
    (3, 3)
    """
    x, rest = point[:depth], point[depth:]
    if to == depth:
        return point[None]
    if to > depth:
        layers = [np.concatenate([x, draws.uniform(*_PUT_IN, size=to - depth)]) for _ in range(_SETS)]
    else:
        ways = {tuple(sorted(draws.permutation(depth)[:to])) for _ in range(4 * _WAYS)}
        layers = [x[list(way)] for way in sorted(ways)[:_WAYS]]
    return np.array([np.concatenate([one, rest]) for one in layers])
