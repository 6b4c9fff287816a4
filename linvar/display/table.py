"""Table: what a result shows, once, as text, for Rich, in HTML, LaTeX, Markdown, or as a pandas DataFrame.

A result says what its table holds, ``to_table``; how it looks in each place is said here, and nowhere else.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from linvar.display.cell import LONGEST, Cell, Style, cell_of
from linvar.errors import InputError, MissingExtraError, Words, cut, one_line

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

T = TypeVar("T")
#: what stands in a place of a table: a cell, or the value it is made from
Entry: TypeAlias = "Cell | object"

#: Rows and columns that are shown where nobody asked for all of them; half of them are the first ones.
SHOWN_ROWS, SHOWN_COLUMNS = 40, 16
#: fewer rows where these are more characters, of a terminal or of HTML
_MOST_CHARACTERS = 9_500
_LONGEST_LINE, _MOST_NOTES = 300, 12
_GAP = "..."
#: blanks between columns of a terminal
_APART = 2
_LEFT, _RIGHT = "text-align:left", "text-align:right"


@dataclass(frozen=True)
class Table:
    """A title, named columns, rows, and notes below. Text stands left, numbers right.

    ``str``, a Rich console and a notebook show at most 40 rows and 80 characters of a cell; ``to_text``, ``to_latex``,
    ``to_markdown``, ``to_html`` and ``to_pandas`` give all of them.

    Args:
        columns: their names.
        rows: an entry a column each: a ``Cell``, or the value it shows.
        title: a line above; "" for none.
        notes: lines below.
        note_styles: of the first notes; the others are plain.

    Raises:
        InputError: a row has more or fewer entries than there are columns.

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
    title: str
    notes: tuple[str, ...]
    note_styles: tuple[Style, ...]

    def __init__(
        self,
        columns: Iterable[str],
        rows: Iterable[Iterable[Entry]],
        title: str = "",
        notes: Iterable[str] = (),
        note_styles: Iterable[Style] = (),
    ) -> None:
        fields = {
            "columns": tuple(columns),
            "rows": tuple(tuple(map(cell_of, row)) for row in rows),
            "title": title,
            "notes": tuple(notes),
            "note_styles": tuple(note_styles),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        for k, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                fault = Words(f"has {len(row)} entries, and there are {len(self.columns)} columns")
                raise InputError(f"rows[{k}]", fault, "give an entry a column")

    @cached_property
    def numeric(self) -> tuple[bool, ...]:
        """Of each column, whether it holds numbers, and perhaps gaps, and nothing else: it stands right."""
        columns = [[row[k] for row in self.rows if not row[k].missing] for k in range(len(self.columns))]
        return tuple(bool(column) and all(cell.numeric for cell in column) for column in columns)

    def elided(self, rows: int = SHOWN_ROWS, columns: int = SHOWN_COLUMNS) -> Table:
        """With at most so many rows and columns, dots in place of those in the middle; long cells, title and notes are cut."""

        def gap(right: bool) -> Cell:
            return Cell(_GAP, latex=r"\dots", numeric=right)

        names = middle_out(self.columns, columns, _GAP)
        gaps = tuple(map(gap, self.numeric))
        shown = [middle_out(row, columns, gap(False)) for row in middle_out(self.rows, rows, gaps)]
        notes = [cut(note, _LONGEST_LINE) for note in self.notes[:_MOST_NOTES]]
        for count, most, what in (
            (len(self.rows), rows, "rows"),
            (len(self.columns), columns, "columns"),
            (len(self.notes), _MOST_NOTES, "notes"),
        ):
            if count > most:
                whole = "to_table().notes" if what == "notes" else "to_table().to_markdown()"
                notes.append(f"{count - most:,} of {count:,} {what} are not shown: {whole} has all")
        return Table(
            [cut(name, LONGEST) for name in names],
            [[cell.shortened() for cell in row] for row in shown],
            cut(self.title, _LONGEST_LINE),
            notes,
            self.note_styles[:_MOST_NOTES],
        )

    def _shown(self, write: Callable[[Table], str]) -> Table:
        """Elided, with fewer rows where their cells are long."""
        rows = SHOWN_ROWS
        while len(write(shown := self.elided(rows))) > _MOST_CHARACTERS and rows > 2:
            rows //= 2
        return shown

    # in a terminal

    def __str__(self) -> str:
        return self._shown(Table.to_text).to_text()

    __repr__ = __str__

    def to_text(self) -> str:
        """All of it, as lines."""
        from rich.cells import cell_len

        def padded(text: str, width: int, right: bool) -> str:
            """In a terminal some letters are two cells wide, some none."""
            blanks = " " * (width - cell_len(text))
            return f"{blanks}{text}" if right else f"{text}{blanks}"

        widths, apart = self._widths, " " * _APART
        lines = [apart.join(map(padded, row, widths, self.numeric)).rstrip() for row in self._texts]
        lines.insert(1, "-" * (sum(widths) + _APART * max(0, len(widths) - 1)))
        shown = lines if self.columns else []
        return "\n".join(chain(filter(None, [self.title]), shown, self.notes))

    @cached_property
    def _texts(self) -> list[list[str]]:
        """The names and the cells, each in one line."""
        return [list(map(one_line, self.columns)), *([one_line(cell.text) for cell in row] for row in self.rows)]

    @cached_property
    def _widths(self) -> list[int]:
        """Of each column, in cells of a terminal."""
        from rich.cells import cell_len

        return [max(map(cell_len, column)) for column in zip(*self._texts)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        table = self._shown(Table.to_text)
        if table.title:
            yield Text(f"{table.title}\n")
        if table.columns:
            widths = _fitted(table._widths, table._least, options.max_width - _APART * (len(table.columns) - 1))
            yield from [table._grid(widths)] if widths else table._records()
        if table.notes:
            yield Text()
        for note, style in table._styled_notes:
            yield Text(note, style=style.rich)

    @property
    def _styled_notes(self) -> Iterable[tuple[str, Style]]:
        return zip(self.notes, chain(self.note_styles, repeat(Style.PLAIN)))

    @property
    def _least(self) -> list[int]:
        """Of each column the width of its longest word; numbers are not broken."""
        from rich.cells import cell_len

        words = [[word for text in column for word in text.split()] for column in zip(*self._texts)]
        longest = [max(map(cell_len, column), default=0) for column in words]
        return [width if right else least for width, right, least in zip(self._widths, self.numeric, longest)]

    def _grid(self, widths: Sequence[int]) -> RenderableType:
        """For Rich, in columns of these widths."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _APART - 1, 0, 0))
        for name, width, right in zip(self.columns, widths, self.numeric):
            grid.add_column(Text(name), width=width, justify="right" if right else "left")
        for row in self.rows:
            grid.add_row(*(Text(cell.text, style=cell.style.rich) for cell in row))
        return grid

    def _records(self) -> Iterable[Text]:
        """For a console that is too narrow for the columns: a paragraph a row."""
        from rich.text import Text

        for row in self.rows:
            named = ((f"{name}: ".removeprefix(": "), cell) for name, cell in zip(self.columns, row))
            yield Text(", ").join(Text.assemble(name, (cell.text, cell.style.rich)) for name, cell in named)

    # in a notebook

    def _repr_html_(self) -> str:
        return self._shown(Table.to_html).to_html()

    def to_html(self) -> str:
        """An HTML table, its title above, its notes below. Colours of letters alone, which read on white and on black.

        Nothing in it is TeX, and MathJax is told to pass over it: a dollar sign stays one.
        """
        sides = ["" if right else _LEFT for right in self.numeric]
        head = "".join(f"<th{_css(side)}>{_escaped(name)}</th>" for name, side in zip(self.columns, sides))
        cells = [
            [f"<td{_css(side, cell.style.css)}>{cell.html}</td>" for cell, side in zip(row, sides)] for row in self.rows
        ]
        body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
        title = f"<p>{_escaped(self.title)}</p>" if self.title else ""  # a caption would be as narrow as the table
        lines = [f"<span{_css(style.css)}>{_escaped(note)}</span>" for note, style in self._styled_notes]
        notes = f"<p>{'<br>'.join(lines)}</p>" if lines else ""
        return (
            f'<div class="tex2jax_ignore mathjax_ignore">{title}<table><thead{_css(_RIGHT)}><tr>{head}</tr></thead>'
            f"<tbody{_css(_RIGHT)}>{body}</tbody></table>{notes}</div>"
        )

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
        rows = [" & ".join(cell.in_latex for cell in row) + r" \\" for row in (map(Cell, self.columns), *self.rows)]
        rules = [rows[0], r"\midrule", *rows[1:]] if self.columns else []
        return "\n".join([rf"\begin{{tabular}}{{{places}}}", r"\toprule", *rules, r"\bottomrule", r"\end{tabular}"])

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown; neither title nor notes are in it."""
        rows = [[Cell(name) for name in self.columns], *self.rows]
        lines = ["| " + " | ".join(cell.markdown for cell in row) + " |" for row in rows]
        widths = [max(3, len(name) + 2) for name in self.columns]
        rule = "|".join("-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, self.numeric))
        return "\n".join([lines[0], f"|{rule}|", *lines[1:]]) if self.columns else ""

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of the values.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            if error.name != "pandas":
                raise
            raise MissingExtraError("to_pandas() needs pandas: pip install pandas") from None
        values = [
            [cell.text if cell.value is None and not cell.missing else cell.value for cell in row] for row in self.rows
        ]
        return pandas.DataFrame(values, columns=list(self.columns))


def middle_out(values: Sequence[T], most: int, gap: T) -> tuple[T, ...]:
    """At most so many of them, the gap in place of those in the middle."""
    if len(values) <= most:
        return tuple(values)
    front = (most + 1) // 2
    return (*values[:front], gap, *values[len(values) - (most - front) :])


def _fitted(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Widths of columns that together take no more: the widest are narrowed, none below its least. Empty if they do not fit.

    >>> _fitted([8, 30, 20], [8, 5, 9], 40), _fitted([8, 30], [8, 5], 10)
    ([8, 16, 16], [])
    """
    found = list(natural)
    while sum(found) > width:
        widest = max((k for k in range(len(found)) if found[k] > least[k]), key=found.__getitem__, default=None)
        if widest is None:
            return []
        found[widest] -= 1
    return found


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _css(*rules: str) -> str:
    """A style attribute, if there is any rule."""
    given = ";".join(filter(None, rules))
    return f' style="{given}"' if given else ""
