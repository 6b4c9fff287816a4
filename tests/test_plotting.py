"""Pictures: what is drawn is what was computed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
from matplotlib.figure import Figure

from linvar import BatchPolynomial, plot_variance
from linvar.errors import InputError, InputTypeError


@dataclass
class Row:
    quantity: str
    batch_size: int
    estimate: float
    standard_error: float
    verdict: str = "AGREE"


@dataclass
class FakeReport:
    variance: BatchPolynomial
    rows: list[Row]


@pytest.fixture
def ax():
    return Figure().subplots()


def texts(ax):
    return " ".join(text.get_text() for text in ax.texts)


def test_values_beyond_floats_are_a_note_not_an_error():
    axes = plot_variance(BatchPolynomial([0, 10**400]), ax=Figure().subplots(), batch_sizes=[1, 2])
    assert axes.get_yscale() == "linear" and "beyond the range" in axes.texts[0].get_text()


def test_the_curve_is_the_exact_value(ax):
    polynomial = BatchPolynomial([0, "3/2", -1, 2])
    result = plot_variance(polynomial, ax=ax, batch_sizes=[1, 2, 4, 64])
    assert result is ax
    x, y = ax.lines[0].get_data()
    assert list(x) == [1, 2, 4, 64]
    assert list(y) == [float(polynomial(b)) for b in (1, 2, 4, 64)]
    assert list(y) != [1.5 * float(polynomial(b)) for b in (1, 2, 4, 64)]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "gradient variance tr Cov(G)" and "iid" in ax.get_title()


def test_without_replacement_stays_within_the_data_set(ax):
    # (n - b) / (b (n - 1)) with n = 10: zero at b = 10, which a logarithmic axis cannot show
    polynomial = BatchPolynomial(["-1/9", "10/9"], sampling="without_replacement", dataset_size=10)
    plot_variance(polynomial, ax=ax)
    x, y = ax.lines[0].get_data()
    assert max(x) == 9 and min(y) > 0 and ax.get_yscale() == "log"
    assert "zero at b = 10" in texts(ax) and "n = 10" in ax.get_title()
    with pytest.raises(ValueError, match="batch_size=11"):
        plot_variance(polynomial, ax=ax, batch_sizes=[11])


@pytest.mark.parametrize(("n", "joined"), [(10, False), (64, False), (65, True), (353, True)])
def test_whole_b_of_a_small_data_set_are_marked_and_not_joined(ax, n, joined):
    polynomial = BatchPolynomial([f"-1/{n - 1}", f"{n}/{n - 1}"], sampling="without_replacement", dataset_size=n)
    plot_variance(polynomial, ax=ax)
    line = ax.lines[0]
    assert (line.get_linestyle() == "-") == joined and (line.get_marker() == "o") != joined
    if n == 10:
        assert list(line.get_xdata()) == list(range(1, 10))
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["exact, whole b joined" if joined else "exact, at whole b"]
    assert ax.get_xlabel() == "batch size b (examples)"


def test_identically_zero_is_a_linear_axis_with_a_note(ax):
    plot_variance(BatchPolynomial([0]), ax=ax)
    assert ax.get_yscale() == "linear" and "identically zero" in texts(ax)
    assert set(ax.lines[0].get_ydata()) == {0.0}


def test_negative_values_are_shown_on_a_linear_axis(ax):
    plot_variance(BatchPolynomial([-1, 1]), ax=ax, batch_sizes=[1, 2, 3])
    assert ax.get_yscale() == "linear"
    assert list(ax.lines[0].get_ydata()) == [0.0, -0.5, pytest.approx(-2 / 3)]


def test_values_beyond_the_range_of_floats_are_left_out(ax):
    plot_variance(BatchPolynomial([0, 10**400]), ax=ax, batch_sizes=[1, 10**200])
    assert len(ax.lines[0].get_xdata()) == 1 and "beyond the range of floats" in texts(ax)


def test_estimates_with_error_bars(ax):
    rows = [
        Row("variance", 1, 17.0, 0.5),
        Row("variance", 4, 4.4, 0.25),
        Row("variance", 16, 0.1, 3.0, "UNRESOLVED"),
        Row("variance", 32, -1.0, 1.0),
        Row("second_moment", 1, 99.0, 1.0),
    ]
    plot_variance(FakeReport(BatchPolynomial([0, 18]), rows), ax=ax)
    resolved, unresolved = ax.containers
    assert list(resolved.lines[0].get_xydata().ravel()) == [1, 17.0, 4, 4.4]
    assert list(unresolved.lines[0].get_xydata().ravel()) == [16, 0.1]
    segments = resolved.lines[2][0].get_segments()
    assert [list(segment[:, 1]) for segment in segments] == [pytest.approx([16, 18]), pytest.approx([3.9, 4.9])]
    assert "b = 32 are not positive" in texts(ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["exact, whole b joined", "estimate, 2 standard errors", "UNRESOLVED, 2 standard errors"]


def test_what_is_neither_polynomial_nor_report_is_refused(ax):
    import sympy

    with pytest.raises(
        InputTypeError, match="polynomial_or_report is of type list: give what linvar.gradient_variance"
    ):
        plot_variance([0, 18], ax=ax)
    for wrong in (5, [1, "2"], [[1]], [1.5], None.__class__):
        with pytest.raises(InputTypeError, match="batch_sizes=.* has no integers: give a list of integers >= 1"):
            plot_variance(BatchPolynomial([0, 18]), ax=ax, batch_sizes=wrong)
    with pytest.raises(InputError, match="batch_sizes is empty"):
        plot_variance(BatchPolynomial([0, 18]), ax=ax, batch_sizes=[])
    with pytest.raises(InputError, match="symbols a: substitute numbers first"):
        plot_variance(BatchPolynomial([0, sympy.Symbol("a")]), ax=ax)


def test_without_an_axes_a_pyplot_figure_is_made_and_never_shown():
    code = (
        "import matplotlib; matplotlib.use('Agg')\n"
        "from matplotlib import pyplot\n"
        "def show(*a, **k): raise SystemExit('show was called')\n"
        "pyplot.show = show\n"
        "import linvar\n"
        "axes = linvar.plot_variance(linvar.BatchPolynomial([0, 18]))\n"
        "assert pyplot.get_fignums() == [axes.figure.number]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_with_an_axes_pyplot_is_not_imported():
    code = (
        "import sys\n"
        "from matplotlib.figure import Figure\n"
        "import linvar\n"
        "linvar.plot_variance(linvar.BatchPolynomial([0, 18]), ax=Figure().subplots())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
