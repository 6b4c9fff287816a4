"""The jaxpr of a loss of one example, recorded once in 64 bits, and what it gives on entries of any ring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.tracing.degrees import Degrees
from linvar.tracing.interpreter import Interpreter
from linvar.tracing.values import CURE, cast, filled
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
        (loss,) = Interpreter().run(self.closed, typed)
        return loss[()]

    def degrees(self, example: Sequence[Any] | None = None) -> Degrees:
        """Degrees of the loss in the weights and in the coordinates of an example; of one example if it is given.

        Raises:
            NotPolynomialError: the loss is no polynomial in them.
        """
        given = [Degrees(0, 1)] * sum(self.example.sizes) if example is None else example
        found = self.run([Degrees(1, 0)] * sum(self.weights.sizes), given)
        return found if isinstance(found, Degrees) else Degrees(0, 0)


@lru_cache(maxsize=64)
def recorded(loss: Loss, weights: Structure, example: Structure) -> Program:
    """The jaxpr of a loss.

    Raises:
        InputTypeError: the loss fails on arrays of these shapes, or gives no scalar; it says with what it was called.
    """
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
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
            closed, out = jax.make_jaxpr(loss, return_shape=True)(*arguments)
        except InputError:
            raise
        except Exception as error:
            raise _failed(error, weights, example) from error
    (leaves, _) = jax.tree.flatten(out)
    if len(leaves) != 1 or leaves[0].shape != ():
        what = f"an array of shape {leaves[0].shape}" if len(leaves) == 1 else f"a pytree of {len(leaves)} arrays"
        cure = "let it give one number, the loss of ONE example: (residual ** 2).sum() / 2"
        raise InputTypeError("loss", Words(f"gives {what}"), cure)
    return Program(closed, weights, example)


def _failed(error: Exception, weights: Structure, example: Structure) -> InputTypeError:
    """What is said of a loss that fails while it is recorded."""
    import jax

    first = cut(str(error).partition("\n")[0], 90)
    if isinstance(error, (jax.errors.TracerBoolConversionError, jax.errors.TracerIntegerConversionError)):
        fault = "branches, loops or indexes by a number that is traced"
        return InputTypeError("loss", Words(fault), "use jax.numpy.where, jax.lax.cond or params[...][index]")
    if isinstance(error, NameError) and "axis" in str(error):
        fault = f"couples examples ({first})"
        return InputTypeError("loss", Words(fault), "give the loss of ONE example, without names of axes")
    called = f"it is called as loss(params, example), params with {weights!r}; example with {example!r}"
    return InputTypeError("loss", Words(f"fails on one example ({type(error).__name__}: {first})"), f"{called}; {CURE}")
