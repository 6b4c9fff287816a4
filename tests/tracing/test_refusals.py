"""What no polynomial does, or is not known exactly, is refused by name with the cure; nothing wrong yields a number."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.flint import fmpq
from linvar.tracing.values import NoNumber, NotPolynomialError, cast, constant

WEIGHTS = {"w": [1, 2], "u": ["1/2", -1]}
TABLE = lv.Dataset([[1, 2], [0, 3], [2, -1]], [1, 2, 0])
ROWS = lv.Dataset([(0, 1, "1/2"), (1, 0, 2), (1, 1, "-3/2")])
GAUSSIAN = lv.Gaussian([[1, 0]])

RATIONALIZE = "round it openly"
POLYNOMIAL = r"make the loss of \+ - \* @, integer powers"
ONE = "let it give one number, the loss of ONE example"
FRACTION = "write a fraction of integers"
SHORT = jnp.array(3000.039)
TENTH = jnp.array(0.1)
LARGE = jnp.array(16777217.0)
KEY = jax.random.key(0)


@jax.custom_vjp
def wrong(x: Any) -> Any:
    return x * x


wrong.defvjp(lambda x: (wrong(x), None), lambda _, cotangent: (cotangent,))


@jax.custom_jvp
def stopped(x: Any) -> Any:
    return lax.stop_gradient(x) * x


stopped.defjvp(lambda primals, tangents: (stopped(*primals), tangents[0]))


def square(residual: Any) -> Any:
    return (residual**2).sum() / 2


def of(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A loss of w, u, x and y."""
    return lambda params, example: function(params["w"], params["u"], *example)


#: a loss, what is said of it, the cure
REFUSED: dict[str, tuple[Callable[..., Any], str, str]] = {
    "relu": (lambda w, u, x, y: square(jax.nn.relu(w @ x) - y), r"takes the larger of the weights \(max\), in relu", POLYNOMIAL),
    "exp": (lambda w, u, x, y: square(jnp.exp(w @ x) - y), "applies exp to the weights", POLYNOMIAL),
    "tanh": (lambda w, u, x, y: square(jnp.tanh(u) @ x - y), "applies tanh to the weights", POLYNOMIAL),
    "softmax": (lambda w, u, x, y: square(jax.nn.softmax(w) @ x - y), r"of the weights \(reduce_max\)", POLYNOMIAL),
    "maximum": (lambda w, u, x, y: jnp.maximum(w @ x, 0).sum(), r"takes the larger of the weights \(max\)", POLYNOMIAL),
    "clip": (lambda w, u, x, y: jnp.clip(w, 0, 1).sum(), r"the (larger|smaller) of the weights .*, in clip", POLYNOMIAL),
    "abs": (lambda w, u, x, y: jnp.abs(w @ x - y).sum(), r"the absolute value of the weights \(abs\)", POLYNOMIAL),
    "sign": (lambda w, u, x, y: jnp.sign(w).sum(), "takes the sign of the weights", POLYNOMIAL),
    "norm": (lambda w, u, x, y: jnp.linalg.norm(w) ** 2, "applies sqrt to the weights, in norm", POLYNOMIAL),
    "half a power": (lambda w, u, x, y: (w**0.5).sum(), "(takes the power 1/2|applies sqrt)", "."),
    "a power by weights": (lambda w, u, x, y: (2.0**w).sum(), "(exponent is made of|applies exp2? to) the weights", POLYNOMIAL),
    "division": (lambda w, u, x, y: square(w @ x / w[0] - y), "divides by the weights", POLYNOMIAL),
    "a negative power": (lambda w, u, x, y: (w**-1).sum(), "divides by the weights", POLYNOMIAL),
    "huber": (lambda w, u, x, y: optax.huber_loss(w @ x, y[0]), "the absolute value of the weights", POLYNOMIAL),
    "labels": (lambda w, u, x, y: optax.softmax_cross_entropy_with_integer_labels(w, 1), "the weights", POLYNOMIAL),
    "compared weights": (lambda w, u, x, y: jnp.where(w > 0, w, u).sum(), r"compares the weights \(gt\)", POLYNOMIAL),
    "branch on weights": (lambda w, u, x, y: lax.cond(w[0] > 0, lambda: 1.0, lambda: 2.0), "compares the weights", POLYNOMIAL),
    "argmax": (lambda w, u, x, y: w[jnp.argmax(w)], "the place of the largest or smallest of the weights", POLYNOMIAL),
    "sort": (lambda w, u, x, y: jnp.sort(w)[0], r"sorts the weights \(sort\)", POLYNOMIAL),
    "round": (lambda w, u, x, y: jnp.round(w).sum(), "rounds the weights", POLYNOMIAL),
    "integers of weights": (lambda w, u, x, y: 1.0 * w.astype(int).sum(), "what is no constant into the type int64", POLYNOMIAL),
    "truth of weights": (lambda w, u, x, y: 1.0 * w.astype(bool).sum(), "(compares the weights|into the type bool)", POLYNOMIAL),
    "a complex number": (lambda w, u, x, y: jnp.abs(jnp.fft.fft(w)).sum(), "complex128, in fft", POLYNOMIAL),
    "solve": (lambda w, u, x, y: jnp.linalg.solve(jnp.outer(w, w), x).sum(), "(lu|a derivative)", "."),
    "callback": (
        lambda w, u, x, y: jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((), jnp.float64), w[0]),
        "applies pure_callback to the weights", POLYNOMIAL,
    ),
    "a power beyond": (lambda w, u, x, y: w[0] ** 2000, "takes the power 2000", "use integers from 0 to 1000"),
    "a degree beyond": (lambda w, u, x, y: (w[0] ** 900) ** 2, "has the degree 1800", "degree 1000 at most"),
    # constants
    "a decimal": (lambda w, u, x, y: 0.1 * square(w @ x - y), "contains 0.1 of type float64, which may have", FRACTION),
    "pi": (lambda w, u, x, y: np.pi * w[0], "contains 3.14159.*", FRACTION),
    "a decimal in 32 bits": (lambda w, u, x, y: np.float32(0.1) * w[0], "contains 0.10000000149", FRACTION),
    "closed over": (lambda w, u, x, y: TENTH * w[0], "contains 0.10000000149.* of type float32", FRACTION),
    "closed over, near a short one": (lambda w, u, x, y: SHORT * w[0], "contains 3000.0390625 of type float32", FRACTION),
    "NumPy's": (lambda w, u, x, y: np.array([0.5, 0.3]) @ w, "contains 0.3", FRACTION),
    "an integer of 25 bits": (lambda w, u, x, y: LARGE * w[0], "contains 16777216.0 of type float32", FRACTION),
    "the same as a scalar": (lambda w, u, x, y: jnp.float32(16777217) * w[0], "contains 16777216.0", FRACTION),
    "the same by its type": (lambda w, u, x, y: w.astype(jnp.float32)[0] * 16777217.0, "contains 16777216.0", FRACTION),
    "bfloat16": (lambda w, u, x, y: (w * x).astype(jnp.bfloat16)[0] * 257.0, "contains 256.0 of type bfloat16", FRACTION),
    "in a function": (lambda w, u, x, y: jax.nn.silu(x) @ w, "applies logistic to a number of the example", RATIONALIZE),
    "a random number": (lambda w, u, x, y: w @ jax.random.normal(jax.random.key(0), (2,)), "draws random numbers", "beforehand"),
    "a random integer": (lambda w, u, x, y: w @ jax.random.randint(jax.random.PRNGKey(0), (2,), 0, 9), "random", "beforehand"),
    "a key": (lambda w, u, x, y: w @ jax.random.randint(KEY, (2,), 0, 9), "type key<fry>", POLYNOMIAL),
    "nan": (lambda w, u, x, y: square(w) + jnp.nan, "computes with nan", "leave nan and infinities out"),
    "nan alone": (lambda w, u, x, y: jnp.float64(jnp.nan), "computes with nan", "leave nan"),
    "nan times 0": (lambda w, u, x, y: jnp.array([jnp.nan, 1.0]) @ jnp.zeros(2) + w[0], "computes with nan", "leave nan"),
    "infinity": (lambda w, u, x, y: w[0] * jnp.inf, "computes with inf", "leave nan"),
    "compared to infinity": (lambda w, u, x, y: w[0] * (x[0] < jnp.inf), "computes with inf", "leave nan"),
    "0": (lambda w, u, x, y: w[0] / -0.0, "divides by 0", "number divided by"),
    # the example
    "exp of the example": (lambda w, u, x, y: w @ jnp.exp(x), "applies exp to a number of the example", RATIONALIZE),
    "sqrt of the example": (lambda w, u, x, y: w @ jnp.sqrt(x), "applies sqrt to a number of the example", RATIONALIZE),
    "power of the example": (lambda w, u, x, y: w @ x**1.5, "(takes the power 3/2|applies)", "."),
    "a half cut": (lambda w, u, x, y: 1.0 * (w @ (x / 2).astype(int)), "cuts the number 1/2 to an integer", "jax.numpy.floor"),
    "0 among the data": (lambda w, u, x, y: w[0] / x[0], "divides by 0", "number divided by"),
    "a remainder": (lambda w, u, x, y: w[0] * (x[0] % 2), "a remainder of numbers that are no integers", "integers of the data"),
    "outside": (lambda w, u, x, y: w[10], "takes entry 10 of 2", "indices inside"),
    "outside by data": (lambda w, u, x, y: w[x[0].astype(int)], "takes entry 2 of 2", "indices inside"),
    # control
    "a loop": (
        lambda w, u, x, y: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2), (0, w[0]))[1],
        "runs a loop whose length is not fixed", "lax.scan",
    ),
    "a stopped gradient": (lambda w, u, x, y: (lax.stop_gradient(w) * u) @ x, "replaces a derivative", "itself"),
    "a wrong derivative": (lambda w, u, x, y: square(wrong(w) @ x - y), "replaces a derivative", "itself"),
    "a derivative within": (lambda w, u, x, y: square(stopped(w) @ x - y), "replaces a derivative", "itself"),
    # shapes and types
    "a vector": (lambda w, u, x, y: (w * x - y) ** 2, r"gives an array of shape \(2,\)", ONE),
    "one number in an array": (lambda w, u, x, y: (w @ x - y) ** 2, r"gives an array of shape \(1,\)", ONE),
    "a pair": (lambda w, u, x, y: (w[0], w[1]), "gives a pytree of 2 arrays", ONE),
    "nothing": (lambda w, u, x, y: None, "gives nothing", ONE),
    "a truth value": (lambda w, u, x, y: w[0] > 0, "gives a number of type bool", "give a float"),
    "an integer": (lambda w, u, x, y: 3, "gives a number of type int64", "give a float"),
    "a complex loss": (lambda w, u, x, y: w[0] * 1j, "gives a number of type complex128", "give a float"),
    "text": (lambda w, u, x, y: "a", "fails on one example", "called as loss"),
    "couples examples": (lambda w, u, x, y: lax.pmean(w @ x, "batch"), "couples examples", "ONE example"),
    "Python's if": (lambda w, u, x, y: w[0] if x[0] > 0 else w[1], "branches, loops or indexes", "jax.lax.cond"),
    "Python's float": (lambda w, u, x, y: float(w[0]), "branches, loops or indexes", "jax.lax.cond"),
    "NumPy": (lambda w, u, x, y: np.exp(w).sum(), "gives traced arrays to NumPy", "jax.numpy in place of numpy"),
    "shapes that do not fit": (lambda w, u, x, y: w @ jnp.ones(3), "TypeError: .*params of u 2, w 2", "example of x 2, y 1"),
    "no such weight": (lambda w, u, x, y: {}["zz"], r"fails on one example \(KeyError: 'zz'\)", "called as loss"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_and_how_to_mend_it(name: str) -> None:
    loss, fault, cure = REFUSED[name]
    with pytest.raises(InputTypeError, match=f"^loss (?s:.*){fault}(?s:.*){cure}") as caught:
        lv.Problem(WEIGHTS, TABLE, loss=of(loss))
    assert len(str(caught.value)) < 420 and "\n" not in str(caught.value)


OF_ROWS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "outside": (lambda p, e: p[e[0] + 1], "takes entry 2 of 2"),
    "outside in an array": (lambda p, e: p[jnp.array([e[0] + 1, 0])].sum(), "takes entry 2 of 2"),
    "outside, nan": (lambda p, e: jnp.take(p, e[0] + 1), r"takes an entry outside an array \(gather\): use indices inside"),
    "an index below": (lambda p, e: p[e[0] - 3], "takes entry -1 of 2"),
    "overflow": (lambda p, e: p[0] * (e[0] * 50_000 * 50_000), "computes the integer 2500000000, beyond 32 bits"),
    "overflow of a constant": (lambda p, e: p[0] * (e[0] + 2**31), "computes the integer 2147483648, beyond 32 bits"),
    "below 0": (lambda p, e: p[0] * (e[0].astype(jnp.uint8) - 1), "the integer -1, which is none of type uint8"),
    "8 bits": (lambda p, e: p[0] * (e[0] + 127).astype(jnp.int8), "computes the integer 128, beyond 8 bits"),
    "leading zeros": (lambda p, e: p[0] * lax.clz(e[0]), "applies clz to a number of the example"),
    "its bits": (lambda p, e: p[0] * lax.population_count(e[0]), "applies population_count to a number"),
    "its bits as a float": (lambda p, e: p[0] * lax.bitcast_convert_type(e[0], jnp.float64), "bitcast_convert_type"),
    "bits shifted out": (lambda p, e: p[0] * (e[1] << 40), "shifts bits by more places"),
    "the largest integer": (lambda p, e: p[0] * jnp.iinfo(e[0].dtype).max, "contains 9.22.*e.18"),
    "a loop by data": (lambda p, e: lax.fori_loop(0, e[0], lambda k, s: s * p[0], p[0]), "a loop whose length is not fixed"),
    "two in one place": (lambda p, e: p.at[jnp.array([0, 0])].set(jnp.array([1.0, 2.0])).sum(), "writes twice in one place"),
    "divided by 0": (lambda p, e: p[0] * (e[1] // e[0]), "divides by 0"),
    "remainder of 0": (lambda p, e: p[0] * lax.rem(e[1], e[0]), "divides by 0"),
    "an order without one": (
        lambda p, e: lax.sort((jnp.array([0, 0]), p), num_keys=1, is_stable=False)[1][0], "sorts equal numbers in any order",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ROWS)
def test_what_integers_of_the_data_do_wrong(name: str) -> None:
    loss, fault = OF_ROWS[name]
    with pytest.raises(NotPolynomialError, match=f"loss .*{fault}"):
        lv.Problem([1, 2], ROWS, loss=loss)


@pytest.mark.parametrize(
    "loss",
    [
        lambda w, u, x, y: jnp.where(x > 0, w, u).sum(),
        lambda w, u, x, y: w[0] / x[0],
        lambda w, u, x, y: w[0] * jnp.abs(x[0]),
        lambda w, u, x, y: lax.cond(x[0] > 0, lambda: w[0], lambda: w[1]),
        lambda w, u, x, y: jnp.sort(x) @ w,
    ],
)
def test_what_asks_for_numbers_says_which_laws_have_them(loss: Callable[..., Any]) -> None:
    with pytest.raises(NotPolynomialError, match="the example.*an example of linvar.Dataset or linvar.Finite may"):
        lv.Problem(WEIGHTS, GAUSSIAN, loss=of(loss))
    assert lv.Problem(WEIGHTS, lv.Dataset([[1, 2], [2, 5]], [1, 0]), loss=of(loss)).degree == 1


def test_what_is_no_function() -> None:
    for loss in (3, "diagonal", dict, None.__class__):
        with pytest.raises(InputTypeError, match="^loss=.*: give a function loss"):
            lv.Problem(WEIGHTS, TABLE, loss=loss)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="bind arguments by name"):
        lv.Problem(WEIGHTS, TABLE, loss=functools.partial(of(square), 3))
    with pytest.raises(InputTypeError, match="has a part without a hash: bind numbers, text and tuples"):
        lv.Problem(WEIGHTS, TABLE, loss=functools.partial(lambda p, e, scale: 1.0, scale=np.ones(2)))


# the exactness of constants


@strategies.examples(400)
@given(st.data())
def test_a_constant_is_what_was_typed_or_refused(data: st.DataObject) -> None:
    """A decimal of as many digits as the type holds."""
    dtype, digits = data.draw(st.sampled_from([(np.float64, 15), (np.float32, 7), (jnp.bfloat16, 2)]))
    value = Fraction(data.draw(st.integers(-(10**digits), 10**digits)), 10 ** data.draw(st.integers(0, 8)))
    try:
        (entry,) = constant(np.asarray(float(value)).astype(dtype)).flat
    except NotPolynomialError:
        return
    assert Fraction(int(entry.p), int(entry.q)) == value


@pytest.mark.parametrize(
    "value",
    [0.0, 1.0, -0.5, 0.25, 0.375, 1e3, 12.125, 2.0**20, 1e6, 16777215.0, 1 / 256, 123456.5, np.float64(2**24 + 1)],
)
def test_short_constants_are_accepted(value: float) -> None:
    (entry,) = constant(np.asarray(value)).flat
    assert Fraction(int(entry.p), int(entry.q)) == Fraction(float(value))


@pytest.mark.parametrize(
    "value", [0.1, 1 / 3, 1e-9, 2.0**24, 2.0**53, 1e20, 0.1 + 0.2, np.float32(0.3), np.float16(0.1), 2.0**-40]
)
def test_constants_that_may_have_been_rounded_are_refused(value: float) -> None:
    with pytest.raises(NotPolynomialError, match="may have been rounded: write a fraction of integers"):
        constant(np.asarray(value))


def test_types_of_constants() -> None:
    assert constant(np.asarray([True, False])).tolist() == [True, False]
    assert constant(np.asarray(3), np.dtype("float64"))[()] == fmpq(3) and type(constant(np.asarray(3))[()]) is int
    assert isinstance(constant(np.asarray(np.nan))[()], NoNumber)
    with pytest.raises(NotPolynomialError, match="beyond 32 bits"):
        constant(np.asarray(2**40))
    for number, dtype in ((257, jnp.bfloat16), (2**24 + 1, jnp.float32), (-(2**53) - 1, np.float64)):
        with pytest.raises(NotPolynomialError, match="which cannot hold it"):
            cast(np.array(number, dtype=object), dtype)
    assert cast(np.array(256, dtype=object), jnp.bfloat16)[()] == 256
    assert cast(np.array(fmpq(2**70 + 1, 3), dtype=object), jnp.float16)[()] == fmpq(2**70 + 1, 3)


# what changes after a problem was stated


def test_what_a_loss_closes_over_may_not_change() -> None:
    scale = [1]

    def loss(params: Any, example: Any) -> Any:
        return scale[0] * (params["w"] ** 2).sum() * example[0][0]

    first = lv.Problem(WEIGHTS, TABLE, loss=loss)
    found = lv.gradient_variance(first)
    assert lv.Problem(WEIGHTS, TABLE, loss=loss) == first
    scale[0] = 3
    for _ in range(2):
        with pytest.raises(InputTypeError, match="closes over something that has changed.*: define it again"):
            lv.Problem(WEIGHTS, TABLE, loss=loss)
    assert first.replace(step=0).degree == 2 and lv.gradient_variance(first) == found
    scale[0] = 1
    assert lv.gradient_variance(lv.Problem(WEIGHTS, TABLE, loss=loss)) == found


def test_an_array_that_is_closed_over_may_not_change() -> None:
    array = np.array([1.0, 2.0])

    def loss(params: Any, example: Any) -> Any:
        return jax.jit(lambda w: w @ array)(params["w"]) * example[0][0]

    found = lv.gradient_variance(lv.Problem(WEIGHTS, TABLE, loss=loss))
    array[0] = 5
    with pytest.raises(InputTypeError, match="closes over something that has changed"):
        lv.Problem(WEIGHTS, TABLE, loss=loss)

    def again(params: Any, example: Any) -> Any:
        return params["w"] @ array * example[0][0]

    assert lv.gradient_variance(lv.Problem(WEIGHTS, TABLE, loss=again)) == found * Fraction(29, 5)


def test_losses_of_the_same_code_are_not_taken_for_each_other() -> None:
    losses = [lambda params, example, k=k: k * params["w"][0] * example[0][0] for k in (1, 2, 3)]
    found = [lv.gradient_variance(lv.Problem(WEIGHTS, TABLE, loss=loss)) for loss in losses]
    assert found == [found[0], found[0] * 4, found[0] * 9] and found[0] != 0


def test_arguments_that_are_equal_are_told_apart_by_their_types() -> None:
    def loss(params: Any, example: Any, *, half: Any) -> Any:
        return params[0] * (example[1] / 2 if half is True else example[1] // 2 if type(half) is int else example[1])

    variances = [
        lv.gradient_variance(lv.Problem([1], ROWS, loss=functools.partial(loss, half=half))) for half in (True, 1, 1.0)
    ]
    assert variances[1] == 0 and variances[2] == variances[0] * 4 != 0


def test_refusals_have_the_words_of_errors() -> None:
    with pytest.raises(InputError) as caught:
        lv.Problem(WEIGHTS, TABLE, loss=of(lambda w, u, x, y: jax.nn.relu(w).sum()))
    assert caught.value.argument == "loss" and isinstance(caught.value, TypeError)
    assert caught.value.inside("outer").statement.endswith("in relu, in outer")  # type: ignore[attr-defined]
