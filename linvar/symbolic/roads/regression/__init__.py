"""Moments that close on themselves: linear regression, and any loss of degree 2 at most in the weights."""
