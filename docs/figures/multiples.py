"""A search among networks of width 2 whose layers and teacher are multiples of I, after one step.

    python docs/figures/multiples.py --depths 2 3 4 --seconds 30

The variance is (5) of proofs/multiples-of-the-identity.md, up to a factor, over Gauss nodes of the eigenvalues of S. With C, D
and N independent, chi^2_b, chi^2_{b-1} and normal, b S has the trace C + D + N^2 and the determinant C D (Bartlett, 1933).
``docs/figures/grid.py --search`` calls it for the table of variants.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy.special import roots_hermitenorm

import linvar as lv
from linvar.search.ascent import Landscape
from linvar.search.objective import draw_starts, gamma_rule, grid_of_sizes, rounded
from linvar.search.rounds import Ascents, Clock

#: Where it looks.
SIZES = (4, 400)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["batch_sizes", "eigenvalues", "probabilities"],
    meta_fields=["depth"],
)
@dataclass(frozen=True)
class Multiples(Landscape):
    """log var at the points (log x_1, ..., log x_L, log(1 - tau)).

    Attributes:
        eigenvalues: of S at the nodes of each batch size, shape (k, 2, m).
        probabilities: shape (k, m), positive, sum 1.
    """

    depth: int
    batch_sizes: jax.Array
    eigenvalues: jax.Array
    probabilities: jax.Array

    def log_variance(self, point: Float[Array, " p"]) -> Float[Array, " k"]:
        """log var, up to a constant: sums of positive terms."""
        x, tau = jnp.exp(point[: self.depth]), 1 - jnp.exp(point[self.depth])

        @jax.checkpoint
        def at(grid: tuple[Array, Array, Array]) -> Float[Array, ""]:
            b, s, chances = grid
            v = 1 - x[:, None, None] * s
            one = jnp.ones_like(v[:1])
            below = jnp.concatenate([one, jnp.cumprod(v[:-1], axis=0)])  # b_l
            behind = jnp.concatenate([jnp.cumprod(v[::-1][:-1], axis=0)[::-1], one])
            above = (below[-1] * v[-1] - tau) * behind  # a_l
            whole = above * below  # h_l
            mean = jnp.sum(chances * whole, axis=(1, 2), keepdims=True) / 2
            spread = jnp.sum(chances * (whole - mean) ** 2, axis=(1, 2))
            traces = [jnp.sum(of**2, axis=1) for of in (whole, above, below)]
            inner = jnp.sum(chances * (traces[0] + traces[1] * traces[2]), axis=1)
            return jnp.log(jnp.sum(x * (spread + inner / b)))

        values: jax.Array = jax.lax.map(at, (self.batch_sizes, self.eigenvalues, self.probabilities))
        return values

    @property
    def cost(self) -> int:
        """Numbers of an evaluation."""
        return int(self.depth * self.eigenvalues.size)

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, "s p"]:
        """Those of networks of width 1."""
        starts: jax.Array = draw_starts(key, count, self.depth, False)
        return starts

    def roundings(self, point: np.ndarray) -> Iterator[lv.Problem]:
        """Those of width 1, times I."""
        for digits in (2, 3, 4, 5, 6):
            narrow = rounded(point, self.depth, 1, digits)
            yield narrow.replace(
                weights=[_times_identity(leaf) for leaf in narrow.leaves],
                law=lv.Gaussian(_times_identity(narrow.law.teacher)),
            )


def _times_identity(number: tuple[tuple[lv.Rational, ...], ...]) -> list[list[lv.Rational]]:
    return [[number[0][0], lv.Rational(0)], [lv.Rational(0), number[0][0]]]


def build(depth: int, low: int, high: int) -> Multiples:
    """The nodes: moments of S up to the order 2 (2L - 1) are exact; from batches of two on."""
    sizes, count = grid_of_sizes(max(low, 2), high), 2 * depth
    normal, masses = roots_hermitenorm(2 * count)
    normal, masses = normal[count:], 2 * masses[count:] / math.sqrt(2 * math.pi)  # N enters by its square
    eigenvalues, chances = [], []
    for b in sizes:
        (first, p), (second, q) = (gamma_rule(count, degrees / 2) for degrees in (b, b - 1))
        c, d, n = np.meshgrid(2 * first / b, 2 * second / b, normal / math.sqrt(b), indexing="ij")
        root = np.sqrt((c - d - n**2) ** 2 + 4 * n**2 * c)  # of trace^2 - 4 determinant, without cancellation
        large = (c + d + n**2 + root) / 2
        eigenvalues.append([(c * d / large).ravel(), large.ravel()])
        chances.append(np.einsum("i,j,k->ijk", p, q, masses).ravel())
    return Multiples(depth, *map(jnp.asarray, (sizes.astype(float), np.array(eigenvalues), np.array(chances))))


def search(depth: int, seconds: float) -> dict[str, float]:
    """The largest slope, starts and process seconds; what is found is printed, to be certified."""
    begin = time.process_time()
    with jax.enable_x64(True):
        ascents = Ascents(build(depth, *SIZES), Clock(seconds, lambda done, total: None))
        found = ascents.run(jax.random.key(0))
    if found is not None:
        print(found, flush=True)
    return {
        "slope": round(ascents.largest, 4),
        "starts": ascents.starts,
        "process_seconds": round(time.process_time() - begin),
    }


def main() -> None:
    """Search, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", nargs="*", type=int, default=[2, 3, 4])
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    for depth in options.depths:
        print(depth, search(depth, options.seconds), flush=True)


if __name__ == "__main__":
    main()
