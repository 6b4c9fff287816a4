"""Moments of per-example gradients, and the noise scale, of any JAX loss."""
