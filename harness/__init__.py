"""Shadow-mode comparison of two KV caches: the harness itself, which knows no particular cache."""

from harness.caches import Cache, CacheSpec, Drop, PoolStats
from harness.compare import Difference, Tolerance, compare
from harness.divergence import Divergence, DivergenceLog, KnownDifference
from harness.errors import KVParityError, NotKeysValuesError, TraceError, UnusableCacheError, UsageError
from harness.loading import Scenario, adapt, build_cache, load_scenario, trace_path
from harness.operations import (
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
from harness.recording import TraceWriter
from harness.replay import Comparison, Driver
from harness.result import Result, merge
from harness.shadow import ShadowCache
from harness.trace import Answer, Recorded, Trace
from harness.values import KeysValues, fingerprint

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
    "compare",
    "fingerprint",
    "init",
    "load_scenario",
    "merge",
    "trace_path",
]
