"""Every annotation of linvar.numeric is checked while these tests run (see test_numeric_shapes.py, the canary)."""

from jaxtyping import install_import_hook

install_import_hook("linvar.numeric", "beartype.beartype")
