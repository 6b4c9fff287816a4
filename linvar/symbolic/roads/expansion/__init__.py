"""Expand SGD in a polynomial ring, then replace monomials by their expectations."""
