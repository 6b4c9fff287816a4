"""What the numeric half asks of a scheme, and the twin of each statement in ``linvar.schemes``.

A scheme's twin is a frozen object without arrays: part of the program, static for ``jax.jit``.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Key

from linvar.numeric.schemes.iid import Iid
from linvar.numeric.schemes.without_replacement import WithoutReplacement
from linvar.schemes.scheme import scheme_of


@runtime_checkable
class NumericScheme(Protocol):
    """How a batch of b rows is drawn from n, and what the mean over it varies."""

    @property
    def independent(self) -> bool:
        """Whether the examples of a batch are independent of each other."""
        ...

    def factor(self, batch_sizes: np.ndarray, dataset_size: int | None) -> np.ndarray:
        """c of each b: Cov of a mean over a batch is c times the covariance of one example (divisor n)."""
        ...

    def trace_share(self, batch_size: int, dataset_size: int | None) -> float:
        """tr Cov of a mean over a batch, over the expected trace, of divisor b, within the batch; for b > 1."""
        ...

    def begin(
        self, key: Key[Array, ""], size: int, batch_size: Float[Array, ""], first: Int[Array, ""] | None = None
    ) -> Any:
        """What the rows of a batch out of 0..size-1 have in common, a pytree of arrays; ``first``: a row it begins with.

        The first row is for schemes whose examples are not independent: there it is the one that may be exaggerated.
        """
        ...

    def more(self, state: Any, number: Int[Array, ""], own: Int[Array, " rows"]) -> tuple[Any, Int[Array, " rows"]]:
        """The numbers of the next rows, from the one of this number on; ``own`` are rows drawn independently."""
        ...

    def bytes_per_batch(self, size: int) -> int:
        """Working memory of drawing, beside the rows and their numbers, roughly."""
        ...


_TWINS: dict[str, NumericScheme] = {"iid": Iid(), "without_replacement": WithoutReplacement()}


def numeric_scheme(sampling: object) -> NumericScheme:
    """The numeric twin of the scheme of this name.

    Raises:
        InputError: there is no such scheme.

    >>> numeric_scheme("without_replacement").factor(np.asarray([1, 2, 4]), 4)  # (n - b) / (b (n - 1))
    array([1.        , 0.33333333, 0.        ])
    """
    return _TWINS[scheme_of(sampling).name]
