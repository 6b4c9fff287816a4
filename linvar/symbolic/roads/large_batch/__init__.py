"""The first coefficients in 1/b, at any number of steps."""
