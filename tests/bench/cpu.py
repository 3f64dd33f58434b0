"""CPU time of groups of processes: each leader with all its descendants, the living and those that have ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of CPU (user and system) of each group since its processes began."""

    seconds: Mapping[str, float]

    @classmethod
    def read(cls, leaders: Mapping[str, int]) -> Self:
        return cls({name: family_s(pid) for name, pid in leaders.items()})

    def since(self, before: "Cpu") -> dict[str, float]:
        return {name: seconds - before.seconds.get(name, 0.0) for name, seconds in self.seconds.items()}


def family_s(leader: int) -> float:
    """A process counts the time of the children that it has waited for: PostgreSQL's closed sessions are in it."""
    total = 0.0
    for member in family(leader):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def family(leader: int) -> list[psutil.Process]:
    process = psutil.Process(leader)
    return [process, *process.children(recursive=True)]


def memory_bytes(leader: int) -> int:
    """Resident memory of a process and its descendants."""
    total = 0
    for member in family(leader):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
