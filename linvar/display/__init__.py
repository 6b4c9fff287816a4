"""How results are shown: one table, in a terminal, a notebook, a paper."""
