"""What many processes (``jax.distributed``) tell each other."""

from __future__ import annotations

import numpy as np
from jax.typing import ArrayLike

from linvar.errors import InputError, Words


def check_all(failure: Exception | None, count: int) -> None:
    """The same error in every process, before any of them waits for what another will not send."""
    from jax.experimental.multihost_utils import process_allgather

    states = np.asarray(process_allgather(np.asarray([failure is not None, count == 0])))
    if failure is not None:
        raise failure
    failed, empty = states.T
    if failed.any():  # of whatever
        raise RuntimeError(f"process {int(np.argmax(failed))} of {len(states)} failed: see its own error")
    if empty.any():
        where = f"of process {int(np.argmax(empty))} of {len(states)} has no examples"
        raise InputError("data", Words(where), "give every process a part of the data")


def gather(x: ArrayLike) -> np.ndarray:
    """The same array of every process, processes first."""
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(np.asarray(x)))


def gather_ragged(rows: list[list[float]]) -> list[np.ndarray]:
    """Tables of every process, whose lengths differ; in two float32 parts, which together hold 48 bits."""
    table = np.asarray(rows, "float64")
    lengths = gather(len(table))
    padded = np.zeros((int(lengths.max()), table.shape[1]))
    padded[: len(table)] = table
    high = padded.astype("float32")
    low = (padded - high).astype("float32")
    parts = gather(np.stack([high, low])).astype("float64")
    return [part[0, :k] + part[1, :k] for part, k in zip(parts, lengths)]
