"""How batches are drawn, in floating point: one file a scheme."""
