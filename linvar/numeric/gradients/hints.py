"""What a loss that fails, or returns something else than one number, tells its user."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import PyTree

from linvar.errors import InputError, InputTypeError, LinvarError, Words, cut, shown
from linvar.numeric.gradients.inputs import is_numbers

_ALONE = "return the scalar alone: lambda params, example: loss(params, example)[0]"
_STATE = (
    "call model.eval() before, or make the model inside the loss: graph, params, rest = nnx.split(model, nnx.Param, ...) and "
    "nnx.merge(graph, params, rest)"
)
_CONCRETE = (
    "the loss is traced, as by jax.jit: choose by jnp.where or jax.lax.cond, not by if, float() or functions of NumPy"
)
_TRAINS = "batch norm over the examples has no gradient of one example: use its running averages (evaluation mode)"
_KEY = "give key=jax.random.key(seed): the loss is then called as loss(params, example, key=...); or switch dropout off"
#: By the name of an error's class, or that of one of its bases.
_CURES = {
    "TraceContextError": _STATE,
    "ModifyScopeVariableError": f"{_TRAINS}, or apply with mutable=['batch_stats'] and return the loss alone",
    "InvalidRngError": _KEY,
    "ConcretizationTypeError": _CONCRETE,
    "TracerArrayConversionError": _CONCRETE,
    "TracerIntegerConversionError": _CONCRETE,
    "NonConcreteBooleanIndexError": "the loss is traced, as by jax.jit: a mask is multiplied, or jnp.where, not an index",
}
#: Errors of JAX itself, and of Python where shapes or arguments are wrong.
_PLAIN = (TypeError, ValueError, IndexError, AttributeError, KeyError)


def failed(error: Exception, params: PyTree, example: PyTree, *, batched: bool | None, keyed: bool) -> None:
    """Raise what a user can mend in linvar's words; anything else gets a note how the loss was called.

    Raises:
        InputError: from ``error``.
    """
    if isinstance(error, LinvarError):
        return
    one = "a batch" if batched else "one example"
    reason = cut(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}", 160)
    words = Words(f"fails for {one} ({reason})")
    known = [_CURES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _CURES]
    if isinstance(error, NameError) and "axis name" in str(error):
        known = [_TRAINS]
    if isinstance(error, RuntimeError) and "requires a key" in str(error):
        known = [_KEY]
    called = f"it was called with {one}, {_shapes(example)}, and params {_shapes(params)}"
    if known:
        raise _raised(error)("loss", words, known[0]) from error
    if type(error) in _PLAIN:
        raise _raised(error)(
            "loss", words, _cure(error, example, batched=batched, keyed=keyed, called=called)
        ) from error
    error.add_note(f"linvar: the loss is loss(params, example); {called}")


def _raised(error: Exception) -> type[InputError]:
    return InputTypeError if isinstance(error, TypeError) else InputError


def _cure(error: Exception, example: PyTree, *, batched: bool | None, keyed: bool, called: str) -> str:
    """By how the call failed."""
    text = str(error)
    if isinstance(error, TypeError) and ("argument" in text and len(traceback.extract_tb(error.__traceback__)) == 1):
        if "'key'" in text and keyed:
            return "with key= the loss is loss(params, example, key)"
        if "'key'" in text or "'rng'" in text:
            return _KEY
        return "the loss is loss(params, example): the example is ONE pytree, batch=(x, y), and x, y = example inside"
    if isinstance(example, list):
        stacked = "jax.tree.map(lambda *rows: np.stack(rows), *examples)"
        return f"{called}, a list: a list of examples is stacked, {stacked}, one of batches is iter(batches) to noise_scale"
    other = {
        True: "if it is the loss of ONE example leave batched=True out",
        False: "if it is the loss of a batch give batched=True",
        None: "give the loss of ONE example",
    }
    return f"{called}; {other[batched]}; the order is loss(params, example)"


def _shapes(tree: PyTree) -> str:
    """The shapes of the leaves."""
    return cut(f"of shapes {', '.join(str(tuple(np.shape(x))) for x in jax.tree.leaves(tree))}", 80)


def check_unchanged(before: Sequence[object], params: PyTree) -> None:
    """A module among the parameters is as it was: running averages and counts of random numbers are those of all examples."""
    after = jax.tree.leaves(params)
    if len(after) != len(before) or any(a is not b for a, b in zip(after, before)):
        cure = "call model.eval() before; for dropout make its random numbers from key="
        raise InputError("loss", Words("changes the state of the module among params (batch norm, dropout)"), cure)


def check_returned(found: object, *, batched: bool | None) -> None:
    """One array, and no tree of them."""
    one = "a batch" if batched else "one example"
    if found is None:
        raise InputTypeError("loss", Words(f"returns None for {one}"), "end it with return, and the scalar")
    alone = jax.tree_util.all_leaves([found])
    if alone and is_numbers(found):
        return
    count = len(jax.tree.leaves(found))
    if alone:
        raise InputTypeError("loss", Words(f"returns {shown(found)} for {one}"), "return a floating-point scalar")
    pair = isinstance(found, Sequence) and len(found) > 1
    cure = f"what comes beside the loss (has_aux) is not taken, {_ALONE}" if pair else "return the scalar alone"
    raise InputTypeError("loss", Words(f"gives {count} arrays for {one}, in a {type(found).__name__}"), cure)
