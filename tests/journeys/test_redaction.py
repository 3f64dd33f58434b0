"""Nothing about a client leaves the database: not in logs, not in messages, not to a processor."""

import asyncio
import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pika
import pytest

from services.cli.import_folder import run_import
from services.cli.read_folder import read_folder
from services.development.sandbox import Sandbox
from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, finish, rows
from tests.journeys.sandboxes import SAMPLE, running, virtual_host
from tests.rabbitmq_vhost import RabbitMQ

TYPED_NUMBER = "SPRING COPAY 7"
TAP = "tap"
"""The queue in which RabbitMQ's tracing puts a copy of every message published in the virtual host."""


@pytest.fixture(scope="module")
def spoken(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Everything that left the processes during a whole run of the sample, by where it was seen."""
    directory = tmp_path_factory.mktemp("redaction")
    with virtual_host(servers) as (own, broker), running(own, directory) as box:
        tap(broker)
        asyncio.run(run_import(box.database_url, read_folder(SAMPLE), actor="tests"))
        practices = [sample_practice(box, external_id) for (external_id,) in enrolled(box)]
        for practice in practices:
            ask_badly(practice)
        batches = [(practice, practice.submit(number=TYPED_NUMBER)) for practice in practices]
        for practice, batch in batches:
            practice.some(batch, "approved", "settled")
        vantage, batch = batches[-1]
        vantage.void(batch)
        finish(box)
        said = {f"requests of {name}": json.dumps(box.control(name, "requests")) for name in ProcessorName}
        said |= {f"message {n}": text for n, text in enumerate(messages(broker))}
    # Read after the processes have ended: what they say when they stop counts too.
    return said | {file.name: file.read_text(errors="replace") for file in directory.iterdir()}


def tap(broker: RabbitMQ) -> None:
    broker.management.put("vhosts", broker.vhost, body={"tracing": True})
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare(TAP, durable=True)
        channel.queue_bind(TAP, "amq.rabbitmq.trace", "publish.#")


def messages(broker: RabbitMQ) -> Iterator[str]:
    """Body and headers of every message that was published."""
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(TAP, auto_ack=True)
            if method is None:
                return
            yield f"{method.routing_key} {properties.headers} {body.decode(errors='replace')}"


def enrolled(box: Sandbox) -> list[tuple[str]]:
    return rows(box, "SELECT external_id FROM practice WHERE enrolled ORDER BY processor, external_id")


def sample_practice(box: Sandbox, external_id: str) -> Journey:
    (processor, account) = rows(
        box, "SELECT processor, processor_account FROM practice WHERE external_id = %s", external_id
    )[0]
    export = Export(processor=ProcessorName(processor), id=external_id)
    export.account = account
    return Journey(box=box, export=export, folder=Path())


def ask_badly(practice: Journey) -> None:
    """Requests that hold a client's data or a typed number and fail: refused, and by a fault of ours."""
    client = samples("clients.csv")[0]["name"]
    practice.api(f"invoices?client={quote(client)}")
    confirmed = practice.preview(number=TYPED_NUMBER)
    for body in (
        {**confirmed, "payment_number": TYPED_NUMBER * 20},
        {**confirmed, "matching": {"client": client, client: TYPED_NUMBER}},
        {**confirmed, "invoices": [client]},
    ):
        with suppressed_refusal():
            practice.api("batches", body, key="refused")
    with broken_table(practice.box), suppressed_refusal():
        practice.api("batches", {**confirmed, "matching": {"client": client.split()[0]}}, key="broken")


@contextmanager
def suppressed_refusal() -> Iterator[None]:
    with suppress(HTTPError):
        try:
            yield
        except HTTPError as error:
            error.close()
            raise


@contextmanager
def broken_table(box: Sandbox) -> Iterator[None]:
    """As after a wrong migration: a submit fails inside, with its request in every frame of the traceback."""
    rows(box, "ALTER TABLE audit_entry RENAME TO audit_entry_away")
    try:
        yield
    finally:
        rows(box, "ALTER TABLE audit_entry_away RENAME TO audit_entry")


# --- The search -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hit:
    where: str
    term: str
    around: str


def samples(file: str) -> list[dict[str, str]]:
    with (SAMPLE / file).open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def terms() -> list[str]:
    """Every client's name and its parts, e-mail, session description, and the typed number."""
    clients = samples("clients.csv")
    names = {client["name"] for client in clients}
    parts = {part for name in names for part in name.split() if len(part) > 3}
    descriptions = {session["description"] for session in samples("sessions.csv")}
    return sorted(names | parts | descriptions | {client["email"] for client in clients} | {TYPED_NUMBER})


def search(texts: Mapping[str, str]) -> list[Hit]:
    """Where a term stands as a word of its own, in any case, also as JSON and URLs escape it."""
    forms = {form.casefold() for term in terms() for form in (term, json.dumps(term)[1:-1], quote(term))}
    return [hit for where, text in texts.items() for hit in _hits(where, text.casefold(), forms)]


def _hits(where: str, text: str, forms: set[str]) -> Iterator[Hit]:
    for form in forms:
        # Nearly every term is nowhere: finding that out this way is a hundred times cheaper than by an expression.
        if form in text:
            for match in re.finditer(rf"(?<![^\W_]){re.escape(form)}(?![^\W_])", text):
                yield Hit(where, form, text[max(match.start() - 80, 0) : match.end() + 80])


def test_a_whole_run_says_nothing_about_any_client(spoken: dict[str, str]) -> None:
    hits = search(spoken)
    assert not hits, (len(hits), {hit.where: hit for hit in hits})


def test_the_run_spoke_everywhere(spoken: dict[str, str]) -> None:
    assert sum(name.startswith("message ") for name in spoken) > 300
    assert any("payment.approved" in text for name, text in spoken.items() if name.startswith("message "))
    assert any("charge.stripe.v1" in text for name, text in spoken.items() if name.startswith("message "))
    for name in ("charge-vantage.log", "charge-stripe.log", "voids.log", "janitor.log"):
        assert "payment_" in spoken[name], name
    for name in ProcessorName:
        assert len(spoken[f"requests of {name}"]) > 10_000


@pytest.mark.parametrize("term", ["Siobhán", "Łukasz", TYPED_NUMBER, "client1@cedar.example", "Family psychotherapy"])
@pytest.mark.parametrize("escape", [str, json.dumps, quote, str.upper], ids=["plain", "json", "url", "case"])
def test_the_search_finds_what_is_planted(spoken: dict[str, str], term: str, escape: Any) -> None:
    planted = f'{{"event":"payment_claim","detail":"{escape(term)}"}}\n'
    assert search({"janitor.log": spoken["janitor.log"] + planted})
