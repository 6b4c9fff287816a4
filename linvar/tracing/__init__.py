"""A loss of one example as JAX records it, interpreted over any ring: the statement of a model read, not computed with.

The jaxpr is that of the LOSS; whoever needs a gradient differentiates what comes out. Entries are either known exact numbers or
elements of a ring that has + - * and powers; nothing here asks which ring.
"""
