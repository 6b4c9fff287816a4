"""The first coefficient of the variance in 1/b, of any JAX loss."""
