"""Gradient moments of a catalogue of models: their price beside the plain gradient, and whether they are right.

    python benchmarks/gradient_moments_catalogue.py [NAME ...] [--check] [--list] [--budget 4] [--compilations 3] [--json FILE]
        [--markdown] [--cpu] [--read FILE ...]

NAME selects the models whose name contains it, or whose file is called so. Float32, on whatever device JAX finds. Three functions
of the parameters and the batch are compiled: the mean gradient, ``grad(mean(vmap(loss)))``; the naive mean and trace, from
``vmap(grad(loss))``; and linvar's. They run in turns, in every order, after a warm-up call, for ``--budget`` seconds; medians of
wall seconds and their ratios (``--cpu``: of process seconds too). Tracing and compiling takes turns as well, in process seconds,
from cleared caches, ``--compilations`` times or until three budgets are spent. Memory is what XLA reserves for temporaries.
``--check`` takes every model at a small size in float64: mean, trace, traces of the leaves, norms, second moment and loss against
``vmap(grad)``, twice: as they come, and in chunks, centred, with all extras; the exit status is 1 if one is wrong.
(*): a parameter enters through a function of parameters that is not linear in it.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from catalogue import MODELS, Model

from linvar.numeric import gradient_moments

WAYS = ("plain", "naive", "linvar")
SLOW = 3.0  # seconds of a call that is not repeated as often as the others


@dataclass(frozen=True)
class Case:
    """A model's functions of (params, batch)."""

    params: Any
    batch: Any
    plain: Callable[[Any, Any], Any]
    each: Callable[[Any, Any], Any]
    linvar: Callable[..., Any]

    def naive(self, params: Any, batch: Any) -> Any:
        """Mean and trace, from the gradient of every example."""
        _, gradients = self.each(params, batch)
        count = len(jax.tree.leaves(batch)[0])
        mean = jax.tree.map(lambda g: jnp.mean(g, axis=0), gradients)
        apart = jax.tree.map(lambda g, m: jnp.sum((g - m) ** 2), gradients, mean)
        return mean, sum(jax.tree.leaves(apart)) / (count - 1)

    def moments(self, params: Any, batch: Any) -> Any:
        """The same by linvar."""
        found = self.linvar(params, batch)
        return found.mean, found.trace


def case_of(model: Model, small: bool) -> Case:
    """The functions of a model, its numbers in the precision that JAX is set to."""
    loss, params, batch, options = model.make(small)
    params, batch = jax.tree.map(_precise, (params, batch))
    key, batched = options.get("key"), options.get("batched", False)
    (n, *_) = jax.tree.leaves(batch)[0].shape

    def of_one(p: Any, example: Any, index: Any) -> Any:
        if batched:
            return loss(p, jax.tree.map(lambda x: x[None], example))
        return loss(p, example) if key is None else loss(p, example, key=jax.random.fold_in(key, index))

    def of_all(p: Any, batch: Any) -> Any:
        return loss(p, batch) if batched else jnp.mean(jax.vmap(of_one, (None, 0, 0))(p, batch, jnp.arange(n)))

    def each(p: Any, batch: Any) -> Any:
        return jax.vmap(jax.value_and_grad(of_one), (None, 0, 0))(p, batch, jnp.arange(n))

    def ours(p: Any, batch: Any, **extra: Any) -> Any:
        return gradient_moments(loss, p, batch, **options, **extra)

    return Case(params, batch, jax.grad(of_all), each, ours)


def _precise(x: Any) -> Any:
    """Floating-point numbers in the default precision."""
    x = jnp.asarray(x)
    return x.astype(jnp.result_type(float)) if jnp.issubdtype(x.dtype, jnp.floating) else x


@dataclass
class Row:
    """What was measured of a model."""

    name: str
    formed: bool
    examples: int
    parameters: int
    strategies: dict[str, int]
    rounds: int
    wall: dict[str, float]  # seconds of a call
    cpu: dict[str, float]
    compilation: dict[str, float]  # process seconds of tracing and compiling
    memory: dict[str, float]  # megabytes of temporaries

    def ratio(self, other: str, cpu: bool = False) -> float:
        """Of linvar's seconds."""
        seconds = self.cpu if cpu else self.wall
        return seconds["linvar"] / seconds[other]

    @property
    def compile_ratio(self) -> float:
        """Of linvar's process seconds of tracing and compiling to the plain gradient's."""
        return self.compilation["linvar"] / self.compilation["plain"]


def measured(model: Model, budget: float, compilations: int) -> Row:
    """Time a model."""
    case = case_of(model, small=False)
    functions = {"plain": case.plain, "naive": case.naive, "linvar": case.moments}
    arguments = (case.params, case.batch)
    compiled, seconds = {}, {way: [] for way in WAYS}
    orders = itertools.cycle([*itertools.permutations(WAYS)][k] for k in (0, 4, 3, 1, 5, 2))
    begun = time.perf_counter()
    for repeat in range(compilations):
        if repeat and time.perf_counter() - begun > 3 * budget:
            break
        for way in next(orders):
            jax.clear_caches()
            gc.collect()
            start = time.process_time()
            compiled[way] = jax.jit(functions[way]).lower(*arguments).compile()
            seconds[way].append(time.process_time() - start)
    wall, cpu, rounds = side_by_side({way: lambda f=f: f(*arguments) for way, f in compiled.items()}, budget, orders)
    explained = jax.eval_shape(lambda p, b: case.linvar(p, b, explain=True), *arguments).explanation
    return Row(
        name=model.name, formed=model.formed, examples=len(jax.tree.leaves(case.batch)[0]),
        parameters=sum(x.size for x in jax.tree.leaves(case.params)),
        strategies=dict(Counter(str(leaf.form) for leaf in explained.leaves)), rounds=rounds, wall=wall, cpu=cpu,
        compilation={way: statistics.median(own) for way, own in seconds.items()},
        memory={way: f.memory_analysis().temp_size_in_bytes / 1e6 for way, f in compiled.items()},
    )  # fmt: skip


def side_by_side(
    calls: dict[str, Callable[[], Any]], budget: float, orders: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    """Median wall and process seconds of every call, in turns; and how many turns."""
    wall: dict[str, list[float]] = {way: [] for way in calls}
    cpu: dict[str, list[float]] = {way: [] for way in calls}

    def once(way: str) -> None:
        start, start_cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(calls[way]())
        wall[way].append(time.perf_counter() - start)
        cpu[way].append(time.process_time() - start_cpu)

    for way in calls:  # warm-up; what takes seconds is measured by it
        once(way)
    slow = {way for way in calls if wall[way][0] > SLOW}
    for way in calls:
        if way not in slow:
            wall[way].clear()
            cpu[way].clear()
    begun, rounds = time.perf_counter(), 0
    while rounds < 5 or (time.perf_counter() - begun < budget and rounds < 200):
        for way in next(orders):
            if way not in slow:
                once(way)
        rounds += 1
    return (
        {way: statistics.median(own) for way, own in wall.items()},
        {way: statistics.median(own) for way, own in cpu.items()},
        rounds,
    )


def checked(model: Model) -> tuple[float, str]:
    """The largest relative error of anything, and of what."""
    case = case_of(model, small=True)
    losses, gradients = jax.jit(case.each)(case.params, case.batch)
    g = [np.asarray(x, "float64") for x in jax.tree.leaves(gradients)]
    n = len(losses)
    squared_norms = sum((x.reshape(n, -1) ** 2).sum(axis=1) for x in g)
    size = squared_norms.mean()  # of everything quadratic
    if not size > 0:
        raise ValueError(f"the gradients of {model.name} are zero or not finite: nothing is checked")
    expected = {
        "mean": ([x.mean(axis=0) for x in g], size**0.5), "loss": ([np.mean(losses)], np.abs(losses).mean() + size**0.5),
        "trace_per_leaf": ([((x - x.mean(axis=0)) ** 2).sum() / (n - 1) for x in g], size),
        "squared_norms": ([squared_norms], size), "second_moment": ([(x**2).mean(axis=0) for x in g], size),
    }  # fmt: skip
    expected["trace"] = ([sum(expected["trace_per_leaf"][0])], size)
    worst = (-1.0, "")
    for extra in ({}, {"squared_norms": True, "second_moment": True, "centred": True, "chunk_size": 3}):
        moments = case.linvar(case.params, case.batch, **extra)
        for name, (values, scale) in expected.items():
            found = getattr(moments, name)
            if found is None:
                continue
            for own, value in zip(jax.tree.leaves(found), values, strict=True):
                error = float(np.max(np.abs(np.asarray(own, "float64") - value), initial=0) / scale)
                error = error if error == error else float("inf")
                worst = max(worst, (error, name + (", chunks" if extra else "")))
    return worst


def check(models: Sequence[Model]) -> int:
    """Check models; the number that are wrong or fail."""
    wrong = 0
    for model in models:
        start = time.perf_counter()
        try:
            error, of = checked(model)
            good = error <= model.tolerance
            line = f"{error:8.1e} ({of})"
        except Exception as failure:
            good, line = False, f"{type(failure).__name__}: {str(failure)[:300]}\n{traceback.format_exc()[-1500:]}"
        wrong += not good
        print(
            f"{'ok   ' if good else 'WRONG'} {model.name:26s} {line} {time.perf_counter() - start:5.1f} s", flush=True
        )
    print(f"{len(models)} models, {wrong} wrong")
    return wrong


def line(row: Row, cpu: bool) -> str:
    """A row of plain text."""
    ways = ", ".join(f"{count} {way}" for way, count in row.strategies.items())
    megabytes = "/".join(f"{row.memory[way]:.1f}" for way in WAYS)
    mark = "*" if row.formed else " "
    processor = f"  cpu {row.ratio('plain', True):6.2f} {row.ratio('naive', True):5.2f}" if cpu else ""
    return (
        f"{row.name:26s}{mark} {1e3 * row.wall['plain']:8.2f} ms {row.ratio('plain'):7.2f} x plain {row.ratio('naive'):6.2f} "
        f"x naive{processor}  compile {row.compilation['plain']:5.2f} s {row.compile_ratio:5.2f} x  {megabytes} MB  "
        f"n = {row.examples}, {row.parameters:,} parameters: {ways} ({row.rounds})"
    )


def markdown(rows: Sequence[Row], cpu: bool) -> str:
    """The table, worst first."""
    head = "| model | n | parameters | plain, ms | linvar / plain | linvar / naive |"
    rule = "|---|---:|---:|---:|---:|---:|"
    if cpu:
        head, rule = head + " CPU / plain | CPU / naive |", rule + "---:|---:|"
    lines = [head + " compile / plain | memory / plain | strategies |", rule + "---:|---:|---|"]
    for row in sorted(rows, key=lambda row: -row.ratio("plain")):
        cells = [
            row.name + (" \\*" if row.formed else ""), f"{row.examples}", f"{row.parameters:,}",
            f"{1e3 * row.wall['plain']:.2f}", f"{row.ratio('plain'):.2f}", f"{row.ratio('naive'):.2f}",
        ]  # fmt: skip
        if cpu:
            cells += [f"{row.ratio('plain', True):.2f}", f"{row.ratio('naive', True):.2f}"]
        cells += [f"{row.compile_ratio:.1f}", f"{row.memory['linvar'] / max(row.memory['plain'], 1e-3):.1f}"]
        cells.append(", ".join(f"{way} {count}" for way, count in row.strategies.items()))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Medians, and how many miss what is aimed at."""
    plain, naive = [row.ratio("plain") for row in rows], [row.ratio("naive") for row in rows]
    compilation = [row.compile_ratio for row in rows]
    over = [row.name for row in rows if row.ratio("plain") > (5 if row.formed else 2)]
    return (
        f"{len(rows)} models; median of linvar/plain {statistics.median(plain):.2f}, of linvar/naive "
        f"{statistics.median(naive):.2f}, of compile/plain {statistics.median(compilation):.2f}\n"
        f"over 2 x plain (*: 5): {len(over)} ({', '.join(over)})\n"
        f"over 1.1 x naive: {', '.join(row.name for row in rows if row.ratio('naive') > 1.1)}\n"
        f"over 3 x plain to compile: {', '.join(row.name for row in rows if row.compile_ratio > 3)}"
    )


def _read(file: str) -> list[dict[str, Any]]:
    """The rows that ``--json`` wrote."""
    with open(file) as text:
        rows: list[dict[str, Any]] = json.load(text)
    return rows


def main() -> int:
    """Print a line a model; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="right or wrong, in float64")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of running a model")
    parser.add_argument("--compilations", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="every figure, as far as the run is")
    parser.add_argument(
        "--read", metavar="FILE", nargs="+", help="run nothing: the table and summary of such files together"
    )
    parser.add_argument("--markdown", action="store_true", help="the table, at the end")
    parser.add_argument("--cpu", action="store_true", help="ratios of process time as well")
    arguments = parser.parse_args()
    if arguments.read:
        rows = list({row["name"]: Row(**row) for file in arguments.read for row in _read(file)}.values())
        print(markdown(rows, arguments.cpu) + "\n\n" + summary(rows))
        return 0
    names = arguments.names
    models = [m for m in MODELS.values() if not names or any(x in m.name or x == m.family for x in names)]
    if not models:
        parser.error(f"no model is called {' or '.join(names)}; --list lists them")
    if arguments.list:
        for model in models:
            print(f"{model.name:26s} {model.family:15s} {model.about}")
        return 0
    jax.config.update("jax_enable_compilation_cache", False)
    if arguments.check:
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_disable_most_optimizations", True)
        return int(check(models) > 0)
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {jax.default_backend()}")
    jax.jit(lambda w, x: gradient_moments(lambda w, x: w * x, w, x).trace)(1.0, jnp.ones(3))  # what is imported late
    rows, failed = [], []
    for model in models:
        try:
            rows.append(measured(model, arguments.budget, arguments.compilations))
        except Exception as failure:
            failed.append(model.name)
            print(f"{model.name:26s}  FAILED {type(failure).__name__}: {str(failure)[:300]}", flush=True)
            continue
        print(line(rows[-1], arguments.cpu), flush=True)
        if arguments.json:  # as far as it is
            with open(arguments.json, "w") as file:
                json.dump([asdict(row) for row in rows], file, indent=1)
    if rows:
        print((markdown(rows, arguments.cpu) + "\n\n" if arguments.markdown else "") + summary(rows))
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
