"""The jaxpr of a loss of one example, recorded once in 64 bits, and what it gives on entries of any ring."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.tracing.degrees import Degrees
from linvar.tracing.interpreter import Interpreter
from linvar.tracing.values import Entries, NoNumber, cast, filled, kind
from linvar.trees import Structure

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr

#: a loss of one example: (params, example) -> a scalar
Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Program:
    """A loss as JAX recorded it.

    Attributes:
        closed: its jaxpr; the inputs are the leaves of the weights, then those of the example.
        weights, example: their structures.
    """

    closed: ClosedJaxpr
    weights: Structure
    example: Structure

    def run(self, weights: Sequence[Any], example: Sequence[Any]) -> Any:
        """The loss, one entry, of all entries of the weights and of an example, leaf by leaf.

        Raises:
            NotPolynomialError: it does what these entries do not know.
        """
        given = [(self.weights, weights), (self.example, example)]
        arrays = [filled(part, shape) for tree, entries in given for part, shape in zip(tree.cut(entries), tree.shapes)]
        typed = [cast(array, variable.aval.dtype) for array, variable in zip(arrays, self.closed.jaxpr.invars)]
        (loss,) = Interpreter().evaluate(self.closed.jaxpr, self._constants, typed)
        value = loss[()]
        return value.refused() if isinstance(value, NoNumber) else value

    def degrees(self, example: Sequence[Any] | None = None) -> Degrees:
        """Degrees of the loss in the weights and in the coordinates of an example; of one example if it is given.

        Raises:
            NotPolynomialError: the loss is no polynomial in them.
        """
        given = [Degrees(0, 1)] * sum(self.example.sizes) if example is None else example
        found = self.run([Degrees(1, 0)] * sum(self.weights.sizes), given)
        if not isinstance(found, Degrees):
            return Degrees(0, 0)
        return Degrees(max(found.weights, 0), max(found.example, 0), found.terms)

    @cached_property
    def _constants(self) -> list[Entries]:
        """What the loss closes over, exact."""
        return Interpreter().constants(self.closed)

    @cached_property
    def digest(self) -> str:
        """Of all that the loss computes: its primitives, their parameters and its constants."""
        import jax

        found = sha256()
        for line in _lines(self.closed):
            found.update(line.encode())
        for value in _constants(self.closed):
            keys = jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)
            array = np.asarray(jax.random.key_data(value) if keys else value)
            found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        return found.hexdigest()

    @property
    def activations(self) -> int:
        """The sizes of all that is computed on the way, in every step of a loop."""
        return _sizes(self.closed)


def _lines(closed: Any) -> Iterator[str]:
    """A jaxpr, equation by equation, variables by their order, and those inside it; without addresses in memory."""
    jaxpr, places = getattr(closed, "jaxpr", closed), dict[Any, int]()

    def names(atoms: Sequence[Any]) -> str:
        known = (getattr(atom, "val", None) for atom in atoms)
        given = (repr(v) if v is not None else places.setdefault(a, len(places)) for a, v in zip(atoms, known))
        return ", ".join(f"{name}:{atom.aval}" for name, atom in zip(given, atoms))

    yield f"({names([*jaxpr.constvars, *jaxpr.invars])})"
    for equation in jaxpr.eqns:
        yield f"{names(equation.outvars)} = {equation.primitive.name} {names(equation.invars)}"
        inside = [*_jaxprs(equation)]
        for key, value in equation.params.items():
            if not any(part is value or part in (value if isinstance(value, tuple) else ()) for part in inside):
                yield re.sub(r"0x[0-9a-f]+", "", f"{key}={value!r}")
        for part in inside:
            yield from _lines(part)
    yield f"-> {names(jaxpr.outvars)}"


def _sizes(closed: Any) -> int:
    """Of a jaxpr, and of those inside it; of a branch all."""
    total = 0
    for equation in getattr(closed, "jaxpr", closed).eqns:
        inside = sum(map(_sizes, _jaxprs(equation)))
        total += inside * equation.params.get("length", 1) or sum(prod(v.aval.shape) for v in equation.outvars)
    return total


def _jaxprs(equation: Any) -> Iterator[Any]:
    """The jaxprs inside an equation."""
    for value in equation.params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if getattr(getattr(part, "jaxpr", part), "eqns", None) is not None:
                yield part


def _constants(closed: Any) -> Iterator[Any]:
    """Of a jaxpr, and of those inside it."""
    yield from getattr(closed, "consts", ())
    for equation in getattr(closed, "jaxpr", closed).eqns:
        for inside in _jaxprs(equation):
            yield from _constants(inside)


def recorded(loss: Loss, weights: Structure, example: Structure) -> Program:
    """The jaxpr of a loss.

    Whatever was found of a loss is remembered by the function: one that computes something else now, because what it closes over
    has changed, is refused, not taken for what it was.

    Raises:
        InputTypeError: the loss fails on arrays of these shapes, gives no scalar, or is not what it was; it says with what it was
            called.

    >>> weights, _ = Structure.of({"w": [1, 2]}, "weights")
    >>> loss = lambda params, example: (params["w"] @ example[0] - example[1]).sum() ** 2
    >>> recorded(loss, weights, Structure.pair(2, 1)).degrees()
    Degrees(weights=2, example=2)
    """
    found, before = _record(loss, weights, example), _first(loss, weights, example)
    before.append(found.digest)
    if before[0] != found.digest:
        before.pop()
        cure = "define it again (run its def), or bind what changes: functools.partial(loss, scale=3)"
        raise InputTypeError("loss", Words("closes over something that has changed since it was first used"), cure)
    del before[1:]
    return found


@lru_cache(maxsize=1024)
def _first(loss: Loss, weights: Structure, example: Structure) -> list[str]:
    """The digest of a loss when it was first recorded, once it was."""
    return []


def _record(loss: Loss, weights: Structure, example: Structure) -> Program:
    """The jaxpr of a loss as it is now."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True), jax.default_matmul_precision("highest"):  # the same whatever surrounds it
        arguments = [
            tree.unflatten(
                [
                    jax.ShapeDtypeStruct(shape, jnp.int64 if whole else jnp.float64)
                    for shape, whole in zip(tree.shapes, tree.whole)
                ]
            )
            for tree in (weights, example)
        ]
        try:
            # a function of its own: JAX remembers what it traced by the function
            closed, out = jax.make_jaxpr(lambda *given: loss(*given), return_shape=True)(*arguments)
        except InputError:
            raise
        except Exception as error:
            raise _failed(error, weights, example) from error
    _check_scalar(jax.tree.leaves(out))
    return Program(closed, weights, example)


def _check_scalar(leaves: Sequence[Any]) -> None:
    """One real number."""
    cure = "let it give one number, the loss of ONE example: (residual ** 2).sum() / 2"
    if len(leaves) != 1:
        what = f"a pytree of {len(leaves)} arrays" if leaves else "nothing (None)"
        raise InputTypeError("loss", Words(f"gives {what}"), cure)
    if leaves[0].shape != ():
        raise InputTypeError("loss", Words(f"gives an array of shape {leaves[0].shape}"), cure)
    if kind(leaves[0].dtype) != "f":
        raise InputTypeError(
            "loss", Words(f"gives a number of type {leaves[0].dtype}"), "let it give a float: 1.0 * loss"
        )


def _failed(error: Exception, weights: Structure, example: Structure) -> InputTypeError:
    """What is said of a loss that fails while it is recorded."""
    import jax

    first = cut(str(error).partition("\n")[0], 90)
    if isinstance(error, (jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError)):
        fault = "branches, loops or indexes by a number that is traced"
        return InputTypeError("loss", Words(fault), "use jax.numpy.where, jax.lax.cond or params[...][index]")
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return InputTypeError(
            "loss", Words("gives traced arrays to NumPy"), "write it with jax.numpy in place of numpy"
        )
    if isinstance(error, NameError) and "axis" in str(error):
        fault = f"couples examples ({first})"
        return InputTypeError("loss", Words(fault), "give the loss of ONE example, without names of axes")
    called = f"it is called as loss(params, example), params of {cut(repr(weights), 80)}; example of {cut(repr(example), 80)}"
    cure = f"{called}; a list is an array, a tuple or a dictionary is structure"
    return InputTypeError("loss", Words(f"fails on one example ({type(error).__name__}: {first})"), cure)
