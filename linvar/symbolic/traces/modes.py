"""A formula where weights and teacher are aligned, simultaneously diagonal (``spectrum``), or multiples of isometries.

With W_l = s times an isometry of width n and the teacher c times their product there is one mode of multiplicity n, and a formula
is a polynomial in n, s, c.

**Proportional limit.** The coefficient of (1/b)^k has degree at most k + 1 in n, so that f/n at n/b = q has the limit
Q(q) = sum_k q^k [n^{k+1}] (coefficient of (1/b)^k) as n grows. Proof: a trace is n (of the identity d_0) times what does not
depend on n, and a term has at most 1 + (power of 1/b) of them. This holds of the words that the recursion starts from, tr Q M,
(1/b) tr Q M and (1/b) tr Q tr M, and every step of it keeps it: S becomes the identity, which changes nothing, or meets another
S, with 1/b, which cuts a trace in two, joins two to one or turns a part of one round. An open word has no closed trace at first
and gains them in the same way, and tr < G > X < G >^T makes one trace of two open words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.exact import Exact, Rational, Vector, exact, exact_vector, free_symbols
from linvar.keywords import door
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.result.truncated import LargeBatchExpansion
from linvar.symbolic.traces.derivation import Formula
from linvar.symbolic.traces.exact import evaluated, summed
from linvar.symbolic.traces.route import Route
from linvar.symbolic.traces.spectrum import Spectrum, Start

if TYPE_CHECKING:
    import sympy

_ZERO, _ONE = Rational(0), Rational(1)
T = TypeVar("T", bound="Sequence[Any]")


class Alignable(Protocol):
    """What is evaluated of a formula."""

    @property
    def depth(self) -> int: ...

    @property
    def step(self) -> int: ...

    @property
    def order(self) -> int | None: ...

    @property
    def covariance(self) -> str: ...

    @property
    def parameters(self) -> tuple[str, ...]: ...

    @property
    def scale(self) -> Rational: ...

    @property
    def terms(self) -> Formula: ...

    def route(self, widths: tuple[int, ...]) -> Route: ...


class Diagonalized:
    """A ``TraceFormula`` where everything is diagonal: a base class of it."""

    @door
    def aligned(
        self: Alignable,
        singular_values: Sequence[Sequence[Any]],
        teacher: Sequence[Any],
        *,
        inputs: Any = None,
        outputs: Any = None,
        covariance: Any = 1,
        noise_variance: Any = 0,
    ) -> BatchPolynomial | LargeBatchExpansion:
        """The formula for weights and a teacher that are diagonal in common bases (singular vectors): power sums over modes.

        Exact, the same as of the problem with diagonal matrices, but with sums over the modes in place of matrices: the widths
        may be large, or symbols. Singular values may have any sign.

        Args:
            singular_values: of each layer, W_1 first; numbers or SymPy expressions. Shorter lists go on with zeros.
            teacher: of the teacher; its zeros are modes to be forgotten.
            inputs, outputs: d_0 and d_L, numbers or SymPy symbols; as many as there are modes if None, and of symbols no fewer.
            covariance: a multiple of the identity, or Sigma's eigenvalues, one for each input. Only for ``covariance="general"``.
            noise_variance: v, of each coordinate of the target. Only for ``covariance="general"``.

        Returns:
            A ``BatchPolynomial`` in 1/b, or with ``order`` a ``LargeBatchExpansion``; its symbols are those given and one for
            each of ``parameters``: alpha, the learning rate.

        Raises:
            InputTypeError, InputError: an argument that is none of these, or that does not fit.

        >>> import sympy, linvar as lv
        >>> s, c = sympy.symbols("s c")
        >>> lv.trace_formula(depth=1, step=0).aligned([[s, 2]], [c, 2], inputs=5)
        (6 c^2 - 12 c*s + 6 s^2) u    (u = 1/b, degree 1)
        """
        layers = _layers(singular_values, self.depth)
        target = exact_vector(teacher, "teacher")
        varied = _is_list(covariance)
        sigma = exact_vector(covariance, "covariance") if varied else (exact(covariance, "covariance"),)
        modes = max(map(len, [*layers, target, *([sigma] if varied else [])]))
        several = len(sigma) if varied else modes
        d_0 = exact(several if inputs is None else inputs, "inputs")
        d_L = exact(modes if outputs is None else outputs, "outputs")
        _check_width("inputs", d_0, max(len(layers[0]), len(target)))
        _check_width("outputs", d_L, max(len(layers[-1]), len(target)))
        if varied and d_0 != several:
            raise InputError(
                "covariance", Words(f"has {several} eigenvalues for inputs={shown(d_0)}"), "give one for each input"
            )
        noise = exact(noise_variance, "noise_variance")
        start = Start(
            layers=tuple(_filled(layer, modes) for layer in layers),
            teacher=_filled(target, modes),
            sigma=_filled(sigma, modes) if varied else sigma * modes,
            noise=tuple(_ZERO if isinstance(d_L, Rational) and i >= d_L else noise for i in range(modes)),
            counts=(_ONE,) * modes,
            beyond=(_beyond(d_L, modes), noise),
            inputs=tuple((z, _ONE) for z in sigma) if varied else ((sigma[0], d_0),),
        )
        ring, values = _coefficients(self, start)
        if self.order is not None:
            return LargeBatchExpansion([*values, *[ring.zero] * (self.order + 1 - len(values))], ring=ring)
        return BatchPolynomial(values, ring=ring)

    @door
    def isotropic(
        self: Alignable,
        scales: Any = None,
        teacher: Any = None,
        width: Any = None,
        *,
        inputs: Any = None,
        covariance: Any = 1,
        noise_variance: Any = 0,
    ) -> sympy.Expr:
        """The formula where every W_l is a multiple of an isometry: W_1 = s O_1 [1 0], W_l = s O_l, teacher c O_L ... O_1 [1 0].

        All layers have the width n; O_l are orthogonal. Exact; a polynomial in n.

        Args:
            scales: s, or one for each layer, W_1 first; the SymPy symbol s if None.
            teacher: c; the symbol c if None. In e = s^L - c, the error, an answer is shorter: ``teacher=s**2 - e``.
            width: n; the symbol n if None.
            inputs: d_0 >= n; n if None.
            covariance: z, Sigma = z 1. Only for ``covariance="general"``.
            noise_variance: v, of each coordinate of the target. Only for ``covariance="general"``.

        Returns:
            A SymPy expression in ``linvar.u`` = 1/b, with a symbol for each of ``parameters`` (alpha) and those above: a sum over
            powers of u, with factored coefficients. All without assumptions; up to u^order for a formula that ends there.

        Raises:
            InputTypeError, InputError: an argument that is no exact number and no expression; or that has a symbol u in it.

        >>> import linvar as lv
        >>> lv.trace_formula(step=0).isotropic()
        2*n*s**2*u*(c - s**2)**2*(n + 1)
        """
        import sympy

        from linvar.symbolic.result.batch_size import u

        start = _isotropic(self, scales, teacher, _or_symbol(width, "n", "width"), inputs, covariance, noise_variance)
        ring, values = _coefficients(self, start)
        if "u" in map(str, ring.symbols):
            raise InputError("u", Words("is a symbol of an argument"), "rename it: the answer is in u = 1/b")
        return sympy.Add(*(_factored(value, ring) * u**k for k, value in enumerate(values)))

    @door
    def proportional_limit(
        self: Alignable,
        scales: Any = None,
        teacher: Any = None,
        *,
        aspect: Any = 1,
        covariance: Any = 1,
        noise_variance: Any = 0,
    ) -> sympy.Expr:
        """The limit of the isotropic formula (``isotropic``), divided by its width n, as n grows with n/b = q.

        lim f(n/q)/n = sum_k q^k [n^{k+1}] (coefficient of (1/b)^k), learning rate and scales fixed; it is finite since that
        coefficient has degree at most k + 1 in n, of every quantity (``linvar.symbolic.traces.modes`` has the proof).

        Args:
            scales, teacher, covariance, noise_variance: as in ``isotropic``, without n.
            aspect: d_0/n >= 1.

        Returns:
            A SymPy expression in the symbol q, with factored coefficients; up to q^order for a formula that ends there.

        Raises:
            InputTypeError, InputError: an argument that is no exact number and no expression, or that has n or q in it.

        >>> import linvar as lv
        >>> lv.trace_formula(step=0).proportional_limit()
        2*q*s**2*(c - s**2)**2
        """
        import sympy

        n, q = sympy.Symbol("n"), sympy.Symbol("q")
        ratio = exact(aspect, "aspect")
        if isinstance(ratio, Rational) and ratio < 1:
            raise InputError("aspect", ratio, "give d_0/n, >= 1", fault="is too small")
        start = _isotropic(self, scales, teacher, n, ratio * n, covariance, noise_variance)
        given = [*(row[0] for row in start.layers), start.teacher[0], ratio, start.sigma[0], start.noise[0]]
        for name in map(str, free_symbols(given)):
            if name in ("n", "q"):
                raise InputError(
                    name, Words("is a symbol of an argument"), "rename it: n grows, and the limit is in q = n/b"
                )
        ring, values = _coefficients(self, start)
        place = list(map(str, ring.symbols)).index("n")
        limit = []
        for k, value in enumerate(values):
            leading = {key[:place] + (0,) + key[place + 1 :]: c for key, c in value.terms() if key[place] == k + 1}
            limit.append(_factored(ring.from_terms(leading), ring) * q**k)
        return sympy.Add(*limit)


def _isotropic(
    formula: Alignable, scales: Any, teacher: Any, width: Exact, inputs: Any, covariance: Any, noise_variance: Any
) -> Start:
    """One mode of multiplicity n."""
    if _is_list(scales):
        layers = tuple((scale,) for scale in exact_vector(_of_layers(scales, formula.depth, "scales"), "scales"))
    else:
        layers = ((_or_symbol(scales, "s", "scales"),),) * formula.depth
    sigma, noise = exact(covariance, "covariance"), exact(noise_variance, "noise_variance")
    d_0 = width if inputs is None else exact(inputs, "inputs")
    _check_width("width", width, _ONE)
    if isinstance(d_0, Rational) and isinstance(width, Rational):
        _check_width("inputs", d_0, width)
    return Start(
        layers=layers, teacher=(_or_symbol(teacher, "c", "teacher"),), sigma=(sigma,), noise=(noise,), counts=(width,),
        beyond=(_ZERO, _ZERO), inputs=((sigma, d_0),),
    )  # fmt: skip


def _coefficients(formula: Alignable, start: Start) -> tuple[Ring, list[Element]]:
    """The coefficients of 1, 1/b, ..., over a ring with the symbols given and those of the parameters."""
    import sympy

    if formula.covariance == "identity":
        cure = 'use linvar.trace_formula(..., covariance="general")'
        for name, differs in (
            ("covariance", any(z != 1 for z in start.sigma)),
            ("noise_variance", any(v != 0 for v in start.noise)),
        ):
            if differs:
                raise InputError(name, Words("is given to a formula for the identity, without label noise"), cure)
    rates = [sympy.Symbol(name) for name in formula.parameters] if formula.step else []
    ring = Ring(0, free_symbols([*start.entries, *rates]))
    route = formula.route((1,) * (formula.depth + 1))
    found = evaluated(route, Spectrum(start, ring, route))
    return ring, summed(formula.terms, found, list(map(ring.lift, rates)), formula.scale, ring)


def _factored(element: Element, ring: Ring) -> sympy.Expr:
    """As a SymPy product of irreducible polynomials."""
    import sympy

    from linvar.expressions import to_expression

    if not element:
        return sympy.Integer(0)
    constant, factors = element.factor()
    number = sympy.Rational(int(constant.p), int(constant.q))
    return sympy.Mul(number, *(to_expression(factor.terms(), ring.symbols) ** int(power) for factor, power in factors))


# arguments


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _of_layers(values: T, depth: int, name: str) -> T:
    """A list with an entry for each layer."""
    if not _is_list(values) or len(values) != depth:
        fault, cure = "is no such list", f"give a list with an entry for each of {depth} layers, W_1 first"
        raise InputTypeError(name, values, cure, fault=fault)
    return values


def _layers(values: Any, depth: int) -> tuple[Vector, ...]:
    """The singular values of each layer."""
    name = "singular_values"
    layers = tuple(exact_vector(value, f"{name}[{l}]") for l, value in enumerate(_of_layers(values, depth, name)))
    for l, layer in enumerate(layers):
        if not layer:
            raise InputError(f"{name}[{l}]", Words("is empty"), "give at least one singular value")
    return layers


def _filled(values: Vector, length: int) -> Vector:
    """With zeros at the end."""
    return values + (_ZERO,) * (length - len(values))


def _or_symbol(value: Any, symbol: str, name: str) -> Exact:
    """An exact number or expression; a symbol if None."""
    import sympy

    return sympy.Symbol(symbol) if value is None else exact(value, name)


def _beyond(outputs: Exact, modes: int) -> Exact:
    """How many outputs are in no mode."""
    return Rational(max(0, int(outputs) - modes)) if isinstance(outputs, Rational) else outputs - modes


def _check_width(name: str, value: Exact, least: Exact) -> None:
    """A number of inputs or outputs, where it is a number."""
    if isinstance(value, Rational) and (value.denominator != 1 or value < least):
        raise InputError(name, value, f"give an integer >= {least}, or a symbol", fault="is no such width")
