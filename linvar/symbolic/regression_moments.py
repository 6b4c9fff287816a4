"""RegressionMoments: everything second-order about linear regression under SGD, exact, for every batch size at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linvar import matrices
from linvar.errors import InputError, Words, shown
from linvar.exact import Matrix, Rational, exact_matrix, free_symbols, shape
from linvar.flint import fmpq, fmpq_mat
from linvar.keywords import door
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, coefficients_of, to_exact, to_fmpq, to_rational
from linvar.symbolic.limits import checked_limit
from linvar.symbolic.plan import asked_for, check_problem
from linvar.symbolic.result.matrix import PolynomialMatrix
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.roads.regression.recursion import Form, Recursion, RegressionAt
from linvar.symbolic.roads.regression.road import Regression
from linvar.symbolic.sgd.steps import Steps


class RegressionMoments:
    """Exact first and second moments of the weights and the batch gradient of linear regression after t steps.

    The recursion of ``linvar.symbolic.roads.regression.road``: any t, data sets under both samplings, Gaussian laws with mean,
    covariance and noise. Given the INITIAL weights; G is the MEAN of b per-example gradients of 1/2 ||W x - y||^2.
    Every result is a ``BatchPolynomial`` in 1/b; its ``factor_coefficients`` are those of powers of
    c = 1/b (iid) or (n-b)/(b(n-1)) (without replacement), in which the variances have degree at most t + 1 (weights: t) and
    no negative coefficient; without replacement from n <= t + 1 rows they are those of the polynomial of degree below n with
    the same values, which may be negative (the values still fall with b).

    Vectors are the entries of a matrix row by row: W has shape (d_1, d_0) and d_1 d_0 entries.

    Args:
        problem: one layer (L = 1); numbers or symbols.
        memory_limit: bytes the derivation may take; half of the machine's memory if None.

    Raises:
        InputTypeError: ``problem`` is no Problem. InputError: it has more than one layer.
        DerivationTooLargeError: it would not fit; raised before anything is computed.

    >>> from linvar import Gaussian, Problem
    >>> moments = RegressionMoments(Problem([[[2]]], Gaussian([[-1]]), learning_rate="1/10", step=1))
    >>> moments.weight_variance(), moments.mean_weights
    (9/50 u    (u = 1/b, degree 1), ((17/10,),))
    >>> moments.gradient_variance()
    369/25 u + 9/25 u^2    (u = 1/b, degree 2)
    """

    @door
    def __init__(self, problem: Problem, *, memory_limit: float | None = None) -> None:
        check_problem(problem)
        if not problem.is_linear_regression:
            cure = "linear regression is one linear layer, use linvar.derive and its companions for other networks and losses"
            raise InputError(
                "problem",
                Words(f"is of {problem.model.describe(problem.leaves)}"),
                cure,
            )
        steps = Steps(problem)
        asked_for(steps, Regression(), checked_limit(memory_limit))
        self.problem = problem
        self._road = RegressionAt(Recursion(steps, [problem.step]), problem.step)

    def __repr__(self) -> str:
        return f"RegressionMoments({self.problem!r})"

    def __reduce__(self) -> tuple[type[RegressionMoments], tuple[Problem]]:
        return RegressionMoments, (self.problem,)

    @property
    def mean_weights(self) -> Matrix:
        """E W_t, shape (d_1, d_0), exact; it does not depend on b."""
        return self._numbers(self._road.mean_weights)

    @property
    def mean_gradient(self) -> Matrix:
        """E G_t, shape (d_1, d_0), exact; it does not depend on b."""
        return self._numbers(self._road.mean_gradient())

    def gradient_variance(self, matrix: Any = None) -> BatchPolynomial:
        """var(A g_t) = tr(A Cov(g_t) A^T), g_t the entries of G_t row by row.

        Args:
            matrix: A, exact, with d_1 d_0 columns; the identity if None, then equal to ``linvar.gradient_variance``.

        Raises:
            InputError: A has another number of columns. InputTypeError: it has floats in it.
        """
        return self._variance(self._road.gradient_covariance, matrix, self.problem.step + 1)

    def weight_variance(self, matrix: Any = None) -> BatchPolynomial:
        """var(A w_t) = tr(A Cov(w_t) A^T), w_t the entries of W_t row by row; arguments as ``gradient_variance``."""
        return self._variance(self._road.weight_covariance, matrix, self.problem.step)

    def gradient_second_moment(self) -> BatchPolynomial:
        """E ||G_t||_F^2."""
        return self.gradient_variance() + self._squared_norm(self._road.mean_gradient())

    def squared_distance(self, target: Any = None) -> BatchPolynomial:
        """E ||W_t - W*||_F^2.

        Args:
            target: W*, exact, shape (d_1, d_0); the minimiser of the population loss if None.

        Raises:
            InputError: the minimiser is not unique (a singular second moment of the inputs) or the problem has
                symbols in its law, and no target was given; or the target has the wrong shape.
        """
        if target is None:
            target = self.minimiser()
        entries = exact_matrix(target, "target")
        expected = shape(self.problem.leaves[0])
        if shape(entries) != expected:
            raise InputError("target", Words(f"has shape {shape(entries)}"), f"give the weights W*, shape {expected}")
        lifted = self._lifted(entries, "target")
        away = matrices.subtract(self._road.mean_weights, lifted)
        return self.weight_variance() + self._squared_norm(away)

    def minimiser(self) -> Matrix:
        """W* with W* E[x x^T] = E[y x^T]: the minimiser of the population loss, shape (d_1, d_0).

        Raises:
            InputError: it is not unique, or the law has symbols.
        """
        road, law = self._road, self.problem.law
        if law.symbols:
            raise InputError("law", Words("has symbols"), "give target=, the weights W* to measure the distance from")
        moment = road.recursion.second_moment
        inputs = _transform(road.recursion.input_map, moment, road.recursion.input_map)
        crossed = _transform(road.recursion.target_map, moment, road.recursion.input_map)

        def numbers(form: Form) -> fmpq_mat:
            return fmpq_mat([[to_fmpq(Rational(to_exact(entry, ()))) for entry in row] for row in form])

        try:
            solution = numbers(inputs).solve(numbers(crossed).transpose())
        except ZeroDivisionError:
            fault = Words("has inputs with a singular second moment, so the minimiser is not unique")
            raise InputError("law", fault, "give target=, the weights W* to measure the distance from") from None
        return tuple(tuple(to_rational(entry) for entry in column) for column in zip(*solution.tolist()))

    def expected_loss(self) -> BatchPolynomial:
        """E of the population loss 1/2 E||W_t x - y||^2."""
        road = self._road
        total = road.answers.zero
        for k in range(self.problem.widths[1]):
            total = total + matrices.trace_of_symmetric(road.residual_moment(k, k), road.recursion.second_moment)
        return self._wrap(total * fmpq(1, 2), self.problem.step)

    def gradient_covariance(self) -> PolynomialMatrix:
        """Cov(g_t), shape (d_1 d_0, d_1 d_0): entries of G_t row by row."""
        return self._covariance(self._road.gradient_covariance, self.problem.step + 1)

    def weight_covariance(self) -> PolynomialMatrix:
        """Cov(w_t), shape (d_1 d_0, d_1 d_0): entries of W_t row by row."""
        return self._covariance(self._road.weight_covariance, self.problem.step)

    def _covariance(self, block: Callable[[int, int], Form], bound: int) -> PolynomialMatrix:
        """All blocks of rows, put together."""
        rows, columns = self.problem.widths[1], self.problem.widths[0]
        blocks = [[block(k, l) for l in range(rows)] for k in range(rows)]
        return PolynomialMatrix(
            tuple(self._wrap(blocks[k][l][i][j], bound) for l in range(rows) for j in range(columns))
            for k in range(rows)
            for i in range(columns)
        )

    def _variance(self, block: Callable[[int, int], Form], matrix: Any, bound: int) -> BatchPolynomial:
        """tr(A Cov A^T); the trace of the diagonal blocks where A is the identity."""
        rows, columns = self.problem.widths[1], self.problem.widths[0]
        total = self._road.answers.zero
        if matrix is None:
            for k in range(rows):
                total = total + matrices.trace(block(k, k))
            return self._wrap(total, bound)
        entries = exact_matrix(matrix, "matrix")
        if len(entries[0]) != rows * columns:
            cure = f"it acts on the {rows * columns} entries of a {rows} x {columns} matrix, row by row"
            raise InputError("matrix", Words(f"has {len(entries[0])} columns"), cure)
        lifted = self._lifted(entries, "matrix")
        for k in range(rows):
            for l in range(rows):
                form = block(k, l)
                for row in lifted:
                    left, right = row[k * columns : (k + 1) * columns], row[l * columns : (l + 1) * columns]
                    for a, line in zip(left, form):
                        if a:
                            total = total + a * sum((x * b for x, b in zip(line, right)), self._road.answers.zero)
        return self._wrap(total, bound)

    def _lifted(self, matrix: Matrix, name: str) -> Form:
        """A matrix in the ring of the answers, whose symbols are those of the problem."""
        further = [
            symbol for symbol in free_symbols(e for row in matrix for e in row) if symbol not in self.problem.symbols
        ]
        if further:
            fault = Words(f"has the symbol {shown(str(further[0]))}, and the problem has not")
            raise InputError(name, fault, "give numbers, or the symbols of the problem")
        return [[self._road.answers.lift(entry) for entry in row] for row in matrix]

    def _squared_norm(self, form: Form) -> BatchPolynomial:
        """Sum of squares of entries that do not depend on b."""
        return self._wrap(matrices.squared_norm(form), 0)

    def _numbers(self, form: Form) -> Matrix:
        """Entries that do not depend on b, as exact numbers (expressions with symbols)."""
        answers = self._road.answers
        return tuple(
            tuple(to_exact(coefficients_of(entry, answers)[0], self.problem.symbols) for entry in row) for row in form
        )

    def _wrap(self, value: Element, degree_bound: int) -> BatchPolynomial:
        """A ring element as a BatchPolynomial."""
        answers, problem = self._road.answers, self.problem
        return BatchPolynomial(
            coefficients_of(value, answers),
            ring=answers.scalars,
            sampling=problem.sampling,
            dataset_size=problem.dataset_size,
            degree_bound=degree_bound,
        )


def _transform(left: Form, form: Form, right: Form) -> Form:
    """left form right^T."""
    return matrices.product(matrices.product(left, form), matrices.transpose(right))
