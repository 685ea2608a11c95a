"""Former names of the correct caches, which results and traces of before may have."""

from kvparity_scenarios.correct_cache import CorrectCache as SoundCache
from kvparity_scenarios.correct_cache import CorrectLru as SoundLru
from kvparity_scenarios.correct_cache import CorrectPriority as SoundPriority

__all__ = ["SoundCache", "SoundLru", "SoundPriority"]
