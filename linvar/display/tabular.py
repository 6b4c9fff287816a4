"""Tabular: what a result that is a table at heart has, in a terminal and in a notebook."""

from __future__ import annotations

from abc import abstractmethod

from linvar.display.table import Table


class Tabular:
    """A result shown by its table: in a notebook and on a Rich console. Its ``repr`` stays one line, its own."""

    __slots__ = ()

    @abstractmethod
    def to_table(self) -> Table:
        """Everything it holds as a ``Table``: ``.to_latex()``, ``.to_markdown()``, ``.to_html()``, ``.to_pandas()``."""

    def __rich__(self) -> Table:
        return self.to_table()

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()
