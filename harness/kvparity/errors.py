"""Every error that kvparity raises on purpose.

KVParityError                 anything below; the command line prints it as one line and exits with status 2
├── UsageError                a name, option or number that cannot be used
├── NotKeysValuesError        an object that has not the structure of a key/value cache entry
├── UnusableCacheError        a cache that cannot be built, or that lacks a method
├── TraceError                a file that is not a readable `.kvtrace`
└── DivergedError             a training was to stop at a divergence, and there was one

Bad arguments given to a cache itself (an `env_id` out of range, a pool of no slots) are plain `ValueError`s, as
callers of a cache expect.
"""

from __future__ import annotations

import sys
import warnings


class KVParityError(Exception):
    """The root of the tree drawn above."""


class UsageError(KVParityError):
    """A name, an option or a number that cannot be used."""


class NotKeysValuesError(KVParityError):
    """An object that has not the structure of a key/value cache entry."""


class UnusableCacheError(KVParityError):
    """A cache that cannot be built, or that lacks a method."""


class TraceError(KVParityError):
    """A file that is not a readable `.kvtrace`, or one that cannot be written."""


class DivergedError(KVParityError):
    """The two caches of a training diverged, and the training was to stop then."""


def warn(message: str) -> None:
    """A warning that never becomes an exception, whatever the run's filters say."""
    try:
        warnings.warn(f"kvparity: {message}", UserWarning, stacklevel=2)
    except Exception:  # noqa: BLE001  the run's filters make it an error, or its own way to show warnings fails
        sys.stderr.write(f"kvparity: warning: {message}\n")
