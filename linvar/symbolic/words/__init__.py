"""Moments of words in Wishart matrices."""
