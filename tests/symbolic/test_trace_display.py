"""Formulas in traces as they are read: LaTeX that is well formed, that says what the terms say, and whose equations are exact."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

import pytest
from katex_faults import katex_faults
from latex_reader import Reader, Terms, equations, flat

import linvar as lv
from linvar import matrices
from linvar.flint import fmpq, fmpq_mpoly_ctx
from linvar.symbolic.traces.formula import TraceFormula, trace_formula

FORMULAS = [
    {}, {"covariance": "general", "order": 1}, {"step": 0}, {"step": 0, "covariance": "general"}, {"quantity": "loss"},
    {"quantity": "squared_mean"}, {"quantity": "second_moment", "covariance": "general", "layer_rates": True, "order": 1},
    {"order": 1, "layer_rates": True, "weight_decay": True, "covariance": "general"}, {"weight_decay": True, "order": 2},
    {"depth": 1, "covariance": "general"}, {"depth": 3, "step": 0}, {"depth": 3, "order": 0, "covariance": "general"},
    {"depth": 3, "quantity": "loss", "order": 1}, {"depth": 4, "step": 0, "covariance": "general", "quantity": "second_moment"},
]  # fmt: skip


@cache
def every() -> list[TraceFormula]:
    """Those, and the layers of the first."""
    return [*(trace_formula(**options) for options in FORMULAS), *trace_formula().per_leaf]


def every_latex() -> list[str]:
    """The whole and all coefficients of each."""
    return [formula.to_latex(k, longest=10**7) for formula in every() for k in (None, *range(formula.degree + 1))]


def fault(text: str) -> str:
    """What is not well formed in LaTeX; empty if nothing is."""
    depth, environments, big = 0, [], 0
    for token in re.findall(r"\\(?:begin|end)\{\w+\}|\\[A-Za-z]+|\\.|.", text, re.DOTALL):
        if token.startswith(r"\begin"):
            environments.append(token[7:-1])
        elif token.startswith(r"\end") and (not environments or environments.pop() != token[5:-1]):
            return "an environment ends that is not open"
        elif token in ("&", "\\\\") and not environments:
            return f"{token} outside of an environment"
        big += (token == r"\bigl") - (token == r"\bigr")
        depth += (token == "{") - (token == "}")
        if min(depth, big) < 0:
            return "a bracket closes that is not open"
    if depth or big or environments:
        return "something stays open"
    known = {"operatorname", "alpha", "top", "langle", "rangle", "frac", "bigl", "bigr", "quad", "text", "widetilde", "lVert",
             "rVert", "mathbb", "mathcal", "Sigma", "sum", "sim", "cdot", "to", "begin", "end", "ell"}  # fmt: skip
    return ", ".join(sorted(set(re.findall(r"\\([A-Za-z]+)", text)) - known))


def test_latex_of_a_trace_formula_is_well_formed() -> None:
    texts = every_latex()
    assert len(texts) > 60 and not list(filter(None, map(fault, texts)))


def test_that_check_can_fail() -> None:
    faulty = [
        r"\bigl( x",
        r"x \bigr)",
        "{x",
        "x}",
        r"\begin{aligned}",
        r"\end{aligned}",
        "x & y",
        r"x \\ y",
        r"\nothing",
    ]
    assert all(map(fault, faulty)) and not fault(r"\begin{aligned} \bigl(x^{2}\bigr) & y \\ z \end{aligned}")


def test_katex_renders_every_string() -> None:
    """With node and its package katex (NODE_PATH says where); without them skipped, and said so."""
    texts = [*every_latex(), *(formula._repr_latex_().strip("$") for formula in every()), r"\begin{aligned} x"]
    faults = katex_faults(texts)
    assert len(faults) == 1 and faults[0].endswith(r"\begin{aligned} x"), faults  # the last, so that a fault is seen


# terms


def terms_of(formula: TraceFormula, k: int, alpha: Any = None) -> Counter[Any]:
    """A coefficient's terms as ``Terms`` has them."""
    names = [
        re.sub(r"_(\d+)", r"_{\1}", name).replace("alpha", r"\alpha").replace("kept", "r")
        for name in formula.parameters
    ]
    found: Counter[Any] = Counter()
    for powers, products in formula.coefficient(k).items():
        row = (powers,) if isinstance(powers, int) else powers
        letters = (
            () if alpha is not None else tuple(sorted(name for name, power in zip(names, row) for _ in range(power)))
        )
        if alpha in (None, powers):
            found.update(
                {(letters, tuple(sorted(words)), ()): c * Fraction(formula.scale) for words, c in products.items()}
            )
    return found


@pytest.mark.parametrize("options", FORMULAS, ids=str)
def test_latex_reads_back_as_the_terms(options: dict[str, Any]) -> None:
    """Every coefficient by ==, and for the first formula of each power of the learning rate by itself."""
    formula = trace_formula(**options)
    for k in range(formula.degree + 1):
        text = flat(formula.to_latex(k, longest=10**7))
        assert text == "0" and not terms_of(formula, k) or Reader(text, Terms()).value() == terms_of(formula, k)
        for power in formula.coefficient(k) if len(formula.coefficient(k)) < 9 else ():
            read = Reader(flat(formula.to_latex(k, power, longest=10**7)), Terms()).value()
            assert read == terms_of(formula, k, power)


def test_a_term_less_is_seen() -> None:
    formula = trace_formula(step=0)
    text = formula.to_latex(1)
    assert Reader(text.replace("d_{0}", "2 d_{0}"), Terms()).value() != terms_of(formula, 1)
    assert Reader(text.replace(r"E K E^{\top}", r"E E^{\top}"), Terms()).value() != terms_of(formula, 1)


def plain(latex: str) -> str:
    """LaTeX as it is for a terminal."""
    for pattern, text in [
        (r"\\operatorname\{(\w+)\}", r"\1"), (r"\\big[lr]([()])", r"\1"), (r"\\frac\{(\w+)\}\{(\w+)\}", r"\1/\2"),
        (r"\\top", "T"), (r"\\alpha", "alpha"), (r"_\{(\d)\}", r"_\1"), (r"\^\{(\w+)\}", r"^\1"), (r"\br(_\d)?\b", r"kept\1"),
        (r"\\langle ", "<"), (r" \\rangle", ">"), (r"W_(\d)", r"W\1"), (r"\\widetilde\{W\}_", "W"), (r"\bX_(\d)", r"X\1"),
    ]:  # fmt: skip
        latex = re.sub(pattern, text, latex)
    return latex


@pytest.mark.parametrize("options", FORMULAS, ids=str)
def test_a_terminal_reads_the_same(options: dict[str, Any]) -> None:
    formula = trace_formula(**options)
    for k in range(formula.degree + 1):
        text = formula.text(k)
        assert " ".join(text.split()) == plain(flat(formula.to_latex(k, longest=10**7)))
        assert max(map(len, text.splitlines())) <= 114
    whole = dict(line.split(" = ", 1) for line in formula.text().replace("\n    ", " ").splitlines() if " = " in line)
    for left, right in equations(formula.to_latex()).items():
        if re.fullmatch(r"[EHKXYQR]'?|W_\{\d\}'|X_\{\d\}", left) and left != "E":
            assert whole[plain(left)] == plain(right)


# the equations


class Gaussian2:
    """Matrices over Q[u, t, s, q]: S = [[t^2, t s], [t s, s^2 + q]], by Bartlett the second moment of b vectors ~ N(0, 1) of two
    coordinates, with E t^2k = prod (1 + 2iu), E s^2k = (2k-1)!! u^k and E q^k = prod (1 + (2i-1)u), all independent."""

    context = fmpq_mpoly_ctx.get(("u", "t", "s", "q"), "lex")
    u, t, s, q = context.gens()

    def __init__(self, letters: dict[str, Any], parameters: dict[str, Any]) -> None:
        self.letters = {
            name: [[self.number(Fraction(x)) for x in row] for row in rows] for name, rows in letters.items()
        }
        self.letters["S"] = [[self.t**2, self.t * self.s], [self.t * self.s, self.s**2 + self.q]]
        self.parameters = parameters

    def number(self, value: Fraction) -> Any:
        return self.context.constant(fmpq(value.numerator, value.denominator))

    def inverse(self, k: int) -> Any:
        return self.u**k

    def parameter(self, text: str) -> Any:
        return self.number(Fraction(self.parameters[text]))

    def letter(self, text: str) -> Any:
        name, turned = text.removesuffix(r"^{\top}"), text.endswith(r"^{\top}")
        return matrices.transpose(self.letters[name]) if turned else self.letters[name]

    def plus(self, left: Any, right: Any) -> Any:
        return [[a + b for a, b in zip(*rows)] for rows in zip(left, right)] if isinstance(left, list) else left + right

    def times(self, left: Any, right: Any) -> Any:
        if isinstance(left, list) and isinstance(right, list):
            return matrices.product(left, right)
        if isinstance(right, list):
            return [[left * entry for entry in row] for row in right]
        return [[entry * right for entry in row] for row in left] if isinstance(left, list) else left * right

    def trace(self, value: Any) -> Any:
        return matrices.trace(value)

    def mean(self, value: Any) -> Any:
        if isinstance(value, list):
            return [[self.mean(entry) for entry in row] for row in value]
        total = self.context.constant(0)
        for (power, t, s, q), c in value.terms():
            assert t % 2 == s % 2
            if t % 2 == 0:
                chi = prod((1 + 2 * i * self.u for i in range(t // 2)), start=self.context.constant(c))
                normal = prod(range(1, s, 2)) * self.u ** (s // 2)
                total += self.u**power * chi * normal * prod((1 + (2 * i - 1) * self.u for i in range(q)), start=1)
        return total

    def solved(self, latex: str) -> list[Fraction]:
        """The coefficients of u^0, u^1, ... that the last of the equations says."""
        known: dict[str, Any] = {}
        for left, right in equations(latex).items():
            if "sum" in right or left == "E" or left.startswith(r"\widetilde{W}_{1}'") and "=" in right:
                continue
            if right in (f"{known_moment} - {known_mean}" for known_moment in known for known_mean in known):
                moment, _, mean = right.partition(" - ")
                value = known[moment] - known[mean]
            else:
                value = Reader(right, self).value()
            known[left] = value
            if re.fullmatch(r"(\\widetilde\{W\}|[A-Z])(_\{\d\})?'?", left):
                self.letters[left] = value
        found: Counter[int] = Counter()
        for (power, *others), c in value.terms():
            assert not any(others)
            found[int(power)] = Fraction(int(c.p), int(c.q))
        return [found[k] for k in range(max(found, default=0) + 1)]


ROOT = [[2, 1], [1, 3]]  # Sigma^{1/2}
IDENTITY = [[1, 0], [0, 1]]


def padded(rows: Any, like: list[int]) -> list[list[Any]]:
    """With zeros, in the shape given."""
    return [[rows[i][j] if i < len(rows) and j < len(rows[0]) else 0 for j in range(like[1])] for i in range(like[0])]


def whitened(weights: list[Any], teacher: Any, root: Any, noise: int = 0) -> dict[str, Any]:
    """The letters of a formula by what it says that they are; ``noise`` is the root of the noise's variance."""
    product, transpose = matrices.product, matrices.transpose
    first, whole = product(weights[0], root), product(teacher, root)
    total = first
    for weight in weights[1:]:
        total = product(weight, total)
    error = matrices.subtract(total, whole)
    if noise:
        error = [[*row, *(-noise * (i == j) for j in range(len(error)))] for i, row in enumerate(error)]
        first, total = padded(first, [len(first), 2]), padded(total, [len(total), 2])
    found = {"E": error, "Z": padded(product(root, root), [2, 2])}
    if len(weights) == 2:
        return found | {
            "P": total,
            "K": product(transpose(first), first),
            "H": product(weights[1], transpose(weights[1])),
        }
    name = "W_{1}" if root == IDENTITY else r"\widetilde{W}_{1}"
    return found | {name: first} | {f"W_{{{l}}}": weight for l, weight in enumerate(weights[1:], 2)}


NETWORKS = {
    1: ([[["1/2", -1]]], [[1, 3]]),
    2: ([[["1/2", -1], [2, 1]], [[1, -2]]], [[1, "1/3"]]),
    3: ([[["1/2", -1], [2, 1]], [[1, -2]], [[2], [-1]]], [[1, "1/3"], [0, 2]]),
}
QUANTITIES = {
    "variance": lv.gradient_variance, "second_moment": lv.second_moment, "squared_mean": lv.squared_mean,
    "loss": lv.expected_loss,
}  # fmt: skip


def fractions(rows: Any) -> list[list[Fraction]]:
    return [[Fraction(entry) for entry in row] for row in rows]


@pytest.mark.parametrize("root", [IDENTITY, ROOT], ids=["identity", "general"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_letters_are_what_the_first_line_says(depth: int, root: Any) -> None:
    """The definitions evaluated, too: the letters that the equations are tested with."""
    weights, teacher = ([fractions(one) for one in NETWORKS[depth][0]], fractions(NETWORKS[depth][1]))
    formula = trace_formula(depth, 0, covariance="identity" if root == IDENTITY else "general")
    plain = {f"W_{{{l}}}": weight for l, weight in enumerate(weights, 1)}
    algebra = Gaussian2(plain | {"W^{*}": teacher, r"\Sigma^{1/2}": root, r"\Sigma": matrices.product(root, root)}, {})
    line = f"E = {equations(formula.to_latex())['E']}"
    said = {
        left: Reader(right, algebra).value()
        for left, _, right in (one.partition(" = ") for one in line.split(r", \quad "))
    }
    expected = Gaussian2(whitened(weights, teacher, root), {}).letters
    assert {name: rows for name, rows in expected.items() if name in said} == said
    assert set(said) == {"E", *("PKH" if depth == 2 else ()), *(() if root == IDENTITY else ("Z",)), *(
        () if depth == 2 or root == IDENTITY else (r"\widetilde{W}_{1}",))}  # fmt: skip


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("root", [IDENTITY, ROOT], ids=["identity", "general"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("decay", [0, "1/5"])
def test_the_equations_are_exact(depth: int, root: Any, quantity: str, decay: Any) -> None:
    """Evaluated over the polynomials of an S of two coordinates: equal to the formula, and to a derivation without one."""
    weights, teacher = NETWORKS[depth]
    covariance = matrices.product(root, root)
    law = lv.Gaussian(teacher, covariance=covariance)
    problem = lv.Problem(weights, law, "1/10", 1, weight_decay=decay)
    name = "identity" if root == IDENTITY else "general"
    options = {"depth": depth, "quantity": quantity, "covariance": name, "weight_decay": bool(decay)}
    formula = trace_formula(**options, order=0 if depth == 3 else None)
    letters = whitened([fractions(weight) for weight in weights], fractions(teacher), root)
    kept = 1 - Fraction(1, 10) * Fraction(decay)
    found = Gaussian2(letters, {r"\alpha": Fraction(1, 10), "r": kept, "d_{0}": 2}).solved(formula.to_latex())
    exact = lv.BatchPolynomial(found)
    assert exact == QUANTITIES[quantity](problem) and exact != 0
    assert depth == 3 or formula(problem) == exact


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_equations_with_label_noise_are_exact(quantity: str, depth: int) -> None:
    """One input and one output: g has two coordinates."""
    weights = [[[[2]]], [[[2], [-1]], [[1, "1/2"]]], [[[2], [-1]], [[1, "1/2"]], [[-1]]]][depth - 1]
    problem = lv.Problem(weights, lv.Gaussian([[3]], covariance=[[4]], noise_variance=9), "1/10", 1)
    formula = trace_formula(depth, 1, quantity, 0 if depth == 3 else None, "general")
    letters = whitened([fractions(weight) for weight in weights], [[3]], [[2]], noise=3)
    found = Gaussian2(letters, {r"\alpha": Fraction(1, 10)}).solved(formula.to_latex())
    assert lv.BatchPolynomial(found) == QUANTITIES[quantity](problem)


@pytest.mark.parametrize("covariance", ["identity", "general"])
def test_the_equations_of_each_layer_with_rates_of_their_own(covariance: str) -> None:
    """Against the sum of the formula's terms, with matrices in place of the letters."""
    weights, teacher = NETWORKS[2]
    root = IDENTITY if covariance == "identity" else ROOT
    letters = whitened([fractions(weight) for weight in weights], fractions(teacher), root)
    formula = trace_formula(covariance=covariance, layer_rates=True, weight_decay=True, order=2)
    names = [r"\alpha_{1}", r"\alpha_{2}", "r_{1}", "r_{2}", "d_{0}"]
    parameters = dict(zip(names, map(Fraction, ["1/10", "-1/3", "7/8", "1/2", "2"])))
    for one in (formula, *formula.per_leaf):
        algebra = Gaussian2(letters, parameters)
        start = [Reader(flat(one.to_latex(k, longest=10**7)), algebra).value() for k in range(3)]
        expected = [
            Fraction(int(c.p), int(c.q)) for c in (value.coefficient(0) if len(value) else fmpq(0) for value in start)
        ]
        assert Gaussian2(letters, parameters).solved(one.to_latex())[:3] == expected and any(expected)


def test_a_wrong_sign_in_the_equations_is_seen() -> None:
    weights, teacher = NETWORKS[2]
    letters = whitened([fractions(weight) for weight in weights], fractions(teacher), IDENTITY)
    latex = trace_formula().to_latex()
    wrong = [
        latex.replace(r"- \alpha R K +", r"+ \alpha R K +"),
        latex.replace(r"2 \alpha \operatorname{tr}(X P", r"\operatorname{tr}(X P"),
        latex.replace(r"\frac{1}{b} d_{0}", r"\frac{1}{b^{2}} d_{0}"),
        latex.replace(r"\alpha P^{\top} R -", r"\alpha P^{\top} P -"),
    ]  # fmt: skip
    problem = lv.Problem(weights, lv.Gaussian(teacher), "1/10", 1)
    exact = lv.gradient_variance(problem)
    parameters = {r"\alpha": Fraction(1, 10), "d_{0}": 2}
    assert lv.BatchPolynomial(Gaussian2(letters, parameters).solved(latex)) == exact
    for text in wrong:
        assert text != latex and lv.BatchPolynomial(Gaussian2(letters, parameters).solved(text)) != exact


# what is refused, and what a notebook shows


def test_a_long_coefficient_is_refused_with_its_cure() -> None:
    formula = trace_formula()
    with pytest.raises(
        lv.InputError, match=r"k=1 has 12,\d+ characters of LaTeX, more than longest=10000: give one power"
    ) as error:
        formula.to_latex(1)
    length = int(re.findall(r"or longest=(\d+)", str(error.value))[0])
    assert len(formula.to_latex(1, longest=length)) == length
    with pytest.raises(lv.InputError, match=r"k=6 has [\d,]+ characters of LaTeX.*: give longest="):
        formula.to_latex(6, alpha=6)
    assert len(formula.to_latex(1, 1)) < 10_000


def test_powers_that_are_none_are_refused() -> None:
    formula, several = trace_formula(), trace_formula(layer_rates=True, order=1)
    for wrong, message in [
        ((1, -1), "alpha=-1 is negative: give an integer >= 0"), ((1, (0, 1)), r"alpha=\(0, 1\) is not the power of each"),
        ((1, 0.5), "alpha=0.5 is of type float"), ((-1,), "k=-1 is negative"),
        ((None, 1), "alpha=1 is of no coefficient: give k"),
        (("1",), "k='1' is of type str"),
    ]:  # fmt: skip
        for read in (formula.to_latex, formula.text):
            with pytest.raises(lv.InputError, match=message):
                read(*wrong)
    with pytest.raises(lv.InputError, match="give a tuple of 2 integers, the powers of alpha_1, alpha_2"):
        several.to_latex(1, 1)
    with pytest.raises(lv.InputError, match="k=2 is beyond this formula"):
        several.to_latex(2)
    with pytest.raises(lv.InputError, match="longest=1.5 is of type float"):
        formula.to_latex(1, longest=1.5)
    assert several.to_latex(1, (0, 9)) == "0" == formula.text(2, 0)


def test_a_notebook_shows_the_whole_or_what_it_is() -> None:
    for formula in every():
        shown = formula._repr_latex_()
        assert shown.startswith("$") and shown.endswith("$") and len(shown) < 4_100 and "\n" not in repr(formula)
        assert formula.to_latex() in shown
    deep = trace_formula(depth=14, step=0)
    assert deep._repr_latex_() == r"$\text{variance of 14 layers at t = 0, identity covariance}$"
