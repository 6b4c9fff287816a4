"""What ``linvar search`` asks of the library, and how it shows what was found."""

from __future__ import annotations

from linvar.cli.arguments import load
from linvar.cli.errors import as_typed
from linvar.cli.terminal import print_json, print_prose
from linvar.errors import DerivationTooLargeError, InputError
from linvar.numeric.laws.sampling import key_of
from linvar.problem import Problem
from linvar.search import nonmonotone
from linvar.search.nonmonotone import SearchResult


def found(
    file: str | None,
    depth: int | None,
    step: int | None,
    label_noise: bool,
    vary: str | None,
    seconds: float,
    seed: int,
) -> SearchResult:
    """A search among networks of a depth, or among the problems of a template, ``file``.

    Args:
        file, depth: one of them, or none for the depth 8.
        vary: names, separated by commas.
        step, label_noise, seconds, seed: as typed.

    Raises:
        InputError: both are given; what the search refuses.
    """
    if file is not None and depth is not None:
        raise InputError("--depth", depth, "leave one of the two out", fault="is given with --problem")
    start: int | Problem = 8 if depth is None else depth
    if file is not None:
        start = load(file)
    try:
        return nonmonotone.search_nonmonotone(
            start,
            step=step,
            label_noise=label_noise or None,
            vary=None if vary is None else [name.strip() for name in vary.split(",")],
            key=key_of(seed),
            seconds=seconds,
        )
    except DerivationTooLargeError as error:
        raise error if file is None else as_typed(error, {}) from error  # the step of a file is no option


def print_found(result: SearchResult) -> None:
    """The search in words; the problem, as a file holds it, and its turning points, if there is one."""
    print_prose(repr(result))
    if result.problem is not None:
        print_prose(repr(result.problem))
        print_json(result.problem.to_dict())
        print_prose(f"turning points: {', '.join(map(repr, result.turning_points))}")
