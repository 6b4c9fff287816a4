"""The exact twin of the linear network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import comb, prod
from typing import ClassVar

from linvar.exact import Matrix, Rational, free_symbols
from linvar.matrices import Rows, is_zero
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Ring
from linvar.symbolic.models.closure import Closure, OneLayer
from linvar.symbolic.models.linear import counting
from linvar.symbolic.models.linear.here import LinearHere
from linvar.symbolic.models.linear.network import LINEAR, Network
from linvar.symbolic.models.linear.steps import FixedStep, MovingStep, only_decay
from linvar.symbolic.models.model import ExactModel
from linvar.symbolic.models.step import MOST_VARIABLES

#: products that a moment's prediction may take
_MOST_COUNTED = 10_000
#: products of fractions that a plan may take, where another road is open: a second
_MOST_PREDICTED = 400_000


class LinearModel(ExactModel):
    """W_L ... W_1 x, and 1/2 ||W_L ... W_1 x - y||^2; see ``ExactModel`` for the members.

    Attributes:
        network: its maps, over any ring.
    """

    network: ClassVar[Network] = LINEAR

    @cached_property
    def moving(self) -> MovingStep:
        """Its variables are entries of S_z."""
        return MovingStep(self)

    def fixed(self, weights: tuple[Matrix, ...]) -> FixedStep:
        """Its variables are a basis of the span of the gradients' entries."""
        return FixedStep(self, weights)

    @property
    def numeric(self) -> bool:
        """Weights and the map to the target are numbers; the covariance may have symbols."""
        entries = [e for matrix in (*self.problem.leaves, self.law.target_map) for row in matrix for e in row]
        return all(isinstance(entry, Rational) for entry in entries)

    def only_decays(self) -> bool:
        """Some layers are zero, or Q is, as a polynomial."""
        problem, law = self.problem, self.law
        pattern = [[[int(e != 0) for e in row] for row in matrix] for matrix in problem.leaves]
        if only_decay(zip(*self.network.surroundings(pattern))):
            return True
        of_weights = {*free_symbols(e for matrix in problem.leaves for row in matrix for e in row)}
        if problem.weight_decay != 0 or of_weights != {*free_symbols(e for row in law.target_map for e in row)}:
            return False
        ring = Ring(0, problem.symbols)
        *weights, inputs, targets = (
            [[ring.lift(e) for e in row] for row in matrix]
            for matrix in (*problem.leaves, law.input_map, law.target_map)
        )
        return is_zero(self.network.residual_map(weights, inputs, targets))

    @property
    def varies_little(self) -> bool:
        """Whether an example varies in no more ways than it has coordinates, and these are counted."""
        return self.moving.count() <= min(self.law.width, MOST_VARIABLES - 1)

    @cached_property
    def _uncorrelated(self) -> list[tuple[Rational, Matrix]] | None:
        """What of z z^T varies, uncorrelated (``MovingStep.uncorrelated``); None where its fourth moments are the shorter way."""
        return self.moving.uncorrelated if self.varies_little and not self.law.symbols else None

    def at(self, weights: Sequence[Rows[T]], ring: RingLike[T]) -> LinearHere[T]:
        """The network at these weights."""
        return LinearHere(self.network, weights, self.law, self._uncorrelated, ring)

    @property
    def layers(self) -> tuple[Matrix, ...] | None:
        """Its leaves."""
        return self.problem.leaves

    @cached_property
    def closure(self) -> Closure:
        """One layer has a recursion of its own."""
        return OneLayer() if self.problem.depth == 1 else Closure(obstacle="it is for one layer")

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, ..., d_L), of what is multiplied."""
        return self.problem.widths

    # sizes

    @property
    def squares(self) -> int:
        """The entries of the gradient; where an example varies in few ways those of each of them."""
        little = self.varies_little and not self.problem.law.symbols
        return self.entries * (1 + (self.moving.count() if little else 0))

    @property
    def fourth_moments(self) -> int:
        """Of z, where the law has no formula; none where what varies is less."""
        return 0 if not self.law.by_fourth_moments or self.varies_little else comb(self.law.width + 3, 4)

    @property
    def gradient_products(self) -> int:
        """Of the end-to-end gradient Q S_z X^T."""
        return self.law.width**2 * self.widths[-1]

    @property
    def spread_terms(self) -> int:
        """Of the squares of one example's gradient, counted by the paths through the network."""
        widths = self.widths
        # where the second moment is diagonal the sum over its columns is of one term
        residual = (1 if self.law.white else widths[0]) * prod(widths[1:-1]) + 1
        total = 0
        for l in range(1, len(self.widths)):
            entry = prod(widths[l + 1 :]) * prod(widths[: l - 1]) * residual
            total += widths[l] * widths[l - 1] * (entry**2 // 2)
        return total

    def taylor_terms(self, order: int) -> int:
        """Counted by the paths through the network."""
        widths, degree = self.widths, self.problem.degree
        inner = prod(widths[1:-1])
        taken = sum(comb(degree, i) for i in range(min(2 * order, degree) + 1))
        state = self.entries * (2 if self.problem.momentum != 0 else 1)
        return state * widths[0] * widths[-1] * inner**2 // min(widths) * taken

    @property
    def long_to_predict(self) -> bool:
        """Whether the products of matrices of fractions are many."""
        return self.gradient_products > _MOST_PREDICTED

    @property
    def too_wide_to_count(self) -> bool:
        """By the sizes of its matrices, and of the data that its fourth moments are summed over."""
        size = self.law.width
        fourth = 0 if self.varies_little else comb(size + 3, 4)
        return size**2 * sum(self.widths[1:]) + self.law.summed(2) * (size**2 + fourth) > _MOST_COUNTED

    def rough_work(self, variables: int) -> tuple[int, int]:
        """From the shapes of its matrices, of which about a third of the entries are not zero."""
        size, widths = self.law.width, self.widths
        through = sum(a * b for a, b in zip(widths, widths[1:]))
        gradient = widths[-1] * size * (size + widths[0]) + 2 * widths[-1] * through + through
        spread = self.moving.count() if self.varies_little else size
        products = (gradient * (2 + variables + spread) + 2 * through) // 3
        return products, prod(widths) * size

    def monomials(self, variables: Sequence[int], central: Sequence[bool], factors: int) -> int:
        """Counted by degrees in the batches and in the weights of each layer (``counting``)."""
        return counting.count_monomials(
            self.problem, variables, central, counting.gradient_products(self.problem, factors)
        )

    def answer_terms(self, variables: Sequence[int]) -> int:
        """The same without batches, times the powers of 1/b."""
        return counting.answer_terms(self.problem, variables)

    def kept_in_symbols(self, order: int) -> tuple[int, int]:
        """Of products of up to 2K entries of the weights."""
        return counting.kept_in_symbols(self.problem, order)


_: type[ExactModel] = LinearModel
