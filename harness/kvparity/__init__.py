"""Shadow-mode comparison of two KV caches: the harness itself, which knows no particular cache.

`__init__.pyi` beside this file says what is exported, and from where. It is imported when it is asked for, so that
what needs no tensors, such as the pytest plugin, does not load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
