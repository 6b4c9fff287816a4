"""What a loss may be made of: each construct on exact numbers against JAX in float64, the loss and its gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from linvar.symbolic.algebra.ring import Ring, to_fmpq
from linvar.tracing.program import recorded
from linvar.trees import Structure

Loss = Callable[[Any, Any], Any]

SHAPES = {"w": (4,), "A": (2, 4), "B": (4, 2), "C": (4, 4), "s": ()}
EXAMPLE = {"x": (4,), "y": (2,), "i": (), "k": (3,)}
MASK = np.array([True, False, True, True])
NUMBERS = np.array([1.0, -0.5, 2.0, 0.25])


class Case(NamedTuple):
    """A construct; ``rounded`` where JAX divides by what is no power of 2, so that it is not exact."""

    loss: Loss
    rounded: bool = False


def of(function: Callable[..., Any]) -> Loss:
    """A function of the weights w, A, B, C, s and of x, y and the integers i, k."""
    return lambda params, example: function(**params, **example)


def total(value: Any) -> Any:
    """A scalar of any array, with other factors for other entries."""
    flat = jnp.ravel(value)
    return flat @ (1.0 + jnp.arange(flat.size) % 4)


def scanned(reverse: bool) -> Loss:
    def loss(params: Any, example: Any) -> Any:
        def body(carry: Any, slices: Any) -> Any:
            row, x = slices
            carry = carry * x + row @ example["y"]
            return carry, carry * row

        last, all_rows = lax.scan(body, params["s"], (params["B"], example["x"]), reverse=reverse)
        return last + total(all_rows)

    return loss


def counted(params: Any, example: Any) -> Any:
    def body(carry: Any, none: Any) -> Any:
        count, value = carry
        return (count + 1, value + params["w"][count] * example["x"][3 - count]), None

    (count, value), _ = lax.scan(body, (0, params["s"]), None, length=3)
    return value * count


@jax.jit
def jitted(params: Any, example: Any) -> Any:
    return ((params["A"] @ example["x"] - example["y"]) ** 2).sum() / 2


@functools.partial(jax.custom_jvp, nondiff_argnums=())
def of_the_example(x: Any) -> Any:
    return x * x


of_the_example.defjvp(lambda primals, tangents: (of_the_example(*primals), 2 * primals[0] * tangents[0]))


def penalty(params: Any, example: Any) -> Any:
    def inner(x: Any) -> Any:
        return ((params["A"] @ x) ** 2).sum()

    return (jax.grad(inner)(example["x"]) ** 2).sum() / 4


def hessian(params: Any, example: Any) -> Any:
    return total(jax.hessian(lambda x: ((params["A"] @ x) ** 2).sum() * x[0])(example["x"]))


def jacobian(params: Any, example: Any) -> Any:
    both = (jax.jacfwd, jax.jacrev)
    return sum(total(way(lambda w: (w * w) @ params["C"])(params["w"])) for way in both)


def convolution(**options: Any) -> Loss:
    def loss(params: Any, example: Any) -> Any:
        left = jnp.concatenate([params["w"], params["w"] ** 2, example["x"], params["s"] * example["x"]]).reshape(2, 8)
        groups, batches = (options.get(key, 1) for key in ("feature_group_count", "batch_group_count"))
        kernel = jnp.concatenate([params["A"].ravel(), params["B"].ravel()])[: 4 * 2 * (2 // groups)].reshape(
            4, 2 // groups, 2
        )
        left = left.reshape(1, 2, 8) if batches == 1 else jnp.concatenate([left[None], 2 * left[None]])
        given = {"window_strides": (1,), "padding": [(0, 0)], **options}
        return total(lax.conv_general_dilated(left, kernel, **given))

    return loss


def convolution_2d(params: Any, example: Any) -> Any:
    image = params["C"].reshape(1, 4, 4, 1)
    kernel = params["B"].reshape(2, 2, 1, 2)
    numbers = ("NHWC", "HWIO", "NHWC")
    found = lax.conv_general_dilated(image, kernel, (2, 1), "SAME", rhs_dilation=(1, 2), dimension_numbers=numbers)
    return total(found) + total(jnp.convolve(params["w"], example["x"], mode="full"))


def transposed(params: Any, example: Any) -> Any:
    kernel = params["C"].reshape(1, 4, 4)
    return total(lax.conv_transpose(params["B"].reshape(1, 2, 4), kernel, (2,), "SAME"))


def gradient_of_convolution(params: Any, example: Any) -> Any:
    """Convolutions in a gradient are dilated and have groups of batches."""

    def inner(kernel: Any) -> Any:
        found = lax.conv_general_dilated(params["C"].reshape(2, 2, 4), kernel, (2,), [(1, 1)], feature_group_count=2)
        return (found**2).sum()

    return total(jax.grad(inner)(params["A"].reshape(4, 1, 2)))


def module(params: Any, example: Any) -> Any:
    """Flax: convolution and dense layer."""
    kernel, bias = params["w"][:3, None, None] * jnp.ones((1, 1, 2)), params["A"][0, :2]
    layer = nnx.merge(GRAPH, jax.tree.unflatten(jax.tree.structure(STATE), [bias, kernel]))
    return total(layer(example["x"][:, None]) ** 2)


def pooled(params: Any, example: Any) -> Any:
    image = params["C"].reshape(4, 4, 1)
    return total(nnx.avg_pool(image, (2, 2), strides=(2, 1), padding="SAME"))


def branch(params: Any, example: Any) -> Any:
    whole = lax.cond(example["i"] > 1, lambda w: (w**2).sum(), lambda w: w.sum(), params["w"])
    chosen = lax.switch(example["k"][0], [jnp.sum, lambda w: w @ w, lambda w: w[0] * w[1]], params["w"])
    number = lax.cond(example["x"][0] < example["x"][1], lambda: params["s"] ** 3, lambda: params["s"])
    return whole + 2 * chosen + 4 * number


def sorted_rows(params: Any, example: Any) -> Any:
    order = jnp.argsort(example["k"])
    by_number = jnp.argsort(example["x"])
    place = jnp.argmax(example["k"]) + jnp.argmin(example["x"])
    return total(params["w"][order]) + 2 * total(params["w"][by_number]) + params["w"][place % 4]


def integers(i: Any, k: Any, w: Any, s: Any, x: Any, **_: Any) -> Any:
    small = (
        i // 2,
        (-7 - i) // 3,
        (-7 - i) % 3,
        i % 2,
        lax.div(-7 - i, 3),
        lax.rem(-7 - i, 3),
        i**3,
        i << 2,
        (-9) >> i,
        i ^ 3,
        i & 2,
    )
    return sum((n + 1.0) * value * w[n % 4] for n, value in enumerate(small)) + s * jnp.sign(x[0]) * jnp.abs(x[1])


CASES: dict[str, Case] = {
    # arithmetic
    "sum of squares": Case(of(lambda w, A, x, y, **_: ((A @ x - y) ** 2).sum() / 2)),
    "quartic": Case(of(lambda A, x, y, **_: ((A @ x - y) ** 4).sum() / 4)),
    "powers": Case(
        of(lambda w, s, x, **_: total(jnp.power(w, 3) + w**0 + lax.integer_pow(w, 5)) + jnp.power(s, 2.0) + s**1)
    ),
    "negative powers of numbers": Case(of(lambda w, i, **_: total(w) * 2.0**-3 + w[0] * (2.0 * i) ** -1), True),
    "division by numbers": Case(of(lambda w, x, i, **_: total(w / 3 + w / (1 + x**2)) / (1 + i)), True),
    "fractions": Case(of(lambda w, x, **_: total(w * (1 / jnp.float64(3))) + total(w / 7) * (x[0] / 5)), True),
    "constants": Case(
        of(lambda w, x, **_: total(NUMBERS * w) + total(jnp.asarray([2, 3, 5, 7]) * w) + 0.375 * w[0] - 1e3 * w[1])
    ),
    "beyond single precision": Case(of(lambda w, **_: 16777217.0 * w[0] + 16777217 * w[1])),
    "a jnp.array in 32 bits": Case(of(lambda w, **_: total(jnp.float32(0.5) * w + HALVES * w))),
    "unary": Case(of(lambda w, **_: total(-w + +w * 2 - jnp.square(w) + jnp.positive(w) + jnp.conj(w) * jnp.real(w)))),
    "casts between floats": Case(
        of(lambda w, x, **_: total(w.astype(jnp.float32) * x.astype(jnp.bfloat16)).astype(float))
    ),
    "casts of integers": Case(
        of(lambda w, k, i, **_: total(w[:3] * k) + w[0] * i.astype(jnp.uint8) + w[1] * (i > 1) + w[2] * ~(i > 1))
    ),
    # reductions
    "reductions": Case(
        of(lambda w, A, **_: w.sum() + total(A.sum(0)) + A.sum(1, keepdims=True)[1, 0] + w.mean() + A.mean(axis=1)[0])
    ),
    "products": Case(
        of(lambda w, A, **_: w.prod() + total(A.prod(axis=0)) + total(jnp.cumprod(w)) + total(jnp.cumprod(A, axis=1)))
    ),
    "variances": Case(of(lambda w, C, **_: jnp.var(w) + total(jnp.var(C, axis=0)) + jnp.var(w[:3], ddof=1)), True),
    "running sums": Case(
        of(lambda A, w, **_: total(jnp.cumsum(A, axis=1)) + total(lax.cumsum(w, reverse=True)) + total(jnp.cumsum(A)))
    ),
    "running extremes of data": Case(
        of(lambda w, x, **_: total(w * lax.cummax(x)) + total(w * lax.cummin(x, reverse=True)))
    ),
    "extremes of data": Case(
        of(
            lambda w, x, k, **_: (
                w[0] * x.max() + w[1] * k.min() + w[2] * jnp.clip(x[0], -0.5, 0.5) + w[3] * jnp.maximum(x[0], x[1])
            )
        )
    ),
    "means of some": Case(of(lambda w, **_: jnp.mean(w, where=MASK) + jnp.sum(w, where=MASK)), True),
    "of nothing": Case(
        of(lambda w, A, **_: w[:0].sum() + w[:0].prod() + total(A[:, :0].sum(axis=1)) + total(w[:0] @ A.T[:0]) + w[0])
    ),
    "differences": Case(
        of(lambda w, C, **_: total(jnp.diff(w) ** 2) + total(jnp.diff(C, n=2, axis=0)) + total(jnp.ediff1d(w)))
    ),
    "trapezoids": Case(of(lambda w, **_: jnp.trapezoid(w) + total(jnp.gradient(w)))),
    "averages": Case(of(lambda w, **_: jnp.average(w, weights=np.array([1.0, 1, 2, 4])))),
    # products of arrays
    "matrix products": Case(
        of(lambda A, B, C, w, **_: total(A @ B) + w @ C @ w + jnp.dot(w, w) + jnp.vdot(A, B) + jnp.inner(w, w))
    ),
    "einsum": Case(
        of(
            lambda A, B, C, w, **_: (
                total(jnp.einsum("ij,jk,k->ik", A, C, w)) + jnp.einsum("ii", C) + jnp.einsum("ij,ji->", A, B)
            )
        )
    ),
    "tensordot": Case(
        of(
            lambda A, B, C, w, **_: (
                total(jnp.tensordot(A, C, axes=([1], [0]))) + total(jnp.tensordot(A, w, 1)) + total(jnp.outer(w, w))
            )
        )
    ),
    "batches of products": Case(
        of(lambda A, C, **_: total(jnp.matmul(C.reshape(2, 2, 4), C.reshape(2, 4, 2))) + total(jax.vmap(jnp.dot)(C, C)))
    ),
    "kronecker": Case(
        of(lambda A, B, w, **_: total(jnp.kron(A, B)) + total(jnp.cross(w[:3], w[1:])) + jnp.trace(A @ B))
    ),
    "powers of matrices": Case(
        of(lambda C, **_: total(jnp.linalg.matrix_power(C, 3)) + total(jnp.linalg.multi_dot([C, C, C])))
    ),
    "integer products": Case(
        of(lambda w, k, i, **_: w[0] * (k @ k) + w[1] * (jnp.zeros(3, int) @ k) / 2 + w[2] * ((k * 0) @ k // 2))
    ),
    "polyval": Case(of(lambda w, s, x, **_: jnp.polyval(w, s) + jnp.polyval(w, x[0]) + total(jnp.polyval(w, x)))),
    # structure
    "masks": Case(
        of(
            lambda w, C, **_: (
                total(jnp.where(MASK, w, 0))
                + total(jnp.where(MASK, w, jnp.nan)[2:])
                + total(jnp.tril(C))
                + total(jnp.triu(C, 1))
            )
        )
    ),
    "diagonals": Case(
        of(
            lambda w, C, **_: (
                total(jnp.diag(w) @ C) + total(jnp.diag(C)) + total(jnp.diagonal(C, 1)) + total(jnp.eye(4) * C)
            )
        )
    ),
    "stacks": Case(
        of(
            lambda w, A, s, **_: (
                total(jnp.concatenate([w, A[0]]))
                + total(jnp.stack([w, A[1]], axis=1))
                + total(jnp.vstack([w, A]))
                + total(jnp.block([[A], [A]]))
            )
        )
    ),
    "splits": Case(
        of(
            lambda w, C, **_: (
                sum(n * total(p) for n, p in enumerate(jnp.split(C, [1, 3], axis=1))) + total(jnp.array_split(w, 3)[1])
            )
        )
    ),
    "shapes": Case(
        of(
            lambda C, A, w, **_: (
                total(C.reshape(2, 8).T)
                + total(A.swapaxes(0, 1))
                + total(w[None, :, None].squeeze())
                + total(jnp.moveaxis(C, 0, 1))
            )
        )
    ),
    "orders": Case(
        of(
            lambda C, w, **_: (
                total(jnp.flip(C, 1))
                + total(jnp.roll(w, 1))
                + total(jnp.roll(C, (1, 2), (0, 1)))
                + total(jnp.rot90(C))
                + total(w[::-2])
            )
        )
    ),
    "rolls by data": Case(of(lambda w, i, **_: total(jnp.roll(w, i)))),
    "pads": Case(
        of(
            lambda w, A, s, **_: (
                total(jnp.pad(w, 2))
                + total(jnp.pad(A, ((0, 1), (2, 0)), constant_values=3.0))
                + total(lax.pad(w, s, [(-1, 2, 2)]))
                + total(jnp.pad(w, 2, mode="reflect"))
            )
        )
    ),
    "repeats": Case(
        of(
            lambda w, A, **_: (
                total(jnp.tile(A, (2, 2)))
                + total(jnp.repeat(w, 3))
                + total(jnp.broadcast_to(w, (3, 4)))
                + total(jnp.repeat(w, np.array([1, 0, 2, 1])))
            )
        )
    ),
    "grids": Case(
        of(
            lambda w, x, **_: (
                total(jnp.meshgrid(w, x)[0] * 2 + jnp.meshgrid(w, x)[1]) + total(jnp.linspace(0.0, 1.0, 5) * w[0])
            )
        )
    ),
    "sizes 1": Case(of(lambda w, A, s, **_: total(w[:1] + w) + total(A[:, :1] * A) + total(A[:1] - A) + total(s * A))),
    # indices
    "places": Case(
        of(
            lambda w, A, C, **_: (
                w[-1]
                + A[1, 2]
                + total(C[1:3, ::2])
                + total(w[np.array([3, 0, 0])])
                + total(C[[0, 1], [2, 3]])
                + total(C[..., 1])
            )
        )
    ),
    "masks as places": Case(of(lambda w, **_: total(w[MASK]))),
    "places of the data": Case(
        of(
            lambda w, C, B, i, k, **_: (
                w[i]
                + total(C[i])
                + total(B[k])
                + total(C[k][:, k])
                + C[i, k[0]]
                + total(jnp.take(C, k, axis=1))
                + total(jnp.take_along_axis(w, k, 0))
            )
        )
    ),
    "negative places": Case(of(lambda w, C, i, k, **_: w[-i] + total(w[-k]) + total(C[k - 3, -1]))),
    "places outside, asked for": Case(
        of(lambda w, i, k, **_: total(w.at[k + 3].get(mode="clip")) + w.at[i + 9].get(mode="fill", fill_value=0.5))
    ),
    "a batch of places": Case(
        of(
            lambda C, k, **_: (
                total(jax.vmap(lambda row, j: row[j])(C[:3], k))
                + total(jax.vmap(lambda j: lax.dynamic_slice(C, (j, 0), (1, 3)))(k))
            )
        )
    ),
    "slices": Case(
        of(
            lambda w, C, i, **_: (
                total(lax.dynamic_slice(w, (i - 1,), (2,)))
                + total(lax.dynamic_update_slice(C, C[:1] * 2, (i, 0)))
                + total(lax.dynamic_index_in_dim(C, i, 1))
            )
        )
    ),
    "written": Case(
        of(
            lambda w, C, i, s, **_: (
                total(w.at[1].set(s))
                + total(w.at[i].set(s * s))
                + total(C.at[0, 1:3].set(w[:2]))
                + total(C.at[:, 1].set(w))
            )
        )
    ),
    "added": Case(
        of(
            lambda w, C, k, s, **_: (
                total(w.at[k].add(s))
                + total(w.at[np.array([0, 0, 2])].add(w[:3]))
                + total(C.at[k, 1].add(w[:3]))
                + total(w.at[k].subtract(2.0))
            )
        )
    ),
    "multiplied": Case(
        of(
            lambda w, k, s, **_: (
                total(w.at[k].multiply(s, unique_indices=True))
                + total(w.at[1].mul(w[2], unique_indices=True))
                + total(w.at[2].divide(4.0, unique_indices=True))
            )
        )
    ),
    "written in batches": Case(
        of(lambda C, k, w, **_: total(jax.vmap(lambda row, j, v: row.at[j].add(v))(C[:3], k, w[:3])))
    ),
    "dropped": Case(of(lambda w, s, **_: total(w.at[7].set(s, mode="drop")) + total(w.at[9].add(s, mode="clip")))),
    "counts": Case(of(lambda w, k, i, **_: total(jax.nn.one_hot(k, 4) @ w) + total(jax.ops.segment_sum(w[:3], k, 4)))),
    "unique places": Case(of(lambda w, k, **_: total(jnp.bincount(k, length=4) * w))),
    "sorts of data": Case(sorted_rows),
    "sorted numbers": Case(
        of(
            lambda w, x, k, **_: (
                total(jnp.sort(x) * w) + total(jnp.sort(k, descending=True) * w[:3]) + jnp.median(x[:3]) * w[0]
            )
        )
    ),
    "integers": Case(of(integers)),
    "comparisons of data": Case(
        of(
            lambda w, x, i, **_: (
                total(jnp.where(x > 0, w, w * w))
                + jnp.where(i == 2, w[0], w[1])
                + total(jnp.where((x > 0) & (x < 1) | (x != x[0]), w, -w))
                + w[0] * jnp.any(x > 0)
                + w[1] * jnp.all(x > 0)
            )
        )
    ),
    "branches": Case(branch),
    "select": Case(
        of(
            lambda w, i, x, **_: (
                total(jnp.select([x > 1, x > 0], [w, 2 * w], 3 * w))
                + lax.select_n(i > 1, w, -w)[0]
                + jnp.choose(i % 2, [w[0], w[1]], mode="clip")
            )
        )
    ),
    # control and transformations
    "scan": Case(scanned(False)),
    "scan backwards": Case(scanned(True)),
    "scan that counts": Case(counted),
    "scan of nothing": Case(
        of(
            lambda s, w, **_: (
                lax.scan(lambda c, e: (c + e, c * e), s, w[:0])[0]
                + lax.scan(lambda c, e: (c, c * e), s, w[:0])[1].sum()
            )
        )
    ),
    "map": Case(
        of(
            lambda C, x, **_: (
                total(lax.map(lambda row: row @ x, C)) + total(jax.vmap(lambda c: c * c, in_axes=1, out_axes=1)(C))
            )
        )
    ),
    "fori_loop": Case(of(lambda C, w, **_: total(lax.fori_loop(0, 3, lambda k, v: C @ v + w[k], w)))),
    "associative_scan": Case(
        of(
            lambda C, w, **_: (
                total(lax.associative_scan(jnp.multiply, w))
                + total(lax.associative_scan(jnp.matmul, C.reshape(4, 2, 2)))
            )
        )
    ),
    "reduce": Case(
        of(
            lambda w, **_: (
                functools.reduce(jnp.multiply, [w[0], w[1], w[2]]) + lax.reduce(w, np.float64(0), lax.add, (0,))
            )
        )
    ),
    "jit": Case(jitted),
    "checkpoint": Case(jax.checkpoint(jitted)),
    "jit and vmap inside": Case(
        of(
            lambda A, C, x, **_: (
                total(jax.jit(jax.vmap(lambda r: (r @ x) ** 2))(C))
                + jax.jit(lambda a: jax.jit(lambda c: c * c)(a).sum())(A)
            )
        )
    ),
    "named arrays": Case(
        of(lambda w, **_: total(lax.optimization_barrier((w, w * w))[1]) + total(checkpoint_name(w, "w")))
    ),
    "prints": Case(of(lambda w, **_: (jax.debug.callback(lambda v: None, w), total(w))[1])),
    "gradient penalty": Case(penalty),
    "hessian": Case(hessian),
    "jacobians": Case(jacobian),
    "directional derivative": Case(
        of(
            lambda A, x, w, **_: (
                total(jax.jvp(lambda v: (A @ v) ** 2, (x,), (w,))[1])
                + total(jax.linearize(lambda v: (A @ v) ** 2, x)[1](w))
            )
        )
    ),
    "own derivatives of the example": Case(
        of(lambda w, x, **_: total(of_the_example(x) * w) + total(lax.stop_gradient(x) * w) + total(jax.nn.relu(x) * w))
    ),
    # convolutions
    "convolution": Case(convolution()),
    "convolution with strides": Case(convolution(window_strides=(2,), padding=[(1, 2)])),
    "convolution with dilation": Case(convolution(rhs_dilation=(3,), lhs_dilation=(2,), padding=[(2, -1)])),
    "convolution in groups": Case(convolution(feature_group_count=2)),
    "convolution of groups of batches": Case(convolution(batch_group_count=2)),
    "convolution in two dimensions": Case(convolution_2d),
    "convolution transposed": Case(transposed),
    "gradient of a convolution": Case(gradient_of_convolution),
    "flax": Case(module),
    "pooling": Case(pooled),
    # losses
    "optax": Case(of(lambda A, x, y, **_: optax.l2_loss(A @ x, y).sum() + optax.squared_error(A @ x, y).mean())),
    "linear attention": Case(of(lambda A, B, C, x, y, **_: total((C @ B) @ (A @ C) * 0.125 - jnp.outer(x, x)) ** 2)),
    "no weights": Case(of(lambda x, y, **_: (x**2).sum() - y[0])),
    "no example": Case(of(lambda w, **_: (w**2).sum())),
    "a number": Case(lambda params, example: 2.5),
}
GRAPH, STATE = nnx.split(nnx.Conv(1, 2, kernel_size=(3,), rngs=nnx.Rngs(0)))
HALVES = jnp.asarray([0.5, 1.5, 2.5, -0.25])


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Multiples of 1/4; i and k integers from 0 to 3."""
    random, whole = np.random.default_rng(seed), ("i", "k")
    found = {}
    for name, shape in shapes.items():
        if name in whole:
            found[name] = np.asarray(1 + random.integers(0, 2, shape)) if name == "i" else random.permutation(3)
        else:
            found[name] = np.asarray(random.integers(-6, 7, shape)) / 4
    return found


def flat(tree: dict[str, Any]) -> list[Fraction]:
    """All entries in the order of JAX."""
    return [Fraction(float(entry)) for leaf in jax.tree.leaves(tree) for entry in np.ravel(leaf)]


def structure(tree: Any) -> Structure:
    """Of arrays; integers are whole."""
    paths, treedef = jax.tree_util.tree_flatten_with_path(tree)
    names = tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths)
    leaves = [np.asarray(leaf) for _, leaf in paths]
    return Structure(
        treedef, tuple(leaf.shape for leaf in leaves), names, tuple(leaf.dtype.kind == "i" for leaf in leaves)
    )


def polynomial(loss: Loss, params: Any, example: Any) -> Any:
    """The loss of an example that is known, as an element of a ring, and its degree."""
    program = recorded(loss, structure(params), structure(example))
    ring = Ring(len(flat(params)))
    numbers = [to_fmpq(entry) for entry in flat(example)]
    return ring.zero + program.run(ring.gens, numbers), program.degrees(numbers).weights


def at(element: Any, values: list[Fraction]) -> Fraction:
    """An element at a point."""
    found = element(*map(to_fmpq, values))
    return Fraction(int(found.p), int(found.q))


@pytest.mark.parametrize("name", CASES)
def test_a_construct_is_what_jax_computes(name: str) -> None:
    case = CASES[name]
    theirs_of = jax.jit(jax.value_and_grad(lambda params, example: 1.0 * case.loss(params, example)))
    for seed in (1, 2):
        params, example = drawn(SHAPES, seed), drawn(EXAMPLE, seed + 10)
        found, degree = polynomial(case.loss, params, example)
        with jax.enable_x64(True):
            value, gradient = theirs_of(params, example)
        theirs, point = [Fraction(float(value)), *flat(gradient)], flat(params)
        ours = [at(part, point) for part in (found, *map(found.derivative, range(len(point))))]
        if not case.rounded:
            assert ours == theirs
        # 40 operations of rounding 2^-53 on numbers below 1000, which 3/2 of the gradient is far from
        assert all(abs(a - b) <= Fraction(40 * 1000, 2**53) for a, b in zip(ours, theirs))
        assert degree >= max((sum(key) for key, _ in found.terms()), default=0)
        assert (degree > 0 and len(found) > 0) == (name not in ("no weights", "a number"))
