from .caches.adapter import adapt
from .caches.protocol import Cache, CacheSpec, Drop, PoolStats
from .driving.comparison import Comparison
from .driving.driver import Driver
from .errors import KVParityError, NotKeysValuesError, TraceError, UnusableCacheError, UsageError
from .operations import (
    ALL,
    ALL_INIT,
    RECUR,
    WM,
    Checkout,
    Clear,
    Get,
    Operation,
    PoolId,
    Set,
    Write,
    init,
)
from .registry import Scenario, build_cache, load_scenario, trace_path
from .results.adding import merge
from .results.divergence import Divergence, DivergenceLog, KnownDifference
from .results.result import Result
from .shadow.shadow_cache import ShadowCache
from .traces.reader import Answer, Recorded, Trace
from .traces.writer import TraceWriter
from .values.difference import Difference, Tolerance
from .values.entry import KeysValues
from .values.fingerprints import fingerprint

__all__ = [
    "ALL",
    "ALL_INIT",
    "RECUR",
    "WM",
    "Answer",
    "Cache",
    "CacheSpec",
    "Checkout",
    "Clear",
    "Comparison",
    "Difference",
    "Divergence",
    "DivergenceLog",
    "Driver",
    "Drop",
    "Get",
    "KVParityError",
    "KeysValues",
    "KnownDifference",
    "NotKeysValuesError",
    "Operation",
    "PoolId",
    "PoolStats",
    "Recorded",
    "Result",
    "Scenario",
    "Set",
    "ShadowCache",
    "Tolerance",
    "Trace",
    "TraceError",
    "TraceWriter",
    "UnusableCacheError",
    "UsageError",
    "Write",
    "adapt",
    "build_cache",
    "fingerprint",
    "init",
    "load_scenario",
    "merge",
    "trace_path",
]
