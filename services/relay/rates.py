"""Limits to charges per second, kept for all relays together in PostgreSQL: one update a look, not one a charge."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Connection

from shared.store import rates
from shared.store.outbox import Hint, WaitingBatch
from shared.store.rates import Rate

# What may leave at once after a pause, in seconds of the rate.
BURST_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hints per second of one lane, None without a limit: of the processor in all, and of each merchant account."""

    in_all: float | None = None
    per_account: float | None = None

    @property
    def any(self) -> bool:
        return self.in_all is not None or self.per_account is not None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a lane may publish now, by key: the lane's own, and `lane account`."""

    lane: str
    limits: Limits
    left: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection[Any], lane: str, limits: Limits, batches: Iterable[WaitingBatch]) -> "Allowance":
        """Read and refill the levels; other relays wait for them until the transaction ends."""
        asked: dict[str, Rate] = {}
        if limits.in_all is not None:
            asked[lane] = _rate(lane, limits.in_all)
        if limits.per_account is not None:
            asked |= {
                key: _rate(key, limits.per_account)
                for key in (_key(lane, batch.account) for batch in batches if batch.account)
            }
        return cls(lane, limits, rates.refill(connection, asked.values()) if asked else {})

    def room(self, room: int) -> int:
        """`room`, or less if the processor's limit is nearer."""
        return min(room, int(self.left.get(self.lane, room)))

    def open(self, batches: Sequence[WaitingBatch]) -> list[WaitingBatch]:
        """The batches whose accounts may be charged now."""
        return [batch for batch in batches if self._left_of(batch) >= 1]

    def spend(self, connection: Connection[Any], hints: Sequence[Hint], batches: Sequence[WaitingBatch]) -> list[Hint]:
        """The first of `hints` that keep to every limit, whose levels fall by them."""
        if not self.left:
            return list(hints)
        of_batch = {batch.id: batch for batch in batches}
        left = dict(self.left)
        kept: list[Hint] = []
        for hint in hints:
            keys = [key for key in (self.lane, _key(self.lane, of_batch[hint.batch_id].account)) if key in left]
            if all(left[key] >= 1 for key in keys):
                kept.append(hint)
                left |= {key: left[key] - 1 for key in keys}
        rates.write(connection, left)
        return kept

    def _left_of(self, batch: WaitingBatch) -> float:
        return self.left.get(_key(self.lane, batch.account), 1.0)


def _key(lane: str, account: str | None) -> str:
    return f"{lane} {account}"


def _rate(key: str, per_s: float) -> Rate:
    # At least one, or a limit below 1/BURST_S would never let anything pass.
    return Rate(key, per_s, max(1.0, per_s * BURST_S))
