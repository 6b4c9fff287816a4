"""The gradient noise scale over a data set of any size, in one pass, with its errors.

Batches are taken one after another; what is kept of them are ``blocks`` running means and scatters, so that memory does
not grow with the data. Leaving one block out at a time gives the jackknife's standard errors and intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.keywords import door
from linvar.numeric.arguments import (
    check_at_least,
    check_choice,
    check_examples,
    check_floats,
    check_key,
    check_mask,
    check_untraced,
)
from linvar.numeric.gradients.blocks import Block
from linvar.numeric.gradients.callables import take
from linvar.numeric.gradients.checks import NoFiniteExamplesError
from linvar.numeric.gradients.inputs import one_of_many, rows_of, source_of
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.parameters import Leaves
from linvar.numeric.gradients.processes import check_all
from linvar.numeric.gradients.program import Loss
from linvar.numeric.gradients.scale import NoiseScale as NoiseScale
from linvar.numeric.gradients.scale import summarize, warn_of
from linvar.numeric.gradients.spread import some_rows
from linvar.progress import Progress, reporting

#: Which rows count, or a function of a batch that says so.
_Mask: TypeAlias = ArrayLike | Sequence[bool | int | float] | Callable[[PyTree], ArrayLike] | None


@door
def noise_scale(
    loss: Loss,
    params: PyTree,
    data: PyTree | Iterable[PyTree],
    *,
    ddof: int = 1,
    batched: bool = False,
    key: jax.Array | None = None,
    mask: _Mask = None,
    centred: bool = False,
    leaves: Leaves | None = None,
    precondition: PyTree = None,
    nan: str = "raise",
    blocks: int = 16,
    byte_budget: int = 2**28,
    progress: bool | Progress | None = None,
) -> NoiseScale:
    """tr Cov(g_i) / ||E g||^2 over a data set, in one pass, and with it the batch variance at every b.

    The errors are those of a jackknife over ``blocks`` groups of batches (batch j belongs to group j modulo ``blocks``):
    honest where the batches are in random order. :meth:`NoiseScale.interval` gives intervals, by Student's t with
    blocks - 1 degrees of freedom. A RuntimeWarning, and the repr, say where errors may be too small: fewer than 8 blocks, or
    few examples that carry the trace. Memory: ``blocks`` mean gradients, and what one batch needs.

    With many processes (``jax.distributed``) every process gives its OWN part of the data, and all get the same result.
    A process without examples, or one whose part fails, is an error in all of them; a process that is lost ends the others
    through JAX's own heartbeat (``jax.distributed.initialize(heartbeat_timeout_seconds=...)``).

    Args:
        loss: of one example, or with ``batched`` of a batch; see :func:`linvar.numeric.gradient_moments`.
        params: any pytree of arrays, or a module; see :func:`linvar.numeric.gradient_moments`.
        data: a pytree of arrays with the n examples first (NumPy arrays stay on the host, memory maps on the disk), or what gives
            such batches one by one: an iterator, a ``DataLoader`` (a LIST is a pytree: give ``iter`` of a list of batches);
            tensors of other libraries go through NumPy; batches of one size are compiled once.
        ddof: 1: the data are a sample of a law; 0: they are the whole population.
        batched: ``loss`` takes a batch.
        key: a typed key for a random loss: example i of batch j gets ``fold_in(fold_in(key, j), i)``, of process p > 0
            ``fold_in(fold_in(fold_in(key, p), j), i)``.
        mask: rows of padding count nowhere: (n,) booleans beside arrays, or a function of a batch that gives those of its rows,
            as ``lambda batch: batch["mask"]``, which an iterator needs whose last batch is filled up.
        centred: as in :func:`linvar.numeric.gradient_moments`.
        leaves: measure these alone, the others held fixed (the results have None there), at less than the price of a plain
            gradient: booleans in a prefix of ``params``, or a function of it; see :func:`linvar.numeric.gradient_moments`.
        precondition: D, a pytree like ``params`` of arrays that broadcast: the noise of D g_i instead of g_i, as that of Adam's
            steps with 1 / (sqrt(nu) + eps). Its price is that of the variance entry by entry.
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
    (NoiseScale(9.868 +- 0.92, 95 % from 8.18 to 12.1; trace=8.972, squared_mean=0.9092, 4,000 examples), array([8.972, 0.09 ]))
    >>> [round(end, 2) for of in ("noise_scale", "trace", "squared_mean") for end in noise.interval(0.9, of)]
    [8.44, 11.63, 8.61, 9.36, 0.75, 1.08]
    """
    check_choice(ddof, "ddof", (0, 1), "give 1 (the data are a sample) or 0 (they are the whole population)")
    check_at_least(blocks, "blocks", 2, "a jackknife needs at least 2 groups")
    byte_budget = check_integer(byte_budget, "byte_budget")
    check_untraced(params, "params")
    loss, params = take(loss, params, batched=batched, leaves=leaves)
    entrywise = precondition is not None
    if entrywise:
        check_untraced(precondition, "precondition")
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
                        squared_norms="free",
                        variance=entrywise,
                        nan=nan,
                        byte_budget=byte_budget,
                    )
                    moments = moments.preconditioned(precondition) if entrywise else moments
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
    result = summarize(found, jax.tree.structure(params), ddof, together)
    warn_of(result)
    return result


#: A number, or an array of them.
Number = TypeVar("Number", float, np.ndarray, jax.Array)


@door
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
    data: PyTree | Iterable[PyTree], mask: _Mask, blocks: int, byte_budget: int
) -> Iterator[tuple[PyTree, ArrayLike | None, int | None]]:
    """Batches, which of their rows count (None: all), and how many rows there are in all if that is known."""
    of_batch = mask if callable(mask) else None
    source = source_of(data)
    if source is not None:
        if mask is not None and of_batch is None:
            cure = 'give a function of a batch, mask=lambda batch: batch["mask"]'
            raise InputTypeError("mask", mask, cure, fault="is no function, and the data are batches")
        for given in source:
            batch = one_of_many(given, "data")
            yield batch, None if of_batch is None else _said(of_batch, batch), None
        return
    data, size = rows_of(data)
    check_untraced(data, "data")
    leaves = jax.tree.leaves(data)
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
        batch = some_rows(data, start, min(start + rows, size))
        own = None if beside is None else beside[start : start + rows]
        yield batch, own if of_batch is None else _said(of_batch, batch), size


def _said(of_batch: Callable[[PyTree], ArrayLike], batch: PyTree) -> ArrayLike:
    """Which rows of a batch count, by a function of it."""
    cure = 'give a function of a batch that returns its mask, mask=lambda batch: batch["mask"]'
    try:
        rows = of_batch(batch)
    except (TypeError, LookupError) as error:
        raise InputError("mask", Words(f"fails for a batch ({cut(str(error))})"), cure) from error
    if rows is None:
        raise InputTypeError("mask", Words("returns None for a batch"), cure)
    return rows
