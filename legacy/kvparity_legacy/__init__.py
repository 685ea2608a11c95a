"""The original cache of LightZero's UniZero world model, in two generations, quirks included.

Neither is meant for new work. They are what a refactoring is compared with, so each deviation from good sense
that the original had is kept, marked `# Quirk:` and pinned by the test that the mark names.
"""

from kvparity_legacy.evicting import EvictingCache
from kvparity_legacy.released import ReleasedCache

__all__ = ["EvictingCache", "ReleasedCache"]
