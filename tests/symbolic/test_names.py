"""Symbolic matrices: names, shapes, refusals."""

from __future__ import annotations

import pytest
import sympy

import linvar as lv
from linvar.errors import InputError


def test_shapes_and_names() -> None:
    first, second = lv.symbolic_weights([3, 2, 1])
    assert first.shape == (2, 3) and second.shape == (1, 2)
    assert first[1, 2] == sympy.Symbol("w1_23")
    assert second[0, 1] == sympy.Symbol("w2_12")
    assert len({*first, *second}) == 8


def test_a_single_entry_has_no_index_and_wide_ones_a_separator() -> None:
    assert lv.symbolic_matrix("T", 1, 1)[0, 0] == sympy.Symbol("T")
    wide = lv.symbolic_matrix("T", 12, 12)
    assert wide[0, 11] == sympy.Symbol("T_1_12")
    assert len(set(wide)) == 144


def test_the_name_of_the_weights() -> None:
    assert lv.symbolic_weights([1, 1], name="v")[0][0, 0] == sympy.Symbol("v1")


@pytest.mark.parametrize("rows", [0, -1, 1.0, True, "2"])
def test_bad_rows_are_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="rows=.*give an integer >= 1"):
        lv.symbolic_matrix("T", rows, 1)  # type: ignore[arg-type]


def test_bad_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="give at least two"):
        lv.symbolic_weights([3])
    with pytest.raises(ValueError, match=">= 1"):
        lv.symbolic_weights([3, 0])


def test_every_width_is_checked_by_name() -> None:
    for widths, message in (
        ([2, 1.5], r"widths\[1\]=1.5 is of type float"),
        ([2, True], r"widths\[1\]=True is a truth value"),
        ([2, -(10**5000)], r"widths\[1\]=<an integer of about 5001 digits>: give an integer >= 1"),
        ({2, 1}, "widths=.* which has no order"),
        (3, "widths=3 is of type int"),
    ):
        with pytest.raises(InputError, match=message):
            lv.symbolic_weights(widths)
    for name in ("", 3):
        with pytest.raises(InputError, match="name="):
            lv.symbolic_matrix(name, 2, 2)
    assert [matrix.shape for matrix in lv.symbolic_weights(range(1, 4))] == [(2, 1), (3, 2)]


@pytest.mark.parametrize("size", [1, 2, 3, 11])
def test_a_symmetric_matrix_has_one_symbol_for_both_places(size: int) -> None:
    found = lv.symbolic_matrix("s", size, size, symmetric=True)
    assert found == found.T and len({*found}) == size * (size + 1) // 2
    whole = lv.symbolic_matrix("s", size, size)
    assert all(found[i, j] == found[j, i] == whole[i, j] for i in range(size) for j in range(i, size))
    assert lv.symbolic_matrix("s", size, size, symmetric=False) == whole


def test_a_symbolic_covariance_has_the_values_of_numbers() -> None:
    sigma = lv.symbolic_matrix("s", 2, 2, symmetric=True)
    weights, teacher = [[[1, 2], [0, 1]], [[1, -1]]], [[1, 0]]
    found = lv.gradient_variance(lv.Problem(weights, lv.Gaussian(teacher, sigma), "1/10", 0))
    numbers = [[2, 1], [1, 3]]
    put = {sigma[i, j]: numbers[i][j] for i in range(2) for j in range(2)}
    assert len(found.symbols) == 3
    assert found.subs(put) == lv.gradient_variance(lv.Problem(weights, lv.Gaussian(teacher, numbers), "1/10", 0)) != 0
    with pytest.raises(InputError, match="^covariance is not symmetric"):
        lv.Gaussian(teacher, lv.symbolic_matrix("s", 2, 2))


def test_what_is_not_square_is_not_symmetric() -> None:
    with pytest.raises(
        InputError, match="^name = 's' is to be symmetric, but has 2 rows and 3 columns: give as many rows"
    ):
        lv.symbolic_matrix("s", 2, 3, symmetric=True)
    with pytest.raises(InputError, match="^symmetric=1 is of type int: write True or False"):
        lv.symbolic_matrix("s", 2, 2, symmetric=1)  # type: ignore[arg-type]
