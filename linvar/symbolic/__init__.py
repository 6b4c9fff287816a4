"""The exact half: polynomials in 1/b, over the rationals or over polynomials in symbols."""
