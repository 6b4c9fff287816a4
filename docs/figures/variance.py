"""The figure of the README: an exact variance that falls with the batch size, and one that rises, beside estimates by JAX.

    python docs/figures/variance.py [--folder docs/figures] [--runs 131072]

Both are networks of two linear layers after one step of SGD. On the left, widths 2-2-2 and Gaussian inputs; on the right, widths
1-1-1 and 64 examples, batches without replacement: x = 5/2 once and 1/2 63 times, y = 0. A batch of about 7 that has the outlier
jumps to where the gradient all but vanishes, as batches without it do; a larger one, in which it weighs less, does not jump as
far. tests/test_variance_figure.py checks what is said here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax

import linvar as lv
from linvar.plotting.style import COLOURS

FALLING = lv.Problem(
    weights=[[[1, 0], [1, 1]], [[1, 1], [0, 1]]],
    law=lv.Gaussian(teacher=[[1, 0], [0, 2]]),
    learning_rate="1/10",
    step=1,
)
RISING = lv.Problem(
    weights=[[[1]], [[2]]],
    law=lv.Dataset([["5/2"], *[["1/2"]] * 63], [0] * 64),
    learning_rate="9/10",
    step=1,
    sampling="without_replacement",
)
SIZES = {"falling": [2, 8, 32, 128], "rising": [4, 5, 6, 7, 8, 10, 12, 24, 48]}


def reports(runs: int) -> tuple[lv.Report, lv.Report]:
    """Exact variances and estimates."""
    found = []
    for number, (problem, sizes) in enumerate(zip((FALLING, RISING), SIZES.values())):
        found.append(
            lv.verify(
                problem,
                key=jax.random.key(number),
                batch_sizes=sizes,
                runs=runs,
                quantities=["variance"],
                progress=False,
            )
        )
    return found[0], found[1]


def picture(axes: Any, runs: int) -> None:
    """Both, and where the second rises."""
    falling, rising = reports(runs)
    lv.plot_variance(falling, ax=axes[0], batch_sizes=[2**k for k in range(9)], label="exact polynomial in 1/b")
    lv.plot_variance(rising, ax=axes[1], label="exact polynomial in 1/b")
    low, high = (round(float(point)) for point in rising.variance.turning_points())
    top = rising.variance.decreasing_from()
    assert top is not None and low < high <= top
    axes[1].axvspan(low, top, color=COLOURS[4], alpha=0.2, lw=0, zorder=0)
    axes[0].set_title("It falls: Gaussian inputs", fontsize="medium")
    axes[1].set_title(f"It rises from b = {low} to {top}: one outlier in 64", fontsize="medium")
    axes[1].set_ylabel("")
    axes[1].yaxis.minorticks_off()


def main() -> None:
    """Draw it."""
    import matplotlib
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--runs", type=int, default=131_072, help="of SGD, for each batch size")
    parser.add_argument("--format", default="svg")
    arguments = parser.parse_args()
    style = {"svg.hashsalt": "linvar", "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context({**style, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 3.3), layout="constrained")
        picture(figure.subplots(1, 2), arguments.runs)
        metadata = {"Date": None} if arguments.format == "svg" else None
        figure.savefig(arguments.folder / f"variance.{arguments.format}", dpi=110, metadata=metadata)


if __name__ == "__main__":
    main()
