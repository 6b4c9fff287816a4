"""A loss of one example that is a SymPy expression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from linvar.arrays import ordered
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import Exact, Matrix, Rational, exact, exact_vector, free_symbols
from linvar.laws.coordinates import Coordinate
from linvar.laws.dataset import Dataset
from linvar.laws.independent import Independent
from linvar.laws.law import Law, show
from linvar.laws.polynomial import coordinates
from linvar.models.model import Model
from linvar.plain_data import Plain, ProblemFileError

if TYPE_CHECKING:
    import sympy

T = TypeVar("T")
Symbols = tuple["sympy.Expr", ...]

_EXPRESSION = "give the loss of ONE example as a SymPy expression, (w*x - y)**2/2"
_WEIGHTS = 'give a dictionary from each symbol to its initial value, {w: 2, v: "1/3"}'
_LAW = "give a dictionary from each symbol to a law of a number, {x: linvar.Normal()}, or to its values in data, {x: [1, 2, 3]}"
_POLYNOMIAL = "in weights and example it is + - *, integer powers and division by numbers"


@dataclass(frozen=True)
class ExpressionModel(Model):
    """The loss of ONE example, a polynomial in symbols; those that are no weights and of no example stay in the answers.

    Attributes:
        loss: expanded, so that models are equal where their losses are.
        weights: the symbols of the weights; each is a leaf.
        example: those of an example, entry by entry of a law.
        typed: the loss as it was given; floats are computed from this.
    """

    loss: Exact
    weights: Symbols
    example: Symbols
    typed: Any = field(compare=False)

    @classmethod
    def of(cls, expression: Any, weights: Any, example: Iterable[Any]) -> ExpressionModel:
        """The model of an expression, of initial values by symbol, and of the symbols of an example.

        Raises:
            InputTypeError: no expression, a float in it, or something that is no symbol.
            InputError: no polynomial, no weights, or a symbol that stands for two things.
        """
        if not isinstance(weights, Mapping):
            raise InputTypeError("weights", weights, _WEIGHTS)
        if not weights:
            raise InputError("weights", Words("is empty"), _WEIGHTS)
        starts, names = _symbols(weights, "weights"), _symbols(example, "example")
        for symbol in names:
            if symbol in starts:
                cure = "give weights and example symbols of their own"
                raise InputError("law", symbol, cure, fault="is a weight and of the example, too")
            if names.count(symbol) > 1:
                raise InputError("example", symbol, "give each entry a symbol of its own", fault="stands twice")
        loss = _polynomial(expression, {*starts, *names})
        free_symbols([loss, *starts, *names])  # two of one name are refused
        return cls(loss, starts, names, expression)

    @property
    def symbols(self) -> Symbols:
        """Those of the loss that stay."""
        return tuple(s for s in free_symbols([self.loss]) if s not in self.weights and s not in self.example)

    def checked(self, weights: Any) -> tuple[Matrix, ...]:
        """One number for each symbol, each a leaf of shape 1 x 1."""
        if not isinstance(weights, Mapping):
            raise InputTypeError("weights", weights, _WEIGHTS)
        if set(weights) != set(self.weights):
            others = cut(", ".join(map(str, weights)) or "none", 60)
            fault = Words(
                f"gives {others}, and the weights of the loss are {cut(', '.join(map(str, self.weights)), 60)}"
            )
            raise InputError("weights", fault, _WEIGHTS)
        values = {symbol: exact(weights[symbol], f"weights[{symbol}]") for symbol in self.weights}
        return tuple(((value,),) for value in values.values())

    def tree(self, entries: Sequence[T], leaves: tuple[Matrix, ...]) -> dict[sympy.Expr, T]:
        """By symbol."""
        return dict(zip(self.weights, entries))

    def tree_of_leaves(self, leaves: Sequence[T]) -> dict[sympy.Expr, T]:
        """By symbol."""
        return dict(zip(self.weights, leaves))

    def degree(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """In the weights."""
        return _degree(self.loss, self.weights)

    def degree_in_example(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """In the symbols of an example."""
        return _degree(self.loss, self.example)

    def leaf_text(self, place: int, leaf: Matrix) -> str:
        """A number, or what stays."""
        return show(leaf[0][0])

    def argument_text(self) -> str:
        """The expression as given."""
        return f"loss={cut(str(self.typed), 100)}"

    def describe(self, weights: tuple[Matrix, ...]) -> str:
        """The expression as given."""
        return cut(f"loss {self.typed}", 120)

    def to_dict(self) -> dict[str, Plain]:
        """Nothing.

        Raises:
            ProblemFileError: always; it says what to do.
        """
        cure = "keep it with pickle (and the lattice without a checkpoint), or write the loss as a function in a module: loss="
        raise ProblemFileError("problem", Words("has a loss in SymPy, which no problem file holds"), cure)

    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """As many entries as symbols."""
        count = sum(law.structure.sizes)
        if count != len(self.example):
            fault = Words(f"has examples {law.structure!r} of {count} in all, and symbols for {len(self.example)}")
            raise InputError("law", fault, "give as many symbols, those of x, then those of y: example=[x, y]")

    def check_symbols(self, weights: tuple[Matrix, ...], symbols: Symbols) -> None:
        """A symbol of the loss is no other number elsewhere; as its own initial value, {w: w}, a weight may stay one."""
        free_symbols([*symbols, *self.weights, *self.example])  # two of one name are refused
        started = {symbol for symbol, ((value,),) in zip(self.weights, weights) if value != symbol}
        for symbol in symbols:
            if symbol in started or symbol in self.example:
                what = "a weight with another initial value" if symbol in started else "of the example"
                fault = Words(f"contains {symbol}, which is {what}")
                raise InputError("weights, law or learning_rate", fault, "give it a symbol of its own")


def law_of(law: Any, example: Any) -> tuple[Law, tuple[Any, ...]]:
    """The law of an example whose entries are symbols, and these.

    Args:
        law: a dictionary by symbol, of laws of numbers or of lists of values; or a law.
        example: the symbols of the entries of a law, x and then y; None with a dictionary.

    Raises:
        InputTypeError, InputError: neither, both, or lists of unequal length.
    """
    if not isinstance(law, Mapping):
        if not isinstance(law, Law):
            raise InputTypeError("law", law, f"{_LAW}; or a linvar law, with example=, the symbols of its entries")
        if example is None:
            raise InputError(
                "example", None, "give the symbols of the entries of an example, x and then y: example=[x, y]"
            )
        return law, tuple(ordered(example, "example", "give a list of symbols, [x, y]"))
    if example is not None:
        raise InputError(
            "example", example, "leave it out, or give law= a law", fault="stands beside a dictionary of symbols"
        )
    symbols = _symbols(law, "law")
    if not symbols:
        raise InputError("law", Words("is empty"), _LAW)
    laws = [value for value in law.values() if isinstance(value, Coordinate)]
    if len(laws) == len(symbols):
        return Independent.of(laws, coordinates(len(laws)), ()), symbols
    if laws:
        cure = "give each a law of a number, or each a list of values (moments go in linvar.Independent, with example=)"
        raise InputError("law", Words("has laws of numbers beside lists of values"), cure)
    columns = {
        str(s): exact_vector(law[s], f"law[{s}]", "give a law of a number, or a list of values") for s in symbols
    }
    first, rows = next(iter(columns)), len(next(iter(columns.values())))
    for name, column in columns.items():
        if len(column) != rows:
            fault = Words(f"has {len(column)} values, and law[{first}] has {rows}")
            raise InputError(f"law[{name}]", fault, "give one for each example")
    free_symbols(symbols)  # two of one name are refused
    return Dataset([{name: column[i] for name, column in columns.items()} for i in range(rows)]), sorted_by_name(
        symbols
    )


def sorted_by_name(symbols: Iterable[Any]) -> tuple[Any, ...]:
    """As JAX orders the keys of a dictionary."""
    return tuple(sorted(symbols, key=str))


def _symbols(values: Iterable[Any], name: str) -> tuple[Any, ...]:
    """Symbols, entries of a MatrixSymbol too."""
    import sympy

    from linvar.expressions import is_symbol

    found = tuple(values)
    for symbol in found:
        if not (isinstance(symbol, sympy.Basic) and is_symbol(symbol)):
            cure = "give SymPy symbols, w = sympy.Symbol('w'); of a MatrixSymbol its entries W[0, 0]"
            raise InputTypeError(name, symbol, cure, fault="is no symbol")
    return found


def _polynomial(expression: Any, bound: set[Any]) -> Exact:
    """The expression, expanded.

    Raises:
        InputTypeError: it is none, or contains a float.
        InputError: it is no polynomial.
    """
    import sympy

    if not isinstance(expression, sympy.Expr) or getattr(expression, "is_Matrix", False):
        raise InputTypeError("expression", expression, _EXPRESSION)
    try:
        return exact(expression, "expression")
    except InputTypeError:
        raise
    except InputError as error:
        part = _culprit(expression, bound)
        if part is None:
            raise
        names = ", ".join(sorted(map(str, symbols_in(part) & bound)))
        fault = f"has the part {cut(str(part), 60)}, which is no polynomial in {cut(names, 60)}"
        raise InputError("expression", expression, _POLYNOMIAL, fault) from error


def symbols_in(expression: sympy.Basic) -> set[sympy.Expr]:
    """Symbols, entries of a MatrixSymbol too."""
    from linvar.expressions import symbols_of

    return symbols_of(expression)


def _culprit(node: sympy.Basic, bound: set[Any]) -> sympy.Basic | None:
    """The first part with these symbols that is no sum, product or natural power."""
    from linvar.expressions import is_symbol

    if is_symbol(node) or not symbols_in(node) & bound:
        return None
    natural = node.is_Pow and node.args[1].is_Integer and node.args[1] >= 0
    if not (node.is_Add or node.is_Mul or natural):
        return node
    return next((found for part in node.args if (found := _culprit(part, bound)) is not None), None)


@lru_cache(maxsize=64)
def _degree(loss: Exact, symbols: Symbols) -> int:
    """The highest degree of a term in these symbols together."""
    if isinstance(loss, Rational):
        return 0
    terms: Iterable[sympy.Expr] = loss.as_coefficients_dict()
    counted = set(symbols)
    return max(sum(int(k) for s, k in term.as_powers_dict().items() if s in counted) for term in terms)
