"""A formula at t = 1 as it would be derived by hand: the step in a few lines of matrices, and expectations over its batch.

Two layers in the letters of ``names``, R = E S (the rate alpha, nothing decays; Z is left out where it is the identity):

    E' = E - alpha H R Z - alpha R K + alpha^2 R P^T R Z,
    H' = H - alpha R P^T - alpha P R^T + alpha^2 R K R^T,      K' = K - alpha P^T R Z - alpha Z R^T P + alpha^2 Z R^T H R Z,
    E||G||^2 = < (1 + 1/b) tr(Z E'^T H' E') + (1/b) tr(Z) tr(E'^T H' E') >
             + < (1 + 1/b) tr(K' E'^T E') + (1/b) tr(K') tr(E'^T E') >,
    X = <E'>, Y = <R^T E'>, Q = <E' Z R^T>,
    ||E G||^2 = tr(X^T H X Z) - 2 alpha tr(X^T P Y Z) + alpha^2 tr(Y^T K Y Z)
              + tr(X K X^T) - 2 alpha tr(X P^T Q^T) + alpha^2 tr(Q H Q^T),

the last by W_2'^T E' = W_2^T E' - alpha W_1 R^T E' and E' W_1'^T = E' W_1^T - alpha E' Z R^T W_2. Any other depth in the layers'
own letters, by (1) to (3) of ``network``. < > is over S, the second moment of the batch of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from linvar.symbolic.traces.names import Name, transposed
from linvar.symbolic.traces.script import Script
from linvar.symbolic.traces.statement import Statement

#: the left side of an equation, and the signed terms of its right side
Line = tuple[str, list[str]]
#: a coefficient, the parameters it is multiplied by (each as often as it occurs), and a word's names, spaced
_Term = tuple[int, Sequence[str], str]


@dataclass(frozen=True)
class Nodes:
    """The equations of a formula at t = 1.

    Attributes:
        statement: which formula.
        script: how it is written.
        rates: the parameter that is the learning rate of each layer.
        kept: the parameter that is what a layer keeps; empty where nothing decays.
    """

    statement: Statement
    script: Script
    rates: tuple[str, ...]
    kept: tuple[str, ...]

    def step(self) -> list[Line]:
        """The error after the step, and what else the quantity needs: weights, or of two layers their Gram matrices."""
        if self.statement.depth != 2:
            return [*map(self._weight, range(self.statement.depth)), self._line("E'", self._error())]
        gram = {0: ("H'", self._outputs()), 1: ("K'", self._inputs())}
        needed = (
            [gram[l] for l in self.statement.layers] if self.statement.quantity in ("variance", "second_moment") else []
        )
        return [self._line(left, terms) for left, terms in [("E'", self._error()), *needed]]

    def second_moment(self) -> list[str]:
        """E ||G||^2, layer by layer."""
        return [self._spread(*self._squares(l)) for l in self.statement.layers]

    def means(self) -> list[Line]:
        """The expectations that E G is made of."""
        if self.statement.depth != 2:
            return [(self.script.letter(f"X{l + 1}"), self._mean(self._gradient(l))) for l in self.statement.layers]
        last = [("Y", "R^T E'"), ("Q", "E' Z R^T")]
        return [
            (left, self._mean(self._names(word)))
            for left, word in [("X", "E'"), *(last[l] for l in self.statement.layers)]
        ]

    def squared_mean(self) -> list[str]:
        """||E G||^2, layer by layer."""
        if self.statement.depth != 2:
            words = [(f"X{l + 1}", "Z" if l == 0 else "", f"X{l + 1}^T") for l in self.statement.layers]
            return [f"+ {self.script.trace(self._names(' '.join(word)))}" for word in words]
        a, r = self.rates, self._keeping
        terms = [
            [(1, r(1, 1), "X^T H X Z"), (-2, [a[1], *r(1)], "X^T P Y Z"), (1, [a[1]] * 2, "Y^T K Y Z")],
            [(1, r(0, 0), "X K X^T"), (-2, [a[0], *r(0)], "X P^T Q^T"), (1, [a[0]] * 2, "Q H Q^T")],
        ]
        chosen = [term for l in self.statement.layers for term in terms[l]]
        return [self.script.term(c, powers, self.script.trace(self._names(word))) for c, powers, word in chosen]

    def doubled_loss(self) -> str:
        """< tr E' E'^T >."""
        return self.script.mean(self.script.trace(("E'", "E'^T")))

    # two layers

    def _error(self) -> list[_Term]:
        """E' = E + (P' - P), and P' = r_1 r_2 P where nothing is learned."""
        a, r = self.rates, self._keeping
        if self.statement.depth != 2:
            layers = [f"W{l}" for l in range(self.statement.depth, 0, -1)]
            moved = " ".join(f"{layer}'" for layer in layers)
            return [(1, [], "E"), (1, [], moved), (-1, [], " ".join(layers))]
        decayed: list[_Term] = [(-1, [], "P"), (1, r(0, 1), "P")] if self.kept else []
        return [
            (1, [], "E"), *decayed, (-1, [a[0], *r(1)], "H R Z"), (-1, [a[1], *r(0)], "R K"), (1, [a[0], a[1]], "R P^T R Z"),
        ]  # fmt: skip

    def _outputs(self) -> list[_Term]:
        """H', of W_2' = r_2 W_2 - alpha_2 R W_1^T."""
        a, r = self.rates[1], self._keeping
        return [
            (1, r(1, 1), "H"), (-1, [a, *r(1)], "R P^T"), (-1, [a, *r(1)], "P R^T"), (1, [a, a], "R K R^T"),
        ]  # fmt: skip

    def _inputs(self) -> list[_Term]:
        """K', of W_1' = r_1 W_1 - alpha_1 W_2^T R Z."""
        a, r = self.rates[0], self._keeping
        return [
            (1, r(0, 0), "K"), (-1, [a, *r(0)], "P^T R Z"), (-1, [a, *r(0)], "Z R^T P"), (1, [a, a], "Z R^T H R Z"),
        ]  # fmt: skip

    # any depth

    def _weight(self, l: int) -> Line:
        """W_l' = r_l W_l - alpha_l A_l^T R B_l^T."""
        depth = self.statement.depth
        above = [f"W{m}^T" for m in range(l + 2, depth + 1)]
        below = [f"W{m}^T" for m in range(1, l + 1)] or ["Z"]
        push = " ".join([*above, "R", *below])
        return self._line(f"W{l + 1}'", [(1, self._keeping(l), f"W{l + 1}"), (-1, [self.rates[l]], push)])

    def _gradient(self, l: int) -> Name:
        """A_l'^T E' B_l'^T."""
        depth = self.statement.depth
        return *(f"W{m}'^T" for m in range(l + 2, depth + 1)), "E'", *(f"W{m}'^T" for m in range(1, l + 1))

    def _squares(self, l: int) -> tuple[Name, Name]:
        """Q_l and M_l of (3) of ``network``."""
        if self.statement.depth == 2:
            return [(self._names("Z"), ("E'^T", "H'", "E'")), (("K'",), ("E'^T", "E'"))][l]
        below = tuple(f"W{m}'" for m in range(l, 0, -1))
        back = self._gradient(l)[: self.statement.depth - l]
        return (*transposed(below), *below) or self._names("Z"), (*transposed(back), *back)

    # writing

    def _keeping(self, *layers: int) -> list[str]:
        """What some layers keep, multiplied; 1 where nothing decays."""
        return [self.kept[l] for l in layers] if self.kept else []

    def _names(self, word: str) -> Name:
        """The names of a word, without Z where that is the identity."""
        return tuple(name for name in word.split() if name != "Z" or not self.script.network.white)

    def _line(self, left: str, terms: Iterable[_Term]) -> Line:
        script = self.script
        return script.letter(left), [
            script.term(c, powers, script.word(self._names(word))) for c, powers, word in terms
        ]

    def _mean(self, names: Name) -> list[str]:
        return [f"+ {self.script.mean(self.script.word(names))}"]

    def _spread(self, inner: Name, outer: Name) -> str:
        """< (1 + 1/b) tr Q M + (1/b) tr Q tr M >."""
        trace, u = self.script.trace, self.script.inverse(1)
        return f"+ {self.script.mean(f'(1 + {u}) {trace((*inner, *outer))} + {u} {trace(inner)} {trace(outer)}')}"
