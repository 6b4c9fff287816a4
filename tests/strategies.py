"""Hypothesis strategies for small exact problems: derived, enumerated and integrated in a fraction of a second."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.problem import Problem

#: Widths and the largest step at which the derivation and its second road (enumeration, quadrature) stay small; a matrix of more
#: than one entry is not square.
DATASET_SHAPES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 1), 3),
    ((2, 1), 2),
    ((3, 2), 1),
    ((1, 1, 1), 2),
    ((2, 1, 1), 1),
    ((1, 2, 1), 1),
    ((1, 1, 2), 1),
    ((2, 3, 1), 1),
    ((1, 1, 1, 1), 1),
    ((2, 1, 1, 1), 1),
)
GAUSSIAN_SHAPES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 1), 2),
    ((2, 1), 1),
    ((1, 2), 1),
    ((2, 3), 0),
    ((1, 1, 1), 1),
    ((2, 3, 1), 0),
    ((1, 2, 1), 1),
    ((1, 1, 1, 1), 1),
)


def examples(count: int) -> settings:
    """So many where others have 100; in the profile of a run as many times fewer, or more, as others have there."""
    return settings(max_examples=max(1, count * settings.default.max_examples // 100))


def rationals() -> st.SearchStrategy[Fraction]:
    """Small fractions; zero and one come up often."""
    return st.one_of(
        st.sampled_from([Fraction(0), Fraction(1), Fraction(-1)]),
        st.fractions(min_value=-2, max_value=2, max_denominator=4),
    )


def matrices(rows: int, columns: int) -> st.SearchStrategy[list[list[Fraction]]]:
    """Random entries; all zero, once in a while."""
    zero = [[Fraction(0)] * columns for _ in range(rows)]
    row = st.lists(rationals(), min_size=columns, max_size=columns)
    generic = st.lists(row, min_size=rows, max_size=rows)
    return st.integers(0, 9).flatmap(lambda number: st.just(zero) if number == 9 else generic)


@st.composite
def gaussian_laws(draw: st.DrawFn, inputs: int, outputs: int) -> Gaussian:
    """A Gaussian law of d_0 inputs and d_L targets; the covariance F F^T may be singular, or zero."""
    factor = draw(matrices(inputs, inputs))
    covariance = [[sum((a * b for a, b in zip(row, other)), Fraction(0)) for other in factor] for row in factor]
    return Gaussian(
        teacher=draw(matrices(outputs, inputs)),
        covariance=draw(st.sampled_from([None, covariance])),
        mean=draw(st.one_of(st.none(), st.lists(rationals(), min_size=inputs, max_size=inputs))),
        noise_variance=draw(st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(2)])),
    )


@st.composite
def datasets(draw: st.DrawFn, inputs: int, outputs: int, max_size: int = 3) -> Dataset:
    """A data set of 1 to ``max_size`` examples; rows may repeat, or be zero."""
    size = draw(st.integers(1, max_size))
    return Dataset(draw(matrices(size, inputs)), draw(matrices(size, outputs)))


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """Momentum, Nesterov and weight decay, as arguments of a Problem."""
    momentum = draw(st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(-1, 3)]))
    nesterov = draw(st.booleans()) if momentum else False
    return {"momentum": momentum, "nesterov": nesterov, "weight_decay": draw(rationals())}


@st.composite
def problems(draw: st.DrawFn, kind: str = "dataset", sampling: str = "iid") -> Problem:
    """A problem of one of the shapes above; one learning rate or a schedule. ``kind`` is "dataset" or "gaussian"."""
    widths, most = draw(st.sampled_from(DATASET_SHAPES if kind == "dataset" else GAUSSIAN_SHAPES))
    step = draw(st.integers(0, most))
    rate = st.fractions(min_value=0, max_value=1, max_denominator=5)
    rates: Any = draw(st.one_of(rate, st.lists(rate, min_size=step, max_size=step)))
    rule = draw(st.one_of(st.just({}), rules())) if step else {}
    law = datasets if kind == "dataset" else gaussian_laws
    return Problem(
        weights=[draw(matrices(rows, columns)) for columns, rows in zip(widths, widths[1:])],
        law=draw(law(widths[0], widths[-1])),
        learning_rate=rates,
        step=step,
        sampling=sampling,
        **rule,
    )
