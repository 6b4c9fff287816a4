"""NoiseHistory: the noise of the gradient along a training run, kept on the host, saved, read back and continued."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, overload

import numpy as np

from linvar.arguments import check_integer
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.keywords import door
from linvar.numeric.gradients.history_rows import BLOCKS, HEAD, NoiseEntry, Rows, Saved, averages, ratio, window_means

if TYPE_CHECKING:
    from jax.typing import ArrayLike

    from linvar.numeric.gradients.readings import Packed, Reading

#: entries that are on their way at a time: of more, the older half is waited for, which is done by then
_UNDER_WAY = 1024


class NoiseHistory(Tabular):
    """The noise of the gradient, step by step: what a training loop appends to.

        history = NoiseHistory()
        for step, batch in enumerate(batches):
            params, state = train(params, state, batch)
            if step % 10 == 0:
                history.append(step, recorded_noise(state), batch_size=len(batch))
        history.save("noise.csv")

    Entries are float64 numbers of the host, leaf by leaf: tr Cov(g_i) and ||E g||^2 of the step itself, and the recorder's
    averages of them. ``append`` does not wait for the device: it copies the numbers there, into one array of their own (so that
    the state may be donated), and starts the transfer; what reads the history waits for the last entry.

    Steps increase. An entry of a recorder that has recorded nothing since the entry before (the step was skipped, or is not
    complete with ``accumulate=k``) is kept, its trace and squared mean NaN: no measurement counts twice.

    >>> from linvar.numeric import gradient_moments
    >>> history = NoiseHistory()
    >>> for step, x in enumerate(np.random.default_rng(0).normal(1, 3, (4, 500, 2)).astype("float32")):
    ...     history.append(step, gradient_moments(lambda w, x: w @ x, np.ones(2, "float32"), x))
    >>> history
    NoiseHistory(4 entries, steps 0 to 3, noise_scale=7.299 at the last, 1 leaf)
    >>> history.noise_scale.round(2), history.smoothed(window=2).noise_scale.round(2)
    (array([11.77,  9.97, 11.97,  7.3 ]), array([11.77, 10.75, 10.84,  9.01]))
    """

    @door
    def __init__(self) -> None:
        self._rows = Rows()
        self._pending: list[Packed] = []
        self._last = -1

    @classmethod
    def _of(cls, rows: Rows) -> NoiseHistory:
        """From checked rows, which are its own from now on."""
        found = cls()
        found._rows = rows
        found._last = int(rows.column("step")[-1]) if len(rows) else -1
        return found

    @door
    def append(
        self,
        step: int | np.integer,
        noise: object,
        *,
        loss: ArrayLike | None = None,
        batch_size: int | np.integer | None = None,
    ) -> None:
        """One entry more.

        It costs a dispatch, 0.6 ms for a hundred leaves (``jax.device_get`` 2.6 ms, and it waits), and waits for no computation
        where ``step`` is an ``int``.

        Args:
            step: of the training, >= 0, larger than that of the last entry; after a restart from an older checkpoint go on with
                ``history.up_to(step)``.
            noise: a record, ``linvar.recorded_noise(opt_state)``, or what ``linvar.gradient_moments`` or ``linvar.noise_scale``
                returns. All entries have the same leaves.
            loss: a number to keep beside it; that of ``noise`` if None and it has one.
            batch_size: examples of a step; that of ``noise`` if None and it has one.

        Raises:
            InputTypeError: ``noise`` is nothing of the kind, or traced.
            InputError: a step that is not after the last; other leaves; numbers of many runs at once.
        """
        from linvar.numeric.gradients.readings import Packed, reading_of

        step = check_integer(step, "step")
        if not self._last < step < 2**53:
            cure = "give a larger one; to go back, go on with history.up_to(step)" if step >= 0 else "give a step >= 0"
            raise InputError("step", step, cure, fault=f"is not after the last, {self._last}" * (self._last >= 0))
        known: dict[str, object] = {} if loss is None else {"loss": _checked_loss(loss)}
        if batch_size is not None:
            if not 1 <= check_integer(batch_size, "batch_size") < 2**53:
                raise InputError("batch_size", batch_size, "give the number of examples of a step, from 1 to 2^53")
            known["batch_size"] = float(batch_size)
        reading = self._fitted(reading_of(noise).having(**known))
        self._pending.append(Packed.of(step, reading))
        self._last = step
        if len(self._pending) > _UNDER_WAY:
            self._settle(_UNDER_WAY // 2)

    def _fitted(self, reading: Reading) -> Reading:
        """With the leaves of the history, in their order."""
        if not len(self):
            self._rows = Rows(reading.names)
        names = self._rows.names
        if reading.names == names:
            return reading
        if sorted(reading.names) != sorted(names):
            fault = Words(
                f"has the leaves {cut(', '.join(reading.names))}, where the history has {cut(', '.join(names))}"
            )
            raise InputError("noise", fault, "keep a history of each")
        return reading.ordered(names)

    def _settle(self, count: int | None = None) -> Rows:
        """The rows, once the oldest of what is under way has arrived; all of it if None."""
        for packed in self._pending[:count]:
            self._rows.append(_row(packed, packed.numbers(), self._rows))
            del self._pending[0]  # not before it is there: a step that failed on the device, Ctrl-C
        return self._rows

    # entries

    def __len__(self) -> int:
        return len(self._rows) + len(self._pending)

    def __iter__(self) -> Iterator[NoiseEntry]:
        return (self[k] for k in range(len(self)))

    @overload
    def __getitem__(self, place: int) -> NoiseEntry: ...

    @overload
    def __getitem__(self, place: slice) -> NoiseHistory: ...

    def __getitem__(self, place: int | slice) -> NoiseEntry | NoiseHistory:
        """An entry; of a slice a history of its own, which may be continued."""
        rows = self._settle()
        if isinstance(place, slice):
            if place.step is not None and place.step < 0:
                raise InputError(
                    "history", Words("is cut backwards"), "give a slice of positive stride: steps increase"
                )
            return self._of(Rows(rows.names, rows.table[place]))
        return rows.entry(range(len(rows))[place])

    def up_to(self, step: int | np.integer) -> NoiseHistory:
        """The entries up to a step and with it, a history of its own: what a run restarted from there continues."""
        return self[: int(np.searchsorted(self.steps, check_integer(step, "step"), side="right"))]

    # columns

    @property
    def leaves(self) -> tuple[str, ...]:
        """Names of the leaves."""
        return self._rows.names

    @property
    def steps(self) -> np.ndarray:
        """(entries,) integers."""
        return self._settle().column("step").astype("int64")

    @property
    def loss(self) -> np.ndarray:
        """(entries,) NaN where not known."""
        return self._settle().column("loss").copy()

    @property
    def batch_size(self) -> np.ndarray:
        """(entries,) examples of a step, NaN where not known."""
        return self._settle().column("batch_size").copy()

    @property
    def skipped(self) -> np.ndarray:
        """(entries,) integers: updates up to there left out because their moments were not finite."""
        return self._settle().column("skipped").astype("int64")

    @property
    def cancelled(self) -> np.ndarray:
        """(entries,) integers: steps up to there recorded though rounding may have changed a trace by over 2 %."""
        return self._settle().column("cancelled").astype("int64")

    @property
    def trace(self) -> np.ndarray:
        """(entries,) tr Cov(g_i) over all leaves, of the step itself."""
        return np.asarray(self._settle().block("trace").sum(axis=1))

    @property
    def squared_mean(self) -> np.ndarray:
        """(entries,) ||E g||^2 over all leaves, without bias: a single one may be negative."""
        return np.asarray(self._settle().block("squared_mean").sum(axis=1))

    @property
    def noise_scale(self) -> np.ndarray:
        """(entries,) trace / squared_mean, infinite where the latter is not positive. Of a single step: see ``smoothed``."""
        return ratio(self.trace, self.squared_mean)

    @property
    def per_leaf(self) -> dict[str, NoiseHistory]:
        """Name of a leaf -> the history of that leaf alone."""
        rows = self._settle()
        return {name: self._of(rows.of_leaf(leaf)) for leaf, name in enumerate(rows.names)}

    @property
    def averaged(self) -> NoiseHistory:
        """The recorder's own averages as a history, over every step it saw; NaN where an entry comes from no recorder."""
        rows = self._settle()
        return self._of(rows.having(rows.block("average_trace"), rows.block("average_squared_mean")))

    @door
    def smoothed(self, *, decay: float | None = None, window: int | None = None) -> NoiseHistory:
        """A history whose traces and squared means are averages over the entries up to each.

        Its noise scale is the ratio of the averages, never an average of ratios (McCandlish et al. 2018, appendix A.1).
        Entries of which a number is not finite are left out; before the first other one it is NaN.

        Args:
            decay: weight of the past at each entry, in [0, 1), without bias towards zero; 0.95 if neither is given.
            window: or so many entries, >= 1, each with the same weight.

        Raises:
            InputError: both are given, or one is out of range.
        """
        if decay is not None and window is not None:
            raise InputError("window", window, "give decay or window", fault="is given beside decay")
        rows = self._settle()
        if window is not None and (window := check_integer(window, "window")) < 1:
            raise InputError("window", window, "give a number of entries, >= 1")
        keep = 0.95 if decay is None else decay
        if isinstance(keep, bool) or not isinstance(keep, (int, float, np.floating)):
            raise InputTypeError("decay", decay, "give the weight of the past, 0 <= decay < 1")
        if not 0 <= keep < 1:
            raise InputError("decay", decay, "give the weight of the past, 0 <= decay < 1")
        numbers = rows.measurements
        found = averages(numbers, float(keep)) if window is None else window_means(numbers, window)
        return self._of(rows.having(*np.split(found, 2, axis=1)))

    # shown

    def to_table(self) -> Table:
        """An entry a row, without columns of which nothing is known; ``history[-1].to_table()`` has the leaves of the last."""
        columns: dict[str, np.ndarray] = {
            "noise scale": self.noise_scale,
            "averaged noise scale": self.averaged.noise_scale,
            "trace": self.trace,
            "squared mean": self.squared_mean,
            "loss": self.loss,
            "batch size": self.batch_size,
        }
        always = ("noise scale", "trace", "squared mean")
        shown = {name: x for name, x in columns.items() if name in always or not np.isnan(x).all()}
        counts = {name: x for name, x in (("skipped", self.skipped), ("cancelled", self.cancelled)) if x.any()}
        rows = zip(self.steps.tolist(), *(x.tolist() for x in (shown | counts).values()))
        return Table(["step", *shown, *counts], rows, f"Noise of the gradient, {self._extent()}")

    def _extent(self) -> str:
        """How much there is."""
        if not len(self):
            return "empty"
        first, last = (f"{int(step):,}" for step in self._settle().column("step")[[0, -1]])
        return f"{len(self):,} entr{'y' if len(self) == 1 else 'ies'}, step{'' if len(self) == 1 else 's'} " + (
            first if first == last else f"{first} to {last}"
        )

    def __repr__(self) -> str:
        if not len(self):
            return "NoiseHistory(empty)"
        last, notes = self[-1], []
        for name, count in (("skipped", last.skipped), ("cancelled", last.cancelled)):
            notes += [f"{count:,} {name}"] if count else []
        leaves = f"{len(self.leaves):,} lea{'f' if len(self.leaves) == 1 else 'ves'}"
        scale = f"noise_scale={last.noise_scale:.4g} at the last"
        return f"NoiseHistory({', '.join([self._extent(), scale, leaves, *notes])})"

    def __eq__(self, other: object) -> bool:
        """The same leaves and numbers; NaN equals NaN."""
        if not isinstance(other, NoiseHistory):
            return NotImplemented
        mine, theirs = self._settle(), other._settle()
        return mine.names == theirs.names and np.array_equal(mine.table, theirs.table, equal_nan=True)

    __hash__ = None  # type: ignore[assignment]  # it grows

    # kept

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (self.leaves, self._settle().table.copy())

    def to_dict(self) -> Saved:
        """Plain data for JSON: a list a column, one a leaf where it is of leaves; "nan", "inf" and "-inf" are strings."""
        from linvar.numeric.gradients.history_file import to_plain

        return to_plain(self._settle())

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> NoiseHistory:
        """The inverse of ``to_dict``, from data that are not trusted.

        Raises:
            InputError: it is nothing that ``to_dict`` writes; it names the place.
        """
        from linvar.numeric.gradients.history_file import from_plain

        return cls._of(from_plain(data))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, all or nothing: a table for spreadsheets and pandas if its name ends in ``.csv``, ``.json`` likewise.

        Raises:
            InputError: another ending. OSError: it cannot be written.
        """
        from linvar.numeric.gradients.history_file import save

        save(self._settle(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NoiseHistory:
        """What ``save`` wrote, number for number; it may be continued.

        Raises:
            InputError: another ending. FileError: it cannot be read, or holds something else; it names the place.
        """
        from linvar.numeric.gradients.history_file import load

        return cls._of(load(path))


def _restored(names: tuple[str, ...], table: np.ndarray) -> NoiseHistory:
    """From a pickle."""
    return NoiseHistory._of(Rows(names, table))


def _checked_loss(loss: ArrayLike) -> object:
    """A number, of the host or of a device."""
    kind = np.dtype(getattr(loss, "dtype", type(loss))).kind if not isinstance(loss, str) else "U"
    if kind not in "fiuV" or np.shape(loss) != ():  # V: bfloat16 and its like
        raise InputTypeError("loss", loss, "give one number")
    try:
        return float(loss) if isinstance(loss, int) else loss
    except OverflowError:
        raise InputError("loss", loss, "give a number that a float can hold") from None


def _row(packed: Packed, numbers: np.ndarray, rows: Rows) -> np.ndarray:
    """A row of the table from the numbers of a reading."""
    from linvar.numeric.gradients.readings import HEAD as GIVEN

    head, leaves = dict(zip(GIVEN, numbers)), numbers[len(GIVEN) :].reshape(len(BLOCKS), -1)
    leaves[2:] = leaves[2:] / head["weight"] if head["weight"] > 0 else np.nan
    before = rows.table[-1] if len(rows) else np.zeros(rows.width)
    if not packed.running:
        lost = not np.isfinite(leaves[:2]).all()
        head["skipped"] = before[HEAD.index("skipped")] + lost
        head["cancelled"] = before[HEAD.index("cancelled")] + np.nan_to_num(head["cancelled"])
    if head["count"] == 0 or _is_repeated(head["count"], leaves[:2], rows):
        leaves[:2] = np.nan
    return np.concatenate([[packed.step], [head[name] for name in HEAD[1:]], leaves.ravel()])


def _is_repeated(count: float, leaves: np.ndarray, rows: Rows) -> bool:
    """Whether the last measurement of the table is this one, seen again."""
    place = rows.last_measured
    if place < 0 or rows.column("count")[place] != count:
        return False
    return np.array_equal(rows.measurements[place], leaves.ravel())
