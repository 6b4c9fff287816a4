"""A loss as a statement: a function and its arguments, by a name where it has one."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Rational as AnyRational
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import FRACTION, Rational, parse_rational
from linvar.plain_data import ProblemFileError

if TYPE_CHECKING:
    from linvar.tracing.program import Program
    from linvar.trees import Structure

#: the module whose functions are named without it
FAMILIES = "linvar.families"

_CURE = "give a function loss(params, example) of ONE example"
_NAMELESS = "write it with def at the top of a module that can be imported, or keep the problem with pickle"


@dataclass(frozen=True)
class Function:
    """A loss(params, example), and the keyword arguments that it takes beside.

    Equal to another if the function is the same and its arguments are equal, and of the same types. What a function closes over
    is taken as it is when a problem is stated, and must not change: one that has changed is refused when it is stated again.

    Attributes:
        function: of params, an example and the arguments.
        arguments: (name, value), in the order of the names; fractions, and text "p/q", are exact numbers.
        types: of the values. (1, 1.0 and True are equal, and make other programs.)
    """

    function: Callable[..., Any]
    arguments: tuple[tuple[str, Any], ...] = ()
    types: tuple[Any, ...] = ()

    @classmethod
    def of(cls, loss: Any) -> Function:
        """A function, or a ``functools.partial`` of one with keyword arguments.

        Raises:
            InputTypeError: it cannot be called, has no hash, or has positional arguments already.
        """
        if isinstance(loss, Function):
            return loss
        if isinstance(loss, str):
            raise InputTypeError(
                "loss", loss, f"{_CURE}, like linvar.families.diagonal (names stand in problem files only)"
            )
        if isinstance(loss, type) or not callable(loss):
            raise InputTypeError("loss", loss, _CURE)
        function: Any = loss
        arguments: dict[str, Any] = {}
        while isinstance(function, functools.partial):
            if function.args:
                raise InputTypeError("loss", loss, "bind arguments by name: functools.partial(loss, power=3)")
            function, arguments = function.func, {**function.keywords, **arguments}
        settled = {key: _settled(arguments[key], f"argument {key} of the loss") for key in sorted(arguments)}
        found = cls(function, tuple(settled.items()), tuple(map(_types, settled.values())))
        try:
            hash(found)
        except TypeError:
            cure = "bind numbers, text and tuples of them; arrays belong to the weights or the function"
            raise InputTypeError("loss", Words("has a part without a hash"), cure) from None
        return found

    def __call__(self, params: Any, example: Any) -> Any:
        return self.function(params, example, **dict(self.arguments))

    def __repr__(self) -> str:
        module, name = _place(self.function)
        short = name if module in (FAMILIES, "__main__", "") else f"{module}:{name}"
        bound = ", ".join(f"{key}={value!r}" for key, value in self.arguments)
        return cut(f"{short}({bound})" if bound else short, 100)

    def __reduce__(self) -> tuple[Any, ...]:
        # programs are recorded anew; by its name a function is found that jax.jit made, which is not pickled itself
        module, name = _place(self.function)
        if _found(module, name) is self.function:
            return (_restored, (module, name, self.arguments, self.types))
        return (Function, (self.function, self.arguments, self.types))

    @functools.cached_property
    def _programs(self) -> dict[tuple[Structure, Structure], Program]:
        """What was recorded of this statement."""
        return {}

    def program(self, weights: Structure, example: Structure) -> Program:
        """The loss as JAX records it, once for a statement.

        Raises:
            InputTypeError: it fails, gives no scalar, or has changed (``linvar.tracing.program.recorded``).
        """
        from linvar.tracing.program import recorded  # loads NumPy and python-flint

        if (weights, example) not in self._programs:
            self._programs[weights, example] = recorded(self, weights, example)
        return self._programs[weights, example]

    @property
    def name(self) -> str:
        """ "module:function", or the name of a family.

        Raises:
            ProblemFileError: it cannot be found again by a name.
        """
        module, name = _place(self.function)
        found: Any = None
        if module and module != "__main__" and "<" not in name:
            found = _found(module, name)
        if found is not self.function:
            fault = Words(f"is {cut(name or repr(self.function), 60)}, which has no name in a module")
            raise ProblemFileError("loss", fault, _NAMELESS)
        return name if module == FAMILIES else f"{module}:{name}"

    @classmethod
    def named(cls, name: str, arguments: Mapping[str, Any]) -> Function:
        """The function of a name in a file that is not trusted: a family, or one of a module that the program has imported.

        Nothing is imported, and what is found must be written in Python, be known by this very name, and take params and an
        example; functions of the standard library are no losses. (Stating the problem then calls it with JAX's tracers.)

        Raises:
            ProblemFileError: there is none.
        """
        module, colon, path = name.rpartition(":")
        module = module if colon else FAMILIES
        function = _found(module, path)
        if function is None and colon and module not in sys.modules:
            before = f'import "{cut(module, 60)}" in Python before (a problem file imports nothing)'
            cure = f"{before}, or write a family: {_families()}"
            raise ProblemFileError("loss", name, cure, fault="is of a module that is not imported")
        if function is None:
            cure = f'write "module:function", or a family: {_families()}'
            raise ProblemFileError("loss", name, cure, fault="is not found")
        if not _is_loss(function, arguments) or (not colon and path not in importlib.import_module(FAMILIES).__all__):
            cure = f"name a function loss(params, example) written in Python, and the arguments it takes; families: {_families()}"
            raise ProblemFileError("loss", name, cure, fault="is no loss with these arguments")
        try:
            found = cls.of(functools.partial(function, **dict(arguments)))
        except InputError as error:
            raise ProblemFileError("loss", error.value, error.cure, error.fault) from error
        if found.name not in (name, path):
            raise ProblemFileError("loss", name, f"write {found.name}", fault="is the name of another")
        return found


def _is_loss(function: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether it is a function of Python, of no module of the standard library, that takes params, an example and these."""
    plain = inspect.unwrap(function) if callable(function) else None
    if not inspect.isfunction(plain) or _place(plain)[0].partition(".")[0] in sys.stdlib_module_names:
        return False
    try:
        inspect.signature(function).bind(None, None, **arguments)
    except (TypeError, ValueError):
        return False
    return True


def _found(module: str, path: str) -> Any:
    """What stands at a name in a module that is imported; None where nothing does."""
    start = importlib.import_module(FAMILIES) if module == FAMILIES else sys.modules.get(module)
    return functools.reduce(lambda part, key: getattr(part, key, None), path.split("."), start)


def _restored(module: str, name: str, arguments: tuple[tuple[str, Any], ...], types: tuple[Any, ...]) -> Function:
    """From a pickle.

    Raises:
        InputError: the module has no such function any more.
    """
    importlib.import_module(module)
    function = _found(module, name)
    if function is None:
        raise InputError("loss", Words(f"was {module}:{name}, which is not there any more"), "pickle the problem again")
    return Function(function, arguments, types)


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    """Module and name of a function."""
    return getattr(function, "__module__", "") or "", getattr(function, "__qualname__", "") or ""


def _families() -> str:
    """Their names."""
    return cut(", ".join(importlib.import_module(FAMILIES).__all__), 100)


def _settled(value: Any, name: str) -> Any:
    """An argument as a file gives it back: a fraction is a Rational, a whole one and such text an int."""
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_settled(part, name) for part in value)
    if isinstance(value, str) and FRACTION.fullmatch(value):
        value = parse_rational(value, name)
    if isinstance(value, AnyRational) and not isinstance(value, int):
        return (
            int(value.numerator) if value.denominator == 1 else Rational(int(value.numerator), int(value.denominator))
        )
    return value


def _types(value: Any) -> Any:
    """The type of a value, or those in a tuple."""
    return tuple(map(_types, value)) if type(value) is tuple else type(value)
