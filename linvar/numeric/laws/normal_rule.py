"""Weighted points whose fourth moments are those of m independent standard normals.

Two deterministic rules with positive weights, exact for every polynomial of degree 4 (checked moment by moment in the tests):

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

import numpy as np
from scipy.special import roots_hermitenorm

from linvar.errors import InputError, Words

#: Irreducible polynomials over GF(2) by degree, as bits.
_FIELDS = {3: 0b1011, 4: 0b10011, 5: 0b100101, 6: 0b1000011, 7: 0b10000011, 8: 0b100011101}


def normal_rule(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (k, m) and positive weights (k,): all moments of m standard normals up to order 4.

    >>> points, weights = normal_rule(2)
    >>> points.shape, [round(float(weights @ (points[:, 0] ** k * points[:, 1] ** 2)), 9) for k in (0, 1, 2)]
    ((9, 2), [1.0, 0.0, 1.0])
    """
    if width <= 4:
        nodes, masses = roots_hermitenorm(3)  # 0 and +-3^(1/2), with masses 2/3 and 1/6 of sqrt(2 pi)
        shares = masses / math.sqrt(2 * math.pi)
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
    parts = (1 - c) ** 2 / len(signs), c**2 / 4  # A and B, equally over their points
    return np.concatenate([signs, axes]), np.repeat(parts, [len(signs), len(axes)])


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

    # column x holds the bits of (x, x^3), row (a, b) the parity of a . x + b . x^3
    columns = np.asarray([x | times(x, times(x, x)) << degree for x in range(1, width + 1)])
    rows = np.arange(4**degree)
    return np.asarray(1.0 - 2.0 * (np.bitwise_count(rows[:, None] & columns) & 1))
