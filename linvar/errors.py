"""What a user can mend: which argument, its value, and the cure.

``InputError`` is a ``ValueError`` and ``InputTypeError`` also a ``TypeError``, so that either may be caught as such. The command
line prints every ``LinvarError`` in one line and exits with 2; any other exception is a bug of linvar.
"""

from __future__ import annotations

import inspect
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: No message repeats more characters of a value.
LONGEST = 120
#: Packages whose calls lie between a warning and the line that it names: JAX traces, jaxtyping checks annotations in tests.
_BETWEEN = frozenset({"linvar", "jax", "jaxtyping"})


class LinvarError(Exception):
    """An error whose message is for the user: what is wrong and what to do, in one line."""


class Words(str):
    """What a message says of a value in place of showing it: ``Words("has shape (2, 3)")``."""


@dataclass(frozen=True)
class Argument:
    """A mention of an argument of the call.

    Attributes:
        name: of the argument.
        value: as an option takes it; "" to name it only.
        python: how Python says it, where that is not ``name=value``.
    """

    name: str
    value: str = ""
    python: str = ""

    def __str__(self) -> str:
        return self.python or f"{self.name}={self.value}"

    def typed(self, options: Mapping[str, str]) -> str:
        """The same as an option of a command, if it has one."""
        return f"{options[self.name]} {self.value}".rstrip() if self.name in options else str(self)


class Said(str):
    """Words that mention arguments: said as in Python, and kept apart so that a command line may name its options.

    >>> said = Said("leave {} out", Argument("digits"))
    >>> said, said.typed({"digits": "--digits"})
    ('leave digits= out', 'leave --digits out')
    """

    template: str
    arguments: tuple[Argument, ...]

    def __new__(cls, template: str, *arguments: Argument) -> Said:
        said = super().__new__(cls, template.format(*arguments))
        said.template, said.arguments = template, arguments
        return said

    def __getnewargs__(self) -> tuple[str, *tuple[Argument, ...]]:  # type: ignore[override]  # a pickle makes it anew
        return (self.template, *self.arguments)

    def typed(self, options: Mapping[str, str]) -> str:
        """The words with the options of a command."""
        return self.template.format(*(argument.typed(options) for argument in self.arguments))


class InputError(LinvarError, ValueError):
    """An argument that cannot be taken.

    Its message is ``argument=value fault: cure``, ``argument words: cure`` if the value is given in ``Words``, and
    ``--option value fault: cure`` for an option of the command line.

    Args:
        argument: its name as the user typed it: ``step``, ``weights[0][1]``, ``--seed``.
        value: what was given, shown shortened; or ``Words`` about it.
        cure: what to give in its place; as ``fault`` it is ``Said`` where it mentions arguments that are options of a command.
        fault: what is wrong with the value, where showing it does not say so: "is negative".

    >>> raise InputError("step", -3, "give the number of updates, >= 0", fault="is negative")
    Traceback (most recent call last):
    linvar.errors.InputError: step=-3 is negative: give the number of updates, >= 0
    """

    def __init__(self, argument: str, value: object, cure: str, fault: str = "") -> None:
        super().__init__(argument, value, cure, fault)
        self.argument, self.value, self.cure, self.fault = argument, value, cure, fault

    def __str__(self) -> str:
        return f"{self.statement}: {one_line(self.cure)}"

    @property
    def statement(self) -> str:
        """The message without the cure."""
        if isinstance(self.value, Words):
            start = f"{self.argument} {one_line(self.value)}"
        else:
            start = f"{self.argument}{' ' if self.argument.startswith('-') else '='}{shown(self.value)}"
        return f"{start} {one_line(self.fault)}" if self.fault else start


class InputTypeError(InputError, TypeError):
    """An argument of the wrong type; the message names the type if no other fault is given.

    >>> raise InputTypeError("step", 1.5, "give the number of updates, an int >= 0")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: step=1.5 is of type float: give the number of updates, an int >= 0
    """

    def __init__(self, argument: str, value: object, cure: str, fault: str = "") -> None:
        if not fault and not isinstance(value, Words):
            fault = f"is of type {type(value).__name__}"
        super().__init__(argument, value, cure, fault)


class NotFiniteError(InputError, FloatingPointError):
    """Data or a model that give no finite number."""


class DerivationTooLargeError(LinvarError, RuntimeError):
    """A derivation that would not fit in memory, or take too long; nothing was started.

    Args:
        statement: what does not fit, and by how much.
        cures: what may be done about it, each as (the argument of the call that it changes, or "", words).

    >>> raise DerivationTooLargeError("step 3 does not fit", [("order", "order=2"), ("", "fewer steps")])
    Traceback (most recent call last):
    linvar.errors.DerivationTooLargeError: step 3 does not fit: use order=2 or fewer steps
    """

    def __init__(self, statement: str, cures: Sequence[tuple[str, str]]) -> None:
        super().__init__(statement, cures)
        self.statement, self.cures = statement, cures

    def __str__(self) -> str:
        *others, last = [words for _, words in self.cures] or ["a smaller problem"]
        return f"{self.statement}: use {', '.join(others)}{' or ' * bool(others)}{last}"


class MissingExtraError(LinvarError, ImportError):
    """An optional dependency is not installed; the message has the command that installs it."""


def warn(text: str) -> None:
    """A RuntimeWarning that names the line from which linvar was called, however many calls are between."""
    level, frame = 2, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, RuntimeWarning, stacklevel=level - 1)


class _Shortened(reprlib.Repr):
    """Representations of bounded length, at a cost that does not grow with the value's size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother, self.maxstring = 4, LONGEST, LONGEST - 20
        self.maxlist = self.maxtuple = self.maxarray = self.maxset = self.maxfrozenset = self.maxdict = 5

    def repr_int(self, x: int, level: int) -> str:
        # CPython prints no integer of more than 4,300 digits
        return (
            repr(x) if x.bit_length() < 200 else f"<an integer of about {x.bit_length() * 30103 // 100_000 + 1} digits>"
        )

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            shape = getattr(x, "shape", None)
        except Exception:  # noqa: BLE001  as that of an entry w[i] of SymPy, which has none
            shape = None
        if isinstance(shape, tuple) and len(shape):  # an array or a table: never its entries
            return f"<{type(x).__name__} of shape {shape}>"
        try:
            text = repr(x)
        except Exception:  # noqa: BLE001  a message must not fail on a value's own repr
            return f"<{type(x).__name__}>"
        return cut(text, self.maxother)


_SHORTENED = _Shortened()


def shown(value: object, limit: int = LONGEST) -> str:
    """A value as a message shows it: one line of at most ``limit`` characters.

    >>> shown("x" * 1_000) == shown("x" * 1_000_000), len(shown(list(range(10**6)))) < 40
    (True, True)
    """
    return cut(_SHORTENED.repr(value), limit)


def cut(text: str, limit: int = LONGEST) -> str:
    """One line, cut in the middle where it is longer than ``limit``."""
    text = one_line(text)
    return text if len(text) <= limit else f"{text[: limit * 2 // 3 - 3]}...{text[-(limit // 3) :]}"


def one_line(text: str) -> str:
    """The text with every run of white space one blank."""
    return " ".join(text.split())
