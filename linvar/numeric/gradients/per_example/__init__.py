"""Moments of per-example gradients from ONE backward pass, read off the jaxpr of the loss.

The jaxpr of the loss of one example is a list of equations. A value in it depends on the parameters alone, or on the
example. Every parameter *enters* at the equations where a value of the first kind meets one of the second:

    z_i = op(V, h_i),    V = V(params)    =>    d loss_i / d V = (d op / d V)(h_i)^T delta_i,    delta_i = d loss_i / d z_i

So one pass that keeps the inputs h_i and differentiates with respect to zeros ("taps") added to the outputs z_i gives
all that is to be known about every per-example gradient; for a matrix product it is the product h_i delta_i^T, whose
mean, norm and deviation from the mean need no per-example matrix.

    operations.py   the operations of JAX by name: which act entry by entry, which are linear, which only call others
    jaxprs.py       the one place that knows what this version of JAX calls their parameters; readers.py: more of it
    meshes.py       what the types of values say of many devices
    evaluation.py   running a jaxpr equation by equation
    flattening.py   the loss as one flat jaxpr: calls inlined, what depends on parameters alone moved out of scans and branches
    sinking.py      functions of a table's rows done to the rows that are looked up; by_rows.py: what acts row by row
    entries.py      an equation at which a parameter meets the example; kinds/: matrix products, convolutions, lookups
    backward.py     backward passes of the user's (custom_vjp) as programs, and the products in them
    pull.py         values V as functions of the leaves, and the transpose of that
    views.py        values that are entries of one leaf, moved or times a constant
    factors.py      gradients as products of small arrays; transposed.py: the transpose done to them; paying.py: does it pay?
    composite.py    products whose axes are merged or lie between zeros; placing.py: what is taken and put elsewhere of them
    patterns.py     matrices put together of a vector, in whatever way
    analysis.py     where parameters enter
    groups.py       which leaves are computed together, by which strategy, and why; explanation.py: in words
    taps.py         the pass: h and delta of every entry
    strategies/     from h and delta to the mean, the covariance trace, norms: outer, factored, lookups, materialised in chunks
    arithmetic.py   sums in at least float32
    sums.py         all leaves of one batch; totals.py: what is kept of it
    batches.py      many batches and many devices
    coupling/       does a loss of a whole batch couple its examples?
    vanishing.py    a value minus the mean of itself alone: batch norm of one example
"""
