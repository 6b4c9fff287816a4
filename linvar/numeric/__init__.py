"""The floating-point half: JAX. It differentiates a loss; it shares no formula with the exact half.

Its public names are those of ``__init__.pyi``; they load on first use.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__:
        return _load(name)
    from linvar.keywords import no_attribute

    raise no_attribute(__name__, name, __all__)
