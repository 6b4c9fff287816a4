"""Products in python-flint against others: FLINT 3.6.0 has a fault in the product of long integer polynomials.

``fmpz_poly_mul_SS`` (Schoenhage-Strassen) of FLINT up to 3.6.0 reads a coefficient modulo 2^N + 1 as positive if it is negative
and within 2^(N-64) of -2^(N-1), where 2^(N-1) >= length 2^(bits + bits') bounds the product (corrected in August 2026). So
a product can be wrong only if all coefficients of the shorter factor, and as many neighbours of the longer one, are as large
as they can be, in more than their first 50 bits. ``proofs/README.md`` says so; here are the fault, if this FLINT
has it, its limits, and products as they occur in linvar.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from math import lcm
from pathlib import Path
from typing import Any

import flint
import pytest
from flint import fmpq, fmpz_poly

import linvar as lv
from linvar.symbolic.algebra.ring import Ring

#: The release whose products are known to be faulty; later ones are not.
FAULTY = (3, 6, 0)
IS_FAULTY = tuple(int(part) for part in flint.__FLINT_VERSION__.split(".")[:3]) <= FAULTY


def packed(values: list[int], width: int) -> int:
    """Kronecker substitution: the value at 2^width."""
    total = 0
    for value in reversed(values):
        total = (total << width) + value
    return total


def unpacked(total: int, width: int, count: int) -> list[int]:
    """The integers of less than half of 2^width whose Kronecker substitution this is: the lower half, then the upper."""
    if count == 1:
        assert 2 * abs(total) < 1 << width
        return [total]
    half = count // 2
    modulus = 1 << (half * width)
    low = total & (modulus - 1)
    low -= modulus if 2 * low >= modulus else 0
    return unpacked(low, width, half) + unpacked((total - low) >> (half * width), width, count - half)


def product(a: list[int], b: list[int]) -> list[int]:
    """The product of two polynomials by one product of Python's integers."""
    width = max(map(int.bit_length, a)) + max(map(int.bit_length, b)) + min(len(a), len(b)).bit_length() + 2
    return unpacked(packed(a, width) * packed(b, width), width, len(a) + len(b) - 1)


def dense(a: list[int], b: list[int]) -> list[int]:
    """As FLINT multiplies integer polynomials."""
    return [int(c) for c in (fmpz_poly(a) * fmpz_poly(b)).coeffs()]


def in_ring(variables: int, symbols: int = 0) -> Callable[[list[int], list[int]], list[int]]:
    """As the ring of a derivation multiplies polynomials in its first variable."""

    def multiply(a: list[int], b: list[int]) -> list[int]:
        ring = Ring(variables, [object() for _ in range(symbols)])
        one, other = (ring.from_terms({(k,): fmpq(c) for k, c in enumerate(values)}) for values in (a, b))
        found = {int(key[0]): int(c.p) for key, c in (one * other).terms()}
        return [found.get(k, 0) for k in range(len(a) + len(b) - 1)]

    return multiply


def extreme(length: int, bits: int) -> tuple[list[int], list[int]]:
    """A product with a coefficient as close to the bound -2^(N-1), N = ``bits``, as can be; leading terms positive."""
    first = (bits - 1 - length.bit_length() + 1) // 2
    second = bits - 1 - (length.bit_length() - 1) - first
    return [2**first - 1 - i for i in range(length)], [*(1 + 2 * i - 2**second for i in range(length)), 1]


EXTREMES = [(length, bits) for length in (8, 16, 32, 64) for bits in range(832, 4100, 64)]


def test_kronecker_substitution_multiplies() -> None:
    assert product([1, -2, 3], [-4, 5]) == [-4, 13, -22, 15] and product([0, 0], [7, -1]) == [0, 0, 0]
    a, b = extreme(8, 832)
    assert product(a, b) == [
        sum(a[i] * b[k - i] for i in range(len(a)) if 0 <= k - i < len(b)) for k in range(len(a) + len(b) - 1)
    ]


def test_the_known_fault_is_there_or_not() -> None:
    """Fails once a FLINT without it is installed under the old number, or one with it under a new one."""
    wrong = [
        (length, bits) for length, bits in EXTREMES if dense(*extreme(length, bits)) != product(*extreme(length, bits))
    ]
    assert bool(wrong) == IS_FAULTY
    for length, bits in wrong:
        a, b = extreme(length, bits)
        differences = [x - y for x, y in zip(dense(a, b), product(a, b)) if x != y]
        assert differences == [2**bits + 1]  # the residue modulo 2^N + 1 is right, its sign is not


@pytest.mark.parametrize("multiply", [in_ring(2), in_ring(1, 1), in_ring(3, 2)])
def test_rings_of_more_than_one_generator_do_not_have_it_below_length_128(multiply: Any) -> None:
    """FLINT takes such a product for a dense one only if the product of the lengths is over 128 times their sum."""
    for length, bits in [*EXTREMES[::9], (64, 4096), (128, 2048)]:
        assert multiply(*extreme(length, bits)) == product(*extreme(length, bits))


@pytest.mark.parametrize("multiply", [dense, in_ring(1)])
def test_one_bit_less_is_right(multiply: Any) -> None:
    """The fault needs the bound to be reached: half of it, or one coefficient that is smaller by 2^-40, is far away."""
    for length, bits in EXTREMES[::5]:
        a, b = extreme(length, bits)
        for x, y in (([c // 2 for c in a], b), ([a[0] - (a[0] >> 40), *a[1:]], b), (a[1:], b), (a, [b[-1], *b[:-2]])):
            assert multiply(x, y) == product(x, y)


SIZES = [
    (7, 10**5),
    (8, 400),
    (16, 700),
    (33, 2_000),
    (64, 500),
    (75, 2_000),
    pytest.param(100, 30_000, marks=pytest.mark.slow),
    pytest.param(200, 10**4, marks=pytest.mark.slow),
    pytest.param(400, 2_000, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("multiply", [dense, in_ring(1)])
@pytest.mark.parametrize(("length", "bits"), SIZES)
def test_products_of_the_sizes_that_occur_are_right(multiply: Any, length: int, bits: int) -> None:
    """Random signs and sizes, squares, alternating signs, factors of unequal length."""
    draws = random.Random(length)
    a, b = ([draws.randrange(-(2**bits), 2**bits) for _ in range(size)] for size in (length, length + length // 3))
    falling = [(-1) ** k * draws.randrange(2 ** max(2, bits - 3 * k)) + 1 for k in range(length)]
    for x, y in ((a, b), (a, a), (falling, falling), (falling, b), (a[: length // 2 + 1], b)):
        assert multiply(x, y) == product(x, y)


def shifted(numbers: list[int]) -> list[int]:
    """p(x + 1) by Horner's rule."""
    total = [0]
    for c in reversed(numbers):
        total = [x + y for x, y in zip([0, *total], [*total, 0])]
        total[0] += c
    return total[: len(numbers)]


def test_products_of_a_derivation_are_right() -> None:
    """The coefficients of a variance of degree 76: their square, and the Taylor shift that isolates turning points."""
    problem = lv.Problem([[["81/100"]], [["6/5"]]], lv.Gaussian([["11/25"]]), "19/10", 3)
    coefficients = lv.gradient_variance(problem).coefficients
    scale = lcm(*(c.denominator for c in coefficients))
    numbers = [int(c * scale) for c in coefficients]
    assert len(numbers) == 77 and min(numbers) < 0 and max(map(int.bit_length, numbers)) > 400
    assert in_ring(1)(numbers, numbers) == dense(numbers, numbers) == product(numbers, numbers)
    assert [int(c) for c in fmpz_poly(numbers)(fmpz_poly([1, 1])).coeffs()] == shifted(numbers)


@pytest.mark.parametrize("length", [64, 65, 128, 200, 300])
def test_taylor_shifts_are_right_even_of_extreme_polynomials(length: int) -> None:
    """(x+1)^m has coefficients of sum 2^m, which is below half of the bound: no sign is ever read wrongly."""
    for bits in (416, 700, 1500):
        for numbers in ([1 - 2**bits] * length, [(-1) ** k * (2**bits - 1) for k in range(length)]):
            found = [int(c) for c in fmpz_poly(numbers)(fmpz_poly([1, 1])).coeffs()]
            assert found + [0] * (length - len(found)) == shifted(numbers)


PACKAGE = Path(lv.__file__).parent
ROOMS = tuple(
    sorted(path.name for path in PACKAGE.iterdir() if path.name != "flint.py" and not path.name.startswith("__"))
)


def modules_imported(path: Path) -> set[str]:
    """Top-level names of what a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_flint_enters_by_one_module(room: str) -> None:
    files = [PACKAGE / room] if room.endswith(".py") else sorted((PACKAGE / room).rglob("*.py"))
    assert [str(path) for path in files if "flint" in modules_imported(path)] == []
    assert "flint" in modules_imported(PACKAGE / "flint.py")
