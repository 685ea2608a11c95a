"""Compares two KV caches: both get the same operations, and every answer of both is compared bit by bit.

This package knows no particular cache. `__init__.pyi` beside this file lists what it exports, and from where. Each name
is imported when it is first used, so that the pytest plugin, which needs no tensors, does not load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
