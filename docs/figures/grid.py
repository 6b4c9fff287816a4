"""Where the variance can rise with the batch size: networks of widths 1 by depth and step, as a table and a picture; variants.

    python docs/figures/grid.py [--folder docs/figures] [--format svg]
    python docs/figures/grid.py --search 300 [--cells 6,1 2,2 ...] [--seeds 3]
    python docs/figures/grid.py --search 15 --variants ["label noise" ...] [--cells 6,1 2,2 ...]

x ~ N(0, 1), labels without noise, plain SGD with one rate. A cell is "proved" where a theorem says that the variance falls,
"certified" where a certificate of proofs/certificates has a rise, "deeper" where a shallower network rises at the same step
(proofs/deeper.md), else "searched", with the largest slope d log var / d log b that was seen: those numbers are in
proofs/grid.json, which --search renews, cell by cell, from random starts and from the certificate of the same step nearest in
depth. A cell's "flattest" there is the flattest problem known of all searches, ascended further on finer grids of batch sizes;
its slope is exact, a derivative in b. The variants of proofs/variants.json are searched from it on. Without --search nothing is
searched: it takes a second. tests/claims/test_grid.py compares docs/rising.md with both tables.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import linvar as lv
from linvar.problem_file import problem_from_dict

PROOFS = Path(__file__).parents[2] / "proofs"
CERTIFICATES, DATA, VARIED = PROOFS / "certificates", PROOFS / "grid.json", PROOFS / "variants.json"
DEPTHS, STEPS = range(1, 11), range(1, 5)
#: Cells in which the variance always falls, and the page that proves it.
FALLS = {
    **{(1, step): "linear-regression.md" for step in STEPS},
    **{(depth, 1): "few-inputs.md" for depth in (2, 3, 4)},
}
#: Cells larger than this are not searched.
MOST_DEGREE = 1600
#: Where each key looks, one after the other.
RANGES = ((4, 400), (40, 4000))
_COLOURS = {
    "proved": "#9ecae1",
    "certified": "#d6604d",
    "deeper": "#f4a582",
    "searched": "#f0f0f0",
    "out of reach": "#ffffff",
}


class Cell(NamedTuple):
    """What is known of a depth and a step; ``detail`` is a page, a certificate, a depth or the record of a search."""

    status: str
    detail: Any


def degree(depth: int, step: int) -> int:
    """The bound of the polynomial's degree."""
    return sum(2 * (2 * depth - 1) ** j - 1 for j in range(step + 1))


def certificates() -> dict[tuple[int, int], str]:
    """The certificate of each cell that has one."""
    found = {}
    for path in sorted(CERTIFICATES.glob("*.json")):
        problem = json.loads(path.read_text(encoding="utf-8")).get("problem")
        if problem is None or "loss" in problem:  # of another kind
            continue
        layers, law = problem["weights"], problem["law"]
        plain = set(problem) == {"weights", "law", "learning_rate", "step", "sampling"} and problem["sampling"] == "iid"
        narrow = all(len(layer) == 1 and len(layer[0]) == 1 for layer in layers)
        if plain and narrow and set(law) == {"kind", "teacher"} and law["kind"] == "gaussian":
            found[len(layers), problem["step"]] = path.stem
    return found


def cells() -> dict[tuple[int, int], Cell]:
    """The whole grid."""
    proofs, searches = certificates(), json.loads(DATA.read_text(encoding="utf-8"))
    grid = {}
    for step in STEPS:
        rising = [depth for depth in DEPTHS if (depth, step) in proofs]
        for depth in DEPTHS:
            at, name = (depth, step), f"{depth},{step}"
            if at in FALLS:
                grid[at] = Cell("proved", FALLS[at])
            elif at in proofs:
                grid[at] = Cell("certified", proofs[at])
            elif any(shallower < depth for shallower in rising):
                grid[at] = Cell("deeper", min(rising))
            else:
                grid[at] = Cell("searched", searches[name]) if name in searches else Cell("out of reach", None)
    return grid


def table() -> str:
    """In Markdown."""
    grid = cells()
    rows = ["| `L` | " + " | ".join(f"`t = {step}`" for step in STEPS) + " |", "|---:|" + "---|" * len(STEPS)]
    rows += [
        f"| {depth} | " + " | ".join(_words(depth, step, grid[depth, step]) for step in STEPS) + " |"
        for depth in DEPTHS
    ]
    return "\n".join(rows)


def _words(depth: int, step: int, cell: Cell) -> str:
    """A cell of the table."""
    status, detail = cell
    if status == "proved":
        return f"[falls](../proofs/{detail})"
    if status == "certified":
        low, high = json.loads((CERTIFICATES / f"{detail}.json").read_text(encoding="utf-8"))["rise"]
        return f"[rises](../proofs/certificates/{detail}.json), {low} to {high}"
    if status == "deeper":
        return f"rises, as `L = {detail}` does"
    if status == "searched":
        return open_cell(flattest_slope((depth, step)), detail["starts"])
    return f"out of reach: degree {degree(depth, step):,}"


def search(at: tuple[int, int], seconds: float, seeds: int) -> None:
    """Search a cell with each key, and write what came of it; what is found is printed, to be certified."""
    import jax

    depth, step = at
    near = nearest(depth, step)
    slope, starts, begin = float("-inf"), 0, time.process_time()
    for seed, sizes in product(range(seeds), RANGES):
        result = lv.search_nonmonotone(
            depth, step=step, near=near, batch_sizes=sizes, key=jax.random.key(seed), seconds=seconds, progress=False
        )
        slope, starts = max(slope, result.largest_slope), starts + result.starts
        print(at, seed, sizes, result, result.problem and json.dumps(result.problem.to_dict()), flush=True)
    record = {"slope": round(slope, 4), "starts": starts, "process_seconds": round(time.process_time() - begin),
              "seeds": seeds, "batch_sizes": [list(sizes) for sizes in RANGES]}  # fmt: skip
    known = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {}
    kept = {"flattest": flat} if (flat := known.get(f"{depth},{step}", {}).get("flattest")) else {}
    known[f"{depth},{step}"] = record | kept
    write(DATA, known)


def write(path: Path, known: dict[str, Any]) -> None:
    """A record of searches."""
    path.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", encoding="utf-8")


def flattest(at: tuple[int, int]) -> tuple[lv.Problem, Fraction]:
    """The flattest problem known of a cell, and the batch size at which it is so."""
    depth, step = at
    numbers = json.loads(DATA.read_text(encoding="utf-8"))[f"{depth},{step}"]["flattest"]
    weights = [[[Fraction(weight)]] for weight in numbers["weights"]]
    law = lv.Gaussian([[Fraction(numbers["teacher"])]])
    return lv.Problem(weights, law, Fraction(numbers["learning_rate"]), step), Fraction(numbers["batch_size"])


def flattest_slope(at: tuple[int, int]) -> float:
    """d log var / d log b there, exact until it is made a float."""
    problem, b = flattest(at)
    parts = [(k, Fraction(c) / b**k) for k, c in enumerate(lv.gradient_variance(problem).coefficients)]
    return -float(sum(k * value for k, value in parts) / sum(value for _, value in parts))


def nearest(depth: int, step: int) -> list[lv.Problem]:
    """The problem of the certificate of this step whose depth is nearest; before it the flattest of the cell, if one is known."""
    found = {other: stem for (other, when), stem in certificates().items() if when == step}
    stems = [found[other] for other in sorted(found, key=lambda one: abs(one - depth))[:1]]
    texts = [(CERTIFICATES / f"{stem}.json").read_text(encoding="utf-8") for stem in stems]
    known = [flattest((depth, step))[0]] if "flattest" in json.loads(DATA.read_text())[f"{depth},{step}"] else []
    return known + [problem_from_dict(json.loads(text)["problem"]) for text in texts]


class Variant(NamedTuple):
    """A row of the table of variants.

    Attributes:
        settled: of the cells of ``OPEN`` in which something is proved, what, in Markdown.
        others: of all other cells with two layers or more.
        templates: what is searched in a cell, made from the flattest problem that is known there; None for another script.
        near_plain: whether the problems without it are among these, or limits of some.
    """

    settled: dict[tuple[int, int], str]
    others: str
    templates: Callable[[lv.Problem], Sequence[lv.Problem]] | None = None
    near_plain: bool = False


def _momenta(nesterov: bool) -> Callable[[lv.Problem], Sequence[lv.Problem]]:
    """Three of them."""
    return lambda start: [start.replace(momentum=m, nesterov=nesterov) for m in ("1/10", "1/2", "9/10")]


def _noisy(start: lv.Problem) -> Sequence[lv.Problem]:
    return [start.replace(law=lv.Gaussian(start.law.teacher, noise_variance="1/1000"))]


def _decayed(start: lv.Problem) -> Sequence[lv.Problem]:
    return [start.replace(weight_decay="1/10")]


def _wider(start: lv.Problem) -> Sequence[lv.Problem]:
    """Two units in each hidden layer, one of them without weights."""
    numbers, zero = [leaf[0][0] for leaf in start.leaves], lv.Rational(0)
    first, *inner, last = numbers
    hidden = [[[number, zero], [zero, zero]] for number in inner]
    return [start.replace(weights=[[[first], [zero]], *hidden, [[last, zero]]])]


#: Cells of the table of variants: those that fall or are open for plain SGD and widths 1.
OPEN = [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (2, 2)]
_FALLING = dict.fromkeys([at for at in OPEN if at in FALLS], "[falls](../proofs/few-inputs.md)")
_SAME = dict.fromkeys([(5, 1), (6, 1)], "[as without](../proofs/variants.md#the-first-step)")
_RISES = "rise, [if small](../proofs/variants.md#a-rise-persists)"
_PAGE = "../proofs/multiples-of-the-identity.md"
VARIANTS = {
    "label noise": Variant(_FALLING, _RISES, _noisy, near_plain=True),
    "momentum 1/10, 1/2, 9/10": Variant(_FALLING | _SAME, f"{_RISES}; at `t = 1` of any size", _momenta(False)),
    "Nesterov 1/10, 1/2, 9/10": Variant(_FALLING | _SAME, f"{_RISES}; at `t = 1` of any size", _momenta(True)),
    "weight decay": Variant(_FALLING, f"{_RISES}; at `t = 1` of any size", _decayed, near_plain=True),
    "widths 1-h-...-h-1": Variant(_FALLING, "[rise](../proofs/variants.md#a-rise-persists)", _wider, near_plain=True),
    "multiples of `I`, width 2": Variant(
        {
            (5, 1): "[rises](../proofs/certificates/five-layers-of-width-two.json), 69 to 86",
            (6, 1): "rises, as `L = 5` does",
            (2, 2): "not searched",
        },
        "rise at `t = 1`; `t >= 2`: not searched",
    ),
    "multiples of `I`, width 8 and more": Variant(dict.fromkeys(OPEN, f"[rises]({_PAGE})"), f"[rise]({_PAGE})"),
    "any matrices, width 2 and more": Variant(
        dict.fromkeys(OPEN, "[rises](../proofs/variants.md#several-inputs-and-outputs-every-step)"),
        "[rise](../proofs/variants.md#several-inputs-and-outputs-every-step)",
    ),
}


def open_cell(slope: float, starts: int, least: float = float("-inf")) -> str:
    """What is said of a cell in which no rise is known, nor a slope above ``least``."""
    return f"open: {slope:.4f} in {starts:,} starts" if slope > least else f"open: none flatter in {starts:,} starts"


def variants_table() -> str:
    """In Markdown."""
    found = json.loads(VARIED.read_text(encoding="utf-8"))
    heads = " | ".join(f"`L = {depth}`, `t = {step}`" for depth, step in OPEN)
    rows = [f"| | {heads} | all others, `L >= 2` |", "|---" * (len(OPEN) + 2) + "|"]
    for name, variant in VARIANTS.items():
        texts = []
        for depth, step in OPEN:
            record = found.get(name, {}).get(f"{depth},{step}")
            if (depth, step) in variant.settled:
                texts.append(variant.settled[depth, step])
            else:
                least = flattest_slope((depth, step)) if variant.near_plain else float("-inf")
                texts.append(open_cell(record["slope"], record["starts"], least))
        rows.append(f"| {name} | {' | '.join(texts)} | {variant.others} |")
    return "\n".join(rows)


def search_variant(name: str, at: tuple[int, int], seconds: float) -> None:
    """Search a cell of a variant, if nothing settles it, and write what came of it; what is found is printed."""
    variant, (depth, step) = VARIANTS[name], at
    if at in variant.settled:
        return
    if variant.templates is None:
        import multiples  # beside this file

        record = multiples.search(depth, 2 * seconds)
    else:
        slope, starts, begin = float("-inf"), 0, time.process_time()
        for template, sizes in product(variant.templates(flattest(at)[0]), RANGES):
            result = lv.search_nonmonotone(template, batch_sizes=sizes, seconds=seconds, progress=False)
            slope, starts = max(slope, result.largest_slope), starts + result.starts
            print(name, at, sizes, result, result.problem and json.dumps(result.problem.to_dict()), flush=True)
        spent = round(time.process_time() - begin)
        record = {"slope": round(slope, 4), "starts": starts, "process_seconds": spent}
    known = json.loads(VARIED.read_text(encoding="utf-8")) if VARIED.exists() else {}
    known[name] = dict(sorted((known.get(name, {}) | {f"{depth},{step}": record}).items()))
    write(VARIED, known)


def draw(folder: Path, kind: str) -> None:
    """The picture."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    style = {"svg.hashsalt": "linvar", "svg.fonttype": "none", "font.size": 9, "legend.frameon": False}
    with matplotlib.rc_context(style):
        axes = (figure := Figure(figsize=(9, 3.1), layout="constrained")).subplots()
        grid = cells()
        for (depth, step), (status, _) in grid.items():
            axes.add_patch(
                Rectangle((depth - 0.5, step - 0.5), 1, 1, facecolor=_COLOURS[status], edgecolor="white", lw=2)
            )
            text = {"proved": "falls", "certified": "rises", "deeper": "rises"}.get(status, "")
            text = (
                f"{flattest_slope((depth, step)):.4f}" if status == "searched" else text or f"{degree(depth, step):,}"
            )
            axes.text(depth, step, text, ha="center", va="center")
        axes.set(xlim=(0.5, len(DEPTHS) + 0.5), ylim=(0.5, len(STEPS) + 0.5), xticks=DEPTHS, yticks=STEPS)
        axes.set(xlabel="layers L", ylabel="steps t", title="Can the gradient variance rise with the batch size?")
        names = {"proved": "never: proved", "certified": "yes: certified", "deeper": "yes: a shallower network does",
                 "searched": "open: largest slope seen", "out of reach": "out of reach: degree"}  # fmt: skip
        present = {cell.status for cell in grid.values()}
        handles = [Patch(facecolor=_COLOURS[one], label=name) for one, name in names.items() if one in present]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(folder / f"grid.{kind}", dpi=110, metadata=metadata)


def main() -> None:
    """Search, or draw and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--format", default="svg")
    parser.add_argument("--search", type=float, help="seconds for each key and range of batch sizes of each cell")
    parser.add_argument("--cells", nargs="*", default=["2,2", "5,1", "6,1"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--variants", nargs="*", choices=VARIANTS, help="search these, all if none is named, in place of the grid"
    )
    options = parser.parse_args()
    if options.search:
        for cell in options.cells:
            depth, step = map(int, cell.split(","))
            if options.variants is None:
                search((depth, step), options.search, options.seeds)
            else:
                for name in options.variants or VARIANTS:
                    search_variant(name, (depth, step), options.search)
        return
    draw(options.folder, options.format)
    print(table(), variants_table(), sep="\n\n")


if __name__ == "__main__":
    main()
