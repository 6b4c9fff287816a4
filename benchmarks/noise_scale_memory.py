"""Peak memory of noise_scale against the number of examples: streamed batches of 4,096 x 256 floats through an MLP.

    python benchmarks/noise_scale_memory.py [--largest 4194304]

Each row is a process of its own: peak resident memory, seconds, examples a second. The data of the last row are 4 GB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

WIDTH, ROWS = 256, 4096


def batches(count: int) -> Iterator[Any]:
    """Batches made as they are asked for."""
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(count // ROWS):
        yield rng.standard_normal((ROWS, WIDTH), "float32")


def one(count: int) -> None:
    """One row."""
    import jax.numpy as jnp
    import numpy as np

    from linvar.numeric import noise_scale

    rng = np.random.default_rng(1)
    params = [rng.standard_normal((WIDTH, 256), "float32") / 16, rng.standard_normal((256, 1), "float32") / 16]
    loss = lambda p, x: jnp.sum((jnp.tanh(x @ p[0]) @ p[1] - x[0]) ** 2)  # noqa: E731
    noise_scale(loss, params, batches(2 * ROWS))
    start = time.perf_counter()
    found = noise_scale(loss, params, batches(count))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{count:10,d} examples {peak:7.0f} MB {seconds:7.1f} s {count / seconds:12,.0f} a second   {found}", flush=True
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=2**22)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        one(arguments.only)
        return
    count = 2**14
    while count <= arguments.largest:
        subprocess.run([sys.executable, __file__, "--only", str(count)], check=True)
        count *= 4


if __name__ == "__main__":
    main()
