"""Moments of per-example gradients from ONE backward pass, read off the jaxpr of the loss.

The jaxpr of the loss of one example is a list of equations. A value in it depends on the parameters alone, or on the
example. Every parameter *enters* at the equations where a value of the first kind meets one of the second:

    z_i = op(V, h_i),    V = V(params)    =>    d loss_i / d V = (d op / d V)(h_i)^T delta_i,    delta_i = d loss_i / d z_i

So one pass that keeps the inputs h_i and differentiates with respect to zeros ("taps") added to the outputs z_i gives
all that is to be known about every per-example gradient; for a matrix product it is the product h_i delta_i^T, whose
mean, norm and deviation from the mean need no per-example matrix.

    operations.py   the operations of JAX by name: which act entry by entry, which are linear, which only call others
    jaxprs.py       the one place that knows what this version of JAX calls their parameters
    meshes.py       what the types of values say of many devices
    evaluation.py   running a jaxpr equation by equation
    flattening.py   the loss as one flat jaxpr: calls inlined, what depends on parameters alone moved out of scans and branches
    entries.py      an equation at which a parameter meets the example; kinds/: matrix products, convolutions, lookups
    backward.py     backward passes of the user's (custom_vjp) as programs, and the products in them
    analysis.py     where parameters enter
    groups.py       which leaves are computed together, by which strategy, and why
    explanation.py  the analysis in words
    taps.py         the pass: h and delta of every entry
    strategies.py   from h and delta to the mean, the covariance trace, norms: outer, Gram, lookup, materialised in chunks
    arithmetic.py   sums in at least float32
    sums.py         all leaves of one batch
    batches.py      many batches and many devices
    coupling.py     does a loss of a whole batch couple its examples?
    following.py    one program of a batch, equation by equation: places.py where the examples are in a value; axes.py where an
                    operation takes them; lookups.py reading and writing at indices; loops.py over time or over the examples;
                    known.py numbers worked out on the way; twins.py: does n enter? readers.py: more parameters
"""
