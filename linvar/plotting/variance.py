"""Pictures of the gradient variance, and of the expected loss, against the batch size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from linvar.keywords import door
from linvar.plotting.curve import Quantity
from linvar.plotting.draw import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from linvar.numeric.regression import RegressionCurve
    from linvar.symbolic.derivation import Derivation
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.symbolic.result.truncated import LargeBatchExpansion
    from linvar.symbolic.roads.large_batch.truncation import LargeBatchDerivation
    from linvar.verification.report import Report

    Result: TypeAlias = (
        BatchPolynomial | Derivation | Report | LargeBatchExpansion | LargeBatchDerivation | RegressionCurve
    )

_KINDS = (
    "linvar.derive(problem), linvar.verify(problem), linvar.large_batch(problem, order) or linvar.regression_curve(...)"
)
VARIANCE = Quantity(
    "variance",
    "gradient variance tr Cov(G)",
    1,
    False,
    f"give what linvar.gradient_variance(problem), {_KINDS} returns",
)
LOSS = Quantity(
    "loss", r"expected loss E $L(w_t)$", 30, True, f"give what linvar.expected_loss(problem), {_KINDS} returns"
)


@door
def plot_variance(
    what: Result | Sequence[Result] | Mapping[str, Result],
    ax: Axes | None = None,
    batch_sizes: Iterable[int] | None = None,
    *,
    label: str | Sequence[str] | None = None,
) -> Axes:
    """Log-log picture of gradient variances, tr Cov(G) of a batch of b, against b; with the estimates of reports.

    Values at whole b, exact ones turned into floats to be drawn: marked and not joined where the largest b is at most 64
    (a small data set), else joined. Where an exact variance turns, the local minimum and maximum among whole b are marked, in an
    inset too where the rise is too small to be seen; a thin line stands at b_0, from which on it falls, if b_0 > 1.
    Estimates are drawn with bars of two standard errors; those that verify left UNRESOLVED are hollow. An axis of values
    that are not all >= 0, or all zero, is linear; a zero or an estimate <= 0 among positive values cannot be shown on a
    logarithmic axis: it is left out, and a note in the picture says so.

    Args:
        what: a result: a ``BatchPolynomial`` without symbols, a ``Derivation``, a ``Report`` of ``verify``, a
            ``LargeBatchExpansion`` (the sum of its known terms; its last term is shaded) or what ``large_batch`` returns,
            a ``RegressionCurve``; a list or tuple of results, like that of ``derive_steps``; or a dict label -> result.
            Derivations at increasing steps are coloured from dark to light.
        ax: the Axes to draw into. If None, a new pyplot figure is made, as notebooks expect: close it with
            ``matplotlib.pyplot.close(axes.figure)``.
        batch_sizes: the integers b of every curve; if None, from 1 to n for a data set drawn without replacement, else to
            1024, or beyond the turning points and estimates; those of a ``RegressionCurve``; of an expansion from where the last
            term is at most half of the others.
        label: in the legend: a string, or a list of one for each result.

    Returns:
        The Axes.

    Raises:
        InputTypeError: a result is of another kind (it is named, like ``what[2]``), a label is no string, or a b no integer.
        InputError: nothing to draw, symbols, a b out of range, or another number of labels than of results.

    >>> import linvar as lv
    >>> from matplotlib.figure import Figure
    >>> problem = lv.Problem([[[1, 2]], [[1]]], lv.Gaussian([[1, 0]]), "1/10")
    >>> axes = lv.plot_variance(lv.derive_steps(problem, range(3)), ax=Figure().subplots())
    >>> axes.get_xlabel(), axes.get_yscale(), [text.get_text() for text in axes.get_legend().get_texts()]
    ('batch size b (examples)', 'log', ['t = 0', 't = 1', 't = 2'])
    """
    return draw(what, VARIANCE, ax, batch_sizes, label)


@door
def plot_loss(
    what: Result | Sequence[Result] | Mapping[str, Result],
    ax: Axes | None = None,
    batch_sizes: Iterable[int] | None = None,
    *,
    label: str | Sequence[str] | None = None,
) -> Axes:
    """Picture of expected losses after t steps, given the INITIAL weights, against the batch size b.

    As ``plot_variance``, with the loss of what has one; a horizontal line marks its limit at b = infinity, where batches are
    iid: gradient descent on the population loss. The axis is logarithmic where positive values span more than a factor of 30.

    Args:
        what: a ``BatchPolynomial`` of the loss (``expected_loss``), or what ``plot_variance`` takes.
        ax, batch_sizes, label: as in ``plot_variance``.

    Returns:
        The Axes.

    Raises:
        InputTypeError, InputError: as in ``plot_variance``.

    >>> import linvar as lv
    >>> from matplotlib.figure import Figure
    >>> problem = lv.Problem([[[1, 2]], [[1]]], lv.Gaussian([[1, 0]]), "1/10", step=1)
    >>> axes = lv.plot_loss({"start": lv.expected_loss(problem.at_step(0)), "a step": lv.derive(problem)}, ax=Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['start', 'a step', 'limit, b = infinity']
    """
    return draw(what, LOSS, ax, batch_sizes, label)
