"""linvar: the exact dependence of SGD's gradient noise on the mini-batch size.

Names load on first use, so that ``import linvar`` costs nothing: no JAX, SymPy, NumPy or matplotlib until needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linvar.errors import DerivationTooLargeError as DerivationTooLargeError
    from linvar.exact import Rational as Rational
    from linvar.exact import rationalize as rationalize
    from linvar.laws.dataset import Dataset as Dataset
    from linvar.laws.gaussian import Gaussian as Gaussian
    from linvar.numeric.estimates import Estimate as Estimate
    from linvar.numeric.regression import regression_curve as regression_curve
    from linvar.plotting import plot_variance as plot_variance
    from linvar.problem import Problem as Problem
    from linvar.problem_file import load_problem as load_problem
    from linvar.search.nonmonotone import SearchResult as SearchResult
    from linvar.search.nonmonotone import search_nonmonotone as search_nonmonotone
    from linvar.symbolic.algebra.names import symbolic_matrix as symbolic_matrix
    from linvar.symbolic.algebra.names import symbolic_weights as symbolic_weights
    from linvar.symbolic.derivation import expected_loss as expected_loss
    from linvar.symbolic.derivation import expected_weights as expected_weights
    from linvar.symbolic.derivation import gradient_variance as gradient_variance
    from linvar.symbolic.derivation import second_moment as second_moment
    from linvar.symbolic.derivation import squared_mean as squared_mean
    from linvar.symbolic.derivation import weight_covariance as weight_covariance
    from linvar.symbolic.plan import Plan as Plan
    from linvar.symbolic.plan import plan as plan
    from linvar.symbolic.regression_moments import RegressionMoments as RegressionMoments
    from linvar.symbolic.result.batch_size import b as b
    from linvar.symbolic.result.batch_size import u as u
    from linvar.symbolic.result.polynomial import BatchPolynomial as BatchPolynomial
    from linvar.symbolic.result.polynomial import load_polynomial as load_polynomial
    from linvar.symbolic.result.truncated import LargeBatchExpansion as LargeBatchExpansion
    from linvar.symbolic.words.wishart import wishart_moment as wishart_moment
    from linvar.verification.verify import Report as Report
    from linvar.verification.verify import verify as verify

__version__ = "0.1.0"

_HOMES = {
    "Rational": "linvar.exact",
    "rationalize": "linvar.exact",
    "Dataset": "linvar.laws.dataset",
    "Gaussian": "linvar.laws.gaussian",
    "Estimate": "linvar.numeric.estimates",
    "regression_curve": "linvar.numeric.regression",
    "plot_variance": "linvar.plotting",
    "Problem": "linvar.problem",
    "load_problem": "linvar.problem_file",
    "SearchResult": "linvar.search.nonmonotone",
    "search_nonmonotone": "linvar.search.nonmonotone",
    "symbolic_matrix": "linvar.symbolic.algebra.names",
    "symbolic_weights": "linvar.symbolic.algebra.names",
    "BatchPolynomial": "linvar.symbolic.result.polynomial",
    "load_polynomial": "linvar.symbolic.result.polynomial",
    "b": "linvar.symbolic.result.batch_size",
    "u": "linvar.symbolic.result.batch_size",
    "LargeBatchExpansion": "linvar.symbolic.result.truncated",
    "Plan": "linvar.symbolic.plan",
    "plan": "linvar.symbolic.plan",
    "RegressionMoments": "linvar.symbolic.regression_moments",
    "DerivationTooLargeError": "linvar.errors",
    "expected_loss": "linvar.symbolic.derivation",
    "expected_weights": "linvar.symbolic.derivation",
    "gradient_variance": "linvar.symbolic.derivation",
    "second_moment": "linvar.symbolic.derivation",
    "squared_mean": "linvar.symbolic.derivation",
    "weight_covariance": "linvar.symbolic.derivation",
    "wishart_moment": "linvar.symbolic.words.wishart",
    "Report": "linvar.verification.verify",
    "verify": "linvar.verification.verify",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'linvar' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
