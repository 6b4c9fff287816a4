"""The laws of an example in floating point: one file a law."""
