"""`CacheContract`: the promises that every cache keeps, as a test class of three lines for yours.

from harness.contract import CacheContract

class TestMine(CacheContract):
cache = "my_package.my_module:MyManager"  # or the class itself; left out, it is pytest's --kv-candidate
"""

from harness.contract.clearing import Clearing
from harness.contract.counting import Counting
from harness.contract.entries import SPEC, entry, same
from harness.contract.lending import Lending
from harness.contract.storing import Storing

__all__ = ["SPEC", "CacheContract", "entry", "same"]


class CacheContract(Storing, Lending, Clearing, Counting):
    """Bind it by a subclass that says which cache: by `cache`, or by a `build` that gives a new one of `SPEC`."""
