"""The floating-point half: JAX. It differentiates a loss; it shares no formula with the exact half."""
