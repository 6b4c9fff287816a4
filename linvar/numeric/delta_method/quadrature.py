"""Whether weighted examples may stand for a law: for which losses the rule of the law holds.

The rule of a data set, its rows, holds for any; that of a Gaussian law (``numeric/laws/normal_rule.py``) or of independent
coordinates has the law's moments up to order 4: the squares of a gradient are right where the loss is of degree 2 in the example.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import InputError, Words
from linvar.numeric.delta_method.linearized import Loss, differentiated
from linvar.numeric.laws.law import FiniteRule


def check_rule(loss: Loss, params: Any, rule: FiniteRule) -> None:
    """Refuse a loss for which the rule does not hold: third differences on the rule's lines, f(3) - 3 f(2) + 3 f(1) - f(0).

    At the parameters, and at random ones, where no accident hides the degree.
    """
    if rule.lines is None:
        return
    rng = np.random.default_rng(1)
    own, rebuilt = differentiated(params)
    dtype = jnp.result_type(*own)
    examples = tuple(jnp.asarray(part, dtype) for part in rule.lines)
    elsewhere = [x + jnp.asarray(rng.normal(size=x.shape), x.dtype) for x in own]
    for leaves in (own, elsewhere):
        losses = jax.jit(jax.vmap(loss, (None, 0)))(rebuilt(leaves), examples)
        values = np.asarray(losses, "float64").reshape(-1, 4)
        largest = float(np.max(np.abs(values)))
        rounding = math.sqrt(np.finfo(np.dtype(dtype)).eps)
        if math.isfinite(largest) and np.max(np.abs(values @ [-1, 3, -3, 1])) > rounding * largest:
            raise InputError(
                "loss",
                Words("is not a polynomial of degree 2 in the example, and only for one has this law a finite rule"),
                "give a large sample of the law as data, arrays with the examples first",
            )
