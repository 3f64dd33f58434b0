"""What every simulated processor is made of: journal, clock, vault, truth ledger and the log of requests."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from workers.simulators.clock import Clock
from workers.simulators.journal import Journal, Replay
from workers.simulators.ledger import Ledger
from workers.simulators.vault import Vault

# A whole run of the sample is about 3,000 requests; the bound keeps a load test from eating the memory.
REQUESTS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; credentials are masked when it is shown (control.py)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def _no_faults(event: Mapping[str, Any]) -> Mapping[str, Any]:
    raise ValueError(f"this simulator has no out-of-band events, got {event!r}")


def _nothing() -> None:
    """Reset of a simulator without state of its own."""


@dataclass(slots=True)
class Core:
    """`faults` answers POST /_control/faults and `on_reset` clears a simulator's own state; both are set by it."""

    name: str
    journal: Journal = field(default_factory=Journal)
    requests_kept: int = REQUESTS_KEPT
    clock: Clock = field(init=False, default_factory=Clock)
    vault: Vault = field(init=False)
    ledger: Ledger = field(init=False)
    requests: deque[Received] = field(init=False)
    faults: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(init=False, default=_no_faults)
    on_reset: Callable[[], None] = field(init=False, default=_nothing)

    def __post_init__(self) -> None:
        self.vault = Vault(self.journal)
        self.ledger = Ledger(self.journal)
        self.requests = deque(maxlen=self.requests_kept)

    @classmethod
    def with_state(cls, name: str, path: Path | None) -> "Core":
        return cls(name, Journal(path))

    def open(self, own_records: Mapping[str, Replay] | None = None) -> None:
        """Replay the state file. Call once, after the vault is loaded; `own_records` are the simulator's own kinds."""
        self.journal.open(
            {
                "behaviour": self.vault.restore,
                "entry": self.ledger.restore_entry,
                "restate": self.ledger.restore_state,
                "clock": self._restore_clock,
                **(own_records or {}),
            }
        )

    async def receive(self, request: web.Request) -> bytes:
        """Log a request, let due deeds happen, return its body. The first thing every wire handler does."""
        body = await request.read()
        self.requests.append(Received(request.method, request.raw_path, request.headers, body))
        self.clock.run_due()
        return body

    def clock_moved(self) -> None:
        self.journal.append("clock", {"offset_s": self.clock.offset.total_seconds()})

    def reset(self) -> None:
        """Back to the state after the start: the vault's methods stay, everything that happened is forgotten."""
        self.journal.erase()
        self.clock.reset()
        self.vault.clear()
        self.ledger.clear()
        self.requests.clear()
        self.on_reset()

    def _restore_clock(self, record: Mapping[str, Any]) -> None:
        self.clock.advance(timedelta(seconds=record["offset_s"]) - self.clock.offset)
