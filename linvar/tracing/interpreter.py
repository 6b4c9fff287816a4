"""A jaxpr, equation by equation, over entries of any ring (``values.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from linvar.errors import Words
from linvar.tracing import arithmetic, indexing, movement, windows
from linvar.tracing.degrees import Degrees, cure_for, subject
from linvar.tracing.values import CURE, Entries, NotPolynomialError, constant, known, settled

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr

_RULES = {**arithmetic.RULES, **movement.RULES, **indexing.RULES, **windows.RULES}

#: primitives that run a jaxpr once, and the parameter it stands in
_CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "remat": "jaxpr",
    "remat2": "jaxpr", "checkpoint": "jaxpr",
}  # fmt: skip
#: the same, for functions whose derivative their author wrote
_OWN_DERIVATIVES = {
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
}  # fmt: skip

_RANDOM = (
    "draws random numbers",
    "draw them beforehand, or let the law of the examples hold them (linvar.Independent)",
)
_WORDS = {
    "while": ("runs a loop whose length is not fixed (while_loop)", "use lax.scan or lax.fori_loop with fixed bounds"),
    "random_seed": _RANDOM, "random_wrap": _RANDOM, "random_unwrap": _RANDOM, "random_bits": _RANDOM,
    "random_split": _RANDOM, "random_fold_in": _RANDOM, "random_gamma": _RANDOM, "threefry2x32": _RANDOM,
    "rng_bit_generator": _RANDOM, "rng_uniform": _RANDOM,
}  # fmt: skip


def _scan_counts(params: Any) -> tuple[int, int]:
    """How many inputs of a loop are the same in every step, and how many are carried on."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()  # since JAX 0.12
    return len(constants), len(carry)


@dataclass
class Interpreter:
    """Runs jaxprs; keeps the names of the functions it is in, for messages."""

    within: list[str] = field(default_factory=list)

    def constants(self, closed: ClosedJaxpr) -> list[Entries]:
        """What a jaxpr closes over; one that is open has none."""
        values = getattr(closed, "consts", ())
        variables = closed.jaxpr.constvars if values else ()
        return [self._constant(value, variable) for variable, value in zip(variables, values)]

    def evaluate(self, jaxpr: Jaxpr, constants: Sequence[Entries], arguments: Sequence[Entries]) -> list[Entries]:
        """The outputs of a jaxpr."""
        from jax.extend.core import Literal

        known_as: dict[Any, Entries] = dict(zip(jaxpr.constvars, constants))
        known_as |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Entries:
            return self._constant(atom.val, atom) if isinstance(atom, Literal) else known_as[atom]

        for equation in jaxpr.eqns:
            outputs = self._equation(equation, [read(atom) for atom in equation.invars])
            known_as |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _constant(self, value: Any, atom: Any) -> Entries:
        """A constant, in the type that it has there."""
        try:
            return constant(value, atom.aval.dtype)
        except NotPolynomialError as error:
            raise error.inside(self._here) from None

    def _equation(self, equation: Any, inputs: list[Entries]) -> list[Entries]:
        """The outputs of one equation."""
        name, params = equation.primitive.name, equation.params
        if name in _CALLS:
            return self._inside(params.get("name", ""), params[_CALLS[name]], inputs)
        if name in _OWN_DERIVATIVES:
            found = self._inside(params.get("name", ""), params[_OWN_DERIVATIVES[name]], inputs)
            self._check_derivative(
                inputs
            )  # the derivative may not be zero where the value does not depend on the weights
            return found
        if name == "stop_gradient":
            self._check_derivative(inputs)
            return inputs
        if name == "scan":
            return self._scan(params, inputs)
        if name == "cond":
            return self._branch(params["branches"], inputs)
        rule = _RULES.get(name)
        if rule is None:
            own = params.get("_prim")  # since JAX 0.12 some functions are primitives of their own
            self._no_rule(name if own is None else type(own).__name__, inputs)
        try:
            found = rule(equation, inputs)
            return [settled(array, variable.aval.dtype) for array, variable in zip(found, equation.outvars)]
        except NotPolynomialError as error:
            raise error.inside(self._here) from None

    def _check_derivative(self, values: Sequence[Entries]) -> None:
        """Values whose derivative is not that of a polynomial are numbers, without one."""
        if any(isinstance(entry, Degrees) and entry.weights > 0 for array in values for entry in array.flat):
            cure = "linvar differentiates the loss itself: write it without stop_gradient, custom_jvp and custom_vjp"
            self._refuse("stops or replaces a derivative (stop_gradient, custom_jvp, custom_vjp)", cure)

    def _no_rule(self, name: str, inputs: list[Entries]) -> NoReturn:
        """What is done with no polynomial, and with numbers not exactly."""
        if name in _WORDS:
            self._refuse(*_WORDS[name])
        if not all(map(known, inputs)):
            self._refuse(f"applies {name} to {subject(inputs)}")
        cure = "compute it beforehand, round it openly (linvar.rationalize), and give it as a column of the data"
        self._refuse(f"applies {name} to a number of the example or a constant", cure)

    def _inside(self, name: str, jaxpr: Any, inputs: list[Entries]) -> list[Entries]:
        """A call, of a jaxpr that is closed or has no constants."""
        self.within.append(name)
        found = self.evaluate(getattr(jaxpr, "jaxpr", jaxpr), self.constants(jaxpr), inputs)
        self.within.pop()
        return found

    def _scan(self, params: Any, inputs: list[Entries]) -> list[Entries]:
        """A loop of a fixed length."""
        first, carried = _scan_counts(params)
        constants, carry = inputs[:first], inputs[first : first + carried]
        sequences, length = inputs[first + carried :], params["length"]
        steps = range(length - 1, -1, -1) if params["reverse"] else range(length)
        collected: dict[int, list[Entries]] = {}
        for step in steps:
            found = self._inside(
                "scan",
                params["jaxpr"],
                [*constants, *carry, *(x[step : step + 1].reshape(x.shape[1:]) for x in sequences)],
            )
            carry, collected[step] = found[:carried], found[carried:]
        outputs = [aval.shape for aval in params["jaxpr"].out_avals[carried:]]
        return [
            *carry,
            *(movement.stacked([collected[s][k] for s in range(length)], shape) for k, shape in enumerate(outputs)),
        ]

    def _branch(self, branches: Sequence[ClosedJaxpr], inputs: list[Entries]) -> list[Entries]:
        """The branch that a known index names."""
        index, *operands = inputs
        if not known(index):
            self._refuse(f"branches on {subject([index])} (cond, switch)", cure_for([index]))
        return self._inside("", branches[min(max(int(index[()]), 0), len(branches) - 1)], operands)

    @property
    def _here(self) -> str:
        """The innermost function with a name that its author gave it."""
        return next((name for name in reversed(self.within) if name and name[0] not in "_<"), "")

    def _refuse(self, fault: str, cure: str = CURE) -> NoReturn:
        """With the function that it is in."""
        raise NotPolynomialError("loss", Words(fault), cure).inside(self._here)
