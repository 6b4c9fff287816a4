"""beta_1, the coefficient of 1/b in the variance of the gradient, as a statement for every width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from linvar.arguments import check_integer
from linvar.errors import DerivationTooLargeError, InputError, NotFiniteError, Words, cut, shown
from linvar.exact import Rational
from linvar.flint import fmpq
from linvar.keywords import door
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import to_rational
from linvar.symbolic.laws.wishart import Wishart
from linvar.symbolic.limits import MOST_SECONDS, checked_limit, default_memory_limit, format_bytes, format_seconds
from linvar.symbolic.pairs.latex import formula
from linvar.symbolic.pairs.lists import checked_lists, count
from linvar.symbolic.pairs.statement import coefficients
from linvar.symbolic.pairs.sums import by_pairs
from linvar.symbolic.pairs.tangents import by_tangents
from linvar.symbolic.pairs.work import is_shorter_by_pairs
from linvar.symbolic.plan import check_problem
from linvar.symbolic.roads.large_batch.size import size_of_first_order
from linvar.symbolic.sgd.steps import Steps

#: characters of LaTeX that a notebook shows
_NOTEBOOK = 6_000
_LARGE_BATCH = "use linvar.large_batch(problem, order=1)"
#: a longer formula is not read
_MOST_TERMS = 150
#: directions are carried through no more steps
_MOST_STEPS = 2_000
#: bytes of the directions that are carried together
_TOGETHER = 2**27


@dataclass(frozen=True)
class FirstOrderFormula:
    """The coefficient of u = 1/b in the variance of the gradient of some linear layers after some steps, for every width.

    ``linvar.first_order_formula`` makes it, and says what it is. Formulas of the same depth and step are equal.

    >>> import linvar as lv
    >>> lv.first_order_formula(2, 0)(lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]])))
    23
    """

    depth: int
    step: int

    @property
    def pairs(self) -> int:
        """Pairs (X, Y), (X', Y') that it sums over, whatever the covariance; the last batch's own noise is not among them.

        Terms with equal Y are joined. Fewer are left where the covariance is the identity (``pairs_if_white``).

        Raises:
            DerivationTooLargeError: there are more than 400,000, or more than 12 steps.

        >>> [first_order_formula(2, step).pairs for step in (0, 1, 2)], first_order_formula(4, 1).pairs
        ([0, 18, 283], 196)
        """
        return count(checked_lists(self.depth, self.step))

    @property
    def pairs_if_white(self) -> int:
        """The same where the covariance of the inputs is the identity.

        >>> first_order_formula(2, 2).pairs_if_white
        218
        """
        return count(checked_lists(self.depth, self.step, white=True))

    def __call__(self, problem: Problem, *, memory_limit: float | None = None) -> Rational:
        """The coefficient of a problem, exact: of u in ``linvar.gradient_variance(problem)``.

        The sum over pairs, or unit directions of the noise carried through the steps, whichever is predicted to be quicker.

        Args:
            problem: a linear network of this depth at this step, with numbers only; ``Gaussian`` inputs of mean zero, of any
                covariance and noise; any learning rates, without momentum and weight decay.
            memory_limit: bytes it may take, >= 1; half of the machine's memory if None.

        Raises:
            InputTypeError: ``problem`` is no Problem.
            InputError: the problem is another one than this formula is for; it says in what.
            DerivationTooLargeError: it would take more memory or half an hour, or have more than ten million digits.

        >>> from linvar import Gaussian, Problem
        >>> problem = Problem([[[1, 2]], [[3]]], Gaussian([[1, 0]]), "1/10", 1)
        >>> first_order_formula(2, 1)(problem)
        308556/3125
        """
        check_problem(problem)
        limit = checked_limit(memory_limit)
        steps = Steps(problem)
        law = self._law(steps)
        size = size_of_first_order(steps, law)
        if size.obstacle or size.bytes > limit or size.seconds > MOST_SECONDS:
            needs = f"{size}, about {format_seconds(size.seconds)}, {format_bytes(size.bytes)}"
            statement = f"{shown(problem, 200)} does not fit: {needs}"
            raise DerivationTooLargeError(statement, [("step", "fewer steps"), ("", "smaller widths")])
        return to_rational(sum(coefficients(steps.model, law, size.listed), fmpq(0)))

    @door
    def value(
        self, weights: Any, teacher: Any, learning_rate: Any, covariance: Any = None, noise_variance: Any = 0
    ) -> float:
        """The coefficient in double precision, at any width: 784-256-10 after a step takes a tenth of a second.

        The sum over pairs, or independent directions of the noise carried through the steps, whichever multiplies less: both
        are counted first. Rounding: about 1e-13 relative, more where the weights grow or the covariance is nearly singular.

        Args:
            weights: W_1, ..., W_L of shapes (d_l, d_{l-1}): arrays, or lists of rows.
            teacher: W*, shape (d_L, d_0).
            learning_rate: one number, or one for each of the ``step`` updates.
            covariance: Sigma of the inputs, shape (d_0, d_0), positive semi-definite; the identity if None.
            noise_variance: of each coordinate of the target, >= 0.

        Raises:
            InputTypeError: something is no matrix of real numbers, or no number.
            InputError: a shape does not fit, a covariance is none, a variance is negative.
            NotFiniteError: an entry is not finite, or the steps diverge beyond what a float holds.
            DerivationTooLargeError: there are more than 2,000 steps.

        >>> round(first_order_formula(2, 1).value([[[1, 2]], [[3]]], [[1, 0]], 0.1), 9)
        98.73792
        """
        import numpy as np

        from linvar.symbolic.pairs.floats import Floats, directions
        from linvar.symbolic.pairs.given import checked
        from linvar.symbolic.pairs.path import At

        if self.step > _MOST_STEPS:
            statement = f"step={shown(self.step)} is more than the limit of {_MOST_STEPS:,} steps in double precision"
            raise DerivationTooLargeError(statement, [("step", "fewer steps")])
        setting = checked(self.depth, self.step, weights, teacher, learning_rate, covariance, noise_variance)
        widths = (setting.weights[0].columns, *(w.rows for w in setting.weights))
        entries = sum(a * b for a, b in zip(widths, widths[1:]))
        together = max(1, _TOGETHER // (8 * entries))

        def some(at: At[Floats]) -> Any:
            """The directions of a step."""
            return directions(at, together)

        noisy, limit = setting.noise is not None, default_memory_limit()
        with np.errstate(over="ignore", invalid="ignore"):
            ends = [matrix.array for matrix in setting.path()[-1].weights]
            finite = all(np.isfinite(matrix).all() for matrix in ends)
            found = float("nan")
            if finite:
                shorter = is_shorter_by_pairs(widths, self.step, setting.white, noisy, limit)
                listed = by_pairs(setting) if shorter else None
                found = sum(by_tangents(setting, some) if listed is None else listed)
        if not np.isfinite(found):
            raise NotFiniteError(
                "learning_rate", learning_rate, "give a smaller one", fault="lets the weights grow too large"
            )
        return float(found)

    def to_latex(self) -> str:
        r"""The formula: the noise of the last batch, the form q, and its lists; of 150 terms (X, Y) at most.

        W_l^{(s)} and E_s = W_L^{(s)} ... W_1^{(s)} - W^* are on the path of the mean gradient; A_l and B_l are the products above
        and below layer l after the last step, alpha_s the learning rates, Sigma the covariance, v the noise variance,
        C = diag(Sigma, v I), Q_s = [E_s, -I] and J = [I, 0].

        Raises:
            DerivationTooLargeError: there are more terms.

        >>> print(first_order_formula(1, 1).to_latex().splitlines()[-2])
        T_{0,1} &= \bigl\{\bigl(- \alpha_{0} Q_{0},\; J^{\top} \Sigma\bigr)\bigr\}
        """
        lists = checked_lists(self.depth, self.step)
        terms = sum(len(layer) for kept in lists for layer in kept.layers)
        if terms > _MOST_TERMS:
            statement = (
                f"the formula of depth={self.depth}, step={self.step} has {terms:,} terms, more than {_MOST_TERMS}"
            )
            raise DerivationTooLargeError(statement, [("step", "fewer steps"), ("depth", "fewer layers")])
        return formula(self.depth, self.step, lists)

    def _repr_latex_(self) -> str:
        """LaTeX for notebooks: the formula, or what it is where that is long."""
        try:
            found = self.to_latex()
        except DerivationTooLargeError:
            found = ""
        if 0 < len(found) <= _NOTEBOOK:
            return f"$\\displaystyle {found}$"
        words = rf"\text{{ of {self.depth} linear layers at }} t = {shown(self.step)} \text{{, for every width}}"
        return rf"$\beta_1 {words}$"

    def _law(self, steps: Steps) -> Wishart:
        """The law of a problem that this formula is for."""
        problem, model = steps.problem, steps.model
        if model.layers is None:
            cure = f"give one without loss=, a linear network of depth {self.depth}, or {_LARGE_BATCH}"
            raise InputError("problem", problem, cure, fault="is of another loss")
        for name, own, theirs in (("depth", self.depth, problem.depth), ("step", self.step, problem.step)):
            if own != theirs:
                fault = Words(f"has {name} {theirs}, and this formula is of {name} {own}")
                raise InputError("problem", fault, f"use linvar.first_order_formula({problem.depth}, {problem.step})")
        law = model.law.wishart
        if law is None:
            cure = f"give linvar.Gaussian without mean=, or {_LARGE_BATCH}"
            raise InputError("law", problem.law, cure, fault="has no normal inputs of mean zero")
        for name, value in (("momentum", problem.momentum), ("weight_decay", problem.weight_decay)):
            if value != 0:
                raise InputError(
                    name, value, f"leave it out, or {_LARGE_BATCH}", fault="is not covered by this formula"
                )
        if problem.symbols:
            names = cut(", ".join(map(str, problem.symbols)))
            raise InputError("problem", Words(f"has the symbols {names}"), f"give numbers for them, or {_LARGE_BATCH}")
        return law


@door
def first_order_formula(depth: int, step: int) -> FirstOrderFormula:
    """beta_1 of the variance beta_1 / b + O(1/b^2) of L = ``depth`` linear layers after t = ``step`` steps, for EVERY width.

    G is the MEAN of b per-example gradients of 1/2 ||P x - y||^2, P = W_L ... W_1; var_t the trace of its covariance, summed over
    layers, given the initial weights; x ~ N(0, Sigma), y = W* x + noise of variance v in each coordinate; iid batches.

        beta_1 = sum_l [ tr(A_l^T (E Sigma E^T + v I) A_l) tr(B_l Sigma B_l^T) + ||A_l^T E Sigma B_l^T||^2 ]
                 + sum_{s<t} sum_l q(T_{s,l}),
        q(T)   = sum over pairs (X, Y), (X', Y') of T of ( <X C, X'> <C Y, Y'> + <X C Y', X' C Y> ),      C = diag(Sigma, v I),

    at the weights after t steps of the MEAN gradient, E = P - W*. The lists T_{s,l}, made here, say how the noise Z of step s
    stands in the gradient of layer l, sum over (X, Y) of X Z Y: words in the matrices along that path, nothing about widths. They
    hold for every covariance, noise variance, learning rate and schedule.

    Args:
        depth: L >= 1.
        step: t >= 0.

    Returns:
        A ``FirstOrderFormula`` F: ``F(problem)`` exact, ``F.value(...)`` in double precision, ``F.to_latex()``, ``F.pairs``.

    Raises:
        InputTypeError, InputError: ``depth`` or ``step`` is no such integer.

    >>> first_order_formula(depth=2, step=1)
    FirstOrderFormula(depth=2, step=1)

    Source: derived here. Related: the covariance of SGD's noise in linear regression, Ziyin et al., arXiv:2102.05375 (2021);
    fluctuations of the weights of (deep) linear networks, Gross et al., arXiv:2311.14120 (2023).
    """
    layers, updates = (
        f"give the number of {words}" for words in ("layers, an integer >= 1", "updates, an integer >= 0")
    )
    depth, step = check_integer(depth, "depth", layers), check_integer(step, "step", updates)
    for name, value, least, cure in (("depth", depth, 1, layers), ("step", step, 0, updates)):
        if value < least:
            raise InputError(name, value, cure, fault="is too small")
    return FirstOrderFormula(depth, step)
