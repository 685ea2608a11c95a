"""The error limit: how often a candidate may fail."""

from __future__ import annotations

from kvparity.training.inline.error_limit import ErrorLimit


def test_more_errors_than_allowed_are_a_reason_to_stop() -> None:
    """The reason names both numbers."""
    limit = ErrorLimit(1000)
    assert limit.check(1000) is None
    assert limit.check(1001) == "it failed in 1,001 operations; 1,000 were allowed"
