"""Road (b): run SGD itself on a lattice of integer batch moments, modulo many primes.

A polynomial F of degree <= D is fixed by its values at the lattice points x >= 0, |x| <= D of its variables, so

    E F = sum_x F(x) omega_x(u),                    (1) of proofs/lattice.md

with weights that depend on the law alone (``moments``). Nothing is expanded: the steps of SGD are executed, as they
stand in ``update`` and ``models``, on arrays of nodes modulo a prime (``modular``), the last step is contracted with its weights
first, then the one before. Residues modulo enough primes give the exact fractions (``reconstruction``), which three further
primes confirm: a wrong one passes with probability below 2^-65. Numeric problems only. Blocks of nodes keep memory bounded;
several devices share the nodes of step 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import prod
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from linvar.errors import InputError
from linvar.exact import Rational
from linvar.progress import Progress, say_nothing
from linvar.symbolic.algebra.ring import Element, to_fmpq
from linvar.symbolic.roads.lattice.checkpoint import Checkpoint, problem_key
from linvar.symbolic.roads.lattice.modular import PRIME_LIMIT, Modulus, Residue, matmul, reduce, residues_of
from linvar.symbolic.roads.lattice.moments import BatchLaw, Tables
from linvar.symbolic.roads.lattice.programs import called, once
from linvar.symbolic.roads.lattice.reconstruction import CHECKS, primes_below, reconstruct
from linvar.symbolic.roads.lattice.size import predict, step_degrees
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.questions import Question
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import State, Update

#: Nodes times primes in one call, where the grid is that small; so many arrays of a block are alive, about.
_BATCH = 2**17
#: Nodes times primes in a call, about: some seconds, after which progress is reported and an interrupt is heard.
_CALL = 2**26
_LIVE_ARRAYS = 64
_MOST_PRIMES_AT_ONCE = 16
_SUMMANDS = 2**14


class LatticeSum:
    """The integrator of a numeric problem: runs it on a lattice modulo primes, a grid for each question.

    Args:
        steps: of a problem in numbers.
        checkpoint, devices, block_bytes: as in ``Lattice``.

    Raises:
        InputError: the checkpoint is damaged or foreign.
    """

    def __init__(
        self,
        steps: Steps,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        devices: tuple[jax.Device, ...] | None = None,
        block_bytes: int = 2**25,
    ) -> None:
        self.steps = steps
        self.answers = answer_ring(())
        self.block_bytes = block_bytes
        self.checkpoint = Checkpoint(checkpoint, "" if checkpoint is None else problem_key(steps))
        self.devices = _exact_devices() if devices is None else devices

    def expectations(self, question: Question, report: Progress = say_nothing) -> list[Element]:
        """E of forms in the state: polynomials in u, exact; ``report`` hears of nodes times primes.

        Raises:
            ArithmeticError: residues of many more primes than expected do not fit together (one of them is wrong).
            InputError: so it is, and some of them are from the checkpoint.
        """
        with jax.enable_x64(True), jax.default_device(self.devices[0]):
            return _Grid(self, question).answer(report)


def _exact_devices() -> tuple[jax.Device, ...]:
    """Devices on which float64 is that of IEEE 754: a TPU makes do with pairs of float32."""
    found = jax.devices()
    return tuple(jax.devices("cpu") if found[0].platform == "tpu" else found)


class _Grid:
    """A question, asked of a problem: its nodes, and its residues modulo primes."""

    def __init__(self, whole: LatticeSum, question: Question) -> None:
        self.whole, self.steps, self.question = whole, whole.steps, question
        self.problem = self.steps.problem
        self.degree = question.degree(self.problem.degree)
        degrees = step_degrees(self.problem, self.degree)
        self.laws: list[BatchLaw] = []
        for step, order in zip(self.steps, degrees):
            law = BatchLaw(self.steps.law, step.features, order, self.problem.sampling, step.central)
            self.laws.append(law)
        self.nodes = prod(law.count for law in self.laws)

    # the whole answer

    def answer(self, report: Progress) -> list[Element]:
        """Residues for prime after prime, until they determine fractions that further primes confirm."""
        fixed = [value for value in self.folded.values if value is not None]
        if len(fixed) == self.count:
            return [self.whole.answers.lift(value) for value in fixed]
        estimate = predict(self.steps, self.degree).primes
        question = self.question.key()
        kept = self.whole.checkpoint.of(question, self.count * self.powers, self._denominators)
        known = dict(kept)
        primes = (p for p in self._primes() if p not in known)
        attempt, most = 1 + CHECKS, 8 * estimate + 64

        def advance(done: int) -> None:
            """So many nodes, times primes, of the call under way are done."""
            done += len(known) * self.nodes
            report(done, max(done, max(estimate, len(known) + 1) * self.nodes))

        while True:
            if len(known) >= attempt:
                numbers = reconstruct(known)
                if numbers is not None:
                    report(len(known) * self.nodes, len(known) * self.nodes)
                    return self._elements(numbers)
                attempt = len(known) + 1 + len(known) // 32
            if len(known) > most:
                self._refuse(len(known), estimate, len(kept))
            advance(0)
            new = self.residues(list(islice(primes, self._primes_at_once)), advance)
            self.whole.checkpoint.add(question, new)
            known |= new

    def _refuse(self, primes: int, estimate: int, kept: int) -> NoReturn:
        """Far more primes than there should be, some of them from a file."""
        many = f"{primes} primes do not fit together, where about {estimate} were expected: one of them is wrong"
        if kept:
            raise InputError(
                "checkpoint",
                self.whole.checkpoint.path,
                "delete the file and run it again",
                fault=f"holds {kept} of them, and the residues of {many}",
            )
        raise ArithmeticError(f"the residues of {many} (a fault of the machine, or a bug): run it again")

    def _elements(self, numbers: list[Rational]) -> list[Element]:
        """The polynomials with these coefficients."""
        rows = [numbers[i * self.powers : (i + 1) * self.powers] for i in range(self.count)]
        return [
            self.whole.answers.from_terms({(k,): to_fmpq(value) for k, value in enumerate(row) if value})
            for row in rows
        ]

    @cached_property
    def _denominators(self) -> list[int]:
        """The denominators of the input."""
        numbers = [
            *self.folded.constants,
            *(number for law in self.laws for part in law.numbers.values() for number in part),
        ]
        return sorted({number.denominator for number in numbers})

    def _primes(self) -> Iterator[int]:
        """Primes that divide none of them."""
        return primes_below(PRIME_LIMIT, self._denominators)

    # residues

    @cached_property
    def _primes_at_once(self) -> int:
        """Primes in one call: several where the grid and its moments are small."""
        largest = max(law.table_size for law in self.laws)
        return max(1, min(_MOST_PRIMES_AT_ONCE, _BATCH // self.nodes, 2**24 // max(1, largest)))

    def residues(
        self, primes: Sequence[int], advance: Callable[[int], object] = lambda done: None
    ) -> dict[int, list[int]]:
        """Every coefficient of every form modulo each prime; ``advance`` hears how many nodes are done, times primes."""
        scalars = np.array(primes, np.float64)
        table = residues_of(self.folded.constants, primes)
        weights = []
        for law, geometry in zip(self.laws, self._geometries):
            given = (scalars, law.arguments(primes), geometry)
            weights.append(called(("weights", law.kind, len(primes)), _for_each(law.weights, len(primes) > 1), given))
        nodes = [np.asarray(law.nodes.nodes.T, np.float64) for law in self.laws]
        key = ("sum", self.problem, self.question, self.whole.devices, tuple(self._chunks), len(primes))
        totals, count, size = np.zeros(1, np.int64), self.laws[0].count, self._slice
        for start in range(0, count, size):
            few = _filled(nodes[0], start, size), _filled(weights[0], start, size)
            arguments = (scalars, table, [few[0], *nodes[1:]], [few[1], *weights[1:]])
            parts = called(key, self._run, arguments)
            totals = totals + np.asarray(parts).astype(np.int64).sum(axis=0)
            advance(min(count, start + size) * (self.nodes // count) * len(primes))
        rows = totals.reshape(len(primes), self.count * self.powers)
        return {p: [int(x) % p for x in row] for p, row in zip(primes, rows)}

    @cached_property
    def _slice(self) -> int:
        """Nodes of step 0 in one call: a whole number of blocks for each device, all of them where that is quick."""
        blocks = self._chunks[0] * len(self.whole.devices)
        calls = max(1, self.nodes * self._primes_at_once // _CALL)
        return -(-self.laws[0].count // (calls * blocks)) * blocks

    @cached_property
    def _geometries(self) -> list[Tables]:
        """The index arrays of each step, on the device."""
        return [jax.device_put(law.geometry()) for law in self.laws]

    @cached_property
    def _chunks(self) -> list[int]:
        """Nodes of each step in a block: step 0 gets at least 64, the last steps come next."""
        room = max(1, self.whole.block_bytes // (8 * _LIVE_ARRAYS * self._primes_at_once))
        counts = [law.count for law in self.laws]
        sizes = [min(counts[0], 64, room)] + [1] * (len(counts) - 1)
        for s in [*reversed(range(1, len(counts))), 0]:
            others = prod(sizes) // sizes[s]
            size = max(1, min(counts[s], _SUMMANDS, room // others))
            sizes[s] = -(-counts[s] // -(-counts[s] // size))
        return sizes

    def _run(self, primes: jax.Array, table: jax.Array, nodes: list[jax.Array], weights: list[jax.Array]) -> jax.Array:
        """The residues of every device's share, shape (devices, primes, forms, powers of u)."""
        devices = self.whole.devices
        blocks = [
            _cut(array, size, len(devices) if s == 0 else 1) for s, (array, size) in enumerate(zip(nodes, self._chunks))
        ]
        shares = [
            _cut(array.swapaxes(1, 2), size, len(devices) if s == 0 else 1)
            for s, (array, size) in enumerate(zip(weights, self._chunks))
        ]

        places = {value: place for place, value in enumerate(self.folded.constants)}

        def every_prime(blocks: list[jax.Array], shares: list[jax.Array]) -> jax.Array:
            def one(prime: jax.Array, table: jax.Array, shares: list[jax.Array]) -> jax.Array:
                return self._integrate(Modulus(prime, table, places), blocks, shares)

            if len(primes) == 1:
                return one(primes[0], table[0], [share[0] for share in shares])[None, None]
            return jax.vmap(one)(primes, table, shares)[None]

        if len(devices) == 1:
            return every_prime(blocks, shares)
        mesh = Mesh(np.array(devices), ("nodes",))
        here, there = PartitionSpec("nodes"), PartitionSpec(None, "nodes")
        rest = len(blocks) - 1
        specs = ([here] + [PartitionSpec()] * rest, [there] + [PartitionSpec()] * rest)
        return jax.shard_map(every_prime, mesh=mesh, in_specs=specs, out_specs=here, check_vma=False)(blocks, shares)

    @property
    def folded(self) -> Folded:
        """What of the question is exact before any prime: kept for equal problems."""
        return once(("folded", self.problem, self.question), lambda: _folded(self.steps, self.question))

    @property
    def count(self) -> int:
        """The number of forms."""
        return len(self.folded.values)

    @property
    def powers(self) -> int:
        """Powers of u in an answer."""
        return sum(law.powers - 1 for law in self.laws) + 1

    def _integrate(self, ring: Modulus, blocks: list[jax.Array], shares: list[jax.Array]) -> jax.Array:
        """Coefficients of the forms' expectations, shape (forms, powers of u): (1) of proofs/lattice.md, step after step,

            E F(x_0, ..., x_{t-1}) = sum_{x_0} omega_{x_0} ( ... ( sum_{x_{t-1}} omega_{x_{t-1}} F ) ... ).

        Axis -(s+1) of every array belongs to the nodes of step s, so that those of step 0 are side by side in memory.
        """
        last = len(self.laws)

        def from_step(s: int, state: State[Residue]) -> list[jax.Array]:
            """(nodes of step s-1, forms, powers, nodes of step s-2, ..., nodes of step 0)."""
            if s == last:
                shape = tuple(reversed(self._chunks))
                forms = self.question.forms(LastStep(state, self.steps, ring))
                return [jnp.broadcast_to(form.values(), shape)[:, None, None] for form in forms]
            for matrix in (*state.weights, *state.momenta):
                for entry in (entry for row in matrix for entry in row):
                    entry.reduced()

            def contract(share: jax.Array, inner: jax.Array) -> jax.Array:
                product = matmul(share, inner.reshape(len(inner), -1), ring.prime)
                return product.reshape(len(share), *inner.shape[1:])

            def block(nodes: jax.Array, share: jax.Array) -> jax.Array:
                bound = max(1, self.laws[s].degree)
                variables = [ring.residue(row.reshape(row.shape + (1,) * s), bound) for row in nodes]
                inner = from_step(s + 1, _advance(self.steps, ring, state, s, variables))
                # the forms one by one: joined first, they are not vectorised
                contracted = [contract(share, forms) for forms in inner]
                return _multiply_powers(jnp.concatenate(contracted, axis=1), ring.prime)

            def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
                return reduce(total + block(*part), ring.prime), None

            if len(blocks[s]) == 1:
                result = block(blocks[s][0], shares[s][0])
            else:
                start = jax.eval_shape(block, blocks[s][0], shares[s][0])
                result, _ = lax.scan(add, jnp.zeros(start.shape), (blocks[s], shares[s]))
            return [jnp.moveaxis(result, 2, 0) if s else result]

        (found,) = from_step(0, Update(self.problem, ring).start())
        return found


@dataclass(frozen=True)
class Folded:
    """The forms of a question as far as they are exact, whatever the batches.

    Attributes:
        values: of each form, where it is constant.
        constants: numbers that are needed as residues, in the order in which the steps of SGD come to them.
    """

    values: tuple[Rational | None, ...]
    constants: tuple[Rational, ...]


def _folded(steps: Steps, question: Question) -> Folded:
    """One abstract pass of the steps of SGD, as ``_integrate`` makes them."""
    constants: dict[Rational, int] = {}
    values: list[Rational | None] = []
    problem = steps.problem
    degrees = step_degrees(problem, question.degree(problem.degree))

    def trace(prime: jax.Array) -> jax.Array:
        ring = Modulus(prime, constants=constants)
        state = Update(problem, ring).start()
        for s, step in enumerate(steps):
            entries = [ring.residue(prime * 0, max(1, degrees[s])) for _ in step.features]
            state = _advance(steps, ring, state, s, entries)
        forms = question.forms(LastStep(state, steps, ring))
        values.extend(form.exact for form in forms)
        return sum((form.values() for form in forms), prime)

    jax.eval_shape(trace, jax.ShapeDtypeStruct((), np.float64))
    return Folded(tuple(values), tuple(constants))


def _advance(steps: Steps, ring: Modulus, state: State[Residue], s: int, variables: list[Residue]) -> State[Residue]:
    """One step of SGD."""
    problem = steps.problem
    gradients = steps[s].gradients(state.weights, variables, ring)
    return Update(problem, ring).advance(state, gradients, problem.learning_rates[s])


def _for_each(function: Callable[..., jax.Array], several: bool) -> Callable[..., jax.Array]:
    """The function of (prime, table, geometry) for a stack of primes and tables; one of them needs no batching."""
    if several:
        return jax.vmap(function, in_axes=(0, 0, None))
    return lambda primes, tables, geometry: function(
        primes[0], {name: table[0] for name, table in tables.items()}, geometry
    )[None]


def _filled(array: jax.Array | np.ndarray, start: int, size: int) -> jax.Array:
    """So many entries of axis 1 from a place on, filled with zeros beyond the end."""
    part = array[:, start : start + size]
    return jnp.pad(part, [(0, (size - part.shape[1]) * (axis == 1)) for axis in range(array.ndim)])


def _multiply_powers(terms: jax.Array, prime: jax.Array | float) -> jax.Array:
    """(q, forms, k, ...) -> (forms, q + k, ...): the products of powers of u of a step and of the steps after it."""
    outer, inner = terms.shape[0], terms.shape[2]
    terms = jnp.moveaxis(terms, 0, 1)
    if outer == 1 or inner == 1:
        return terms.reshape(terms.shape[0], outer * inner, *terms.shape[3:])
    width = outer + inner
    terms = jnp.pad(terms, [(0, 0), (0, 0), (0, outer)] + [(0, 0)] * (terms.ndim - 3))
    terms = terms.reshape(terms.shape[0], outer * width, *terms.shape[3:])[:, : outer * (width - 1)]
    return reduce(terms.reshape(terms.shape[0], outer, width - 1, *terms.shape[2:]).sum(axis=1), prime)


def _cut(array: jax.Array, size: int, devices: int) -> jax.Array:
    """The last axis cut in blocks, which become an axis before the last two; padded with zeros to fill them."""
    count = array.shape[-1]
    blocks = -(-count // size)
    blocks = -(-blocks // devices) * devices
    padded = jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, blocks * size - count)])
    return jnp.moveaxis(padded.reshape(*array.shape[:-1], blocks, size), -2, -3)
