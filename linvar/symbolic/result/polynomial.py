"""BatchPolynomial: an exact polynomial in u = 1/b, the result of every exact derivation.

Coefficients live in python-flint: elements of a ring in the problem's symbols (none of them for a numeric problem),
so that an answer of 60,000 terms adds, compares and saves without ever becoming a SymPy expression. SymPy objects
are made when ``coefficients`` or ``poly`` are asked for, and kept.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeAlias, overload

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, Words
from linvar.exact import Exact, exact, exact_vector, free_symbols
from linvar.flint import fmpq, fmpz
from linvar.keywords import door
from linvar.plain_data import Plain
from linvar.schemes.scheme import scheme_of
from linvar.symbolic.algebra.ring import Element, Ring, to_exact
from linvar.symbolic.result import display, latex, monotone, residues
from linvar.symbolic.result import file as polynomial_file
from linvar.symbolic.result.by_hand import ByHand
from linvar.symbolic.result.file import Terms, elements_of, terms_of
from linvar.symbolic.schemes.registry import exact_scheme

if TYPE_CHECKING:
    import jax
    import numpy as np
    import sympy

    from linvar.display.table import Table
    from linvar.symbolic.result.jax_function import JaxFunction

#: values at several batch sizes, nested as these are
Values: TypeAlias = "list[Exact] | list[Values]"
#: what pickle keeps: coefficients, symbols, sampling, dataset size, degree bound
_Kept: TypeAlias = "tuple[Terms, tuple[sympy.Expr, ...], str, int | None, int]"


class BatchPolynomial(ByHand, monotone.Trends):
    """An exact polynomial in u = 1/b, b the mini-batch size.

    p(1/b) = sum_k coefficients[k] / b^k, exact for every b at which the sampling has a meaning.

    Args:
        coefficients: of u^0, u^1, ...: exact numbers, or SymPy expressions polynomial in their symbols (with
            ``ring=``, elements of that ring). Trailing zeros are dropped.
        sampling: "iid" or "without_replacement": under which sampling it was derived.
        dataset_size: n, where the law is a data set.
        degree_bound: a bound on the degree known in advance; the degree itself if None. Without replacement a bound
            above n - 1 is n - 1.
        ring: a ``Ring`` without variables, if the coefficients are its elements.

    Without replacement only the values at b = 1..n have a meaning, and the polynomial is the one of degree below n that
    has them: what is given, and what arithmetic makes, is reduced modulo (u - 1)(u - 1/2)...(u - 1/n). Results of
    different samplings (without replacement: or data set sizes) do not mix in arithmetic; exact numbers (and SymPy
    expressions) mix with all of them.

    Equality is that of the polynomial, the sampling and (without replacement) the data set size, whatever the degree
    bound; a constant also equals its number, and hashes like that int or Fraction.

    Derivations by hand: in a SymPy expression that meets a polynomial, a symbol named b is the batch size (``linvar.b``)
    and one named u is 1/b (``linvar.u``); the expression is a polynomial in 1/b, 18/b + (w^2 - 1)/b^2. If a symbol of the
    polynomial itself has that name the expression is refused. In ``coefficients`` and in ``subs`` a symbol of these names
    is a symbol like any other, and 1/b is then shown as u_. ``p == expression``, from either side, is whether
    ``p - expression`` is zero, however the expression is written; where ``p - expression`` is refused (no polynomial in
    1/b, a float in it, too long to be expanded) it is False. SymPy hashes an expression by its form, so that no hash can
    agree: in a set or a dict an expression does not find the polynomial that is equal to it.

    Raises:
        TypeError: a coefficient is a float or no number; the coefficients have no order. ValueError: one is no
            polynomial in its symbols, the sampling is unknown, n is missing or no positive integer, or the bound is
            below the degree.

    >>> p = BatchPolynomial([0, 18, "1/2"])
    >>> p
    18 u + 1/2 u^2    (u = 1/b, degree 2)
    >>> p(2), p.degree, p.coefficients
    (73/8, 2, (0, 18, 1/2))
    >>> import linvar as lv
    >>> p == (36 * lv.b + 1) / (2 * lv.b**2), p - 18 / lv.b
    (True, 1/2 u^2    (u = 1/b, degree 2))
    >>> BatchPolynomial([0, 18, "1/2"], sampling="without_replacement", dataset_size=2)  # less (u - 1)(u - 1/2)/2
    -1/4 + 75/4 u    (u = 1/b, b <= 2, degree 1)
    """

    @door
    def __init__(
        self,
        coefficients: Iterable[Any],
        *,
        sampling: str = "iid",
        dataset_size: int | None = None,
        degree_bound: int | None = None,
        ring: Ring | None = None,
    ) -> None:
        if ring is None:
            values = exact_vector(coefficients, "coefficients", "give a list, ascending in powers of 1/b")
            ring = Ring(0, free_symbols(values))
            elements = [ring.lift(value) for value in values]
        else:
            elements = list(coefficients)
        self.scheme = scheme_of(sampling)
        if self.scheme.within_dataset and dataset_size is None:
            raise InputError("sampling", sampling, "give it", fault="needs dataset_size=, the number of examples n")
        size = "give the number of examples, an integer >= 1"
        self.dataset_size = None if dataset_size is None else check_integer(dataset_size, "dataset_size", size)
        if self.dataset_size is not None and self.dataset_size < 1:
            raise InputError("dataset_size", dataset_size, size)
        elements, largest = _trimmed(elements), self.largest_batch_size
        if largest is not None and len(elements) > largest:
            elements = _trimmed(residues.reduced(elements, ring, largest))
        self._elements: tuple[Element, ...] = tuple(elements) or (ring.zero,)
        self._ring = ring
        bound = f"give an integer >= the degree, {self.degree}"
        self.degree_bound = self.degree if degree_bound is None else check_integer(degree_bound, "degree_bound", bound)
        if self.degree_bound < self.degree:
            raise InputError("degree_bound", degree_bound, bound)
        if largest is not None:
            self.degree_bound = min(self.degree_bound, largest - 1)

    @property
    def terms(self) -> int:
        """Number of monomials in u and the symbols."""
        return sum(len(element) for element in self._elements)

    @property
    def vanishes_at_infinity(self) -> bool:
        """Whether the constant term is zero, as that of an iid variance is."""
        return not self._elements[0]

    @cached_property
    def factor_coefficients(self) -> tuple[Exact, ...]:
        """Coefficients of 1, c, c^2, ..., where c is the factor by which averaging a batch shrinks a covariance.

        c = 1/b for iid batches: the ``coefficients`` themselves. Without replacement c = (n-b)/(b(n-1)), so that
        u = (1 + (n-1) c)/n, and there are at most n of them; at n = 1 one, the value at b = 1.

        >>> BatchPolynomial(["-1/2", 2], sampling="without_replacement", dataset_size=4).factor_coefficients
        (0, 3/2)
        """
        elements = exact_scheme(self.sampling).in_covariance_factor(self._elements, self._ring, self.dataset_size)
        return tuple(to_exact(element, self.symbols) for element in _trimmed(elements))

    # values

    @overload
    def __call__(self, batch_size: int | np.integer) -> Exact: ...
    @overload
    def __call__(self, batch_size: Sequence[int]) -> list[Exact]: ...
    @overload
    def __call__(self, batch_size: Sequence[Sequence[int]] | np.ndarray | jax.Array) -> Values: ...
    def __call__(self, batch_size: Any) -> Exact | Values:
        """Exact value at b, sum_k coefficients[k] / b^k.

        Args:
            batch_size: b, an integer >= 1 (<= n without replacement); or a list, tuple, range or integer array.

        Returns:
            An exact number (a SymPy expression with symbols); for a sequence or an array a list of them, nested
            as it is.

        Raises:
            TypeError: b is not an integer. ValueError: b is out of range.

        >>> p = BatchPolynomial([0, 18, "1/2"])
        >>> p(32), p([1, 2])
        (1153/2048, [37/2, 73/8])
        """
        if isinstance(batch_size, (list, tuple, range)) or getattr(batch_size, "ndim", 0) > 0:
            values: Values = [self(one) for one in batch_size]
            return values
        b = self._check_batch_size(batch_size)
        total = self._ring.zero
        for element in reversed(self._elements):
            total = total * fmpq(1, b) + element
        return to_exact(total, self.symbols)

    def _check_batch_size(self, batch_size: Any) -> int:
        """b as an int, in range."""
        b = check_integer(batch_size, "batch_size", "give an integer >= 1")
        if b < 1:
            raise InputError(
                "batch_size", b, "give an integer >= 1", fault="is too small, a batch has at least 1 example"
            )
        largest = self.largest_batch_size
        if largest is not None and b > largest:
            fault = f"is more than the {largest} examples of the data set"
            raise InputError("batch_size", b, f"without replacement give at most {largest}", fault)
        return b

    def to_jax(self) -> JaxFunction:
        """A function of b (an array), and of the symbols as keywords, in JAX, from arrays of coefficients.

        ``p.to_jax()(b, w1=0.5)``: b > 0 of any shape, each symbol a scalar (``**{"M[0, 1]": 0.5}`` for names that are no
        identifiers). No code is generated: powers of the symbols are looked up by an array of exponents, terms summed by
        power of 1/b, and Horner's rule does the rest. Jitted; differentiable in b and in the symbols. A call outside
        ``jax.jit`` waits for its value, to look at it.

        Floating point, in JAX's default dtype at the call: float32, whose largest number is 3.4e38, unless called
        inside ``with jax.enable_x64(True):``. Each coefficient is rounded once, from the exact fraction; those
        below the smallest normal number count as 0. Where terms of opposite sign nearly cancel, the relative error
        grows by sum |terms| / |value|, which ``p.to_jax().condition(b, ...)`` gives; a call outside ``jax.jit`` warns where
        the error may exceed 1 %. For exact values call the polynomial itself.

        Returns:
            The function. Outside ``jax.jit`` it raises InputError for a b that is not positive (or above n, without
            replacement), and warns (RuntimeWarning) of cancellation; it raises TypeError where the keywords are not the
            symbols, OverflowError where a coefficient does not fit the dtype.

        Raises:
            OverflowError: a coefficient is beyond float64.

        >>> f = BatchPolynomial([0, 18, -17]).to_jax()
        >>> float(f(4)), float(f.condition(1))
        (3.4375, 35.0)
        """
        from linvar.symbolic.result.jax_function import JaxFunction

        terms = [list(element.terms()) for element in self._elements]
        return JaxFunction(terms, list(map(str, self.symbols)), self.largest_batch_size)

    # display

    def __repr__(self) -> str:
        return display.text(self)

    @door
    def latex(self, *, factor: bool = False, digits: int | None = None) -> str:
        """The whole polynomial as LaTeX, in powers of 1/b.

        Args:
            factor: take out what is common to all terms, and write each coefficient as a product of irreducible factors.
            digits: write decimals, rounded to so many significant digits (halves to even), instead of fractions.

        Warns:
            RuntimeWarning: it will have more than a million characters; said before it is written.

        >>> import sympy
        >>> w, t = sympy.symbols("w t")
        >>> print(BatchPolynomial([0, 18, "1/2"]).latex())
        18 \\frac{1}{b} + \\frac{1}{2} \\frac{1}{b^{2}}
        >>> print(BatchPolynomial([0, (t - w) ** 2, (t - w) / 2]).latex(factor=True))
        \\frac{1}{2} \\left(t - w\\right) \\frac{1}{b} \\left(2 \\left(t - w\\right) + \\frac{1}{b}\\right)
        >>> print(BatchPolynomial([0, t / 7, 10**9]).latex(digits=3))
        0.143 t \\frac{1}{b} + 1 \\cdot 10^{9} \\frac{1}{b^{2}}
        """
        check_flags(factor=factor)
        return latex.whole(self._elements, self.symbols, factor, latex.checked_digits(digits))

    def _repr_latex_(self) -> str:
        """LaTeX for notebooks, elided when long."""
        return f"$\\displaystyle {latex.notebook(self)}$"

    def to_table(self) -> Table:
        """The coefficients as a table: power of 1/b, coefficient, and its decimal (with symbols: the number of its terms).

        Long numbers and sums are cut in its cells; their values, as in ``.to_pandas()``, are the exact coefficients, and
        floats for the decimals. ``.to_latex()`` and ``.to_markdown()`` write it.

        >>> print(BatchPolynomial([0, 18, "-1/3"]).to_table())
        Polynomial in 1/b of degree 2
        power of 1/b  coefficient    decimal
        ------------------------------------
                   0            0          0
                   1           18         18
                   2         -1/3  -0.333333
        """
        from linvar.symbolic.result.table import exact_table

        b = display.batch_size_name(self.symbols)
        title = f"Polynomial in 1/{b} of degree {self.degree}"
        largest = self.largest_batch_size
        notes = [] if largest is None else [f"{b} <= {largest}, without replacement"]
        return exact_table(self.coefficients, self._elements, self.symbols, title, notes)

    # arithmetic

    def _like(self, elements: list[Element], ring: Ring, degree_bound: int) -> Self:
        """A polynomial of the same sampling."""
        return type(self)(
            elements, ring=ring, sampling=self.sampling, dataset_size=self.dataset_size, degree_bound=degree_bound
        )

    def _operand(self, other: Any) -> Self | None:
        """The other operand as a BatchPolynomial; None if it is of a foreign kind, an error if it is not exact."""
        if isinstance(other, type(self)):
            if other._drawn != self._drawn:
                fault = Words(f"is for {display.sampling(self)}, the other for {display.sampling(other)}")
                raise InputError("one polynomial", fault, "they do not mix")
            return other
        if hasattr(type(other), "free_symbols"):
            from linvar.symbolic.result import batch_size

            elements, ring = batch_size.read(other, self.symbols)
        elif isinstance(other, (numbers.Number, fmpq, fmpz)):
            ring = Ring(0)
            elements = [ring.lift(exact(other, "operand"))]
        else:
            return None
        return type(self)(elements, ring=ring, sampling=self.sampling, dataset_size=self.dataset_size)

    # storage

    def to_dict(self) -> dict[str, Plain]:
        """Plain lists and strings, for JSON: with symbols a coefficient is a list of [exponents, "p/q"].

        >>> BatchPolynomial([0, "1/2"]).to_dict()["coefficients"]
        ['0', '1/2']
        """
        return polynomial_file.to_dict(self)

    @classmethod
    def from_dict(cls, data: Any) -> BatchPolynomial:
        """The inverse of ``to_dict``; symbols come back without assumptions. Nothing in it is evaluated as code.

        Raises:
            ValueError: ``data`` is not what ``to_dict`` writes; the message names the key.

        >>> BatchPolynomial.from_dict(BatchPolynomial([0, "1/2"]).to_dict())
        1/2 u    (u = 1/b, degree 1)
        """
        saved = polynomial_file.from_dict(data)
        return cls(
            saved.elements,
            ring=saved.ring,
            sampling=saved.sampling,
            dataset_size=saved.dataset_size,
            degree_bound=saved.degree_bound,
        )

    def save(self, path: Any) -> None:
        """Write the polynomial as JSON, atomically: the old file stays if writing fails.

        Integers may have any length. A symbol is stored by its name: its SymPy assumptions are not.

        Args:
            path: the file to write; ``linvar.load_polynomial`` reads it back.

        Raises:
            OSError: the file cannot be written.

        >>> import tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     BatchPolynomial([0, 18]).save(os.path.join(folder, "variance.json"))
        ...     load_polynomial(os.path.join(folder, "variance.json"))
        18 u    (u = 1/b, degree 1)
        """
        polynomial_file.save(self.to_dict(), path)

    @classmethod
    def load(cls, path: Any) -> BatchPolynomial:
        """Read a polynomial written by ``save``; nothing in the file is evaluated as code.

        Raises:
            InputError: (also an ``OSError``) the file cannot be read, is no regular file or too long; or it is damaged,
                or no saved polynomial.
        """
        return polynomial_file.load(path, cls.from_dict)

    def __reduce__(self) -> tuple[Callable[..., BatchPolynomial], _Kept]:
        return _restore, (terms_of(self._elements), self.symbols, self.sampling, self.dataset_size, self.degree_bound)


@door
def load_polynomial(path: Any) -> BatchPolynomial:
    """Read a polynomial written by ``BatchPolynomial.save``.

    Args:
        path: a file written by ``save``.

    Raises:
        InputError: (also an ``OSError``) the file cannot be read, is no regular file or too long; or it is damaged, or no
            saved polynomial.

    >>> load_polynomial("no such file.json")
    Traceback (most recent call last):
    linvar.text_files.MissingFileError: polynomial file 'no such file.json' does not exist: give the path of a file
    """
    return BatchPolynomial.load(path)


def _trimmed(elements: list[Element]) -> list[Element]:
    """Without zeros at the end, but for one."""
    while len(elements) > 1 and not elements[-1]:
        elements.pop()
    return elements


def _restore(
    terms: Terms, symbols: tuple[sympy.Expr, ...], sampling: str, dataset_size: int | None, degree_bound: int
) -> BatchPolynomial:
    """Undo ``__reduce__``."""
    ring = Ring(0, symbols)
    return BatchPolynomial(
        elements_of(terms, ring), ring=ring, sampling=sampling, dataset_size=dataset_size, degree_bound=degree_bound
    )
