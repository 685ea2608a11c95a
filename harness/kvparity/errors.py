"""Every error that kvparity raises on purpose.

KVParityError                 all of the below; the command line prints it as one line and exits with status 2
├── UsageError                a name, option or number that cannot be used
├── NotKeysValuesError        an object without the structure of a key/value cache entry
├── UnusableCacheError        a cache that cannot be built, or that lacks a method
├── TraceError                a file that is not a readable `.kvtrace`, or that cannot be written
└── DivergedError             a divergence in a training that stops at the first one

Bad arguments of our own caches (an `env_id` out of range, a pool without slots) raise `ValueError`, as callers of a
cache expect.
"""

from __future__ import annotations

import sys
import warnings


class KVParityError(Exception):
    """The root of the tree drawn above."""


class UsageError(KVParityError):
    """A name, an option or a number that cannot be used."""


class NotKeysValuesError(KVParityError):
    """An object without the structure of a key/value cache entry."""


class UnusableCacheError(KVParityError):
    """A cache that cannot be built, or that lacks a method."""


class TraceError(KVParityError):
    """A file that is not a readable `.kvtrace`, or that cannot be written."""


class DivergedError(KVParityError):
    """The two caches of a training diverged, and the training stops at the first divergence."""


def warn(message: str) -> None:
    """Warn. This never raises, even if the program turns warnings into errors."""
    try:
        warnings.warn(f"kvparity: {message}", UserWarning, stacklevel=2)
    except Exception:  # noqa: BLE001  warnings are errors here, or the program's own function that shows them fails
        sys.stderr.write(f"kvparity: warning: {message}\n")
