"""Losses of degree 2 at most in the weights that tests derive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

import linvar as lv

Loss = Callable[..., Any]


def problem_of(loss: Loss, weights: Any, law: Any, rate: Any = "1/5", step: int = 0, **more: Any) -> lv.Problem:
    """A problem of a loss of the leaves, x and y."""
    leaves = tuple([list(row) for row in matrix] for matrix in weights)
    return lv.Problem(leaves, law, rate, step, loss=lambda params, example: loss(*params, *example), **more)


def squares(residual: Any) -> Any:
    return (residual * residual).sum() / 2


def quadratic(w: Any, x: Any, y: Any) -> Any:
    """(1, x_0, x_1, x_0 x_1) as features."""
    return squares(w[:, 0] + w[:, 1] * x[0] + w[:, 2] * x[1] + w[:, 3] * x[0] * x[1] - y)


def layers(w: Any, x: Any, y: Any) -> Any:
    return squares(w @ x - y)


ROWS = lv.Dataset([[1, "1/2"], [0, -1], [2, 1]], [1, "-1/2", 3])
TWO = lv.Dataset([[1, "1/2"], [0, -1], [2, 1]], [[1, 0], ["-1/2", 1], [0, 2]])
NORMAL = lv.Gaussian([["1/2", 1]], [[2, 1], [1, 1]], ["1/3", 0], "1/2")
CHANCES = lv.Finite([[1, 0], [1, 1], [-1, 2]], [[1], [0], ["1/2"]], ["1/2", "1/3", "1/6"])
CURVED = lv.Independent([lv.Uniform(-1, 1), lv.Rademacher()], lambda z: ((z[0], z[1]), z[0] ** 2 - z[1] / 2))
ALPHA, OMEGA, MU = sympy.symbols("alpha omega mu")
Q = [[["1/2", -1, "1/3", 2]]]

#: loss, weights, law, what more; each at t = 0, 1, 2
CASES: dict[str, tuple[Loss, Any, Any, dict[str, Any]]] = {
    "quadratic features": (quadratic, Q, ROWS, {}),
    "quadratic features, without replacement": (quadratic, Q, ROWS, {"sampling": "without_replacement"}),
    "quadratic features, normal": (lambda w, x, y: squares(w[0, 0] * x[0] * x[1] + w[0, 1] - y), [[[1, "1/2"]]], NORMAL, {}),
    "quadratic features, chances": (quadratic, Q, CHANCES, {"momentum": "1/2"}),
    "quadratic features, independent": (quadratic, Q, CURVED, {"weight_decay": "1/3"}),
    "a bias": (lambda w, c, x, y: squares(w @ x + c[0] - y), [[[1, "-1/2"]], [["1/3"]]], NORMAL, {}),
    "two outputs, a bias each": (
        lambda w, c, x, y: squares(w @ x + c[0] - y), [[[1, "-1/2"], [0, 1]], [["1/3", 2]]], TWO, {}
    ),
    "two outputs, without replacement": (layers, [[[1, "-1/2"], [0, 1]]], TWO, {"sampling": "without_replacement"}),
    "L2": (lambda w, x, y: layers(w, x, y) + (w * w).sum() / 10 + w[0, 0] * w[0, 1] / 7, [[[1, "1/2"]]], ROWS, {}),
    "weighed examples": (lambda w, x, y: squares(w @ x - y) * x[0] + x[1] ** 3, [[[1, "1/2"]]], ROWS, {}),
    "indefinite": (lambda w, x, y: w[0, 0] * w[0, 1] * x[0] - w[0, 0] ** 2 * x[1], [[[1, "1/2"]]], ROWS, {}),
    "degree 1": (lambda w, x, y: (w @ x).sum() + y[0], [[[1, "1/2"]]], ROWS, {"momentum": "1/3", "nesterov": True}),
    "degree 0": (lambda w, x, y: x[0] ** 2 - 2 * y[0], [[[1, "1/2"]]], ROWS, {"weight_decay": "1/4"}),
    "a weight that nothing moves": (lambda w, x, y: squares(w[0, 0] * x[0] - y), [[[1, 5]]], ROWS, {}),
    "nothing varies": (lambda w, x, y: (w * w).sum() - w[0, 0] + x[0], [[[1, "1/2"]]], ROWS, {}),
    "momentum, decay": (quadratic, Q, ROWS, {"momentum": "1/2", "nesterov": True, "weight_decay": "1/7"}),
    "a schedule": (quadratic, Q, ROWS, {"rate": ("1/5", "1/7")}),
    "a rate of zero": (quadratic, Q, ROWS, {"rate": ("0", "1/7"), "momentum": "1/2"}),
    "one row": (quadratic, Q, lv.Dataset([[1, 2]], [1]), {"sampling": "without_replacement"}),
    "a symbol for a weight": (quadratic, [[[OMEGA, -1, "1/3", 2]]], ROWS, {}),
    "a symbol for the rate": (lambda w, x, y: squares(w[0, 0] * x[0] * x[1] - y), [[[1]]], ROWS, {"rate": ALPHA}),
    "symbols in the rule": (layers, [[[1, "1/2"]]], ROWS, {"momentum": MU, "weight_decay": ALPHA}),
    "symbols in the law": (
        lambda w, c, x, y: squares(w @ x + c[0] - y), [[[1]], [["1/3"]]],
        lv.Gaussian([[OMEGA]], [[ALPHA]], [MU], 1), {"rate": "1/4"},
    ),
}  # fmt: skip


def of_case(name: str, step: int) -> lv.Problem:
    """A problem of the list."""
    loss, weights, law, more = CASES[name]
    rate = more.get("rate", "1/5")
    rate = list(rate[:step]) if isinstance(rate, tuple) else rate
    return problem_of(loss, weights, law, rate, step, **{key: value for key, value in more.items() if key != "rate"})
