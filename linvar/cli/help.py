"""Help that fits the terminal: its words stay whole."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

#: a hyphen at which no line is broken
_HYPHEN = "\N{NON-BREAKING HYPHEN}"
_Formatter: Any = typer.Context.formatter_class


class Formatter(_Formatter):  # type: ignore[misc]  # typer has its own click, or the package
    """Help in lines of 80 characters at most; on a narrow terminal there is room beside the options."""

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Names, and a text beside each."""
        whole = [(name, text.replace("-", _HYPHEN)) for name, text in rows]
        super().write_dl(whole, min(col_max, self.width // 3), col_spacing)

    def write_text(self, text: str) -> None:
        """A paragraph."""
        super().write_text(text.replace("-", _HYPHEN))


class Helpful:
    """A command with such help."""

    def get_help(self, ctx: Any) -> str:
        """As typer has it without Rich."""
        ctx.formatter_class = Formatter
        text: str = super().get_help(ctx)  # type: ignore[misc]  # of the class beside this one
        return text.replace(_HYPHEN, "-").replace("\\[", "[")  # which typer 0.21 has for Rich's sake


class Command(Helpful, typer.core.TyperCommand):
    """A command."""


class Group(Helpful, typer.core.TyperGroup):
    """Commands, and all of what each does."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A line or more for each."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])
