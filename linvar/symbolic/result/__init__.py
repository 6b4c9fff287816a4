"""The answers: polynomials in 1/b, what is asked of them, how they are shown and kept."""
