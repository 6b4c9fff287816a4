"""Convolutions, and sums over windows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from linvar.tracing.arithmetic import ask_numbers, inner
from linvar.tracing.values import Entries, filled, zero

#: the outputs of one equation
Rule = Callable[[Any, Sequence[Entries]], list[Entries]]

Places = tuple[int, ...]


class _Axis:
    """One axis of a window that moves over an array; both may be dilated, the array padded."""

    def __init__(self, size: int, window: int, stride: int, padding: Sequence[int], dilation: int, spread: int) -> None:
        self.size, self.window, self.stride, self.low = size, window, stride, padding[0]
        self.dilation, self.spread = dilation, spread

    def met(self, out: int) -> list[tuple[int, int]]:
        """(place in the window, place in the array) of an output."""
        at = ((k, out * self.stride - self.low + k * self.dilation) for k in range(self.window))
        return [(k, p // self.spread) for k, p in at if p % self.spread == 0 and 0 <= p // self.spread < self.size]


def _met(axes: Sequence[_Axis], out: Places) -> Iterator[tuple[Places, Places]]:
    """The same, of all axes."""
    for pairs in product(*(axis.met(place) for axis, place in zip(axes, out))):
        yield tuple(k for k, _ in pairs), tuple(p for _, p in pairs)


def _convolution(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """out[n, o, place] = sum over channels c of the group of o, and over the window, of kernel[o, c, k] array[n, c, ...]."""
    params = equation.params
    array_axes, kernel_axes, out_axes = params["dimension_numbers"]
    array, kernel = inputs[0].transpose(array_axes), inputs[1].transpose(kernel_axes)
    groups, batches = params["feature_group_count"], params["batch_group_count"]
    axes = [
        _Axis(*given)
        for given in zip(
            array.shape[2:], kernel.shape[2:], params["window_strides"], params["padding"],
            params["rhs_dilation"], params["lhs_dilation"],
        )
    ]  # fmt: skip
    variable = equation.outvars[0].aval
    shape = tuple(variable.shape[axis] for axis in out_axes)
    nothing, (outputs, channels) = zero(variable.dtype), kernel.shape[:2]

    def entry(place: Places) -> Any:
        n, o, *at = place
        first = o * groups // outputs * channels
        example = n + o * batches // outputs * shape[0]
        met = [
            (array[(example, c + first, *p)], kernel[(o, c, *k)])
            for k, p in _met(axes, tuple(at))
            for c in range(channels)
        ]
        return inner([x for x, _ in met], [y for _, y in met], nothing)

    found = filled(map(entry, np.ndindex(*shape)), shape)
    return [found.transpose(np.argsort(out_axes))]


def _window(function: Callable[[Any, Any], Any], words: str = "") -> Rule:
    """A function of the entries in each window, as in pooling."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        (array,), params = inputs, equation.params
        if words:
            ask_numbers(equation, inputs, words)
        axes = [
            _Axis(*given)
            for given in zip(
                array.shape, params["window_dimensions"], params["window_strides"], params["padding"],
                params["window_dilation"], params["base_dilation"],
            )
        ]  # fmt: skip
        variable = equation.outvars[0].aval

        def entry(out: Places) -> Any:
            inside = [array[place] for _, place in _met(axes, out)]
            return reduce(function, inside) if inside else zero(variable.dtype)

        return [filled(map(entry, np.ndindex(*variable.shape)), variable.shape)]

    return rule


RULES: dict[str, Rule] = {
    "conv_general_dilated": _convolution,
    "reduce_window_sum": _window(operator.add),
}
