"""FirstOrder: what ``first_order`` returns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from linvar.arguments import check_integer
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError
from linvar.keywords import door
from linvar.numeric.arguments import check_at_least
from linvar.numeric.delta_method.comparison import EqualExamples, SmallerBatches, Verdict, rounding_of
from linvar.numeric.delta_method.quantities import FirstOrderLoss, FirstOrderQuantity, check_step, mean_and_error
from linvar.numeric.estimates import Estimate


@dataclass(frozen=True, eq=False)
class FirstOrder(Tabular):
    """SGD to first order in 1/b, after t = 0, 1, ..., steps updates, given the INITIAL parameters w_0.

    Each quantity is a :class:`FirstOrderQuantity`: ``limit``, ``coefficient`` of 1/b and its ``standard_error``, each
    (steps + 1,). G_t is the MEAN gradient of a batch of b examples at the random w_t(b), w_t the iterate at b = infinity.

    Attributes:
        variance: E||G_t||^2 - ||E G_t||^2, the trace of the covariance; beta_1 = ``per_example + propagated``, limit 0.
        second_moment: E||G_t||^2.
        squared_mean: ||E G_t||^2.
        loss: E L(w_t(b)), the expected mean loss of the data; its two parts are ``loss.shift`` and ``loss.spread``.
        test_loss: the same of the test data; None without.
        squared_distance: E||w_t(b) - w_t||^2 over all floating-point parameters, limit 0: to first order also the trace of
            the covariance of w_t(b), since ||E w_t(b) - w_t||^2 is O(1/b^2).
        per_example: (steps + 1,): tr Sigma_t, the noise of the last batch: trace of the covariance of ONE example's
            gradient at w_t (divisor n), sum over all parameters.
        propagated: (steps + 1,): tr(H_t C_t H_t), the noise of the batches before.
        gradient_norm: (steps + 1,): ||grad L(w_t)||.
        mean_shift: (steps + 1, P): m_t, E w_t(b) = w_t + m_t / b; parameters in the order of ``jax.flatten_util.ravel_pytree``
            of the floating-point leaves. None for method "probes", and where ``weight_covariance`` does not fit.
        weight_covariance: (steps + 1, P, P): C_t, Cov(w_t(b)) = C_t / b; None for method "probes", and where it would take more
            than ``byte_budget``.
        method: "full" or "probes".
        probes: how many random vectors; 0 for method "full".
        examples: n, where all examples count the same; None for weighted examples and laws that are no data set.
    """

    variance: FirstOrderQuantity
    second_moment: FirstOrderQuantity
    squared_mean: FirstOrderQuantity
    loss: FirstOrderLoss
    test_loss: FirstOrderLoss | None
    squared_distance: FirstOrderQuantity
    per_example: np.ndarray
    propagated: np.ndarray
    gradient_norm: np.ndarray
    mean_shift: np.ndarray | None
    weight_covariance: np.ndarray | None
    method: str
    probes: int
    examples: int | None

    @property
    def steps(self) -> int:
        """How many updates were followed."""
        return len(self.per_example) - 1

    @door
    def smaller_batches_help(self, step: int = -1) -> SmallerBatches:
        """Whether smaller batches lower the expected loss after the same number of STEPS, with the same learning rates.

        To first order the loss after t steps is L(w_t) + coefficient / b, so the sign of the coefficient says it for all b that
        are large enough: "yes" where it is negative. What first order leaves out grows as b falls.

        Args:
            step: how many updates; -1 for all.

        Returns:
            A :class:`SmallerBatches`: "yes", "no" or "unresolved" for the train and the test loss, each with its coefficient.

        >>> from linvar.numeric import first_order
        >>> path = first_order(lambda w, x: 0.5 * (w - x) ** 2, 3.0, np.asarray([-1.0, 1.0]), 0.5, 2)
        >>> path.smaller_batches_help()
        SmallerBatches(after 2 steps, train: no (0.15625))
        """
        step = check_step(step, self.steps)
        verdicts = [
            None
            if own is None
            else Verdict.of(own.estimate(step), rounding_of(own.epsilon, own.shift[step], own.spread[step]))
            for own in (self.loss, self.test_loss)
        ]
        assert verdicts[0] is not None
        limits = float(self.loss.limit[step]), None if self.test_loss is None else float(self.test_loss.limit[step])
        return SmallerBatches(step % (self.steps + 1), verdicts[0], verdicts[1], limits)

    @door
    def at_equal_examples(
        self, b1: int, b2: int, examples: int | None = None, *, sampling: str = "iid"
    ) -> EqualExamples:
        """Whether the smaller of two batch sizes has the lower expected loss after the same number of EXAMPLES.

        Batches of b examples have made t = examples / b steps by then, with the learning rates of steps 0..t-1 of the path, which
        depend on the step and not on b. Each loss is predicted to first order at its own number of steps, L(w_t) + c
        coefficient_t, c = 1/b or (n - b)/(b (n - 1)); so a smaller batch has made more steps, each noisier.

        Args:
            b1, b2: two different batch sizes, in any order.
            examples: how many each has seen, a multiple of both, at most ``steps`` times the smaller batch size. The
                largest such number if None.
            sampling: "iid", or "without_replacement" from n examples that count the same.

        Returns:
            An :class:`EqualExamples`: the two losses, and "yes", "no" or "unresolved" for their difference.

        >>> from linvar.numeric import first_order
        >>> path = first_order(lambda w, x: 0.5 * (w - x) ** 2, 3.0, np.asarray([-1.0, 1.0]), 0.5, 4)
        >>> path.at_equal_examples(8, 16)
        EqualExamples(b = 8 against 16 after 32 examples, train: yes (-0.252686))
        """
        for name, size in (("b1", b1), ("b2", b2)):
            check_at_least(size, name, 1, "a batch has at least 1 example")
        small, large = sorted((int(b1), int(b2)))
        factors = self.loss.factor(small, sampling), self.loss.factor(large, sampling)
        if small == large:
            raise InputError("b2", b2, "give two different batch sizes", fault="is b1")
        multiple, most = math.lcm(small, large), self.steps * small
        rule = f"give a multiple of {multiple:,}, at most {most:,} = {self.steps:,} steps of {small:,}"
        if multiple > most:
            fault = f"are too few for batch sizes {small:,} and {large:,}"
            cure = (
                f"follow the path for at least {multiple // small:,}, after which both have seen {multiple:,} examples"
            )
            raise InputError("steps", self.steps, cure, fault=fault)
        if examples is None:
            examples = most // multiple * multiple
        elif check_integer(examples, "examples") % multiple or not 0 < examples <= most:
            raise InputError("examples", examples, rule)
        steps = examples // small, examples // large
        train, losses = _against(self.loss, steps, factors)
        test = None if self.test_loss is None else _against(self.test_loss, steps, factors)
        return EqualExamples(
            *(examples, (small, large), steps, train, losses), *((None, None) if test is None else test)
        )

    def to_table(self) -> Table:
        """A step a row: every coefficient of 1/b, its standard error where there are probes, and the values at b = infinity."""
        columns: dict[str, Iterable[object]] = {"step": range(self.steps + 1)}

        def add(name: str, quantity: FirstOrderQuantity) -> None:
            columns[name] = quantity.coefficient
            if self.probes:
                columns[f"{name}, s.e."] = quantity.standard_error

        add("variance", self.variance)
        columns |= {"per example": self.per_example, "propagated": self.propagated}
        add("squared mean", self.squared_mean)
        add("squared distance", self.squared_distance)
        add("loss", self.loss)
        columns["loss at infinity"] = self.loss.limit
        if self.test_loss is not None:
            add("test loss", self.test_loss)
            columns["test loss at infinity"] = self.test_loss.limit
        columns["gradient norm"] = self.gradient_norm
        by = f", {self.probes} probes" if self.probes else ""
        return Table(
            columns,
            zip(*columns.values()),
            f"Coefficients of 1/b{by}",
            [
                "variance = per example (last batch) + propagated (batches before); second moment = variance + squared mean",
                "at b = infinity: the losses, the gradient's norm; its square is that of second moment and squared mean",
            ],
        )

    def __repr__(self) -> str:
        t = self.steps
        known: list[tuple[str, FirstOrderQuantity | None]] = [("variance", self.variance), ("loss", self.loss)]
        known.append(("test_loss", self.test_loss))
        numbers = []
        for name, own in known:
            if own is not None:
                error = f" +- {own.standard_error[t]:.2g}" if self.probes else ""
                limit = f"{own.limit[t]:.6g} + " if isinstance(own, FirstOrderLoss) else ""
                numbers.append(f"{name}[{t}]={limit}({own.coefficient[t]:.6g}{error})/b")
        return f"FirstOrder({t} steps, {', '.join(numbers)}, method={self.method!r})"


def _against(
    loss: FirstOrderLoss, steps: tuple[int, int], factors: tuple[float, float]
) -> tuple[Verdict, tuple[float, float]]:
    """The first less the second, from the same probes, and both."""
    (first, second), (mine, other) = steps, factors
    limits = loss.limit[first], loss.limit[second]
    losses = tuple(float(loss.limit[t] + c * loss.coefficient[t]) for t, c in zip(steps, factors))
    samples = limits[0] - limits[1] + mine * loss.samples[first] - other * loss.samples[second]
    (value,), (error,) = mean_and_error(samples[None], loss.sizes)
    terms = [*limits, *(c * part[t] for t, c in zip(steps, factors) for part in (loss.shift, loss.spread))]
    verdict = Verdict.of(Estimate(float(value), float(error), loss.runs), rounding_of(loss.epsilon, *terms))
    return verdict, (losses[0], losses[1])
