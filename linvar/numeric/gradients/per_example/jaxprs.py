"""The one place that knows JAX's operations, and what the installed JAX calls their parameters.

Versions of JAX rename both. Here an equation becomes a small record of what is needed of it (``scan_of(equation).body``),
whatever its spelling; no other module looks at the parameters of an equation. What is not known here, or is spelled in a
way that is not, is ``Unread``: whoever asked takes a way that is right for any operation, and ``explain=`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import jax
from jax.extend import core

T = TypeVar("T")


class Unread(LookupError):
    """An operation that is not known here, or whose parameters are not."""


#: Output position p depends on the operands' position p alone.
_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz conj
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma
    igamma_grad_a igammac imag integer_pow is_finite le lgamma log log1p log2 logistic lt max min mul mulhi name ne neg
    nextafter not one_minus_square or polygamma polynomial population_count pow real reduce_precision
    regularized_incomplete_beta rem round rsqrt select_n sharding_constraint shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta
"""
ELEMENTWISE = frozenset(_NAMES.split())
#: The same numbers in another order or another shape: the norm of a gradient passes through.
REARRANGED = frozenset(
    ("transpose", "reshape", "squeeze", "expand_dims", "copy", "copy_p", "rev", "convert_element_type")
)
#: Sums of their inputs, up to signs.
SUMS = frozenset(("add", "sub", "add_any"))
_LINEAR = frozenset(("neg", "convert_element_type", "reshape", "squeeze", "copy"))
#: Linear in the operands that are sums over examples, if the others are free of them.
LINEAR = _LINEAR | {"transpose", "reduce_sum", "broadcast_in_dim", "sharding_constraint"}
#: Values made for every example, longer for more of them.
MAKERS = frozenset(
    ("broadcast_in_dim", "iota", "random_bits", "random_wrap", "random_unwrap", "random_split", "random_seed")
)
#: Known by their shapes alone.
_PLAIN = frozenset(("reshape", "expand_dims", "slice", "split"))
#: Another jaxpr applied to the same inputs.
CALLS = frozenset(
    ("jit", "pjit", "closed_call", "core_call", "core_closed_call", "eval_jaxpr", "remat", "remat2", "checkpoint")
)
REDUCTIONS = frozenset(
    ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax",
     "argmin")
)  # fmt: skip
#: One axis is named, all others are kept apart.
ALONG = frozenset(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "sort"))
_DILATED = ("reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min", "select_and_gather_add")
WINDOWS = frozenset((*_DILATED, "select_and_scatter_add", "select_and_scatter"))
_OWN_DERIVATIVE = ("custom_jvp_call", "custom_jvp_call_jaxpr", "custom_vjp_call", "custom_vjp_call_jaxpr")

#: What versions of JAX call a parameter, where not all call it the same.
SPELLINGS: dict[tuple[str, str], tuple[str, ...]] = {
    **{(name, "jaxpr"): ("jaxpr", "call_jaxpr") for name in CALLS},
    **{(name, "call_jaxpr"): ("call_jaxpr", "fun_jaxpr") for name in _OWN_DERIVATIVE},
}
#: Parameters that hold shapes or programs, which are compared by themselves.
_SHAPES = frozenset(
    ("shape", "sharding", "out_sharding", "new_sizes", "sizes", "slice_sizes", "limit_indices", "length", "jaxpr",
     "call_jaxpr", "fun_jaxpr", "branches", "cond_jaxpr", "body_jaxpr", "jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd", "name",
     "debug", "debug_info")
)  # fmt: skip
_READERS: dict[str, Callable[[Any], object]] = {}


def operation(equation: Any) -> str:
    """The name of an equation's operation."""
    return str(equation.primitive.name)


def if_read(reader: Callable[[Any], T], equation: Any) -> T | None:
    """What a reader says of an equation; None if it is another operation, or not read."""
    try:
        return reader(equation)
    except Unread:
        return None


def unread(equation: Any) -> str:
    """Why nothing is known of an equation; "" if something is."""
    name = operation(equation)
    if name in ELEMENTWISE or name in _PLAIN:
        return ""
    if name not in _READERS:
        return f"{name} is not known to linvar"
    try:
        _READERS[name](equation)
    except Unread as error:
        return str(error)
    return ""


def _reads(*names: str) -> Callable[[Callable[[Any], T]], Callable[[Any], T]]:
    """A reader of these operations: of any other, or where something in the parameters is missing, ``Unread``."""

    def wrap(reader: Callable[[Any], T]) -> Callable[[Any], T]:
        @wraps(reader)
        def checked(equation: Any) -> T:
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


def _parameter(equation: Any, name: str) -> Any:
    """A parameter of an equation, under whichever of its spellings."""
    for spelling in SPELLINGS.get((operation(equation), name), (name,)):
        if spelling in equation.params:
            return equation.params[spelling]
    raise Unread(f"{operation(equation)} has no parameter {name} known to linvar (JAX {jax.__version__})")


def _integers(equation: Any, name: str) -> tuple[int, ...]:
    return tuple(int(a) for a in _parameter(equation, name))


def _closed(jaxpr: Any) -> core.ClosedJaxpr:
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

    def run(self, function: Callable[[Any, Any], Any], carried: Any, sequences: Any) -> Any:
        """The same loop with another body: the last carry and the stacked outputs."""
        return jax.lax.scan(function, carried, sequences, length=self.length, reverse=self.reverse, unroll=self.unroll)


@_reads("scan")
def scan_of(equation: Any) -> Scan:
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
def call_of(equation: Any) -> core.ClosedJaxpr:
    """What a call (``jit``, ``checkpoint``) computes."""
    inner = _closed(_parameter(equation, "jaxpr"))
    if len(inner.jaxpr.invars) != len(equation.invars):
        raise Unread(f"{operation(equation)} has inputs that are not accounted for (JAX {jax.__version__})")
    return inner


def call_name(equation: Any) -> str:
    """The name of the function that a call calls, if it has one."""
    return str(equation.params.get("name", "")) if operation(equation) in CALLS else ""


@_reads("cond")
def branches_of(equation: Any) -> tuple[core.ClosedJaxpr, ...]:
    """The programs among which the first input chooses; the others are their inputs."""
    return tuple(map(_closed, _parameter(equation, "branches")))


@_reads(*_OWN_DERIVATIVE)
def primal_of(equation: Any) -> core.ClosedJaxpr:
    """What a function with a derivative of its own computes."""
    return _closed(_parameter(equation, "call_jaxpr"))


def has_own_jvp(equation: Any) -> bool:
    """A function whose derivative is the user's (``jax.custom_jvp``)?"""
    return operation(equation).startswith("custom_jvp_call")


def has_own_vjp(equation: Any) -> bool:
    """A function whose backward pass is the user's (``jax.custom_vjp``)?"""
    return operation(equation).startswith("custom_vjp_call")


def programs(equation: Any) -> list[str]:
    """The programs inside any operation, with their constants and how often a loop runs them."""
    flat = [x for value in equation.params.values() for x in (value if isinstance(value, tuple) else (value,))]
    inside = [f"{x} {getattr(x, 'consts', ())}" for x in flat if isinstance(x, (core.Jaxpr, core.ClosedJaxpr))]
    return [*inside, str(equation.params.get("length"))]


def differs(equation: Any, other: Any) -> bool:
    """Have two equations other parameters, shapes and programs apart?"""
    return any(
        repr(value) != repr(other.params.get(key))
        for key, value in equation.params.items()
        if key not in _SHAPES and not callable(value)
    )


# products


def keeps_terms(equation: Any, constant: Sequence[bool]) -> bool:
    """Is an operation linear where only these inputs are constants, so that a term of a sum keeps a constant derivative?"""
    name = operation(equation)
    if name == "mul":
        return any(constant)
    return name in SUMS or name in _LINEAR or (name == "div" and constant[1])


@dataclass(frozen=True)
class Dot:
    """A matrix product: contracted and batch axes of both sides."""

    contracted: tuple[tuple[int, ...], tuple[int, ...]]
    batch: tuple[tuple[int, ...], tuple[int, ...]]


@_reads("dot_general")
def dot_of(equation: Any) -> Dot:
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
def convolution_of(equation: Any) -> Conv:
    """A convolution."""
    numbers = _parameter(equation, "dimension_numbers")
    return Conv(
        tuple(numbers.lhs_spec), tuple(numbers.rhs_spec), tuple(numbers.out_spec),
        _integers(equation, "window_strides"),
        tuple((int(low), int(high)) for low, high in _parameter(equation, "padding")),
        _integers(equation, "lhs_dilation"), _integers(equation, "rhs_dilation"),
        int(_parameter(equation, "feature_group_count")), int(_parameter(equation, "batch_group_count")),
    )  # fmt: skip


# what is taken from arrays


@dataclass(frozen=True)
class Gather:
    """Slices of a table by indices, in the terms of XLA; ``clips``: an index outside means the nearest row."""

    offset_axes: tuple[int, ...]
    collapsed: tuple[int, ...]
    indexed: tuple[int, ...]
    table_batch: tuple[int, ...]
    index_batch: tuple[int, ...]
    sizes: tuple[int, ...]
    clips: bool


@_reads("gather")
def gather_of(equation: Any) -> Gather:
    """A lookup."""
    numbers = _parameter(equation, "dimension_numbers")
    return Gather(
        tuple(numbers.offset_dims), tuple(numbers.collapsed_slice_dims), tuple(numbers.start_index_map),
        tuple(numbers.operand_batching_dims), tuple(numbers.start_indices_batching_dims),
        _integers(equation, "slice_sizes"), bool(_parameter(equation, "mode") == jax.lax.GatherScatterMode.CLIP),
    )  # fmt: skip


@_reads("dynamic_slice")
def slice_sizes_of(equation: Any) -> tuple[int, ...]:
    """The shape of a slice at a computed place."""
    return _integers(equation, "slice_sizes")


# axes


@_reads(*sorted(REDUCTIONS))
def reduced_axes_of(equation: Any) -> tuple[int, ...]:
    """Axes that a reduction removes."""
    return _integers(equation, "axes")


@_reads("broadcast_in_dim")
def broadcast_axes_of(equation: Any) -> tuple[int, ...]:
    """Where the operand's axes are in the result."""
    return _integers(equation, "broadcast_dimensions")


@_reads("iota")
def counted_axis_of(equation: Any) -> int:
    """The axis along which numbers count up."""
    return int(_parameter(equation, "dimension"))


@_reads("transpose")
def permutation_of(equation: Any) -> tuple[int, ...]:
    """The operand's axes in the result's order."""
    return _integers(equation, "permutation")


@_reads("squeeze")
def squeezed_axes_of(equation: Any) -> tuple[int, ...]:
    """Axes of length one that are removed."""
    return _integers(equation, "dimensions")


@_reads("rev")
def reversed_axes_of(equation: Any) -> tuple[int, ...]:
    """Axes that are turned round."""
    return _integers(equation, "dimensions")


@_reads("concatenate")
def joined_axis_of(equation: Any) -> int:
    """The axis along which arrays are joined."""
    return int(_parameter(equation, "dimension"))


@_reads("pad")
def padding_of(equation: Any) -> tuple[tuple[int, int, int], ...]:
    """Numbers added before, after and between, axis by axis."""
    return tuple((int(a), int(b), int(c)) for a, b, c in _parameter(equation, "padding_config"))


@_reads(*sorted(ALONG))
def axis_along_of(equation: Any) -> int:
    """The axis along which numbers are summed up or sorted."""
    return int(_parameter(equation, "dimension" if operation(equation) == "sort" else "axis"))


@_reads("top_k")
def top_axis_of(equation: Any) -> int:
    """The axis along which the largest are taken."""
    return int(_parameter(equation, "axis"))


@dataclass(frozen=True)
class Window:
    """A window that moves over an array, axis by axis."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    base_dilation: tuple[int, ...]

    def keeps(self, axis: int) -> bool:
        """Does it leave the places of an axis apart?"""
        return self.sizes[axis] == self.strides[axis] == self.base_dilation[axis] == 1 and self.padding[axis] == (0, 0)


@_reads(*sorted(WINDOWS))
def window_of(equation: Any) -> Window:
    """A pooling, or its derivative (which dilates nothing)."""
    sizes = _integers(equation, "window_dimensions")
    padding = tuple((int(low), int(high)) for low, high in _parameter(equation, "padding"))
    dilation = _integers(equation, "base_dilation") if operation(equation) in _DILATED else (1,) * len(sizes)
    return Window(sizes, _integers(equation, "window_strides"), padding, dilation)
