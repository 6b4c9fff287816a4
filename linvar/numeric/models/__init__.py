"""The linear network in JAX."""
