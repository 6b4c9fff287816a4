"""Exact numbers as decimal digits: integers of any length, leading digits, and what ``format`` writes.

Integers go through python-flint where CPython refuses to print them (above 4,300 digits) or is quadratic.
"""

from __future__ import annotations

import re
from fractions import Fraction

from linvar.errors import InputError

#: the format specification of Python's numbers: ":>10", ":.4f", ":+.3e", ":,", ":012.2%"
_SPECIFICATION = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>=^]))?(?P<sign>[-+ ]?)(?P<unsigned_zero>z?)(?P<alternate>#?)(?P<zeros>0(?=[0-9]))?"
    r"(?P<width>[0-9]*)(?P<separator>[,_]?)(?:\.(?P<precision>[0-9]+))?(?P<kind>[eEfFgG%]?)",
    re.DOTALL,
)


def integer_to_str(value: int) -> str:
    """Decimal digits of an integer of any length."""
    if value.bit_length() < 10_000:
        return str(value)
    from linvar.flint import fmpz

    return fmpz(value).str()


def leading_digits(value: Fraction, count: int = 6) -> tuple[str, int]:
    """A nonzero number of any size as (m, e) with m 10^e = value, m cut after ``count`` digits; e = 0 where m is short.

    >>> leading_digits(Fraction(-2000, 3)), leading_digits(Fraction(10) ** 50)
    (('-666.666', 0), ('1.00000', 50))
    """
    p, q = abs(value.numerator), value.denominator
    exponent = leading_exponent(value)
    shift = count - 1 - exponent
    digits = str(p * 10**shift // q if shift >= 0 else p // (q * 10**-shift))
    if -4 <= exponent < count:
        digits = digits.rjust(count - min(exponent, 0), "0")
        point, exponent = max(exponent, 0) + 1, 0
    else:
        point = 1
    mantissa = f"{digits[:point]}.{digits[point:]}".rstrip(".")
    return ("-" if value < 0 else "") + mantissa, exponent


def leading_exponent(value: Fraction) -> int:
    """e with 10^e <= abs(value) < 10^(e+1), of a nonzero number."""
    p, q = abs(value.numerator), value.denominator
    exponent = (p.bit_length() - q.bit_length()) * 30103 // 100_000 - 1  # at most 2 too low
    while p >= q * 10 ** (exponent + 1) if exponent >= -1 else p * 10 ** -(exponent + 1) >= q:
        exponent += 1
    return exponent


def nearest(ratio: tuple[int, int], scale: int) -> int:
    """The integer nearest to a fraction times ``scale``, halves to even."""
    numerator, denominator = ratio
    whole, rest = divmod(numerator * scale, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


def formatted(value: Fraction, specification: str) -> str:
    """What ``format(value, specification)`` is: as a float is written, of any size, rounded once, halves to even.

    Without a letter at its end the number stays exact, p/q.

    >>> formatted(Fraction(2, 3), ".4f"), formatted(Fraction(10) ** 400 / 3, ".3e"), formatted(Fraction(1, 3), ">6")
    ('0.6667', '3.333e+399', '   1/3')
    """
    match = _SPECIFICATION.fullmatch(specification)
    exact = match is not None and not match["kind"]
    if (
        match is None
        or (exact and (match["precision"] or match["unsigned_zero"]))
        or (match["zeros"] and match["align"])
    ):
        cure = "give one of Python's for numbers, for instance '.4f', '.3e', 'g', '>10' or '.1%'"
        raise InputError("format", specification, cure, fault="is no format of a fraction")
    if exact:
        negative, whole = value < 0, integer_to_str(abs(value.numerator))
        tail = f"/{integer_to_str(value.denominator)}" if value.denominator > 1 or match["alternate"] else ""
    else:
        negative, whole, tail = _rounded(value, match["kind"], int(match["precision"] or 6), bool(match["alternate"]))
        negative &= not (match["unsigned_zero"] and not re.search("[1-9]", (whole + tail).lower().partition("e")[0]))
    sign = "-" if negative else match["sign"].strip("-")
    separator, width = match["separator"], int(match["width"] or 0)
    if match["zeros"]:
        room = width - len(sign) - len(tail)
        whole = whole.zfill(room * 3 // 4 + 1 if separator else room)
    if separator:
        first = 1 + (len(whole) - 1) % 3
        whole = separator.join([whole[:first], *(whole[at : at + 3] for at in range(first, len(whole), 3))])
    body = whole + tail
    padding = (match["fill"] or " ") * (width - len(sign) - len(body))
    half = len(padding) // 2
    before, within, behind = {
        "<": ("", "", padding), "=": ("", padding, ""), "^": (padding[:half], "", padding[half:]),
    }.get(match["align"], (padding, "", ""))  # fmt: skip
    return before + sign + within + body + behind


def _rounded(value: Fraction, kind: str, precision: int, alternate: bool) -> tuple[bool, str, str]:
    """(is negative, digits before the point, the rest) of a number rounded for a letter of a format."""
    size, lower = abs(value), kind.lower()
    if lower in "f%":
        suffix, places = kind.strip("fF"), precision
        digits = integer_to_str(_nearest_multiple(size, precision + 2 * (kind == "%")))
    else:
        figures = precision + 1 if lower == "e" else max(precision, 1)
        exponent = leading_exponent(size) if size else 0
        significand = _nearest_multiple(size, figures - 1 - exponent)
        if significand == 10**figures:
            significand, exponent = significand // 10, exponent + 1
        scientific = lower == "e" or not -4 <= exponent < figures
        places = figures - 1 if scientific else figures - 1 - exponent
        suffix = f"{'e' if kind.islower() else 'E'}{exponent:+03d}" if scientific else ""
        digits = integer_to_str(significand)
    digits = digits.zfill(places + 1)
    whole, behind = digits[: len(digits) - places], digits[len(digits) - places :]
    if lower == "g" and not alternate:
        behind = behind.rstrip("0")
    return value < 0, whole, f".{behind}{suffix}" if behind or alternate else suffix


def _nearest_multiple(value: Fraction, power: int) -> int:
    """The integer nearest to value 10^power."""
    return nearest((value.numerator, value.denominator * 10 ** max(-power, 0)), 10 ** max(power, 0))
