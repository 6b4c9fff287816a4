"""Moments of a batch mean modulo a prime, for every law and scheme, as weights of the nodes of a lattice.

Equations are numbered as in ``proofs/lattice.md``; (2) there gives the weights of E F(v) = sum_x F(x) omega_x, (1), as

    omega_x = sum_{a >= x} N[a, x] E C(v, a),    E C(v, a) = sum_e S[e, a] m_e,    m_e = E prod_j v_j^{e_j},

so omega = N^T S^T m along each axis: S expands binomials C(x, a) in powers of x, N takes forward differences (``tables``).

The moments m_e(u). Along a direction q = sum_j theta_j f_j the generating function is one of one variable
(``linvar.symbolic.schemes``). Its part of degree n is u^n M_n(w), with w the batch size b or an umbral variable, and

    (4)   n M_n = sum_k g_k(w) A_k M_{n-k}.

M_n is a polynomial in w of degree <= n, so its values at w = 0..D give its coefficients, again by N and S. Where w is umbral,
w^j = a_j C(b, j) (``umbral_scale``), S once more gives powers of b. What stands at b^r belongs to u^{n-r}.
M_n is homogeneous of degree n in theta, so theta = (1, y) with y on a lattice |y| <= D is enough: its values there, by N and S
along each axis, give the coefficient of theta^e, which is m_e / e!.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from typing import TypeAlias, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from linvar.exact import Rational
from linvar.laws.polynomial import Polynomial
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.roads.lattice.directions import WAYS, Tables, exponential
from linvar.symbolic.roads.lattice.modular import matmul, multiply, reduce, residues_of
from linvar.symbolic.roads.lattice.simplex import simplex, simplex_nodes, sweep
from linvar.symbolic.roads.lattice.tables import HostTables, tables
from linvar.symbolic.schemes.registry import exact_scheme

#: numbers in an array that should stay in the cache; columns of the nodes' moments at a time
_BLOCK = 2**16
_COLUMNS = 8

#: of NumPy on the host, of JAX on the device
Indices: TypeAlias = "np.ndarray | jax.Array"


class Geometry(TypedDict, total=False):
    """Index arrays of a grid, the same for every prime; none for a single node.

    Attributes:
        theta: the directions (1, y), |y| <= D, filled up to whole blocks; shape (directions, variables).
        parts: for each node e the place of M_{|e|} at the direction (1, e_2, ...), among blocks, degrees, directions.
        powers: the power of b that belongs to u^k at each node, -1 where there is none; shape (D, nodes).
        nodes: the exponents e, shape (nodes, variables).
        axes, graded: the ways through the axes of the simplex (``simplex``).
    """

    theta: Indices
    parts: Indices
    powers: Indices
    nodes: Indices
    axes: dict[str, Indices]
    graded: dict[str, Indices]


#: what the program of the weights depends on: variables, degree, scheme, centred or not, the way, shapes of the law's numbers
Kind: TypeAlias = "tuple[int, int, str, bool, str, tuple[tuple[str, tuple[int, ...]], ...]]"


class BatchLaw:
    """The variables of one step's batch: residues of its law, and the weights of the nodes they imply.

    Args:
        law: the exact twin of the law of one example.
        features: polynomials f_j in the coordinates of an example; a variable v_j is the mean of one over the batch.
        degree: D, the order of the moments.
        sampling: the name of the scheme.
        central: the variables less their means.
    """

    def __init__(
        self, law: ExactLaw, features: Sequence[Polynomial], degree: int, sampling: str, central: bool = False
    ) -> None:
        self.features = tuple(features)
        self.central = central
        self.degree = degree
        self.sampling = sampling
        self.scheme = exact_scheme(sampling)
        self.dataset_size = law.size
        self.nodes = simplex(len(self.features), degree)
        #: powers of u in a weight: 1, u, ..., u^{D-1}; a single node has weight 1
        self.powers = 1 if self.trivial else degree
        found = law.along(self.features, degree, central)
        #: the name of the way to moments
        self.way = found.way
        parts = {name: np.array(part, object) for name, part in found.arrays.items()}
        self.shapes = {name: part.shape for name, part in parts.items()}
        self.numbers = {name: [Rational(x) for x in part.reshape(-1)] for name, part in parts.items()}

    @property
    def count(self) -> int:
        """The number of nodes."""
        return len(self.nodes.nodes)

    @property
    def table_size(self) -> int:
        """Numbers in the largest array of the moments of one prime, about."""
        return max((self.degree + 1) ** 2 * self._directions, self.count * self.powers)

    @property
    def _directions(self) -> int:
        """Directions (1, y), |y| <= D."""
        return comb(self.degree + len(self.features) - 1, max(0, len(self.features) - 1))

    @property
    def kind(self) -> Kind:
        """What the program of ``weights`` depends on, beside its arguments' values."""
        return (
            len(self.features),
            self.degree,
            self.sampling,
            self.central,
            self.way,
            tuple(sorted(self.shapes.items())),
        )

    @property
    def trivial(self) -> bool:
        """Whether there is one node, of weight 1: no variables, or nothing asked of them."""
        return not self.features or not self.degree

    def geometry(self) -> Geometry:
        """Index arrays that ``weights`` takes, the same for every prime."""
        if self.trivial:
            return {}
        lines, nodes = simplex_nodes(len(self.features) - 1, self.degree), self.nodes.nodes
        order = nodes.sum(axis=1)
        places = {tuple(node): place for place, node in enumerate(lines.tolist())}
        direction = np.array([places[tuple(node[1:])] for node in nodes.tolist()])
        block, inside = np.divmod(direction, self._directions_at_once)
        left = order - np.arange(self.powers)[:, None]  # the power of b that belongs to u^k
        theta = np.concatenate([np.ones((len(lines), 1)), lines], axis=1)
        return {
            "theta": np.pad(theta, ((0, -len(theta) % self._directions_at_once), (0, 0))),
            "parts": (block * (self.degree + 1) + order) * self._directions_at_once + inside,
            "powers": np.where(left >= np.minimum(order, 1), left, -1),
            "nodes": nodes,
            "axes": vars(self.nodes.axes),
            "graded": vars(self.nodes.graded),
        }

    @property
    def _directions_at_once(self) -> int:
        """Directions in a block, whose parts of all degrees at all points should stay in the cache."""
        blocks = -(-self._directions * (self.degree + 1) ** 2 // _BLOCK)
        return -(-self._directions // blocks)

    def arguments(self, primes: Sequence[int]) -> HostTables:
        """What ``weights`` takes, stacked over the primes."""
        if self.trivial:
            return {}
        law = {
            f"law_{name}": residues_of(values, primes).reshape(len(primes), *self.shapes[name])
            for name, values in self.numbers.items()
        }
        return tables(self.degree, self.sampling, self.dataset_size, primes) | law

    def weights(self, prime: jax.Array, table: Tables, geometry: Geometry) -> jax.Array:
        """omega_x of (2) as coefficients of u^0, ..., u^{D-1}, shape (nodes, D), modulo a (traced) prime."""
        if self.trivial:
            return jnp.ones((self.count, 1)) * (prime * 0 + 1)
        stairs = self.nodes.stairs

        def of(values: jax.Array) -> jax.Array:
            rows = self._monomials(values, prime, table, geometry)  # m_e
            rows = sweep(
                rows, geometry["axes"], stairs, table["binomials"].T, True, prime
            )  # E C(v, a) = sum_e S[e, a] m_e
            return sweep(
                rows, geometry["axes"], stairs, table["differences"].T, False, prime
            )  # sum_a N[a, x] E C(v, a)

        return _by_columns(of, self._homogeneous(prime, table, geometry))

    def moments(self, prime: jax.Array, table: Tables, geometry: Geometry) -> jax.Array:
        """The moments m_e(u), |e| <= D, at the nodes e, as coefficients of u^0, ..., u^{D-1}, shape (nodes, D)."""
        return _by_columns(
            lambda moments: self._monomials(moments, prime, table, geometry), self._homogeneous(prime, table, geometry)
        )

    def _homogeneous(self, prime: jax.Array, table: Tables, geometry: Geometry) -> jax.Array:
        """M_n(1, y) at the nodes (n - |y|, y), as coefficients of u^0, ..., u^{D-1}, shape (D, nodes)."""
        size = self.degree + 1
        law = {name.removeprefix("law_"): part for name, part in table.items() if name.startswith("law_")}
        theta = jnp.asarray(geometry["theta"])
        directions = WAYS[self.way](theta, law, table, prime, self.degree, self.central)
        logs = self.scheme.statistics(directions)  # A_k, shape (D + 1, directions)
        blocks = jnp.moveaxis(logs.reshape(size, -1, self._directions_at_once), 1, 0)

        def parts(logs: jax.Array) -> jax.Array:
            terms = multiply(table["growth"][:, None, :], logs[:, :, None], prime)  # g_k(w) A_k at w = 0..D
            return exponential(terms, table["inverses"], prime)  # (4)

        values = lax.map(parts, blocks).reshape(-1, size)[geometry["parts"]]  # (nodes, w)
        rows = matmul(table["binomials"], matmul(table["differences"], values.T, prime), prime)  # coefficients of w^j
        if "scale" in table:  # w^j = a_j C(b, j)
            rows = matmul(table["binomials"], multiply(rows, table["scale"][:, None], prime), prime)
        powers = geometry["powers"]
        return jnp.where(powers >= 0, jnp.take_along_axis(rows, jnp.maximum(powers, 0), axis=0), 0.0)

    def _monomials(self, rows: jax.Array, prime: jax.Array, table: Tables, geometry: Geometry) -> jax.Array:
        """From values at y to coefficients of y^e, times e!: the moments."""
        factors = table["factorials"][geometry["nodes"][:, 0]]
        for axis in range(1, len(self.features)):
            factors = reduce(factors * table["factorials"][geometry["nodes"][:, axis]], prime)
        rows = sweep(rows, geometry["graded"], self.nodes.stairs, table["differences"], True, prime)
        rows = sweep(rows, geometry["graded"], self.nodes.stairs, table["binomials"], False, prime)
        return multiply(rows, factors[:, None], prime)


def _by_columns(function: Callable[[jax.Array], jax.Array], values: jax.Array) -> jax.Array:
    """The function of (rows, columns), a few columns at a time, of values (columns, rows); shape (rows, columns)."""
    columns, rows = values.shape
    if columns * rows <= _COLUMNS * _BLOCK // 8:
        return function(values.T)
    padded = jnp.pad(values, ((0, -columns % _COLUMNS), (0, 0))).reshape(-1, _COLUMNS, rows)
    results = lax.map(lambda few: function(few.T), padded)
    return jnp.moveaxis(results, 0, 1).reshape(rows, -1)[:, :columns]
