"""Moments of a batch mean modulo a prime, for every law and both samplings, as weights of the nodes of a lattice.

Along a direction Theta = sum_j theta_j Theta_j the generating function of ``batch_moments`` is one of one variable r. With w for
the batch size b (iid), or for the umbral variable w^j = (b)_j / (n)_j (without replacement), its part of degree n is u^n M_n,

    n M_n = sum_k g_k(w) A_k M_{n-k},     iid  g_k = w,  A_k = kappa_k(Theta) / (k-1)!
                                          without replacement  g_k = c_k(w) / (k-1)!,  A_k = sum_i q_i(Theta)^k,

with c_1 = w, c_{k+1} = w (1-w) c_k' (the cumulants of a Bernoulli variable). M_n is interpolated in w = 0..D; as (b)_j =
sum_r s(j, r) b^r, what stands at b^r belongs to u^{n-r}. It is homogeneous in theta, so theta = (1, y) with y on a
lattice is enough. From the moments m_e(u) the weights of the nodes x of the lattice |x| <= D, with E F = sum_x F(x) omega_x,
are omega = N^T S^T m along each axis: S expands binomials C(x, a) in powers of x, N takes forward differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from linvar.exact import Matrix, Rational
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import Law
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.roads.lattice.modular import matmul, multiply, reduce, residues_of
from linvar.symbolic.roads.lattice.simplex import simplex, simplex_nodes, sweep

Tables = dict[str, Any]

#: products of reduced residues that may be added before their sum is reduced
_SUMMANDS = 8
#: numbers in an array that should stay in the cache; columns of the nodes' moments at a time
_BLOCK = 2**16
#: examples times directions in a block of power sums
_EXAMPLES = 2**18
_COLUMNS = 8


def tables(degree: int, sampling: str, dataset_size: int | None, primes: Sequence[int]) -> Tables:
    """Residues that the moments up to this order need, one row a prime; computed once, on the host."""
    p = np.array(primes, np.int64)[:, None]
    size = degree + 1
    inverses = np.array([[1, *(pow(k, -1, q) for k in range(1, size))] for q in primes], np.int64)
    factorials = np.ones((len(primes), size), np.int64)
    differences = np.zeros((len(primes), size, size), np.int64)  # N[a, x] = (-1)^{a-x} C(a, x)
    binomials = np.zeros((len(primes), size, size), np.int64)  # S[e, a]: C(x, a) = sum_e S[e, a] x^e
    differences[:, 0, 0] = binomials[:, 0, 0] = 1
    for a in range(1, size):
        factorials[:, a] = factorials[:, a - 1] * a % p[:, 0]
        differences[:, a, 1:] = differences[:, a - 1, :-1]
        differences[:, a] = (differences[:, a] - differences[:, a - 1]) % p
        before = binomials[:, :, a - 1]
        binomials[:, 1:, a] = before[:, :-1]
        binomials[:, :, a] = (binomials[:, :, a] - (a - 1) * before) % p * inverses[:, a : a + 1] % p
    points = np.broadcast_to(np.arange(size, dtype=np.int64), (len(primes), size))
    growth = np.zeros((len(primes), size, size), np.int64)  # g_k at the points
    scale = np.ones((len(primes), size), np.int64)
    if sampling == "iid":
        growth[:, 1:] = points[:, None]
    else:
        assert dataset_size is not None
        law = np.zeros((len(primes), size + 1), np.int64)
        inverse_factorial = np.ones((len(primes), 1), np.int64)
        powers = np.arange(size + 1)
        law[:, 1] = 1
        for k in range(1, size):
            if k > 1:  # c' in the powers of w, then w c' - w^2 c'
                step = law * powers % p  # w c'
                law = step.copy()
                law[:, 1:] = (law[:, 1:] - step[:, :-1]) % p
                inverse_factorial = inverse_factorial * inverses[:, k - 1 : k] % p
            value = np.zeros_like(points)
            for power in reversed(range(k + 1)):
                value = (value * points + law[:, power : power + 1]) % p
            growth[:, k] = value * inverse_factorial % p
        for j in range(1, size):  # j! / (n)_j
            left = dataset_size - j + 1
            column = [j * pow(left, -1, q) % q if left > 0 else 0 for q in primes]
            scale[:, j] = scale[:, j - 1] * np.array(column, np.int64) % p[:, 0]
    doubled = np.array([[0, *(pow(2, k - 1, q) for k in range(1, size))] for q in primes], np.int64)
    named = {
        "differences": differences, "binomials": binomials, "growth": growth, "scale": scale,
        "inverses": inverses, "factorials": factorials, "doubled": doubled,
    }  # fmt: skip
    return {name: _near_zero(table, p) for name, table in named.items()}


def _near_zero(table: Any, p: Any) -> Any:
    """Residues of least size, as float64."""
    q = p.reshape((-1,) + (1,) * (table.ndim - 1))
    return np.where(table > q // 2, table - q, table).astype(np.float64)


class BatchLaw:
    """The variables of one step's batch: residues of its law, and the weights of the nodes they imply.

    Args:
        law: the law of one example.
        forms: symmetric matrices Theta_j, one a variable v_j = <Theta_j, S_z>.
        degree: D, the order of the moments.
        sampling: "iid" or "without_replacement".
        central: the variables less their means.
    """

    def __init__(self, law: Law, forms: Sequence[Matrix], degree: int, sampling: str, central: bool = False) -> None:
        self.forms = tuple(forms)
        self.central = central
        self.degree = degree
        self.sampling = sampling
        self.dataset_size = law.size if isinstance(law, Dataset) else None
        self.nodes = simplex(len(self.forms), degree)
        #: powers of u in a weight: 1, u, ..., u^{D-1}; a single node has weight 1
        self.powers = 1 if self.trivial else degree
        parts = (
            _dataset_numbers(law, self.forms, central)
            if isinstance(law, Dataset)
            else _gaussian_numbers(law, self.forms)
        )
        self.shapes = {name: np.shape(part) for name, part in parts.items()}
        self.numbers = {
            name: [Rational(x) for x in np.array(part, dtype=object).reshape(-1)] for name, part in parts.items()
        }

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
        return comb(self.degree + len(self.forms) - 1, max(0, len(self.forms) - 1))

    @property
    def kind(self) -> tuple[Any, ...]:
        """What the program of ``weights`` depends on, beside its arguments' values."""
        return len(self.forms), self.degree, self.sampling == "iid", self.central, tuple(sorted(self.shapes.items()))

    @property
    def trivial(self) -> bool:
        """Whether there is one node, of weight 1: no variables, or nothing asked of them."""
        return not self.forms or not self.degree

    def geometry(self) -> Tables:
        """Index arrays that ``weights`` takes, the same for every prime."""
        if self.trivial:
            return {}
        lines, nodes = simplex_nodes(len(self.forms) - 1, self.degree), self.nodes.nodes
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

    def arguments(self, primes: Sequence[int]) -> Tables:
        """What ``weights`` takes, stacked over the primes."""
        if self.trivial:
            return {}
        law = {
            f"law_{name}": residues_of(values, primes).reshape(len(primes), *self.shapes[name])
            for name, values in self.numbers.items()
        }
        return tables(self.degree, self.sampling, self.dataset_size, primes) | law

    def weights(self, prime: Any, table: Tables, geometry: Tables) -> Any:
        """omega_x as coefficients of u^0, ..., u^{D-1}, shape (nodes, D), modulo a (traced) prime."""
        if self.trivial:
            return jnp.ones((self.count, 1)) * (prime * 0 + 1)
        stairs = self.nodes.stairs

        def of(moments: Any) -> Any:
            rows = self._monomials(moments, prime, table, geometry)
            rows = sweep(rows, geometry["axes"], stairs, table["binomials"].T, True, prime)
            return sweep(rows, geometry["axes"], stairs, table["differences"].T, False, prime)

        return _by_columns(of, self._homogeneous(prime, table, geometry))

    def moments(self, prime: Any, table: Tables, geometry: Tables) -> Any:
        """The moments m_e(u), |e| <= D, at the nodes e, as coefficients of u^0, ..., u^{D-1}, shape (nodes, D)."""
        return _by_columns(
            lambda moments: self._monomials(moments, prime, table, geometry), self._homogeneous(prime, table, geometry)
        )

    def _homogeneous(self, prime: Any, table: Tables, geometry: Tables) -> Any:
        """M_n(1, y) at the nodes (n - |y|, y), as coefficients of u^0, ..., u^{D-1}, shape (D, nodes)."""
        size = self.degree + 1
        logs = self._logs(geometry["theta"], prime, table)  # (D + 1, directions)
        blocks = jnp.moveaxis(logs.reshape(size, -1, self._directions_at_once), 1, 0)

        def parts(logs: Any) -> Any:
            terms = multiply(table["growth"][:, None, :], logs[:, :, None], prime)
            return _exponential(terms, table["inverses"], prime)

        values = lax.map(parts, blocks).reshape(-1, size)[geometry["parts"]]
        rows = matmul(table["binomials"], matmul(table["differences"], values.T, prime), prime)
        if self.sampling != "iid":
            rows = matmul(table["binomials"], multiply(rows, table["scale"][:, None], prime), prime)
        powers = geometry["powers"]
        return jnp.where(powers >= 0, jnp.take_along_axis(rows, jnp.maximum(powers, 0), axis=0), 0.0)

    def _monomials(self, rows: Any, prime: Any, table: Tables, geometry: Tables) -> Any:
        """From values at y to coefficients of y^e, times e!: the moments."""
        factors: Any = 1.0
        for axis in range(len(self.forms)):
            factors = reduce(factors * table["factorials"][geometry["nodes"][:, axis]], prime)
        rows = sweep(rows, geometry["graded"], self.nodes.stairs, table["differences"], True, prime)
        rows = sweep(rows, geometry["graded"], self.nodes.stairs, table["binomials"], False, prime)
        return multiply(rows, factors[:, None], prime)

    def _logs(self, theta: Any, prime: Any, table: Tables) -> Any:
        """A_0 = 0, A_1, ..., A_D along each direction, shape (D + 1, directions)."""
        law = {name.removeprefix("law_"): part for name, part in table.items() if name.startswith("law_")}
        if "values" not in law:
            return self._gaussian_logs(theta, law, prime, table)
        size = max(1, _EXAMPLES // len(theta))
        values = law["values"]
        blocks = jnp.pad(values, ((0, 0), (0, -values.shape[1] % size))).reshape(len(values), -1, size)

        def power_sums(sums: Any, block: Any) -> Any:
            values = reduce(jnp.matmul(theta, block, precision=lax.Precision.HIGHEST), prime)

            def power(carry: Any, _: Any) -> Any:
                carry = multiply(carry, values, prime)
                return carry, reduce(carry.sum(axis=1), prime)

            _, found = lax.scan(power, jnp.ones_like(values), None, length=self.degree)
            return reduce(sums + found, prime), None

        start = jnp.zeros((self.degree, len(theta)))
        sums, _ = lax.scan(power_sums, start, jnp.moveaxis(blocks, 1, 0))
        sums = jnp.concatenate([jnp.zeros_like(sums[:1]), sums])
        if self.sampling != "iid":
            return sums
        return _logarithm(sums, law["inverse_size"], table, prime)

    def _gaussian_logs(self, theta: Any, law: Tables, prime: Any, table: Tables) -> Any:
        """2^{k-1} [ tr((Sigma Theta)^k) + k mu^T Theta (Sigma Theta)^{k-1} mu ]."""
        size = law["mean"].shape[0]
        flat = law["forms"].reshape(-1, size * size)
        form = reduce(jnp.matmul(flat.T, theta.T, precision=lax.Precision.HIGHEST), prime)
        form = form.reshape(size, size, -1)
        step = matmul(law["covariance"], form.reshape(size, -1), prime).reshape(form.shape)
        start = matmul(law["mean"][None], form.reshape(size, -1), prime).reshape(size, -1)

        def times(rows: Any) -> Any:
            """rows (.., z, directions) times the matrix of each direction."""
            return reduce(sum(reduce(rows[..., l, None, :] * step[l], prime) for l in range(size)), prime)

        def power(carry: Any, k: Any) -> Any:
            matrix, vector = carry
            trace = sum(matrix[i, i] for i in range(size))
            mean = sum(reduce(vector[i] * law["mean"][i], prime) for i in range(size))
            value = reduce(trace + reduce(mean, prime) * k, prime)
            return (times(matrix), times(vector)), value

        orders = jnp.arange(1, self.degree + 1, dtype=theta.dtype)
        _, values = lax.scan(power, (step, start), orders)
        first = 1 if self.central else 0
        values = jnp.concatenate([jnp.zeros_like(values[: 1 + first]), values[first:]])
        return multiply(values, table["doubled"][:, None], prime)


def _by_columns(function: Callable[[Any], Any], values: Any) -> Any:
    """The function of (rows, columns), a few columns at a time, of values (columns, rows); shape (rows, columns)."""
    columns, rows = values.shape
    if columns * rows <= _COLUMNS * _BLOCK // 8:
        return function(values.T)
    padded = jnp.pad(values, ((0, -columns % _COLUMNS), (0, 0))).reshape(-1, _COLUMNS, rows)
    results = lax.map(lambda few: function(few.T), padded)
    return jnp.moveaxis(results, 0, 1).reshape(rows, -1)[:, :columns]


def _window(terms: Any) -> Any:
    """n -> (terms_n, terms_{n-1}, ..., terms_0, 0, ...), for a traced n."""
    padded = jnp.concatenate([terms[::-1], jnp.zeros_like(terms)])
    return lambda n: lax.dynamic_slice_in_dim(padded, len(terms) - 1 - n, len(terms))


def _exponential(terms: Any, inverses: Any, prime: Any) -> Any:
    """M_0 = 1, n M_n = sum_{k=1..n} terms_k M_{n-k}."""
    size = len(terms)
    rows = jnp.pad(terms, [(0, -size % _SUMMANDS)] + [(0, 0)] * (terms.ndim - 1))
    window = _window(rows)

    def step(n: Any, parts: Any) -> Any:
        before = window(n)
        sums = sum(before[i::_SUMMANDS] * parts[i::_SUMMANDS] for i in range(_SUMMANDS))
        total = reduce(reduce(sums, prime).sum(axis=0), prime)
        return parts.at[n].set(multiply(total, inverses[n], prime))

    start = jnp.zeros_like(rows).at[0].set(1.0)
    return lax.fori_loop(1, size, step, start)[:size]


def _logarithm(sums: Any, inverse_size: Any, table: Tables, prime: Any) -> Any:
    """kappa_n / (n-1)! from power sums: with mu_n = sums_n / (N n!), n mu_n = sum_{k=1..n} A_k mu_{n-k}."""
    inverses = table["inverses"]

    def shrink(n: Any, carry: Any) -> Any:
        falling, moments = carry
        falling = multiply(falling, inverses[n], prime)
        return falling, moments.at[n].set(multiply(moments[n], falling, prime))

    moments = multiply(sums, inverse_size, prime).at[0].set(1.0)
    _, moments = lax.fori_loop(1, len(sums), shrink, (jnp.ones_like(inverse_size), moments))
    window = _window(moments)

    def step(n: Any, logs: Any) -> Any:
        total = reduce(window(n) * logs, prime).sum(axis=0)
        return logs.at[n].set(reduce(reduce(moments[n] * n, prime) - reduce(total, prime), prime))

    return lax.fori_loop(1, len(sums), step, jnp.zeros_like(sums))


def _gaussian_numbers(law: Any, forms: Sequence[Matrix]) -> dict[str, Any]:
    """Mean, covariance and the forms, exact."""
    assert isinstance(law, Gaussian)
    moment = law.second_moment(Numbers)
    mean = [*law.mean, *[Rational(0)] * (len(moment) - law.input_width)]
    covariance = [[entry - a * b for entry, b in zip(row, mean)] for row, a in zip(moment, mean)]
    return {"mean": mean, "covariance": covariance, "forms": list(forms)}


def _dataset_numbers(law: Dataset, forms: Sequence[Matrix], central: bool) -> dict[str, Any]:
    """The values z_i^T Theta_j z_i, shape (forms, n), and 1/n."""
    rows = [x + y for x, y in zip(law.inputs, law.targets)]
    supports = [
        [(i, j, entry) for i, row in enumerate(form) for j, entry in enumerate(row) if entry != 0] for form in forms
    ]
    values = [
        [sum((entry * row[i] * row[j] for i, j, entry in support), Rational(0)) for row in rows] for support in supports
    ]
    if central:
        values = [[value - mean for value in column] for column in values for mean in [sum(column) / law.size]]
    return {"values": values, "inverse_size": Rational(1, law.size)}
