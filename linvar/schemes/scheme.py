"""The schemes by which a batch is drawn, by the name that ``sampling=`` takes.

Their moments are in the halves: ``linvar.symbolic.schemes``, ``linvar.numeric.schemes``.
"""

from __future__ import annotations

from dataclasses import dataclass

from linvar.errors import InputError


@dataclass(frozen=True)
class Scheme:
    """How a batch is drawn.

    Attributes:
        name: as in ``sampling=``.
        words: the batches in words, for a picture or a sentence.
        within_dataset: whether a batch is a subset of a finite data set, so that its size is at most n.
    """

    name: str
    words: str
    within_dataset: bool

    @property
    def unbounded(self) -> bool:
        """Whether b may grow without end: then a moment is one polynomial in 1/b for all b, which large b expand."""
        return not self.within_dataset

    def largest_batch(self, dataset_size: int | None) -> int | None:
        """The largest b: n where a batch is a subset of n examples, None where it may have any size."""
        return dataset_size if self.within_dataset else None


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("iid", "iid batches", within_dataset=False),
        Scheme("without_replacement", "batches without replacement", within_dataset=True),
    )
}


def scheme_of(sampling: object) -> Scheme:
    """The scheme of this name.

    Raises:
        InputError: there is none.

    >>> scheme_of("without_replacement").largest_batch(10)
    10
    """
    if not isinstance(sampling, str) or sampling not in SCHEMES:
        raise InputError("sampling", sampling, f"write one of {', '.join(map(repr, SCHEMES))}", fault="is unknown")
    return SCHEMES[sampling]
