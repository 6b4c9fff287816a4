"""A loss of any kind of callable, compiled once for all calls that compute the same.

A function is known by its identity, as to ``jax.jit``: what it closes over is that of the first call. What is BOUND to a
callable is that of the call at hand: the arguments of a ``functools.partial``, the arrays of a module that is a pytree
(Equinox, Flax nnx) or whose method it is, are inputs of the compiled program; of an ordinary object, the attributes that its
code names are compared, and what has changed is compiled again.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import TypeAlias

import jax
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.errors import InputTypeError
from linvar.numeric.gradients.fixed import Fixed, Frame, apart, key_of, same
from linvar.numeric.gradients.hints import check_returned, check_unchanged, failed
from linvar.numeric.gradients.parameters import Leaves, Rest, part

#: Names in code that may read any attribute.
_ANY = frozenset(("getattr", "vars", "__dict__", "__getattribute__", "attrgetter"))
#: From a tree, in which arrays may be traced, to the function.
_Make: TypeAlias = Callable[[PyTree], Callable[..., ArrayLike]]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["bound", "held"], meta_fields=["form"])
@dataclass(frozen=True, eq=False)
class TakenLoss:
    """A loss as a pytree of the arrays bound to it, called with the differentiated leaves of the parameters.

    Attributes:
        bound: arrays bound to the callable.
        held: arrays among the parameters that are held fixed.
        form: all the rest, by which programs are told apart.
    """

    bound: Sequence[object]
    held: Sequence[object]
    form: Form

    def differentiated(self, flags: Sequence[bool]) -> list[bool]:
        """What was said of every leaf of the parameters, of those that are not held fixed."""
        rest = self.form.rest
        return [flag for flag, own in zip(flags, rest.own) if own] if rest is not None else list(flags)

    @property
    def given(self) -> Callable[..., ArrayLike]:
        """The callable that was given, with what is bound to it."""
        return self.form.make(self.form.frame.joined(self.bound))

    def __call__(self, params: PyTree, example: PyTree, **keys: jax.Array) -> ArrayLike:
        """The loss of one example or of a batch.

        Raises:
            InputError: it fails in a way that a user of linvar meets, or does not return one array.
        """
        rest = self.form.rest
        whole = params if rest is None else rest.joined(params, self.held)
        before = None if rest is None else jax.tree.leaves(whole)
        try:
            found = self.given(whole, example, **keys)
        except Exception as error:
            failed(error, params, example, batched=self.form.batched, keyed=bool(keys))
            raise
        check_returned(found, batched=self.form.batched)
        if before is not None:
            check_unchanged(before, whole)
        return found


@dataclass(frozen=True, eq=False)
class Form:
    """How a loss is made of arrays; equal for two callables that make the same program."""

    make: _Make
    frame: Frame
    rest: Rest | None
    batched: bool | None
    keys: Fixed

    def __eq__(self, other: object) -> bool:
        try:
            return isinstance(other, Form) and bool(self._all == other._all)
        except Exception:  # noqa: BLE001  static fields of a module that cannot be compared are not known to be equal
            return False

    def __hash__(self) -> int:
        return hash((self.keys, self.frame.fixed, self.batched))

    @property
    def _all(self) -> tuple[object, ...]:
        return self.keys, self.frame, self.rest, self.batched


def take(
    loss: object, params: PyTree, *, batched: bool | None, leaves: Leaves | None = None
) -> tuple[TakenLoss, PyTree]:
    """A loss that can be compiled, and the parameters that are differentiated, None where a leaf is held fixed.

    Args:
        loss: of the user.
        params: likewise.
        batched: of a batch; None where it is of one example always.
        leaves: of the parameters, that are not held fixed; None: all.

    Raises:
        InputTypeError: no function, or nothing to differentiate.
    """
    if isinstance(loss, TakenLoss):
        return loss, params
    if not callable(loss):
        raise InputTypeError("loss", loss, "give a function loss(params, example), before params and the examples")
    own, held, rest = part(params, leaves)
    opened = _open(loss)
    bound, frame = apart(opened.tree)
    return TakenLoss(bound, held, Form(opened.make, frame, rest, batched, Fixed((), opened.keys))), own


@dataclass(frozen=True)
class _Opened:
    """A callable as a tree of what is bound to it, how it is made of that tree, and what else tells it apart."""

    tree: PyTree
    make: _Make
    keys: tuple[Hashable, ...]


def _open(loss: Callable[..., ArrayLike]) -> _Opened:
    """Partial functions, methods of pytrees, pytrees, objects, functions."""
    if isinstance(loss, functools.partial):  # jax.tree_util.Partial too
        inner = _open(loss.func)
        tree = (inner.tree, loss.args, loss.keywords)
        return _Opened(tree, lambda x: functools.partial(inner.make(x[0]), *x[1], **x[2]), ("partial", *inner.keys))
    if isinstance(loss, MethodType):
        function = loss.__func__
        if _is_tree(loss.__self__):
            return _Opened(loss.__self__, lambda x: MethodType(function, x), ("method", key_of(function)))
        keys = ("method", key_of(function), _key_of_object(loss.__self__, function))
        return _Opened((), lambda _: loss, keys)
    if _is_tree(loss):
        return _Opened(loss, lambda x: x, ("tree",))
    if isinstance(loss, FunctionType) or inspect.isbuiltin(loss):
        return _Opened((), lambda _: loss, (key_of(loss),))
    return _Opened((), lambda _: loss, (_key_of_object(loss, inspect.getattr_static(type(loss), "__call__", None)),))


def _is_tree(value: object) -> bool:
    """A node of pytrees, made of its leaves."""
    return not jax.tree_util.all_leaves([value])


def _key_of_object(value: object, function: object) -> Hashable:
    """An ordinary object: itself if it has its own notion of equality, else the attributes that the code may read, too."""
    if type(value).__hash__ not in (None, object.__hash__):
        try:
            hash(value)
        except TypeError:
            pass
        else:
            return key_of(value)
    attributes = getattr(value, "__dict__", {})
    names = set(_names(function, type(value)))
    read = {name: x for name, x in attributes.items() if not names or name in names or names & _ANY}
    leaves, structure = jax.tree.flatten(read)
    return same(value), structure, tuple(map(_key_of_attribute, leaves))


def _key_of_attribute(value: object) -> Hashable:
    """Arrays of JAX do not change: they are known by identity; those of NumPy do, and small ones by what is in them."""
    return same(value) if isinstance(value, jax.Array) else key_of(value)


def _names(function: object, owner: type) -> Iterator[str]:
    """The names that the code of a method uses, and that of the methods and properties it names; none if it has no code."""
    waiting, seen = [function], set()
    while waiting:
        now = waiting.pop()
        code = getattr(inspect.unwrap(now) if callable(now) else now, "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        for name in _of_code(code):
            yield name
            found = inspect.getattr_static(owner, name, None)
            waiting.append(getattr(found, "fget", None) or getattr(found, "__func__", None) or found)


def _of_code(code: CodeType) -> Iterator[str]:
    """Names in code and in the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
