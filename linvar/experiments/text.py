"""A small transformer encoder (Flax nnx) that classifies sentences; the sentences are GENERATED here, by a grammar.

Each sentence is about one of four subjects; its words come from the subject's own list and from a common one, so that the
class shows in some words only. Sentences are split into words and words become numbers, as in a language model.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from linvar.experiments.curves import Curves, study
from linvar.experiments.runner import Experiment, Request, Study
from linvar.experiments.training import OPTIMIZERS, SCHEDULES, Task, make_optimizer, subsets_of

if TYPE_CHECKING:
    import jax
    import numpy as np
    from flax import nnx

_WEATHER = "rain wind cloud storm sun snow fog thunder hail frost breeze drizzle"
_KITCHEN = "bread oven salt knife soup flour butter pan onion recipe spoon pepper"
_MUSIC = "violin chord drum song melody choir piano rhythm tune trumpet scale opera"
_GARDEN = "rose spade seed hedge soil lawn tulip rake bulb apple pond leaf"
_COMMON = (
    "the a old new small large some every near under with without over slow quick quiet loud warm cold long short came went "
    "stood fell made took gave kept left found lost heard saw and but then while"
)
SUBJECTS = {
    name: words.split()
    for name, words in (("weather", _WEATHER), ("kitchen", _KITCHEN), ("music", _MUSIC), ("garden", _GARDEN))
}
COMMON = _COMMON.split()
LENGTH = 16
WORDS = ["", *sorted({*COMMON, *(word for words in SUBJECTS.values() for word in words)})]  # "" fills up


def sentences(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Generated sentences of 6 to 16 words and their subjects.

    >>> texts, subjects = sentences(3, 0)
    >>> len(texts), all(6 <= len(text.split()) <= 16 for text in texts)
    (3, True)
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    texts, subjects = [], []
    names = list(SUBJECTS)
    for _ in range(count):
        subject = int(rng.integers(len(names)))
        words = []
        for _ in range(int(rng.integers(6, LENGTH + 1))):
            source = rng.random()
            own = SUBJECTS[names[subject]] if source < 0.3 else SUBJECTS[names[int(rng.integers(len(names)))]]
            words.append(str(rng.choice(own if source < 0.4 else COMMON)))
        texts.append(" ".join(words))
        subjects.append(subject)
    return texts, subjects


def tokens(texts: list[str]) -> np.ndarray:
    """(n, LENGTH) numbers of words, 0 after the end.

    >>> [WORDS[i] for i in tokens(["the old rose"])[0][:4]]
    ['the', 'old', 'rose', '']
    """
    import numpy as np

    number = {word: i for i, word in enumerate(WORDS)}
    result = np.zeros((len(texts), LENGTH), "int32")
    for row, text in zip(result, texts):
        found = [number[word] for word in text.split()]
        row[: len(found)] = found
    return result


def build(request: Request) -> Study:
    """Settings and curves."""
    optimizer = request.choice("optimizer", "sgd", OPTIMIZERS)
    schedule = request.choice("schedule", "constant", SCHEDULES)
    rate = request.number("learning_rate", 0.03 if optimizer in ("sgd", "weight-decay") else 0.003)
    count, width = request.pick(200, 1000, 4000), request.pick(8, 16, 32)
    batch_sizes = request.pick((4, 16), (4, 16, 64), (1, 4, 16, 64, 256))
    steps = request.pick((0, 1), (0, 1, 4, 16), (0, 1, 4, 16, 64))
    texts, subjects = sentences(count, request.seed)
    task = partial(make_task, texts, subjects, width, optimizer, schedule, rate, steps[-1], request.seed)
    curves = Curves(
        title=f"A transformer encoder of width {width} on {count:,} generated sentences",
        task=task, batch_sizes=batch_sizes, steps=steps, runs=request.pick(8, 96, 128), dtype="float32", lanes=8,
        constant=True,
        settings={"text": "generated", "sha256": hashlib.sha256("\n".join(texts).encode()).hexdigest(), "sentences": count,
                  "words": len(WORDS), "length": LENGTH, "width": width, "optimizer": optimizer, "schedule": schedule,
                  "learning_rate": rate, "sampling": "without_replacement"},
    )  # fmt: skip
    return study(curves, request)


def make_task(
    texts: list[str], subjects: list[int], width: int, optimizer: str, schedule: str, rate: float, steps: int, seed: int
) -> Task:
    """Words to vectors, two blocks of attention and an MLP, the mean over the words, the scores of the subjects."""
    import jax.numpy as jnp
    import optax
    from flax import nnx

    class Block(nnx.Module):
        """Attention and an MLP, each after a layer norm, each added."""

        def __init__(self, rngs: nnx.Rngs) -> None:
            self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])
            self.attention = nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
            self.up, self.down = nnx.Linear(width, 2 * width, rngs=rngs), nnx.Linear(2 * width, width, rngs=rngs)

        def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
            x = x + self.attention(self.norms[0](x), mask=mask)
            return x + self.down(nnx.gelu(self.up(self.norms[1](x))))

    class Encoder(nnx.Module):
        """Of one sentence."""

        def __init__(self, rngs: nnx.Rngs) -> None:
            self.words = nnx.Embed(len(WORDS), width, rngs=rngs)
            self.places = nnx.Param(0.1 * rngs.params.normal((LENGTH, width)))
            self.blocks = nnx.List([Block(rngs) for _ in range(2)])
            self.head = nnx.Linear(width, len(SUBJECTS), rngs=rngs)

        def __call__(self, sentence: jax.Array) -> jax.Array:
            real = sentence > 0
            x = self.words(sentence) + self.places[...]
            for block in self.blocks:
                x = block(x, real[None, None, :])
            return self.head(jnp.sum(x * real[:, None], axis=0) / jnp.sum(real))

    graph, params, *rest = nnx.split(Encoder(nnx.Rngs(seed)), nnx.Param, ...)

    def loss(params: Any, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        sentence, subject = example
        scores = nnx.merge(graph, params, *rest)(sentence)
        found: jax.Array = optax.softmax_cross_entropy_with_integer_labels(scores, subject)
        return found

    x, y = jnp.asarray(tokens(texts)), jnp.asarray(subjects, jnp.int32)
    cut = len(texts) * 4 // 5
    train, test = (x[:cut], y[:cut]), (x[cut:], y[cut:])
    return Task(loss, params, subsets_of(train), train, test, make_optimizer(optimizer, rate, schedule, steps))


EXPERIMENT = Experiment("text", build, ("optimizer", "schedule", "learning_rate"))
