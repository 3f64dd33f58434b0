"""Stripe's idempotency keys: the first result is kept and replayed, other parameters are refused, old keys go."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workers.simulators.clock import Clock
from workers.simulators.journal import Journal

# "Keys can be removed from the system automatically after they are at least 24 hours old": the worst case is at once.
LIFETIME = timedelta(hours=24)

Key = tuple[str, str]  # connected account, idempotency key


@dataclass(frozen=True, slots=True)
class Kept:
    fingerprint: str
    status: int
    body: bytes
    kept_at: datetime


class Keys:
    """`in_use` are the keys of requests that are being worked on, late executions included."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._kept: dict[Key, Kept] = {}
        self._in_use: dict[Key, str] = {}
        self._lost: set[Key] = set()

    def find(self, key: Key) -> Kept | None:
        self._prune()
        return self._kept.get(key)

    def used_by(self, key: Key) -> str | None:
        """The fingerprint of the request that is being worked on under this key."""
        return self._in_use.get(key)

    def begin(self, key: Key, fingerprint: str) -> None:
        self._in_use[key] = fingerprint

    def end(self, key: Key) -> None:
        self._in_use.pop(key, None)

    def keep(self, key: Key, fingerprint: str, status: int, body: bytes, *, since: datetime | None = None) -> None:
        """`since` is when the result came about, if that was before now."""
        kept = Kept(fingerprint, status, body, since or self._clock.now())
        self._kept[key] = kept
        self._journal.append(
            "kept",
            {
                "key": key,
                "fingerprint": fingerprint,
                "status": status,
                "body": body.decode(),
                "kept_at": kept.kept_at.isoformat(),
            },
        )

    def restore(self, record: Mapping[str, Any]) -> None:
        account, key = record["key"]
        self._kept[account, key] = Kept(
            record["fingerprint"],
            record["status"],
            record["body"].encode(),
            datetime.fromisoformat(record["kept_at"]),
        )

    def lose_first_send(self, key: Key) -> bool:
        """Whether this is the first send under the key. Trouble on the wire hits one send, not a card for ever."""
        if key in self._lost:
            return False
        self._lost.add(key)
        return True

    def clear(self) -> None:
        self._kept.clear()
        self._in_use.clear()
        self._lost.clear()

    def _prune(self) -> None:
        oldest_alive = self._clock.now() - LIFETIME
        while self._kept:
            key = next(iter(self._kept))
            if self._kept[key].kept_at > oldest_alive:
                return
            del self._kept[key]
