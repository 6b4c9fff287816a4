"""The command line: ``linvar derive | plan | compare | verify | plot | formula | search | experiment | demo | example``.

Heavy imports (JAX, matplotlib, SymPy, python-flint) are inside the commands, so that ``linvar --help`` is quick.
Whatever the user gets wrong (a ``LinvarError``) ends in one line on standard error and exit status 2, as does what the
operating system refuses: commands raise, ``main`` prints. Any other exception is a bug: a traceback and exit status 70.
"""

from __future__ import annotations

from typing import Annotated

import typer

from linvar.cli.commands import comparisons, derivations, examples, formulas, searches, simulations
from linvar.cli.errors import INTERRUPTED, OK, Commands, complain, heed_interrupts, leave, status_of, while_read
from linvar.cli.help import Command

app = typer.Typer(
    name="linvar",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The exact variance of mini-batch gradients of linear networks, as a polynomial in 1/b, and its check.",
    epilog="Exit status: 0 done (verify: AGREE); 1 verify says REJECT; 2 bad input, or a derivation too large; "
    "3 verify says UNRESOLVED, or search found nothing; 70 an internal error; 130 interrupted.",
)
for command in (
    examples.demo,
    examples.example,
    derivations.derive,
    derivations.plan,
    comparisons.compare,
    simulations.verify,
    simulations.plot,
    formulas.formula,
    searches.search,
    searches.experiment,
):
    app.command(cls=Command)(command)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from linvar import __version__

        print(f"linvar {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status (the entry point ``linvar``, which reads ``sys.argv``).

    >>> main(["derive", "no-such-file.json"])
    2
    """
    if arguments is None:  # the process is ours
        heed_interrupts()
    try:
        status = typer.main.get_command(app).main(args=arguments, prog_name="linvar", standalone_mode=False)
        with while_read():
            pass  # what is still to be printed
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except MemoryError:
        return complain("out of memory: give a smaller problem, or use a larger machine")
    except Exception as error:  # noqa: BLE001  the last door: every error becomes a status
        return status_of(error)
    if status == INTERRUPTED:
        complain("interrupted")
        if arguments is None:
            leave(INTERRUPTED)
    return status if isinstance(status, int) else OK
