"""The gradient variance of any model on few rows in floating point: every batch of every step, in JAX.

A batch of b of n rows is n counts m of sum b. Its gradient is sum_i (m_i / b) g_i, and its probability

    b! / (m_1! ... m_n!) prod_i p_i^{m_i}   (iid),       1 / C(n, b) for counts 0 and 1   (without replacement).

After t of them, with g the mean over the rows and c the factor by which a batch has less variance than one example,

    var = E[ c sum_i p_i ||g_i - g||^2 + ||g - E g||^2 ],

a sum of positive terms: no cancellation. The gradients are JAX's, the update optax's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, singledispatch
from itertools import combinations, combinations_with_replacement

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from linvar.errors import InputTypeError
from linvar.laws.rows import Rows
from linvar.numeric.floats import to_floats
from linvar.numeric.models.model import NumericModel
from linvar.numeric.models.registry import numeric_model
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.update import update_from_problem
from linvar.problem import Problem
from linvar.search.ascent import Landscape
from linvar.search.numbers import Numbers
from linvar.search.template import Leaves, Template

#: Numbers (batches of all steps, rows, entries of the weights) of all batch sizes of a point.
MOST = 2**16
#: Batch sizes that are looked at, if there are so many: fewer are no view of a range, and more see what these have seen.
_FEWEST, MOST_SIZES = 4, 16


@dataclass(frozen=True)
class Batches:
    """How many batches there are, and the batches: the rows of each, and the log of prod_i m_i! / b!, or what stands for it."""

    count: Callable[[int, int], int]
    rows: Callable[[range, int], Iterator[tuple[int, ...]]]
    log_share: Callable[[np.ndarray], float]


def _multinomial(counts: np.ndarray) -> float:
    """log of b! / (m_1! ... m_n!)."""
    return math.lgamma(counts.sum() + 1) - sum(math.lgamma(m + 1) for m in counts)


def _uniform(counts: np.ndarray) -> float:
    """log of n^b / C(n, b): the probabilities p_i = 1/n are divided out again."""
    size, b = len(counts), int(counts.sum())
    return b * math.log(size) - math.log(math.comb(size, b))


#: by the name of the scheme
BATCHES = {
    "iid": Batches(lambda n, b: math.comb(n + b - 1, b), combinations_with_replacement, _multinomial),
    "without_replacement": Batches(math.comb, combinations, _uniform),
}


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["batch_sizes", "factors", "shares", "logs", "numbers"],
    meta_fields=["template", "model", "update", "rows", "entries"],
)
@dataclass(frozen=True)
class EveryBatch(Numbers):
    """log var over a grid of batch sizes, from all batches.

    Attributes:
        factors: c of each batch size, shape (k,).
        shares: m / b of every batch of each size, shape (k, m, n); zero beyond those that there are.
        logs: of its probability, up to prod_i p_i^{m_i}, shape (k, m); minus infinity there.
        numbers: all of the template.
        template, model, update: what is varied, differentiated and moved by.
        rows, entries: n, and how many entries the weights have.
    """

    batch_sizes: jax.Array
    factors: jax.Array
    shares: jax.Array
    logs: jax.Array
    numbers: jax.Array
    template: Template
    model: NumericModel
    update: optax.GradientTransformation
    rows: int
    entries: int

    def log_variance(self, point: Float[Array, " p"]) -> Float[Array, " k"]:
        """log var at a point of the template; a batch size at a time."""
        leaves, rates, examples, chances = self._parts(point)

        @jax.checkpoint  # a gradient computes what is inside again, and keeps nothing of other batch sizes
        def at(batches: tuple[Array, Array, Array, Array]) -> Float[Array, ""]:
            b, factor, shares, logs = batches
            weights = jnp.exp(logs + b * (shares @ jnp.log(chances)))
            means, spreads = self._ends(leaves, self.update.init(leaves), rates, examples, chances, shares)
            for _ in rates[1:]:
                weights = weights[..., None] * jnp.exp(logs + b * (shares @ jnp.log(chances)))
            flat, means = weights.reshape(-1), means.reshape(-1, self.entries)
            away = jnp.sum((means - flat @ means) ** 2, axis=1)
            return jnp.log(flat @ (factor * spreads.reshape(-1) + away))

        values: jax.Array = jax.lax.map(at, (self.batch_sizes, self.factors, self.shares, self.logs))
        return values

    def _parts(self, point: Float[Array, " p"]) -> tuple[Leaves, tuple[Array, ...], tuple[Array, Array], Array]:
        """Weights, a learning rate for each step, rows and probabilities at a point."""
        leaves, rates, numbers = self.template.split(self.numbers, point)
        shapes = [
            (self.rows, self.template.problem.law.input_width),
            (self.rows, self.template.problem.law.target_width),
        ]
        *pieces, rest = jnp.split(numbers, np.cumsum([height * width for height, width in shapes]).tolist())
        x, y = (piece.reshape(shape) for piece, shape in zip(pieces, shapes))
        chances = rest / jnp.sum(rest) if rest.size else jnp.full(self.rows, 1 / self.rows)
        return leaves, rates, (x, y), chances

    def _ends(
        self,
        leaves: Leaves,
        memory: optax.OptState,
        rates: tuple[Array, ...],
        examples: tuple[Array, Array],
        chances: Float[Array, " n"],
        shares: Float[Array, "m n"],
    ) -> tuple[Array, Array]:
        """Mean gradient and spread of one example's after every sequence of batches: shapes (m, ..., m, w) and (m, ..., m)."""
        gradients = jax.vmap(jax.grad(self.model.loss), (None, 0))(leaves, examples)
        if not rates:
            flat = jnp.concatenate([one.reshape(self.rows, -1) for one in gradients], axis=1)
            mean = chances @ flat
            return mean, chances @ jnp.sum((flat - mean) ** 2, axis=1)

        def after(share: Float[Array, " n"]) -> tuple[Array, Array]:
            batch = jax.tree.map(lambda one: jnp.tensordot(share, one, axes=1), gradients)
            direction, kept = self.update.update(batch, memory, leaves)
            moved = jax.tree.map(lambda weight, change: weight - rates[0] * change, leaves, direction)
            return self._ends(moved, kept, rates[1:], examples, chances, shares)

        return jax.vmap(after)(shares)

    @property
    def cost(self) -> int:
        """Numbers of an evaluation: batches of all steps, rows, entries."""
        sizes, batches, _ = self.shares.shape
        return sizes * _cost(batches, self.template.problem, self.rows, self.entries)


def _cost(batches: int, problem: Problem, rows: int, entries: int) -> int:
    """Numbers of an evaluation at a batch size."""
    return int(batches**problem.step) * rows * entries


@singledispatch
def every_batch(law: object, template: Template, low: int, high: int) -> Landscape | None:
    """log var of a template from all batches of sizes low, low + 1, ...: up to ``high``, 16 sizes, or as long as they are few.

    None: the law is not kept as rows, batches are too many, or the model has no numeric twin.
    """
    return None


@every_batch.register
def _(law: Rows, template: Template, low: int, high: int) -> Landscape | None:
    problem, rows = template.problem, len(law.inputs)
    batches, entries = BATCHES.get(problem.sampling), sum(len(leaf) * len(leaf[0]) for leaf in problem.leaves)
    if batches is None:
        return None
    sizes: list[int] = []
    for b in range(low, min(high + 1, low + MOST_SIZES)):  # all are kept in arrays of the largest
        if (b - low + 1) * _cost(batches.count(rows, b), problem, rows, entries) > MOST:
            break
        sizes.append(b)
    if len(sizes) < min(_FEWEST, high - low + 1):
        return None
    try:
        return _with_batches(template, batches, sizes, rows, entries)
    except InputTypeError:  # no numeric twin
        return None


def _with_batches(template: Template, batches: Batches, sizes: Sequence[int], rows: int, entries: int) -> EveryBatch:
    """All batches of these sizes."""
    problem = template.problem
    counts = [np.array([np.bincount(chosen, minlength=rows) for chosen in batches.rows(range(rows), b)]) for b in sizes]
    most = max(map(len, counts))
    shares, logs = np.zeros((len(sizes), most, rows)), np.full((len(sizes), most), -np.inf)
    for k, (b, some) in enumerate(zip(sizes, counts)):
        shares[k, : len(some)] = some / b
        logs[k, : len(some)] = [batches.log_share(one) for one in some]
    factors = numeric_scheme(problem.sampling).factor(np.array(sizes), problem.dataset_size)
    numbers = to_floats([number.value for number in template.numbers], "problem", "float64")
    return EveryBatch(
        batch_sizes=jnp.asarray(sizes, dtype=float),
        factors=jnp.asarray(factors),
        shares=jnp.asarray(shares),
        logs=jnp.asarray(logs),
        numbers=jnp.asarray(numbers),
        template=template,
        model=numeric_model(problem),
        update=update_from_problem(problem),
        rows=rows,
        entries=entries,
    )
