"""Export folders of an invented practice, written and imported the way an upstream product would push them."""

import asyncio
import csv
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from services.cli.import_folder import run_import
from services.cli.read_folder import FILES, read_folder
from shared.domain.words import ProcessorName

SERVED_ON: Final = date(2026, 10, 1)
DUE_MINOR: Final = 2500


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client with one default card, and the ids of the client's invoices."""

    id: str
    card: str
    payer_id: str
    token: str
    invoices: list[str]


@dataclass(kw_only=True)
class Export:
    """The rows of one practice. Change them and `land` again: that is a push."""

    processor: ProcessorName
    id: str = field(default_factory=lambda: f"prac-{secrets.token_hex(4)}")
    behaviours: list[dict[str, str]] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind.kind: [] for kind in FILES})

    def __post_init__(self) -> None:
        # Vantage's accounts are numbers; both must be unique, because the processors outlive a practice of a test.
        number = str(secrets.randbelow(900_000_000) + 100_000_000)
        self.account = number if self.processor is ProcessorName.VANTAGE else f"acct_{number}"
        self.rows["practice"] = [
            {
                "practice_id": self.id,
                "name": f"Practice {self.id}",
                "timezone": "America/New_York",
                "currency": "USD",
                "processor": self.processor.value,
                "processor_account": self.account,
                "enrolled": True,
            }
        ]
        self.rows["clinician"] = [
            {"practice_id": self.id, "clinician_id": f"{self.id}-dr{n}", "name": f"Doctor {n}"} for n in (1, 2)
        ]

    def client(
        self,
        behaviour: str = "approve",
        *,
        due_minor: Sequence[int] = (DUE_MINOR,),
        clinician: int = 1,
        sharing: Client | None = None,
    ) -> Client:
        """A client whose card behaves like `behaviour` and who owes an invoice over each amount of `due_minor`.

        `sharing`: the card is stored at the processor under another client's payer and token, as in a family.
        """
        number = len(self.rows["client"]) + 1
        client_id = f"{self.id}-c{number}"
        token = str(secrets.token_hex(16)) if self.processor is ProcessorName.VANTAGE else f"pm_{secrets.token_hex(8)}"
        payer = (
            str(secrets.randbelow(9 * 10**15) + 10**15)
            if self.processor is ProcessorName.VANTAGE
            else f"cus_{secrets.token_hex(7)}"
        )
        client = Client(
            id=client_id,
            card=f"{client_id}-m1",
            payer_id=sharing.payer_id if sharing else payer,
            token=sharing.token if sharing else token,
            invoices=[f"{client_id}-i{n}" for n in range(1, len(due_minor) + 1)],
        )
        self.rows["client"].append(
            {
                "practice_id": self.id,
                "client_id": client_id,
                "name": f"Client {number}",
                "email": f"client{number}@{self.id}.example",
                "clinician_id": f"{self.id}-dr{clinician}",
            }
        )
        self.card(client, client.card, is_default=True)
        self.behave(client, behaviour)
        for invoice, amount in zip(client.invoices, due_minor, strict=True):
            self._invoice(client, invoice, amount, clinician)
        return client

    def card(self, client: Client, card: str, *, is_default: bool) -> None:
        """Store a card for a client, under the client's own token."""
        self.rows["payment_method"].append(
            {
                "practice_id": self.id,
                "client_id": client.id,
                "payment_method_id": card,
                "processor": self.processor.value,
                "type": "card",
                "brand": "visa",
                "last4": "4242",
                "exp_month": 12,
                "exp_year": 2099,
                "payer_id": client.payer_id,
                "token": client.token,
                "is_default": is_default,
                "first_charged_on": "2026-01-05",
            }
        )

    def behave(self, client: Client, behaviour: str) -> None:
        """What the processor does with charges of the client's card."""
        where = {"account": self.account, "payer": client.payer_id, "token": client.token}
        self.behaviours.append({**where, "behaviour": behaviour})

    def _invoice(self, client: Client, invoice: str, amount_minor: int, clinician: int) -> None:
        self.rows["invoice"].append(
            {
                "practice_id": self.id,
                "invoice_id": invoice,
                "invoice_number": f"INV-{len(self.rows['invoice']) + 1}",
                "client_id": client.id,
                "currency": "USD",
                "total_minor": amount_minor,
                "amount_due_minor": amount_minor,
                "issued_on": SERVED_ON.isoformat(),
                "status": "open",
            }
        )
        self.rows["session"].append(
            {
                "practice_id": self.id,
                "invoice_id": invoice,
                "session_id": f"{invoice}-s1",
                "service_date": SERVED_ON.isoformat(),
                "clinician_id": f"{self.id}-dr{clinician}",
                "description": "Psychotherapy",
                "amount_minor": amount_minor,
            }
        )

    def change(self, kind: str, row_id: str, **values: Any) -> None:
        """Change one row, to be pushed by the next `land`."""
        key = f"{kind}_id"
        (row,) = [row for row in self.rows[kind] if row[key] == row_id]
        row.update(values)

    def write(self, folder: Path) -> Path:
        """The folder with the CSV files, and the vault for the simulators."""
        folder.mkdir(exist_ok=True)
        for kind, file in FILES.items():
            rows = self.rows[kind.kind]
            _write(folder / file, [name for name in kind.model_fields if any(name in row for row in rows)], rows)
        columns = ["processor", "account", "payer_id", "token", "behaviour"]
        vault = [{**row, "processor": self.processor.value, "payer_id": row["payer"]} for row in self.behaviours]
        _write(folder / "vault.csv", columns, vault)
        return folder

    def land(self, database_url: str, folder: Path) -> None:
        """Import the rows as they are now."""
        imported = asyncio.run(run_import(database_url, read_folder(self.write(folder)), actor="tests"))
        assert not imported.bad, imported.bad


def _write(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({name: _cell(row[name]) for name in columns} for row in rows)


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
