"""The law of one example as weighted examples, whose fourth moments are those of the law.

A data set is its rows. For m standard normals there are two deterministic rules with positive weights, exact for every
polynomial of degree 4 (checked moment by moment in the tests):

- m <= 4: three Gauss-Hermite nodes a coordinate, 3^m points;
- beyond: A at r s for sign vectors s, and B at +-rho e_i, with c = 4 / (m + 2), r^2 = 1 / (1 - c), A = (1 - c)^2,
  rho^2 = 2 / c, B = m c^2 / 2 = 1 - A. The signs are an orthogonal array of strength 4, the dual of the BCH code of
  distance 5: s_x = (-1)^(a . x + b . x^3), x running over the non-zero elements of GF(2^k), (a, b) over all 4^k. About
  4 m^2 to 16 m^2 points.

After Stroud (1971), "Approximate Calculation of Multiple Integrals", and Bose and Ray-Chaudhuri (1960).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import InputError, Words, cut
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.numeric.first_order.linearized import differentiated
from linvar.numeric.laws.sampling import square_root
from linvar.numeric.models.linear import to_floats

#: Irreducible polynomials over GF(2) by degree, as bits.
_FIELDS = {3: 0b1011, 4: 0b10011, 5: 0b100101, 6: 0b1000011, 7: 0b10000011, 8: 0b100011101}
#: Lines on which a loss is checked to be quadratic.
_LINES = 16


def law_examples(law: Gaussian | Dataset, dtype: Any) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    """Examples (x, y), examples first, and their probabilities (None: equal).

    Args:
        law: without symbols.
        dtype: of the arrays.

    >>> (x, y), weights = law_examples(Gaussian([[2]]), "float64")
    >>> [round(float(weights @ (x * y)[:, 0] ** k), 9) for k in (0, 1, 2)]  # 1, 2 E x^2, 4 E x^4
    [1.0, 2.0, 12.0]
    """
    if law.symbols:
        names = cut(", ".join(map(str, law.symbols)))
        raise InputError("data", law, "put numbers in", fault=f"contains the symbols {names}")
    if isinstance(law, Dataset):
        return (to_floats(law.inputs, "inputs", str(dtype)), to_floats(law.targets, "targets", str(dtype))), None
    points, weights = gaussian_rule(_noise_factor(law)[0].shape[1])
    x, y = _examples(law, points)
    return (x.astype(dtype), y.astype(dtype)), weights


def gaussian_rule(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (k, m) and positive weights (k,): all moments of m standard normals up to order 4."""
    if width <= 4:
        nodes, shares = (-math.sqrt(3), 0.0, math.sqrt(3)), (1 / 6, 2 / 3, 1 / 6)
        points = np.asarray(list(itertools.product(nodes, repeat=width))).reshape(3**width, width)
        return points, np.asarray([math.prod(w) for w in itertools.product(shares, repeat=width)])
    if width > 255:
        raise InputError(
            "data",
            Words(f"is a Gaussian law of {width} independent normals"),
            "beyond 255 give a large sample of it, arrays with the examples first",
        )
    c = 4 / (width + 2)
    signs = _sign_vectors(width) / math.sqrt(1 - c)
    axes = math.sqrt(2 / c) * np.concatenate([np.eye(width), -np.eye(width)])
    masses = (1 - c) ** 2 / len(signs), c**2 / 4
    return np.concatenate([signs, axes]), np.repeat(masses, [len(signs), len(axes)])


def _sign_vectors(width: int) -> np.ndarray:
    """Rows of -1 and 1 in which any four columns take their 16 values equally often."""
    degree = next(k for k in _FIELDS if 2**k > width)

    def times(a: int, b: int) -> int:
        """Product in GF(2^degree)."""
        result = 0
        for bit in range(degree):
            result ^= (a << bit) * (b >> bit & 1)
        for bit in reversed(range(degree, 2 * degree)):
            result ^= (_FIELDS[degree] << bit - degree) * (result >> bit & 1)
        return result

    columns = np.asarray([x | times(x, times(x, x)) << degree for x in range(1, width + 1)])
    rows = np.arange(4**degree)
    return 1.0 - 2.0 * (np.bitwise_count(rows[:, None] & columns) & 1)


def _noise_factor(law: Gaussian) -> tuple[np.ndarray, np.ndarray]:
    """F with z = (x, noise) = mean + F e, e independent standard normals, no zero columns; and the mean of x."""
    inputs = square_root(law, "float64")
    inputs = inputs[:, np.any(inputs != 0, axis=0)]
    noise = np.sqrt(to_floats(law.noise_variance, "noise_variance", "float64"))
    outputs = noise * np.eye(law.target_width if noise else 0)
    factor = np.zeros((law.input_width + len(outputs), inputs.shape[1] + len(outputs)))
    factor[: law.input_width, : inputs.shape[1]] = inputs
    factor[law.input_width :, inputs.shape[1] :] = outputs
    return factor, to_floats(law.mean, "mean", "float64")


def _examples(law: Gaussian, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of rows of independent standard normals."""
    factor, mean = _noise_factor(law)
    z = normals @ factor.T
    x = mean + z[:, : law.input_width]
    y = x @ to_floats(law.teacher, "teacher", "float64").T
    return x, y + z[:, law.input_width :] if z.shape[1] > law.input_width else y


def check_quadratic(loss: Any, params: Any, law: Gaussian) -> None:
    """Refuse a loss that is no polynomial of degree 2 in the example: third differences on random lines.

    At the parameters, and at random ones, where no accident hides the degree.
    """
    rng = np.random.default_rng(0)
    start, step = rng.normal(size=(2, _LINES, 1, _noise_factor(law)[0].shape[1]))
    normals = (start + np.arange(4)[:, None] * step).reshape(4 * _LINES, -1)
    own, rebuilt = differentiated(params)
    dtype = jnp.result_type(*own)
    examples = tuple(jnp.asarray(part, dtype) for part in _examples(law, normals))
    elsewhere = [x + jnp.asarray(rng.normal(size=x.shape), x.dtype) for x in own]
    for leaves in (own, elsewhere):
        losses = jax.jit(jax.vmap(loss, (None, 0)))(rebuilt(leaves), examples)
        values = np.asarray(losses, "float64").reshape(_LINES, 4)
        largest = float(np.max(np.abs(values)))
        rounding = math.sqrt(np.finfo(np.dtype(dtype)).eps)
        if math.isfinite(largest) and np.max(np.abs(values @ [-1, 3, -3, 1])) > rounding * largest:
            raise InputError(
                "loss",
                Words(
                    "is not a polynomial of degree 2 in the example, and only for one has a Gaussian law a finite rule"
                ),
                "give a large sample of the law as data, arrays with the examples first",
            )
