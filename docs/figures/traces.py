"""The figures of docs/traces.md, and the numbers they are made of.

    python docs/figures/traces.py [--folder docs/figures] [--pairs 2000] [--only NAME ...]

Everything is a table of ``linvar.trace_formula`` but the runs of ``simulated``, which are SGD in JAX, batch by batch (a minute on
two cores). The numbers have fixed seeds; tests/test_traces_gallery.py checks what the page says of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import linvar as lv

Array = np.ndarray
INPUTS, HIDDEN, OUTPUTS = 784, 256, 10
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
WIDTHS = (32, 64, 128, 256, 512, 1024)
#: where rates are sought
GRID = np.linspace(0, 0.5, 5001)
#: black, orange, sky blue, green, vermillion, blue (Okabe and Ito), told apart by the colour blind and by their brightness
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2")
MARKERS = ("o", "s", "^", "D", "v", "P")


# the networks


def network(hidden: int = HIDDEN, readout: float = 0.5, seed: int = 1) -> tuple[list[Array], Array]:
    """W_1 ~ N(0, 1/784), W_2 ~ N(0, hidden^{-2 readout}) and the teacher W* ~ N(0, 1/784), widths 784-hidden-10."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(hidden, INPUTS)) / INPUTS**0.5
    second = rng.normal(size=(OUTPUTS, hidden)) / hidden**readout
    return [first, second], rng.normal(size=(OUTPUTS, INPUTS)) / INPUTS**0.5


def aligned(progress: float) -> tuple[list[Array], Array]:
    """Balanced weights with W_2 W_1 = progress W*, and a teacher W* of ten singular values 1."""
    rng = np.random.default_rng(1)
    teacher, hidden = (np.linalg.qr(rng.normal(size=(n, OUTPUTS)))[0].T for n in (INPUTS, HIDDEN))
    return [progress**0.5 * hidden.T @ teacher, progress**0.5 * hidden], teacher


def isotropic(size: int, scale: float = 1.0, teacher: float = 2.0) -> tuple[list[Array], Array]:
    """W_1 = W_2 = scale I, W* = teacher I, widths size-size-size."""
    return [scale * np.eye(size)] * 2, teacher * np.eye(size)


# what the tables say


@cache
def table(hidden: int = HIDDEN, readout: float = 0.5, seed: int = 1) -> Any:
    """Of ``network``."""
    return lv.trace_formula().table(*network(hidden, readout, seed))


def first(found: Any, rate: float) -> float:
    """beta_1 at a learning rate: the coefficient of 1/b."""
    return float(np.polynomial.polynomial.polyval(rate, found.values[1]))


def best_rate(found: Any, size: float) -> float:
    """The rate of the grid at which var_1 is smallest."""
    return float(GRID[np.argmin(found(GRID, size))])


def first_is_enough(found: Any, rate: float, tolerance: float = 0.1, largest: int = 5000) -> int:
    """The b from which on var_1 is within a tolerance of beta_1/b."""
    sizes = np.arange(1, largest)
    far = np.abs(found(rate, sizes) / (first(found, rate) / sizes) - 1) > tolerance
    return int(sizes[far][-1]) + 1


def growth(readout: float, rate: float, size: int, widths: Sequence[int] = WIDTHS) -> list[float]:
    """var_1 at some widths."""
    return [float(table(hidden, readout)(rate, size)) for hidden in widths]


def parts_of_start(weights: list[Array], teacher: Array) -> tuple[float, float, float]:
    """b var_0 = (d_0 + 1) ||W_2^T E||^2 + ||W_1||^2 ||E||^2 + ||E W_1^T||^2, its three parts."""
    one, two = weights
    error = two @ one - teacher
    squares = [float((matrix**2).sum()) for matrix in (two.T @ error, one, error, error @ one.T)]
    return (teacher.shape[1] + 1) * squares[0], squares[1] * squares[2], squares[3]


def proportional_limit(scale: float = 1.0, teacher: float = 2.0) -> Array:
    """Q[k, j], of var_1/n -> sum Q[k, j] (n/b)^k alpha^j for ``isotropic`` starts as n grows, n/b fixed.

    There the trace of a word is n times a number, so that b^{-k} times m of them is n (n/b)^k n^{m - k - 1}, and m <= k + 1:
    products of k + 1 stay.
    """
    formula = lv.trace_formula()
    numbers = {"E": scale**2 - teacher, "P": scale**2, "K": scale**2, "H": scale**2}
    found = np.zeros((formula.degree + 1,) * 2)
    for k in range(1, formula.degree + 1):
        for j, terms in formula.coefficient(k).items():
            for product, c in terms.items():
                assert len(product) <= k + 1
                if len(product) == k + 1:
                    found[k, j] += c * np.prod([numbers[letter[0]] for word in product for letter in word])
    return found


def noisy(noise_variance: float) -> Any:
    """The table of the network that is its own teacher, W_2 W_1 = W*, with label noise."""
    weights, _ = network()
    teacher = weights[1] @ weights[0]
    return lv.trace_formula(covariance="general").table(weights, teacher, noise_variance=noise_variance)


def slope(weights: list[Array], teacher: Array) -> tuple[float, float]:
    """beta_1 and d beta_1/d alpha at alpha = 0."""
    value, derivative = lv.trace_formula().table(weights, teacher).values[1, :2]
    return float(value), float(derivative)


def simulated(
    key: jax.Array, weights: list[Array], teacher: Array, rate: float, size: int, pairs: int
) -> tuple[float, float]:
    """var_1 by SGD, and its standard error: the mean of ||G - G'||^2/2 over pairs of independent runs of one step.

    JAX differentiates the mean loss of a batch of ``size`` examples, drawn one by one; no formula enters. float32.
    """
    layers, target = [jnp.asarray(weight, jnp.float32) for weight in weights], jnp.asarray(teacher, jnp.float32)

    def loss(layers: list[jax.Array], x: jax.Array) -> jax.Array:
        return ((x @ layers[0].T @ layers[1].T - x @ target.T) ** 2).sum() / (2 * size)

    def gradient(key: jax.Array) -> list[jax.Array]:
        before, after = (jax.random.normal(one, (size, target.shape[1]), jnp.float32) for one in jax.random.split(key))
        moved = jax.tree.map(lambda weight, step: weight - rate * step, layers, jax.grad(loss)(layers, before))
        return jax.grad(loss)(moved, after)

    def pair(key: jax.Array) -> jax.Array:
        one, other = map(gradient, jax.random.split(key))
        return sum(((a - b) ** 2).sum() for a, b in zip(one, other)) / 2

    found = np.asarray(jax.jit(lambda keys: jax.lax.map(pair, keys))(jax.random.split(key, pairs)), float)
    return float(found.mean()), float(found.std(ddof=1) / pairs**0.5)


# the pictures


def rates_picture(axes: Any) -> None:
    """(a)"""
    left, right = axes
    found, sizes = table(), 2.0 ** np.arange(13)
    for b, colour, marker in zip((8, 32, 128, 512), COLOURS, MARKERS):
        least = best_rate(found, b)
        left.plot(GRID[1:], b * found(GRID[1:], b), color=colour, label=f"b = {b}")
        left.plot(least, b * found(least, b), marker, color=colour)
    left.plot(GRID, [first(found, rate) for rate in GRID], "--", color=COLOURS[4], label=r"$\beta_1$: all b alike")
    left.set(xscale="log", yscale="log", ylim=(5e3, 1e6), xlim=(1e-3, 0.5))
    left.set(xlabel="learning rate", ylabel=r"$b\,\mathrm{var}_1$, the minimum marked")
    right.plot(sizes, [best_rate(found, b) for b in sizes], "o-", color=COLOURS[5], label=r"minimises $\mathrm{var}_1$")
    right.plot(sizes, sizes * linear_law(found), ":", color=COLOURS[0], label="linear in b")
    right.axhline(best_rate(found, 1e9), ls="--", color=COLOURS[4], label=r"minimises $\beta_1$")
    right.set(xscale="log", yscale="log", ylim=(5e-4, 1), xlabel="batch size b", ylabel="best learning rate")


def linear_law(found: Any) -> float:
    """The best rate over b at small b: of c_10 + c_11 alpha + c_22 alpha^2/b the minimum is at -b c_11/(2 c_22)."""
    return float(-found.values[1, 1] / (2 * found.values[2, 2]))


def first_order_picture(axes: Any) -> None:
    """(b)"""
    left, right = axes
    found, sizes = table(), np.unique(np.geomspace(1, 4096, 200).astype(int))
    for rate, colour, marker in zip(RATES, COLOURS, MARKERS):
        b = first_is_enough(found, rate)
        left.plot(sizes, found(rate, sizes) * sizes / first(found, rate), color=colour, label=f"rate {rate}")
        left.plot(b, found(rate, b) * b / first(found, rate), marker, color=colour)
        right.plot(rate, b, marker, color=colour)
    left.axhline(1, color="grey", lw=0.8)
    left.set(
        xscale="log", yscale="log", ylim=(0.9, 30), xlabel="batch size b", ylabel=r"$\mathrm{var}_1\,/\,(\beta_1/b)$"
    )
    rates = np.geomspace(0.008, 0.25)
    start = first_is_enough(found, 0.05)
    right.plot(rates, start * (rates / 0.05) ** 2, ":", color=COLOURS[0], label="square of the rate")
    right.set(xscale="log", yscale="log", xlabel="learning rate", ylabel=r"b from which $\beta_1/b$ is within 10 %")


def width_picture(axes: Any) -> None:
    """(c)"""
    left, right = axes
    for readout, colour, marker, name in ((0.5, COLOURS[5], "o", r"$h^{-1/2}$"), (1.0, COLOURS[4], "s", r"$h^{-1}$")):
        left.plot(WIDTHS, growth(readout, 0.05, 32), marker + "-", color=colour, label=f"read-out {name}")
        parts = np.array([parts_of_start(*network(hidden, readout)) for hidden in WIDTHS]).T
        right.plot(WIDTHS, parts[0], marker + "-", color=colour, label=rf"{name}: $(d_0 + 1)\,\Vert W_2^\top E\Vert^2$")
        right.plot(WIDTHS, parts[1], marker + ":", color=colour, label=rf"{name}: $\Vert W_1\Vert^2\,\Vert E\Vert^2$")
    left.set(
        xscale="log",
        yscale="log",
        ylim=(10, 3000),
        xlabel="hidden width h",
        ylabel=r"$\mathrm{var}_1$, b = 32, rate 0.05",
    )
    right.set(
        xscale="log", yscale="log", ylim=(5, 3e6), xlabel="hidden width h", ylabel=r"parts of $b\,\mathrm{var}_0$"
    )


def isotropic_picture(axes: Any) -> None:
    """(d)"""
    left, right = axes
    ratios, limit = np.geomspace(1 / 8, 8, 40), proportional_limit()
    powers = 0.1 ** np.arange(7)
    for n, colour in zip((4, 16, 64), COLOURS[1:]):
        here = ratios[ratios <= n]  # b >= 1
        left.plot(here, lv.trace_formula().table(*isotropic(n))(0.1, n / here) / n, color=colour, label=f"n = {n}")
    left.plot(
        ratios, np.vander(ratios, 7, increasing=True) @ limit @ powers, "--", color=COLOURS[0], label="the limit Q"
    )
    left.set(xscale="log", yscale="log", xlabel="n/b", ylabel=r"$\mathrm{var}_1/n$, rate 0.1")
    left.set_xticks([1 / 8, 1 / 2, 1, 2, 8], labels=["1/8", "1/2", "1", "2", "8"])
    left.xaxis.minorticks_off()
    sizes = 2 ** np.arange(2, 9)
    at_one = float(limit.sum(0) @ powers)
    far = [float(lv.trace_formula().table(*isotropic(n))(0.1, n)) / n / at_one - 1 for n in sizes]
    right.plot(sizes, far, "o", color=COLOURS[5], label="n/b = 1")
    right.plot(sizes, far[-1] * sizes[-1] / sizes, ":", color=COLOURS[0], label="1/n")
    right.set(xscale="log", yscale="log", xlabel="n", ylabel="relative distance from the limit")


def noise_picture(axes: Any) -> None:
    """(e)"""
    left, right = axes
    for v, colour in zip((0.25, 1.0, 4.0), COLOURS[1:]):
        found = noisy(v)
        left.plot(GRID, found(GRID, 32) / found(0.0, 32), color=colour, label=f"v = {v:g}")
    left.set(yscale="log", xlim=(0, 0.2), ylim=(0.9, 10), xlabel="learning rate")
    left.set(xticks=[0, 0.05, 0.1, 0.15, 0.2], ylabel=r"$\mathrm{var}_1/\mathrm{var}_0$ at b = 32")
    sizes, found = 2.0 ** np.arange(13), noisy(1.0)
    for rate, colour, marker in zip((0.01, 0.05, 0.1), COLOURS[1:], MARKERS):
        right.plot(
            sizes, found(rate, sizes) / found(0.0, sizes), marker + "-", ms=4, color=colour, label=f"rate {rate}"
        )
    right.set(xscale="log", yscale="log", xlabel="batch size b", ylabel=r"$\mathrm{var}_1/\mathrm{var}_0$, v = 1")


def slope_picture(axes: Any) -> None:
    """(f)"""
    left, right = axes
    progress = np.linspace(0, 1.2, 37)
    pairs = [slope(*aligned(theta)) for theta in progress]
    left.plot(
        progress,
        [derivative for _, derivative in pairs],
        color=COLOURS[5],
        label=r"$b\,d\,\mathrm{var}_1/d\alpha$ at 0",
    )
    left.plot(progress, [value for value, _ in pairs], "--", color=COLOURS[1], label=r"$b\,\mathrm{var}_0$")
    left.axhline(0, color="grey", lw=0.8)
    left.axvline(1 / 3, ls=":", color=COLOURS[0], label="1/3")
    left.set(xlabel=r"$\theta$, of $W_2 W_1 = \theta W^*$")
    for theta, colour in zip((0.1, 1 / 3, 0.6), COLOURS[1:]):
        found, rates = lv.trace_formula().table(*aligned(theta)), GRID[GRID <= 0.2]
        right.plot(rates, found(rates, 512) / found(0.0, 512), color=colour, label=rf"$\theta$ = {theta:.2g}")
    right.set(
        xlabel="learning rate", xlim=(0, 0.2), ylim=(0.6, 1.4), ylabel=r"$\mathrm{var}_1/\mathrm{var}_0$ at b = 512"
    )
    right.set_xticks([0, 0.05, 0.1, 0.15, 0.2])


def simulation_picture(axes: Any, pairs: int) -> None:
    """(g)"""
    weights, teacher = network()
    found, sizes = table(), np.geomspace(6, 170)
    for ax, rate in zip(axes, (0.02, 0.05)):
        ax.plot(sizes, sizes * found(rate, sizes) / first(found, rate), color=COLOURS[5], label="the formula")
        ax.axhline(1, ls="--", color=COLOURS[4], label=r"$\beta_1/b$")
        for b in (8, 32, 128):
            mean, error = simulated(
                jax.random.fold_in(jax.random.key(b), int(100 * rate)), weights, teacher, rate, b, pairs
            )
            exact, unit = float(found(rate, b)), first(found, rate) / b
            print(
                f"| {rate} | {b} | {unit:.2f} | {exact:.2f} | {mean:.2f} | {error:.2f} | {(mean - exact) / error:+.2f} |",
                flush=True,
            )
            label = "SGD, two standard errors" if b == 8 else None
            ax.errorbar(b, mean / unit, 2 * error / unit, fmt="o", ms=4, capsize=4, color=COLOURS[0], label=label)
        ax.set(xscale="log", xlabel="batch size b", title=f"rate {rate}", ylabel=r"$\mathrm{var}_1\,/\,(\beta_1/b)$")
        ax.set_xticks([8, 32, 128], labels=["8", "32", "128"])
        ax.xaxis.minorticks_off()


def main() -> None:
    """Draw them."""
    import matplotlib
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--pairs", type=int, default=2000, help="of simulated runs, for each batch size and rate")
    parser.add_argument("--format", default="svg")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    pictures: dict[str, Callable[[Any], None]] = {
        "rates": rates_picture,
        "first-order": first_order_picture,
        "width": width_picture,
        "isotropic": isotropic_picture,
        "noise": noise_picture,
        "slope": slope_picture,
        "simulation": lambda axes: simulation_picture(axes, arguments.pairs),
    }
    style = {
        "svg.hashsalt": "linvar",
        "svg.fonttype": "none",
        "font.size": 9,
        "legend.frameon": False,
        "lines.linewidth": 1.5,
    }
    with matplotlib.rc_context({**style, "axes.spines.top": False, "axes.spines.right": False}):
        for name in arguments.only or pictures:
            figure = Figure(figsize=(8, 3.2), layout="constrained")
            axes = figure.subplots(1, 2)
            pictures[name](axes)
            for ax in axes:
                if ax.get_legend_handles_labels()[0]:
                    ax.legend(fontsize=8)
            metadata = {"Date": None} if arguments.format == "svg" else None
            figure.savefig(arguments.folder / f"traces-{name}.{arguments.format}", dpi=110, metadata=metadata)


if __name__ == "__main__":
    main()
