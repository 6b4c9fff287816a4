"""Did you mean: an unknown keyword argument, or attribute of a public module, is refused with the right word."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from linvar.errors import InputTypeError, cut

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

#: arguments of ``Problem``, which a door that takes a problem does not take again
OF_PROBLEM = (
    "weights", "law", "learning_rate", "step", "sampling", "momentum", "nesterov", "weight_decay", "bias", "loss", "model",
)  # fmt: skip

#: what else an argument is called in other places
SYNONYMS = {
    "step": "t steps n_steps num_steps iterations iters updates epochs time",
    "steps": "t step n_steps num_steps iterations updates",
    "learning_rate": "lr eta alpha rate gamma step_size stepsize learning_rates",
    "noise_variance": "noise noise_var sigma sigma2 sigma_squared variance label_noise_variance noise_level",
    "label_noise": "noise noise_variance",
    "variance": "var sigma2",
    "mean": "mu loc center centre",
    "covariance": "cov sigma_x input_covariance",
    "teacher": "w w_star true_weights target_matrix matrix",
    "inputs": "x xs features data",
    "targets": "y ys labels outputs",
    "weights": "w w0 ws params parameters layers init matrices",
    "params": "weights parameters",
    "law": "distribution data dataset",
    "sampling": "scheme replacement without_replacement replace",
    "momentum": "beta beta1 mu",
    "weight_decay": "decay wd l2 regularisation regularization",
    "bias": "biases b use_bias intercept fit_intercept",
    "loss": "loss_fn loss_function objective criterion",
    "batch_sizes": "batch_size b bs batches batch sizes",
    "runs": "n samples n_samples num_samples trials repeats n_runs trajectories",
    "key": "seed rng random_state prng",
    "depth": "l n_layers num_layers layers",
    "degrees_of_freedom": "nu df dof",
    "order": "k terms orders",
    "road": "method how algorithm",
    "decimals": "digits places",
    "digits": "decimals precision",
    "progress": "verbose show_progress progress_bar",
    "memory_limit": "memory max_memory memory_limit_bytes",
    "columns": "cols n_columns",
    "rows": "n_rows",
    "name": "symbol",
    "low": "a min lower",
    "high": "b max upper",
    "probabilities": "p probs shares",
}

_BIASED = "a law has none: linvar.Problem(weights, law, bias=True); a constant input has mean 1 and covariance 0"
_GAUSSIAN = "give law=linvar.Gaussian(teacher, covariance, mean, noise_variance)"
_AT_BATCH_SIZE = "the answer is a function of it: linvar.gradient_variance(problem)(64)"
_FIRST_ORDERS = "use linvar.large_batch(problem, order, digits); in a plan road=linvar.LargeBatch(order, digits)"
#: words, an argument of the doors where they are meant, and what to write in their place
ELSEWHERE = (
    ("per_layer per_leaf", "road", "use linvar.derive(problem).per_leaf"),
    ("steps", "road", "use linvar.derive_steps(problem, steps)"),
    ("order digits", "road", _FIRST_ORDERS),
    ("method", "road", "give road=linvar.Lattice() (Expansion(), Regression())"),
    ("checkpoint", "road", "give road=linvar.Lattice(checkpoint=...)"),
    ("batch_size batch_sizes b bs batch", "road", _AT_BATCH_SIZE),
    ("batch_size batch_sizes b bs batch", "law", _AT_BATCH_SIZE),
    ("teacher covariance mean noise noise_variance", "law", _GAUSSIAN),
    ("inputs targets x y", "law", "give law=linvar.Dataset(inputs, targets)"),
    ("n dataset_size", "law", "it is the number of rows of law=linvar.Dataset(inputs, targets)"),
    ("n size dataset_size", "targets", "it is the number of rows"),
    ("activation", "law", "give loss=, a polynomial in the weights: linvar.families has known ones"),
    ("bias biases", "teacher", _BIASED),
    ("bias biases", "targets", _BIASED),
    ("bias biases", "coordinates", _BIASED),
)  # fmt: skip

#: public names that went, and what to write in their place
RENAMED = {"first_order_variance": "first_order"}


def door(function: Function) -> Function:
    """A decorator of public functions and methods: an unknown keyword argument is refused with the one that is meant.

    The signature stays the function's own, for ``help``, editors and type checkers.

    Raises:
        InputTypeError: by the decorated function, at an unknown keyword argument.

    >>> @door
    ... def noise(teacher, learning_rate, step=0):
    ...     return 1
    >>> noise([[1, 2]], lr="1/10")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: lr='1/10' is no argument of noise: did you mean learning_rate?
    """
    taken = tuple(inspect.signature(function).parameters)
    known = frozenset(taken)
    outer, _, own = function.__qualname__.rpartition(".")
    name = outer.rpartition(".")[2] if own == "__init__" else own

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not known.issuperset(kwargs):
            raise unknown_keyword(name, kwargs, [word for word in taken if word != "self"])
        return function(*args, **kwargs)

    return cast(Function, checked)


def door_of_class(made: Class) -> Class:
    """The same for a class whose constructor a dataclass writes.

    >>> from dataclasses import dataclass
    >>> @door_of_class
    ... @dataclass
    ... class First:
    ...     order: int = 2
    >>> First(ordre=3)
    Traceback (most recent call last):
    linvar.errors.InputTypeError: ordre=3 is no argument of First: did you mean order?
    """
    made.__init__ = door(made.__init__)  # type: ignore[misc]  # of the class itself
    return made


def unknown_keyword(name: str, given: dict[str, Any], taken: Sequence[str]) -> InputTypeError:
    """What is said of the first keyword argument in ``given`` that a door does not take.

    Args:
        name: of the door.
        given: keyword arguments, one of them unknown.
        taken: the names of those that the door takes.
    """
    word = next(word for word in given if word not in taken)
    return InputTypeError(cut(word), given[word], meant(word, taken), f"is no argument of {name}")


def meant(word: str, taken: Sequence[str]) -> str:
    """What to write in place of an argument that a door does not take.

    >>> meant("lr", ["weights", "learning_rate"]), meant("learnign_rate", ["weights", "learning_rate"])
    ('did you mean learning_rate?', 'did you mean learning_rate?')
    >>> meant("lr", ["problem", "runs"])
    'it is of the problem: problem.replace(learning_rate=...)'
    """
    lower = word.lower()
    for words, marker, cure in ELSEWHERE:
        if marker in taken and lower in words.split():
            return cure
    said = [argument for argument, words in SYNONYMS.items() if lower in words.split()]
    for argument in said:
        if argument in taken:
            return f"did you mean {argument}?"
    if "problem" in taken:
        for argument in (lower, *said):
            if argument in OF_PROBLEM:
                return f"it is of the problem: problem.replace({argument}=...)"
    if found := closest(lower, taken):
        return f"did you mean {found}?"
    return f"its arguments are {', '.join(taken)}" if taken else "it takes none"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that it may be a misspelling of.

    >>> closest("gradient_varience", ["gradient_moments", "gradient_variance"]), closest("spam", ["step"])
    ('gradient_variance', None)
    """
    import difflib

    lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower()[:60], lower, n=1)
    return lower[found[0]] if found else None


def public_names(module: str, names: Sequence[str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a public module: of a misspelt name the right one is told, and TAB shows these.

    >>> public_names("linvar.families", ["power"])[1]()
    ['power']
    """

    def attribute(name: str) -> object:
        raise no_attribute(module, name, names)

    return attribute, lambda: sorted(names)


def no_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """What is said of a name that a public module does not have.

    >>> no_attribute("linvar", "Guassian", ["Gaussian", "Dataset"])
    AttributeError("module 'linvar' has no attribute 'Guassian': did you mean Gaussian?")
    """
    found = RENAMED.get(name) or closest(name, known)
    return AttributeError(
        f"module {module!r} has no attribute {name!r}" + (f": did you mean {found}?" if found else "")
    )
