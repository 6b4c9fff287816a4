"""What a picture is given: one result, or several in an order or with labels; and the batch sizes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from linvar.arguments import is_flag
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.plotting.curve import Asked, Curve, Quantity
from linvar.plotting.readers import curve_of
from linvar.plotting.style import Style, ordered, unordered

#: matplotlib's axes are floats
_LARGEST = 10**300
#: more points than a picture has dots
_MOST = 100_000


@dataclass(frozen=True)
class Labelled:
    """A curve, its label and its style."""

    curve: Curve
    label: str
    style: Style

    @property
    def full_label(self) -> str:
        """The label, with what it must not hide."""
        return f"{self.label}, {self.curve.remark}" if self.curve.remark else self.label


def labelled(what: Any, quantity: Quantity, label: Any, before: int) -> list[Labelled]:
    """The curves of what is given. A single one has the label "", unless one is given.

    Args:
        what: a result, a list or tuple of results, or a dict label -> result.
        quantity: what is drawn of each.
        label: None, a string, or a list of strings.
        before: how many curves the Axes have already.
    """
    if isinstance(what, Mapping):
        if label is not None:
            raise InputError("label", label, "leave it out", fault="is given, and what is a dict of labels")
        curves = [curve_of(one, Asked(quantity, f"what[{shown(key)}]")) for key, one in what.items()]
        labels = [str(key) for key in what]
    elif isinstance(what, (list, tuple)):
        curves = [curve_of(one, Asked(quantity, f"what[{place}]")) for place, one in enumerate(what)]
        labels = _names(curves) if label is None else _labels(label, len(curves))
    else:
        curve = curve_of(what, Asked(quantity, "what"))
        return [Labelled(curve, "" if label is None else _labels([label], 1)[0], unordered(before))]
    if not curves:
        raise InputError("what", Words("is empty"), "give at least one result")
    in_order = len(curves) > 1 and not before and _increasing([curve.step for curve in curves])
    styles = ordered(len(curves)) if in_order else [unordered(before + place) for place in range(len(curves))]
    return [Labelled(*one) for one in zip(curves, labels, styles, strict=True)]


def sizes_of(batch_sizes: Any) -> list[int]:
    """Each b once, ascending; the curves know the largest that has a meaning."""
    cure = "give a list of integers >= 1"
    try:
        given = list(islice(iter(batch_sizes), _MOST + 1))
        if any(map(is_flag, given)):
            raise TypeError
        sizes = sorted(set(map(operator.index, given)))
    except TypeError:
        raise InputTypeError("batch_sizes", batch_sizes, cure, fault="has no integers") from None
    if not sizes:
        raise InputError("batch_sizes", Words("is empty"), "give at least one integer >= 1")
    if len(given) > _MOST:
        fault = Words(f"has more than {_MOST:,} integers")
        raise InputError("batch_sizes", fault, "give fewer, or none: they are spread over the axis then")
    if sizes[0] < 1:
        raise InputError("batch_sizes", sizes[0], cure, fault="is too small, a batch has at least 1 example")
    if sizes[-1] > _LARGEST:
        raise InputError(
            "batch_sizes", sizes[-1], "give integers of at most 300 digits", fault="has no place on an axis"
        )
    return sizes


def _labels(label: Iterable[Any] | Any, count: int) -> list[str]:
    """One string for each."""
    given = [label] if isinstance(label, str) else label
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) for one in given):
        value = given[0] if count == 1 and isinstance(given, list) and len(given) == 1 else label
        raise InputTypeError("label", value, "give a string, or a list of strings, one for each result")
    if len(given) != count:
        fault = Words(f"has {len(given)} string{'s' * (len(given) != 1)}, and what {count} result{'s' * (count != 1)}")
        raise InputError("label", fault, "give one for each")
    return list(given)


def _names(curves: Sequence[Curve]) -> list[str]:
    """Their steps or samplings where these tell them apart, else numbers from 1."""
    steps, words = [curve.step for curve in curves], [curve.words for curve in curves]
    if None not in steps and len(set(steps)) == len(steps):
        return [f"t = {t}" for t in steps]
    if all(words) and len(set(words)) == len(words) > 1:
        return words
    return [f"result {number}" for number in range(1, len(curves) + 1)]


def _increasing(steps: Sequence[int | None]) -> bool:
    """Are all known, and each larger than the one before?"""
    known = [t for t in steps if t is not None]
    return len(known) == len(steps) and all(s < t for s, t in zip(known, known[1:]))
