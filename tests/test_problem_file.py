"""Problem files: round trips, and every hostile input refused with one line that names the key."""

from __future__ import annotations

import io
import json
import os
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from linvar import Dataset, Gaussian, Problem, load_problem
from linvar.cli.shipped import example_names, load_example
from linvar.errors import InputError, InputTypeError
from linvar.exact import MAX_DIGITS, Rational
from linvar.problem_file import MAX_BYTES, ProblemFileError, problem_from_dict, save_problem

NUMBERS = st.builds(Fraction, st.integers(-(10**30), 10**30), st.integers(1, 10**20))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small problems of both laws, with every optional part."""
    widths = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))

    def matrix(rows: int, columns: int) -> list[list[Fraction]]:
        return [[draw(NUMBERS) for _ in range(columns)] for _ in range(rows)]

    sampling = "iid"
    if draw(st.booleans()):
        n = draw(st.integers(1, 4))
        law: Gaussian | Dataset = Dataset(matrix(n, widths[0]), matrix(n, widths[-1]))
        sampling = draw(st.sampled_from(["iid", "without_replacement"]))
    else:
        diagonal = [abs(draw(NUMBERS)) for _ in range(widths[0])]
        covariance = [[diagonal[i] if i == j else 0 for j in range(widths[0])] for i in range(widths[0])]
        mean = [draw(NUMBERS) for _ in range(widths[0])]
        law = Gaussian(matrix(widths[-1], widths[0]), covariance, mean, abs(draw(NUMBERS)))
    step = draw(st.integers(0, 3))
    rate = draw(st.one_of(NUMBERS, st.lists(NUMBERS, min_size=step, max_size=step)))
    weights = [matrix(widths[k + 1], widths[k]) for k in range(len(widths) - 1)]
    momentum = draw(st.sampled_from([Fraction(0), Fraction(9, 10)]))
    nesterov = draw(st.booleans()) if momentum else False
    decay = draw(st.sampled_from([Fraction(0), Fraction(1, 10**4)]))
    return Problem(weights, law, rate, step, sampling, momentum=momentum, nesterov=nesterov, weight_decay=decay)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("problems")


def statement(**changes):
    """A valid problem as a dictionary, with changes."""
    data = {"weights": [[[1, 2]], [["1/2"]]], "law": {"kind": "gaussian", "teacher": [[1, 0]]}, "step": 1}
    data["learning_rate"] = "1/10"
    data.update(changes)
    return data


@pytest.mark.parametrize("suffix", [".json", ".toml"])
@given(problem=problems())
@examples(40)
def test_what_is_saved_is_what_is_loaded(problem, suffix, folder):
    path = folder / f"problem{suffix}"
    save_problem(problem, path)
    assert load_problem(path) == problem
    assert problem_from_dict(problem.to_dict()) == problem
    assert problem_from_dict(json.loads(json.dumps(problem.to_dict()))) == problem


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_integers_beyond_the_digit_limit_of_cpython_round_trip(suffix, tmp_path):
    long = Rational(10**10_000 + 7, 3)
    problem = Problem([[[long]]], Gaussian(teacher=[[10**9_999]]))
    problem.save(tmp_path / f"long{suffix}")
    assert load_problem(tmp_path / f"long{suffix}") == problem


def test_a_plain_json_integer_of_10_000_digits_is_read(tmp_path):
    path = tmp_path / "long.json"
    path.write_text(json.dumps(statement()).replace("[[1, 2]]", f"[[1, 1{'0' * 9_999}]]"))
    assert load_problem(path).weights[0][0][1] == 10**9_999


def test_every_shipped_example_loads_and_round_trips(tmp_path):
    assert len(example_names()) >= 4
    for name in example_names():
        problem = load_example(name)
        problem.save(tmp_path / "copy.json")
        assert load_problem(tmp_path / "copy.json") == problem


def test_defaults_are_those_of_problem():
    data = {"weights": [[[1]]], "law": {"kind": "gaussian", "teacher": [[1]]}}
    assert problem_from_dict(data) == Problem([[[1]]], Gaussian(teacher=[[1]]))


def test_targets_may_be_a_flat_list():
    law = {"kind": "dataset", "inputs": [[1], [2]], "targets": [1, "1/2"]}
    assert problem_from_dict({"weights": [[[1]]], "law": law}).law == Dataset([[1], [2]], [1, "1/2"])


GAUSSIAN = {"kind": "gaussian", "teacher": [[1, 0]]}
BAD = {
    "unknown key": (statement(tacher=3), "tacher=3"),
    "unknown key with a hint": (statement(stepp=3), "did you mean step?"),
    "unknown law key": (statement(law={**GAUSSIAN, "noise": 1}), "law.noise=1"),
    "missing law": ({"weights": [[[1]]]}, "law is missing"),
    "missing weights": ({"law": GAUSSIAN}, "weights is missing"),
    "missing teacher": (statement(law={"kind": "gaussian"}), "law.teacher is missing"),
    "missing targets": (statement(law={"kind": "dataset", "inputs": [[1, 2]]}), "law.targets is missing"),
    "missing kind": (statement(law={"teacher": [[1, 0]]}), "law.kind is missing"),
    "unknown kind": (statement(law={"kind": "cauchy"}), "law.kind=cauchy"),
    "kind of a wrong type": (statement(law={"kind": [1]}), "law.kind=[...]"),
    "law is a list": (statement(law=[1]), "law=[...]"),
    "float": (statement(weights=[[[1, 0.5]], [[1]]]), "weights[0][0][1]=0.5 is not an exact number"),
    "truth value": (statement(law={"kind": "gaussian", "teacher": [[1, True]]}), "law.teacher[0][1]=true"),
    "null": (statement(learning_rate=None), "learning_rate=null"),
    "code": (statement(learning_rate="__import__('os').system('true')"), 'learning_rate="__import__'),
    "tower": (statement(learning_rate="9**9**9**9"), "learning_rate='9**9**9**9'"),
    "decimal string": (statement(learning_rate="0.1"), "learning_rate='0.1'"),
    "exponent string": (statement(learning_rate="1e999999999"), "learning_rate='1e999999999'"),
    "zero denominator": (statement(learning_rate="1/0"), "learning_rate='1/0'"),
    "other digits": (statement(learning_rate="\u0661"), "learning_rate="),
    "too many digits": (
        statement(learning_rate="1" * (MAX_DIGITS + 1)),
        "learning_rate has an integer of 100001 digits",
    ),
    "too many digits, int": (statement(learning_rate=1 << 400_000), "learning_rate has more than 100000 digits"),
    "schedule": (statement(learning_rate=[1, "x"], step=2), "learning_rate[1]='x'"),
    "schedule length": (statement(learning_rate=[1, 2, 3]), "learning_rate has 3 entries, but step=1"),
    "negative step": (statement(step=-1), "step=-1"),
    "huge step": (statement(step=10**40), "step=1000"),
    "step is a string": (statement(step="1"), 'step="1"'),
    "step is true": (statement(step=True), "step=true"),
    "sampling": (statement(sampling="with"), "sampling='with'"),
    "without replacement of a Gaussian": (statement(sampling="without_replacement"), "needs a finite data set"),
    "matrix is a number": (statement(weights=[3]), "weights[0]=3"),
    "row is a number": (statement(weights=[[3]]), "weights[0][0]=3"),
    "too deep": (statement(weights=[[[[1]]]]), "weights[0][0][0]=[...]"),
    "ragged": (statement(weights=[[[1, 2], [1]]]), "weights[0][1] has 1 entries"),
    "empty weights": (statement(weights=[]), "weights=[]"),
    "empty row": (statement(weights=[[[]]]), "weights[0][0]=[]"),
    "empty data": (statement(law={"kind": "dataset", "inputs": [], "targets": []}), "law.inputs=[]"),
    "widths": (statement(weights=[[[1, 2]], [[1, 1]]]), "weights[1] has shape (1, 2)"),
    "teacher shape": (statement(law={"kind": "gaussian", "teacher": [[1]]}), "law.teacher has shape (1, 1)"),
    "covariance": (statement(law={**GAUSSIAN, "covariance": [[1, 1], [0, 1]]}), "law.covariance is not symmetric"),
    "indefinite": (statement(law={**GAUSSIAN, "covariance": [[1, 2], [2, 1]]}), "is not positive semi-definite"),
    "noise": (statement(law={**GAUSSIAN, "noise_variance": -1}), "law.noise_variance=-1 is negative"),
    "mean": (statement(law={**GAUSSIAN, "mean": [1]}), "law.mean has length 1"),
    "rows": (statement(law={"kind": "dataset", "inputs": [[1, 2]], "targets": [1, 2]}), "law.inputs has 1 rows"),
    "momentum": (statement(momentum=0.9), "momentum=0.9"),
    "nesterov": (statement(nesterov=1, momentum=1), "nesterov=1 is not accepted: write true or false"),
    "nesterov without momentum": (statement(nesterov=True), "nesterov=True needs momentum="),
    "weight decay": (statement(weight_decay=[1]), "weight_decay=[...]"),
    "not an object": ([1, 2], "the problem=[...]"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_statement_is_refused_by_key(case):
    data, expected = BAD[case]
    with pytest.raises(ProblemFileError) as caught:
        problem_from_dict(data)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message and len(message) < 400


def test_the_valid_statement_of_these_tests_is_valid():
    assert problem_from_dict(statement()).widths == (2, 1, 1)


TEXTS = {
    "cut": ('{"weights": [[[1', ".json", "it is not JSON"),
    "empty": ("", ".json", "it is not JSON"),
    "decimal": (
        json.dumps(statement()).replace('"1/10"', "0.10"),
        ".json",
        "learning_rate=0.10 is not an exact number",
    ),
    "exponent": (json.dumps(statement()).replace('"1/10"', "1e999999999"), ".json", "learning_rate=1e999999999"),
    "NaN": (json.dumps(statement()).replace('"1/10"', "NaN"), ".json", "learning_rate=NaN"),
    "Infinity": (json.dumps(statement()).replace('"1/10"', "-Infinity"), ".json", "learning_rate=-Infinity"),
    "step 1.0": (json.dumps(statement()).replace('"step": 1', '"step": 1.0'), ".json", "step=1.0"),
    "long step": (json.dumps(statement()).replace('"step": 1', '"step": 1' + "0" * 5000), ".json", "step=1000"),
    "too many digits": (json.dumps(statement()).replace('"1/10"', "1" * 200_000), ".json", "200000 digits"),
    "twice": ('{"step": 1, "step": 2, "weights": [], "law": {}}', ".json", "step is given twice"),
    "twice below": (
        '{"weights": [[[1]]], "law": {"kind": "x", "kind": "dataset"}}',
        ".json",
        "law.kind is given twice",
    ),
    "brackets": ("[" * 1_000_000, ".json", "nests too deeply"),
    "objects": ('{"weights":' * 200_000, ".json", "nests too deeply"),
    "toml brackets": ("weights = " + "[" * 100_000, ".toml", "nests too deeply"),
    "bad toml": ("weights = [[[1]]]\nlaw = {kind = ", ".toml", "it is not TOML"),
    "toml twice": ("step = 1\nstep = 2\n", ".toml", "it is not TOML"),
    "toml float": ('weights = [[[0.5]]]\n[law]\nkind="gaussian"\nteacher=[[1]]', ".toml", "weights[0][0][0]=0.5"),
    "toml nan": ('weights = [[[nan]]]\n[law]\nkind="gaussian"\nteacher=[[1]]', ".toml", "weights[0][0][0]=nan"),
    "toml date": (
        'weights = [[[1979-05-27]]]\n[law]\nkind="gaussian"\nteacher=[[1]]',
        ".toml",
        "weights[0][0][0]=1979",
    ),
    "toml digits": ("step = 1" + "0" * 5000, ".toml", "4,300 digits"),
    "control characters": ('{"a\\u001b[31m\\n": 1}', ".json", "is an unknown key"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_bad_file_is_refused_by_key(case, tmp_path):
    text, suffix, expected = TEXTS[case]
    path = tmp_path / f"problem{suffix}"
    path.write_text(text)
    start = time.perf_counter()
    with pytest.raises(ProblemFileError) as caught:
        load_problem(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and expected in message
    assert "\n" not in message and "\x1b" not in message and len(message) < 400 + len(str(path))
    assert time.perf_counter() - start < 5


def test_a_100_megabyte_file_is_refused_unread(tmp_path):
    path = tmp_path / "brackets.json"
    with open(path, "wb") as file:
        file.write(b"[")
        file.truncate(100 * 2**20)
    start = time.perf_counter()
    with pytest.raises(ProblemFileError, match="longer than the 32 MiB"):
        load_problem(path)
    assert time.perf_counter() - start < 0.1


def test_brackets_up_to_the_size_limit_are_refused(tmp_path):
    path = tmp_path / "brackets.json"
    path.write_bytes(b"[" * MAX_BYTES)
    with pytest.raises(ProblemFileError, match="nests too deeply"):
        load_problem(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_an_endless_file_is_refused():
    with pytest.raises(ProblemFileError, match="problem file '/dev/zero' is a pipe, a socket or a device"):
        load_problem("/dev/zero")


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00", b'{"step": "\xe9"}'])
def test_what_is_not_utf8_is_refused(content, tmp_path):
    path = tmp_path / "latin.json"
    path.write_bytes(content)
    with pytest.raises(ProblemFileError, match="not UTF-8"):
        load_problem(path)


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "mark.json"
    path.write_text(json.dumps(statement()), encoding="utf-8-sig")
    assert load_problem(path) == problem_from_dict(statement())


def test_missing_files_directories_and_null_bytes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path, expected in (
        (tmp_path / "no.json", "no.json' does not exist"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe.json", "pipe.json' is a pipe, a socket or a device"),
        ("a\0b.json", r"problem file 'a\\x00b.json' has a null byte in its name"),
    ):
        with pytest.raises(ProblemFileError, match=expected):
            load_problem(path)
    with pytest.raises(ProblemFileError, match=r"problem file 'a\\x00b.toml' has a null byte in its name"):
        problem_from_dict(statement()).save("a\0b.toml")
    with pytest.raises(InputTypeError, match="problem file=5 is of type int"):
        load_problem(5)


@pytest.fixture
def typed(monkeypatch):
    """The problem of a text on standard input."""

    def read(text):
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return load_problem("-")

    return read


def test_standard_input_is_a_problem_file(typed):
    assert typed(json.dumps(statement())) == problem_from_dict(statement())
    with pytest.raises(ProblemFileError, match="^standard input: stepp=1 is an unknown key: did you mean step?"):
        typed(json.dumps(statement(stepp=1)))


@pytest.mark.parametrize("start", ["", "\n \t", "\ufeff", "# a note\n"])
def test_standard_input_may_be_toml(typed, start):
    text = '[law]\nkind = "gaussian"\nteacher = [[1, 0], [0, 2]]\n'
    weights = "weights = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]\n"
    expected = Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], Gaussian([[1, 0], [0, 2]]))
    assert typed(start + weights + text) == expected
    if not start.startswith("#"):
        assert typed(start + json.dumps(expected.to_dict(), indent=2)) == expected
    with pytest.raises(ProblemFileError, match="^standard input: weights is missing"):
        typed(start + text)  # TOML whose first sign is that of a JSON list


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input: weights is missing"),
        ("{", "standard input: it is not JSON \\(Expecting .* line 1 column 2\\): correct it there$"),
        ("hello", "standard input: it is not TOML \\(Expected .*\\): correct it there; JSON begins with {$"),
        ("[1, 2]", "standard input: it is not TOML .*: correct it there; JSON begins with {$"),
        ("a = " + "9" * 5_000, "standard input: it has an integer of more than 4,300 digits: write it as a string"),
        ('{"a": ' + "[" * 50_000, "standard input: it nests too deeply"),
        ("a = " + "[" * 50_000, "standard input: it nests too deeply"),
        (b"\xff\xfe", "problem file standard input is not UTF-8 text"),
        ("#" * (32 * 2**20 + 1), "problem file standard input is longer than the 32 MiB"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_text_on_standard_input_is_refused(typed, text, message):
    with pytest.raises(ProblemFileError, match=f"^{message}"):
        typed(text)


def test_an_error_is_an_input_error_that_keeps_its_parts():
    with pytest.raises(InputError) as caught:
        problem_from_dict(statement(learning_rate=0.5))
    assert isinstance(caught.value, ProblemFileError)
    assert caught.value.argument == "learning_rate" and str(caught.value.value) == "0.5"
    assert caught.value.fault == "is not an exact number" and caught.value.cure.startswith("write an integer")


# tables beside problem files

TABLE = ["rooms;area;price", "3;71.55;210.25", "4;88.15;300", "2;40;150"]
TABLE_LAW = {"kind": "dataset", "file": "house.csv", "target": "price"}


@pytest.fixture
def house(tmp_path):
    """A folder with a table, and a function that reads a problem whose law is of it."""
    (tmp_path / "house.csv").write_text("\n".join(TABLE))
    (tmp_path / "below").mkdir()

    def read(name="problem.json", say=None, **law):
        path = tmp_path / name
        data = {"weights": [[[0, 0]]], "law": {**TABLE_LAW, **law}, "learning_rate": "1/10", "step": 1}
        path.write_text(json.dumps({**data, "law": {k: v for k, v in data["law"].items() if v is not None}}))
        return load_problem(path, say)

    read.folder = tmp_path
    return read


def test_a_law_from_a_table_is_exact_or_rounded(house):
    exact = Dataset([[3, "1431/20"], [4, "1763/20"], [2, 40]], ["841/4", 300, 150])
    problem = house()
    assert problem.law == exact
    # no number passes through a float; what is saved holds the numbers themselves
    problem.save(house.folder / "copy.toml")
    (house.folder / "house.csv").unlink()
    assert load_problem(house.folder / "copy.toml") == problem
    (house.folder / "house.csv").write_text("\n".join(TABLE))
    assert house(decimals=1).law == Dataset([[3, "716/10"], [4, "882/10"], [2, 40]], ["2103/10", 300, 150])
    assert house(target=None).law == exact and house(target="3").law == exact
    assert house(target="area").law.targets[0] == (Fraction(1431, 20),)
    # rooms: (3 - 3)/sqrt(2/3), (4 - 3)/sqrt(2/3)
    standard = house(decimals=3, standardise=True).law
    assert [row[0] for row in standard.inputs] == [0, Fraction(1225, 1000), Fraction(-1225, 1000)]


def test_a_law_from_a_table_in_toml_and_in_another_folder(house):
    path = house.folder / "below" / "problem.toml"
    law = '[law]\nkind = "dataset"\nfile = "../house.csv"\ntarget = "price"\nheader = true\ndelimiter = ";"\n'
    path.write_text(f"weights = [[[0, 0]]]\n{law}")
    assert load_problem(path).law == house().law
    assert house("below/problem.json", file="../house.csv").law == house().law
    assert house("below/problem.json", file=str(house.folder / "house.csv")).law == house().law
    data = {"weights": [[[0, 0]]], "law": TABLE_LAW}
    assert problem_from_dict(data, house.folder).law == house().law
    with pytest.raises(ProblemFileError, match="table 'house.csv' does not exist"):
        problem_from_dict(data)


def test_what_was_read_is_said(house):
    said = []
    house(say=said.append, decimals=1)
    assert said == [
        "house.csv: 3 rows, ';'-separated, header found, inputs: rooms, area; target: price",
        "house.csv: header: line 1 names the columns, as 'rooms' is no number",
        "house.csv: rounded to 1 decimals, by 0.05 at most",
    ]
    said.clear()
    house(say=said.append)
    assert len(said) == 2


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ({"file": 5}, "law.file=5 is not accepted: write a string"),
        ({"file": ""}, 'law.file="" is not accepted'),
        ({"file": "no.csv"}, "no.csv' does not exist"),
        ({"file": "."}, "is a directory"),
        ({"file": "a\0b"}, "has a null byte in its name"),
        ({"file": "/dev/zero"}, "is a pipe, a socket or a device"),
        ({"target": "cost"}, "law.target='cost' is no column of table"),
        ({"target": 3}, "law.target=3 is not accepted: write a string"),
        ({"decimals": 1.5}, "law.decimals=1.5 is not accepted"),
        ({"decimals": True}, "law.decimals=true is not accepted"),
        ({"decimals": -1}, "law.decimals=-1: give the digits kept after the decimal point, from 0 to 1000"),
        ({"decimals": 10**9}, "law.decimals=1000000000: give"),
        ({"standardise": 1}, "law.standardise=1 is not accepted: write true or false"),
        ({"standardise": True}, "law.decimals is missing"),
        ({"header": "yes"}, "law.header=yes is not accepted: write true or false"),
        ({"header": False, "target": "3"}, "3 fields of text in columns 'column 1', 'column 2', 'column 3'"),
        ({"delimiter": "ab"}, "law.delimiter='ab': give the one sign between the fields"),
        ({"inputs": [[1]]}, "law.inputs=[...] is an unknown key"),
        ({"fil": "x"}, "law.fil=x is an unknown key: did you mean file?"),
        ({"kind": "gaussian"}, 'law.file="house.csv" is an unknown key'),
        (
            {"file": None, "target": None},
            'law.inputs is missing: the keys here are kind, inputs, targets, or "file" and',
        ),
    ],
)
def test_a_bad_law_from_a_table_is_refused_by_key(house, law, expected):
    with pytest.raises(ProblemFileError) as caught:
        house(**law)
    message = str(caught.value)
    assert expected in message and message.startswith(f"{house.folder}/problem.json: ")
    assert "\n" not in message and len(message) < 800


def test_a_header_of_numbers_is_asked_about_by_key(house):
    (house.folder / "house.csv").write_text("\n".join(["2010;2011;2012", *TABLE[1:]]))
    with pytest.raises(
        ProblemFileError, match="law.header is needed: .* 2010, 2011, 2012, .*: write true if it names them"
    ):
        house(target=None)
    assert house(target=None, header=True).law.size == 3
    assert house(target=None, header=False).law.size == 4


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "problem.json"
    problem = problem_from_dict(statement())
    problem.save(path)
    before = path.read_bytes()

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="cannot write .*No space left on device"):
        problem.replace(step=0).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["problem.json"]


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "problem.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        problem_from_dict(statement()).save(path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_saving_keeps_permissions_and_follows_links(tmp_path):
    path, link = tmp_path / "problem.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    problem_from_dict(statement()).save(link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert load_problem(path) == problem_from_dict(statement())


def test_a_device_is_written_to_not_replaced():
    problem_from_dict(statement()).save(os.devnull)
    assert not os.path.isfile(os.devnull)
