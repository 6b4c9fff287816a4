"""The canary: array annotations are really checked while the tests run."""

import beartype.roar
import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from linvar.numeric.laws.sampling import random_subset
from linvar.numeric.models.linear import LinearNetwork, batch_loss

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
        random_subset(jnp.zeros(2, jnp.uint32), 4, 2)
    assert random_subset(jax.random.key(0), 4, 2).shape == (2,)
