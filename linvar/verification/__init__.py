"""The exact polynomials against a simulation that shares no formula with them."""
