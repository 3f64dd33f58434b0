"""How long a claim lasts, for each processor: protocol, section 2."""

from datetime import timedelta

import pytest

from workers.processors.port import Timing
from workers.processors.stripe import adapter as stripe
from workers.processors.vantage import adapter as vantage


@pytest.mark.parametrize(("timing", "lease_s"), [(stripe.TIMING, 60), (vantage.TIMING, 100)])
def test_trace_4_a_lease_outlives_the_last_byte_of_its_request_and_the_record(timing: Timing, lease_s: int) -> None:
    assert timing.lease == timedelta(seconds=lease_s)
    # The send budget is asked right before the first byte, with which the total deadline begins.
    last_byte = timing.send_budget + timing.total_deadline
    assert timing.lease - last_byte == timing.record_margin >= timedelta(seconds=20)
    assert timing.send_budget < timing.total_deadline
