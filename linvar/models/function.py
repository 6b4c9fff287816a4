"""A loss as a statement: a function and its arguments, by a name where it has one."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.plain_data import ProblemFileError

#: the module whose functions are named without it
FAMILIES = "linvar.families"

_CURE = "give a function loss(params, example) of ONE example"


@dataclass(frozen=True)
class Function:
    """A loss(params, example), and the keyword arguments that it takes beside.

    Equal to another if the function is the same and its arguments are equal.

    Attributes:
        function: of params, an example and the arguments.
        arguments: (name, value), in the order of the names.
    """

    function: Callable[..., Any]
    arguments: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, loss: Any) -> Function:
        """A function, or a ``functools.partial`` of one with keyword arguments.

        Raises:
            InputTypeError: it cannot be called, has no hash, or has positional arguments already.
        """
        if isinstance(loss, Function):
            return loss
        if isinstance(loss, str) or not callable(loss):
            raise InputTypeError("loss", loss, _CURE)
        function, arguments = loss, dict[str, Any]()
        while isinstance(function, functools.partial):
            if function.args:
                raise InputTypeError("loss", loss, "bind arguments by name: functools.partial(loss, power=3)")
            function, arguments = function.func, {**function.keywords, **arguments}
        found = cls(function, tuple(sorted(arguments.items())))
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

    @property
    def name(self) -> str:
        """ "module:function", or the name of a family.

        Raises:
            ProblemFileError: it cannot be found again by a name.
        """
        module, name = _place(self.function)
        cure = "write it with def at the top of a module that can be imported, or keep the problem with pickle"
        found: Any = None
        if module and module != "__main__" and "<" not in name:
            found = functools.reduce(
                lambda part, key: getattr(part, key, None), name.split("."), importlib.import_module(module)
            )
        if found is not self.function:
            raise ProblemFileError(
                "loss", Words(f"is {cut(name or repr(self.function), 60)}, which has no name in a module"), cure
            )
        return name if module == FAMILIES else f"{module}:{name}"

    @classmethod
    def named(cls, name: str, arguments: Mapping[str, Any]) -> Function:
        """The function of a name; its module is imported.

        Raises:
            ProblemFileError: there is none.
        """
        module, colon, path = name.rpartition(":")
        try:
            start: Any = importlib.import_module(module if colon else FAMILIES)
            function = functools.reduce(getattr, path.split("."), start)
        except (ImportError, AttributeError, ValueError) as error:
            cure = f'write "module:function" of a module that can be imported, or a family: {_families()}'
            raise ProblemFileError("loss", name, cure, fault="is not found") from error
        if not callable(function) or (not colon and path not in importlib.import_module(FAMILIES).__all__):
            raise ProblemFileError("loss", name, f"write one of {_families()}", fault="is no loss")
        try:
            return cls.of(functools.partial(function, **dict(arguments)))
        except InputError as error:
            raise ProblemFileError("loss", error.value, error.cure, error.fault) from error


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    """Module and name of a function."""
    return getattr(function, "__module__", "") or "", getattr(function, "__qualname__", "") or ""


def _families() -> str:
    """Their names."""
    return ", ".join(importlib.import_module(FAMILIES).__all__)
