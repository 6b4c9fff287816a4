"""The letters of aligned weights: diagonal matrices by their entries, so that every trace is a power sum over modes.

With W_l = U_l D_l U_{l-1}^T, teacher U_L C U_0^T and Sigma = U_0 D U_0^T, all U orthogonal, D_l, C and D diagonal (perhaps
oblong), the U cancel in every trace, and a word is the sum over modes i of the product of its letters' entries,

    tr E K E^T = sum_i (s_Li ... s_1i - c_i)^2 z_i^2 s_1i^2.

Only what is no product of the weights is seen beyond the modes: the noise v on outputs, and Sigma itself on inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce

from linvar.exact import Exact, Vector
from linvar.symbolic.algebra.ring import Element, Ring, sum_elements
from linvar.symbolic.traces.network import ERROR
from linvar.symbolic.traces.route import Route


@dataclass(frozen=True)
class Modes:
    """A diagonal matrix, by modes and what it is on each output beyond them."""

    values: tuple[Element, ...]
    beyond: Element


@dataclass(frozen=True)
class Start:
    """Aligned weights, teacher and law: exact numbers or SymPy expressions, a tuple with an entry for each mode.

    Attributes:
        layers: singular values of each layer.
        teacher: those of the teacher.
        sigma: eigenvalues of Sigma.
        noise: the noise's variance where the mode is an output, 0 where it is none.
        counts: how many modes are alike.
        beyond: outputs beyond the modes, and the noise's variance on each.
        inputs: Sigma's eigenvalues and how many are alike, of all inputs.
    """

    layers: tuple[Vector, ...]
    teacher: Vector
    sigma: Vector
    noise: Vector
    counts: Vector
    beyond: tuple[Exact, Exact]
    inputs: tuple[tuple[Exact, Exact], ...]

    @property
    def entries(self) -> list[Exact]:
        """All of them."""
        flat = [*self.layers, self.teacher, self.sigma, self.noise, self.counts, self.beyond, *self.inputs]
        return [entry for row in flat for entry in row]


@dataclass(frozen=True)
class Spectrum:
    """The letters of aligned weights over a ring; see ``linvar.symbolic.traces.exact.Letters``."""

    start: Start
    ring: Ring
    route: Route

    def _lifted(self, values: Iterable[Exact]) -> tuple[Element, ...]:
        return tuple(map(self.ring.lift, values))

    @cached_property
    def _plain(self) -> dict[str, tuple[Element, ...]]:
        """W_l and E; their transposes have the same entries."""
        layers = tuple(map(self._lifted, self.start.layers))
        whole = reduce(_product, layers)
        error = tuple(x - y for x, y in zip(whole, self._lifted(self.start.teacher)))
        return {**dict(zip(self.route.network.layers, layers)), ERROR: error}

    @cached_property
    def _sigma(self) -> tuple[Element, ...]:
        return self._lifted(self.start.sigma)

    @cached_property
    def _counts(self) -> tuple[Element, ...]:
        return self._lifted(self.start.counts)

    def factor(self, letters: str) -> Modes:
        found = self._plain[letters[0].upper()]
        if len(letters) > 1:
            found = _product(found, self._plain[letters[-1].upper()])
            for _ in letters[1:]:
                found = _product(found, self._sigma)
        if letters != ERROR + ERROR.lower():
            return Modes(found, self.ring.zero)
        noisy = tuple(x + v for x, v in zip(found, self._lifted(self.start.noise)))
        return Modes(noisy, self.ring.lift(self.start.beyond[1]))

    def times(self, a: Modes, b: Modes) -> Modes:
        return Modes(_product(a.values, b.values), a.beyond * b.beyond)

    def trace_of_two(self, a: Modes, b: Modes) -> Element:
        return self.trace(self.times(a, b))

    def trace(self, a: Modes) -> Element:
        return (
            sum_elements(self.ring, _product(self._counts, a.values)) + self.ring.lift(self.start.beyond[0]) * a.beyond
        )

    def trace_of_power(self, k: int) -> Element:
        return sum_elements(
            self.ring, (self.ring.lift(count) * self.ring.lift(z) ** k for z, count in self.start.inputs)
        )


def _product(left: Iterable[Element], right: Iterable[Element]) -> tuple[Element, ...]:
    return tuple(x * y for x, y in zip(left, right))
