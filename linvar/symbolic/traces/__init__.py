"""Formulas for every width: a quantity of the gradient's noise as sums of products of traces of words in the weights."""
