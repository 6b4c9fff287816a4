"""Run an experiment: cells one after another, each kept on disk, then a conclusion, a picture, a result file.

A cell is a part of the work with a name, computed from the settings alone. Finished cells are kept in ``DIR/cells``, written
atomically, with a digest of the settings and a checksum: an interrupted run continues where it stopped, and ends with the
same bytes. A cell file that is damaged, or of other settings, is refused, not trusted.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from linvar.atomic import write_atomically
from linvar.exact import Rational
from linvar.progress import Report, reporting

SIZES = ("tiny", "default", "full")
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy")


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        size: "default"; "full" for the real one; "tiny" to see that it runs.
        seed: of every random draw.
        options: what else was given on the command line, by name; None where nothing was.
    """

    size: str = "default"
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def pick(self, tiny: Any, default: Any, full: Any) -> Any:
        """The value for this size."""
        return {"tiny": tiny, "default": default, "full": full}[self.size]

    def option(self, name: str, default: Any) -> Any:
        """An option, or what stands for it."""
        value = self.options.get(name)
        return default if value is None else value

    def number(self, name: str, default: float) -> float:
        """An option that is a number > 0."""
        value = self.option(name, default)
        try:
            found = float(value)
        except ValueError:
            found = 0.0
        if not 0 < found < float("inf"):
            raise ValueError(f"{name}={value!r} is no number > 0: write one like 0.1")
        return found

    def fraction(self, name: str, default: str) -> Rational:
        """An option that is a fraction > 0, where exact curves depend on it; a decimal is the fraction it writes."""
        value = str(self.option(name, default))
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9}|/[1-9]\d{0,8})?", value) or Rational(value) == 0:
            raise ValueError(f"{name}={value!r} is no fraction > 0: write one like 1/20 or 0.05")
        return Rational(value)


@dataclass(frozen=True)
class Conclusion:
    """What an experiment says.

    Attributes:
        results: JSON: every estimate with its standard error, every verdict.
        summary: lines in words, with numbers.
        draw: draws the picture into an empty Figure.
    """

    results: dict[str, Any]
    summary: list[str]
    draw: Callable[[Any], None]


@dataclass(frozen=True)
class Study:
    """An experiment with its sizes filled in.

    Attributes:
        settings: JSON: all that the numbers depend on.
        cells: name -> the function that computes it (JSON), in order.
        conclude: all cells' results -> the conclusion.
    """

    settings: dict[str, Any]
    cells: dict[str, Callable[[], dict[str, Any]]]
    conclude: Callable[[dict[str, dict[str, Any]]], Conclusion]


@dataclass(frozen=True)
class Experiment:
    """A name, how to fill in the sizes, and the options that mean something to it."""

    name: str
    build: Callable[[Request], Study]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a run left.

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
    results: dict[str, Any]
    file: Path
    picture: Path
    cells_found: int

    def __repr__(self) -> str:
        return "\n".join([f"{self.name}:", *self.summary, f"Saved: {self.file}, {self.picture}"])


def run_study(
    experiment: Experiment, request: Request, directory: str | Path | None = None, progress: bool | Report | None = None
) -> Result:
    """All cells that are not there yet, then the conclusion.

    Args:
        experiment: what to run.
        request: its size, seed and options.
        directory: where the cells, the result and the picture go; made if need be; ``linvar-NAME`` if None.
        progress: True for a bar, or a function called as ``progress(cells done, cells)``.

    Raises:
        ValueError: a size, seed or option out of range; a cell file that is damaged or of other settings.
        OSError: the directory cannot be written.
    """
    if request.size not in SIZES:
        raise ValueError(f"size={request.size!r} is unknown: write 'tiny', 'default' or 'full'")
    for option, value in request.options.items():
        if option not in experiment.options:
            takes = f"it takes {', '.join(experiment.options)}" if experiment.options else "it takes none"
            raise ValueError(f"{option}={value!r} is no option of {experiment.name}: {takes}")
    study = experiment.build(request)
    settings = {
        **_machine(),
        "experiment": experiment.name,
        "size": request.size,
        "seed": request.seed,
        **study.settings,
    }
    digest = hashlib.sha256(_text(settings).encode()).hexdigest()
    folder = Path(directory) if directory is not None else Path(f"linvar-{experiment.name}")
    try:
        (folder / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"cannot make the directory {str(folder)!r}: {error.strerror}: give another with -o"
        ) from error
    finished: dict[str, dict[str, Any]] = {}
    found = 0
    with reporting(progress, experiment.name) as report:
        report(0, len(study.cells))
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
            report(len(finished), len(study.cells))
    conclusion = study.conclude(finished)
    results = json.loads(_text(conclusion.results))
    file, picture = folder / f"{experiment.name}.json", folder / f"{experiment.name}.png"
    write_atomically(picture, _picture(conclusion.draw))
    whole = {"settings": settings, "summary": conclusion.summary, "results": results, "cells": finished}
    write_atomically(file, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    return Result(experiment.name, conclusion.summary, results, file, picture, found)


def _read_cell(path: Path, digest: str) -> dict[str, Any]:
    """A finished cell, if it is whole and belongs here."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        settings, total, cell = kept["settings"], kept["sum"], kept["cell"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: delete it, and its part is computed again") from error
    if settings != digest:
        raise ValueError(
            f"{str(path)!r} comes from a run with another size, seed, option, device or version: give another directory with -o"
        )
    if total != _checksum(cell):
        raise ValueError(f"{str(path)!r} is damaged: delete it, and its part is computed again")
    return cell  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    """JSON with sorted keys; numbers that are not finite become null."""
    return json.dumps(_plain(value), sort_keys=True, allow_nan=False)


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


def _checksum(cell: Any) -> str:
    return hashlib.sha256(_text(cell).encode()).hexdigest()


def _machine() -> dict[str, Any]:
    """Versions and device."""
    import jax

    device = jax.devices()[0]
    versions = {name: version(name) for name in LIBRARIES}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": device.device_kind,
        "devices": jax.device_count(),
    }


def _picture(draw: Callable[[Any], None]) -> bytes:
    """A PNG, the same bytes for the same numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
