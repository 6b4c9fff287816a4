"""Random batches of a problem, drawn with typed keys."""

from __future__ import annotations

import jax
from jaxtyping import Array, Key

from linvar.errors import InputError
from linvar.numeric.laws.law import Sampler
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.problem import Problem


def key_of(seed: int) -> Key[Array, ""]:
    """The typed key of a seed; all its 64 bits count, also where JAX computes in 32.

    >>> bool(key_of(2**32) == key_of(0))
    False
    """
    with jax.enable_x64(True):
        return jax.random.key(seed)


def sampler_from_problem(problem: Problem, dtype: str = "float64", *, second_moments: bool = False) -> Sampler:
    """The sampler of a problem's law and sampling, its numbers rounded to ``dtype``.

    Args:
        problem: a problem without symbols.
        dtype: "float64" or "float32"; float64 arrays are made inside ``jax.enable_x64(True)`` only.
        second_moments: draw batches' second moments, not their examples; for a Gaussian law.

    Raises:
        InputError: ``second_moments`` of another law, or a law that cannot be drawn as the problem says.
    """
    law = numeric_law(problem.law)
    if second_moments and not problem.model.by_second_moments(problem.leaves, problem.law):
        fault = "is for losses that are quadratic forms in the example, and this is another"
        raise InputError("batches", "second_moments", "write batches='examples'", fault=fault)
    return law.second_moment_sampler(dtype) if second_moments else law.sampler(numeric_scheme(problem.sampling), dtype)
