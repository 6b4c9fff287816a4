"""Predicted size of Wishart moments of words against the real one: seconds and bytes at the peak, by both ways.

    python benchmarks/word_sizes.py [--full]

Each row is a process of its own; bytes are the growth of its peak resident memory over what the imports had taken. Matrices are
random integers or fractions (fixed seed) in words of different letters, of one letter, of two, of single letters or of pairs.
A ratio is predicted / real; rows under 2 MB have none. --full takes all orders from 4 to 8, widths from 1 to 6 (an hour).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

from linvar.exact import Matrix, exact_matrix
from linvar.laws.law import identity
from linvar.symbolic.words.expansion import expand_entries
from linvar.symbolic.words.numbers import expected_traces
from linvar.symbolic.words.size import expansion_size, recursion_size
from linvar.symbolic.words.statement import Traces

LETTERS = "ABCDEFGHI"
WORDS = ("different", "single", "pairs", "two", "one")
ENTRIES = ("small", "small, covariance", "symmetric", "twenty digits", "fractions, covariance")
FEW = [("recursion", 7, 3, "different", "small"), ("recursion", 7, 6, "pairs", "fractions, covariance"),
       ("recursion", 7, 20, "different", "small"), ("recursion", 8, 5, "different", "small"),
       ("recursion", 8, 5, "different", "small, covariance"), ("recursion", 8, 5, "two", "small"),
       ("recursion", 8, 5, "single", "symmetric"), ("recursion", 8, 5, "one", "small, covariance"),
       ("recursion", 8, 12, "different", "twenty digits"), ("recursion", 9, 5, "different", "small"),
       ("expansion", 8, 4, "different", "small"), ("expansion", 6, 5, "different", "small, covariance"),
       ("expansion", 5, 6, "single", "twenty digits"), ("expansion", 7, 5, "pairs", "small"),
       ("expansion", 8, 5, "one", "small")]  # fmt: skip


def build(order: int, width: int, words: str, entries: str) -> tuple[Traces, dict[str, Matrix], Matrix]:
    """Words, the matrices that they use, a covariance."""
    draw = random.Random(10 * order + width)
    largest = 10**20 if entries == "twenty digits" else 9

    def matrix() -> list[list[Fraction]]:
        parts = [[draw.randint(1, 9) if "fractions" in entries else 1 for _ in range(width)] for _ in range(width)]
        found = [[Fraction(draw.randint(-largest, largest), q) for q in row] for row in parts]
        if entries == "symmetric":
            found = [[found[max(i, j)][min(i, j)] for j in range(width)] for i in range(width)]
        return found

    letters = LETTERS[:order]
    state = {
        "different": [letters],
        "single": list(letters),
        "pairs": [letters[i : i + 2] for i in range(0, order, 2)],
        "two": [("AB" * order)[:order]],
        "one": ["A" * order],
    }[words]
    matrices = {letter: exact_matrix(matrix(), letter) for letter in sorted(set("".join(state)))}
    factor = matrix() if "covariance" in entries else None
    if factor is None:
        return tuple(map(tuple, state)), matrices, identity(width)
    sigma = [[sum((a * b for a, b in zip(x, y)), Fraction(0)) for y in factor] for x in factor]
    return tuple(map(tuple, state)), matrices, exact_matrix(sigma, "covariance")


def peak() -> int:
    """Of resident memory, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure(way: str, order: int, width: int, words: str, entries: str) -> list[float]:
    """Seconds and bytes, predicted and real, in this process."""
    state, matrices, sigma = build(order, width, words, entries)
    recursion = way == "recursion"
    size = recursion_size(state, matrices, sigma) if recursion else expansion_size(state, matrices, sigma, width)
    start_small = (("A",) * 5,), {"A": identity(2)}, identity(2)
    expected_traces(*start_small)
    expand_entries(*start_small, ())
    before, start = peak(), time.process_time()
    if recursion:
        expected_traces(state, matrices, sigma)
    else:
        expand_entries(state, matrices, sigma, ())
    return [size.seconds, time.process_time() - start, size.bytes, peak() - before]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        way, order, width, words, entries = arguments.only
        print(json.dumps(measure(way, int(order), int(width), words, entries)))
        return
    rows = FEW
    if arguments.full:
        rows = [(way, order, width, words, entries) for way in ("recursion", "expansion") for order in range(4, 9)
                for width in range(1, 7) for words in WORDS for entries in ENTRIES]  # fmt: skip
    print("| way | order | width | words | entries | seconds predicted | real | MB predicted | real | ratio |")
    print("|---|---:|---:|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        command = [sys.executable, __file__, "--only", *map(str, row)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        predicted, seconds, expected, grown = json.loads(output)
        ratio = f"{expected / grown:.2f}" if grown > 2e6 else ""
        cells = [
            *map(str, row),
            f"{predicted:.2g}",
            f"{seconds:.2g}",
            f"{expected / 1e6:.1f}",
            f"{grown / 1e6:.1f}",
            ratio,
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
