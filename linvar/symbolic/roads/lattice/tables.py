"""Residues that the moments of a batch need on the host: forward differences, binomials, and what the scheme brings.

N and S change the basis of a polynomial in x from its values at x = 0, 1, ..., D, by Newton's formula
(``proofs/lattice.md``): coefficients of C(x, a) are the forward differences (Delta^a F)(0) = sum_x N[a, x] F(x), and
C(x, a) = sum_e S[e, a] x^e.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linvar.symbolic.schemes.registry import exact_scheme

#: arrays whose first axis is the primes
HostTables = dict[str, np.ndarray]


def tables(degree: int, sampling: str, dataset_size: int | None, primes: Sequence[int]) -> HostTables:
    """Residues that the moments up to this order need, one row a prime; computed once, on the host.

    Args:
        degree: D.
        sampling: the name of the scheme.
        dataset_size: n, where the law is a data set.
        primes: all larger than D and n.

    Returns:
        ``differences`` N and ``binomials`` S, shape (primes, D + 1, D + 1); ``growth`` g_k(w) at w = 0..D, of the same shape;
        ``inverses`` 1/k, ``factorials`` k! and ``doubled`` 2^{k-1}, shape (primes, D + 1); ``scale`` where w is umbral.
    """
    p = np.array(primes, np.int64)[:, None]
    size, scheme = degree + 1, exact_scheme(sampling)
    inverses = np.array([[1, *(pow(k, -1, q) for k in range(1, size))] for q in primes], np.int64)
    factorials = np.ones((len(primes), size), np.int64)
    differences = np.zeros((len(primes), size, size), np.int64)  # N[a, x] = (-1)^{a-x} C(a, x)
    binomials = np.zeros((len(primes), size, size), np.int64)  # S[e, a]: C(x, a) = sum_e S[e, a] x^e
    differences[:, 0, 0] = binomials[:, 0, 0] = 1
    for a in range(1, size):
        factorials[:, a] = factorials[:, a - 1] * a % p[:, 0]
        # N[a, x] = N[a-1, x-1] - N[a-1, x]
        differences[:, a, 1:] = differences[:, a - 1, :-1]
        differences[:, a] = (differences[:, a] - differences[:, a - 1]) % p
        # C(x, a) = C(x, a-1) (x - (a-1)) / a
        before = binomials[:, :, a - 1]
        binomials[:, 1:, a] = before[:, :-1]
        binomials[:, :, a] = (binomials[:, :, a] - (a - 1) * before) % p * inverses[:, a : a + 1] % p
    points = np.broadcast_to(np.arange(size, dtype=np.int64), (len(primes), size))
    doubled = np.array([[0, *(pow(2, k - 1, q) for k in range(1, size))] for q in primes], np.int64)
    named = {
        "differences": differences, "binomials": binomials, "growth": scheme.growth(points, inverses, p),
        "inverses": inverses, "factorials": factorials, "doubled": doubled,
    }  # fmt: skip
    scale = scheme.umbral_scale(size, dataset_size, primes)
    if scale is not None:
        named["scale"] = scale
    return {name: _near_zero(table, p) for name, table in named.items()}


def _near_zero(table: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Residues of least size, as float64."""
    q = p.reshape((-1,) + (1,) * (table.ndim - 1))
    return np.where(table > q // 2, table - q, table).astype(np.float64)
