"""NoiseHistory: what it takes it reads back, and a record that has been donated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError

RECORD = lv.record_noise().init({"w": jnp.ones(2), "v": jnp.ones(3)})


def one_entry(**known) -> lv.NoiseHistory:
    """A history of one entry."""
    history = lv.NoiseHistory()
    history.append(2**53 - 1, RECORD, **known)
    return history


@pytest.mark.parametrize("ending", ["csv", "json"])
@pytest.mark.parametrize(
    "loss", [float("inf"), float("nan"), -0.0, 5e-324, -(2**1023)], ids=["inf", "nan", "-0", "tiny", "-huge"]
)
def test_the_extremes_that_are_taken_come_back(tmp_path, ending, loss):
    history = one_entry(loss=loss, batch_size=2**53 - 1)
    history.save(tmp_path / f"a.{ending}")
    again = lv.NoiseHistory.load(tmp_path / f"a.{ending}")
    assert again == history and np.signbit(again.loss[0]) == np.signbit(history.loss[0])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"batch_size": 2**53}, "batch_size=9007199254740992: give the number of examples of a step, from 1 to"),
        ({"loss": 10**400}, "loss=<an integer of about 401 digits>: give a number that a float can hold"),
        ({"loss": -(2**1024)}, "give a number that a float can hold"),
    ],
)
def test_what_no_file_holds_is_refused(known, message):
    with pytest.raises(InputError, match=message):
        one_entry(**known)


def test_a_donated_record_is_named():
    step = jax.jit(lambda record: jax.tree.map(lambda x: x + 1, record), donate_argnums=0)
    before = lv.record_noise().init({"w": jnp.ones(2)})
    after, history = step(before), lv.NoiseHistory()
    with pytest.raises(
        InputError, match="noise is no longer there: its arrays were donated or deleted: append the record"
    ):
        history.append(0, before)
    history.append(0, after)
    assert history.trace.tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (1, InputTypeError, "trace has the leaf 1: give names of leaves, which are strings"),
        ("a\rb", InputError, "which cannot be printed"),
        ("\ud800", InputError, "which cannot be printed"),
    ],
)
def test_a_leaf_has_a_name_that_every_file_holds(name, error, message):
    data = one_entry().to_dict()
    data = {key: {name: own["w"]} if isinstance(own, dict) else own for key, own in data.items()}
    with pytest.raises(error, match=message):
        lv.NoiseHistory.from_dict(data)


@pytest.mark.parametrize(
    ("number", "message"), [("1e999", "beyond what a float holds"), ("9" * 400, "beyond what a float")]
)
def test_a_number_that_no_float_holds_is_no_infinity(number, message):
    data = one_entry().to_dict()
    with pytest.raises(InputError, match=rf"loss\[0\] is .*{message}"):
        lv.NoiseHistory.from_dict({**data, "loss": [number]})
    with pytest.raises(InputTypeError, match="give a list of numbers"):
        lv.NoiseHistory.from_dict({**data, "loss": b"1"})
