"""Named places where a process can be made to die, so that tests see what every such death leaves behind.

`BATCHPAY_CRASH_AT=claim_committed` ends a process the first time that it comes to that place, as a power cut would;
`claim_committed:3` the third time. Only an environment whose name starts with `dev` has crash points: elsewhere a
process that is told to crash does not start.
"""

import os
from collections.abc import Mapping
from typing import Final, Literal, get_args

EXIT_CODE: Final = 86

# What has just happened: `written` is before its COMMIT, `committed` after it.
CrashPoint = Literal[
    "batch_written", "batch_committed", "void_marked", "void_asked",
    "relay_taken", "relay_confirmed", "relay_deleted",
    "claim_written", "claim_committed",
    "send_allowed", "send_answered",
    "record_written", "record_committed",
    "void_claim_written", "void_claim_committed",
    "step_written", "step_committed",
    "hints_written", "hints_committed", "leases_written", "leases_committed",
    "status_written", "status_committed",
]  # fmt: skip
CRASH_POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)


def read(environment: Mapping[str, str]) -> dict[CrashPoint, int]:
    """The place to die at and how often it is still to be reached; empty unless told. Raises ValueError."""
    wanted = environment.get("BATCHPAY_CRASH_AT")
    if not wanted:
        return {}
    where = environment.get("BATCHPAY_ENVIRONMENT", "")
    if not where.startswith("dev"):
        raise ValueError(f"BATCHPAY_CRASH_AT is for environments named dev..., and BATCHPAY_ENVIRONMENT is {where!r}")
    name, _, times = wanted.partition(":")
    for point in CRASH_POINTS:
        if point == name:
            return {point: int(times or 1)}
    raise ValueError(f"BATCHPAY_CRASH_AT is {wanted!r}; it must be one of {', '.join(CRASH_POINTS)}")


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
