"""What the work of the exact half costs on a machine: the coefficients of every prediction, from one file.

``cost.toml`` beside this module was fitted by ``benchmarks/calibrate.py`` on the machine that it names. To predict for another
machine, run that script there and let the environment variable ``LINVAR_COST`` name the file that it writes. Predictions are sums
of amounts of work (monomials, products, bytes moved) times these coefficients: ``total``.
"""

from __future__ import annotations

import datetime
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

from linvar.errors import InputError, Words, cut, shown
from linvar.text_files import read_text

#: the environment variable with the path of a file to use in place of linvar's own
VARIABLE = "LINVAR_COST"
_LARGEST = 100_000

#: coefficient -> how much of what it is for
Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Machine:
    """Where and when the coefficients were measured."""

    name: str
    python: str
    date: datetime.date


@dataclass(frozen=True)
class Expansion:
    """Bytes at the peak, and seconds, of an expansion.

    Bytes: of a monomial and each bit of its coefficient, of a monomial in symbols, of a term of the answer in symbols; of a
    moment of a batch and each of its powers of 1/b, of a value at an example, of a fourth moment of data. Seconds: of any call;
    of a term that is integrated, and each bit of its coefficient; of a term of a square, and of a product of two terms in it,
    short or long; of a power of 1/b of a moment, of a product of terms of their series, of one of moments of data, of a value of
    a fourth moment; in symbols of a term, of a product of two, and of a term of the answer.
    """

    bytes_monomial: float
    bytes_bit: float
    bytes_symbol_monomial: float
    bytes_symbol_answer: float
    bytes_moment: float
    bytes_power: float
    bytes_value: float
    bytes_fourth_moment: float
    seconds_call: float
    seconds_term: float
    seconds_term_bit: float
    seconds_square: float
    seconds_short_product: float
    seconds_long_product: float
    seconds_power: float
    seconds_series: float
    seconds_moment_product: float
    seconds_value: float
    seconds_symbol_term: float
    seconds_symbol_square: float
    seconds_symbol_answer: float


@dataclass(frozen=True)
class Regression:
    """The same of linear regression, and of the recursion of an affine gradient.

    Bytes: of a coefficient, and of a bit of it; of a fourth moment and of a value at an example. Seconds: of any call, of a
    step, of a product in the last step of data, of a product in the steps and of each power of 1/b in it, for data and for a
    Gaussian law; of a byte where symbols are; at one batch size, of a byte in a step. Of an affine gradient bytes of a pair of
    features, of an entry of the table, of a word of the moments; seconds of a pair of features, and of a value in its moment,
    of an entry of the table, of an entry of the moments in a step, of a word of it in a product; in symbols of a term of it in
    a product.
    """

    bytes_coefficient: float
    bytes_bit: float
    bytes_fourth_moment: float
    bytes_value: float
    seconds_call: float
    seconds_step: float
    seconds_last_product: float
    seconds_data_product: float
    seconds_data_power: float
    seconds_gaussian_product: float
    seconds_gaussian_power: float
    seconds_symbol_byte: float
    seconds_number_byte: float
    bytes_pair: float
    bytes_table: float
    bytes_word: float
    seconds_pair: float
    seconds_pair_value: float
    seconds_table: float
    seconds_entry: float
    seconds_word: float
    seconds_symbol_product: float


@dataclass(frozen=True)
class Traces:
    """The same of formulas in traces.

    Bytes: of any call, of a term of the recursion on words before equal ones are merged, of an entry of the matrices that are
    multiplied, and of a bit of it. Seconds: of any call, of such a term, of a term of the formulas and a bit of it, of a product
    of two entries and a bit of it.
    """

    bytes_call: float
    bytes_recursion: float
    bytes_entry: float
    bytes_bit: float
    seconds_call: float
    seconds_recursion: float
    seconds_term: float
    seconds_term_bit: float
    seconds_product: float
    seconds_product_bit: float


@dataclass(frozen=True)
class Lattice:
    """The same of the lattice, JAX included.

    Bytes: of any call, of each entry of the moments' tables, of a value at an example, of a compiled program (its products
    squared). Seconds: of the first call, of each step in it, of a program (its products squared); of any call of a product modulo
    a prime in the steps and in the sums, of a prime, of an exact product.
    """

    bytes_call: float
    bytes_entry: float
    bytes_value: float
    bytes_program: float
    seconds_call: float
    seconds_step: float
    seconds_program: float
    seconds_product: float
    seconds_summand: float
    seconds_prime: float
    seconds_exact_product: float


@dataclass(frozen=True)
class LargeBatch:
    """The same of the first coefficients in 1/b.

    Bytes: of any call, of an object, of a bit, of a term of the spread of one example's gradient, of a monomial in symbols.
    Seconds: of any call, of an object moved, of a Taylor coefficient of an update, of a product, of each bit of it (long ones
    cost more), of an exact product beside its bits, of a moment of a batch, of a term of the spread, of a monomial in symbols.
    By pairs: bytes of an entry of a matrix, and of a bit of it; seconds of an operation, of a product, and of a bit in it; these
    also by directions.
    """

    bytes_call: float
    bytes_object: float
    bytes_bit: float
    bytes_spread: float
    bytes_symbol_monomial: float
    bytes_pair_entry: float
    bytes_pair_bit: float
    seconds_call: float
    seconds_object: float
    seconds_path: float
    seconds_product: float
    seconds_product_bit: float
    seconds_exact_product: float
    seconds_moment: float
    seconds_spread: float
    seconds_symbol_monomial: float
    seconds_pair: float
    seconds_pair_product: float
    seconds_pair_bit: float
    seconds_direction: float
    seconds_direction_product: float
    seconds_direction_bit: float


@dataclass(frozen=True)
class Symbols:
    """What is measured of counts in symbols (``monomials``): the part that is reached where a width is more than 1."""

    wide_fraction: float


@dataclass(frozen=True)
class Costs:
    """All coefficients."""

    machine: Machine
    expansion: Expansion
    regression: Regression
    traces: Traces
    lattice: Lattice
    large_batch: LargeBatch
    symbols: Symbols


Section = Expansion | Regression | Traces | Lattice | LargeBatch | Symbols
_SECTIONS: dict[str, type[Section]] = {
    "expansion": Expansion,
    "regression": Regression,
    "traces": Traces,
    "lattice": Lattice,
    "large_batch": LargeBatch,
    "symbols": Symbols,
}
_T = TypeVar("_T", bound=Section)


def costs() -> Costs:
    """The coefficients: of the file that ``LINVAR_COST`` names, or linvar's own; read once.

    Raises:
        InputError: the file is missing or damaged; the message names what in it.

    >>> costs().lattice.seconds_call > 0
    True
    """
    return _read(os.environ.get(VARIABLE) or None)


@lru_cache(maxsize=8)
def _read(path: str | None) -> Costs:
    """The coefficients of a file."""
    if path is None:
        return parse(resources.files("linvar.symbolic").joinpath("cost.toml").read_text("utf-8"), "cost.toml")
    return parse(
        read_text(path, f"{VARIABLE}: cost file", _LARGEST, error=InputError), f"{VARIABLE}: cost file {shown(path)}"
    )


def parse(text: str, name: str) -> Costs:
    """The coefficients in the text of a cost file; ``name`` is how a message calls it.

    Raises:
        InputError: it is no TOML, a section or coefficient is missing or unknown, or one is no positive number.
    """
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as cause:
        raise _damaged(name, f"is no TOML ({cut(str(cause), 80)})") from None
    wanted = {"machine", *_SECTIONS}
    _check_names(name, "", found, wanted)
    for section, value in found.items():
        if not isinstance(value, dict):
            raise _damaged(name, f"has {section} = {shown(value)}, which is no section [{section}]")
    machine = found["machine"]
    _check_names(name, "machine", machine, {field.name for field in fields(Machine)})
    if not isinstance(machine["date"], datetime.date):
        raise _damaged(name, f"has machine.date = {shown(machine['date'])}, which is no date")
    sections = {section: _section(name, section, found[section], kind) for section, kind in _SECTIONS.items()}
    return Costs(Machine(str(machine["name"]), str(machine["python"]), machine["date"]), **sections)  # type: ignore[arg-type]


def _section(name: str, section: str, values: Mapping[str, Any], kind: type[_T]) -> _T:
    """A section, all of whose coefficients are positive numbers."""
    _check_names(name, section, values, {field.name for field in fields(kind)})
    for key, value in values.items():
        a_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (a_number and 0 < value < 1e30 and math.isfinite(value)):
            raise _damaged(name, f"has {section}.{key} = {shown(value)}, which is no positive number")
    return kind(**{key: float(value) for key, value in values.items()})


def _check_names(name: str, section: str, found: Mapping[str, Any], wanted: set[str]) -> None:
    """No name is missing, none unknown."""
    dot = f"{section}." if section else ""
    for missing in sorted(wanted - set(found)):
        raise _damaged(name, f"has no {dot}{missing}")
    for unknown in sorted(set(found) - wanted):
        raise _damaged(name, f"has {dot}{cut(unknown)}, which is unknown")


def _damaged(name: str, fault: str) -> InputError:
    """The refusal of a file."""
    return InputError(name, Words(fault), "write it anew by benchmarks/calibrate.py, or unset the variable")


def total(section: Section, amounts: Amounts) -> float:
    """The sum of amounts times their coefficients, infinite where it is beyond use.

    >>> total(Symbols(wide_fraction=0.5), {"wide_fraction": 3})
    1.5
    """
    each: list[float] = [float(min(amount, 10**300)) * getattr(section, name) for name, amount in amounts.items()]
    return sum(each)


@dataclass(frozen=True)
class Size:
    """What a derivation will need.

    Attributes:
        monomials: of the largest polynomial.
        bytes: at the peak.
        seconds: on one core, fitted to measurements (``benchmarks/plan_accuracy.py``).
        complete: False where counting stopped early, for more steps than could ever fit: then all are lower bounds, and
            ``bytes`` is more than any machine has.
    """

    monomials: int
    bytes: int
    seconds: float
    complete: bool = True

    @property
    def count(self) -> str:
        """The monomials in words."""
        many = f"{self.monomials:,}" if self.monomials < 10**15 else "10^15 and more"
        return f"{'' if self.complete else 'far over '}{many}"


@dataclass(frozen=True)
class Work:
    """What there is to do: the amounts of ``cost``.

    Attributes:
        monomials: of the largest polynomial.
        bytes, seconds: amounts, each for a coefficient of the road's section.
    """

    monomials: int
    bytes: Amounts
    seconds: Amounts
