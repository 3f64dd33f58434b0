"""Stored payment methods of a simulated processor and how each behaves, with one-shot scripts that win over them."""

import csv
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.domain.words import ProcessorName
from workers.simulators.behaviour import APPROVE, Behaviour, Kind, UnknownBehaviourError
from workers.simulators.journal import Journal

COLUMNS = ("processor", "account", "payer_id", "token", "behaviour")


class BadVaultError(ValueError):
    """The vault file cannot be used; the message names file, line, value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Method:
    """One stored payment method."""

    account: str
    payer: str
    token: str


@dataclass(slots=True)
class Script:
    """A behaviour for the next `times` requests that match; an empty field matches everything."""

    behaviour: Behaviour
    operation: str = ""
    account: str = ""
    token: str = ""
    times: int = 1

    def matches(self, *, operation: str, account: str, token: str) -> bool:
        return self.operation in {"", operation} and self.account in {"", account} and self.token in {"", token}


class Vault:
    """Behaviours by method. Settings by control call are journaled; scripts and 429 counters live in memory only."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._behaviours: dict[Method, Behaviour] = {}
        self._by_token: dict[str, set[Method]] = {}
        self._by_payer: dict[str, set[Method]] = {}
        self._put: dict[Method, Behaviour] = {}
        self._scripts: deque[Script] = deque()
        self._limited: dict[Method, int] = {}

    def load(self, path: Path, processor: ProcessorName) -> int:
        """Take one processor's rows of a vault.csv; returns how many. Raises BadVaultError."""
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise BadVaultError(f"{path}: the header lacks {', '.join(missing)}; needed: {','.join(COLUMNS)}")
            count = 0
            for row in rows:
                if row["processor"] != processor:
                    continue
                try:
                    behaviour = Behaviour.parse(row["behaviour"] or "")
                except UnknownBehaviourError as error:
                    raise BadVaultError(f"{path}:{rows.line_num}: {error}") from error
                self._set(Method(row["account"], row["payer_id"], row["token"]), behaviour)
                count += 1
        return count

    def put(self, method: Method, behaviour: Behaviour) -> None:
        self._note(method, behaviour)
        self._put[method] = behaviour
        self._set(method, behaviour)

    def restore(self, record: Mapping[str, str]) -> None:
        method = Method(record["account"], record["payer"], record["token"])
        self._put[method] = Behaviour.parse(record["behaviour"])
        self._set(method, self._put[method])

    def script(self, script: Script) -> None:
        """Queue a one-shot behaviour; scripts are used in the order in which they were given."""
        self._scripts.append(script)

    def knows(self, method: Method) -> bool:
        return method in self._behaviours

    def belongs_to(self, token: str) -> set[Method]:
        """All methods with this token: Stripe's test tokens are shared by many customers."""
        return set(self._by_token.get(token, ()))

    def knows_payer(self, payer: str) -> bool:
        return payer in self._by_payer

    def take(self, operation: str, method: Method) -> Behaviour:
        """What the next `operation` (charge, void, refund, lookup, ...) on this method does; uses scripts up.

        The vault's own behaviour speaks for charges only: every other operation is normal unless scripted.
        """
        if self._scripts:
            scripted = self._take_script(operation, method)
            if scripted is not None:
                return scripted
        if operation != "charge":
            return APPROVE
        behaviour = self._behaviours.get(method, APPROVE)
        return self._count_limited(method, behaviour) if behaviour.kind is Kind.RATE_LIMITED else behaviour

    def clear(self) -> None:
        """Forget scripts and counters. The methods stay, also in the journal, which was just erased."""
        self._scripts.clear()
        self._limited.clear()
        for method, behaviour in self._put.items():
            self._note(method, behaviour)

    def _note(self, method: Method, behaviour: Behaviour) -> None:
        self._journal.append(
            "behaviour",
            {"account": method.account, "payer": method.payer, "token": method.token, "behaviour": behaviour.text},
        )

    def _set(self, method: Method, behaviour: Behaviour) -> None:
        self._behaviours[method] = behaviour
        self._by_token.setdefault(method.token, set()).add(method)
        self._by_payer.setdefault(method.payer, set()).add(method)
        self._limited.pop(method, None)

    def _take_script(self, operation: str, method: Method) -> Behaviour | None:
        for script in self._scripts:
            if script.matches(operation=operation, account=method.account, token=method.token):
                script.times -= 1
                if script.times <= 0:
                    self._scripts.remove(script)
                return script.behaviour
        return None

    def _count_limited(self, method: Method, behaviour: Behaviour) -> Behaviour:
        seen = self._limited.get(method, 0)
        if seen >= behaviour.number:
            return APPROVE
        self._limited[method] = seen + 1
        return behaviour
