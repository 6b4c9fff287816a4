"""One table in every place: a terminal, a Rich console, a notebook, LaTeX, Markdown, pandas."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import linvar as lv
from linvar.display.cell import LONGEST, Cell, Style, cell_of
from linvar.display.table import SHOWN_COLUMNS, SHOWN_ROWS, Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, MissingExtraError

FORMULA = Cell("18 u + 1/2 u^12", latex=r"18 u + \frac{1}{2} u^{12} |w|")
SMALL = Table(
    ["quantity", "b", "value", "verdict"],
    [
        ["variance", 4, FORMULA, Cell("AGREE", style=Style.GOOD)],
        ["loss", None, "second | line\nof text", Cell("REJECT", style=Style.BAD)],
    ],
    title="Two rows",
    notes=["REJECT: one of two", "and what it means"],
    note_styles=[Style.BAD],
)


def printed(value: object, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(value)
    return console.file.getvalue()  # type: ignore[attr-defined]


class Reader(HTMLParser):
    """Tags that are closed in their order, and the text of the cells of each row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_text_stands_left_and_numbers_right_gaps_among_them() -> None:
    table = Table(
        ["name", "gaps", "none", "mixed"], [["a", 1, None, 3], ["bbb", None, None, "x"], ["c", -12.5, None, 1]]
    )
    assert table.numeric == (False, True, False, False)
    assert str(table).splitlines() == [
        "name   gaps  none  mixed",
        "------------------------",
        "a         1  -     3",
        "bbb       -  -     x",
        "c     -12.5  -     1",
    ]
    assert repr(table) == str(table) == table.to_text()
    assert [line.count("two lines") for line in Table(["two\nlines"], [["two\nlines"]]).to_text().splitlines()] == [
        1,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-7, "-7"), (10**20, str(10**20)), (10**30, "1.00000...e30"),
        (Fraction(-1, 3), "-1/3"), (Fraction(10**20 + 1, 7**30), "4.43668...e-6"), (lv.Rational(1, 2), "1/2"),
        (0.1 + 0.2, "0.3"), (1e-7, "1e-07"), (float("nan"), "nan"), (float("-inf"), "-inf"), (-0.0, "-0"),
        (np.int64(1234567), "1234567"), (np.float64(0.25), "0.25"), (np.float32(0.1), "0.1"),
    ],
)  # fmt: skip
def test_numbers_are_written_shortly_and_exact_ones_exactly_while_short(value, text) -> None:
    cell = cell_of(value)
    assert cell.text == text and cell.numeric and cell.value is value


def test_integers_that_python_does_not_print_have_a_cell() -> None:
    assert cell_of(-(10**5000)).text == "-1.00000...e5000" and cell_of(Fraction(1, 7**6000)).text.endswith("...e-5071")


def test_what_is_no_number_is_written_by_its_str() -> None:
    assert [cell_of(x).text for x in (True, np.bool_(False), "1", 1j)] == ["True", "False", "1", "1j"]
    assert not any(cell_of(x).numeric for x in (True, np.bool_(False), "1", 1j, None))
    assert cell_of(None).missing and not cell_of("-").missing and not cell_of(0).missing
    assert cell_of(FORMULA) is FORMULA


def test_letters_that_are_two_cells_wide_keep_the_columns() -> None:
    table = Table(["名前", "b"], [["分散", 1], ["e\u0301", 22], ["plain", 333]])
    assert len({cell_len(line) for line in str(table).splitlines()}) == 1
    assert len({cell_len(line.rstrip()) for line in printed(table).splitlines()}) == 1


WORDS = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore"


@pytest.mark.parametrize("width", [20, 30, 50, 80, 200])
@pytest.mark.parametrize("columns", [1, 3, 8])
def test_no_console_is_too_narrow_for_whole_words(width: int, columns: int) -> None:
    rows = [[f"row{k}", *(10**k + j for j in range(columns - 1)), WORDS] for k in range(4)]
    table = Table(["name", *map("number{}".format, range(1, columns)), "words"], rows, title=WORDS, notes=[WORDS])
    shown = printed(table, width)
    assert all(cell_len(line.rstrip()) <= width for line in shown.splitlines())
    said = set(re.findall(r"[\w.]+", shown))
    cut = Cell(WORDS).shortened().text
    assert set(re.findall(r"[\w.]+", f"{WORDS} {cut}")) <= said
    assert {str(cell.text) for row in rows for cell in map(cell_of, row[:-1])} <= said
    assert "…" not in shown


def test_a_rich_console_has_the_same_words_and_colours() -> None:
    assert [line.split() for line in printed(SMALL).splitlines() if line and "─" not in line] == [
        line.split() for line in str(SMALL).splitlines() if "---" not in line
    ]
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(SMALL)
    coloured = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[32mAGREE" in coloured and coloured.count("\x1b[1;31mREJECT") == 2
    assert printed(Table(["[red]x[/red]"], [["[bold]"]])).replace("─", "").split() == ["[red]x[/red]", "[bold]"]


def test_html_is_read_without_mathjax() -> None:
    text = SMALL.to_html()
    rows = Reader(text).rows
    assert rows[0] == ["quantity", "b", "value", "verdict"]
    assert rows[1] == ["variance", "4", "18 u + 1/2 u12", "AGREE"] and "u<sup>12</sup>" in text
    assert rows[2] == ["loss", "-", "second | line\nof text", "REJECT"]
    assert "<td>4</td>" in text and '<td style="text-align:left">loss</td>' in text
    assert f'<p><span style="{Style.BAD.css}">REJECT: one of two</span><br><span>and what it means</span></p>' in text
    assert "<p>Two rows</p><table>" in text and "\\" not in text and "background" not in text and "script" not in text


def test_html_holds_no_markup_of_its_values_and_no_dollar_is_typeset() -> None:
    evil = Table(["<b>"], [["<script>alert(1)</script> & $x$"]], title="<i>", notes=["</div>"])
    text = evil.to_html()
    assert Reader(text).rows == [["<b>"], ["<script>alert(1)</script> & $x$"]]
    assert "&lt;script&gt;" in text and "&lt;i&gt;" in text and "&lt;/div&gt;" in text
    assert text.startswith('<div class="tex2jax_ignore mathjax_ignore">')  # of MathJax 2 and 3


def luminance(colour: str) -> float:
    """Of sRGB (WCAG 2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("style", [Style.GOOD, Style.DOUBT, Style.BAD])
def test_colours_are_read_on_white_and_on_a_dark_theme(style: Style) -> None:
    (colour,) = re.findall(r"#[0-9a-f]{6}", style.css)
    low = luminance(colour)
    assert (1.05) / (low + 0.05) > 4 and (low + 0.05) / (luminance("#1e1e1e") + 0.05) > 4


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        (r"a & b % c $ d # e _ f { g }", r"a \& b \% c \$ d \# e \_ f \{ g \}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("a|b <c> d", r"a\textbar{}b \textless{}c\textgreater{} d"),
        ("two\nlines\tand more", "two lines and more"),
        ("[1, 2]", "{[}1, 2]"), ("*", "{*}"), ("a[0]*", "a[0]*"), ("", ""),
        (r"\\[1em]", r"\textbackslash{}\textbackslash{}[1em]"),
    ],
)  # fmt: skip
def test_every_letter_is_one_of_latex(text: str, latex: str) -> None:
    assert Cell(text).in_latex == latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("12", "12"), ("-1/3", "-1/3"), ("-1.5", "$-1.5$"), ("1e-07", r"$1 \cdot 10^{-7}$"),
        ("1.00000...e30", r"$1.00000\ldots \cdot 10^{30}$"), ("0.1234...", r"$0.1234\ldots$"), ("-1,797", "$-1{,}797$"),
        ("2.56%", r"2.56\%"), ("nan", "nan"), ("-inf", "-inf"),
    ],
)  # fmt: skip
def test_numbers_of_latex_have_a_minus_and_powers_of_ten(text: str, latex: str) -> None:
    assert Cell(text, numeric=True).in_latex == latex


def test_latex_is_a_tabular() -> None:
    assert SMALL.to_latex().splitlines() == [
        r"\begin{tabular}{lrll}",
        r"\toprule",
        r"quantity & b & value & verdict \\",
        r"\midrule",
        r"variance & 4 & $18 u + \frac{1}{2} u^{12} |w|$ & AGREE \\",
        r"loss & - & second \textbar{} line of text & REJECT \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a|b", r"a\|b"), ("two\nlines", "two lines"), ("costs $5 or $6", r"costs \$5 or \$6"), ("w1*w2*w3", r"w1\*w2\*w3"),
        ("second_moment", "second_moment"), ("_x_", r"\_x\_"), ("<Problem>", r"\<Problem>"), ("`code`", r"\`code\`"),
        (r"\|", r"\\\|"), ("a & b &amp; c", r"a & b \&amp; c"), ("[1](x) [[1, 2]]", r"[1\](x) [[1, 2]]"), ("~~x~~", r"\~\~x\~\~"),
    ],
)  # fmt: skip
def test_markdown_is_taken_by_its_letters(text: str, markdown: str) -> None:
    assert Cell(text).markdown == markdown


def test_a_table_of_markdown_has_a_cell_between_any_two_bars() -> None:
    lines = SMALL.to_markdown().splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert lines[1] == "|----------|--:|-------|---------|"
    assert lines[2] == r"| variance | 4 | $18 u + \frac{1}{2} u^{12} \vert w\vert $ | AGREE |"


def test_pandas_has_the_values() -> None:
    pandas = pytest.importorskip("pandas")
    frame = Table(["b", "what", "gap"], [[1, FORMULA, None], [Fraction(1, 3), Cell("x", 5), 2.0]]).to_pandas()
    assert list(frame.columns) == ["b", "what", "gap"] and frame["b"].tolist() == [1, Fraction(1, 3)]
    assert frame["what"].tolist() == [FORMULA.text, 5] and pandas.isna(frame["gap"][0]) and frame["gap"][1] == 2.0
    assert Table(["a"], []).to_pandas().shape == (0, 1)


def test_without_pandas_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        SMALL.to_pandas()


def test_a_broken_pandas_is_not_called_missing(monkeypatch, tmp_path) -> None:
    (tmp_path / "pandas.py").write_text("import no_such_module_of_pandas")
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_pandas"):
        SMALL.to_pandas()


def test_a_long_table_shows_its_ends_and_says_what_is_left_out() -> None:
    table = Table(["b", "name"], [[b, f"row {b}"] for b in range(1, 3001)])
    lines = str(table).splitlines()
    assert len(lines) == SHOWN_ROWS + 4 and lines[2].split() == ["1", "row", "1"]
    assert lines[2 + SHOWN_ROWS // 2].split() == ["...", "..."] and lines[-2].split() == ["3000", "row", "3000"]
    assert lines[-1] == "2,960 of 3,000 rows are not shown: to_table().to_markdown() has all"
    assert table.elided().numeric == table.numeric
    for rows in (0, 1, 2, 3):
        kept = [row[0].text for row in table.elided(rows).rows]
        assert kept == {0: ["..."], 1: ["1", "..."], 2: ["1", "...", "3000"], 3: ["1", "2", "...", "3000"]}[rows]
    assert len(Reader(table._repr_html_()).rows) == SHOWN_ROWS + 2 and len(Reader(table.to_html()).rows) == 3001
    assert len(table.to_markdown().splitlines()) == 3002 and len(table.to_latex().splitlines()) == 3006
    assert table.elided(3000) == table and str(Table(["b"], [[b] for b in range(SHOWN_ROWS)])).count("...") == 0


def test_a_wide_table_shows_its_first_and_last_columns() -> None:
    table = Table(map("c{}".format, range(100)), [range(100)] * 3)
    shown = table.elided()
    assert len(shown.columns) == SHOWN_COLUMNS + 1 and shown.columns[SHOWN_COLUMNS // 2] == "..."
    assert [row[-1].text for row in shown.rows] == ["99"] * 3 and "84 of 100 columns are not shown" in shown.notes[0]


def test_nothing_is_long_that_was_not_asked_for() -> None:
    row = ["x" * 1000, "w " * 2_000, Cell("18 u + " * 2000, latex="u"), 10**4000]
    table = Table(["t" * 1000, "words", "formula", "n"], [row] * 100, title="t" * 10**4, notes=["n " * 10**4] * 50)
    assert max(len(text) for text in (str(table), repr(table), table._repr_html_())) < 10_000
    assert max(len(printed(table, width)) for width in (50, 120, 200)) < 20_000  # broken lines are filled with blanks
    assert max(len(cell.text) for one in table.elided().rows for cell in one) <= LONGEST
    assert "w " * 1_999 in table.to_markdown() and "w " * 1_999 in table.to_html() and "w " * 1_999 in table.to_latex()


def test_a_long_formula_loses_its_last_terms_and_keeps_its_brackets() -> None:
    formula = Cell("(a + b) u + (a^2 + 2*a*b + b^2) u^2 - c u^3", latex="...")
    assert [formula.shortened(n).text for n in (43, 42, 38, 37, 20)] == [
        formula.text,
        "(a + b) u + (a^2 + 2*a*b + b^2) u^2 + ...",
        "(a + b) u + ...",
        "(a + b) u + ...",
        "(a + b) u + ...",
    ]
    assert all(len(formula.shortened(n).text) <= n for n in range(10, 50))
    assert formula.shortened(43) is formula and Cell("a\nb").shortened().text == "a b"


@pytest.mark.parametrize("notes", [[], ["note"]])
def test_empty_tables(notes: list[str]) -> None:
    none, headed = Table([], [], notes=notes), Table(["b", "variance"], [], title="Nothing", notes=notes)
    assert str(none) == "\n".join(notes) and str(headed).splitlines() == [
        "Nothing",
        "b  variance",
        "-----------",
        *notes,
    ]
    assert none.to_markdown() == "" and headed.to_markdown() == "| b | variance |\n|---|----------|"
    assert Reader(none.to_html()).rows == [[]] and Reader(headed.to_html()).rows == [["b", "variance"]]
    assert headed.to_latex().splitlines()[2:4] == [r"b & variance \\", r"\midrule"]
    assert printed(none).split() == notes and "variance" in printed(headed)
    assert Table([""], [[""]]).to_latex() and printed(Table([""], [[""]])) is not None


def test_a_ragged_row_is_refused() -> None:
    with pytest.raises(InputError, match=r"rows\[1\] has 1 entries, and there are 2 columns: give an entry a column"):
        Table(["a", "b"], [[1, 2], [3]])


@dataclass(frozen=True)
class Result(Tabular):
    value: int

    def to_table(self) -> Table:
        return Table(["value"], [[self.value]], title="A result")


def test_a_result_is_shown_by_its_table_and_keeps_its_repr() -> None:
    result = Result(3)
    assert repr(result) == "Result(value=3)" and printed(result) == printed(result.to_table())
    assert result._repr_html_() == result.to_table()._repr_html_()
