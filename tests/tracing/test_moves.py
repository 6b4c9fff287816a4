"""Primitives with many parameters against JAX: random convolutions, windows, paddings, gathers and scatters, with ==."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from linvar.flint import fmpq
from linvar.tracing.interpreter import Interpreter
from linvar.tracing.values import NoNumber, NotPolynomialError, filled

Random = np.random.Generator
#: a function of arrays, and the arrays
Made = tuple[Callable[..., Any], Sequence[np.ndarray]]


def exact(array: np.ndarray) -> np.ndarray:
    """Entries of an array that is exact."""
    if array.dtype.kind == "f":
        return filled((fmpq(*float(entry).as_integer_ratio()) for entry in array.flat), array.shape)
    return filled(map(int, array.flat), array.shape)


def same(theirs: float, ours: Any) -> bool:
    """Whether a number is JAX's, nan where it is nan."""
    if isinstance(ours, NoNumber):
        return bool(np.isnan(theirs))
    value = Fraction(int(ours.p), int(ours.q)) if isinstance(ours, fmpq) else ours
    return bool(np.isfinite(theirs)) and Fraction(float(theirs)) == value


def quarters(random: Random, *shape: int) -> np.ndarray:
    return random.integers(-6, 7, shape) / 4


def convolutions(random: Random) -> Made:
    axes = int(random.integers(1, 3))
    groups, batches = [(1, 1), (2, 1), (1, 2)][random.integers(3)]
    spatial = "HW"[:axes]
    left, right, out = ("".join(random.permutation(list(letters + spatial))) for letters in ("NC", "OI", "NC"))
    channels = int(random.integers(1, 3))
    sizes = {"N": 2 * batches, "C": channels * groups, **{axis: int(random.integers(3, 6)) for axis in spatial}}
    kernel = {"O": 2 * groups * batches, "I": channels, **{axis: int(random.integers(1, 4)) for axis in spatial}}
    given = {
        "window_strides": random.integers(1, 4, axes).tolist(), "padding": random.integers(-1, 3, (axes, 2)).tolist(),
        "lhs_dilation": random.integers(1, 3, axes).tolist(), "rhs_dilation": random.integers(1, 3, axes).tolist(),
        "dimension_numbers": (left, right, out), "feature_group_count": groups, "batch_group_count": batches,
    }  # fmt: skip
    arrays = [quarters(random, *map(sizes.get, left)), quarters(random, *map(kernel.get, right))]
    return lambda x, y: lax.conv_general_dilated(x, y, **given), arrays


def windows(random: Random) -> Made:
    size, strides, base, dilation = (tuple(random.integers(1, 3, 2).tolist()) for _ in range(4))
    padding = tuple(map(tuple, random.integers(0, 3, (2, 2)).tolist()))
    return lambda x: lax.reduce_window(x, 0.0, lax.add, size, strides, padding, base, dilation), [
        quarters(random, 3, 4)
    ]


def paddings(random: Random) -> Made:
    config = [tuple(row) for row in np.hstack([random.integers(-1, 3, (2, 2)), random.integers(0, 3, (2, 1))]).tolist()]
    return lambda x: lax.pad(x, np.float64(0.5), config), [quarters(random, 3, 2)]


def gathers(random: Random) -> Made:
    dropped = int(random.integers(3))
    sizes = random.integers(1, 3, 3)
    sizes[dropped] = 1
    numbers = lax.GatherDimensionNumbers(
        offset_dims=[(0, 1), (1, 3), (2, 3), (0, 3)][random.integers(4)], collapsed_slice_dims=(dropped,),
        start_index_map=[(0, 2), (2, 0), (1, 2), (0, 1)][random.integers(4)],
    )  # fmt: skip
    mode, filler = ["clip", "fill"][random.integers(2)], [None, 0.5][random.integers(2)]
    arrays = [quarters(random, 4, 3, 5), random.integers(-1, 6, (2, 3, 2))]
    return lambda x, i: lax.gather(x, i, numbers, tuple(sizes.tolist()), mode=mode, fill_value=filler), arrays


def scatters(random: Random) -> Made:
    run = [(0, 1), (1, 3), (2, 3)][random.integers(3)]
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=run, inserted_window_dims=(int(random.integers(3)),),
        scatter_dims_to_operand_dims=[(0, 2), (2, 0), (1, 2)][random.integers(3)],
    )  # fmt: skip
    of_indices = iter((2, 3))
    shape = [int(random.integers(1, 3)) if axis in run else next(of_indices) for axis in range(4)]
    combine, mode = [lax.scatter_add, lax.scatter_mul][random.integers(2)], ["clip", "drop"][random.integers(2)]
    arrays = [quarters(random, 4, 3, 5), random.integers(-1, 6, (2, 3, 2)), quarters(random, *shape)]
    return lambda x, i, u: combine(x, i, u, numbers, mode=mode), arrays


def batches(random: Random) -> Made:
    ways: list[Callable[..., Any]] = [
        lambda x, i, u: jax.vmap(lambda row, j: row[j])(x, i),
        lambda x, i, u: jax.vmap(lambda row, j: row[:, j], out_axes=1)(x, i),
        lambda x, i, u: jax.vmap(jax.vmap(lambda row, j: lax.dynamic_slice(row, (j,), (2,)), in_axes=(0, None)))(
            x, i[:, 0]
        ),
        lambda x, i, u: jnp.take_along_axis(x, i[:, :, None], axis=1),
        lambda x, i, u: x[jnp.arange(3), i[:, 0], i[:, 1]],
        lambda x, i, u: x[:, i[0], i[1]],
        lambda x, i, u: jax.vmap(lambda row, j, v: row.at[j[0]].add(v))(x, i, u),
        lambda x, i, u: jax.vmap(lambda row, j, v: row.at[j[0]].set(v))(x, i, u),
        lambda x, i, u: x.at[jnp.arange(3), i[:, 0]].set(u),
        lambda x, i, u: jax.vmap(lambda row, j, v: lax.dynamic_update_slice(row, v[None], (j[0], 0)))(x, i, u),
        lambda x, i, u: x.at[..., i[:, 0]].add(2.0),
        lambda x, i, u: lax.top_k(x, 2),
        lambda x, i, u: lax.sort((jnp.round(x), x, 2 * x), dimension=1, num_keys=2),
    ]
    return ways[random.integers(len(ways))], [
        quarters(random, 3, 4, 5),
        random.integers(0, 3, (3, 2)),
        quarters(random, 3, 5),
    ]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("made", [convolutions, windows, paddings, gathers, scatters, batches])
def test_a_primitive_is_what_jax_computes(made: Callable[[Random], Made], seed: int) -> None:
    function, arrays = made(np.random.default_rng(seed))
    with jax.enable_x64(True):
        theirs = jax.tree.leaves(function(*map(jnp.asarray, arrays)))
        closed = jax.make_jaxpr(function)(*arrays)
    interpreter = Interpreter()
    ours = interpreter.evaluate(closed.jaxpr, interpreter.constants(closed), [*map(exact, arrays)])
    assert [array.shape for array in ours] == [array.shape for array in theirs]
    assert all(same(a, b) for x, y in zip(theirs, ours) for a, b in zip(np.asarray(x).flat, y.flat))


def test_a_wrong_entry_is_seen() -> None:
    assert (
        same(0.75, fmpq(3, 4))
        and not same(0.75, fmpq(9, 8))
        and same(np.nan, NoNumber("nan"))
        and not same(1.0, NoNumber("nan"))
    )
    with pytest.raises(NotPolynomialError, match="entry 3 of 3"):
        with jax.enable_x64(True):
            closed = jax.make_jaxpr(lambda x, i: x[i])(np.ones(3), np.int64(3))
        Interpreter().evaluate(closed.jaxpr, [], [exact(np.ones(3)), exact(np.asarray(3))])
