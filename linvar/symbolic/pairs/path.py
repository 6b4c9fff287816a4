"""The path of SGD at infinite batch size, and what the noise of a step is made of there.

x ~ N(0, Sigma), y = W* x + noise of variance v. With E = W_L ... W_1 - W* the mean end-to-end gradient is R = E Sigma, and the
mean gradient of layer l is A_l^T R B_l^T. z = (x, noise) has the covariance blockdiag(Sigma, v I), and of the ends Q = [E, -I]
and J = [I, 0] only the products with it between are ever needed:

    Q cov Q^T = E Sigma E^T + v I,      Q cov J^T = E Sigma = R,      J cov J^T = Sigma.

No square root is taken, and the noise costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from linvar.symbolic.pairs.kinds import M


@dataclass(frozen=True)
class Setting(Generic[M]):
    """A network, its teacher and its examples, in one kind of matrices.

    Attributes:
        weights: W_1 first.
        negative_teacher: -W*.
        rates: a number for each step.
        covariance: Sigma; None for the identity.
        noise: v I, of the outputs; None without noise.
        identity: of a width.
    """

    weights: tuple[M, ...]
    negative_teacher: M
    rates: tuple[Any, ...]
    covariance: M | None
    noise: M | None
    identity: Callable[[int], M]

    @property
    def white(self) -> bool:
        """Whether Sigma is the identity."""
        return self.covariance is None

    def path(self) -> list[At[M]]:
        """W_0, ..., W_t."""
        found = [At(self, self.weights)]
        for rate in self.rates:
            here = found[-1]
            moved = (w + g.scaled(-rate) for w, g in zip(here.weights, here.gradients))
            found.append(At(self, tuple(moved)))
        return found


class At(Generic[M]):
    """The network at a step of the path.

    Attributes:
        above, below: A_l and B_l; None for the identity.
        error: E; ``mean``: R = E Sigma; ``spread``: E Sigma E^T + v I.
    """

    def __init__(self, setting: Setting[M], weights: tuple[M, ...]) -> None:
        self.setting, self.weights = setting, weights
        self.above, self.below = surroundings(weights)
        end = weights[-1] if self.below[-1] is None else weights[-1] @ self.below[-1]
        self.error = end + setting.negative_teacher
        self.mean = self.error if setting.covariance is None else self.error @ setting.covariance
        self.spread = self.mean @ self.error.T
        if setting.noise is not None:
            self.spread = self.spread + setting.noise

    def through(self, end_to_end: M, layer: int) -> M:
        """A_l^T (.) B_l^T."""
        above, below = self.above[layer], self.below[layer]
        found = end_to_end if above is None else above.T @ end_to_end
        return found if below is None else found @ below.T

    @property
    def gradients(self) -> list[M]:
        """The mean gradient of each layer."""
        return [self.through(self.mean, l) for l in range(len(self.weights))]

    def correlated(self, direction: M) -> M:
        """(E Sigma E^T + v I) A Sigma + R A^T R: sum of E N_ij N_kl A_kl, over u, of the end-to-end noise N of this step."""
        first, sigma = self.spread @ direction, self.setting.covariance
        return (first if sigma is None else first @ sigma) + self.mean @ direction.T @ self.mean

    @property
    def noise(self) -> list[Any]:
        """tr Cov of one example's gradient of each layer: what the last batch brings."""
        return [self._noise_of(l) for l in range(len(self.weights))]

    def _noise_of(self, layer: int) -> Any:
        """tr(A^T (E Sigma E^T + v I) A) tr(B Sigma B^T) + ||A^T E Sigma B^T||^2."""
        above, below, sigma = self.above[layer], self.below[layer], self.setting.covariance
        first = self.spread.trace() if above is None else (self.spread @ above).inner(above)
        gradient = self.through(self.mean, layer)
        return first * self._input_trace(below, sigma) + gradient.inner(gradient)

    def _input_trace(self, below: M | None, sigma: M | None) -> Any:
        """tr(B Sigma B^T)."""
        if below is None:
            return self.weights[0].columns if sigma is None else sigma.trace()
        return (below if sigma is None else below @ sigma).inner(below)


def surroundings(weights: Sequence[M]) -> tuple[list[M | None], list[M | None]]:
    """(A_1..A_L, B_1..B_L); None stands for the identity."""
    above: list[M | None] = [None]
    for matrix in reversed(weights[1:]):
        above.append(matrix if above[-1] is None else above[-1] @ matrix)
    below: list[M | None] = [None]
    for matrix in weights[:-1]:
        below.append(matrix if below[-1] is None else matrix @ below[-1])
    return above[::-1], below
