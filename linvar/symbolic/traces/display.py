"""A formula in traces as LaTeX and in words: one of its coefficients, term by term, or the whole of it in a few equations.

At t = 0 the whole is its terms; at t = 1, where there are thousands, the equations of ``nodes``, from which all of them follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational
from linvar.symbolic.traces.names import Name, Names
from linvar.symbolic.traces.network import Powers
from linvar.symbolic.traces.nodes import Line, Nodes
from linvar.symbolic.traces.script import Script
from linvar.symbolic.traces.statement import Statement

if TYPE_CHECKING:
    from linvar.symbolic.traces.formula import Power

#: symbols of a line of LaTeX, characters of one in a terminal
_LATEX_WIDTH, _TERMINAL_WIDTH = 70, 110
#: characters of LaTeX that a coefficient may have unasked, and that a notebook shows
LONGEST, _NOTEBOOK = 10_000, 4_000


class Readable(Protocol):
    """What is read of a formula."""

    _statement: Statement

    @property
    def parameters(self) -> tuple[str, ...]: ...

    @property
    def degree(self) -> int: ...

    @property
    def scale(self) -> Rational: ...

    def coefficient(self, k: int) -> Mapping[Power, Mapping[tuple[Name, ...], int]]: ...


class Reading:
    """How a ``TraceFormula`` is read: a base class of it."""

    def to_latex(
        self: Readable, k: int | None = None, alpha: int | Powers | None = None, *, longest: int = LONGEST
    ) -> str:
        r"""The formula as LaTeX: as a whole, or the coefficient of (1/b)^k, or of (1/b)^k alpha^j.

        A trace is \operatorname{tr}(...); \langle ... \rangle is the expectation over a batch, in the whole only. Letters are
        those of ``letters``, transposed by ^{\top}: E, P, K, H, Z for two layers, E, W_{1}, ..., W_{L}, Z for others, with
        \widetilde{W}_{1} for W_1 Sigma^{1/2}. d_{0} is the number of inputs, \alpha the learning rate, and r what is kept of the
        weights; of several parameters \alpha_{l} and r_{l}. In the coefficients of the loss is its factor 1/2, ``scale``.

        The whole is, at t = 0, all terms. At t = 1 it is the step in matrices and the expectation over its batch, with what each
        letter is: about ten equations, exact whatever the formula's order, from which all terms follow.

        Args:
            k: the power of 1/b; the whole if None.
            alpha: j, the power of the learning rate; of several parameters a tuple (``parameters``). All powers if None.
            longest: characters of LaTeX that a coefficient may have.

        Returns:
            LaTeX for mathematics; an ``aligned`` environment where it has more than one line.

        Raises:
            InputTypeError, InputError: k or alpha is no power, or beyond the formula's order; the coefficient is longer.

        >>> import linvar as lv
        >>> print(lv.trace_formula(depth=1, step=0).to_latex(1))
        \operatorname{tr}(E E^{\top}) + d_{0} \operatorname{tr}(E E^{\top})
        >>> print(lv.trace_formula(quantity="loss").to_latex(0, alpha=1))
        -\operatorname{tr}(E E^{\top} H) - \operatorname{tr}(E K E^{\top})
        >>> lv.trace_formula().to_latex(1, alpha=7)
        '0'
        """
        script = Script(True, self._statement.network, _LATEX_WIDTH)
        check_integer(longest, "longest")
        if k is None:
            return _environment(_whole(self, script, alpha))
        lines = script.broken(_coefficient(self, script, k, alpha))
        text = lines[0] if len(lines) == 1 else _environment([("", lines)])
        if len(text) > longest:
            several = "" if alpha is not None else "one power of the learning rate, alpha=j, or "
            fault = f"has {len(text):,} characters of LaTeX, more than longest={longest}"
            raise InputError("k", k, f"give {several}longest={len(text)}", fault=fault)
        return text

    def text(self: Readable, k: int | None = None, alpha: int | Powers | None = None) -> str:
        """The same for a terminal, in lines of no more than about 110 characters; of any length.

        Raises:
            InputTypeError, InputError: as in ``to_latex``.

        >>> import linvar as lv
        >>> print(lv.trace_formula(step=0, covariance="general").text(1))
        tr(E K E^T) + tr(E Z E^T H) + tr(K) tr(E E^T) + tr(Z) tr(E E^T H)
        """
        script = Script(False, self._statement.network, _TERMINAL_WIDTH)
        lines = (
            _whole(self, script, alpha) if k is None else [("", script.broken(_coefficient(self, script, k, alpha)))]
        )
        return "\n".join(f"{left} = " * bool(left) + "\n    ".join(right) for left, right in lines)

    def _repr_latex_(self: Readable) -> str:
        """LaTeX for notebooks: the whole, or what it is where that is long."""
        found = Reading.to_latex(self)
        words = str(self._statement).replace("^", " to the power ")
        return f"$\\displaystyle {found}$" if len(found) <= _NOTEBOOK else rf"$\text{{{words}}}$"


def _coefficient(formula: Readable, script: Script, k: int, alpha: int | Powers | None) -> list[str]:
    """The signed terms of a coefficient: of one monomial in the parameters, or of all."""
    parts = formula.coefficient(k)
    if alpha is not None:
        return _products(formula, script, parts.get(_power(formula, alpha), {}))
    pieces = []
    for power, products in parts.items():
        powers = (power,) if isinstance(power, int) else power
        monomial = script.monomial(dict(zip(formula.parameters, powers)))
        pieces += script.grouped(monomial, _products(formula, script, products))
    return pieces


def _products(formula: Readable, script: Script, products: Mapping[tuple[Name, ...], int]) -> list[str]:
    return [script.signed(c * formula.scale, script.traces(words)) for words, c in products.items()]


def _power(formula: Readable, alpha: int | Powers) -> Power:
    """A power as the keys of ``coefficient`` are."""
    names = formula.parameters
    cure = (
        "give an integer >= 0"
        if len(names) == 1
        else f"give a tuple of {len(names)} integers, the powers of {', '.join(names)}"
    )
    row = alpha if isinstance(alpha, tuple) else (alpha,)
    if isinstance(alpha, tuple) != (len(names) > 1) or len(row) != len(names):
        raise InputTypeError("alpha", alpha, cure, fault="is not the power of each parameter")
    powers = tuple(check_integer(one, "alpha") for one in row)
    if min(powers) < 0:
        raise InputError("alpha", alpha, cure, fault="is negative")
    return powers if len(powers) > 1 else powers[0]


def _whole(formula: Readable, script: Script, alpha: object) -> list[Line]:
    """The equations of the whole formula, their right sides in lines."""
    if alpha is not None:
        raise InputError("alpha", alpha, "give k, the power of 1/b, too", fault="is of no coefficient")
    order = formula._statement.order
    equations = [_letters(script), *(_step(formula, script) if formula._statement.step else _start(formula, script))]
    if order is not None:
        words = "of which this formula has the powers of 1/b up to"
        equations.append(("", [script.either(rf"\text{{{words} }} {order}", f"{words} {order}")]))
    return [(left, script.broken(right)) for left, right in equations]


def _start(formula: Readable, script: Script) -> list[Line]:
    """At t = 0: all terms, by powers of 1/b."""
    pieces = []
    for k in range(formula.degree + 1):
        pieces += script.grouped(script.inverse(k), _coefficient(formula, script, k, None))
    lines = [(_symbol(formula, script), pieces)]
    if not script.network.white:
        words = "label noise of variance v: within a trace E E^T stands for E E^T + v 1"
        noise = r"\text{label noise of variance } v \text{: within a trace } E E^{\top} \text{ stands for } E E^{\top} + v 1"
        lines.append(("", [script.either(noise, words)]))
    return lines


def _step(formula: Readable, script: Script) -> list[Line]:
    """At t = 1: the batch of the step, and the equations of ``nodes``."""
    statement, names = formula._statement, formula.parameters
    rates = tuple(name for name in names if name.startswith("alpha"))
    each = statement.depth // len(rates)
    nodes = Nodes(statement, script, rates * each, names[len(rates) :] * each)
    moment, mean = _norms(statement, script)
    second = [(moment, nodes.second_moment())]
    first = [*nodes.means(), (mean, nodes.squared_mean())]
    parts: dict[str, list[Line]] = {
        "variance": [*second, *first, (_symbol(formula, script), [f"+ {moment}", f"- {mean}"])],
        "second_moment": second,
        "squared_mean": first,
        "loss": [(_symbol(formula, script), [script.signed(formula.scale, nodes.doubled_loss())])],
    }
    return [*_batch(script), *nodes.step(), *parts[statement.quantity]]


def _batch(script: Script) -> list[Line]:
    """The second moment S of the batch of the step, and R."""
    total = script.either(r"\frac{1}{b} \sum_{i=1}^{b} g_{i} g_{i}^{\top}", "(1/b) sum_i g_i g_i^T")
    normal = script.either(r"g_{i} \sim \mathcal{N}(0, 1)", "g_i ~ N(0, 1)")
    inputs = script.either("x_{i} = g_{i}", "x_i = g_i")
    if not script.network.white:
        inputs = script.either(r"x_{i} = \Sigma^{1/2} g_{i}", "x_i = Sigma^{1/2} g_i")
    expected = script.either(r"\langle \cdot \rangle \text{ the expectation over } S", "<.> the expectation over S")
    lines = [("S", _listed(script, [f"+ {total}", normal, inputs, expected])), ("R", [f"+ {script.word(('E', 'S'))}"])]
    return lines if script.network.white else [*lines, _noise(script)]


def _noise(script: Script) -> Line:
    """How label noise enters the equations of a step: g has one coordinate more for each output."""
    two = script.network.depth == 2
    to, wide = script.either(r"\to", "->"), script.letter("P" if two else "W1")
    padded = script.either(r"\begin{{bmatrix}} {0} & 0 \\ 0 & 0 \end{{bmatrix}}", "blockdiag({0}, 0)")
    words = script.either(r"\text{label noise of variance } v \text{:} \quad", "label noise of variance v:")
    parts = [f"{words} E {to} [E, -v^{{1/2}} 1]", f"{wide} {to} [{wide}, 0]"]
    return "", _listed(script, [*parts, *(f"{gram} {to} {padded.format(gram)}" for gram in ("K" * two, "Z") if gram)])


def _letters(script: Script) -> Line:
    """What the letters stand for."""
    known = Names(script.network).letters.items()
    parts = [
        f"{script.letter(name)} = {script.meaning(meaning)}"
        for name, meaning in known
        if name != meaning.replace("_", "")
    ]
    left, _, first = parts[0].partition(" = ")
    return left, _listed(script, [f"+ {first}", *parts[1:]])


def _listed(script: Script, parts: list[str]) -> list[str]:
    """Parts of a line with commas between them."""
    space = script.either(r"\quad ", "")
    return [f"{space * (i > 0)}{part}{',' * (i + 1 < len(parts))}" for i, part in enumerate(parts)]


def _norms(statement: Statement, script: Script) -> tuple[str, str]:
    """E ||G||^2 and ||E G||^2, of all layers or of one."""
    layer = "" if len(statement.layers) == statement.depth else str(statement.layers[0] + 1)
    gradient = "G" + (script.either(f"_{{{layer}}}", f"_{layer}") if layer else "")
    moment = script.either(rf"\mathbb{{E}} \lVert {gradient} \rVert^{{2}}", f"E||{gradient}||^2")
    return moment, script.either(rf"\lVert \mathbb{{E}} {gradient} \rVert^{{2}}", f"||E {gradient}||^2")


def _symbol(formula: Readable, script: Script) -> str:
    """What the formula is of."""
    moment, mean = _norms(formula._statement, script)
    return {
        "variance": script.either(r"\operatorname{var}", "var"),
        "second_moment": moment,
        "squared_mean": mean,
        "loss": script.either(r"\mathbb{E}\, \ell", "E loss"),
    }[formula._statement.quantity]


def _environment(lines: list[Line]) -> str:
    """Equations in lines, aligned at their signs of equality."""
    rows = []
    for left, (first, *rest) in lines:
        rows.append(f"{left} &= {first}" if left else f"& {first}")
        rows += [rf"& \quad {line}" for line in rest]
    body = " \\\\\n".join(rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"
