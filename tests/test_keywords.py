"""Did you mean: every public door says it, and stays what it is for help, editors and type checkers."""

from __future__ import annotations

import doctest
import inspect
import sys
from typing import Any

import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.keywords import ELSEWHERE, OF_PROBLEM, SYNONYMS, door, door_of_class

#: what linvar makes and no user does, numbers, symbols, errors and modules
MADE_BY_LINVAR = {
    "Derivation", "Estimate", "FirstOrderFormula", "Plan", "Report", "SearchResult", "TraceFormula",
    "Rational", "b", "u", "InputError", "DerivationTooLargeError", "datasets", "families", "numeric", "testing",
}  # fmt: skip
DOORS = sorted({*lv.__all__} - MADE_BY_LINVAR)
GAUSSIAN = lv.Gaussian([[1, 0], [0, 2]])
TWO = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
PROBLEM = lv.Problem(TWO, GAUSSIAN, "1/10", 1)


@door
def derived(problem: str, road: str | None = None, *, of: str = "gradient") -> tuple[str, str | None, str]:
    """What came in.

    >>> derived("p", of="update")
    ('p', None, 'update')
    """
    return problem, road, of


@pytest.mark.parametrize("name", DOORS)
def test_every_public_door_names_its_arguments(name):
    made = getattr(lv, name)
    words = [word for word in inspect.signature(made).parameters if word != "self"]
    with pytest.raises(InputTypeError, match=f"^zzz=2 is no argument of {name}: ") as caught:
        made(zzz=2)
    said = str(caught.value)
    assert isinstance(caught.value, (TypeError, ValueError)) and "\n" not in said and len(said) < 400
    assert said.endswith(", ".join(words) if words else "it takes none")
    for word in words:
        if len(word) > 4:  # one letter doubled
            with pytest.raises(InputTypeError, match=f"did you mean {word}?"):
                made(**{word[:2] + word[1:]: 2})


@pytest.mark.parametrize("name", DOORS)
def test_a_door_keeps_its_signature_and_its_words(name):
    made = getattr(lv, name)
    function = made.__init__ if inspect.isclass(made) else made
    assert inspect.signature(function) == inspect.signature(function.__wrapped__) and made.__doc__
    own = list(inspect.signature(function.__wrapped__).parameters)
    assert list(inspect.signature(made).parameters) == [word for word in own if word != "self"]
    assert function.__name__ == ("__init__" if inspect.isclass(made) else name)
    assert function.__module__.startswith("linvar.")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lv.Problem(TWO, GAUSSIAN, t=1), "t=1 is no argument of Problem: did you mean step?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, steps=1), "did you mean step?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, lr=1), "did you mean learning_rate?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, eta=1), "did you mean learning_rate?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, alpha=1), "did you mean learning_rate?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, rate=1), "did you mean learning_rate?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, learning_rates=1), "did you mean learning_rate?"),
        (lambda: lv.Problem(TWO, GAUSSIAN, batch_size=8), "the answer is a function of it: linvar.gradient_variance(p"),
        (lambda: lv.Problem(TWO, GAUSSIAN, n=8), "it is the number of rows of law=linvar.Dataset(inputs, targets)"),
        (lambda: lv.Problem(TWO, teacher=[[1]]), "give law=linvar.Gaussian(teacher, covariance, mean, noise_variance)"),
        (lambda: lv.Problem(TWO, noise=1), "give law=linvar.Gaussian(teacher, covariance, mean, noise_variance)"),
        (lambda: lv.Problem(TWO, inputs=[[1]], targets=[1]), "give law=linvar.Dataset(inputs, targets)"),
        (lambda: lv.Problem(TWO, GAUSSIAN, activation="tanh"), "give loss=, a polynomial in the weights"),
        (lambda: lv.Gaussian([[1]], noise=1), "noise=1 is no argument of Gaussian: did you mean noise_variance?"),
        (lambda: lv.Gaussian([[1]], sigma=1), "did you mean noise_variance?"),
        (lambda: lv.Gaussian([[1]], cov=[[1]]), "did you mean covariance?"),
        (lambda: lv.Gaussian([[1]], bias=1), "a law has none"),
        (lambda: lv.Dataset([[1]], [1], bias=True), "a law has none"),
        (lambda: lv.Dataset([[1]], [1], n=3), "it is the number of rows"),
        (lambda: lv.Dataset(X=[[1]], y=[1]), "X=[[1]] is no argument of Dataset: did you mean inputs?"),
        (lambda: lv.ScaleMixture(GAUSSIAN, nu=5), "did you mean degrees_of_freedom?"),
        (lambda: lv.gradient_variance(PROBLEM, order=2), "use linvar.large_batch(problem, order, digits); in a plan"),
        (lambda: lv.plan(PROBLEM, digits=2), "use linvar.large_batch(problem, order, digits); in a plan"),
        (lambda: lv.gradient_variance(PROBLEM, steps=[1]), "use linvar.derive_steps(problem, steps)"),
        (lambda: lv.gradient_variance(PROBLEM, per_layer=True), "use linvar.derive(problem).per_leaf"),
        (lambda: lv.gradient_variance(PROBLEM, method="lattice"), "give road=linvar.Lattice() (Expansion(), Regression())"),
        (lambda: lv.gradient_variance(PROBLEM, checkpoint="kept"), "give road=linvar.Lattice(checkpoint=...)"),
        (lambda: lv.gradient_variance(PROBLEM, batch_size=4), "linvar.gradient_variance(problem)(64)"),
        (lambda: lv.gradient_variance(PROBLEM, t=4), "it is of the problem: problem.replace(step=...)"),
        (lambda: lv.verify(PROBLEM, learning_rate=1), "it is of the problem: problem.replace(learning_rate=...)"),
        (lambda: lv.verify(PROBLEM, seed=1), "did you mean key?"),
        (lambda: lv.verify(PROBLEM, n=1), "did you mean runs?"),
        (lambda: lv.simulate(None, PROBLEM, batch_size=1), "did you mean batch_sizes?"),
        (lambda: lv.trace_formula(L=2, t=1), "L=2 is no argument of trace_formula: did you mean depth?"),
        (lambda: lv.symbolic_matrix("t", 2, cols=2), "did you mean columns?"),
        (lambda: lv.Lattice(chekpoint="kept"), "did you mean checkpoint?"),
        (lambda: lv.Expansion(order=2), "order=2 is no argument of Expansion: it takes none"),
        (lambda: PROBLEM.replace(stepp=3), "stepp=3 is no argument of replace: did you mean step?"),
        (lambda: lv.Problem.from_arrays(TWO, GAUSSIAN, lr=1), "no argument of from_arrays: did you mean learning_rate?"),
        (lambda: lv.first_order_formula(2, 0).value(TWO, [[1]], lr=1), "of value: did you mean learning_rate?"),
        (lambda: lv.trace_formula(2, 0).isotropic(noise=1), "of isotropic: did you mean noise_variance?"),
        (lambda: lv.BatchPolynomial([0, 1]).latex(factr=True), "factr=True is no argument of latex: did you mean factor?"),
        (lambda: lv.BatchPolynomial([0, 1]).latex(decimals=3), "decimals=3 is no argument of latex: did you mean digits?"),
        (lambda: lv.BatchPolynomial([0, 1]).series(2, var=lv.b), "var=b is no argument of series: its arguments are order, va"),
        (lambda: lv.BatchPolynomial([0, 1]).factor(variabel=lv.b), "of factor: did you mean variable?"),
        (lambda: lv.BatchPolynomial([0, 1]).as_expr(variabel=lv.b), "of as_expr: did you mean variable?"),
        (lambda: lv.BatchPolynomial([0, 1]).is_decreasing(upto=4), "upto=4 is no argument of is_decreasing: did you mean to?"),
        (lambda: lv.BatchPolynomial([0, 1]).batch_size_for(valeu=4), "of batch_size_for: did you mean value?"),
        (lambda: lv.BatchPolynomial([0, 1]).coefficient(power=4), "of coefficient: its arguments are k"),
        (lambda: lv.NoiseHistory().smoothed(windw=4), "windw=4 is no argument of smoothed: did you mean window?"),
        (lambda: lv.datasets.diabetes(digits=1), "did you mean decimals?"),
        (lambda: lv.datasets.diabetes(k=1), "k=1 is no argument of diabetes: its arguments are decimals"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_refused_with_the_right_one(call, message):
    with pytest.raises(InputTypeError) as caught:
        call()
    assert message in str(caught.value)


def test_the_first_wrong_word_is_named_and_its_value_shown():
    with pytest.raises(InputTypeError, match="^stepz=3 is no argument of derived") as caught:
        derived("p", of="update", stepz=3, more=1)
    assert (caught.value.argument, caught.value.value) == ("stepz", 3) and isinstance(caught.value, InputError)
    with pytest.raises(TypeError, match="missing 1 required positional argument") as other:
        derived()
    assert not isinstance(other.value, InputError)


def test_an_error_of_the_function_itself_passes_through():
    @door
    def failing(problem: str) -> None:
        raise TypeError("failing() got an unexpected keyword argument 'of its own'")

    with pytest.raises(TypeError, match="of its own") as caught:
        failing(problem="p")
    assert not isinstance(caught.value, InputError)


def test_every_word_of_the_tables_is_one_that_some_door_does_not_take():
    taken = {name: {*inspect.signature(getattr(lv, name)).parameters} for name in DOORS}
    everywhere = set().union(*taken.values())
    assert {*SYNONYMS} <= everywhere
    assert all(any(marker in words for words in taken.values()) for _, marker, _ in ELSEWHERE)


def test_the_arguments_of_a_problem_are_listed():
    assert tuple(inspect.signature(lv.Problem).parameters) == OF_PROBLEM


def test_a_door_looks_as_it_was_written():
    assert derived("p", "r") == ("p", "r", "gradient")
    assert str(inspect.signature(derived)).startswith(
        "(problem: 'str', road: 'str | None' = None, *, of: 'str' = 'gradient')"
    )
    assert derived.__name__ == "derived" and derived.__module__ == __name__
    found = doctest.DocTestFinder().find(sys.modules[__name__], __name__)
    (own,) = (test for test in found if test.name.endswith(".derived"))
    assert own.examples


def test_a_class_stays_itself():
    class Plain:
        def __init__(self, order: int = 2) -> None:
            self.order = order

    assert door_of_class(Plain) is Plain and Plain(order=3).order == 3


@pytest.mark.parametrize(
    ("module", "name", "meant"),
    [
        (lv, "gradient_varience", "gradient_variance"),
        (lv, "guassian", "Gaussian"),
        (lv.families, "quadratik", "quadratic"),
        (lv.datasets, "diabetis", "diabetes"),
        (lv.numeric, "simulat", "simulate"),
        (lv.testing, "check_laws", "check_law"),
    ],
)
def test_a_misspelt_attribute_is_told_from_the_right_one(module: Any, name: str, meant: str):
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    assert str(caught.value) == f"module {module.__name__!r} has no attribute {name!r}: did you mean {meant}?"
    assert not hasattr(module, "zzz") and hasattr(module, meant)
