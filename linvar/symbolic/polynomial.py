"""BatchPolynomial: an exact polynomial in u = 1/b, the result of every exact derivation.

Coefficients live in python-flint: elements of a ring in the problem's symbols (none of them for a numeric problem),
so that an answer of 60,000 terms adds, compares and saves without ever becoming a SymPy expression. SymPy objects
are made when ``coefficients``, ``poly`` or ``latex`` are asked for, and kept.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from flint import fmpq

from linvar.exact import Exact, Rational, exact, parse_rational
from linvar.symbolic import display, monotone
from linvar.symbolic.ring import Element, Ring, to_exact, to_fmpq, to_rational

_FORMAT = "linvar polynomial 1"


class BatchPolynomial:
    """An exact polynomial in u = 1/b, b the mini-batch size.

    Args:
        coefficients: of u^0, u^1, ...: exact numbers, or SymPy expressions polynomial in their symbols (with
            ``ring=``, elements of that ring).
        sampling: "iid" or "without_replacement": under which sampling it was derived.
        dataset_size: n, where the law is a data set.
        degree_bound: a bound on the degree known in advance; the degree itself if None.
        ring: a ``Ring`` without variables, if the coefficients are its elements.

    Without replacement the polynomial has a meaning at b = 1..n only. Results of different samplings or data set
    sizes do not mix in arithmetic.

    >>> p = BatchPolynomial([0, 18, "1/2"])
    >>> p
    18 u + 1/2 u^2    (u = 1/b, degree 2)
    >>> p(2), p.degree, p.coefficients
    (73/8, 2, (0, 18, 1/2))
    """

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
            values = [exact(value, f"coefficients[{k}]") for k, value in enumerate(coefficients)]
            from linvar.exact import free_symbols

            ring = Ring(0, free_symbols(values))
            elements = [ring.lift(value) for value in values]
        else:
            elements = list(coefficients)
        while len(elements) > 1 and not elements[-1]:
            elements.pop()
        if sampling not in ("iid", "without_replacement"):
            raise ValueError(f"sampling={sampling!r} is unknown: write 'iid' or 'without_replacement'")
        if sampling == "without_replacement" and dataset_size is None:
            raise ValueError("sampling='without_replacement' needs dataset_size=, the number of examples n")
        self._elements: tuple[Element, ...] = tuple(elements) or (ring.zero,)
        self._ring = ring
        self.sampling = sampling
        self.dataset_size = dataset_size
        self.degree_bound = self.degree if degree_bound is None else degree_bound

    @property
    def degree(self) -> int:
        """Degree in 1/b; 0 for the zero polynomial."""
        return len(self._elements) - 1

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The SymPy symbols the coefficients may contain, sorted by name."""
        return self._ring.symbols

    @property
    def terms(self) -> int:
        """Number of monomials in u and the symbols."""
        return sum(len(element) for element in self._elements)

    @cached_property
    def coefficients(self) -> tuple[Exact, ...]:
        """Coefficients of 1, 1/b, 1/b^2, ...: exact numbers whose str is "p/q", SymPy expressions with symbols."""
        return tuple(to_exact(element, self.symbols) for element in self._elements)

    @property
    def _numbers(self) -> list[fmpq]:
        """Coefficients as rationals; refused when symbols occur."""
        if any(not element.is_constant() for element in self._elements):
            names = ", ".join(symbol.name for symbol in self.symbols)
            raise ValueError(f"the polynomial contains the symbols {names}: substitute numbers first, subs({{...}})")
        return [element.leading_coefficient() if element else fmpq(0) for element in self._elements]

    # values

    def __call__(self, batch_size: Any) -> Any:
        """Exact value at b.

        Args:
            batch_size: b, an integer >= 1 (<= n without replacement); or a list, tuple, range or integer array.

        Returns:
            An exact number (a SymPy expression with symbols); for a sequence, a list of them, one for each b.

        Raises:
            TypeError: b is not an integer. ValueError: b is out of range.
        """
        if isinstance(batch_size, (list, tuple, range)) or getattr(batch_size, "ndim", 0) == 1:
            return [self(one) for one in batch_size]
        b = self._check_batch_size(batch_size)
        total = self._ring.zero
        for element in reversed(self._elements):
            total = total * fmpq(1, b) + element
        return to_exact(total, self.symbols)

    def _check_batch_size(self, batch_size: Any) -> int:
        """b as an int, in range."""
        try:
            if isinstance(batch_size, bool):
                raise TypeError
            b = operator.index(batch_size)
        except TypeError:
            raise TypeError(f"batch_size={batch_size!r} is a {type(batch_size).__name__}: give an integer >= 1") from None
        if b < 1:
            raise ValueError(f"batch_size={b}: a batch has at least 1 example")
        if self.sampling == "without_replacement" and self.dataset_size is not None and b > self.dataset_size:
            raise ValueError(
                f"batch_size={b}, but the data set has {self.dataset_size} examples: without replacement give at most "
                f"{self.dataset_size}"
            )
        return b

    def subs(self, values: Mapping[Any, Any]) -> BatchPolynomial:
        """Substitute exact numbers or polynomial expressions for symbols (given as symbols or by name).

        >>> import sympy
        >>> a = sympy.Symbol("a")
        >>> BatchPolynomial([a, a**2 / 2]).subs({"a": "1/3"})
        1/3 + 1/18 u    (u = 1/b, degree 1)
        """
        from linvar.exact import free_symbols

        by_name = {symbol.name: symbol for symbol in self.symbols}
        images: dict[Any, Exact] = {symbol: symbol for symbol in self.symbols}
        for key, value in values.items():
            name = key if isinstance(key, str) else getattr(key, "name", repr(key))
            if name not in by_name or (not isinstance(key, str) and by_name[name] != key):
                known = ", ".join(by_name) or "none"
                raise ValueError(f"subs got {key!r}: the symbols of this polynomial are {known}")
            images[by_name[name]] = exact(value, name)
        ring = Ring(0, free_symbols(images.values()))
        lifted = [ring.lift(images[symbol]) for symbol in self.symbols]
        if lifted:
            elements = [element.compose(*lifted, ctx=ring.context) for element in self._elements]
        else:
            elements = list(self._elements)
        return self._like(elements, ring, self.degree_bound)

    def to_jax(self) -> Callable[..., Any]:
        """A jitted function of b (an array), and of the symbols as keywords, from arrays of coefficients.

        Floating point: float32 unless JAX runs with 64 bits (``with jax.enable_x64(True):``), and subject to
        cancellation where coefficients of opposite sign nearly cancel. Differentiable in b and in the symbols.

        Raises:
            OverflowError: a coefficient is too large for float64 (when converting), or for the dtype JAX uses
                (when called).

        >>> float(BatchPolynomial([0, 18]).to_jax()(4))
        4.5
        """
        from linvar.symbolic.jax_function import to_jax

        return to_jax([list(element.terms()) for element in self._elements], [s.name for s in self.symbols])

    def decreasing_from(self) -> int | None:
        """b_0: the smallest batch size from which the value is strictly decreasing over the integers. Exact.

        p(1/b) > p(1/(b+1)) for every b >= b_0; without replacement over b = b_0..n, with b_0 < n. Decided by
        certified isolation of the real roots of the derivative and comparison of exact values, never by floats.

        Returns:
            b_0, or None if there is none: the zero polynomial, a constant, or one that ends up increasing in b
            (a variance is never of that kind unless it is identically zero).

        Raises:
            ValueError: symbols occur; substitute numbers first.

        >>> BatchPolynomial([0, 1]).decreasing_from()
        1
        >>> BatchPolynomial([0, 1, -2]).decreasing_from()  # 1/b - 2/b^2: -1, 0, 1/9, 1/8, 3/25, 1/9, ...
        4
        """
        size = self.dataset_size if self.sampling == "without_replacement" else None
        return monotone.decreasing_from(self._numbers, size)

    # display

    @cached_property
    def poly(self) -> Any:
        """The SymPy Poly in u = 1/b; its generator is the Symbol ``u`` (``u_`` if the problem has a symbol u)."""
        import sympy

        taken = {symbol.name for symbol in self.symbols}
        name = "u"
        while name in taken:
            name += "_"
        values = [display.to_sympy(value) for value in self.coefficients]
        return sympy.Poly(values[::-1], sympy.Symbol(name))

    def __repr__(self) -> str:
        return display.text(self)

    def latex(self) -> str:
        """The whole polynomial as LaTeX, in powers of 1/b."""
        return display.latex(self, None)

    def _repr_latex_(self) -> str:
        """LaTeX for notebooks, elided when long."""
        return f"$\\displaystyle {display.latex(self, display.NOTEBOOK_TERMS)}$"

    # arithmetic

    def _like(self, elements: list[Element], ring: Ring, degree_bound: int) -> BatchPolynomial:
        """A polynomial of the same sampling."""
        return BatchPolynomial(
            elements, ring=ring, sampling=self.sampling, dataset_size=self.dataset_size, degree_bound=degree_bound
        )

    def _same_ring(self, other: Any) -> tuple[list[Element], list[Element], Ring, int] | None:
        """Both operands in one ring, and the other's degree bound; None if ``other`` is no exact scalar."""
        if isinstance(other, BatchPolynomial):
            theirs, bound = other, other.degree_bound
            if (other.sampling, other.dataset_size) != (self.sampling, self.dataset_size):
                raise ValueError(
                    f"one polynomial is for {display.sampling(self)}, the other for {display.sampling(other)}: "
                    f"they do not mix"
                )
        else:
            try:
                theirs, bound = BatchPolynomial([exact(other, "operand")]), 0
            except (TypeError, ValueError):
                return None
        if self.symbols == theirs.symbols:
            return list(self._elements), list(theirs._elements), self._ring, bound
        from linvar.exact import free_symbols

        ring = Ring(0, free_symbols([*self.symbols, *theirs.symbols]))
        return _move(self, ring), _move(theirs, ring), ring, bound

    def __add__(self, other: Any) -> BatchPolynomial:
        pair = self._same_ring(other)
        if pair is None:
            return NotImplemented
        ours, theirs, ring, bound = pair
        length = max(len(ours), len(theirs))
        padded = [values + [ring.zero] * (length - len(values)) for values in (ours, theirs)]
        return self._like([a + b for a, b in zip(*padded)], ring, max(self.degree_bound, bound))

    __radd__ = __add__

    def __neg__(self) -> BatchPolynomial:
        return self._like([-element for element in self._elements], self._ring, self.degree_bound)

    def __sub__(self, other: Any) -> BatchPolynomial:
        if self._same_ring(other) is None:
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: Any) -> BatchPolynomial:
        return (-self) + other

    def __mul__(self, other: Any) -> BatchPolynomial:
        pair = self._same_ring(other)
        if pair is None:
            return NotImplemented
        ours, theirs, ring, bound = pair
        result = [ring.zero] * (len(ours) + len(theirs) - 1)
        for i, a in enumerate(ours):
            for j, b in enumerate(theirs):
                if a and b:
                    result[i + j] = result[i + j] + a * b
        return self._like(result, ring, self.degree_bound + bound)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> BatchPolynomial:
        if isinstance(exponent, bool) or not isinstance(exponent, int) or exponent < 0:
            raise ValueError(f"exponent={exponent!r}: give an integer >= 0")
        result = self._like([self._ring.one], self._ring, 0)
        for _ in range(exponent):
            result = result * self
        return result

    def __truediv__(self, other: Any) -> BatchPolynomial:
        try:
            divisor = exact(other, "divisor")
        except (TypeError, ValueError):
            return NotImplemented
        if not isinstance(divisor, Rational):
            return NotImplemented
        if divisor == 0:
            raise ZeroDivisionError("a BatchPolynomial divided by 0")
        inverse = 1 / to_fmpq(divisor)
        return self._like([element * inverse for element in self._elements], self._ring, self.degree_bound)

    def __bool__(self) -> bool:
        """False for the zero polynomial."""
        return any(bool(element) for element in self._elements)

    def __eq__(self, other: object) -> bool:
        """The same polynomial, under the same sampling (a number equals a constant polynomial)."""
        if isinstance(other, BatchPolynomial) and (other.sampling, other.dataset_size) != (self.sampling, self.dataset_size):
            return False
        pair = self._same_ring(other)
        if pair is None:
            return NotImplemented
        ours, theirs, _, _ = pair
        return len(ours) == len(theirs) and all(bool(a == b) for a, b in zip(ours, theirs))

    @cached_property
    def _hash(self) -> int:
        """Of the terms by symbol name: equal polynomials in different rings hash alike."""
        if self.degree == 0 and self._elements[0].is_constant():
            return hash(to_exact(self._elements[0], self.symbols))
        names = [symbol.name for symbol in self.symbols]
        parts = []
        for k, element in enumerate(self._elements):
            for exponents, coefficient in element.terms():
                used = frozenset((name, int(power)) for name, power in zip(names, exponents) if power)
                parts.append((k, used, to_rational(coefficient)))
        return hash(frozenset(parts))

    def __hash__(self) -> int:
        return self._hash

    # storage

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, for JSON: with symbols a coefficient is a list of [exponents, "p/q"]."""
        if self.symbols:
            coefficients: list[Any] = [
                [[list(map(int, exponents)), str(to_rational(c))] for exponents, c in element.terms()]
                for element in self._elements
            ]
        else:
            coefficients = [str(value) for value in self.coefficients]
        return {
            "format": _FORMAT,
            "coefficients": coefficients,
            "symbols": [symbol.name for symbol in self.symbols],
            "sampling": self.sampling,
            "dataset_size": self.dataset_size,
            "degree_bound": self.degree_bound,
        }

    @classmethod
    def from_dict(cls, data: Any) -> BatchPolynomial:
        """The inverse of ``to_dict``; symbols come back without assumptions. Nothing in it is evaluated as code."""
        expected = {"format", "coefficients", "symbols", "sampling", "dataset_size", "degree_bound"}
        if not isinstance(data, dict) or data.get("format") != _FORMAT or set(data) != expected:
            raise ValueError(f"not a saved BatchPolynomial: an object with the keys {', '.join(sorted(expected))} is expected")
        names, size, bound = data["symbols"], data["dataset_size"], data["degree_bound"]
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)):
            raise ValueError(f"symbols={names!r}: a list of different names is expected")
        for key, value in (("dataset_size", size), ("degree_bound", bound)):
            if not (type(value) is int and value >= 0) and not (key == "dataset_size" and value is None):
                raise ValueError(f"{key}={value!r}: an integer >= 0 is expected")
        rows = data["coefficients"]
        if not isinstance(rows, list) or not rows:
            raise ValueError("coefficients: a list is expected, ascending in powers of 1/b")
        symbols: tuple[Any, ...] = ()
        if names:
            import sympy

            symbols = tuple(sympy.Symbol(name) for name in names)
        ring = Ring(0, symbols)
        elements = [_read_coefficient(row, ring, f"coefficients[{k}]") for k, row in enumerate(rows)]
        return cls(elements, ring=ring, sampling=data["sampling"], dataset_size=size, degree_bound=bound)

    def save(self, path: Any) -> None:
        """Write the polynomial as JSON (atomically); ``linvar.load_polynomial`` reads it back."""
        from linvar.atomic import write_atomically

        write_atomically(path, json.dumps(self.to_dict()) + "\n")

    @classmethod
    def load(cls, path: Any) -> BatchPolynomial:
        """Read a polynomial written by ``save``; a damaged or foreign file is refused."""
        with open(path, encoding="utf-8") as file:
            try:
                data = json.load(file)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path} is not a saved BatchPolynomial: {error}") from None
        try:
            return cls.from_dict(data)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        terms = [
            [(tuple(map(int, key)), to_rational(c)) for key, c in element.terms()] for element in self._elements
        ]
        return _restore, (terms, self.symbols, self.sampling, self.dataset_size, self.degree_bound)


def load_polynomial(path: Any) -> BatchPolynomial:
    """Read a polynomial written by ``BatchPolynomial.save``."""
    return BatchPolynomial.load(path)


def _restore(terms: Any, symbols: Any, sampling: str, dataset_size: int | None, degree_bound: int) -> BatchPolynomial:
    """Undo ``__reduce__``."""
    ring = Ring(0, symbols)
    elements = [ring.from_terms(dict(element)) for element in terms]
    return BatchPolynomial(
        elements, ring=ring, sampling=sampling, dataset_size=dataset_size, degree_bound=degree_bound
    )


def _read_coefficient(row: Any, ring: Ring, name: str) -> Element:
    """One coefficient of ``to_dict``, checked."""
    if not ring.symbols:
        if not isinstance(row, str):
            raise ValueError(f'{name}={row!r}: a string "p/q" is expected')
        return ring.lift(parse_rational(row, name))
    terms = {}
    for term in row if isinstance(row, list) else [None]:
        valid = isinstance(term, list) and len(term) == 2 and isinstance(term[0], list) and isinstance(term[1], str)
        if not valid or len(term[0]) != len(ring.symbols) or not all(type(e) is int and 0 <= e < 2**31 for e in term[0]):
            raise ValueError(f'{name}: a list of [exponents, "p/q"] is expected, one exponent for each symbol')
        terms[tuple(term[0])] = parse_rational(term[1], name)
    return ring.from_terms(terms)


def _move(polynomial: BatchPolynomial, ring: Ring) -> list[Element]:
    """The elements in a ring with more symbols."""
    places: Sequence[int] = [ring.symbols.index(symbol) for symbol in polynomial.symbols]
    moved = []
    for element in polynomial._elements:
        terms = {}
        for exponents, coefficient in element.terms():
            key = [0] * len(ring.symbols)
            for place, power in zip(places, exponents):
                key[place] = int(power)
            terms[tuple(key)] = coefficient
        moved.append(ring.from_terms(terms))
    return moved
