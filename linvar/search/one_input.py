"""The gradient variance of linear networks with one normal input and one output in floating point, without cancellation.

Of whatever hidden widths, and with any update rule: an example enters through S, the batch mean of x^2, and N, that of noise x,

    batch loss = (S e^2 - 2 N e) / 2 + (free of the weights),      e = P - T,      G = (S e - N) dP/dW,

so that with a path of (S, N), a pair for each step, and s^2 = E x^2

    var = Var(s^2 e dP/dW) + u E[ (2 s^4 e^2 + s^2 sigma^2) ||dP/dW||^2 ]

is a sum of positive terms over Gauss nodes, enough of them to be exact. S ~ s^2 chi^2_b / b and N | S ~ N(0, sigma^2 S / b).
``linvar.search.objective`` is of widths 1 and plain SGD alone, in fewer coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce, singledispatch
from math import prod

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from linvar.laws.gaussian import Gaussian
from linvar.numeric.floats import to_floats
from linvar.numeric.simulation.update import update_from_problem
from linvar.problem import Problem
from linvar.search.numbers import Numbers
from linvar.search.objective import grid_of_sizes, node_counts, nodes_of_steps
from linvar.search.template import Leaves, Template

#: Numbers (nodes of all steps, entries of the weights) of all batch sizes of a point.
MOST = 2**22


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["batch_sizes", "nodes", "probabilities", "numbers", "spread"],
    meta_fields=["template", "update"],
)
@dataclass(frozen=True)
class EveryNode(Numbers):
    """log var over a grid of batch sizes, from Gauss nodes of S and N of every step.

    Attributes:
        nodes: for each batch size and step, S / s^2 and N / (s sigma) at the nodes, shape (k, t, 2, m).
        probabilities: shape (k, m), positive, sum 1.
        numbers: all of the template.
        spread: s^2.
        template, update: what is varied, and moved by.
    """

    batch_sizes: jax.Array
    nodes: jax.Array
    probabilities: jax.Array
    numbers: jax.Array
    spread: jax.Array
    template: Template
    update: optax.GradientTransformation

    def log_variance(self, point: Float[Array, " p"]) -> Float[Array, " k"]:
        """log var at a point of the template; a batch size at a time."""
        leaves, rates, law = self.template.split(self.numbers, point)
        teacher, noise = law[0], law[1] if len(law) > 1 else jnp.zeros(())
        memory = self.update.init(leaves)

        @jax.checkpoint  # a gradient computes what is inside again, and keeps nothing of other batch sizes
        def at(grid: tuple[Array, Array, Array]) -> Float[Array, ""]:
            b, nodes, chances = grid
            scales = jnp.stack([self.spread, jnp.sqrt(self.spread * noise)])
            ends = jax.vmap(partial(self._end, leaves, memory, rates, teacher), in_axes=-1)
            means, squares, residuals = ends(nodes * scales[:, None])
            mean = self.spread * means
            away = jnp.sum((mean - chances @ mean) ** 2, axis=1)
            inner = (2 * (self.spread * residuals) ** 2 + self.spread * noise) * squares
            return jnp.log(chances @ (away + inner / b))

        values: jax.Array = jax.lax.map(at, (self.batch_sizes, self.nodes, self.probabilities))
        return values

    def _end(
        self,
        leaves: Leaves,
        memory: optax.OptState,
        rates: tuple[Array, ...],
        teacher: Array,
        batches: Float[Array, "t 2"],
    ) -> tuple[Array, Array, Array]:
        """e dP/dW, ||dP/dW||^2 and e after a path."""
        for rate, (second, noise) in zip(rates, batches):
            product, slopes = jax.value_and_grad(_product)(leaves)
            gradients = tuple(((product - teacher) * second - noise) * slope for slope in slopes)
            direction, memory = self.update.update(gradients, memory, leaves)
            leaves = tuple(weight - rate * change for weight, change in zip(leaves, direction))
        product, slopes = jax.value_and_grad(_product)(leaves)
        flat = jnp.concatenate([one.ravel() for one in slopes])
        residual = product - teacher
        return residual * flat, flat @ flat, residual

    @property
    def cost(self) -> int:
        """Numbers of an evaluation: batch sizes, nodes, entries."""
        return int(self.probabilities.size) * _entries(self.template.problem)


def _product(leaves: Leaves) -> Float[Array, ""]:
    """P. By sums: matrices are small, and a call for each of them would take longer."""
    return reduce(lambda below, matrix: jnp.sum(matrix * below, axis=1), leaves[1:], leaves[0][:, 0])[0]


def _entries(problem: Problem) -> int:
    return sum(len(leaf) * len(leaf[0]) for leaf in problem.leaves)


@singledispatch
def every_node(law: object, template: Template, low: int, high: int) -> EveryNode | None:
    """log var of a template from Gauss nodes, over batch sizes from ``low`` to ``high``.

    None: inputs are not one normal number of mean 0, outputs not one, the model is no linear network, or nodes are too many.
    """
    return None


@every_node.register
def _(law: Gaussian, template: Template, low: int, high: int) -> EveryNode | None:
    problem = template.problem
    chain = problem.model.by_second_moments(problem.leaves, law) and problem.widths[0] == problem.widths[-1] == 1
    if not chain or any(law.mean):
        return None
    sizes, counts = grid_of_sizes(low, high), node_counts(problem.growth, problem.step)
    many = prod(counts) ** (2 if law.noise_variance else 1)
    if many * len(sizes) * _entries(problem) > MOST:
        return None
    nodes, chances = nodes_of_steps(counts, sizes, law.noise_variance != 0)
    return EveryNode(
        batch_sizes=jnp.asarray(sizes, dtype=float),
        nodes=jnp.asarray(nodes),
        probabilities=jnp.asarray(chances),
        numbers=jnp.asarray(to_floats([number.value for number in template.numbers], "problem", "float64")),
        spread=jnp.asarray(to_floats(law.covariance[0], "covariance", "float64")[0]),
        template=template,
        update=update_from_problem(problem),
    )
