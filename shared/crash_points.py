"""Named places where a process can be made to die, so that tests see what every such death leaves behind.

`BATCHPAY_CRASH_AT=claim_committed` ends a process the first time that it comes to that place, as a power cut would;
`claim_committed:3` the third time. Only an environment whose name starts with `dev` has crash points: elsewhere a
process that is told to crash does not start.
"""

import os
from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final

EXIT_CODE: Final = 86


class CrashPoint(StrEnum):
    """What has just happened. `written` is before its COMMIT, `committed` after it."""

    BATCH_WRITTEN = auto()
    BATCH_COMMITTED = auto()
    VOID_MARKED = auto()
    VOID_ASKED = auto()

    RELAY_TAKEN = auto()
    RELAY_CONFIRMED = auto()
    RELAY_DELETED = auto()

    CLAIM_WRITTEN = auto()
    CLAIM_COMMITTED = auto()
    SEND_ALLOWED = auto()
    SEND_ANSWERED = auto()
    RECORD_WRITTEN = auto()
    RECORD_COMMITTED = auto()

    VOID_CLAIM_WRITTEN = auto()
    VOID_CLAIM_COMMITTED = auto()

    STEP_WRITTEN = auto()
    STEP_COMMITTED = auto()
    HINTS_WRITTEN = auto()
    HINTS_COMMITTED = auto()
    LEASES_WRITTEN = auto()
    LEASES_COMMITTED = auto()

    STATUS_WRITTEN = auto()
    STATUS_COMMITTED = auto()


def read(environment: Mapping[str, str]) -> dict[CrashPoint, int]:
    """The place to die at and how often it is still to be reached; empty unless told. Raises ValueError."""
    wanted = environment.get("BATCHPAY_CRASH_AT")
    if not wanted:
        return {}
    name = environment.get("BATCHPAY_ENVIRONMENT", "")
    if not name.startswith("dev"):
        raise ValueError(f"BATCHPAY_CRASH_AT is for environments named dev..., and BATCHPAY_ENVIRONMENT is {name!r}")
    point, _, times = wanted.partition(":")
    return {CrashPoint(point): int(times or 1)}


# Read while the process imports its modules, so that none starts that could crash where it must not.
_left: Final = read(os.environ)


def reached(point: CrashPoint) -> None:
    """Die here if this process was told to."""
    if _left:
        _count(point)


def _count(point: CrashPoint) -> None:
    if point in _left:
        _left[point] -= 1
        if not _left[point]:
            os._exit(EXIT_CODE)
