"""A state machine as plain data: which event leads from which state where. No I/O, no behaviour."""

from collections.abc import Iterable
from typing import NamedTuple


class Transition(NamedTuple):
    """One legal step. `guard` says in words when the step is taken; the deciding code implements it."""

    source: str
    event: str
    target: str
    guard: str


class IllegalTransitionError(Exception):
    """A step that the transition table does not allow."""


def after(table: Iterable[Transition], source: str, event: str) -> frozenset[str]:
    """The states that `event` may lead to from `source`; empty where the event is not allowed."""
    return frozenset(step.target for step in table if step.source == source and step.event == event)


def sources(table: Iterable[Transition], event: str) -> tuple[str, ...]:
    """The states in which `event` is allowed, sorted: the guard of a conditional UPDATE."""
    return tuple(sorted({step.source for step in table if step.event == event}))


def diagram(table: Iterable[Transition]) -> str:
    """The table as a Mermaid state diagram; steps that change nothing are left out."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for step in table:
        if step.source != step.target:
            arrows.setdefault((step.source, step.target), []).append(step.event)
    lines = [f"    {source} --> {target}: {', '.join(events)}" for (source, target), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", *lines])
