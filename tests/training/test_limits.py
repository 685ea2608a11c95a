"""What a candidate may cost a training."""

from __future__ import annotations

import pytest

from kvparity import UsageError
from kvparity.training import Limits


@pytest.mark.parametrize(("share", "serving"), [(None, None), (0.01, 0.1), (0.3, 1.0)])
def test_where_it_serves_the_share_is_ten_times_as_large(share: float | None, serving: float | None) -> None:
    """At most all of wall time; no limit stays no limit; the seconds that may be spent in advance stay the same."""
    limits = Limits(share=share)
    found = limits.where_it_serves()
    assert found.share == serving
    assert found.warm_up_s * (serving or 1.0) == pytest.approx(limits.warm_up_s * (share or 1.0))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    """It is a fraction, not a percentage."""
    with pytest.raises(UsageError, match=r"must lie in \(0, 1\], got"):
        Limits(share=share)
