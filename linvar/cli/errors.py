"""How a command ends: errors in the words of the command line, and exit statuses. Nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from linvar.cli.help import Group
from linvar.errors import DerivationTooLargeError, InputError, LinvarError, Said, cut, one_line, shown

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

#: Exit statuses.
OK, REJECTED, BAD_INPUT, UNRESOLVED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 70, 130
#: Seconds from Ctrl-C to the end of the program.
_PATIENCE = 2.0
#: Characters of a message that repeats what was typed.
_LONGEST_USAGE, _LONGEST_REFUSAL = 220, 600


def leave(status: int) -> NoReturn:
    """End the process at once: XLA may still be compiling in a thread of its own, which an orderly end would crash or wait on."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def heed_interrupts() -> None:
    """Let Ctrl-C end the program whatever happens to its exception: two seconds later at the latest.

    A KeyboardInterrupt that is raised inside a destructor or a callback of a library is printed and lost, and the work goes on.
    What ignores the signal, as a program started in the background, goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def give_up() -> None:
        leave(complain("interrupted", INTERRUPTED))

    def heed(*_: object) -> None:
        timer = threading.Timer(_PATIENCE, give_up)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    def lost(found: UnraisableHookArgs) -> None:
        if isinstance(found.exc_value, KeyboardInterrupt):
            give_up()
        printed(found)

    printed, sys.unraisablehook = sys.unraisablehook, lost
    signal.signal(signal.SIGINT, heed)


@contextlib.contextmanager
def while_read() -> Iterator[None]:
    """Print as long as there is a reader: one that has gone, as in ``linvar ... | head``, is no error, and changes no status."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()


@contextlib.contextmanager
def _unread_is_done() -> Iterator[None]:
    """A reader that has gone ends the command, and it is done: click would end with 1, which says REJECT."""
    try:
        yield
    except BrokenPipeError:
        _forget_output()
        raise typer.Exit(OK) from None


def _forget_output() -> None:
    """What is still to be printed goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def status_of(error: Exception) -> int:
    """Print an error in one line; one that is not the user's is printed in full."""
    if isinstance(error.__cause__, LinvarError) and not isinstance(error, LinvarError):  # a parser of ``cli.arguments``
        return complain(str(error.__cause__))
    # click's usage errors, wherever this version of typer keeps them
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "linvar"
        message = error.format_message().rstrip(".").replace("Value error, ", "")
        return complain(f'{cut(message, _LONGEST_USAGE)}: see "{path} --help"')
    if isinstance(error, LinvarError):
        return complain(str(error))
    if isinstance(error, OSError):
        return complain(_refusal(error))
    if isinstance(error, ImportError) and not (error.name or "").startswith("linvar"):
        return complain(f'{error}: install it, or linvar again with pip install --upgrade "linvar"')
    traceback.print_exception(error)
    return complain("internal error: please report it with the lines above", INTERNAL)


def _refusal(error: OSError) -> str:
    """What the operating system refused, and of which file."""
    if error.strerror is None or error.filename is None:
        return cut(str(error), _LONGEST_REFUSAL)
    return f"{shown(error.filename)}: {error.strerror}: give another path, or change what is in its way"


def complain(message: str, status: int = BAD_INPUT) -> int:
    """One line on standard error, without control characters; the exit status that goes with it."""
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in one_line(message))
    print(f"linvar: {line}", file=sys.stderr)
    return status


# errors, as typed


class Commands(Group):
    """The commands; an error about an argument of a function becomes one about the option it came from."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with _unread_is_done():
                return super().invoke(ctx)
        except LinvarError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            if command is None:
                raise
            raise as_typed(error, option_names(command)) from error

    def make_context(self, *args: Any, **options: Any) -> Any:
        """With ``--help``, which prints."""
        with _unread_is_done():
            return super().make_context(*args, **options)


def option_names(command: Any) -> dict[str, str]:
    """What the user types for each parameter of a command: ``{"memory_limit": "--memory-limit", "file": "FILE"}``."""
    return {
        parameter.name: max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.metavar
        for parameter in command.params
    }


def as_typed(error: LinvarError, options: Mapping[str, str]) -> LinvarError:
    """An error of the library, said of the options of a command; what the command has no option for is not offered."""
    if isinstance(error, DerivationTooLargeError):
        offered = [(argument, words) for argument, words in error.cures if not argument or argument in options]
        cures = [(argument, spelled(words, options)) for argument, words in offered]
        return DerivationTooLargeError(spelled(error.statement, options), cures)
    if not isinstance(error, InputError):
        return error
    name, _, _ = error.argument.partition(
        "["
    )  # an element of a list is named by the option that has it, and by its value
    argument = options.get(name, error.argument)
    return InputError(argument, error.value, spelled(error.cure, options), fault=spelled(error.fault, options))


def spelled(text: str, options: Mapping[str, str]) -> str:
    """Words with the arguments they mention as the options of a command: ``leave road= out`` as ``leave --method out``.

    >>> from linvar.errors import Argument
    >>> spelled(Said("leave {} out", Argument("road")), {"road": "--method"})
    'leave --method out'
    """
    return text.typed(options) if isinstance(text, Said) else text
