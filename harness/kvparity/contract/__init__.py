"""`CacheContract`: the promises that every cache keeps, as a test class of three lines for yours.

from kvparity.contract import CacheContract

class TestMine(CacheContract):
cache = "my_package.my_module:MyManager"  # or the class itself; left out, it is pytest's --kv-candidate
"""

from kvparity.contract.clearing import Clearing
from kvparity.contract.counting import Counting
from kvparity.contract.entries import SPEC, entry, same
from kvparity.contract.lending import Lending
from kvparity.contract.storing import Storing

__all__ = ["SPEC", "CacheContract", "entry", "same"]


class CacheContract(Storing, Lending, Clearing, Counting):
    """Bind it by a subclass that says which cache: by `cache`, or by a `build` that gives a new one of `SPEC`."""
