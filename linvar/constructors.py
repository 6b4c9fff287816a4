"""Further ways to state a problem: from floating arrays, from a module of Flax, from a SymPy expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from linvar.arrays import ordered
from linvar.errors import InputError, Words
from linvar.exact import rounded
from linvar.keywords import door
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import Law
from linvar.models.model import Model

if TYPE_CHECKING:
    import sympy

_LAYERS = "give a list of matrices, W_1 first"


class Constructors:
    """Constructors of ``Problem`` beside its own."""

    if TYPE_CHECKING:

        def __init__(
            self,
            weights: Any,
            law: Law,
            learning_rate: Any = 0,
            step: int = 0,
            sampling: str = "iid",
            *,
            momentum: Any = 0,
            nesterov: bool = False,
            weight_decay: Any = 0,
            bias: bool = False,
            model: Model | None = None,
        ) -> None: ...

    @classmethod
    @door
    def from_arrays(
        cls,
        weights: Any,
        law: Law | None = None,
        learning_rate: Any = 0,
        step: int = 0,
        sampling: str = "iid",
        *,
        inputs: Any = None,
        targets: Any = None,
        teacher: Any = None,
        decimals: int = 4,
        momentum: Any = 0,
        nesterov: bool = False,
        weight_decay: Any = 0,
        bias: bool = False,
        model: Model | None = None,
    ) -> Self:
        """A Problem from floating-point arrays, every float rounded to ``decimals`` digits (``linvar.rationalize``).

        Give exactly one of ``law`` (taken as it is), ``inputs`` with ``targets`` (a Dataset), or ``teacher``
        (a Gaussian law with identity covariance). Rounding moves each entry by at most 10**-decimals / 2; the
        result is exact for the rounded problem. Arrays may be NumPy's, JAX's or lists, inputs and targets tables as
        well (a pandas DataFrame or Series); truth values in an array or a column count as 0 and 1.

        Raises:
            TypeError: a column of a table is text, dates or categories; an entry is no number.
            ValueError: an entry is missing, masked or not finite; the message has its place.

        >>> import linvar as lv
        >>> lv.Problem.from_arrays([[[0.5, 1.25]]], teacher=[[1.0, 0.0]]).weights
        (((1/2, 5/4),),)
        """
        given = [name for name, value in (("law", law), ("inputs", inputs), ("teacher", teacher)) if value is not None]
        if len(given) != 1 or (inputs is None) != (targets is None):
            fault = Words(f"got {' and '.join(given) or 'no law'}")
            raise InputError("from_arrays", fault, "give exactly one of law=, inputs= with targets=, or teacher=")
        if inputs is not None:
            law = Dataset(rounded(inputs, decimals, "inputs"), rounded(targets, decimals, "targets"))
        elif teacher is not None:
            law = Gaussian(rounded(teacher, decimals, "teacher"))
        assert law is not None
        scalars = {"learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
        rate, velocity, decay = (
            value if isinstance(value, str) else rounded(value, decimals, name) for name, value in scalars.items()
        )
        matrices = rounded(ordered(weights, "weights", _LAYERS), decimals, "weights")
        rule: dict[str, Any] = {"momentum": velocity, "nesterov": nesterov, "weight_decay": decay}
        return cls(matrices, law, rate, step, sampling, bias=bias, model=model, **rule)

    @classmethod
    @door
    def from_module(
        cls,
        module: Any,
        law: Law,
        learning_rate: Any = 0,
        step: int = 0,
        sampling: str = "iid",
        *,
        loss: Callable[[Any, Any], Any] | None = None,
        decimals: int = 3,
        momentum: Any = 0,
        nesterov: bool = False,
        weight_decay: Any = 0,
    ) -> Self:
        """A Problem of a module of Flax nnx, or of a pytree as in Equinox, its weights rounded to ``decimals`` digits.

        The weights are nested dictionaries by the names in the module: every ``nnx.Param`` (one that is used twice counts once),
        or every floating array of a pytree, float16 too. Rounding moves each by at most 10**-decimals / 2; the result is exact
        for the rounded module, ``problem.weights``. All else stays as it is: floats among it are constants of the loss, taken
        where they are short binary fractions. The module is anything polynomial in its weights: linear layers, convolutions,
        products, powers, sums. In training mode BatchNorm couples examples and Dropout draws numbers: call ``module.eval()``
        first. An average that BatchNorm keeps goes through a root, which is no fraction: fold it into the layer before. A layer
        with a ``dtype`` of its own is exact in the exact half, and rounds to that type where JAX computes.

        Args:
            module: an ``nnx.Module``, or a pytree.
            law: the law of one example, exact, as are the other arguments.
            learning_rate, step, sampling, momentum, nesterov, weight_decay: as of ``Problem``.
            loss: loss(module, example) of ONE example, a scalar; it calls the module. Without it 1/2 ||module(x) - y||^2.
            decimals: digits kept after the decimal point.

        Raises:
            InputTypeError: no weights, or no polynomial in them (relu, exp, max ...).
            InputError: a weight is not finite, the module is in training mode, or its output has not the shape of y.

        >>> import linvar as lv
        >>> from flax import nnx
        >>> module = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> problem = lv.Problem.from_module(module, lv.Dataset([[1, 2], [0, 1]], [1, -1]), decimals=2)
        >>> problem
        Problem({'bias': [0], 'kernel': ...}, Dataset(2 examples, ...), ..., model=<squared loss of Linear>)
        >>> problem.weights["kernel"] == lv.rationalize(module.kernel[...], decimals=2)
        True
        >>> sorted(lv.derive(problem).per_leaf.variance)
        ['bias', 'kernel']
        """
        from linvar.models.module import of_module

        model, weights = of_module(module, loss, decimals)
        rule = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        return cls(weights, law, learning_rate, step, sampling, model=model, **rule)

    @classmethod
    @door
    def from_expression(
        cls,
        expression: sympy.Expr,
        weights: Mapping[sympy.Expr, Any],
        law: Mapping[sympy.Expr, Any] | Law,
        learning_rate: Any = 0,
        step: int = 0,
        sampling: str = "iid",
        *,
        example: Iterable[sympy.Expr] | None = None,
        momentum: Any = 0,
        nesterov: bool = False,
        weight_decay: Any = 0,
    ) -> Self:
        """A Problem whose loss of ONE example is a SymPy expression, polynomial in the symbols of weights and example.

        Symbols left over stay symbols in the answers. Each weight is a leaf: ``problem.weights``, and what is answered of weights
        and leaves, are dictionaries by symbol. ``{w: w}`` keeps an initial value open.

        Args:
            expression: the loss.
            weights: the initial value of each weight: a number, or a polynomial in symbols that stay.
            law: independent laws of numbers by symbol, ``{x: lv.Normal(), y: lv.Uniform(0, 1)}``; or data, the values of each
                symbol, ``{x: [1, 2, 3], y: [0, 1, 1]}``; or any law, with ``example``.
            example: the symbols of the entries of an example of that law: those of x, then those of y.
            learning_rate, step, sampling, momentum, nesterov, weight_decay: as of ``Problem``.

        Raises:
            InputTypeError: a float, or no expression.
            InputError: no polynomial, a symbol with two meanings, lists of unequal length.

        >>> import linvar as lv
        >>> from sympy import symbols
        >>> w, a, x, y = symbols("w a x y")
        >>> problem = lv.Problem.from_expression((w * x - a * x) ** 2 / 2, {w: 2}, {x: lv.Normal()}, "1/10", 1)
        >>> exact = lv.derive(problem)
        >>> exact.weights[w]
        1/10 a + 9/5    (u = 1/b, degree 0)
        >>> exact.per_leaf.variance[w].subs({a: 1}) == lv.gradient_variance(
        ...     lv.Problem([[[2]]], lv.Gaussian([[1]]), "1/10", 1)
        ... )
        True
        >>> data = {x: [1, 2, 3], y: [0, 1, 1]}
        >>> lv.gradient_variance(lv.Problem.from_expression((w * x - y) ** 2 / 2, {w: w}, data))
        (98/9 w^2 - 70/9 w + 14/9) u    (u = 1/b, degree 1)
        """
        from linvar.models.expression import ExpressionModel, law_of

        found, names = law_of(law, example)
        model = ExpressionModel.of(expression, weights, names)
        rule = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        return cls(weights, found, learning_rate, step, sampling, model=model, **rule)
