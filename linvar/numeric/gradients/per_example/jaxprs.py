"""The one place that knows what the installed JAX calls the parameters of its operations.

Versions of JAX rename them, as they do the operations (``operations.py``). Here an equation becomes a small record of what
is needed of it (``scan_of(equation).body``), whatever its spelling; no other module looks at the parameters of an equation.
What is not known here, or is spelled in a way that is not, is ``Unread``: whoever asked takes a way that is right for any
operation, and ``explain=`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import jax
from jax.extend import core

from linvar.numeric.gradients.per_example.operations import (
    ALONG,
    CALLS,
    ELEMENTWISE,
    OWN_DERIVATIVE,
    PLAIN,
    REDUCTIONS,
    SUMS,
    TERMWISE,
)

T = TypeVar("T")
Carried = TypeVar("Carried")
Row = TypeVar("Row")
Stacked = TypeVar("Stacked")


class Unread(LookupError):
    """An operation that is not known here, or whose parameters are not."""


#: What versions of JAX call a parameter, where not all call it the same.
SPELLINGS: dict[tuple[str, str], tuple[str, ...]] = {
    **{(name, "jaxpr"): ("jaxpr", "call_jaxpr") for name in CALLS},
    **{(name, "call_jaxpr"): ("call_jaxpr", "fun_jaxpr") for name in OWN_DERIVATIVE},
}
#: Parameters that hold shapes or programs, which are compared by themselves.
_SHAPES = frozenset(
    ("shape", "reps", "sharding", "out_sharding", "new_sizes", "sizes", "slice_sizes", "limit_indices", "length", "jaxpr",
     "call_jaxpr", "fun_jaxpr", "branches", "cond_jaxpr", "body_jaxpr", "jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd", "name",
     "debug", "debug_info")
)  # fmt: skip
_READERS: dict[str, Callable[[core.JaxprEqn], object]] = {}


def operation(equation: core.JaxprEqn) -> str:
    """The name of an equation's operation; a reshape that also turns axes is another one, which nothing here knows."""
    name = str(equation.primitive.name)
    return "reshape in another order" if name == "reshape" and equation.params.get("dimensions") is not None else name


def if_read(reader: Callable[[core.JaxprEqn], T], equation: core.JaxprEqn) -> T | None:
    """What a reader says of an equation; None if it is another operation, or not read."""
    try:
        return reader(equation)
    except Unread:
        return None


def unread(equation: core.JaxprEqn) -> str:
    """Why nothing is known of an equation; "" if something is."""
    name = operation(equation)
    if name in ELEMENTWISE or name in PLAIN:
        return ""
    if name not in _READERS:
        return f"{name} is not known to linvar"
    try:
        _READERS[name](equation)
    except Unread as error:
        return str(error)
    return ""


def _reads(*names: str) -> Callable[[Callable[[core.JaxprEqn], T]], Callable[[core.JaxprEqn], T]]:
    """A reader of these operations: of any other, or where something in the parameters is missing, ``Unread``."""

    def wrap(reader: Callable[[core.JaxprEqn], T]) -> Callable[[core.JaxprEqn], T]:
        @wraps(reader)
        def checked(equation: core.JaxprEqn) -> T:
            name = operation(equation)
            if name not in names:
                raise Unread(f"{name} is not {names[0]}")
            try:
                return reader(equation)
            except Unread:
                raise
            except (LookupError, AttributeError, TypeError, ValueError) as error:
                raise Unread(f"{name} has parameters of a kind not known to linvar (JAX {jax.__version__})") from error

        _READERS.update(dict.fromkeys(names, checked))
        return checked

    return wrap


def _parameter(equation: core.JaxprEqn, name: str) -> Any:
    """A parameter of an equation, under whichever of its spellings."""
    for spelling in SPELLINGS.get((operation(equation), name), (name,)):
        if spelling in equation.params:
            return equation.params[spelling]
    raise Unread(f"{operation(equation)} has no parameter {name} known to linvar (JAX {jax.__version__})")


def _integers(equation: core.JaxprEqn, name: str) -> tuple[int, ...]:
    return _ints(_parameter(equation, name))


def _ints(numbers: Iterable[Any]) -> tuple[int, ...]:
    """Some are NumPy's."""
    return tuple(int(a) for a in numbers)


def _closed(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> core.ClosedJaxpr:
    """A jaxpr with its constants: some versions of JAX keep some without."""
    return jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else core.ClosedJaxpr(jaxpr, ())


# programs inside operations


@dataclass(frozen=True)
class Scan:
    """A loop: which of its inputs are the same in every iteration, carried, or read row by row; and its body."""

    constants: slice
    carry: slice
    sequences: slice
    body: core.ClosedJaxpr
    length: int
    reverse: bool
    unroll: int

    def run(
        self, function: Callable[[Carried, Row], tuple[Carried, Stacked]], carried: Carried, sequences: Row
    ) -> tuple[Carried, Stacked]:
        """The same loop with another body: the last carry and the stacked outputs."""
        return jax.lax.scan(function, carried, sequences, length=self.length, reverse=self.reverse, unroll=self.unroll)


@_reads("scan")
def scan_of(equation: core.JaxprEqn) -> Scan:
    """A scan. Its inputs are counted (num_consts, num_carry: to JAX 0.10) or grouped (ft_in: from 0.11)."""
    if "ft_in" in equation.params:
        constants, carry, rows = (len(part) for part in equation.params["ft_in"].unpack())
    else:
        constants, carry = int(_parameter(equation, "num_consts")), int(_parameter(equation, "num_carry"))
        rows = len(equation.invars) - constants - carry
    body = _closed(_parameter(equation, "jaxpr"))
    if rows < 0 or not constants + carry + rows == len(equation.invars) == len(body.jaxpr.invars):
        raise Unread(f"scan has inputs that are not accounted for (JAX {jax.__version__})")
    return Scan(
        slice(0, constants), slice(constants, constants + carry), slice(constants + carry, None), body,
        int(_parameter(equation, "length")), bool(_parameter(equation, "reverse")), _parameter(equation, "unroll"),
    )  # fmt: skip


@_reads(*sorted(CALLS))
def call_of(equation: core.JaxprEqn) -> core.ClosedJaxpr:
    """What a call (``jit``, ``checkpoint``) computes."""
    inner = _closed(_parameter(equation, "jaxpr"))
    if len(inner.jaxpr.invars) != len(equation.invars):
        raise Unread(f"{operation(equation)} has inputs that are not accounted for (JAX {jax.__version__})")
    return inner


def call_name(equation: core.JaxprEqn) -> str:
    """The name of the function that a call calls, if it has one."""
    return str(equation.params.get("name", "")) if operation(equation) in CALLS else ""


@_reads("cond")
def branches_of(equation: core.JaxprEqn) -> tuple[core.ClosedJaxpr, ...]:
    """The programs among which the first input chooses; the others are their inputs."""
    return tuple(map(_closed, _parameter(equation, "branches")))


@_reads(*OWN_DERIVATIVE)
def primal_of(equation: core.JaxprEqn) -> core.ClosedJaxpr:
    """What a function with a derivative of its own computes."""
    return _closed(_parameter(equation, "call_jaxpr"))


def has_own_jvp(equation: core.JaxprEqn) -> bool:
    """A function whose derivative is the user's (``jax.custom_jvp``)?"""
    return operation(equation).startswith("custom_jvp_call")


def has_own_vjp(equation: core.JaxprEqn) -> bool:
    """A function whose backward pass is the user's (``jax.custom_vjp``)?"""
    return operation(equation).startswith("custom_vjp_call")


def _inside(equation: core.JaxprEqn) -> list[core.Jaxpr | core.ClosedJaxpr]:
    """The programs inside any operation."""
    flat = [x for value in equation.params.values() for x in (value if isinstance(value, tuple) else (value,))]
    return [x for x in flat if isinstance(x, (core.Jaxpr, core.ClosedJaxpr))]


def programs(equation: core.JaxprEqn) -> list[str]:
    """The programs inside any operation, with their constants and how often a loop runs them."""
    inside = [f"{x} {getattr(x, 'consts', ())}" for x in _inside(equation)]
    return [*inside, str(equation.params.get("length"))]


def has_own_backward(program: core.Jaxpr) -> bool:
    """Is there, anywhere in a program, a function whose backward pass is the user's?"""
    return any(
        has_own_vjp(equation) or any(has_own_backward(_closed(x).jaxpr) for x in _inside(equation))
        for equation in program.eqns
    )


def differs(equation: core.JaxprEqn, other: core.JaxprEqn) -> bool:
    """Have two equations other parameters, shapes and programs apart?"""
    return any(
        repr(value) != repr(other.params.get(key))
        for key, value in equation.params.items()
        if key not in _SHAPES and not callable(value)
    )


# products


def keeps_terms(equation: core.JaxprEqn, constant: Sequence[bool]) -> bool:
    """Is an operation linear where only these inputs are constants, so that a term of a sum keeps a constant derivative?"""
    name = operation(equation)
    if name == "mul":
        return any(constant)
    return name in SUMS or name in TERMWISE or (name == "div" and constant[1])


@dataclass(frozen=True)
class Dot:
    """A matrix product: contracted and batch axes of both sides."""

    contracted: tuple[tuple[int, ...], tuple[int, ...]]
    batch: tuple[tuple[int, ...], tuple[int, ...]]


@_reads("dot_general")
def dot_of(equation: core.JaxprEqn) -> Dot:
    """A matrix product."""
    contracted, batch = ([tuple(map(int, side)) for side in pair] for pair in _parameter(equation, "dimension_numbers"))
    (left, right), (first, second) = contracted, batch
    return Dot((left, right), (first, second))


@dataclass(frozen=True)
class Conv:
    """A convolution: axes as (batch, features, space...) of the input, (outputs, inputs, space...) of the kernel."""

    input: tuple[int, ...]
    kernel: tuple[int, ...]
    output: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    feature_groups: int
    batch_groups: int


@_reads("conv_general_dilated")
def convolution_of(equation: core.JaxprEqn) -> Conv:
    """A convolution."""
    numbers = _parameter(equation, "dimension_numbers")
    return Conv(
        _ints(numbers.lhs_spec), _ints(numbers.rhs_spec), _ints(numbers.out_spec),
        _integers(equation, "window_strides"),
        tuple((int(low), int(high)) for low, high in _parameter(equation, "padding")),
        _integers(equation, "lhs_dilation"), _integers(equation, "rhs_dilation"),
        int(_parameter(equation, "feature_group_count")), int(_parameter(equation, "batch_group_count")),
    )  # fmt: skip


# what is taken from arrays


@dataclass(frozen=True)
class Gather:
    """Slices of a table by indices, in the terms of XLA; ``clips``: a slice outside is moved inside, otherwise left out."""

    offset_axes: tuple[int, ...]
    collapsed: tuple[int, ...]
    indexed: tuple[int, ...]
    table_batch: tuple[int, ...]
    index_batch: tuple[int, ...]
    slice_shape: tuple[int, ...]
    clips: bool


@_reads("gather")
def gather_of(equation: core.JaxprEqn) -> Gather:
    """A lookup."""
    numbers, mode = _parameter(equation, "dimension_numbers"), _parameter(equation, "mode")
    modes = jax.lax.GatherScatterMode
    if mode not in (modes.CLIP, modes.FILL_OR_DROP, modes.PROMISE_IN_BOUNDS):
        raise Unread(f"gather has a mode not known to linvar (JAX {jax.__version__})")
    axes = (numbers.offset_dims, numbers.collapsed_slice_dims, numbers.start_index_map, numbers.operand_batching_dims,
            numbers.start_indices_batching_dims)  # fmt: skip
    offsets, collapsed, indexed, table, indices = (_ints(own) for own in axes)
    shape = _integers(equation, "slice_sizes")
    return Gather(offsets, collapsed, indexed, table, indices, shape, bool(mode == modes.CLIP))


@_reads("dynamic_slice")
def slice_shape_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """The shape of a slice at a computed place."""
    return _integers(equation, "slice_sizes")


# axes


@_reads(*sorted(REDUCTIONS))
def reduced_axes_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """Axes that a reduction removes."""
    return _integers(equation, "axes")


@_reads("broadcast_in_dim")
def broadcast_axes_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """Where the operand's axes are in the result."""
    return _integers(equation, "broadcast_dimensions")


@_reads("iota")
def counted_axis_of(equation: core.JaxprEqn) -> int:
    """The axis along which numbers count up."""
    return int(_parameter(equation, "dimension"))


@_reads("transpose")
def permutation_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """The operand's axes in the result's order."""
    return _integers(equation, "permutation")


@_reads("squeeze")
def squeezed_axes_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """Axes of length one that are removed."""
    return _integers(equation, "dimensions")


@_reads("rev")
def reversed_axes_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """Axes that are turned round."""
    return _integers(equation, "dimensions")


@_reads("concatenate")
def joined_axis_of(equation: core.JaxprEqn) -> int:
    """The axis along which arrays are joined."""
    return int(_parameter(equation, "dimension"))


@_reads("pad")
def padding_of(equation: core.JaxprEqn) -> tuple[tuple[int, int, int], ...]:
    """Numbers added before, after and between, axis by axis."""
    return tuple((int(a), int(b), int(c)) for a, b, c in _parameter(equation, "padding_config"))


@_reads(*sorted(ALONG))
def axis_along_of(equation: core.JaxprEqn) -> int:
    """The axis along which numbers are summed up or sorted."""
    return int(_parameter(equation, "dimension" if operation(equation) == "sort" else "axis"))


@_reads("top_k")
def top_axis_of(equation: core.JaxprEqn) -> int:
    """The axis along which the largest are taken."""
    return int(_parameter(equation, "axis"))
