"""The canary: array annotations are really checked while the tests run."""

import ast
import re
import typing
from pathlib import Path

import beartype.roar
import jax
import jax.numpy as jnp
import jaxtyping
import pytest

import linvar.numeric.gradients
from linvar.numeric.gradients.per_example.groups import Strategy
from linvar.numeric.models.network import LinearNetwork, batch_loss
from linvar.numeric.schemes.without_replacement import numbers_below

WRONG = (jaxtyping.TypeCheckError, beartype.roar.BeartypeException)
NETWORK = LinearNetwork([jnp.ones((1, 2))])


def test_a_wrong_number_of_axes_is_caught():
    with pytest.raises(WRONG):
        NETWORK(jnp.ones((3, 2)))
    assert NETWORK(jnp.ones(2)).shape == (1,)


def test_axes_that_disagree_are_caught():
    with pytest.raises(WRONG):
        batch_loss(NETWORK, jnp.ones((3, 2)), jnp.ones((4, 1)))
    assert batch_loss(NETWORK, jnp.ones((3, 2)), jnp.ones((3, 1))) == 0.5


def test_a_wrong_dtype_is_caught():
    with pytest.raises(WRONG):
        NETWORK(jnp.ones(2, jnp.int32))
    with pytest.raises(WRONG):
        numbers_below(jnp.zeros(2, jnp.uint32), jnp.ones(2, jnp.int32))
    assert numbers_below(jax.random.key(0), jnp.ones(2, jnp.int32)).shape == (2,)


def test_every_module_that_says_a_shape_is_checked():
    """The room that is left out of the default run says none, and is left out alone."""
    numeric = Path(linvar.numeric.gradients.__file__).parents[1]
    conftest = ast.parse((Path(__file__).parents[2] / "conftest.py").read_text(encoding="utf-8"))
    named = ast.unparse(next(n.value for n in conftest.body if ast.unparse(n).startswith("UNSHAPED =")))
    assert named.endswith("else ('per_example',)")
    shape = re.compile(r"\b(Array|ndarray), \" ?\w")
    said = {path for path in numeric.rglob("*.py") if shape.search(path.read_text(encoding="utf-8"))}
    assert len(said) > 15 and not any("per_example" in path.parts for path in said)


def returns_of(source: str) -> dict[str, ast.expr | None]:
    """What every function says it returns."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {node.name: node.returns for node in functions}


def unsaid(source: str) -> list[str]:
    """Functions that do not say what comes back: no annotation, or Any somewhere in it."""
    found = returns_of(source)
    return [
        name for name, returns in found.items()
        if returns is None or any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(returns))
    ]  # fmt: skip


def test_functions_about_gradients_say_what_comes_back():
    """The one exception is a parameter of an equation, of which JAX says no more."""
    room = Path(linvar.numeric.gradients.__file__).parent
    found = {path.relative_to(room).as_posix(): unsaid(path.read_text()) for path in room.rglob("*.py")}
    assert {name: names for name, names in found.items() if names} == {"per_example/jaxprs.py": ["_parameter"]}


@pytest.mark.parametrize("returns", ["", " -> Any", " -> tuple[Any, int]", " -> list[Any] | None"])
def test_that_check_can_fail_too(returns):
    assert unsaid(f"def f(x){returns}: ...") == ["f"]


def test_every_strategy_is_explained():
    from linvar.numeric.gradients.per_example import groups

    lines = [line.split() for line in groups.__doc__.splitlines() if line.startswith("    ")]
    assert tuple(words[0] for words in lines) == typing.get_args(Strategy)
