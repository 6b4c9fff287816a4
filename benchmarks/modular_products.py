"""Products modulo a prime in JAX: three ways to do them, on the same arrays, in one run.

    python benchmarks/modular_products.py [--repeats 7]

x <- x y mod p, element by element, 64 times in one compiled function; medians of ``repeats`` that take turns.

- float64: p < 2^26, a product below 2^50, x - p round(x / p): the lattice road (``linvar.symbolic.roads.lattice.modular``);
- float64, eight products summed before one reduction: what it does wherever bounds allow;
- uint64 with %: p < 2^32;
- uint32 Montgomery: p < 2^31, two multiplications of 32 bits to 64, no division.

Each is checked against Python integers before the clock starts. A prime of 26 bits carries less than one of 31: the last
column is products a second times the bits of the prime.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.symbolic.roads.lattice.modular import PRIME_LIMIT, reduce
from linvar.symbolic.roads.lattice.reconstruction import primes_below

SIZE, TIMES = 2**15, 64


def float64(prime: int) -> Callable[[Any, Any], Any]:
    """One product, one reduction."""
    return lambda x, y: reduce(x * y, float(prime))


def uint64(prime: int) -> Callable[[Any, Any], Any]:
    """The remainder that XLA compiles."""
    return lambda x, y: x * y % jnp.uint64(prime)


def montgomery(prime: int) -> Callable[[Any, Any], Any]:
    """x y 2^-32 mod p, in [0, p): the representatives x 2^32 multiply as the x do."""
    inverse = np.uint32(-pow(prime, -1, 2**32) % 2**32)

    def product(x: Any, y: Any) -> Any:
        wide = x.astype(jnp.uint64) * y.astype(jnp.uint64)
        factor = wide.astype(jnp.uint32) * inverse
        high = ((wide + factor.astype(jnp.uint64) * jnp.uint64(prime)) >> jnp.uint64(32)).astype(jnp.uint32)
        return jnp.where(high >= prime, high - jnp.uint32(prime), high)

    return product


def repeated(product: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The product, many times."""
    return jax.jit(lambda x, y: jax.lax.fori_loop(0, TIMES // 8, lambda _, x: eight(product, x, y), x))


def eight(product: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """Eight in a row, so that the loop does not count."""
    for _ in range(8):
        x = product(x, y)
    return x


def summed(prime: int) -> Callable[[Any, Any], Any]:
    """Eight products with shifted residues and one reduction, TIMES products in all."""

    def step(_: Any, x: Any, y: Any) -> Any:
        total = x * y
        for shift in range(1, 8):
            total = total + x * (y - shift)
        return reduce(total, float(prime))

    return jax.jit(lambda x, y: jax.lax.fori_loop(0, TIMES // 8, lambda i, x: step(i, x, y), x))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    small, middle, large = (next(primes_below(limit)) for limit in (PRIME_LIMIT, 2**31, 2**32))
    with jax.enable_x64(True):
        draws = np.random.default_rng(0)

        def integers(prime: int) -> Any:
            return draws.integers(0, prime, size=(2, SIZE), dtype=np.uint64)

        def near_zero(values: Any) -> Any:
            return np.where(values > small // 2, values - float(small), values.astype(np.float64))

        power = TIMES
        rows = []
        for name, prime, function, convert, factor in (
            ("float64, 26 bits", small, repeated(float64(small)), near_zero, 1),
            ("uint64 with %, 32 bits", large, repeated(uint64(large)), lambda v: v, 1),
            ("uint32 Montgomery, 31 bits", middle, repeated(montgomery(middle)), lambda v: v.astype(np.uint32),
             pow(2, -32 * power, middle)),
        ):  # fmt: skip
            x, y = integers(prime)
            a, b = (jax.device_put(convert(values)) for values in (x, y))
            found = np.asarray(function(a, b)).astype(np.int64)
            for i in range(0, SIZE, 997):
                assert (int(found[i]) - int(x[i]) * pow(int(y[i]), power, prime) * factor) % prime == 0
            rows.append((name, prime, function, a, b))
        x, y = integers(small)
        a, b = (jax.device_put(near_zero(values)) for values in (x, y))
        function = summed(small)
        found = np.asarray(function(a, b)).astype(np.int64)
        for i in range(0, SIZE, 997):
            value, other = int(x[i]), int(b[i])
            for _ in range(TIMES // 8):
                value = value * (8 * other - 28) % small
            assert (int(found[i]) - value) % small == 0
        rows.insert(1, ("float64, 26 bits, sums of eight", small, function, a, b))

        times: dict[str, list[float]] = {name: [] for name, *_ in rows}
        for _ in range(arguments.repeats):
            for name, _prime, function, a, b in rows:
                start = time.perf_counter()
                for _ in range(10):
                    function(a, b).block_until_ready()
                times[name].append((time.perf_counter() - start) / 10)
    print(f"{platform.machine()}, {jax.devices()[0].device_kind}, JAX {jax.__version__}\n")
    print("| arithmetic | 10^9 products a second | ratio to the first | times bits |\n|---|---:|---:|---:|")
    first = None
    for name, prime, *_ in rows:
        speed = SIZE * TIMES / statistics.median(times[name]) / 1e9
        first = first or speed
        print(f"| {name} | {speed:.2f} | {speed / first:.2f} | {speed * np.log2(prime):.0f} |")


if __name__ == "__main__":
    main()
