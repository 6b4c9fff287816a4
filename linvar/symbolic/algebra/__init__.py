"""Rings, scalars, Taylor polynomials and real roots: algebra that knows no problem."""
