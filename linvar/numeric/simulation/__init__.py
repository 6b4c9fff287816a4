"""Simulated runs of SGD, and what they say about its moments."""
