"""How examples and batches are drawn."""
