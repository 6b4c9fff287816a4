"""Symbols in problem files: what is declared, what an expression is, and that it comes back as it was written."""

from __future__ import annotations

import json

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar import file_symbols
from linvar.exact import Rational, exact, parse_rational
from linvar.plain_data import Expression, ProblemFileError, expression_text
from linvar.problem_file import load_problem, problem_from_dict

a, c = sympy.symbols("a c")
DECLARED = file_symbols.declared(["a", "c"])
LAW = {"kind": "gaussian", "teacher": [["c", 0]], "covariance": [["a**2 + 1", 0], [0, 1]], "mean": [0, "c"]}
DATA = {
    "symbols": ["a", "c"],
    "weights": [[["a**2/3 + 1", "2*a"]], [["-(a - c)*3/4"]]],
    "law": {**LAW, "noise_variance": "c*c"},
    "learning_rate": ["a/10", "1/5"],
    "step": 2,
    "momentum": "a",
    "weight_decay": "c",
}
PROBLEM = lv.Problem(
    [[[a**2 / 3 + 1, 2 * a]], [[3 * (c - a) / 4]]],
    lv.Gaussian([[c, 0]], [[a**2 + 1, 0], [0, 1]], [0, c], c**2),
    [a / 10, "1/5"],
    2,
    momentum=a,
    weight_decay=c,
)


def value(text):
    """An expression in a and c."""
    (found,) = file_symbols.read([text], "x", DECLARED)
    assert isinstance(found, Expression) and found == text
    return found.value


def test_expressions_anywhere_are_those_of_the_problem():
    assert problem_from_dict(DATA) == PROBLEM


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_symbolic_problem_comes_back_as_it_was(tmp_path, suffix):
    PROBLEM.save(tmp_path / f"problem{suffix}")
    assert load_problem(tmp_path / f"problem{suffix}") == PROBLEM
    assert PROBLEM.to_dict()["symbols"] == ["a", "c"] and PROBLEM.to_dict()["momentum"] == "a"
    variance = lv.gradient_variance(PROBLEM.replace(step=0, learning_rate=0, momentum=0))
    found = lv.gradient_variance(
        load_problem(tmp_path / f"problem{suffix}").replace(step=0, learning_rate=0, momentum=0)
    )
    assert found == variance and variance.symbols == (a, c)


def test_a_symbolic_loss_comes_back_as_it_was(tmp_path):
    weights = {"u": [a, 1], "v": [c / 2, "1/3"]}
    law = lv.Dataset([[1, 2], [0, 1]], [1, 2])
    problem = lv.Problem(weights, law, a, 1, loss=lv.families.diagonal)
    problem.save(tmp_path / "loss.json")
    assert load_problem(tmp_path / "loss.json") == problem


def test_symbolic_weights_of_many_names_come_back(tmp_path):
    problem = lv.Problem(lv.symbolic_weights([3, 2, 1]), lv.Gaussian(lv.symbolic_matrix("t", 1, 3)))
    problem.save(tmp_path / "many.json")
    assert load_problem(tmp_path / "many.json") == problem and len(problem.to_dict()["symbols"]) == 11


def test_a_problem_of_numbers_has_no_symbols_in_its_file():
    assert "symbols" not in lv.Problem([[[1]]], lv.Gaussian([[1]])).to_dict()
    numbers = {"weights": [[[1, 2]], [[3]]], "law": {"kind": "gaussian", "teacher": [[1, 0]]}}
    assert problem_from_dict({**numbers, "symbols": []}) == problem_from_dict({**numbers, "symbols": ["a"]})
    with pytest.raises(ProblemFileError, match=r"^weights\[0\]\[0\]\[0\]='a' is not an exact number: write an integer"):
        problem_from_dict({**numbers, "weights": [[["a", 2]], [[3]]]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", a),
        ("  a\n+\t1 ", a + 1),
        ("--a", a),
        ("-a**2", -(a**2)),
        ("(-a)**2", a**2),
        ("2*-a", -2 * a),
        ("a - c - 1", a - c - 1),
        ("12/2/3*a", 2 * a),
        ("(a**2)**3", a**6),
        ("2**3*a**0", Rational(8)),
        ("1/2 + 1/3", Rational(5, 6)),
        ("(a + c)*(a - c)", a**2 - c**2),
        ("((((a))))", a),
        ("a - a", Rational(0)),
        ("a**1000", a**1000),
        ("a/(1/2)", 2 * a),
    ],
)
def test_an_expression_is_what_it_says(text, expected):
    assert value(text) == expected


@given(
    st.lists(
        st.tuples(st.fractions(max_denominator=60), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8
    ).map(lambda terms: sum((sympy.Rational(p.numerator, p.denominator) * a**i * c**j for p, i, j in terms), a))
)
def test_what_is_written_is_read(expression):
    expected = exact(expression + 10**30 * c, "x")
    assert value(expression_text(expected)) == expected


ATOMS = st.sampled_from(["a", "c", "0", "1", "2", "17"])


def combined(parts):
    """Expressions of expressions, with and without brackets."""
    joined = st.tuples(parts, st.sampled_from([" + ", "-", "*", " - -"]), parts).map("".join)
    powers = st.tuples(ATOMS, st.integers(0, 4)).map(lambda pair: f"{pair[0]}**{pair[1]}")
    return st.one_of(joined, powers, parts.map("({})".format), parts.map("-{}".format), parts.map("{}/3".format))


@given(st.recursive(ATOMS, combined, max_leaves=12))
def test_precedence_is_pythons(text):
    """Compared with SymPy's evaluation of the text as code."""
    (found,) = file_symbols.read([text], "x", DECLARED)
    known = found.value if isinstance(found, Expression) else parse_rational(found, "x")  # a number is left as it is
    assert known == exact(sympy.sympify(text, rational=True), "x")


def test_long_integers_are_written_and_read():
    long = exact(sympy.Integer(10**5_000 + 1) * a / 3 - sympy.Integer(10**4_999), "x")
    assert len(expression_text(long)) > 10_000 and value(expression_text(long)) == long


BAD = {
    "a name that is not declared": (
        "2*x",
        '"2*x" has the name x, which is not declared: declare it, "symbols": ["a", "c", "x"]',
    ),
    "a call": ("f(a)", "has the name f, which is not declared"),
    "an import": ("__import__('os')", "has the name __import__, which is not declared"),
    "an attribute": ("a.args", 'is no expression (expected an operator or the end, found ".")'),
    "a decimal": ("0.5*a", 'found "."): write + - * / **, brackets, integers and the names of symbols; 1/2 for 0.5'),
    "nothing": ("", "is no expression (expected a number, a name or (, found the end)"),
    "an open bracket": ("(a", "expected ), found the end"),
    "a closed bracket": ("a)", "expected an operator or the end"),
    "two names": ("a c", "expected an operator or the end, found c"),
    "an operator": ("a*", "expected a number, a name or ("),
    "a caret": ("a^2", 'found "^"'),
    "a negative power": ("a**-1", "expected an integer after **"),
    "a symbol as a power": ("2**a", "expected an integer after **, found a"),
    "a power of a power": ("a**2**3", "expected brackets around a power of a power"),
    "a high power": ("a**1001", "has too high a power: write powers of at most 1000"),
    "a very high power": ("a**" + "9" * 50_000, "has too high a power"),
    "a division by a symbol": ("1/a", "is not a polynomial: it divides by symbols"),
    "a division by 0": ("a/(1 - 1)", "is a division by 0"),
    "brackets": ("(" * 21 + "a" + ")" * 21, "nests too deeply: use 20 brackets inside each other at most"),
    "many brackets": ("(" * 90_000, "nests too deeply"),
    "length": ("a+" * 60_000 + "1", "is an expression of 120,001 characters: write one of at most 100,000"),
    "a sum too long": ("(a + c + 1)**1000", "is too long to be expanded"),
    "a number too long": ("(((9**1000)**1000)**1000)*a", "is a number of about"),
    "another script": ("\u0663*a", "expected a number, a name or ("),
    "a null byte": ("a\0", "expected an operator or the end"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_expression_is_refused_by_key(case):
    text, message = BAD[case]
    with pytest.raises(ProblemFileError) as caught:
        problem_from_dict({**DATA, "learning_rate": ["a", text]})
    assert str(caught.value).startswith("learning_rate[1]") and message in str(caught.value)
    assert len(str(caught.value)) < 500 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a", "symbols=a is not accepted: write a list of names"),
        ({"a": 1}, "symbols={...} is not accepted"),
        (["a", 1], "symbols[1]=1 is not accepted: write a name of letters, digits and _"),
        (["2a"], "symbols[0]="),
        (["a-b"], 'symbols[0]="a-b" is not accepted'),
        (["M[0, 1]"], "symbols[0]="),
        (["x" * 61], "at most 60 of them"),
        ([""], 'symbols[0]="" is not accepted'),
        (["a", "c", "a"], "symbols[2] a is given twice: keep one of them"),
        ([f"a{i}" for i in range(10_001)], "symbols has 10,001 names: declare at most 10,000"),
    ],
)
def test_what_is_no_list_of_names_is_refused(names, message):
    with pytest.raises(ProblemFileError) as caught:
        problem_from_dict({**DATA, "symbols": names})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"kind": "dataset", "inputs": [["a", 1]], "targets": [[1]]}, "law.inputs[0][0]='a' is not an exact number"),
        ({"kind": "gaussian", "teacher": [["d", 0]]}, "law.teacher[0][0]=d has the name d, which is not declared"),
        ({"kind": "gaussian", "teacher": [[0.5, 0]]}, "law.teacher[0][0]=0.5 is not an exact number"),
        ({"kind": "a"}, "law.kind=a is not accepted"),
    ],
)
def test_laws_with_symbols(law, message):
    with pytest.raises(ProblemFileError) as caught:
        problem_from_dict({**DATA, "law": law})
    assert message in str(caught.value)


def test_a_key_given_twice_is_seen_beside_symbols(tmp_path):
    law = '{"kind": "gaussian", "teacher": [["a"]], "teacher": [[1]]}'
    (tmp_path / "twice.json").write_text(f'{{"symbols": ["a"], "weights": [[["a"]]], "law": {law}}}')
    with pytest.raises(ProblemFileError, match="law.teacher is given twice"):
        load_problem(tmp_path / "twice.json")


def test_symbols_that_no_file_can_name_are_not_saved(tmp_path):
    matrix = sympy.MatrixSymbol("M", 1, 1)
    for symbol in (sympy.Symbol("x y"), sympy.Symbol("x" * 61), matrix[0, 0]):
        problem = lv.Problem([[[symbol]]], lv.Gaussian([[1]]))
        with pytest.raises(ProblemFileError, match="problem has the symbol .*: rename it"):
            problem.save(tmp_path / "symbols.json")
    assert not list(tmp_path.iterdir())


def test_the_text_of_a_file_has_expressions_as_strings():
    data = json.loads(PROBLEM.to_json())
    assert data["weights"] == [[["a**2/3 + 1", "2*a"]], [["-3*a/4 + 3*c/4"]]]
    assert data["law"]["noise_variance"] == "c**2" and data["learning_rate"] == ["a/10", "1/5"]
