"""One event per fact, in one shape, with nobody's data in it."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from shared import logs
from shared.redaction import MASK, redact

# Test numbers of the card networks: Visa, Visa with 13 digits, Mastercard, American Express, 19 digits.
CARDS = ["4242424242424242", "4222222222222", "5555555555554444", "378282246310005", "6304000000000000000"]
PAYMENT = "0198c3d1-7c3e-7000-8123-0123456789ab"


@pytest.fixture
def stream() -> Iterator[io.BytesIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.BytesIO()
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def configured(stream: io.BytesIO, **given: Any) -> Any:
    logs.configure("charge-stripe", stream=stream, **{"format": "json", **given})
    return structlog.get_logger()


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_time_process_and_level(stream: io.BytesIO) -> None:
    configured(stream).info("payment_approve", payment_id=PAYMENT, attempt=1)
    (event,) = lines(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "payment_approve", "level": "info", "process": "charge-stripe", "payment_id": PAYMENT, "attempt": 1,
    }  # fmt: skip


def test_events_below_the_level_are_left_out(stream: io.BytesIO) -> None:
    log = configured(stream, level="warning")
    log.info("payment_approve")
    logging.getLogger("library").info("chatter")
    log.warning("record_retried")
    assert [event["event"] for event in lines(stream)] == ["record_retried"]


def test_what_libraries_log_comes_out_the_same_way(stream: io.BytesIO) -> None:
    configured(stream)
    with logs.working_on(batch_id="b-1"):
        logging.getLogger("pika.adapters").warning("lost %s", "amqp://guest:secret@host/")
    (event,) = lines(stream)
    assert (event["event"], event["logger"], event["level"]) == ("library_logged", "pika.adapters", "warning")
    assert event["message"] == f"lost amqp://{MASK}@host/"
    assert (event["batch_id"], event["process"]) == ("b-1", "charge-stripe")


def test_an_exception_is_in_the_event(stream: io.BytesIO) -> None:
    log = configured(stream)
    try:
        int("card 4242 4242 4242 4242 refused")
    except ValueError:
        log.exception("adapter_failed")
    (event,) = lines(stream)
    assert f"'card {MASK} refused'" in event["exception"]


def test_bound_ids_are_in_every_event_of_their_task_and_of_no_other(stream: io.BytesIO) -> None:
    log = configured(stream)

    async def work(n: int) -> None:
        with logs.working_on(payment_id=UUID(int=n), attempt=n):
            await asyncio.sleep(0)
            log.info("payment_claim", n=n)

    async def main() -> None:
        with logs.working_on(batch_id="b-1"):
            await asyncio.gather(work(1), work(2))
        log.info("worker_stopped")

    asyncio.run(main())
    *bound, last = lines(stream)
    assert [(event["batch_id"], event["attempt"], event["payment_id"]) for event in bound] == [
        ("b-1", n, str(UUID(int=n))) for n in (1, 2)
    ]
    assert set(last) == {"event", "level", "process", "timestamp"}


def test_pretty_lines_are_for_people(stream: io.BytesIO) -> None:
    configured(stream, format="pretty").info("payment_approve", payment_id=PAYMENT)
    assert b"payment_approve" in stream.getvalue()
    assert not stream.getvalue().startswith(b"{")


def test_a_value_that_json_does_not_know_is_written_as_text(stream: io.BytesIO) -> None:
    configured(stream).info("payment_approve", what=UUID(PAYMENT), error=ValueError("x"))
    (event,) = lines(stream)
    assert (event["what"], event["error"]) == (PAYMENT, "x")


# --- Redaction --------------------------------------------------------------------------------------------------------


def clean(**event: Any) -> dict[str, Any]:
    return dict(redact(None, "info", event))


@pytest.mark.parametrize(
    "key",
    ["name", "client_name", "email", "Email", "description", "payment_number", "body", "authorization", "Authorization",
     "token", "claim_token", "payer_id", "request_text", "api_key", "contact_email", "last4"],
)  # fmt: skip
def test_keys_that_may_hold_peoples_data_are_dropped_at_every_depth(key: str) -> None:
    assert clean(**{key: "Ada"}) == {}
    assert clean(detail={key: "Ada", "n": 1}) == {"detail": {"n": 1}}
    assert clean(details=[{"inner": {key: "Ada"}}]) == {"details": [{"inner": {}}]}


def test_the_systems_own_words_are_kept() -> None:
    event = {
        "routing_key": "payment.approved",
        "practice_id": "p-1",
        "batch": "BP-1048",
        "reference": f"dev-{PAYMENT}-1",
    }
    assert clean(**event) == event


@pytest.mark.parametrize("card", CARDS)
def test_card_numbers_are_masked_wherever_they_are(card: str) -> None:
    spaced = " ".join(card[at : at + 4] for at in range(0, len(card), 4))
    assert clean(detail=f"card {card} refused") == {"detail": f"card {MASK} refused"}
    assert clean(detail=f"card {spaced}.") == {"detail": f"card {MASK}."}
    assert clean(detail=spaced.replace(" ", "-")) == {"detail": MASK}
    assert clean(values=[int(card)]) == {"values": [MASK]}
    assert clean(detail=ValueError(f"pan={card}")) == {"detail": f"pan={MASK}"}


@pytest.mark.parametrize(
    "text",
    ["4242424242424241", "123456789012", "12345678901234567890123", PAYMENT, f"dev-{PAYMENT}-12",
     "2026-03-17T14:00:00Z", "00000000-0000-0000-0000-000000000000"],
)  # fmt: skip
def test_what_is_no_card_number_is_left_alone(text: str) -> None:
    assert clean(detail=text, more=f"about {text}") == {"detail": text, "more": f"about {text}"}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {MASK}"),
        ("basic dXNlcjpwYXNz", f"basic {MASK}"),
        ("postgresql://user:secret@host/db", f"postgresql://{MASK}@host/db"),
        ("sent to ada@example.org today", f"sent to {MASK} today"),
        ("duplicate key\nDETAIL:  Key (name)=(Ada) exists.\nHINT", f"duplicate key\n{MASK}\nHINT"),
    ],
)
def test_credentials_addresses_and_quoted_rows_are_masked(text: str, cleaned: str) -> None:
    assert clean(error=text) == {"error": cleaned}


def test_what_lies_too_deep_and_raw_bytes_are_not_logged() -> None:
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    assert MASK in str(clean(detail=deep))
    assert clean(detail=b"raw") == {"detail": MASK}
