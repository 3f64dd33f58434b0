"""Billing staff resolve what is under review; the janitor's answer is played here."""

import re
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from tests import builders
from tests.console_client import Console, Visitor, draft_with, submit, with_console
from tests.submit_service import seed

pytestmark = pytest.mark.unsound("payments are put under review without a charge")


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url, clients=30)
    return database_url


async def under_review(console: Console, *, state: str = "unknown") -> tuple[Visitor, UUID, str]:
    pat = await console.person()
    await submit(pat, await draft_with(pat, ["INV-1"]))
    await console.sql("UPDATE payment SET state = 'sending', claim_token = uuid7(), lease_until = now()")
    await console.sql(
        "UPDATE payment SET state = %s, claim_token = NULL, lease_until = NULL, next_check_at = now(),"
        " review_reason = 'no outcome for 48 hours'",
        state,
    )
    ((payment,),) = await console.sql("SELECT id FROM payment")
    return pat, payment, f"/console/review/{payment}/resolve"


async def answer(console: Console, refusal: str | None) -> None:
    await console.sql("UPDATE resolution SET answered_at = now(), refusal = %s WHERE answered_at IS NULL", refusal)
    if refusal is None:
        await console.sql("UPDATE payment SET review_reason = NULL")


def test_what_a_person_says_is_written_down_and_the_page_waits_for_the_answer(url: str) -> None:
    async def story(console: Console) -> None:
        pat, payment, path = await under_review(console)
        assert path in (await pat.get("/console/review")).body
        asked = (await pat.get(path)).body
        for said in ("$1.00 from", "No outcome for 48 hours", "It was charged", "It was not charged", "Vantage"):
            assert said in asked
        assert "It is dealt with" not in asked
        reply = await pat.post(path, verdict="charged", processor_ref=" 4711 ", note="seen in the portal")
        waits = (await pat.follow(reply)).body
        assert "We are looking at Vantage" in waits
        assert 'hx-trigger="every 1s"' in waits
        assert await console.sql("SELECT payment_id, verdict, processor_ref, note, asked_by FROM resolution") == [
            (payment, "charged", "4711", "seen in the portal", "pat")
        ]
        await answer(console, None)
        done = (await pat.get(path)).body
        assert "Nothing is left to resolve" in done
        assert "every 1s" not in done
        assert "Nothing to review" in (await pat.get("/console/review")).body

    with_console(url, story)


def test_who_says_that_it_was_not_charged_says_which_day_was_searched(url: str) -> None:
    async def story(console: Console) -> None:
        pat, payment, path = await under_review(console)
        with psycopg.connect(url) as connection:
            # After midnight in UTC it is the evening before at the practice.
            sent_at = datetime(2025, 11, 24, 3, 0, tzinfo=UTC)
            attempt = builders.attempt(connection, payment, first_send_at=sent_at, last_send_at=sent_at)
            (reference,) = connection.execute("SELECT reference FROM attempt WHERE id = %s", [attempt]).fetchone() or ()
        assert f"I searched {reference} of Nov 23, 2025 at Vantage and found nothing." in (await pat.get(path)).body

    with_console(url, story)


def test_resolved_cases_stay_on_the_list_with_who_and_how_and_in_the_timeline(url: str) -> None:
    async def story(console: Console) -> None:
        pat, payment, path = await under_review(console)
        assert "Nothing is resolved yet" in (await pat.get("/console/review", show="resolved")).body
        await pat.post(path, verdict="not_executed", note="looked too early")
        await answer(console, "absence is not final before tomorrow")
        assert "Nothing is resolved yet" in (await pat.get("/console/review?show=resolved")).body
        await pat.post(path, verdict="charged", processor_ref="4711", note="seen in the portal")
        await answer(console, None)
        resolved = (await pat.get("/console/review?show=resolved")).body
        for said in (
            "$1.00 from Client 00001", "Pat said today at", "it was charged", "4711", "“seen in the portal”",
            f"/console/payments/{payment}", 'Open <span class="n">0</span>',
        ):  # fmt: skip
            assert said in resolved
        assert "looked too early" not in resolved
        for page in ("/console/review", "/console/review?show=resolved"):
            assert 'Resolved <span class="n">1</span>' in (await pat.get(page)).body
        timeline = (await pat.get(f"/console/payments/{payment}")).body
        assert "Pat said: it was charged" in timeline
        assert "“seen in the portal” Transaction 4711. Taken today at" in timeline
        assert "It was not believed: absence is not final before tomorrow." in timeline
        other = await console.person("elm")
        clinician = await console.person(subject="dr2", permissions=("billing", "own_clients"), clinician="oak-dr2")
        for stranger in (other, clinician):
            seen = (await stranger.get("/console/review?show=resolved")).body
            assert "Nothing is resolved yet" in seen
            assert 'Resolved <span class="n">0</span>' in seen

    with_console(url, story)


def test_the_resolved_list_has_pages_the_newest_first(url: str) -> None:
    async def story(console: Console) -> None:
        pat, payment, _ = await under_review(console)
        await console.sql("UPDATE payment SET review_reason = NULL")
        await console.sql(
            "INSERT INTO resolution (payment_id, verdict, note, asked_by, source, asked_at, answered_at)"
            " SELECT %s, 'acknowledged', 'note ' || n || '.', 'pat', 'x', now() - n * interval '1 hour',"
            " now() - n * interval '1 hour' FROM generate_series(1, 21) n",
            payment,
        )
        first = (await pat.get("/console/review?show=resolved")).body
        assert first.index("note 1.") < first.index("note 20.")
        assert "note 21." not in first
        assert 'Resolved <span class="n">21</span>' in first
        found = re.search(r'href="(/console/review\?show=resolved&amp;after=[^"]+)"', first)
        assert found
        second = (await pat.get(found[1].replace("&amp;", "&"))).body
        assert "note 21." in second
        assert "note 20." not in second

    with_console(url, story)


def test_a_word_that_the_processor_does_not_confirm_is_shown_with_its_reason(url: str) -> None:
    async def story(console: Console) -> None:
        pat, _, path = await under_review(console)
        await pat.post(path, verdict="not_executed", note="looked")
        await answer(console, "absence is not final before tomorrow")
        refused = (await pat.get(path)).body
        assert "“It was not charged” was not believed" in refused
        assert "Absence is not final before tomorrow" in refused
        assert "What happened?" in refused

    with_console(url, story)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"note": "x"}, "Choose what happened"),
        ({"verdict": "acknowledged", "note": "x"}, "Choose what happened"),
        ({"verdict": "charged", "note": "x"}, "Type the number of the transaction"),
        ({"verdict": "not_executed", "note": "  "}, "Say how you know"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(url: str, fields: dict[str, str], fault: str) -> None:
    async def story(console: Console) -> None:
        pat, _, path = await under_review(console)
        reply = await pat.post(path, **fields)
        assert reply.status == 422
        assert fault in reply.body
        assert await console.sql("SELECT count(*) FROM resolution") == [(0,)]

    with_console(url, story)


def test_another_practice_and_another_clinician_find_nothing(url: str) -> None:
    async def story(console: Console) -> None:
        _, payment, path = await under_review(console)
        ((clinician,),) = await console.sql(
            "SELECT external_id FROM clinician WHERE practice_id = (SELECT practice_id FROM payment WHERE id = %s)"
            " AND id <> (SELECT clinician_id FROM client c JOIN payment p ON p.client_id = c.id WHERE p.id = %s)",
            payment,
            payment,
        )
        own = ("billing", "own_clients")
        for person in (await console.person("elm"), await console.person(permissions=own, clinician=clinician)):
            assert (await person.get(path)).status == 404
            assert (await person.post(path, verdict="not_executed", note="x")).status == 404
        assert await console.sql("SELECT count(*) FROM resolution") == [(0,)]

    with_console(url, story)
