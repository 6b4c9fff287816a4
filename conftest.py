"""Shared by all tests: annotations of linvar.numeric checked as they run, one Hypothesis profile, one key a test."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# must come before the first import of linvar.numeric; tests/numeric/test_numeric_shapes.py is its canary
install_import_hook("linvar.numeric", "beartype.beartype")

# the same examples on every machine; derivations and compilations take as long as they take
settings.register_profile("linvar", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("linvar")


@pytest.fixture
def key(request):
    """A typed key of this test's own, the same on every machine; printed when the test fails."""
    import jax

    seed = zlib.crc32(request.node.nodeid.encode()) % 2**31
    print(f"key = jax.random.key({seed})")
    return jax.random.key(seed)
