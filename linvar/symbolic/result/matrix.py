"""PolynomialMatrix: a matrix of BatchPolynomials, a tuple of its rows that shows itself as a matrix."""

from __future__ import annotations

from collections.abc import Sequence

from linvar.display.table import middle_out
from linvar.symbolic.result import latex
from linvar.symbolic.result.polynomial import BatchPolynomial

#: a notebook shows so many rows and columns, half of them the first ones; a longer entry is counted there
_SHOWN, _LONGEST_ENTRY = 6, 200
#: characters of a matrix that a terminal shows entry by entry
_LONGEST = 1_000


class PolynomialMatrix(tuple[tuple[BatchPolynomial, ...], ...]):
    """A matrix of polynomials in u = 1/b: a tuple of its rows, ``matrix[i][j]``. A tree of JAX takes it for one leaf.

    >>> from linvar import BatchPolynomial
    >>> a, b, c = (BatchPolynomial(coefficients) for coefficients in ([0, 2], [1], [0, 3]))
    >>> print(PolynomialMatrix([(a, b), (b, c)]).to_latex())
    \\begin{pmatrix}
    2 \\frac{1}{b} & 1 \\\\
    1 & 3 \\frac{1}{b}
    \\end{pmatrix}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        count = len(self) * max(map(len, self), default=0)
        if count <= _SHOWN**2 and len(whole := super().__repr__()) <= _LONGEST:
            return whole
        degree = max(entry.degree for row in self for entry in row)
        return f"PolynomialMatrix({len(self)} x {len(self[0])}, of degree {degree})"

    def to_latex(self) -> str:
        """All of it as a pmatrix, in powers of 1/b."""
        return _pmatrix([[entry.latex() for entry in row] for row in self])

    def _repr_latex_(self) -> str:
        """LaTeX for notebooks, dots in place of its middle, and long entries counted."""
        rows: Sequence[int | None] = middle_out(range(len(self)), _SHOWN, None)
        columns: Sequence[int | None] = middle_out(range(max(map(len, self), default=0)), _SHOWN, None)
        return f"$\\displaystyle {_pmatrix([[self._shown(i, j) for j in columns] for i in rows])}$"

    def _shown(self, i: int | None, j: int | None) -> str:
        """An entry, or the dots of a row or a column that is not shown."""
        if i is None or j is None:
            return {(True, True): r"\ddots", (True, False): r"\vdots", (False, True): r"\cdots"}[i is None, j is None]
        entry = self[i][j]
        text = latex.notebook(entry)
        return text if len(text) <= _LONGEST_ENTRY else rf"\text{{{entry.terms:,} terms}}"


def _pmatrix(rows: Sequence[Sequence[str]]) -> str:
    lines = " \\\\\n".join(" & ".join(row) for row in rows)
    return f"\\begin{{pmatrix}}\n{lines}\n\\end{{pmatrix}}"
