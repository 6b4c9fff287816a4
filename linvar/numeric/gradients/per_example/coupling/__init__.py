"""Does a loss of a whole batch couple its examples? Read off its jaxpr, by following the examples' axis.

check.py      the question: refused by name, with the loss of one example in its place
following.py  a program equation by equation: free of the examples, one place an example, or a sum over them
axes.py       where the examples' axis goes in one operation; places.py: as a block of a longer axis
lookups.py    gathers and scatters by an example's own number; known.py: numbers that no parameter changes
loops.py      loops over the examples, or over another axis
twins.py      the same program for another number of examples: what does n change?
"""
