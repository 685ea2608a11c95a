"""`CacheContract`: the promises that every cache must keep, as a test class. Three lines test yours.

from kvparity.contract import CacheContract

class TestMine(CacheContract):
cache = "my_package.my_module:MyManager"  # or the class itself; without this line, pytest's --kv-candidate
"""

from kvparity.contract.clearing import Clearing
from kvparity.contract.counting import Counting
from kvparity.contract.entries import SPEC, entry, same
from kvparity.contract.lending import Lending
from kvparity.contract.storing import Storing

__all__ = ["SPEC", "CacheContract", "entry", "same"]


class CacheContract(Storing, Lending, Clearing, Counting):
    """Derive from it and name the cache: set `cache`, or override `build` to return a new cache of `SPEC`."""
