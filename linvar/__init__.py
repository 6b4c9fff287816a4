"""linvar: the exact dependence of SGD's gradient noise on the mini-batch size.

The public names are those of ``__init__.pyi``, and nothing else. They load on first use, so that ``import linvar`` costs nothing:
no JAX, SymPy, NumPy or matplotlib until needed (Scientific Python's SPEC 1).
"""

import lazy_loader

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__:
        return _load(name)
    from linvar.keywords import no_attribute

    raise no_attribute(__name__, name, __all__)
