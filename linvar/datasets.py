"""Real data sets, rounded openly to exact numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isqrt, lcm
from typing import TYPE_CHECKING

from linvar.arguments import check_integer
from linvar.errors import InputError, MissingExtraError, Words
from linvar.exact import Rational
from linvar.keywords import door, public_names
from linvar.laws.dataset import Dataset
from linvar.tables.fields import shown_name
from linvar.tables.reading import Table, read_table

__all__ = [
    "MissingExtraError",
    "RoundedDataset",
    "Table",
    "diabetes",
    "diabetes_table",
    "read_table",
    "rounded_diabetes",
    "rounded_table",
]

if not TYPE_CHECKING:  # a type checker knows the names
    __getattr__, __dir__ = public_names(__name__, __all__)

#: Most digits after the decimal point.
MOST_DECIMALS = 1_000
#: A column whose largest and smallest number differ by this part of its largest |number| is constant up to rounding: sixteen
#: units in the last place of float64 (2^-52), the most that a few roundings make of one and the same number.
ROUNDING = Fraction(16, 2**52)
#: Digits beyond those kept by which a rounding error is measured.
_FURTHER = 9


@dataclass(frozen=True)
class RoundedDataset:
    """A Dataset together with what rounding did to it.

    Attributes:
        dataset: the exact data set.
        decimals: digits kept after the decimal point; None: all that were written.
        largest_rounding_error: the largest |rounded - given| over all inputs and targets, measured; at most
            ``10**-decimals / 2``.
    """

    dataset: Dataset
    decimals: int | None
    largest_rounding_error: float


@door
def rounded_table(table: Table, decimals: int | None = None, standardise: bool = False) -> RoundedDataset:
    """The numbers of a table as an exact ``Dataset``, as they are written or rounded.

    With ``standardise`` a column x becomes (x - mean(x)) / std(x), of mean 0 and variance 1 (divisor n) before it is rounded.
    That is computed in integers: the result is the nearest number of so many decimals (halves away from 0), whatever the size
    of the numbers of the column.

    Args:
        table: what ``read_table`` read.
        decimals: digits kept after the decimal point, from 0 to 1,000; all of them if None.
        standardise: whether columns are brought to mean 0 and variance 1.

    Returns:
        n examples, the table's inputs, one target.

    Raises:
        InputError: ``decimals`` is missing or out of range; a column is constant, also up to rounding, that is to be
            standardised; a column that varies no longer does once rounded.

    >>> table = diabetes_table()
    >>> rounded_table(table, decimals=4, standardise=True).dataset
    Dataset(442 examples, 10 inputs, 1 target)
    """
    decimals = checked_decimals(decimals, standardise)
    names = [*table.columns, table.target]
    columns = [*zip(*table.inputs), table.targets]
    rounded, errors = [], []
    for place, (name, column) in enumerate(zip(names, columns), 1):
        if standardise:
            assert decimals is not None
            values, error = _standardised(column, decimals, f"table {table.name!r}, column {shown_name(name)}")
        else:
            values, error = _rounded(column, decimals)
            if len(set(values)) == 1 < len(set(column)):
                fault = (
                    f"leaves {values[0]} in every row of column {place}, {shown_name(name)}, of table {table.name!r}"
                )
                raise InputError("decimals", decimals, "give more, or standardise", fault=fault)
        rounded.append(values)
        errors.append(error)
    rows = list(zip(*rounded))
    dataset = Dataset([row[:-1] for row in rows], [row[-1:] for row in rows])
    return RoundedDataset(dataset, decimals, max(errors))


def checked_decimals(decimals: object, standardise: bool) -> int | None:
    """An int >= 0, or None where nothing is standardised.

    Raises:
        InputError: it is something else.
    """
    cure = f"give the digits kept after the decimal point, from 0 to {MOST_DECIMALS}"
    if decimals is None:
        if standardise:
            raise InputError("decimals", Words("is missing"), f"{cure}: standardised numbers are irrational")
        return None
    if not 0 <= (number := check_integer(decimals, "decimals", cure)) <= MOST_DECIMALS:
        raise InputError("decimals", decimals, cure)
    return number


def _rounded(column: Sequence[Decimal], decimals: int | None) -> tuple[list[Rational], float]:
    """Numbers of so many decimals, and the largest error."""
    exact = [Rational(*value.as_integer_ratio()) for value in column]
    if decimals is None:
        return exact, 0.0
    scale = 10**decimals
    rounded = [Rational(_half_away(value.numerator * scale, value.denominator), scale) for value in exact]
    return rounded, float(max(abs(a - b) for a, b in zip(exact, rounded)))


def _standardised(column: Sequence[Decimal], decimals: int, subject: str) -> tuple[list[Rational], float]:
    """(x - mean) / std of so many decimals, and the largest error; all in integers.

    With x = k / L and s = sum k: (x - mean) / std = d sqrt(n) / sqrt(sum d^2), where d = n k - s.
    """
    ratios = [value.as_integer_ratio() for value in column]
    common, n = lcm(*(q for _, q in ratios)), len(column)
    whole = [p * (common // q) for p, q in ratios]
    spread, largest = max(whole) - min(whole), max(map(abs, whole))
    if not spread:
        raise InputError(subject, Words(f"has the same number in all of its {n:,} rows"), "leave it out")
    if spread <= ROUNDING * largest:
        fault = (
            "is constant up to rounding: its numbers differ by 16 units in the last place of float64 (2^-52) at most"
        )
        raise InputError(subject, Words(fault), "leave it out")
    total = sum(whole)
    deviations = [n * k - total for k in whole]
    squares = sum(d * d for d in deviations)
    finer, scale = 100 ** (decimals + _FURTHER), 10**decimals
    rounded, errors = [], []
    for d in deviations:
        root = isqrt(d * d * n * finer // squares)  # |x - mean| / std, cut after decimals + 9 digits
        nearest = _half_away(root, 10**_FURTHER)
        errors.append(abs(nearest * 10**_FURTHER - root))
        rounded.append(Rational(-nearest if d < 0 else nearest, scale))
    return rounded, float(Fraction(max(errors), scale * 10**_FURTHER))


def _half_away(numerator: int, denominator: int) -> int:
    """The nearest integer to a fraction, halves away from 0."""
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -nearest if numerator < 0 else nearest


def diabetes_table() -> Table:
    """The diabetes data of Efron et al. (2004) as scikit-learn has them: 442 patients, 10 inputs.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    >>> diabetes_table().columns[:3]
    ('age', 'sex', 'bmi')

    Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32 (2004).
    """
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise MissingExtraError(
            'the diabetes data come with scikit-learn, which is not installed: pip install "linvar[data]"'
        ) from error
    found = load_diabetes()
    columns = tuple(map(str, found.feature_names))
    inputs = tuple(tuple(map(Decimal, row)) for row in found.data.tolist())
    targets = tuple(map(Decimal, found.target.tolist()))
    digest = hashlib.sha256(found.data.tobytes() + found.target.tobytes()).hexdigest()
    description = f"{len(inputs)} rows, inputs: {', '.join(columns)}; target: progression"
    return Table("the diabetes data", digest, columns, "progression", inputs, targets, description)


@door
def diabetes(decimals: int = 4) -> Dataset:
    """The diabetes data of ``diabetes_table``, 442 patients x 10 inputs, as an exact ``Dataset``.

    Every column is brought to mean 0 and variance 1 (divisor n), then rounded to ``decimals`` digits, so that means and
    variances hold up to that rounding; ``rounded_diabetes`` reports how far it moved an entry.

    Args:
        decimals: digits kept after the decimal point, >= 0.

    Returns:
        442 examples, 10 inputs, 1 target.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        InputError: ``decimals`` is out of range.

    >>> diabetes()
    Dataset(442 examples, 10 inputs, 1 target)
    """
    return rounded_diabetes(decimals).dataset


@door
def rounded_diabetes(decimals: int = 4) -> RoundedDataset:
    """The data of ``diabetes`` with the largest rounding error, measured.

    Args, Raises: as ``diabetes``.

    >>> rounded_diabetes(decimals=4).largest_rounding_error <= 0.5e-4
    True
    """
    return rounded_table(diabetes_table(), decimals, standardise=True)
