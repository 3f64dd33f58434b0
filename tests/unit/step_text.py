"""How a step reads in `whole_steps.txt`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.resolving import Refused
from shared.domain.snapshot import Attempt, Step
from tests.snapshots import NOW


def told(given: Step | Refused | None, attempts: Sequence[Attempt]) -> str:
    if given is None:
        return "  nothing\n"
    if isinstance(given, Refused):
        return f"  refused: {given.reason}\n"
    lines = [
        f"{given.event}: {given.before.state} > {given.after.state}",
        _changes("payment", given.before, given.after),
    ]
    if given.attempt:
        before = next((one for one in attempts if one.id == given.attempt.id), None)
        lines.append(_changes(f"attempt {given.attempt.n}", before, given.attempt))
    if given.detail:
        lines.append(f"detail {given.detail}")
    if given.finding:
        lines.append(f"finding {given.finding.kind}: {given.finding.detail}")
    return "".join(f"  {line}\n" for line in lines)


def _changes(name: str, before: Any, after: Any) -> str:
    was = before._asdict() if before else {}
    changed = {
        field: value
        for field, value in after._asdict().items()
        if (field not in was or was[field] != value) and not (field == "state" and before)
    }
    return f"{name}: " + ", ".join(f"{field}={_short(value)}" for field, value in changed.items())


def _short(value: Any) -> str:
    match value:
        case datetime():
            return "now" if value == NOW else f"now{_signed(value - NOW)}"
        case UUID():
            return f"#{value.int}"
        case _:
            return str(value) if not isinstance(value, str) or value else "''"


def _signed(by: timedelta) -> str:
    return f"+{by}" if by >= timedelta(0) else f"-{-by}"
