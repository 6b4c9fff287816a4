"""A law in one object: its statement and its twins."""

from __future__ import annotations

from linvar.laws.law import Law
from linvar.symbolic.laws.law import ExactLaw


class OpenLaw(Law, ExactLaw):
    """A law of one example (x, y) in one short class: a base for laws of your own, for ``law=`` without any registration.

    What it must say:

    - ``input_map`` and ``target_map``, X and Y with x = X z and y = Y z, for coordinates z of your choice, tuples of rows
      of ``linvar.Rational``, shapes (d_0, m) and (d_L, m);
    - ``moments(features, order, ring)``: E prod_j f_j(z)^{a_j} of polynomials f_j in z (``Polynomial``: ``f.at_numbers(point)``,
      ``f.terms``) for the ``exponents(len(features), order)`` a, as ``ring.lift(number)``.

    So it derives by every road. To be simulated and verified it draws examples, ``sample(key, rows, dtype)``, arrays x of
    shape (rows, d_0) and y of shape (rows, d_L), and has a hash (a frozen dataclass). ``size`` n, where an example is one of
    n, each with probability 1/n, lets batches be subsets; ``kind``, ``keys``, ``to_dict`` and ``from_dict``, with a line in
    ``linvar.laws.registry.LAWS``, put it into problem files. Whatever else ``ExactLaw`` has may be replaced by what is faster.
    ``check_law`` says whether all of it is right.
    """

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.input_map)

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.target_map)
