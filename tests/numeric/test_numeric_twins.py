"""The numeric twins of laws and schemes: each has what every room asks, and no room knows which there are."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.laws.coordinates import COORDINATES
from linvar.laws.registry import LAWS as LAWS_BY_KIND
from linvar.numeric.laws.gaussian import GaussianSampler
from linvar.numeric.laws.law import Expectations, NumericLaw, RareSampler, Sampler
from linvar.numeric.laws.twins import find_numeric_law, numeric_law
from linvar.numeric.schemes.scheme import NumericScheme, numeric_scheme
from linvar.schemes.scheme import SCHEMES

NUMERIC = Path(lv.__file__).parent / "numeric"
ROWS = lv.Dataset([[1, 2, 0], [0, 1, -1], [3, 4, 1], [1, 1, 1]], [[1, 0], [0, 2], [-1, 1], [2, 2]])
NORMAL = lv.Gaussian([[1, 0, -1], [0, 2, 1]], [[2, 1, 0], [1, 1, 0], [0, 0, 3]], mean=[1, 0, -2], noise_variance="1/4")
ATOMS = lv.Finite(ROWS.inputs, ROWS.targets, ["1/2", "1/4", "1/8", "1/8"])
CUBIC = lv.Independent(
    [lv.Normal(), lv.Uniform(0, 2), lv.Rademacher()], lambda z: (z, [z[0] ** 3 - z[1] * z[2], 1 + z[0] / 2])
)
LINEAR = lv.Independent(
    [lv.Normal(1, 2), lv.Uniform(0, 2), lv.Rademacher()], lambda z: (z, [z[0] - z[1], 2 * z[2] + 1])
)
STUDENT = lv.ScaleMixture(NORMAL, degrees_of_freedom=9)
CONTAMINATED = lv.ScaleMixture(NORMAL, scales=[1, 4], probabilities=["3/4", "1/4"])
#: each with the schemes it knows, and what it has beside samplers
LAWS = [
    (ROWS, "iid", "expectations, finite_rule"),
    (ROWS, "without_replacement", "expectations, finite_rule"),
    (NORMAL, "iid", "expectations, finite_rule"),
    (ATOMS, "iid", "expectations, finite_rule"),
    (LINEAR, "iid", "finite_rule"),
    (CUBIC, "iid", ""),
    (STUDENT, "iid", ""),
    (CONTAMINATED, "iid", ""),
]


@pytest.mark.parametrize(("law", "sampling", "further"), LAWS, ids=str)
def test_every_twin_has_what_the_rooms_ask(law: Any, sampling: str, further: str) -> None:
    """Shapes of three inputs and two targets; the rows of a batch are so many as the sampler says."""
    twin, scheme = numeric_law(law), numeric_scheme(sampling)
    assert isinstance(twin, NumericLaw) and isinstance(scheme, NumericScheme) and twin.statement is law
    with jax.enable_x64(True):
        sampler, rare = twin.sampler(scheme, "float32"), twin.rare_sampler(scheme, 4, 0.5)
        assert isinstance(sampler, Sampler) and isinstance(rare, RareSampler)
        x, y = jax.jit(lambda key: sampler.draw(key, 2))(jax.random.key(0))
        assert x.shape == (sampler.rows(2), 3) and y.shape == (sampler.rows(2), 2) and x.dtype == "float32"
        batch = jax.jit(lambda key: rare.draw_rare(key, 2))(jax.random.key(0))
        assert batch.inputs.shape == (2, 3) and batch.targets.shape == (2, 2) and batch.log_ratio.shape == ()
        assert min(twin.squared_lengths()) > 0
        if "expectations" in further:
            means = twin.expectations()
            at = means.at(jnp.ones((2, 3)))
            assert isinstance(means, Expectations) and means.terms >= 1
            assert at.gradient.shape == (2, 3) and at.loss.shape == ()
        else:
            with pytest.raises(InputError, match="^law=.* has no regression curve"):
                twin.expectations()
    if "finite_rule" in further:
        rule = twin.finite_rule(np.dtype("float32"))
        assert rule.inputs.dtype == rule.targets.dtype == "float32" and len(rule.inputs) == len(rule.targets)
    else:
        with pytest.raises(InputError, match="^data=.* has (no|a) finite rule"):
            twin.finite_rule(np.dtype("float32"))


@pytest.mark.parametrize("law", [ROWS, NORMAL, ATOMS], ids=str)
def test_the_rule_and_the_expectations_agree(law: Any) -> None:
    """H, gradient, loss and E[(x^T C x + ||r||^2) x x^T] by the rule's weighted examples: 1e-12, some sums in float64."""
    weights = np.asarray([[1.0, -1, 0], [0.5, 2, 1]])
    covariance = np.asarray([[2.0, 1, 0], [1, 3, 1], [0, 1, 1]])
    with jax.enable_x64(True):
        means = numeric_law(law).expectations()
        at = means.at(jnp.asarray(weights))
        ours = [means.hessian(), at.gradient, at.loss, means.weighted(jnp.asarray(covariance), at.squares)]
    rule = numeric_law(law).finite_rule(np.dtype("float64"))
    shares = np.full(len(rule.inputs), 1 / len(rule.inputs)) if rule.weights is None else rule.weights
    residual = rule.inputs @ weights.T - rule.targets
    squares = np.sum(residual**2, axis=1)
    forms = np.einsum("ki,ij,kj->k", rule.inputs, covariance, rule.inputs) + squares
    theirs = [
        np.einsum("k,ki,kj->ij", shares, rule.inputs, rule.inputs),
        np.einsum("k,ko,ki->oi", shares, residual, rule.inputs),
        shares @ squares / 2,
        np.einsum("k,ki,kj->ij", shares * forms, rule.inputs, rule.inputs),
    ]
    for one, other in zip(ours, theirs, strict=True):
        assert np.asarray(one) == pytest.approx(other, rel=1e-12, abs=1e-12)
        assert np.asarray(one) != pytest.approx(1.5 * other, rel=1e-12, abs=1e-12)


def test_squared_lengths() -> None:
    """The longest row (3, 4, 1), the longest target (2, 2); tr Sigma + ||mean||^2 = 6 + 5, ||teacher||^2 = 7 times it."""
    assert numeric_law(ROWS).squared_lengths() == (26.0, 8.0)
    assert numeric_law(lv.Dataset([["1/2"]], [0])).squared_lengths() == (1.0, 1.0)
    assert numeric_law(NORMAL).squared_lengths() == (11.0, 77.0)


def test_what_is_no_law_has_no_twin() -> None:
    assert find_numeric_law(np.zeros(3)) is None
    with pytest.raises(InputTypeError, match=r"law=3 is of type int: give a law that can be simulated"):
        numeric_law(3)
    with pytest.raises(InputError, match="batches='second_moments' is for a Gaussian law"):
        numeric_law(ROWS).second_moment_sampler("float64")


def test_a_law_that_inherits_has_the_twin_of_its_parent() -> None:
    class Named(lv.Gaussian):
        pass

    assert isinstance(numeric_law(Named([[1, 2]])).sampler(numeric_scheme("iid"), "float32"), GaussianSampler)


def test_every_scheme_has_a_twin_that_is_static() -> None:
    for name in SCHEMES:
        twin = numeric_scheme(name)
        assert twin == numeric_scheme(name) and hash(twin) == hash(numeric_scheme(name))
        assert twin.independent != SCHEMES[name].within_dataset
    with pytest.raises(InputError, match="sampling='all' is unknown"):
        numeric_scheme("all")
    with pytest.raises(InputError, match="sampling='without_replacement' needs a data set"):
        numeric_scheme("without_replacement").factor(np.asarray([1]), None)


@pytest.mark.parametrize("sampling", SCHEMES)
def test_factor_and_share_by_all_batches(sampling: str) -> None:
    """Over every batch of 4 numbers: Var(mean) = c Var, and = share times the mean variance, of divisor b, within a batch."""
    numbers, scheme = np.asarray([1.0, 2.0, 4.0, -3.0]), numeric_scheme(sampling)
    for b in (2, 3, 4):
        choose = itertools.combinations(numbers, b) if sampling != "iid" else itertools.product(numbers, repeat=b)
        batches = np.asarray(list(choose))
        variance = batches.mean(axis=1).var()
        assert scheme.factor(np.asarray([b]), 4)[0] * numbers.var() == pytest.approx(variance, rel=1e-13)
        share = scheme.trace_share(b, 4)
        assert share * batches.var(axis=1).mean() == pytest.approx(variance, rel=1e-13)
        assert variance == 0 or 1.5 * share * batches.var(axis=1).mean() != pytest.approx(variance, rel=1e-13)


KINDS = {kind.__name__ for kind in LAWS_BY_KIND.values()} | {kind.__name__ for kind in COORDINATES.values()}


def kinds_known(text: str) -> list[str]:
    """Lines that ask which law or scheme there is: isinstance(.., Gaussian), a comparison with a sampling's name."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            names = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
            found += [ast.unparse(node)] if names & KINDS else []
        if isinstance(node, ast.Compare):
            words = {word.value for word in ast.walk(node) if isinstance(word, ast.Constant)}
            found += [ast.unparse(node)] if words & set(SCHEMES) else []
    return found


def test_no_other_room_knows_which_laws_and_schemes_there_are() -> None:
    rooms = [*(NUMERIC / "simulation").glob("*.py"), *(NUMERIC / "first_order").glob("*.py"), NUMERIC / "regression.py"]
    rooms += [*(NUMERIC / "laws").glob("*.py"), *(NUMERIC.parent / "verification").glob("*.py")]
    assert len(rooms) > 20
    assert {path.name: kinds_known(path.read_text()) for path in rooms if kinds_known(path.read_text())} == {}


@pytest.mark.parametrize(
    "line", ["isinstance(law, (Dataset, int))", "isinstance(z, Uniform)", "problem.sampling == 'iid'", "'iid' != name"]
)
def test_the_check_above_can_fail(line: str) -> None:
    assert kinds_known(line) == [line]
