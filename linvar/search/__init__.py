"""Starts whose variance rises with the batch size, found in floats, certified exactly."""
