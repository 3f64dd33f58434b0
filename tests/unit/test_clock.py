"""The clock of send budgets."""

import sys
import time

from workers.clock import elapsed_s


def test_it_goes_on_while_the_machine_sleeps_where_that_can_be_known() -> None:
    linux = sys.platform == "linux"
    asleep_too = time.CLOCK_BOOTTIME if linux else time.CLOCK_MONOTONIC
    before = time.clock_gettime(asleep_too)
    assert before <= elapsed_s() <= time.clock_gettime(asleep_too)
