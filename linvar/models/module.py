"""The loss of a module: Flax nnx, or a pytree with floating arrays at its leaves, as those of Equinox are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import Matrix, rounded
from linvar.laws.law import Law
from linvar.models.function import Function
from linvar.models.loss import LossModel
from linvar.plain_data import Plain, ProblemFileError
from linvar.tracing.values import NotPolynomialError

if TYPE_CHECKING:
    from jax.tree_util import PyTreeDef
    from jaxtyping import PyTree

#: where a leaf is: the keys of nested dictionaries
Path = tuple[str | int, ...]

_CURE = "give a flax.nnx.Module, or a pytree whose floating arrays are the weights"


@dataclass(frozen=True)
class Kept:
    """An array that has a hash.

    Attributes:
        content, dtype, shape: of its entries.
        keys: the kind of random keys, where it holds such.
        of_jax: whether it is one of JAX, or of NumPy.
    """

    content: bytes
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    keys: str
    of_jax: bool

    @classmethod
    def of(cls, leaf: Any) -> Any:
        """An array, kept; what is none as it is."""
        import jax

        if not is_array(leaf):
            return leaf
        random = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        data = np.asarray(jax.random.key_data(leaf) if random else leaf)
        keys = str(jax.random.key_impl(leaf)) if random else ""
        return cls(data.tobytes(), data.dtype, data.shape, keys, isinstance(leaf, jax.Array))

    @property
    def is_float(self) -> bool:
        """Whether it holds floats."""
        return _is_float(self.dtype)

    def given(self) -> Any:
        """The array."""
        import jax

        found = np.frombuffer(self.content, self.dtype).reshape(self.shape)
        with jax.ensure_compile_time_eval():  # a constant of the loss, no part of what it computes
            if self.keys:
                return jax.random.wrap_key_data(jax.numpy.asarray(found), impl=self.keys)
            return jax.numpy.asarray(found) if self.of_jax else found


class Parts(ABC):
    """A module taken apart: with weights it is one again."""

    @property
    @abstractmethod
    def beside(self) -> tuple[tuple[Path, Any], ...]:
        """The leaves that are no weights, arrays kept as ``Kept``."""

    @abstractmethod
    def merged(self, params: Any, beside: Mapping[Path, Any]) -> Any:
        """The module with these weights, nested dictionaries, and these leaves beside them."""

    def changed(self, module: Any, beside: Mapping[Path, Any]) -> str:
        """The name of a leaf beside the weights that is another after the module was called; empty where none is."""
        return ""


@dataclass(frozen=True)
class FlaxParts(Parts):
    """A module of Flax nnx.

    Attributes:
        graph: its ``GraphDef``; a parameter that is used twice is there once.
        state: what is no Param.
    """

    graph: Any
    state: tuple[tuple[Path, Any], ...]

    @classmethod
    def of(cls, module: Any) -> tuple[FlaxParts, dict[Path, Any]]:
        """The parts, and the arrays of the Params."""
        graph, params, state = _split(module)
        return cls(graph, tuple((path, Kept.of(leaf)) for path, leaf in state.items())), params

    @property
    def beside(self) -> tuple[tuple[Path, Any], ...]:
        return self.state

    def merged(self, params: Any, beside: Mapping[Path, Any]) -> Any:
        from flax import nnx

        return nnx.merge(self.graph, nnx.State(params), nnx.State(nested(beside.items())))

    def changed(self, module: Any, beside: Mapping[Path, Any]) -> str:
        """A running average of BatchNorm or the count of random numbers of Dropout, in training mode."""
        _, _, now = _split(module)
        return next((named(path) for path, leaf in beside.items() if now.get(path) is not leaf), "")


@dataclass(frozen=True)
class TreeParts(Parts):
    """Any pytree.

    Attributes:
        tree: its structure.
        leaves: (path, leaf) of all leaves; None in place of a weight.
    """

    tree: PyTreeDef
    leaves: tuple[tuple[Path, Any], ...]

    @classmethod
    def of(cls, module: Any) -> tuple[TreeParts, dict[Path, Any]]:
        """The parts, and the floating arrays."""
        import jax

        found, tree = jax.tree_util.tree_flatten_with_path(module)
        leaves = {tuple(map(_key, path)): leaf for path, leaf in found}
        if () in leaves:
            raise InputTypeError("module", module, _CURE)
        weights = {path: leaf for path, leaf in leaves.items() if is_array(leaf) and _is_float(leaf.dtype)}
        kept = ((path, None if path in weights else Kept.of(leaf)) for path, leaf in leaves.items())
        return cls(tree, tuple(kept)), weights

    @property
    def beside(self) -> tuple[tuple[Path, Any], ...]:
        return tuple((path, leaf) for path, leaf in self.leaves if leaf is not None)

    def merged(self, params: Any, beside: Mapping[Path, Any]) -> Any:
        return self.tree.unflatten([_at(params, path) if leaf is None else beside[path] for path, leaf in self.leaves])

    def __reduce__(self) -> tuple[Callable[..., TreeParts], tuple[Any, tuple[tuple[Path, Any], ...]]]:
        """JAX pickles no structure with nodes of classes; the pytree itself goes, numbers at its leaves."""
        return _tree_parts, (self.tree.unflatten(range(len(self.leaves))), self.leaves)


def _tree_parts(tree: Any, leaves: tuple[tuple[Path, Any], ...]) -> TreeParts:
    """From a pickle."""
    import jax

    return TreeParts(jax.tree.structure(tree), leaves)


@dataclass(frozen=True)
class ModuleLoss:
    """loss(params, example), of a loss(module, example).

    Attributes:
        name: of the module's class.
        parts: the module without its weights.
        loss: of the module with its weights and ONE example.
    """

    name: str
    parts: Parts
    loss: Function

    def __call__(self, params: Any, example: Any) -> Any:
        beside = {path: leaf.given() if isinstance(leaf, Kept) else leaf for path, leaf in self.parts.beside}
        module = self.parts.merged(params, beside)
        found = self.loss(module, example)
        if place := self.parts.changed(module, beside):
            fault = Words(
                f"changes {place} when it is called, as in training mode: examples are coupled or numbers drawn"
            )
            cure = "call module.eval() first (use_running_average=True of BatchNorm, deterministic=True of Dropout)"
            raise InputError("module", fault, cure)
        return found

    def __repr__(self) -> str:
        return f"{'squared loss' if self.loss.function is squared else f'loss {self.loss!r}'} of {self.name}"


@dataclass(frozen=True)
class ModuleModel(LossModel):
    """The loss of a module."""

    def argument_text(self) -> str:
        """The loss and the module."""
        return f"model=<{self.function.function!r}>"

    def describe(self, weights: tuple[Matrix, ...]) -> str:
        """The loss, the module and its weights."""
        return cut(f"{self.function.function!r}, {self.shape!r}", 120)

    def to_dict(self) -> dict[str, Plain]:
        """Nothing.

        Raises:
            ProblemFileError: always; it says what to do.
        """
        cure = "keep it with pickle (and the lattice without a checkpoint), or write its loss as a function in a module: loss="
        raise ProblemFileError("problem", Words("has a module of Flax or JAX, which no problem file holds"), cure)

    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """As of any loss; floats beside the weights are named."""
        try:
            super().check_law(weights, law)
        except NotPolynomialError as error:
            loss = self.function.function
            beside = loss.parts.beside if isinstance(loss, ModuleLoss) else ()
            floats = [named(path) for path, leaf in beside if isinstance(leaf, Kept) and leaf.is_float]
            if not floats:
                raise
            cure = f"{error.cure}; floats beside the weights ({cut(', '.join(floats), 40)}) are constants"
            cure += ": fold them into the layer before (as BatchNorm), or make them Params"
            raise NotPolynomialError(error.argument, error.value, cure) from None


def of_module(
    module: Any, loss: Callable[..., Any] | None, decimals: int
) -> tuple[ModuleModel, dict[str | int, PyTree]]:
    """The model of a module, and its weights rounded, nested dictionaries by the names in the module.

    Raises:
        InputTypeError: there is nothing to differentiate, or nothing to call.
        InputError: a weight is not finite.
    """
    from flax import nnx

    if loss is None and not callable(module):
        raise InputTypeError(
            "module", module, "give a module that can be called, or loss=, of the module and an example"
        )
    if loss is not None and not callable(loss):
        raise InputTypeError("loss", loss, "give a function loss(module, example) of ONE example")
    kind = FlaxParts if isinstance(module, nnx.Module) else TreeParts
    parts, arrays = kind.of(module)
    if not arrays:
        raise InputTypeError("module", Words(f"of type {type(module).__name__} has no weights"), _CURE)
    weights = nested((path, rounded(leaf, decimals, f"module.{named(path)}")) for path, leaf in arrays.items())
    function = Function.of(squared if loss is None else loss)
    return ModuleModel(Function.of(ModuleLoss(type(module).__name__, parts, function))), weights


def squared(module: Callable[[Any], Any], example: Any) -> Any:
    """1/2 ||module(x) - y||^2 of one example (x, y).

    Raises:
        InputError: what the module gives has not the shape of y.
    """
    x, y = example
    found = module(x)
    if found.shape != y.shape:
        fault = Words(f"maps x of shape {x.shape} to shape {found.shape}, and y has shape {y.shape}")
        raise InputError("module", fault, "give loss=, a function of the module and ONE example, that shapes them")
    return ((found - y) ** 2).sum() / 2


def nested(leaves: Iterable[tuple[Path, Any]]) -> dict[str | int, Any]:
    """Nested dictionaries, by the keys of paths."""
    found: dict[str | int, Any] = {}
    for path, leaf in leaves:
        node = found
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = leaf
    return found


def named(path: Path) -> str:
    """As in layers.0.kernel."""
    return ".".join(map(str, path))


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array."""
    import jax

    return isinstance(leaf, (jax.Array, np.ndarray))


def _is_float(dtype: Any) -> bool:
    """Of any width, bfloat16 too."""
    import jax

    return bool(jax.dtypes.issubdtype(dtype, np.floating))


def _split(module: Any) -> tuple[Any, dict[Path, Any], dict[Path, Any]]:
    """Graph, arrays of Params, and the rest, of a module of Flax."""
    from flax import nnx

    graph, *states = nnx.split(module, nnx.Param, ...)
    params, rest = (dict(_flat(nnx.to_pure_dict(state))) for state in states)
    return graph, params, rest


def _flat(node: Any, path: Path = ()) -> Iterable[tuple[Path, Any]]:
    """The leaves of nested dictionaries."""
    if not isinstance(node, dict):
        yield path, node
        return
    for key, part in node.items():
        yield from _flat(part, (*path, key))


def _at(node: Any, path: Path) -> Any:
    """The leaf at a path."""
    for key in path:
        node = node[key]
    return node


def _key(entry: Any) -> str | int:
    """An entry of a path of JAX: the name of a field, a key, or a place."""
    import jax

    if isinstance(entry, jax.tree_util.SequenceKey):
        return int(entry.idx)
    return str(jax.tree_util.keystr((entry,), simple=True))
