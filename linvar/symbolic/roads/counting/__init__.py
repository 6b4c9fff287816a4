"""Counts that the cost models of several roads share."""
