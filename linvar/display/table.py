"""Table: what a result shows, once, as text, for Rich, in HTML, LaTeX, Markdown, or as a pandas DataFrame.

A result says what its table holds, ``to_table``; how it looks in each place is said here, and nowhere else.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from linvar.display.cell import Cell, cell_of
from linvar.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas
    from rich.console import Group

#: what stands in a place of a table: a cell, or the value it is made from
Entry: TypeAlias = "Cell | object"

#: Rows and notes that are shown where nobody asked for all of them; half of them are the first ones.
SHOWN_ROWS = 40
_GAP = "..."


@dataclass(frozen=True)
class Table:
    """A title, named columns, rows, and notes below. Text stands left, numbers right.

    ``str``, a Rich console and a notebook show at most 40 rows; ``to_latex``, ``to_markdown``, ``to_html`` and ``to_pandas``
    give all of them.

    Args:
        columns: their names.
        rows: an entry a column each: a ``Cell``, or the value it shows.
        title: a line above; "" for none.
        notes: lines below.

    >>> table = Table(["b", "variance"], [[1, 18.5], [2, 9.125]], title="Gradient variance")
    >>> print(table)
    Gradient variance
    b  variance
    -----------
    1      18.5
    2     9.125
    >>> print(table.to_markdown())
    | b | variance |
    |--:|---------:|
    | 1 | 18.5 |
    | 2 | 9.125 |
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    def __init__(
        self, columns: Iterable[str], rows: Iterable[Iterable[Entry]], title: str = "", notes: Iterable[str] = ()
    ) -> None:
        fields = {
            "columns": tuple(columns),
            "rows": tuple(tuple(map(cell_of, row)) for row in rows),
            "title": title,
            "notes": tuple(notes),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @cached_property
    def numeric(self) -> tuple[bool, ...]:
        """Of each column, whether all of its entries are numbers: it stands right."""
        return tuple(bool(self.rows) and all(row[k].numeric for row in self.rows) for k in range(len(self.columns)))

    def elided(self, rows: int = SHOWN_ROWS) -> Table:
        """With at most so many rows, a row of dots in place of those in the middle."""
        if len(self.rows) <= rows:
            return self
        front = (rows + 1) // 2
        gap = [Cell(_GAP, latex=r"\dots", numeric=right) for right in self.numeric]
        kept = (*self.rows[:front], tuple(gap), *self.rows[len(self.rows) - (rows - front) :])
        note = f"{len(self.rows) - rows} of {len(self.rows)} rows are not shown: to_table().to_markdown() has all"
        return Table(self.columns, kept, self.title, (*self.notes, note))

    # in a terminal

    def __str__(self) -> str:
        table = self.elided()
        texts = [list(table.columns), *([cell.text for cell in row] for row in table.rows)]
        widths = [max(len(row[k]) for row in texts) for k in range(len(table.columns))]
        lines = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, self.numeric)
            )
            for row in texts
        ]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join(chain(filter(None, [table.title]), map(str.rstrip, lines), table.notes))

    __repr__ = __str__

    def __rich__(self) -> Group:
        from rich import box
        from rich.console import Group
        from rich.table import Table as RichTable
        from rich.text import Text

        table = self.elided()
        grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name, right in zip(table.columns, self.numeric):
            grid.add_column(Text(name), justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            grid.add_row(*(Text(cell.text, style=cell.style.rich) for cell in row))
        title = [Text(f"{table.title}\n")] if table.title else []
        return Group(*title, grid, *([Text()] if table.notes else []), *map(Text, table.notes))

    # in a notebook

    def _repr_html_(self) -> str:
        return self.elided().to_html()

    def to_html(self) -> str:
        """An HTML table: title as its caption, notes below; formulas are MathJax between \\( and \\)."""
        head = "".join(
            f'<th style="text-align:{side}">{html.escape(name)}</th>' for name, side in zip(self.columns, self._sides)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:{side}{cell.style.css}">{cell.html}</td>'
                for cell, side in zip(row, self._sides)
            )
            + "</tr>"
            for row in self.rows
        )
        caption = f'<caption style="text-align:left">{html.escape(self.title)}</caption>' if self.title else ""
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"

    @property
    def _sides(self) -> list[str]:
        return ["right" if right else "left" for right in self.numeric]

    # elsewhere

    def to_latex(self) -> str:
        """A tabular with the rules of booktabs (``\\usepackage{booktabs}``); neither title nor notes are in it.

        >>> print(Table(["b", "Var G"], [[1, 18]]).to_latex())
        \\begin{tabular}{rr}
        \\toprule
        b & Var G \\\\
        \\midrule
        1 & 18 \\\\
        \\bottomrule
        \\end{tabular}
        """
        places = "".join("r" if right else "l" for right in self.numeric)
        head = " & ".join(Cell(name).in_latex for name in self.columns)
        lines = [" & ".join(cell.in_latex for cell in row) + r" \\" for row in self.rows]
        parts = [rf"\begin{{tabular}}{{{places}}}", r"\toprule", rf"{head} \\", r"\midrule", *lines]
        return "\n".join([*parts, r"\bottomrule", r"\end{tabular}"])

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown; neither title nor notes are in it."""
        rows = [[Cell(name) for name in self.columns], *self.rows]
        lines = ["| " + " | ".join(cell.markdown for cell in row) + " |" for row in rows]
        widths = [max(3, len(name) + 2) for name in self.columns]
        rule = "|".join("-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, self.numeric))
        return "\n".join([lines[0], f"|{rule}|", *lines[1:]])

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of the values.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise MissingExtraError("to_pandas() needs pandas: pip install pandas") from None
        return pandas.DataFrame([[cell.value for cell in row] for row in self.rows], columns=list(self.columns))
