from .adapting import adapt
from .caches import Cache, CacheSpec, Drop, PoolStats
from .compare import Difference, Tolerance
from .divergence import Divergence, DivergenceLog, KnownDifference
from .errors import KVParityError, NotKeysValuesError, TraceError, UnusableCacheError, UsageError
from .fingerprints import fingerprint
from .loading import Scenario, build_cache, load_scenario, trace_path
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
from .recording import TraceWriter
from .replay import Comparison, Driver
from .result import Result
from .shadow import ShadowCache
from .tally import merge
from .trace import Answer, Recorded, Trace
from .values import KeysValues

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
