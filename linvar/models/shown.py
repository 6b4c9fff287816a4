"""Weights as text: as they were typed where they are few, by their shapes where they are many."""

from __future__ import annotations

from linvar.errors import cut, one_line
from linvar.exact import Matrix, shape
from linvar.models.model import Model

#: entries, and characters, that are written out
_FEW, _LONGEST = 40, 110


class _Text(str):
    """A text that is its own ``repr``, in whatever pytree it stands."""

    def __repr__(self) -> str:
        return str(self)


def shown_weights(model: Model, leaves: tuple[Matrix, ...]) -> str:
    """The initial weights of a problem, in one line.

    >>> from linvar.models.linear import LinearNetwork
    >>> shown_weights(LinearNetwork(), (((1, 2),), ((3,),)))
    '[[[1, 2]], [[3]]]'
    >>> shown_weights(LinearNetwork(), (((1,) * 30,) * 20,) * 2)
    '[<20x30>, <20x30>]'
    """
    if sum(len(matrix) * len(matrix[0]) for matrix in leaves) <= _FEW:
        text = _typed(model, [model.leaf_text(place, matrix) for place, matrix in enumerate(leaves)])
        if len(text) <= _LONGEST:
            return text
    text = _typed(model, [f"<{'x'.join(map(str, shape(matrix)))}>" for matrix in leaves])
    return text if len(text) <= _LONGEST else f"<{len(leaves)} leaves>"


def _typed(model: Model, texts: list[str]) -> str:
    """A text for each leaf, in the structure that is typed."""
    return one_line(repr(model.as_typed([_Text(text) for text in texts])))


def shown_law(law: object) -> str:
    """A law, in one line that is not long."""
    return cut(repr(law), _LONGEST)
