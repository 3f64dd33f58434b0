"""What people say about payments under review: the janitor believes it only as far as its look confirms it."""

from dataclasses import dataclass
from typing import Any

import pytest

from shared.domain.answers import LookupAnswer
from shared.domain.resolving import Verdict
from shared.store import resolutions
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, Lost, on_ground
from tests.integration.reviewing import NOBODY, given_up, say, shown_ref, under_review
from workers.processors.port import LookupOrder

both = pytest.mark.parametrize("name", [STRIPE, VANTAGE])
TAKEN = ("approved", "settled")


def audited(lost: Lost) -> list[tuple[str, str, dict[str, Any]]]:
    rows = lost.ground.connection.execute("SELECT actor, action, detail FROM audit_entry ORDER BY id").fetchall()
    return [(row["actor"], row["action"], row["detail"]) for row in rows]


@both
def test_a_charge_that_a_lookup_confirms_is_charged(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_after_execute")
        assert await say(lost, Verdict.CHARGED, shown_ref(lost)) is None
        payment = lost.payment()
        assert (payment["state"] in TAKEN, payment["review_reason"]) == (True, None)
        assert lost.attempt()["processor_ref"] == shown_ref(lost)
        moved, closed = lost.events()[-2:]
        assert (moved["event"], moved["actor"]) == ("settle" if name is STRIPE else "approve", "pat")
        assert closed["detail"]["fact"] == "review resolved: charged"
        ((actor, action, detail),) = audited(lost)
        assert (actor, action, detail["processor_ref"]) == ("pat", "review.resolved", shown_ref(lost))
        assert ground.connection.execute("SELECT FROM finding WHERE resolved_at IS NULL").fetchall() == []

    on_ground(name, database_url, story)


@both
@pytest.mark.parametrize("behaviour", ["reset_before_execute", "reset_after_execute"])
def test_charged_without_a_reference_that_the_lookup_confirms_is_refused(
    name: Any, behaviour: str, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, behaviour)
        assert await say(lost, Verdict.CHARGED, "pi_of_somebody_else" if name is STRIPE else "999999")
        assert lost.state == "unknown"
        assert lost.payment()["review_reason"]
        ((_, action, detail),) = audited(lost)
        assert action == "review.refused"
        assert detail["refusal"]

    on_ground(name, database_url, story)


def test_a_refused_charge_is_not_charged_because_somebody_says_so(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "gateway:207_not_charged")
        number = (await ground.bench.seen(lost.order)).processor_ref
        refusal = await say(lost, Verdict.CHARGED, number)
        assert refusal == f"the processor shows {number} as declined, which is no money"
        assert lost.state == "unknown"

    on_ground(VANTAGE, database_url, story)


@both
def test_trace_7_not_executed_is_refused_before_absence_is_final(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        executed, late = [await ground.unknown(one) for one in ("reset_after_execute", "execute_late:3600")]
        assert "shows" in (await say(executed, Verdict.NOT_EXECUTED) or "")
        assert "not final" in (await say(late, Verdict.NOT_EXECUTED) or "")
        assert (executed.state, late.state) == ("unknown", "unknown")

    on_ground(name, database_url, story)


@both
def test_not_executed_is_believed_when_absence_is_final(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_before_execute")
        await ground.bench.advance(BOTH_REPORTS_OUT)
        assert await say(lost, Verdict.NOT_EXECUTED) is None
        payment = lost.payment()
        assert (payment["state"], payment["review_reason"]) == ("failed", None)
        assert lost.attempt()["absence_final_at"]

    on_ground(name, database_url, story)


@both
@pytest.mark.parametrize("verdict", [Verdict.CHARGED, Verdict.NOT_EXECUTED])
def test_nothing_is_believed_while_the_processor_does_not_answer(
    name: Any, verdict: Verdict, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_after_execute")
        ground.bench.processor = ground.bench.aimed_at(NOBODY)
        refusal = await say(lost, verdict, "pi_1" if verdict is Verdict.CHARGED else None)
        assert ("did not confirm" if verdict is Verdict.CHARGED else "could not be asked") in (refusal or "")
        assert lost.state == "unknown"

    on_ground(name, database_url, story)


@both
def test_an_open_question_cannot_be_acknowledged_away(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_before_execute")
        refusal = await say(lost, Verdict.ACKNOWLEDGED)
        assert refusal == "the payment is unknown: what became of it must be found out first"
        assert lost.payment()["review_reason"]

    on_ground(name, database_url, story)


@both
def test_what_is_over_is_acknowledged_once(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await given_up(ground, "reset_before_execute")
        assert await say(lost, Verdict.ACKNOWLEDGED) is None
        assert (lost.state, lost.payment()["review_reason"]) == ("failed", None)
        assert await say(lost, Verdict.ACKNOWLEDGED) == "the payment is not on the review list"

    on_ground(name, database_url, story)


@both
def test_late_money_of_a_payment_that_was_given_up_is_taken_in_by_a_person(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await given_up(ground, "execute_late:864000")
        await ground.bench.advance(BOTH_REPORTS_OUT * 4)
        assert await say(lost, Verdict.CHARGED, shown_ref(lost)) is None
        assert lost.state in TAKEN
        assert [event["event"] for event in lost.events()][-2:] == ["evidence_paid", "observe"]

    on_ground(name, database_url, story)


@both
def test_a_surplus_stays_on_the_list_until_it_is_given_back(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await given_up(ground, "execute_late:864000")
        ground.submit_again(lost)
        await ground.bench.advance(BOTH_REPORTS_OUT * 4)
        assert await say(lost, Verdict.CHARGED, shown_ref(lost)) is None
        assert lost.state == "surplus"
        assert lost.payment()["review_reason"]
        assert await say(lost, Verdict.ACKNOWLEDGED) == "the client paid twice: the surplus must be given back first"

    on_ground(name, database_url, story)


@dataclass
class GivenUpMeanwhile:
    """The processor, where the attempt is given up and another one sent while it looks for the first."""

    processor: Any
    lost: Lost

    async def lookup(self, order: LookupOrder) -> LookupAnswer:
        look: LookupAnswer = await self.processor.lookup(order)
        self.lost.ground.send_again(self.lost)
        return look


@both
def test_money_of_an_attempt_that_was_given_up_while_we_looked_is_put_before_people(
    name: Any, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        ground.bench.processor = GivenUpMeanwhile(ground.bench.processor, lost)
        assert await say(lost, Verdict.CHARGED, shown_ref(lost)) is None
        assert (lost.state, lost.payment()["review_reason"]) == (
            "unknown",
            "attempt 1 took money although a newer one was made",
        )
        assert lost.attempt()["surplus_at"]
        assert ground.findings() == [("surplus_attempt", f"{lost.order.reference} took {lost.order.amount_minor}")]
        assert ground.connection.execute("SELECT FROM finding WHERE resolved_at IS NOT NULL").fetchall() == []

    on_ground(name, database_url, story)


def test_the_list_tells_practice_state_and_reason(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_before_execute")
        async with ground.pool.connection() as connection:
            (row,) = await resolutions.listed(connection, practice=None)
            assert await resolutions.listed(connection, practice=row.practice) == [row]
            assert await resolutions.listed(connection, practice="another") == []
        assert (row.id, row.state, row.reference) == (lost.payment_id, "unknown", lost.order.reference)
        assert "no look could tell" in row.reason

    on_ground(VANTAGE, database_url, story)
