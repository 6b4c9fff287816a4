"""A law of a user's own: one with ``sample`` alone, its own twin, or none; what each can do, and what is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.laws.coordinates import Coordinate
from linvar.laws.law import Law
from linvar.numeric.delta_method.coefficients import first_order
from linvar.numeric.laws.coordinates import NumericCoordinate, Sign, find_numeric_coordinate
from linvar.numeric.laws.law import NumericLaw
from linvar.numeric.laws.samples import ExampleSampler, Samples
from linvar.numeric.laws.sampling import sampler_from_problem
from linvar.numeric.laws.twins import find_numeric_law, numeric_law
from linvar.numeric.regression import regression_curve
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.rare_batches import rare_batches
from linvar.numeric.simulation.trajectories import simulate

#: standard errors that a mean may be off
BUDGET = 4.5
IID = numeric_scheme("iid")


def squared_loss(weights: Any, example: tuple[Any, Any]) -> Any:
    """1/2 ||W x - y||^2."""
    x, y = example
    return 0.5 * jnp.sum((weights @ x - y) ** 2)


def test_a_coordinate_of_a_user_is_drawn_once_it_is_registered(key: Any) -> None:
    @dataclass(frozen=True)
    class Coin(Coordinate):
        kind = "coin"

    law = lv.Independent([Coin(), lv.Rademacher(), lv.Uniform()], lambda z: (z[0] + z[1], z[2]))
    with pytest.raises(InputError, match=r"coordinates\[0\]=.*Coin\(\) is known by its moments"):
        numeric_law(law)
    find_numeric_coordinate.register(Coin, lambda coin: NumericCoordinate(Sign(), 0.5, 0.5))
    with jax.enable_x64(True):
        x, y = map(np.asarray, numeric_law(law).sampler(IID, "float64").draw(key, 100_000))
    for values, mean in ((x**2, 1.5), (y**2, 1 / 3)):  # (1/2 + s/2 + s')^2 is 4, 1, 0 or 1
        assert abs(values.mean() - mean) < BUDGET * values.std() / 300 < abs(values.mean() - 1.5 * mean)


@dataclass(frozen=True)
class Cubes(Law):
    """x = u, y = u^3 of u uniform on (0, 1): a law with ``sample`` and nothing else."""

    shape: str = "right"
    rows: int | None = None

    input_width = 1
    target_width = 1

    @property
    def size(self) -> int | None:
        """As given."""
        return self.rows

    def sample(self, key: Any, rows: int, dtype: str) -> Any:
        """As it is named."""
        x = jax.random.uniform(key, (rows, 1), dtype)
        return {"right": (x, x**3), "flat": (x, x[:, 0]), "one": x, "words": ("x", "y"), "whole": (x, rows * (x > 2))}[
            self.shape
        ]


class Silent(Law):
    """A law that nothing draws."""

    input_width = 1
    target_width = 1


def test_a_law_with_sample_is_simulated(key: Any) -> None:
    """G = w x^2 - x y at w = 2, b = 1: E G = 2/3 - 1/5, E G^2 = 4/5 - 4/7 + 1/9; b = 4 divides the variance by 4."""
    problem = lv.Problem([[[2]]], Cubes())
    assert isinstance(Cubes(), Samples) and isinstance(sampler_from_problem(problem, "float32"), ExampleSampler)
    variance = 4 / 5 - 4 / 7 + 1 / 9 - (2 / 3 - 1 / 5) ** 2
    for b, moments in simulate(key, problem, batch_sizes=[1, 4], runs=20_000).items():
        assert abs(moments.variance.z(variance / b)) < BUDGET < abs(moments.variance.z(1.5 * variance / b))
    with jax.enable_x64(True):
        first, second = (numeric_law(Cubes()).squared_lengths() for _ in range(2))
    assert first == second and first == pytest.approx((1 / 3, 1 / 7), rel=0.1)  # of a sample of 1024


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ("flat", r"float64 of shape \(2, 1\), float64 of shape \(2,\)"),
        ("one", r"float64 of shape \(2, 1\)"),
        ("words", "no arrays"),
        ("whole", r"float64 of shape \(2, 1\), int64 of shape \(2, 1\)"),
    ],
)
def test_what_sample_gives_is_checked(shape: str, given: str) -> None:
    cure = r"give a pair of float64 arrays of shapes \(2, 1\) and \(2, 1\)$"
    with pytest.raises(InputError, match=rf"^law.sample gives {given}, law=Cubes\(.*\): {cure}"):
        simulate(jax.random.key(0), lv.Problem([[[2]]], Cubes(shape)), batch_sizes=[4], runs=2)


def test_what_a_law_with_sample_cannot_do_is_said_by_name() -> None:
    key, problem = jax.random.key(0), lv.Problem([[[2]]], Cubes())
    with pytest.raises(InputError, match=r"^law=Cubes\(.* has no sampler for rare batches: give its numeric twin"):
        rare_batches(key, problem, batch_size=1, runs=2)
    with pytest.raises(InputError, match=r"^law=Cubes\(.* has no regression curve"):
        regression_curve(problem, [1])
    with pytest.raises(InputError, match=r"^data=Cubes\(.* has no finite rule"):
        first_order(squared_loss, np.ones((1, 1)), Cubes(), 0.1, 1)
    subsets = lv.Problem([[[2]]], Cubes(rows=5), sampling="without_replacement")
    with pytest.raises(
        InputError,
        match=r"^sampling draws rows by their numbers, and law=Cubes\(.* has only sample.*: write sampling='iid'",
    ):
        simulate(key, subsets, batch_sizes=[2], runs=2)


def test_a_law_that_cannot_be_hashed_is_refused() -> None:
    class Loose(Cubes):
        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(InputTypeError, match=r"law=.*Loose\(.* cannot be hashed: make it a frozen dataclass"):
        numeric_law(Loose())


@pytest.mark.parametrize(
    "use",
    [
        lambda problem: simulate(jax.random.key(0), problem, batch_sizes=[1], runs=2),
        lambda problem: rare_batches(jax.random.key(0), problem, batch_size=1, runs=2),
        lambda problem: regression_curve(problem, [1]),
        lambda problem: lv.verify(problem),
        lambda problem: first_order(squared_loss, np.ones((1, 1)), problem.law, 0.1, 1),
        lambda problem: numeric_law(problem.law),
    ],
)  # fmt: skip
def test_a_law_that_nothing_draws_is_refused(use: Any) -> None:
    with pytest.raises(
        InputTypeError, match=r"^law=.*Silent.* cannot be simulated, .*: write sample\(key, rows, dtype\)"
    ):
        use(lv.Problem([[[2]]], Silent()))


def test_a_law_may_be_its_own_twin_or_have_a_registered_one() -> None:
    class Own(Law, NumericLaw):
        input_width = 1
        target_width = 1

        def sampler(self, scheme: Any, dtype: str) -> Any:
            """That of the cubes."""
            return numeric_law(Cubes()).sampler(scheme, dtype)

    class Sampled(lv.Gaussian):
        def sample(self, key: Any, rows: int, dtype: str) -> Any:
            """Never called: the twin of its parent comes first."""
            raise AssertionError

    own = Own()
    assert find_numeric_law(own) is own and own.statement is own
    with jax.enable_x64(True):
        assert own.rare_sampler(IID, 4, 0.5) is None
    with pytest.raises(InputError, match=r"^law=.*Own.* has no regression curve"):
        own.expectations()
    with pytest.raises(TypeError, match="abstract"):
        NumericLaw()  # type: ignore[abstract]
    assert type(find_numeric_law(Sampled([[1]]))).__name__ == "NumericGaussian"


class Frame:
    """Something with ``sample`` that is no law, as a table of pandas."""

    def sample(self, key: Any, rows: int, dtype: str) -> Any:
        """Rows of a table."""


@pytest.mark.parametrize(
    "value", [Frame(), [1.0], np.zeros(3), lv.Gaussian, {"law": 1}, Fraction(1)], ids=lambda value: type(value).__name__
)
def test_what_is_no_law_has_no_twin(value: Any) -> None:
    assert find_numeric_law(value) is None
    with pytest.raises(InputTypeError, match="^law=.*: give a law that can be simulated"):
        numeric_law(value)
