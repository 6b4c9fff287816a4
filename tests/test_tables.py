"""Tables from files: what is read and said, what is refused by line and column, how columns are standardised and rounded."""

from __future__ import annotations

import hashlib
import os
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from linvar.datasets import diabetes_table, read_table, rounded_diabetes, rounded_table
from linvar.errors import InputError, InputTypeError
from linvar.tables.fields import census, kind_of, number
from linvar.tables.reading import Table

TABLES = Path(__file__).parent / "tables"
ROWS = ["1.5,2,3", "2,1,5", "0,4,1", "5,5,2", "3,1,1"]


def write(tmp_path, *lines, ending="\n", encoding="utf-8", name="table.csv"):
    """A file of these lines."""
    path = tmp_path / name
    path.write_bytes(ending.join(lines).encode(encoding))
    return path


def numbers(path, delimiter=","):
    """The numbers below a header, read without the reader."""
    rows = [line.split(delimiter) for line in path.read_text().splitlines()[1:]]
    return [tuple(Decimal(text.strip()) for text in row if text.strip()) for row in rows]


def refusal(path, *arguments, **options):
    """The message of a refusal: one line, of bounded length."""
    with pytest.raises(InputError) as caught:
        read_table(path, *arguments, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1_500
    return message


# the shared cases


@pytest.mark.parametrize(
    ("name", "delimiter", "separated", "columns"),
    [
        ("a$^$b.csv", ",", "','-separated", ("a", "b", "c")),
        ("six_rows.csv", ",", "','-separated", ("a", "b", "c")),
        ("huge_column.csv", ",", "','-separated", ("a", "b", "c")),
        ("tiny_column.csv", ",", "','-separated", ("a", "b", "c")),
        ("quoted_commas_semicolons.csv", ";", "';'-separated", ("a, kg", "b, cm", "c, s")),
        ("tabs_with_commas_in_names.tsv", "\t", "tab-separated", ("a, kg", "b, cm, in", "c, s, ms")),
        ("spaces.data", " ", "separated by blanks", ("a", "b", "c")),
    ],
)
def test_what_was_read_is_said_and_is_what_is_written(name, delimiter, separated, columns):
    table = read_table(TABLES / name, "y")
    expected = numbers(TABLES / name, delimiter)
    assert table.columns == columns and table.target == "y" and table.name == name
    assert [(*row, y) for row, y in zip(table.inputs, table.targets)] == expected
    inputs = ", ".join(repr(column) if "," in column else column for column in columns)
    assert table.description == f"{len(expected)} rows, {separated}, header found, inputs: {inputs}; target: y"
    assert table.remarks == (f"header: line 1 names the columns, as {columns[0]!r} is no number",)


def test_row_numbers_without_a_name_are_no_input():
    table = read_table(TABLES / "row_names_without_a_name.csv", "y")
    assert table.columns == ("a", "b", "c") and len(table.inputs[0]) == 3
    assert table.inputs[0] == (Decimal("0.077"), Decimal("-0.115"), Decimal("-0.717"))
    assert "inputs: a, b, c; target: y" in table.description
    assert "'column 1' is no input: it has no name and counts the rows (give it a name to make it one)" in table.remarks
    # asked for, it is the target; it is not the target by default
    assert read_table(TABLES / "row_names_without_a_name.csv", "1").targets[:2] == (1, 2)


@pytest.mark.parametrize("name", ["numbered_header.csv", "years_as_header.csv"])
def test_a_first_row_of_numbers_that_may_be_names_is_asked_about(name):
    first = (TABLES / name).read_text().splitlines()[0].replace(",", ", ")
    message = refusal(TABLES / name)
    assert message.startswith("header is needed: the first row of table '") and first in message
    assert message.endswith(
        "may name the columns or be an example: give True if it names them, False if it is an example"
    )
    named, example = (read_table(TABLES / name, header=header) for header in (True, False))
    assert len(named.targets) == 30 and len(example.targets) == 31
    assert named.columns == tuple(first.split(", ")[:3]) and example.columns == ("column 1", "column 2", "column 3")
    assert (
        named.inputs == example.inputs[1:]
        and "header found" in named.description
        and "no header" in example.description
    )


def test_errors_of_a_spreadsheet_are_no_comments():
    message = refusal(TABLES / "spreadsheet_errors_in_first_column.csv")
    assert (
        "has 10 fields that are no number: 10 errors of a spreadsheet in column 'a' (first '#N/A', line 2): mend"
        in message
    )


def test_missing_values_and_text_are_counted_by_kind():
    message = refusal(TABLES / "missing_and_categories.csv")
    assert (
        "has 2 fields that are no number: 1 missing value in column 'a' (first '', line 5): fill them in, or" in message
    )
    assert "1 field of text in column 'a' (first 'red', line 9)" in message


def test_decimal_commas_are_named_and_their_delimiter_found():
    message = refusal(TABLES / "decimal_commas_no_header.csv")
    assert "(';'-separated) has 120 fields that are no number: 120 numbers with a decimal comma" in message
    assert "first '0,077', line 1): write decimal points" in message


# standardising


def standardised(table, decimals):
    """(x - mean) / std by Decimal with 700 digits."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 700, 10**6, -(10**6)
        result = []
        for column in [*zip(*table.inputs), table.targets]:
            mean = sum(column) / len(column)
            std = (sum((x - mean) ** 2 for x in column) / len(column)).sqrt()
            result.append([round(Fraction((x - mean) / std) * 10**decimals) for x in column])
        return list(zip(*result))


@pytest.mark.parametrize("name", ["huge_column.csv", "tiny_column.csv", "six_rows.csv"])
@pytest.mark.parametrize("decimals", [0, 4, 30])
def test_columns_of_any_size_are_standardised_exactly(name, decimals):
    found = rounded_table(read_table(TABLES / name), decimals, standardise=True)
    rows = [(*x, *y) for x, y in zip(found.dataset.inputs, found.dataset.targets)]
    expected = standardised(read_table(TABLES / name), decimals)
    assert [[entry * 10**decimals for entry in row] for row in rows] == [list(row) for row in expected]
    assert 0 < found.largest_rounding_error <= 0.5 * 10**-decimals
    if name != "six_rows.csv":  # the same table, one column of it times 1e200 or 1e-300
        plain = rounded_table(read_table(TABLES / "a$^$b.csv"), decimals, standardise=True)
        assert plain.dataset == found.dataset


@given(st.lists(st.decimals(-1000, 1000, places=3), min_size=3, max_size=8), st.integers(0, 12), st.integers(-250, 250))
@examples(60)
def test_standardising_does_not_know_the_scale(values, decimals, exponent):
    def table(column):
        return Table("t", "", ("a",), "y", tuple((x,) for x in column), tuple(map(Decimal, range(len(column)))), "")

    if max(values) == min(values):
        return
    one = table(values)
    scaled = table(
        [Decimal((x.as_tuple().sign, x.as_tuple().digits, x.as_tuple().exponent + exponent)) for x in values]
    )
    found = rounded_table(one, decimals, standardise=True)
    assert found == rounded_table(scaled, decimals, standardise=True)
    expected = standardised(one, decimals)
    got = [(x[0] * 10**decimals, y[0] * 10**decimals) for x, y in zip(found.dataset.inputs, found.dataset.targets)]
    # halves go away from 0 here and to the even number there; all else is equal
    assert all(abs(a - b) in (0, 1) for row, other in zip(got, expected) for a, b in zip(row, other))
    assert all(a == b for row, other in zip(got, expected) for a, b in zip(row, other)) or decimals == 0


def test_columns_that_do_not_vary_are_refused_by_name(tmp_path):
    rounding = read_table(TABLES / "constant_up_to_rounding.csv")
    expected = (
        r"table 'constant_up_to_rounding.csv', column 'a' is constant up to rounding: .* 16 units in the last place"
    )
    with pytest.raises(InputError, match=expected):
        rounded_table(rounding, 4, standardise=True)
    # as it is written it is a table like others
    assert rounded_table(rounding).dataset.inputs[1][0] == Fraction("0.30000000000000004")
    constant = read_table(write(tmp_path, "a,y", "1,2", "1,3", "1,4"))
    with pytest.raises(InputError, match="column 'a' has the same number in all of its 3 rows: leave it out"):
        rounded_table(constant, 4, standardise=True)
    target = read_table(write(tmp_path, "y,a", "1,2", "1,3", "1,4"), "y")
    with pytest.raises(InputError, match="column 'y' has the same number"):
        rounded_table(target, 4, standardise=True)
    # seventeen units vary, sixteen do not
    for units, varies in ((16, False), (17, True)):
        low, high = Decimal(1) - Decimal(units) / 2**52, Decimal(1)
        column = Table("t", "", ("a",), "y", ((low,), (high,)), (Decimal(0), Decimal(1)), "")
        if varies:
            assert rounded_table(column, 4, standardise=True).dataset.inputs == ((-1,), (1,))
        else:
            with pytest.raises(InputError, match="constant up to rounding"):
                rounded_table(column, 4, standardise=True)


def test_rounding_is_to_the_nearest_and_says_what_it_lost():
    table = read_table(TABLES / "a$^$b.csv")
    assert rounded_table(table).dataset.inputs[0] == (Fraction("0.077"), Fraction("-0.115"), Fraction("-0.717"))
    assert rounded_table(table).largest_rounding_error == 0 and rounded_table(table).decimals is None
    two = rounded_table(table, 2)
    assert two.dataset.inputs[0] == (Fraction(8, 100), Fraction(-12, 100), Fraction(-72, 100))
    assert two.largest_rounding_error == 0.005 and rounded_table(table, 3).largest_rounding_error == 0
    with pytest.raises(
        InputError, match="decimals=4 leaves 0 in every row of column 1, 'a', of table 'tiny_column.csv'"
    ):
        rounded_table(read_table(TABLES / "tiny_column.csv"), 4)
    with pytest.raises(InputError, match="decimals is missing: .*irrational"):
        rounded_table(table, standardise=True)
    for wrong in (-1, 1_001, 10**5000):
        with pytest.raises(
            InputError, match="decimals=.* give the digits kept after the decimal point, from 0 to 1000"
        ):
            rounded_table(table, wrong)
    for wrong in (2.0, True, "4"):
        with pytest.raises(InputTypeError, match="decimals="):
            rounded_diabetes(wrong)


# headers


def test_blank_names_empty_lines_comments_and_a_byte_order_mark(tmp_path):
    lines = ["\ufeff# one", "a,,y", "# a remark", *ROWS[:2], "", ",,", *ROWS[2:], ""]
    path = write(tmp_path, *lines, ending="\r\n")
    table = read_table(path)
    assert table.columns == ("a", "column 2") and table.target == "y"
    assert "passed over as comments: lines 1, 3" in table.remarks
    assert "passed over, as there is nothing in them: lines 6, 7" in table.remarks
    assert table.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert table.inputs == tuple((Decimal(a), Decimal(b)) for a, b, _ in (row.split(",") for row in ROWS))


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " ", "   ", " \t"])
def test_other_delimiters_no_header_and_another_target(tmp_path, delimiter):
    path = write(tmp_path, *(row.replace(",", delimiter) for row in ROWS))
    for target in ("2", "column 2"):
        table = read_table(path, target)
        assert table.columns == ("column 1", "column 3") and table.target == "column 2"
        assert table.targets == (2, 1, 4, 5, 1)
        assert "no header: line 1 is taken as an example, as no field of it is a name" in table.remarks


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        (["0,1,2", "5,6,7", "6,5,9", "7,7,7", "1,2,8", "0,1,6"], True),  # counts
        (["2010,2011", "5,6", "6,5", "7,7", "1,2"], True),  # beyond all below
        (["10,20,50", "5.5,6.5,7", "6,5,9.5", "7.5,7,7", "1,2.5,8"], True),  # whole above fractions
        ([",0,1", "0,6,5", "1,5,6", "2,7,7"], True),  # an index before numbered columns
        (["1.5o,2.5,3", "5,6,7", "6,2,9", "3,7,2"], True),  # a slip in the first example, or a name
        (["5,3,4", "5,6,7", "6,2,9", "3,7,2", "1,2,8"], False),
        (["5.1,3.5,1.4", "4.9,3.0,1.4", "4.7,3.2,1.3"], False),
        (["3,3,3", "5.5,6.5,7.5", "6.5,5.5,9.5"], False),  # names are different
    ],
)
def test_numbers_that_may_be_names(tmp_path, lines, asked):
    path = write(tmp_path, *lines)
    if asked:
        assert refusal(path).startswith("header is needed")
        assert len(read_table(path, header=True).targets) == len(lines) - 1
    else:
        assert len(read_table(path).targets) == len(lines)


def test_numbers_among_names_are_names_if_they_are_unlike_what_is_below(tmp_path):
    rows = ["0,1.5,2,3", "1,2.5,3,5", "2,0.5,9,1"]
    assert read_table(write(tmp_path, "country,2010,2011,y", *rows)).columns == ("country", "2010", "2011")
    assert read_table(write(tmp_path, ",0,1,y", *rows)).columns == ("0", "1")
    states = write(tmp_path, "Ohio,2.5,3", "Utah,6,7", "Iowa,2,9", "Maine,7,2")
    assert refusal(states).startswith("header is needed")
    assert read_table(states, header=False).inputs[0] == (Decimal("2.5"),)


@pytest.mark.parametrize("slip", ["ND,5,12", "LOD,5,12", "5 mg,9,12", "50%,9,12", "2020-01,9,12", "<5,7,300"])
def test_an_example_with_one_slip_is_not_lost_as_a_header(tmp_path, slip):
    path = write(tmp_path, slip, "0.3,4.5,11.2", "0.4,6.1,13.5", "0.6,5.5,14.5")
    assert refusal(path).startswith("header is needed")
    assert read_table(path, header=True).description.startswith("3 rows")


def test_a_first_line_that_names_no_delimiter_is_refused_by_name(tmp_path):
    for line in ("sep=5", "sep=.", 'sep="'):
        assert refusal(write(tmp_path, line, "152", "253", "354")).startswith("delimiter=")


def test_names_that_look_like_dates_or_sizes_stand_above_numbers(tmp_path):
    assert read_table(write(tmp_path, "5m,10m,2020-01", *ROWS)).columns == ("5m", "10m")
    assert refusal(write(tmp_path, "2020-01-01,3,4", "2020-01-02,5,6", "2020-01-03,1,2")).count("3 dates or times") == 1


def test_a_first_row_whose_text_comes_again_is_no_header(tmp_path):
    message = refusal(write(tmp_path, "5.1,3.5,setosa", "4.9,3.0,setosa", "6.3,3.3,virginica", "6.1,3.1,setosa"))
    assert "column 'column 3': 2 categories in 4 rows ('setosa', 'virginica'): write them as 0/1 columns" in message


# columns that are no inputs


@pytest.mark.parametrize(
    ("header", "first", "reason"),
    [
        ("", ["0", "1", "2", "3", "4"], "has no name and counts the rows"),
        ("", ["17", "3", "92", "4", "8"], "has no name and numbers the rows"),
        ("", ["Mazda", "Datsun", "Hornet", "Duster", "Merc"], "has no name and names the rows"),
        ("rownames", ["Mazda", "Datsun", "Hornet", "Duster", "Merc"], "names the rows"),
        ("Index", ["5", "4", "3", "2", "1"], "numbers the rows"),
        ("Unnamed: 0", ["0", "1", "2", "3", "4"], "numbers the rows"),
        ("patient_ID", ["104", "7", "31", "55", "90"], "numbers the rows"),
        ("obs", ["1", "2", "3", "4", "5"], "numbers the rows"),
        ("", ["", "", "", "", ""], "has no name and nothing in it"),
    ],
)
def test_columns_that_number_or_name_the_rows(tmp_path, header, first, reason):
    path = write(tmp_path, f"{header},a,b,y", *(f"{name},{row}" for name, row in zip(first, ROWS)))
    table = read_table(path)
    assert table.columns == ("a", "b") and table.target == "y"
    assert any(f"{header or 'column 1'!r} is no input: it {reason}"[1:] in remark for remark in table.remarks)


@pytest.mark.parametrize(
    ("header", "first"),
    [
        ("x", ["1", "2", "3", "4", "5"]),
        ("obs", ["17", "3", "92", "4", "8"]),
        ("index", ["1", "1", "2", "2", "3"]),
        ("index", ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("", ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("humid", ["1", "2", "3", "4", "5"]),
    ],
)
def test_columns_of_measurements_stay(tmp_path, header, first):
    path = write(tmp_path, f"{header},a,b,y", *(f"{name},{row}" for name, row in zip(first, ROWS)))
    assert read_table(path).columns == (header or "column 1", "a", "b")


def test_row_numbers_without_any_header_and_as_the_last_column(tmp_path):
    rows = [f"{i},{row}" for i, row in enumerate(["0.5,2.5", "2,1", "0,4"], 1)]
    assert read_table(write(tmp_path, *rows)).columns == ("column 2",)
    table = read_table(write(tmp_path, "a,y,id", "0.5,2,1", "2,1,2", "0,4,3"))
    assert table.columns == ("a",) and table.target == "y"
    assert "has no column left for an input" in refusal(write(tmp_path, ",y", "1,2", "2,5", "3,1"))


def test_row_names_of_r_have_no_name(tmp_path):
    table = read_table(write(tmp_path, '"a" "y"', '"Mazda RX4" 21 6.5', '"Datsun" 22.8 4', '"Hornet" 18 3'))
    assert table.columns == ("a",) and table.targets == (Decimal("6.5"), 4, 3)
    assert "header: it has a name less than the rows below have fields" in table.remarks


@pytest.mark.parametrize("header", ["a,b,y", "a,b,y,"])
def test_a_delimiter_at_the_end_of_every_row(tmp_path, header):
    table = read_table(write(tmp_path, header, *(f"{row}," for row in ROWS)))
    assert table.columns == ("a", "b") and table.target == "y" and "every row ends with a delimiter" in table.remarks


def test_names_given_twice_are_said_and_many_are_cut(tmp_path):
    path = write(tmp_path, "a,a,y", *ROWS)
    assert "more than one column is called 'a'" in read_table(path).remarks
    assert "target='a' is more than one column of table '" in refusal(path, "a")
    assert read_table(path, "2").target == "a"
    many = ",".join(f"x{i}" for i in range(1, 60))
    table = read_table(
        write(tmp_path, f"{many},y", *(",".join(str(i * j % 61) for j in range(60)) for i in range(1, 9)))
    )
    assert "inputs: x1, x2, x3" in table.description and "x19, ..., x59 (59 in all); target: y" in table.description
    assert len(table.columns) == 59


# what is no number


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("number", ["1", "-1.5", "+2", ".5", "5.", "1e-3", "2E+10", "0", "0e999999999", "007", "1e-320", "1" * 300]),
        (
            "missing",
            ["", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "None", "?", "-", ".", "--", "..", "<NA>", "-nan"],
        ),
        ("spreadsheet", ["#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#NV", "#BEZUG!"]),
        ("infinite", ["inf", "-Infinity", "1e400", "-1e309", "1e-400", "9" * 400, "0." + "0" * 2000 + "1"]),
        ("comma", ["0,5", "-1,25", "1.234,5", "1 234,56", ",5", "1234,5"]),
        ("either", ["1,234", "-12,500"]),
        ("thousands", ["1,234,567", "1,234.5", "1 234", "1'234", "1\xa0234", "1.234.567"]),
        ("percent", ["12%", "12 %", "-1.5%", "3,5 %"]),
        (
            "date",
            [
                "2020-01-31",
                "2020-01-31 10:00:00",
                "31.01.2020",
                "1/31/20",
                "10:30",
                "Jan 5, 2020",
                "5-Jan-20",
                "2020Q1",
            ],
        ),
        ("notation", ["0x10", "1_000", "1D3", "\uff11\uff12", "\u0661", "\u22125", "- 5"]),
        ("unit", ["12 kg", "5cm", "$1,200", "1.5 €", "USD 5", "(1,200)", "<5", "20 °C", "5 m/s"]),
        ("text", ["red", "female", "x1", "1 2 3", "e5", "12 apples in a bag", "x" * 10_000, "#0.5"]),
    ],
)
def test_every_kind_is_known_and_only_decimal_numbers_are_numbers(kind, texts):
    assert {text: kind_of(text) for text in texts} == dict.fromkeys(texts, kind)
    for text in texts:
        assert (number(text) is None) == (kind != "number")


@given(st.text("0123456789+-.,eE_ %infaNxX#/:'\uff11\u0661", max_size=12))
@examples(500)
def test_a_number_is_what_python_reads_as_the_same_decimal(text):
    found = number(text)
    if found is not None:
        assert text.isascii() and "_" not in text and text == text.strip()
        assert found == Decimal(text) and np.isfinite(float(text)) and (found == 0) == (float(text) == 0)
        assert kind_of(text) == "number"


def test_kinds_are_counted_over_the_whole_table(tmp_path):
    lines = ["id,sex,price,share,day,y"]
    for i in range(40):
        price = "NA" if i == 7 else f"{i + 1},{100 + i}" if i % 2 else "1,234,567"
        lines.append(f'{i},{"fm"[i % 2]},"{price}",{i}%,2020-01-{i % 28 + 1:02},{i * i % 7}')
    message = refusal(write(tmp_path, *lines))
    for part in (
        "has 160 fields that are no number",
        "1 missing value in column 'price' (first 'NA', line 9): fill",
        "39 numbers with a thousands separator in column 'price' (first '1,234,567', line 2)",
        "40 percentages in column 'share' (first '0%', line 2): write the numbers without the sign",
        "40 dates or times in column 'day'",
        "column 'sex': 2 categories in 40 rows ('f', 'm'): write them as 0/1 columns or leave the column out",
    ):
        assert part in message
    assert "'id'" not in message


def test_commas_are_of_the_kind_that_others_decide():
    rows = [(1, ["1,234"]), (2, ["0,5"])]
    assert census(rows, ["a"])[1].startswith("2 numbers with a decimal comma")
    assert census([(1, ["1,234"])], ["a"])[1].startswith("1 number whose comma is of decimals or of thousands")
    assert "and 2 more" in census([(1, ["NA"] * 5)], list("abcde"))[1]
    many = [(i, ["a", "b", "c", "d", "e"]) for i in range(3)]
    assert census(many, list("vwxyz"))[1].endswith("2 more columns of categories")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b,y", *ROWS[:3], "1,two,3", *ROWS[3:]], "1 field of text in column 'b' (first 'two', line 5)"),
        (
            [*ROWS, "1,2"],
            "has a row with another number of fields than the first, which has 3: line 6 has 2: mend",
        ),
        (
            [*ROWS, "1,2,3,", "1,2"],
            "has 2 rows with another number of fields than the first, which has 3: line 6 has 4",
        ),
        (["a,b,y"], "holds no rows below its header"),
        ([], "holds no rows"),
        (["", "  ", "# nothing"], "holds no rows"),
        (["1", "2", "3", "4", "5"], "has no column left for an input"),
        ([*ROWS, "#0.5,2,3"], "1 field of text in column 'column 1' (first '#0.5', line 6)"),
        (["a,b,y", '1,"2,3', *ROWS], "has quotes that do not fit together in a row that begins in line 2"),
        (["a,b,y", '1,"2"3,4', *ROWS], "has quotes that do not fit together in a row that begins in line 2"),
        (["a,b,y", "1,\x002,4", *ROWS], r"is no text: there is a control character, '\x00', in line 2"),
        (["PK\x03\x04", *ROWS], "is a spreadsheet or a ZIP archive, no text: save it as CSV in UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, message):
    assert message in refusal(write(tmp_path, *lines))


# delimiters, encodings, line ends


def test_a_delimiter_said_by_the_file_or_the_user(tmp_path):
    rows = [row.replace(",", "^") for row in ("a,b,y", *ROWS)]
    table = read_table(write(tmp_path, "sep=^", *rows))
    assert table.columns == ("a", "b") and "'^'-separated" in table.description
    assert "line 1 says what separates the fields: sep=^" in table.remarks
    assert read_table(write(tmp_path, *rows), delimiter="^").inputs == table.inputs
    assert read_table(write(tmp_path, "sep=;", *rows), delimiter="^").inputs == table.inputs
    for wrong in ("", "ab", "1", ".", "-", '"', "\n", 5, b";"):
        with pytest.raises(InputError, match="delimiter=.*: give the one sign between the fields"):
            read_table(write(tmp_path, *rows), delimiter=wrong)


@pytest.mark.parametrize(
    "rows",
    [
        ["a;b;y", '"1,5";2;3', "2;1,5;5", "0;4;1"],  # decimal commas between semicolons
        ["a;b;y", "2020-01-01 10:00;1,5;2", "2020-01-02 10:00;2,5;3"],
        ["name;a;y", "Anna Lee;1.5;2", "Bob, jr.;2.5;3", "Eve May;3.5;1"],
        ["a;b;y", "12 kg;1;2", "13 kg;1;5", "14 kg;2;3"],
    ],
)
def test_the_delimiter_is_the_one_whose_rows_look_like_numbers(tmp_path, rows):
    assert "(';'-separated)" in refusal(write(tmp_path, *rows))


def test_one_bad_row_does_not_change_the_delimiter(tmp_path):
    rows = [f"{i} {i % 3},{i * i},{i % 5}" for i in range(1, 30)]
    assert "(','-separated) has a row with another number of fields" in refusal(
        write(tmp_path, "a,b,y", *(row.split(" ")[1] for row in rows), "1,2")
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, ending):
    table = read_table(write(tmp_path, "größe,b,y", *ROWS, "", encoding=encoding, ending=ending))
    assert table.columns == ("größe", "b") and len(table.targets) == 5
    said = {"utf-16": "read as UTF-16, by its mark", "utf-32": "read as UTF-32, by its mark"}
    said["cp1252"] = "not UTF-8: read as Windows-1252 (Latin-1), which touches no number"
    assert (said.get(encoding) in table.remarks) == (encoding in said)


@pytest.mark.parametrize("data", [b"\xff\xfe1\x002", b"a,y\n1,\x81\n", b"\x89PNG\r\n\x1a\n\0\0", b"\x1f\x8b\x08\0abc"])
def test_what_is_no_text_is_refused(tmp_path, data):
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    assert "save it as CSV in UTF-8" in refusal(path)


def test_long_fields_and_long_numbers(tmp_path):
    message = refusal(write(tmp_path, "a,b,y", *ROWS, f"{'1' * 200_000},2,3"))
    assert "has a field of more than 131,072 characters that begins in line 7" in message
    message = refusal(write(tmp_path, "a,b,y", *ROWS, f"{'x' * 100_000},2,3"))
    assert "1 field of text in column 'a' (first 'xxxx" in message and len(message) < 500
    message = refusal(write(tmp_path, f"{'n' * 100_000},b,y", *ROWS, "1,2"))
    assert len(message) < 500
    message = refusal(write(tmp_path, f"{'n' * 100_000},b,y", *ROWS), "z" * 100_000)
    assert "target='zzz" in message and "is no column of table" in message and len(message) < 700


def test_quotes_with_line_ends_inside_keep_the_line_numbers(tmp_path):
    message = refusal(write(tmp_path, '"a', 'in m","b",y', *ROWS, "1,x,2"))
    assert "(first 'x', line 8)" in message


# files


def test_what_is_no_file_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, fault in (
        (pipe, "is a pipe, a socket or a device"),
        (tmp_path, "is a directory"),
        (tmp_path / "missing.csv", "does not exist"),
        ("a\0b.csv", "has a null byte in its name"),
    ):
        message = refusal(path)
        assert message.startswith("table '") and fault in message
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "missing.csv")
    for wrong in (None, 5, [1, 2]):
        with pytest.raises(InputTypeError):
            read_table(wrong)


def test_arguments_of_a_wrong_type_are_refused(tmp_path):
    path = write(tmp_path, "a,b,y", *ROWS)
    with pytest.raises(
        InputTypeError, match="target=2 is of type int: give the name of a column, or its number as a string"
    ):
        read_table(path, 2)
    with pytest.raises(InputTypeError, match="header='no' is of type str"):
        read_table(path, header="no")
    assert "target='z' is no column of table '" in refusal(path, "z") and "give one of a, b, y; or its" in refusal(
        path, "z"
    )
    assert "is no column" in refusal(path, "4") and "is no column" in refusal(path, "0")


@given(st.one_of(st.binary(max_size=60), st.text("01.,;|\t \"'#-eNA%\r\nax=s\ufeff", max_size=80).map(str.encode)))
@examples(400)
def test_any_bytes_are_a_table_of_numbers_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        table = read_table(path)
    except InputError as error:
        assert len(str(error)) < 1_500 and "\n" not in str(error)
        return
    text = data.decode("utf-8-sig", "replace")
    written = [*table.targets, *(x for row in table.inputs for x in row)]
    assert len(table.inputs) == len(table.targets) >= 1 and all(len(row) == len(table.columns) for row in table.inputs)
    assert all(np.isfinite(float(x)) for x in written) and sum(map(len, table.inputs)) <= len(text)


# the diabetes data


def test_the_diabetes_table():
    table = diabetes_table()
    assert len(table.inputs) == len(table.targets) == 442 and len(table.columns) == 10 and len(table.checksum) == 64
    data = rounded_table(table, 4, standardise=True).dataset
    assert data == rounded_diabetes(4).dataset
    values = np.asarray([[float(entry) for entry in (*x, *y)] for x, y in zip(data.inputs, data.targets)])
    np.testing.assert_allclose(values.mean(0), 0, atol=5e-5)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-4)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64])
@pytest.mark.parametrize("standardise", [False, True])
def test_decimals_are_integers_of_numpy_too(kind, standardise):
    table = diabetes_table()
    for decimals in (2, 20):
        found = rounded_table(table, kind(decimals), standardise=standardise)
        assert found == rounded_table(table, decimals, standardise=standardise) and type(found.decimals) is int
