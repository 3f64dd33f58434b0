"""The truth ledger: what really moved at a simulated processor, per reference. Tests compare our database with it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from workers.simulators.journal import Journal


class Move(StrEnum):
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"
    CHARGEBACK = "chargeback"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One transaction as the processor booked it.

    `moved` is False for refused and unfinished ones: they are kept because a search shows them, but are no money
    fact. `reference` is the client's (Vantage Invoice, Stripe idempotency key); `parent_ref` is the charge that a
    void, refund or chargeback belongs to. `details` belongs to the simulator alone. `state` is its word: a charge
    that stands is `taken`, later `voided`, `refunded`, `partly_refunded` or `charged_back`.
    """

    kind: Move
    reference: str
    account: str
    payer: str
    token: str
    amount_minor: int
    currency: str
    state: str
    moved: bool
    processor_ref: str
    executed_at: datetime
    history_ref: str = ""
    parent_ref: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    number: int = -1

    def facts(self) -> dict[str, Any]:
        """The money facts, as JSON; the same keys for both simulators."""
        return {name: value for name, value in self.record().items() if name not in {"details", "number"}}

    def record(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in _FIELDS}
        record["executed_at"] = self.executed_at.isoformat()
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Entry":
        executed_at = datetime.fromisoformat(record["executed_at"])
        return cls(**{**record, "kind": Move(record["kind"]), "executed_at": executed_at})


_FIELDS = tuple(each.name for each in fields(Entry))


class Ledger:
    """Entries in the order in which they executed, findable by what each side knows of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._entries: list[Entry] = []
        self._by_reference: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._by_processor_ref: dict[tuple[str, str], Entry] = {}
        self._by_history_ref: dict[str, Entry] = {}
        self._children: dict[tuple[str, str], list[Entry]] = defaultdict(list)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> Entry:
        self._journal.append("entry", entry.record())
        return self._index(entry)

    def restate(self, entry: Entry, state: str, *, moved: bool | None = None, **details: Any) -> None:
        """Change the state (and `moved`, and details) of an entry, for good."""
        moved = entry.moved if moved is None else moved
        self._journal.append("restate", {"number": entry.number, "state": state, "moved": moved, "details": details})
        self._apply(entry, state=state, moved=moved, details=details)

    def by_reference(self, account: str, reference: str) -> list[Entry]:
        return list(self._by_reference.get((account, reference), ()))

    def by_processor_ref(self, account: str, processor_ref: str) -> Entry | None:
        return self._by_processor_ref.get((account, processor_ref))

    def by_history_ref(self, history_ref: str) -> Entry | None:
        return self._by_history_ref.get(history_ref)

    def children(self, parent: Entry) -> list[Entry]:
        """Voids, refunds and chargebacks of a charge."""
        return list(self._children.get((parent.account, parent.processor_ref), ()))

    def executions(self, reference: str) -> int:
        """How many charges moved money under this reference: more than one is a double charge."""
        return sum(entry.moved and entry.kind is Move.CHARGE and entry.reference == reference for entry in self)

    def facts(self, *, account: str | None = None, reference: str | None = None) -> list[dict[str, Any]]:
        """Money facts only: what moved, oldest first."""
        return [
            entry.facts()
            for entry in self._entries
            if entry.moved and account in {None, entry.account} and reference in {None, entry.reference}
        ]

    def restore_entry(self, record: Mapping[str, Any]) -> None:
        self._index(Entry.from_record(record))

    def restore_state(self, record: Mapping[str, Any]) -> None:
        entry = self._entries[record["number"]]
        self._apply(entry, state=record["state"], moved=record["moved"], details=record["details"])

    def clear(self) -> None:
        self._entries.clear()
        for index in (self._by_reference, self._by_processor_ref, self._by_history_ref, self._children):
            index.clear()

    @staticmethod
    def _apply(entry: Entry, *, state: str, moved: bool, details: Mapping[str, Any]) -> None:
        entry.state = state
        entry.moved = moved
        entry.details.update(details)

    def _index(self, entry: Entry) -> Entry:
        # The position is how a later change of state finds its entry again in the journal.
        entry.number = len(self._entries)
        self._entries.append(entry)
        self._by_reference[entry.account, entry.reference].append(entry)
        if entry.processor_ref:
            self._by_processor_ref.setdefault((entry.account, entry.processor_ref), entry)
        if entry.history_ref:
            self._by_history_ref[entry.history_ref] = entry
        if entry.parent_ref:
            self._children[entry.account, entry.parent_ref].append(entry)
        return entry
