"""Run an experiment: cells one after another, each kept on disk, then a conclusion, a picture, a result file.

A cell is a part of the work with a name, computed from the settings alone. Finished cells are kept in ``DIR/cells``, written
atomically, with a digest of the settings and a checksum: an interrupted run continues where it stopped, and ends with the
same bytes. A cell file that is damaged, or of other settings, is refused, not trusted.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar

from linvar.arguments import check_integer
from linvar.atomic import write_atomically
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import Rational
from linvar.progress import Progress, reporting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
#: what a file of JSON can hold
JSON: TypeAlias = "None | bool | int | float | str | Sequence[JSON] | Mapping[str, JSON]"
#: what a part of the work found, by name
Cell: TypeAlias = "Mapping[str, JSON]"

SIZES = ("tiny", "default", "full")
#: what an experiment of each size takes, in order of magnitude
_SECONDS = (1.0, 60.0, 300.0)
#: Seeds are signed 64-bit numbers in JAX.
LARGEST_SEED = 2**63 - 1
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy")


class Options(TypedDict, total=False):
    """What may be asked of an experiment beside its size and seed; each takes some of them. None is nothing."""

    table: str | os.PathLike[str] | None
    target: str | None
    header: bool | None
    delimiter: str | None
    images: str | None
    optimizer: str | None
    schedule: str | None
    learning_rate: str | float | Fraction | None


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        size: "default"; "full" for the real one; "tiny" to see that it runs.
        seed: of every random draw.
        options: what else was given, by name; None where nothing was.
    """

    size: str = "default"
    seed: int = 0
    options: Options = field(default_factory=Options)

    def pick(self, tiny: T, default: T, full: T) -> T:
        """The value for this size."""
        return {"tiny": tiny, "default": default, "full": full}[self.size]

    def choice(self, name: Literal["images", "optimizer", "schedule"], default: str, known: tuple[str, ...]) -> str:
        """An option that is one of some words."""
        value = self.options.get(name)
        value = default if value is None else value
        check_choice(name, value, known)
        return value

    def number(self, name: Literal["learning_rate"], default: float) -> float:
        """An option that is a number > 0."""
        value = self.options.get(name)
        value = default if value is None else value
        try:
            found = 0.0 if isinstance(value, bool) else float(value)
        except (ValueError, TypeError, OverflowError):
            found = 0.0
        if not 0 < found < float("inf"):
            raise InputError(name, value, "write one like 0.1", fault="is no number > 0")
        return found

    def fraction(self, name: Literal["learning_rate"], default: str) -> Rational:
        """An option that is a fraction > 0, where exact curves depend on it; a decimal is the fraction it writes."""
        value = self.options.get(name)
        value = default if value is None else value
        try:
            text = str(value) if isinstance(value, (str, int, float, Fraction)) else ""
        except ValueError:  # CPython prints no integer of more than 4,300 digits
            text = ""
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}|/[1-9][0-9]{0,8})?", text) or Fraction(text) == 0:
            fault = "is no fraction > 0 of at most 9 digits above and below"
            raise InputError(name, value, "write one like 1/20 or 0.05", fault=fault)
        return Rational(Fraction(text))


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Is it one of these words?

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, str) or value not in known:
        raise InputError(name, value, f"write one of {', '.join(known)}", fault="is unknown")


@dataclass(frozen=True)
class Conclusion:
    """What an experiment says.

    Attributes:
        results: JSON: every estimate with its standard error, every verdict.
        summary: lines in words, with numbers.
        draw: draws the picture into an empty Figure.
    """

    results: Mapping[str, JSON]
    summary: list[str]
    draw: Callable[[Figure], None]


@dataclass(frozen=True)
class Study:
    """An experiment with its sizes filled in.

    Attributes:
        settings: all that the numbers depend on.
        cells: name -> the function that computes it, in order.
        conclude: all cells' results -> the conclusion.
    """

    settings: Mapping[str, JSON]
    cells: dict[str, Callable[[], Cell]]
    conclude: Callable[[dict[str, Cell]], Conclusion]


@dataclass(frozen=True)
class Experiment:
    """A name, how to fill in the sizes, and the options that mean something to it."""

    name: str
    build: Callable[[Request], Study]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result(Tabular):
    """What a run left; ``print`` shows its summary, a notebook and a Rich console its numbers, too.

    Attributes:
        name: of the experiment.
        summary: lines in words.
        results: every number, as in the result file.
        file: the result file, JSON.
        picture: the picture, PNG.
        cells_found: cells that an earlier run had left.
    """

    name: str
    summary: list[str]
    results: Mapping[str, JSON]
    file: Path
    picture: Path
    cells_found: int

    def __repr__(self) -> str:
        return f"Result({self.name}: {len(self.summary)} findings, saved in {str(self.file)!r})"

    def __str__(self) -> str:
        return "\n".join([f"{self.name}:", *self.summary, self._saved])

    def to_table(self) -> Table:
        """A row a number or verdict, by the keys of the result file that lead to it; the summary below."""
        return Table(["result", "value"], _rows(self.results), self.name, [*self.summary, self._saved])

    @property
    def _saved(self) -> str:
        return f"Saved: {self.file}, {self.picture}"


def _rows(value: JSON, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, JSON]]:
    """What is no mapping, and the keys that lead there; a list of numbers is one entry."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _rows(entry, (*keys, key))
    elif isinstance(value, list):
        texts = [f"{one:.4g}" if isinstance(one, float) else str(one) for one in value]
        yield ", ".join(keys), "; ".join(texts) or None
    else:
        yield ", ".join(keys), value


def run_study(
    experiment: Experiment,
    request: Request,
    directory: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> Result:
    """All cells that are not there yet, then the conclusion, the result file and the picture.

    Args:
        experiment: what to run.
        request: its size, seed and options.
        directory: where the cells, the result and the picture go; made if need be; ``linvar-NAME`` if None.
        progress: True for a bar, a function called as ``progress(cells done, cells)``, False for silence; None for a bar
            where somebody sees it, unless the size is "tiny".

    Raises:
        InputError: a size, seed or option out of range; a cell file that is damaged or of other settings.
        OSError: the directory cannot be written.
    """
    check_choice("size", request.size, SIZES)
    _check_seed(request.seed)
    for option, value in request.options.items():
        if option not in experiment.options:
            takes = f"it takes {', '.join(experiment.options)}" if experiment.options else "it takes none"
            raise InputError(option, value, takes, fault=f"is no option of {experiment.name}")
    study = experiment.build(request)
    settings = {
        **_machine(),
        "experiment": experiment.name,
        "size": request.size,
        "seed": request.seed,
        **study.settings,
    }
    digest = hashlib.sha256(_text(settings).encode()).hexdigest()
    folder = _make_directory(f"linvar-{experiment.name}" if directory is None else directory)
    finished: dict[str, Cell] = {}
    found = 0
    with reporting(progress, experiment.name, seconds=request.pick(*_SECONDS)) as tell:
        tell(0, len(study.cells))
        for name, compute in study.cells.items():
            path = folder / "cells" / f"{name}.json"
            if path.exists():
                finished[name] = _read_cell(path, digest)
                found += 1
            else:
                # through JSON, so that a cell just computed and one read back are the same
                finished[name] = json.loads(_text(compute()))
                write_atomically(
                    path, _text({"settings": digest, "sum": _checksum(finished[name]), "cell": finished[name]})
                )
            tell(len(finished), len(study.cells))
    conclusion = study.conclude(finished)
    results = json.loads(_text(conclusion.results))
    file, picture = folder / f"{experiment.name}.json", folder / f"{experiment.name}.png"
    whole = {"settings": settings, "summary": conclusion.summary, "results": results, "cells": finished}
    # the numbers first: they are kept whatever becomes of the picture
    write_atomically(file, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    write_atomically(picture, _picture(conclusion.draw))
    return Result(experiment.name, conclusion.summary, results, file, picture, found)


def _check_seed(seed: object) -> None:
    """An int that keys of JAX take."""
    cure = f"give an integer from 0 to {LARGEST_SEED}"
    if not 0 <= check_integer(seed, "seed", cure) <= LARGEST_SEED:
        raise InputError("seed", seed, cure, fault="is out of range")


def _make_directory(directory: str | Path) -> Path:
    """The directory with a place for cells in it."""
    if not isinstance(directory, (str, os.PathLike)):
        raise InputTypeError("directory", directory, "give a path")
    folder = Path(directory)
    try:
        (folder / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"cannot make the directory {cut(repr(str(folder)), 200)}: {error.strerror}: give another with -o"
        ) from error
    except ValueError as error:  # a null byte, or what the file system cannot encode
        raise InputError("directory", str(folder), "give another path", fault="is no path") from error
    return folder


def _read_cell(path: Path, digest: str) -> Cell:
    """A finished cell, if it is whole and belongs here."""
    place, again = cut(repr(str(path)), 200), "delete it, and its part is computed again"
    damaged = InputError(place, Words("is damaged"), again)
    if not path.is_file():
        raise InputError(place, Words("is no regular file"), again)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        settings, total, cell = kept["settings"], kept["sum"], kept["cell"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged from error
    if settings != digest:
        raise InputError(
            place, Words("comes from a run with another size, seed, option, device or version"),
            "give another directory with -o",
        )  # fmt: skip
    if total != _checksum(cell) or not isinstance(cell, dict):
        raise damaged
    return cell


def _text(value: object) -> str:
    """JSON with sorted keys; numbers that are not finite become null."""
    return json.dumps(_plain(value), sort_keys=True, allow_nan=False)


def _plain(value: Any) -> JSON:
    """Numbers of NumPy as Python's, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    plain: JSON = value
    return plain


def _checksum(cell: object) -> str:
    return hashlib.sha256(_text(cell).encode()).hexdigest()


def _machine() -> dict[str, JSON]:
    """Versions and device."""
    import jax

    device = jax.devices()[0]
    versions = {name: version(name) for name in LIBRARIES}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": device.device_kind,
        "devices": jax.device_count(),
    }


def _picture(draw: Callable[[Figure], None]) -> bytes:
    """A PNG, the same bytes for the same numbers."""
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with style.context("default"):  # not the user's own
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
