"""The gradient noise scale over a data set of any size, in one pass, with its standard error.

Batches are taken one after another; what is kept of them are ``blocks`` running means and scatters, so that memory does
not grow with the data. Leaving one block out at a time gives the jackknife standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.numeric.arguments import (
    check_at_least,
    check_batch_sizes,
    check_choice,
    check_examples,
    check_floats,
    check_key,
    check_mask,
)
from linvar.numeric.gradients.blocks import Block, moved, products
from linvar.numeric.gradients.checks import NoFiniteExamplesError
from linvar.numeric.gradients.moments import Loss, gradient_moments
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.processes import check_all, gather, gather_ragged
from linvar.progress import Progress, reporting
from linvar.schemes.scheme import scheme_of

#: Which rows count, or a function of a batch that says so.
_Mask: TypeAlias = ArrayLike | Sequence[bool | int | float] | Callable[[PyTree], ArrayLike] | None


@dataclass(frozen=True, eq=False)
class NoiseScale:
    """The noise of the gradient against its mean, over a data set, at fixed parameters.

    Attributes:
        noise_scale: trace / squared_mean; infinite where squared_mean is not positive. Also the critical batch size.
        standard_error: of ``noise_scale``, by the jackknife over blocks of examples; NaN with a single block.
        trace: tr Cov(g_i), divisor n - ddof.
        trace_standard_error: likewise.
        squared_mean: ||E g||^2, without bias for ddof=1: ||mean||^2 - trace / n.
        squared_mean_standard_error: likewise.
        two_batch: the noise scale from the squared norms of the blocks' mean gradients and of the whole mean alone.
        trace_per_leaf, squared_mean_per_leaf: of each leaf, pytrees like the parameters.
        mean: the mean gradient, a pytree like the parameters.
        loss: mean loss.
        examples: n, without those left out.
        dropped: examples left out by nan="drop".
        ddof: 1: the data are a sample; 0: the data are the whole population.
        blocks: how many blocks of examples there were.
    """

    noise_scale: float
    standard_error: float
    trace: float
    trace_standard_error: float
    squared_mean: float
    squared_mean_standard_error: float
    two_batch: float
    trace_per_leaf: PyTree
    squared_mean_per_leaf: PyTree
    mean: PyTree
    loss: float
    examples: int
    dropped: int
    ddof: int
    blocks: int

    @property
    def critical_batch_size(self) -> float:
        """The batch size at which noise and signal of the batch gradient are equal: the noise scale itself.

        Much smaller batches waste steps, much larger ones examples (McCandlish et al. 2018, the "simple" noise scale).
        """
        return self.noise_scale

    @overload
    def variance(self, batch_sizes: int | np.integer, sampling: str = "iid") -> float: ...

    @overload
    def variance(
        self, batch_sizes: Sequence[int | float] | np.ndarray | jax.Array, sampling: str = "iid"
    ) -> np.ndarray: ...

    def variance(
        self, batch_sizes: int | np.integer | Sequence[int | float] | np.ndarray | jax.Array, sampling: str = "iid"
    ) -> float | np.ndarray:
        """The variance tr Cov(G) of the gradient of a batch of b examples, at these parameters, for every b.

        iid: trace / b. Without replacement from these n examples: (n - b) / (b (n - 1)) times the trace of divisor n.

        Args:
            batch_sizes: b, or an array of them.
            sampling: "iid" or "without_replacement".

        Raises:
            InputError: an unknown sampling, or a batch size below 1 or, without replacement, above n.
        """
        n = scheme_of(sampling).largest_batch(self.examples)
        check_batch_sizes(np.atleast_1d(batch_sizes).ravel(), n)
        b = np.asarray(batch_sizes, "float64")
        variance: float | np.ndarray = self.trace / b
        if n is not None:
            variance = self.trace * (n - self.ddof) / n * (n - b) / (b * max(n - 1, 1))
        return variance

    def __repr__(self) -> str:
        error = f" +- {self.standard_error:.2g}" if math.isfinite(self.standard_error) else ""
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        return (
            f"NoiseScale({self.noise_scale:.4g}{error}; trace={self.trace:.4g}, squared_mean={self.squared_mean:.4g}, "
            f"{self.examples:,} examples{dropped})"
        )


def noise_scale(
    loss: Loss,
    params: PyTree,
    data: PyTree | Iterator[PyTree],
    *,
    ddof: int = 1,
    batched: bool = False,
    key: jax.Array | None = None,
    mask: _Mask = None,
    centred: bool = False,
    nan: str = "raise",
    blocks: int = 16,
    byte_budget: int = 2**28,
    progress: bool | Progress | None = None,
) -> NoiseScale:
    """tr Cov(g_i) / ||E g||^2 over a data set, in one pass, and with it the batch variance at every b.

    The standard errors are those of a jackknife over ``blocks`` groups of batches (batch j belongs to group j modulo
    ``blocks``): honest where the batches are in random order. Memory: ``blocks`` mean gradients, and what one batch needs.

    With many processes (``jax.distributed``) every process gives its OWN part of the data, and all get the same result.
    A process without examples, or one whose part fails, is an error in all of them; a process that is lost ends the others
    through JAX's own heartbeat (``jax.distributed.initialize(heartbeat_timeout_seconds=...)``).

    Args:
        loss: of one example, or with ``batched`` of a batch; see :func:`linvar.numeric.gradient_moments`.
        params: any pytree of arrays.
        data: a pytree of arrays with the n examples first (NumPy arrays stay on the host, memory maps on the disk), or an
            ITERATOR of such batches; batches of one size are compiled once.
        ddof: 1: the data are a sample of a law; 0: they are the whole population.
        batched: ``loss`` takes a batch.
        key: a typed key for a random loss: example i of batch j gets ``fold_in(fold_in(key, j), i)``, of process p > 0
            ``fold_in(fold_in(fold_in(key, p), j), i)``.
        mask: rows of padding count nowhere: (n,) booleans beside arrays, or a function of a batch that gives those of its rows,
            as ``lambda batch: batch["mask"]``, which an iterator needs whose last batch is filled up.
        centred: as in :func:`linvar.numeric.gradient_moments`.
        nan: "raise", or "drop" examples that are not finite, and count them.
        blocks: groups of the jackknife, at least 2.
        byte_budget: memory for a batch's activations.
        progress: None (a bar or, without a terminal, a line every few seconds, if the work is long), True, False, or a function
            (done, total), in examples; total is None for an iterator.

    Returns:
        A :class:`NoiseScale`.

    Raises:
        InputTypeError, InputError, NotFiniteError: as :func:`linvar.numeric.gradient_moments`; too few examples.

    After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training"; the jackknife for
    groups of unequal size after Busing, Meijer and van der Leeden (1999).

    >>> x = np.random.default_rng(0).normal(1.0, 3.0, size=4000)
    >>> noise = noise_scale(lambda w, x: w * x, 1.0, x)  # tr Cov = 9, ||E g||^2 = 1
    >>> noise, noise.variance([1, 100]).round(3)
    (NoiseScale(9.868 +- 0.92; trace=8.972, squared_mean=0.9092, 4,000 examples), array([8.972, 0.09 ]))
    """
    check_choice(ddof, "ddof", (0, 1), "give 1 (the data are a sample) or 0 (they are the whole population)")
    check_at_least(blocks, "blocks", 2, "a jackknife needs at least 2 groups")
    byte_budget = check_integer(byte_budget, "byte_budget")
    if key is not None:
        key = check_key(key)
        key = jax.random.fold_in(key, jax.process_index()) if jax.process_index() else key
    together = jax.process_count() > 1
    found: list[Block] = []
    lost = 0  # examples of batches without any finite one
    failure: Exception | None = None
    try:
        with reporting(progress, "examples") as advance:
            done = 0
            for j, (batch, rows, total) in enumerate(_batches(data, mask, blocks, byte_budget)):
                own = None if key is None else jax.random.fold_in(key, j)
                length = check_examples(batch, "data")
                given = length if rows is None else check_mask(rows, length)[0]
                if not given:  # padding only
                    done += length
                    continue
                try:
                    moments = gradient_moments(
                        loss,
                        params,
                        batch,
                        ddof=0,
                        batched=batched,
                        key=own,
                        mask=rows,
                        centred=centred,
                        nan=nan,
                        byte_budget=byte_budget,
                    )
                except NoFiniteExamplesError:
                    lost, done = lost + given, done + length
                    advance(done, total)
                    continue
                if len(found) < blocks:
                    found.append(Block.of(moments, given))
                else:
                    found[j % blocks].add(moments, given)
                done += length
                advance(done, total)
    except Exception as error:
        if not together:
            raise
        failure = error  # the others wait for this process: tell them first
    if together:
        check_all(failure, sum(block.count for block in found))
    count = sum(block.count for block in found)
    if found:
        found[0].given += lost
    if not together and count <= ddof:
        raise InputError("data", Words(f"has {count} examples"), f"give at least {ddof + 1} for ddof={ddof}")
    return _summarize(found, jax.tree.structure(params), ddof, together)


#: A number, or an array of them.
Number = TypeVar("Number", float, np.ndarray, jax.Array)


def two_batch_noise_scale(
    small_norm: Number, large_norm: Number, small: int | float | Number, large: int | float | Number
) -> tuple[Number, Number, Number]:
    """Noise scale from the squared norms of the mean gradients of a small and a large batch.

    trace = (small_norm - large_norm) / (1/small - 1/large), squared_mean = large_norm - trace / large: both without bias for
    iid examples, also if the large batch is made of small ones; their ratio is not, so average both before dividing.

    Args:
        small_norm: ||G||^2 of a batch of ``small`` examples, or its mean over several.
        large_norm: the same of a batch of ``large`` examples.
        small: its size.
        large: its size, larger.

    Returns:
        (noise scale, trace, squared_mean).

    After McCandlish, Kaplan, Amodei et al. (2018), appendix A.1.

    >>> [round(float(x), 6) for x in two_batch_noise_scale(1 + 8 / 4, 1 + 8 / 16, 4, 16)]
    [8.0, 8.0, 1.0]
    """
    if not np.all(check_floats(large, "large") > check_floats(small, "small")) or not np.all(np.asarray(small) >= 1):
        raise InputError(
            f"small={shown(small)}, large", large, "the large batch must have more examples, the small one at least 1"
        )
    trace = (small_norm - large_norm) / (1 / small - 1 / large)
    squared_mean = large_norm - trace / large
    return trace / squared_mean, trace, squared_mean


def _batches(
    data: PyTree | Iterator[PyTree], mask: _Mask, blocks: int, byte_budget: int
) -> Iterator[tuple[PyTree, ArrayLike | None, int | None]]:
    """Batches, which of their rows count (None: all), and how many rows there are in all if that is known."""
    of_batch = mask if callable(mask) else None
    if isinstance(data, Iterator):
        if mask is not None and of_batch is None:
            cure = 'give a function of a batch, mask=lambda batch: batch["mask"]'
            raise InputTypeError("mask", mask, cure, fault="is no function, and the data are an iterator of batches")
        for batch in data:
            yield batch, None if of_batch is None else of_batch(batch), None
        return
    leaves = jax.tree.leaves(data)
    size = check_examples(data, "data", "give arrays with a row per example, or an iterator of batches")
    if any(isinstance(leaf, jax.Array) and not leaf.is_fully_addressable for leaf in leaves):
        raise InputError(
            "data", Words("has arrays spread over several processes"), "give each process its own part, as local arrays"
        )
    row = sum(math.prod(np.shape(leaf)[1:]) * jnp.result_type(leaf).itemsize for leaf in leaves)
    rows = max(1, min(-(-size // blocks), byte_budget // max(1, 4 * row)))
    beside = None
    if mask is not None and of_batch is None:
        check_mask(mask, size)
        beside = np.asarray(mask)
    for start in range(0, size, rows):
        batch = jax.tree.map(lambda x, start=start: x[start : start + rows], data)
        own = None if beside is None else beside[start : start + rows]
        yield batch, own if of_batch is None else of_batch(batch), size


def _summarize(found: Sequence[Block], structure: jax.tree_util.PyTreeDef, ddof: int, together: bool) -> NoiseScale:
    """Everything from the blocks, of all processes if there are several."""
    gathered = gather if together else lambda x: np.asarray(x)[None]
    mean, loss, local = found[0].mean, found[0].loss, 0
    for block in found:  # a running mean, so that equal means stay equal
        local += block.count
        mean, _ = moved(mean, block.mean, block.count / local)
        loss += block.count / local * (block.loss - loss)
    if together:
        shares = gathered(float(local))
        shares = shares / shares.sum()
        mean = [jnp.tensordot(jnp.asarray(shares, m.dtype), jnp.asarray(gathered(m)), 1) for m in mean]
        loss = float(shares @ gathered(loss))
    apart_and_along = [jax.device_get(products(mean, block.mean)) for block in found]
    rows = [
        [block.count, block.given, *block.scatter, *apart, *along]
        for block, (apart, along) in zip(found, apart_and_along)
    ]
    table = np.concatenate(list(gather_ragged(rows) if together else [np.asarray(rows, "float64")]))
    leaves = len(mean)
    counts, given = table[:, 0], table[:, 1]
    scatter, apart, along = (table[:, 2 + i * leaves : 2 + (i + 1) * leaves] for i in range(3))
    plain = np.asarray(jax.device_get([sum_of_squares(m) for m in mean]), "float64")
    n = counts.sum()
    total = scatter.sum(axis=0) + counts @ apart
    traces = total / (n - ddof)
    squares = plain - (ddof / n) * traces

    def statistics(count: float, scatter: float, square: float) -> np.ndarray:
        """Noise scale, trace and squared mean."""
        trace = scatter / (count - ddof)
        square = square - ddof * trace / count
        return np.asarray([trace / square if square > 0 else math.inf, trace, square])

    whole = statistics(n, total.sum(), plain.sum())
    errors = np.full(3, math.nan)
    two_batch = math.nan
    if len(counts) > 1 and np.all(n - counts > ddof):
        rest = n - counts
        shift = counts / rest  # without block k the mean moves by this times (mean - mean_k)
        norms = plain.sum() - 2 * shift * along.sum(axis=1) + shift**2 * apart.sum(axis=1)
        left = total.sum() - scatter.sum(axis=1) - counts * n / rest * apart.sum(axis=1)
        without = np.asarray([statistics(*row) for row in zip(rest, left, norms)])
        with np.errstate(invalid="ignore"):
            errors = _jackknife(whole, without, n / counts)
        blocks_norm = np.mean(plain.sum() + 2 * along.sum(axis=1) + apart.sum(axis=1))
        two_batch = float(two_batch_noise_scale(blocks_norm, plain.sum(), 1 / np.mean(1 / counts), n)[0])
    return NoiseScale(
        noise_scale=float(whole[0]),
        standard_error=float(errors[0]),
        trace=float(whole[1]),
        trace_standard_error=float(errors[1]),
        squared_mean=float(whole[2]),
        squared_mean_standard_error=float(errors[2]),
        two_batch=two_batch if two_batch >= 0 else math.inf,
        trace_per_leaf=jax.tree.unflatten(structure, list(traces)),
        squared_mean_per_leaf=jax.tree.unflatten(structure, list(squares)),
        mean=jax.tree.unflatten(structure, mean),
        loss=float(loss),
        examples=int(n),
        dropped=int(given.sum() - n),
        ddof=ddof,
        blocks=len(counts),
    )


def _jackknife(whole: np.ndarray, without: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Standard errors from leaving groups of unequal size out; ``ratios`` are n / n_k."""
    h = ratios[:, None]
    pseudo = h * whole - (h - 1) * without
    centre = len(h) * whole - np.sum((1 - 1 / h) * without, axis=0)
    errors = np.sqrt(np.mean((pseudo - centre) ** 2 / (h - 1), axis=0))
    return np.where(
        np.isnan(errors), math.inf, errors
    )  # without some group the mean is not resolved: neither is the error
