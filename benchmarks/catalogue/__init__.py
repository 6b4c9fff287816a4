"""A catalogue of models that people train, each written as one would write it: what gradient_moments_catalogue.py runs.

One file a family; a model is a function ``small -> (loss, params, batch, options)``. ``small`` is the size of the check in
float64; the other is timed, and its plain gradient takes some milliseconds on a CPU. Nothing is downloaded.
"""

from catalogue import (  # noqa: F401  entered in MODELS by their import
    convolutions,
    fields,
    graphs,
    networks,
    reparametrised,
    sequences,
    statistics,
    tables,
    transformers,
)
from catalogue.registry import MODELS, Model

__all__ = ["MODELS", "Model"]
