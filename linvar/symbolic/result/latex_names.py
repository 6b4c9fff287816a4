"""LaTeX of symbols: SymPy's where that is right, and one that compiles and cannot be mistaken for another everywhere else.

SymPy writes w1_11 as w_{111}, T_1_11 and T_11_1 both as T_{111}, words in italics as if their letters were factors, and
passes names such as ``50%`` or ``W^{(1)}`` on as they are. What it writes is kept where ``is_safe`` finds it well formed and
no other symbol is written alike, words upright; otherwise the name itself is set, character by character.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

#: entries of symbolic_weights, and of symbolic_matrix from ten rows or columns on: name, layer, row, column
_ENTRY = re.compile(
    r"(?P<name>.*[^\d_])(?:(?P<layer>\d+)_(?:(?P<i>\d)(?P<j>\d)|(?P<k>\d+)_(?P<l>\d+))|_(?P<m>\d+)_(?P<n>\d+))"
)
#: a name that is no LaTeX of the user's own
_PLAIN = re.compile(r"\w+'*")
_SCRIPT = re.compile(r"([_^]\{[^{}]*\})")
_TOKEN = re.compile(r"\\[A-Za-z]+|.", re.DOTALL)
_ACCENTS = {
    "hat", "bar", "tilde", "dot", "ddot", "vec", "check", "breve", "acute", "grave", "mathring", "overline",
    "underline", "mathrm", "mathbf", "mathit", "mathsf", "mathcal", "mathbb", "mathfrak", "boldsymbol",
}  # fmt: skip
_LETTERS = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "pi", "varpi", "rho", "varrho", "sigma", "varsigma", "tau", "upsilon", "phi",
    "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi",
    "Psi", "Omega", "ell", "hbar", "prime", "star", "ast", "top", "dagger", "ddagger", "perp", "infty", "partial",
    "circ", "bullet", "times", "cdot",
}  # fmt: skip
#: what is no letter, digit or accent; in mathematics, so that KaTeX, MathJax and TeX agree
_ESCAPES = {"\\": r"\backslash ", "^": r"{\wedge}", "~": r"{\sim}", " ": r"\ ", **{c: rf"\{c}" for c in "%$#{}&_"}}


def latex_names(symbols: Sequence[Any]) -> list[str]:
    r"""LaTeX of each symbol, all different.

    >>> import sympy
    >>> latex_names(sympy.symbols("w1_12 T_11_1 sigma2 W^{(1)}"))
    ['w^{(1)}_{1,2}', 'T_{11,1}', '\\sigma_{2}', 'W^{(1)}']
    >>> latex_names([sympy.Symbol("50%"), sympy.Symbol("x1"), sympy.Symbol("x_1")])
    ['\\mathrm{50\\%}', '\\mathrm{x1}', '\\mathrm{x\\_1}']
    """
    if not symbols:
        return []
    names = [_usual(symbol) for symbol in symbols]
    counts = Counter(names)
    return [name if name and counts[name] == 1 else _set_out(str(symbol)) for name, symbol in zip(names, symbols)]


def batch_size_name(names: Sequence[str]) -> str:
    """LaTeX of the batch size: b, or b_batch where a symbol is written b."""
    name = "b"
    while name in names:
        name = r"b_{\mathrm{batch}}" if name == "b" else f"{name}'"
    return name


def raised(name: str, exponent: int) -> str:
    """LaTeX of a power of what is written ``name``."""
    return f"{{{name}}}^{{{exponent}}}" if "^" in name or "'" in name else f"{name}^{{{exponent}}}"


def _usual(symbol: Any) -> str:
    """SymPy's LaTeX, or that of an entry of a symbolic matrix; "" if it does not compile."""
    import sympy

    if not isinstance(symbol, sympy.Symbol):
        text = str(sympy.latex(symbol))
    elif (entry := _ENTRY.fullmatch(symbol.name)) is None:
        text = _with_words(symbol.name)
    else:
        base = _with_words(entry["name"])
        layer = f"^{{({entry['layer']})}}" if entry["layer"] else ""
        row, column = (next(filter(None, entry.group(*pair))) for pair in (("i", "k", "m"), ("j", "l", "n")))
        text = f"{f'{{{base}}}' if set(base) & set('^_') else base}{layer}_{{{row},{column}}}"
    return text if is_safe(text) else ""


def _with_words(name: str) -> str:
    r"""SymPy's LaTeX of a symbol of this name, words upright and indices separated by commas.

    >>> [_with_words(name) for name in ("learning_rate", "w_t_1", "theta_hat", "delta_ij", "xbar_train")]
    ['\\mathrm{learning}_{\\mathrm{rate}}', 'w_{t,1}', '\\theta_{\\mathrm{hat}}', '\\delta_{ij}', '\\bar{x}_{\\mathrm{train}}']
    """
    import sympy

    text = str(sympy.latex(sympy.Symbol(name)))
    if not _PLAIN.fullmatch(name):
        return text
    parts = _SCRIPT.split(text)  # every second is an index or an exponent
    parts[::2] = [_upright(part, 2) for part in parts[::2]]
    parts[1::2] = [_upright(part.replace(" ", ","), 3) for part in parts[1::2]]
    return "".join(parts)


def _upright(text: str, letters: int) -> str:
    """Runs of so many letters or more, but for commands, upright."""
    return re.sub(rf"(?<![\\A-Za-z])[A-Za-z]{{{letters},}}", lambda word: rf"\mathrm{{{word[0]}}}", text)


def is_safe(text: str) -> bool:
    r"""Whether LaTeX is of letters, digits, known commands, closed braces, and at most one index and exponent an atom.

    >>> [is_safe(text) for text in ("W^{(1)}", r"\hat{w}_1", "a^b^c", "{a", "50%", "_1", r"\nothing")]
    [True, True, False, False, False, False, False]
    """
    tokens = _TOKEN.findall(text)
    return bool(tokens) and _group_ends(tokens, 0) == len(tokens)


def _group_ends(tokens: list[str], start: int) -> int:
    """Where the atoms that begin here end (at a closing brace, or with the text); -1 if they are malformed."""
    at, scripts = start, {"^", "_"}  # an index needs an atom before it
    while at < len(tokens) and tokens[at] != "}":
        token = tokens[at]
        if token in ("^", "_"):
            if token in scripts:
                return -1
            scripts.add(token)
            at += 1
            if at == len(tokens) or tokens[at] in ("^", "_", "'") or tokens[at][1:] in _ACCENTS:
                return -1
        elif token == "'":
            if "^" in scripts:
                return -1
            at += 1
            continue
        elif token != " ":
            scripts = set()
        at = _atom_ends(tokens, at)
        if at < 0:
            return -1
    return at


def _atom_ends(tokens: list[str], at: int) -> int:
    """Behind one atom; -1 if it is none."""
    token = tokens[at]
    if token[1:] in _ACCENTS and token.startswith("\\"):
        at += 1
        return _atom_ends(tokens, at) if at < len(tokens) and tokens[at] == "{" else -1
    if token == "{":
        end = _group_ends(tokens, at + 1)
        return end + 1 if 0 <= end < len(tokens) else -1
    known = token[1:] in _LETTERS if len(token) > 1 else token.isalnum() or token in " ()[]|,.;:!?+-*/=<>@"
    return at + 1 if known else -1


def _set_out(name: str) -> str:
    """The name itself, upright."""
    return rf"\mathrm{{{''.join(_ESCAPES.get(character, character) for character in name)}}}"
