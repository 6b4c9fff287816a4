"""The floating-point half: JAX. It differentiates a loss; it shares no formula with the exact half.

Its public names are those of ``__init__.pyi``; they load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
