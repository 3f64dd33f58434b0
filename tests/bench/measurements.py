"""What a run has measured so far: raw values round by round, and the lines that are drawn from them."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.bench.statistics import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A line of the table of targets: `at_most` or at least `bound`."""

    metric: str
    value: Spread
    bound: float
    at_most: bool

    @property
    def met(self) -> bool:
        return self.value.median <= self.bound if self.at_most else self.value.median >= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender under one condition: a spread for each column."""

    name: str
    title: str
    values: dict[str, Spread]


@dataclass(slots=True)
class Measurements:
    """`raw` keeps every round for later questions."""

    raw: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    tables: dict[str, list[Row]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
