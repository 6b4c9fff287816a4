"""What is known of JAX's operations by name alone: which act entry by entry, which are linear, which only call others."""

from __future__ import annotations

#: Output position p depends on the operands' position p alone.
_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz conj
    convert_element_type copy copy_p cos cosh digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge gt igamma
    igamma_grad_a igammac imag integer_pow is_finite le le_to lgamma log log1p log2 logistic lt lt_to max min mul mulhi name ne
    neg nextafter not one_minus_square or polygamma polynomial population_count pow real reduce_precision
    regularized_incomplete_beta rem round rsqrt select_n sharding_constraint shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta
"""
ELEMENTWISE = frozenset(_NAMES.split())
#: The same numbers in the same order, in another shape or another type.
RESHAPED = frozenset(("reshape", "squeeze", "expand_dims", "copy", "copy_p", "convert_element_type"))
#: Sums of their inputs, up to signs.
SUMS = frozenset(("add", "sub", "add_any"))
#: Linear, and as many terms as before.
TERMWISE = frozenset(("neg", "convert_element_type", "reshape", "squeeze", "copy"))
#: Linear in the operands that are sums over examples, if the others are free of them.
LINEAR = TERMWISE | {
    "transpose",
    "reduce_sum",
    "broadcast_in_dim",
    "sharding_constraint",
    "stack",
    "concatenate",
    "slice",
    "split",
    "tile",
    "rev",
    "expand_dims",
    "cumsum",
    "copy_p",
    "real",
    "imag",
}
#: Of twice the operands twice as much.
HOMOGENEOUS = SUMS | {
    "neg",
    "abs",
    "max",
    "min",
    "reduce_max",
    "reduce_min",
    "convert_element_type",
    "reduce_precision",
}
#: Numbers of one array in other places, or sums of them.
MOVES = frozenset(
    ("reshape", "transpose", "squeeze", "broadcast_in_dim", "expand_dims", "tile", "slice", "split", "rev", "concatenate",
     "stack", "gather", "reduce_sum", "cumsum", "select_n", "copy", "copy_p", "real", "imag", "stop_gradient", "dynamic_slice",
     "sort", "top_k", "sharding_constraint")
)  # fmt: skip
#: Values made for every example, longer for more of them.
MAKERS = frozenset(
    ("broadcast_in_dim", "iota", "tile", "random_bits", "random_wrap", "random_unwrap", "random_split", "random_seed")
)
#: Known by their shapes alone.
PLAIN = frozenset(("reshape", "expand_dims"))
#: Another jaxpr applied to the same inputs.
CALLS = frozenset(
    ("jit", "pjit", "closed_call", "core_call", "core_closed_call", "eval_jaxpr", "remat", "remat2", "checkpoint")
)
#: Axes are removed.
REDUCTIONS = frozenset(
    ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax",
     "argmin")
)  # fmt: skip
#: One axis is named, all others are kept apart.
ALONG = frozenset(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "sort"))
#: Those of them whose input may be dilated.
DILATED = ("reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min", "select_and_gather_add")
#: Windows that move over an array.
WINDOWS = frozenset((*DILATED, "select_and_scatter_add", "select_and_scatter"))
#: Updates written into an array at indices; those of them that add.
SCATTERS = ("scatter", "scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max")
ADDING = frozenset(("scatter-add", "scatter-sub"))
#: Matrices in the last two axes, everything before them a batch.
MATRICES = frozenset(
    ("cholesky", "triangular_solve", "lu", "eigh", "svd", "qr", "geqrf", "householder_product", "lu_pivots_to_permutation",
     "eig", "schur", "tridiagonal", "tridiagonal_solve")
)  # fmt: skip
#: Functions with a derivative of their own.
OWN_DERIVATIVE = ("custom_jvp_call", "custom_jvp_call_jaxpr", "custom_vjp_call", "custom_vjp_call_jaxpr")
