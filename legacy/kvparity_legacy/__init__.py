"""The original cache of LightZero's UniZero world model, in two generations, quirks included.

Do not use them for new work: they are the references that a refactoring is compared with. So they keep every quirk of
the original. A comment `# Quirk:` marks each and names the test that pins it.
"""

from kvparity_legacy.evicting import EvictingCache
from kvparity_legacy.released import ReleasedCache

__all__ = ["EvictingCache", "ReleasedCache"]
