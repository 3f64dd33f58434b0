"""Medians with their spread."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of several rounds."""

    median: float
    least: float
    greatest: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Raises ValueError without a value."""
        found = sorted(values)
        return cls(median(found), found[0], found[-1], len(found))


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> Spread:
    """Round by round: neighbours in time saw the same machine, so their ratio is steadier than either."""
    return Spread.of(one / other for one, other in zip(ours, theirs, strict=True))
