"""docs/figures/variance.py: what it says of its two problems, and that it draws them."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import linvar as lv

FOLDER = Path(__file__).parent.parent / "docs" / "figures"


def script() -> Any:
    """The script, which is in no package."""
    spec = importlib.util.spec_from_file_location("figure_of_variance", FOLDER / "variance.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figure = script()


def test_one_falls_and_the_other_rises_from_7_to_12() -> None:
    falling, rising = map(lv.gradient_variance, (figure.FALLING, figure.RISING))
    assert falling.is_decreasing() and falling.decreasing_from() == 1 and not falling.turning_points()
    steps = [rising(b) < rising(b + 1) for b in range(1, 64)]
    assert steps == [7 <= b < 12 for b in range(1, 64)] and rising.decreasing_from() == 12 and rising(64) == 0
    assert 24 < rising(12) / rising(7) < 26


def test_a_batch_of_seven_with_the_outlier_all_but_fits_as_those_without_do() -> None:
    """The gradient after the step is w_2 w_1 S (w_2, w_1), S = mean x^2: it vanishes with the product of the weights."""
    (one,), (two,) = [[float(w) for w in matrix[0]] for matrix in figure.RISING.leaves]
    rate = 0.9

    def product(second_moment: float) -> float:
        push = rate * second_moment * one * two
        return (one - push * two) * (two - push * one)

    with_outlier = {b: abs(product((25 / 4 + (b - 1) / 4) / b)) for b in range(4, 13)}
    assert min(with_outlier, key=lambda b: with_outlier[b]) == 7 and with_outlier[7] < 0.1
    assert abs(product(1 / 4)) < 0.2 and all(with_outlier[a] < with_outlier[b] for a, b in pairwise(range(7, 13)))


@pytest.mark.slow
def test_the_figure_is_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With few runs, it says what the figure that is kept says."""
    monkeypatch.setattr(figure, "SIZES", {"falling": [8], "rising": [7]})
    monkeypatch.setattr("sys.argv", ["variance.py", "--folder", str(tmp_path), "--runs", "4096"])
    figure.main()
    drawn = (tmp_path / "variance.svg").read_text(encoding="utf-8")
    assert titles(drawn) == titles((FOLDER / "variance.svg").read_text(encoding="utf-8"))


def titles(picture: str) -> list[str]:
    """The words of a picture that are not numbers; whether an estimate is resolved depends on the runs."""
    found = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    return [text for text in found if re.search("[a-z]{3}", text) and "standard errors" not in text]


def test_the_figure_that_is_kept_says_it_and_is_small() -> None:
    kept = FOLDER / "variance.svg"
    assert 1_000 < kept.stat().st_size < 60_000
    said = titles(kept.read_text(encoding="utf-8"))
    assert "It falls: Gaussian inputs" in said and "It rises from b = 7 to 12: one outlier in 64" in said
    assert {"local minimum, b = 7", "local maximum, b = 12", "batch size b (examples)"} <= set(said)
