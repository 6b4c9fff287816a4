"""Normal examples at a random scale: Student's t, and contaminated normal laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.exact import Rational
from linvar.keywords import door
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import Law, Number, ReadTable, show
from linvar.laws.probabilities import checked_probabilities, positive_numbers
from linvar.plain_data import Plain, ProblemFileError, built, check_keys, plain, read_number, read_vector


@dataclass(frozen=True, init=False)
class ScaleMixture(Law):
    """A Gaussian law at a random scale s: x = mean + s g and y = teacher x + s e, g and e normal.

    g ~ N(0, covariance), e ~ N(0, noise_variance I), and one s for the whole example, independent of both. With
    ``degrees_of_freedom`` nu, s^2 = nu / chi^2_nu: x is multivariate t, its covariance that of the Gaussian law times
    nu / (nu - 2), and only moments of degree below nu exist. With ``scales`` and ``probabilities`` s is one of these: a
    contaminated normal law. Batches are independent draws (iid).

    Args:
        law: the Gaussian law at scale 1, without symbols.
        degrees_of_freedom: nu > 0, an integer.
        scales: positive numbers, the values of s.
        probabilities: of each, positive, of sum 1.

    Raises:
        InputTypeError: ``law`` is no ``Gaussian``, or an entry is no exact number.
        InputError: both or none of the two kinds of scale are given, or a number is out of range.

    >>> ScaleMixture(Gaussian([[1, 2]]), degrees_of_freedom=13)
    ScaleMixture(Gaussian(teacher=[[1, 2]]), degrees_of_freedom=13)
    >>> ScaleMixture(Gaussian([[1, 2]]), scales=[1, 3], probabilities=["9/10", "1/10"])
    ScaleMixture(Gaussian(teacher=[[1, 2]]), scales=[1, 3], probabilities=["9/10", "1/10"])
    """

    law: Gaussian
    degrees_of_freedom: int | None
    scales: tuple[Rational, ...]
    probabilities: tuple[Rational, ...]

    kind = "scale_mixture"
    keys = ("law", "degrees_of_freedom", "scales", "probabilities")

    @door
    def __init__(
        self, law: Gaussian, *, degrees_of_freedom: int | None = None, scales: Any = None, probabilities: Any = None
    ) -> None:
        if not isinstance(law, Gaussian):
            raise InputTypeError("law", law, "give linvar.Gaussian(...), the law at scale 1")
        if law.symbols:
            raise InputError("law", law, "put numbers in", fault="has symbols")
        if (degrees_of_freedom is None) == (scales is None) or (scales is None) != (probabilities is None):
            given = [
                name
                for name, value in (
                    ("degrees_of_freedom", degrees_of_freedom),
                    ("scales", scales),
                    ("probabilities", probabilities),
                )
                if value is not None
            ]
            fault = Words(f"got {' and '.join(given) or 'no scale'}")
            raise InputError("ScaleMixture", fault, "give degrees_of_freedom=, or scales= with probabilities=")
        values: tuple[Rational, ...] = ()
        chances: tuple[Rational, ...] = ()
        if scales is not None:
            values = positive_numbers(scales, "scales", "give a list of numbers")
            chances = checked_probabilities(probabilities, len(values), "scales")
        if degrees_of_freedom is not None:
            degrees_of_freedom = check_integer(degrees_of_freedom, "degrees_of_freedom", "give an integer, > 0")
            if degrees_of_freedom < 1:
                raise InputError("degrees_of_freedom", degrees_of_freedom, "give an integer, > 0", "is not positive")
        parts = {"law": law, "degrees_of_freedom": degrees_of_freedom, "scales": values, "probabilities": chances}
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        if self.degrees_of_freedom is not None:
            return f"ScaleMixture({self.law!r}, degrees_of_freedom={shown(self.degrees_of_freedom)})"
        return f"ScaleMixture({self.law!r}, scales={show(self.scales)}, probabilities={show(self.probabilities)})"

    @property
    def input_width(self) -> int:
        """d_0."""
        return self.law.input_width

    @property
    def target_width(self) -> int:
        """d_L."""
        return self.law.target_width

    def fitted(self, ends: tuple[int, int] | None) -> ScaleMixture:
        """The Gaussian law in a problem, at the same scale."""
        return self._of(self.law.fitted(ends))

    def with_constant(self) -> ScaleMixture:
        """An input of mean 1 and variance 0, which no scale moves."""
        return self._of(self.law.with_constant())

    def _of(self, law: Gaussian) -> ScaleMixture:
        """Another Gaussian law at the same scale."""
        scales, chances = self.scales or None, self.probabilities or None
        return ScaleMixture(law, degrees_of_freedom=self.degrees_of_freedom, scales=scales, probabilities=chances)

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The shape of the teacher."""
        return self.law.misfit(inputs, outputs)

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """Those of the Gaussian law, the scales and their probabilities."""
        scales = (Number("scales", scale, positive=True) for scale in self.scales)
        chances = (Number("probabilities", chance, positive=True) for chance in self.probabilities)
        return (*self.law.numbers_to_vary(), *scales, *chances)

    def with_numbers(self, values: Sequence[Rational]) -> ScaleMixture:
        """Another Gaussian law and other scales, of probabilities in the proportions of the last numbers."""
        own, many = len(self.law.numbers_to_vary()), len(self.scales)
        law, scales, shares = self.law.with_numbers(values[:own]), values[own : own + many], values[own + many :]
        if not scales:
            return ScaleMixture(law, degrees_of_freedom=self.degrees_of_freedom)
        return ScaleMixture(law, scales=scales, probabilities=[share / sum(shares) for share in shares])

    def to_dict(self) -> dict[str, Plain]:
        """The Gaussian law, and the scale."""
        start: dict[str, Plain] = {"kind": self.kind, "law": self.law.to_dict()}
        if self.degrees_of_freedom is not None:
            return {**start, "degrees_of_freedom": self.degrees_of_freedom}
        return {**start, "scales": plain(self.scales), "probabilities": plain(self.probabilities)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """The Gaussian law, and the scale."""
        check_keys(data, "law.", ("kind", *cls.keys), ("law",))
        inner = data["law"]
        if not isinstance(inner, dict) or inner.get("kind") != Gaussian.kind:
            raise ProblemFileError("law.law", Words("is no Gaussian law"), 'write {"kind": "gaussian", "teacher": ...}')
        base = Gaussian.from_dict(inner, table)
        further: dict[str, Any] = {
            key: read_vector(data[key], f"law.{key}") for key in ("scales", "probabilities") if key in data
        }
        if "degrees_of_freedom" in data:
            degrees = read_number(data["degrees_of_freedom"], "law.degrees_of_freedom")
            further["degrees_of_freedom"] = int(degrees) if degrees.denominator == 1 else degrees
        return built(lambda: cls(base, **further), "law.", cls.keys)  # type: ignore[arg-type]  # refused there


_: type[Law] = ScaleMixture
