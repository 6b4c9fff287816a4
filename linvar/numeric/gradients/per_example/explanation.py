"""What an analysis says in words: one line a leaf."""

from __future__ import annotations

from dataclasses import dataclass

import jax
from jaxtyping import PyTree

from linvar.numeric.gradients.per_example.analysis import Analysis
from linvar.numeric.gradients.per_example.entries import STRATEGIES, Strategy
from linvar.numeric.gradients.per_example.groups import CANCELLING


@dataclass(frozen=True)
class Route:
    """How the moments of one leaf were computed.

    Attributes:
        path: the leaf's place in the parameters.
        form: the strategy that computed them: "outer", "gram", "lookup", "factored", "materialised", "direct", "fallback",
            "constant" or "none".
        reason: where the leaf enters.
        cancels: the trace is a sum of squares less n ||mean||^2.
    """

    path: str
    form: Strategy
    reason: str
    cancels: bool


@dataclass(frozen=True)
class Explanation:
    """How each leaf was computed, in the order of the parameters' leaves."""

    leaves: tuple[Route, ...]

    def __str__(self) -> str:
        width = max((len(route.path) for route in self.leaves), default=0)
        return "\n".join(f"{route.path:{width}}  {route.form:12}  {route.reason}" for route in self.leaves)

    __repr__ = __str__


def explain(analysis: Analysis, params: PyTree) -> Explanation:
    """The routes of all leaves of ``params``."""
    paths = [jax.tree_util.keystr(path) or "params" for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return Explanation(tuple(_route(analysis, leaf, path) for leaf, path in enumerate(paths)))


def _route(analysis: Analysis, leaf: int, path: str) -> Route:
    """Of one leaf: of several parts, the strategy of the one that costs most."""
    parts = [group for group in analysis.groups if leaf in group.leaves]
    costliest = max(parts, key=lambda group: STRATEGIES.index(group.strategy))
    cancels = not analysis.centred and any(group.strategy in CANCELLING for group in parts)
    return Route(path, costliest.strategy, "; ".join(dict.fromkeys(group.why for group in parts)), cancels)
