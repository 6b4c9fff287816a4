"""The numbers of a history of noise: a table that grows, an entry a row, and means over its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from linvar.display.table import Table
from linvar.display.tabular import Tabular

#: a column in a file; "nan", "inf" and "-inf" are text
Numbers: TypeAlias = list[int | float | str]
#: what JSON holds
Saved: TypeAlias = dict[str, str | Numbers | dict[str, Numbers]]
#: columns before those of the leaves; NaN where not known
HEAD = ("step", "loss", "batch_size", "count", "skipped", "cancelled")
#: columns of every leaf, block by block
BLOCKS = ("trace", "squared_mean", "average_trace", "average_squared_mean")


def ratio(trace: np.ndarray | float, squared_mean: np.ndarray | float) -> np.ndarray:
    """trace / squared_mean, infinite where the latter is not positive; NaN where one of them is."""
    trace, squared_mean = np.asarray(trace, "float64"), np.asarray(squared_mean, "float64")
    with np.errstate(all="ignore"):
        known = np.where(squared_mean > 0, trace / np.where(squared_mean > 0, squared_mean, 1), np.inf)
    return np.where(np.isnan(trace) | np.isnan(squared_mean), np.nan, known)


@dataclass(frozen=True)
class NoiseEntry(Tabular):
    """One entry of a history.

    Attributes:
        step: of the training.
        loss: NaN if not known.
        batch_size: None if not known.
        skipped, cancelled: up to this entry; see ``NoiseHistory``.
        trace_per_leaf, squared_mean_per_leaf: name of the leaf -> tr Cov(g_i), ||E g||^2.
    """

    step: int
    loss: float
    batch_size: int | None
    skipped: int
    cancelled: int
    trace_per_leaf: dict[str, float]
    squared_mean_per_leaf: dict[str, float]

    @property
    def trace(self) -> float:
        """tr Cov(g_i) over all leaves."""
        return float(np.sum([*self.trace_per_leaf.values()]))

    @property
    def squared_mean(self) -> float:
        """||E g||^2 over all leaves."""
        return float(np.sum([*self.squared_mean_per_leaf.values()]))

    @property
    def noise_scale(self) -> float:
        """trace / squared_mean."""
        return float(ratio(self.trace, self.squared_mean))

    @property
    def noise_scale_per_leaf(self) -> dict[str, float]:
        """The same of each leaf."""
        return {
            name: float(ratio(trace, self.squared_mean_per_leaf[name])) for name, trace in self.trace_per_leaf.items()
        }

    def to_table(self) -> Table:
        """A leaf a row, then all together."""
        own = [(name, t, self.squared_mean_per_leaf[name]) for name, t in self.trace_per_leaf.items()]
        rows = [(*row, float(ratio(*row[1:]))) for row in [*own, ("total", self.trace, self.squared_mean)]]
        return Table(
            ["leaf", "trace", "squared mean", "noise scale"], rows, f"Noise of the gradient at step {self.step:,}"
        )

    def __repr__(self) -> str:
        numbers = f"noise_scale={self.noise_scale:.4g}, trace={self.trace:.6g}, squared_mean={self.squared_mean:.6g}"
        size = "" if self.batch_size is None else f", batch_size={self.batch_size}"
        loss = "" if np.isnan(self.loss) else f", loss={self.loss:.6g}"
        return f"NoiseEntry(step={self.step}, {numbers}{loss}{size})"


class Rows:
    """A table of float64 that grows at its end; columns are those of ``HEAD``, then of ``BLOCKS``, a leaf a column each."""

    def __init__(self, names: tuple[str, ...] = (), table: np.ndarray | None = None) -> None:
        self.names = names
        self._buffer = np.empty((0, self.width)) if table is None else np.array(table, "float64")
        self._length = len(self._buffer)
        measured = np.flatnonzero(~np.isnan(self.measurements).all(axis=1))
        self.last_measured = int(measured[-1]) if len(measured) else -1

    @property
    def measurements(self) -> np.ndarray:
        """(rows, 2 leaves): traces and squared means."""
        return self.table[:, self.places("trace").start : self.places("squared_mean").stop]

    @property
    def width(self) -> int:
        """How many columns."""
        return len(HEAD) + len(BLOCKS) * len(self.names)

    @property
    def table(self) -> np.ndarray:
        """All rows, a view."""
        return self._buffer[: self._length]

    def __len__(self) -> int:
        return self._length

    def append(self, row: np.ndarray) -> None:
        """One more."""
        if self._length == len(self._buffer):
            larger = np.empty((max(16, 2 * self._length), self.width))
            larger[: self._length] = self._buffer
            self._buffer = larger
        self._buffer[self._length] = row
        self._length += 1
        if not np.isnan(self.measurements[-1]).all():
            self.last_measured = self._length - 1

    def column(self, name: str) -> np.ndarray:
        """One of ``HEAD``."""
        return self.table[:, HEAD.index(name)]

    def block(self, name: str) -> np.ndarray:
        """One of ``BLOCKS``: (rows, leaves)."""
        return self.table[:, self.places(name)]

    def places(self, name: str) -> slice:
        """The columns of a block."""
        first = len(HEAD) + BLOCKS.index(name) * len(self.names)
        return slice(first, first + len(self.names))

    def having(self, trace: np.ndarray, squared_mean: np.ndarray) -> Rows:
        """A copy with other numbers of the leaves."""
        table = self.table.copy()
        table[:, self.places("trace")], table[:, self.places("squared_mean")] = trace, squared_mean
        return Rows(self.names, table)

    def of_leaf(self, leaf: int) -> Rows:
        """A copy of one leaf."""
        kept = [*range(len(HEAD)), *(self.places(name).start + leaf for name in BLOCKS)]
        return Rows((self.names[leaf],), self.table[:, kept])

    def entry(self, place: int) -> NoiseEntry:
        """One row."""
        row = self.table[place]
        head = dict(zip(HEAD, row))
        return NoiseEntry(
            step=int(head["step"]),
            loss=float(head["loss"]),
            batch_size=None if np.isnan(head["batch_size"]) else int(head["batch_size"]),
            skipped=int(head["skipped"]),
            cancelled=int(head["cancelled"]),
            trace_per_leaf=dict(zip(self.names, map(float, row[self.places("trace")]))),
            squared_mean_per_leaf=dict(zip(self.names, map(float, row[self.places("squared_mean")]))),
        )


def averages(rows: np.ndarray, decay: float) -> np.ndarray:
    """Exponential means over the rows up to each, of the rows that are finite, without bias towards zero."""

    def mean(finite: np.ndarray) -> np.ndarray:
        found, total, weight = np.empty_like(finite), np.zeros(finite.shape[1]), 0.0
        for k, row in enumerate(finite):
            total, weight = decay * total + (1 - decay) * row, decay * weight + (1 - decay)
            found[k] = total / weight
        return found

    return _over_finite(rows, mean)


def window_means(rows: np.ndarray, window: int) -> np.ndarray:
    """Means over so many rows up to each, of the rows that are finite; over fewer at the start."""

    def mean(finite: np.ndarray) -> np.ndarray:
        first = min(window - 1, len(finite))
        start = np.cumsum(finite[:first], axis=0) / np.arange(1, first + 1)[:, None]
        if len(finite) < window:
            return start
        rest = np.lib.stride_tricks.sliding_window_view(finite, window, axis=0).mean(axis=-1)
        return np.concatenate([start, rest])

    return _over_finite(rows, mean)


def _over_finite(rows: np.ndarray, mean: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Means of finite rows; beside another row that of the last one before, NaN where there is none."""
    finite = np.isfinite(rows).all(axis=1)
    found = np.concatenate([np.full((1, rows.shape[1]), np.nan), mean(rows[finite])])
    return np.asarray(found[np.cumsum(finite)])
