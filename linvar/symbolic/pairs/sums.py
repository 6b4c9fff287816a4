"""The lists evaluated: E ||sum_i X_i Z Y_i||^2 over pairs of terms, in matrices that no width squared enters without need.

With u = 1/b and Z the fluctuation of the second moment of z ~ N(0, C), E Z_ab Z_cd = u (C_ac C_bd + C_ad C_bc), so

    (1)   E ||sum_i X_i Z Y_i||^2 = u sum_ij [ <X_i C, X_j> <C Y_i, Y_j> + <X_i C Y_j, X_j C Y_i> ].

Rows of an end are X = q Q + x J, kept as (q, x), and C stands between ends only (``path``). Y^T = V U is cut where it is
narrowest, U rows of an end and V an ordinary matrix (absent where nothing is gained): then, with r the width of the cut,

    (2)   <C Y_i, Y_j> = <U_i C U_j^T, V_i^T V_j>,      X_i C Y_j = (X_i C U_j^T) V_j^T,

and only r x r blocks meet, not d x d ones: at widths 784-256-10 those of W_1 W_1^T, E W_1^T, E E^T.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from linvar.symbolic.pairs.kinds import M
from linvar.symbolic.pairs.lists import ERROR, INPUT, Letter, Lists, Row, Sum, Term, Word, all_lists
from linvar.symbolic.pairs.path import At, Setting


@dataclass(frozen=True)
class Ends(Generic[M]):
    """q Q + x J; None stands for zero."""

    q: M | None
    x: M | None

    def __add__(self, other: Ends[M]) -> Ends[M]:
        return Ends(_plus(self.q, other.q), _plus(self.x, other.x))

    def scaled(self, factor: Any) -> Ends[M]:
        """Times a number."""
        return Ends(
            None if self.q is None else self.q.scaled(factor), None if self.x is None else self.x.scaled(factor)
        )

    @property
    def parts(self) -> list[M | None]:
        """Both."""
        return [self.q, self.x]


@dataclass(frozen=True)
class Weighted(Generic[M]):
    """Rows of an end, and their products (q, x) with C and both ends."""

    ends: Ends[M]
    q: M
    x: M

    def inner(self, other: Weighted[M]) -> Any:
        """<X C, X'>."""
        return sum(a.inner(b) for a, b in zip((self.q, self.x), other.ends.parts) if b is not None)

    def dot(self, other: Weighted[M]) -> M:
        """X C X'^T."""
        first, *rest = (a @ b.T for a, b in zip((self.q, self.x), other.ends.parts) if b is not None)
        return first + rest[0] if rest else first


def _plus(a: M | None, b: M | None) -> M | None:
    """a + b, where None is zero."""
    if a is None or b is None:
        return a if b is None else b
    return a + b


@dataclass(frozen=True)
class _Right(Generic[M]):
    """Y^T = V U.

    Attributes:
        outer: V; None for the identity.
        inner: U and U C; None for the bare end J.
        names: of V and of U, equal where these are.
    """

    outer: M | None
    inner: Weighted[M] | None
    names: tuple[Word, Row]


class Noise(Generic[M]):
    """The noise of step ``first`` in the gradient at the end of the path."""

    def __init__(self, path: Sequence[At[M]], first: int, lists: Lists) -> None:
        self.path, self.first, self.lists = path, first, lists
        self.here = path[first]
        self.setting: Setting[M] = self.here.setting
        self._words: dict[Word, M] = {}
        self._ends: dict[Row, Ends[M]] = {}
        self._sums: dict[int, Ends[M]] = {}

    def layers(self) -> list[Any]:
        """(1) of each layer, over u."""
        return [self._layer(terms) for terms in self.lists.layers]

    def _layer(self, terms: Sequence[Term]) -> Any:
        lefts = [self._weighted(self.sum(term.left)) for term in terms]
        rights = [self._right(term.right) for term in terms]
        pairs = _Pairs(self, lefts, rights)
        total: Any = 0
        for i in range(len(terms)):
            for j in range(i + 1):
                total = total + pairs.of(i, j) * (1 if i == j else 2)
        return total

    # rows of an end

    def _right(self, row: Row) -> _Right[M]:
        """Y^T, cut."""
        if row == Row((), INPUT):
            return _Right(None, None, ((), row))
        cut = self._cut(row)
        rest = Row(row.word[cut:], row.end)
        outer = self._product(row.word[:cut]) if cut else None
        return _Right(outer, self._weighted(self.row(rest)), (row.word[:cut], rest))

    def _cut(self, row: Row) -> int:
        """Where a row is narrowest; at its beginning if nowhere narrower than there."""
        widths = [self._shape(letter)[0] for letter in row.word]
        widths.append(self._rows_of(row.end))
        return widths.index(min(widths))

    def _rows_of(self, end: int) -> int:
        """Of an end, or of a sum of rows."""
        while end >= 0:
            (row, _, _), *_ = self.lists.sums[end]
            if row.word:
                return self._shape(row.word[0])[0]
            end = row.end
        return self.here.mean.rows if end == ERROR else self.here.mean.columns

    def sum(self, terms: Sum) -> Ends[M]:
        """A sum of rows."""
        found: Ends[M] | None = None
        for row, rates, factor in terms:
            number = factor
            for step in rates:
                number = number * self.setting.rates[self.first + step]
            part = self.row(row).scaled(number)
            found = part if found is None else found + part
        assert found is not None  # no list keeps an empty sum
        return found

    def row(self, row: Row) -> Ends[M]:
        """A word times an end."""
        if row not in self._ends:
            self._ends[row] = self._row(row)
        return self._ends[row]

    def _row(self, row: Row) -> Ends[M]:
        if row.end == ERROR:
            return Ends(self._product(row.word) if row.word else self.setting.identity(self.here.mean.rows), None)
        if row.end == INPUT:
            return Ends(None, self._product(row.word) if row.word else self.setting.identity(self.here.mean.columns))
        found = self._sum_at(row.end)
        if not row.word:
            return found
        q, x = (
            None if part is None else self._product((*row.word, Letter(name, row.end)))
            for name, part in zip("qx", found.parts)
        )
        return Ends(q, x)

    def _sum_at(self, end: int) -> Ends[M]:
        if end not in self._sums:
            self._sums[end] = self.sum(self.lists.sums[end])
        return self._sums[end]

    def _weighted(self, ends: Ends[M]) -> Weighted[M]:
        """(q Q + x J) C (Q^T, J^T)."""
        mean, spread, sigma = self.here.mean, self.here.spread, self.setting.covariance
        q = x = None
        if ends.q is not None:
            q, x = ends.q @ spread, ends.q @ mean
        if ends.x is not None:
            q = _plus(q, ends.x @ mean.T)
            x = _plus(x, ends.x if sigma is None else ends.x @ sigma)
        assert q is not None and x is not None  # of two parts one is there
        return Weighted(ends, q, x)

    # words

    def _matrix(self, letter: Letter) -> M:
        """A letter as it stands; "q" and "x" are the parts of the sum at a place."""
        at = self.path[self.first + letter.step]
        known: dict[str, Callable[[], M | None]] = {
            "W": lambda: at.weights[letter.layer],
            "R": lambda: at.mean,
            "S": lambda: self.setting.covariance,
            "q": lambda: self._sum_at(letter.layer).q,
            "x": lambda: self._sum_at(letter.layer).x,
        }
        found = known[letter.kind]()
        assert found is not None  # Sigma is no letter where it is the identity, and zero parts are left out
        return found.T if letter.flipped else found

    def _shape(self, letter: Letter) -> tuple[int, int]:
        found = self._matrix(letter)
        return found.rows, found.columns

    def _product(self, word: Word) -> M:
        """The product of a word, by the cheapest order."""
        if len(word) == 1:
            return self._matrix(word[0])
        if word not in self._words:
            self._multiply(word)
        return self._words[word]

    def _multiply(self, word: Word) -> None:
        """Matrices in a chain: the cheapest split of each part; parts that are known cost nothing."""
        shapes = [self._shape(letter) for letter in word]
        widths = [shapes[0][0], *(columns for _, columns in shapes)]
        costs: dict[tuple[int, int], tuple[int, int]] = {(i, i + 1): (0, i) for i in range(len(word))}
        for length in range(2, len(word) + 1):
            for i in range(len(word) - length + 1):
                k = i + length
                if length < len(word) and word[i:k] in self._words:
                    costs[i, k] = 0, i
                    continue
                costs[i, k] = min(
                    (costs[i, j][0] + costs[j, k][0] + widths[i] * widths[j] * widths[k], j) for j in range(i + 1, k)
                )

        def made(i: int, k: int) -> M:
            part = word[i:k]
            if len(part) == 1:
                return self._matrix(part[0])
            if part not in self._words:
                j = costs[i, k][1]
                self._words[part] = made(i, j) @ made(j, k)
            return self._words[part]

        made(0, len(word))


class _Pairs(Generic[M]):
    """The products of (1) and (2) for one layer, each found once."""

    def __init__(self, noise: Noise[M], lefts: list[Weighted[M]], rights: list[_Right[M]]) -> None:
        self.noise, self.lefts, self.rights = noise, lefts, rights
        self._crossed: dict[tuple[int, Row], M] = {}
        self._inner: dict[tuple[Row, Row], M] = {}
        self._outer: dict[tuple[Word, Word], M] = {}

    def of(self, i: int, j: int) -> Any:
        """<X_i C, X_j> <C Y_i, Y_j> + <X_i C Y_j, X_j C Y_i>."""
        return self.lefts[i].inner(self.lefts[j]) * self._rights(i, j) + self._turned(i, j)

    def _rights(self, i: int, j: int) -> Any:
        """<U_i C U_j^T, V_i^T V_j>."""
        a, b = self.rights[i], self.rights[j]
        if b.outer is None:
            a, b = b, a
        if b.outer is None:
            return self._trace(a, b)
        between = self._between(a, b)
        return between.inner(b.outer if a.outer is None else self._outers(a, a.outer, b, b.outer))

    def _trace(self, a: _Right[M], b: _Right[M]) -> Any:
        """tr(U_i C U_j^T)."""
        if a.inner is not None and b.inner is not None:
            return a.inner.inner(b.inner)
        one = a.inner or b.inner
        if one is not None:
            return one.x.trace()
        sigma = self.noise.setting.covariance
        return self.noise.here.mean.columns if sigma is None else sigma.trace()

    def _between(self, a: _Right[M], b: _Right[M]) -> M:
        """U_i C U_j^T; one of them is not J."""
        names = a.names[1], b.names[1]
        if names not in self._inner:
            if a.inner is None:
                assert b.inner is not None
                found = b.inner.x.T
            else:
                found = a.inner.x if b.inner is None else a.inner.dot(b.inner)
            self._inner[names] = found
        return self._inner[names]

    def _outers(self, a: _Right[M], first: M, b: _Right[M], second: M) -> M:
        """V_i^T V_j."""
        names = a.names[0], b.names[0]
        if names not in self._outer:
            self._outer[names] = first.T @ second
        return self._outer[names]

    def _cross(self, i: int, b: _Right[M]) -> M:
        """X_i C U_j^T."""
        names = i, b.names[1]
        if names not in self._crossed:
            left = self.lefts[i]
            self._crossed[names] = left.x if b.inner is None else left.dot(b.inner)
        return self._crossed[names]

    def _turned(self, i: int, j: int) -> Any:
        """<X_i C U_j^T V_j^T, X_j C U_i^T V_i^T>."""
        a, b = self.rights[i], self.rights[j]
        first, second = self._cross(i, b), self._cross(j, a)
        if b.outer is not None and a.outer is not None:
            first = first @ self._outers(b, b.outer, a, a.outer)
        elif b.outer is not None:
            first = first @ b.outer.T
        elif a.outer is not None:
            first = first @ a.outer
        return first.inner(second)


def by_pairs(setting: Setting[M]) -> list[Any] | None:
    """The coefficient of u in the variance of each layer's gradient after the steps; None where the lists are too long."""
    found = all_lists(len(setting.weights), len(setting.rates), setting.white)
    if found is None:
        return None
    path = setting.path()
    totals = path[-1].noise
    for first, lists in enumerate(reversed(found)):
        totals = [a + b for a, b in zip(totals, Noise(path, first, lists).layers())]
    return totals
