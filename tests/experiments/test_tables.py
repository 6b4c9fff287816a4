"""Tables of a user's own: what is passed over, what is refused with line and column."""

import hashlib

import numpy as np
import pytest

from linvar.experiments.tables import diabetes_table, read_table

ROWS = ["1,2,3", "2,1,5", "0,4,1", "5,5,2", "3,1,1"]


def write(tmp_path, *lines, ending="\n"):
    """A file of these lines."""
    path = tmp_path / "table.csv"
    path.write_bytes(ending.join(lines).encode())
    return path


def test_headers_blank_names_empty_lines_comments_and_a_byte_order_mark(tmp_path):
    path = write(tmp_path, "\ufeffa,,y", "# a remark", *ROWS[:2], "", ",,", *ROWS[2:], "", ending="\r\n")
    table = read_table(path)
    assert table.columns == ["a", "column 2"] and table.target == "y" and table.skipped == [2, 5, 6]
    assert table.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    raw = np.asarray([[float(v) for v in row.split(",")] for row in ROWS])
    np.testing.assert_allclose(table.inputs, (raw[:, :2] - raw[:, :2].mean(0)) / raw[:, :2].std(0))
    np.testing.assert_allclose(table.targets, (raw[:, 2] - raw[:, 2].mean()) / raw[:, 2].std())


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_no_header_and_another_target(tmp_path, delimiter):
    path = write(tmp_path, *(row.replace(",", delimiter) for row in ROWS))
    for target in ("2", "column 2"):
        table = read_table(path, target)
        assert table.columns == ["column 1", "column 3"] and table.target == "column 2"
        assert table.targets[3] == max(table.targets)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b,y", *ROWS[:3], "1,two,3", *ROWS[3:]], r"line 5, column 2 \(b\): 'two' is not a finite number"),
        ([*ROWS, "1,nan,3"], r"line 6, column 2 \(column 2\): 'nan'"),
        ([*ROWS, "1,,3"], r"line 6, column 2 \(column 2\): ''"),
        ([*ROWS, "1,2"], "line 6 has 2 fields where the first row has 3"),
        ([*ROWS, "1,2,3,"], "line 6 has 4 fields"),
        (["a,b,y"], "0 rows and 3 columns"),
        ([], "holds no rows"),
        (["1", "2", "3", "4", "5"], "5 rows and 1 columns"),
        (["1,2", "1,3", "1,4", "1,5", "1,6"], r"column 1 \(column 1\) has the same number in every row"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, *lines))


def test_wrong_targets_and_files(tmp_path):
    path = write(tmp_path, "a,a,y", *ROWS)
    with pytest.raises(ValueError, match="target='z' is no column of .*table.csv': a, a, y"):
        read_table(path, "z")
    with pytest.raises(ValueError, match="target='a' is more than one column"):
        read_table(path, "a")
    with pytest.raises(
        FileNotFoundError, match="cannot read the table .*missing.csv': No such file or directory: give the"
    ):
        read_table(tmp_path / "missing.csv")
    path.write_bytes(b"\xff\xfe1,2")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_table(path)


def test_the_diabetes_table_and_its_split():
    table = diabetes_table()
    assert table.inputs.shape == (442, 10) and len(table.checksum) == 64
    train, test = table.split(0)
    assert len(train[1]) == 353 and len(test[1]) == 89
    again, _ = table.split(0)
    other, _ = table.split(1)
    assert np.array_equal(train[0], again[0]) and not np.array_equal(train[0], other[0])
    rows = {tuple(row) for row in table.inputs}
    assert {tuple(row) for row in train[0]} | {tuple(row) for row in test[0]} == rows
