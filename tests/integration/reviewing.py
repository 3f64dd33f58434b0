"""A charge on a ground that a person has to look at, and what the person says about it."""

from shared.domain.resolving import Verdict
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, Ground, Lost, hours

NOBODY = "http://127.0.0.1:9"


async def under_review(ground: Ground, behaviour: str) -> Lost:
    """An unknown payment that no look could tell anything about."""
    lost = await ground.unknown(behaviour, sent=hours(49))
    working, ground.bench.processor = ground.bench.processor, ground.bench.aimed_at(NOBODY)
    await ground.sweep()
    ground.bench.processor = working
    assert lost.payment()["review_reason"]
    return lost


async def given_up(ground: Ground, behaviour: str) -> Lost:
    """One whose absence was final in the end, and that is under review all the same."""
    lost = await under_review(ground, behaviour)
    await ground.bench.advance(BOTH_REPORTS_OUT)
    await ground.sweep()
    assert lost.state == "failed"
    return lost


async def say(lost: Lost, verdict: Verdict, processor_ref: str | None = None) -> str | None:
    """A person says so; the janitor's refusal, None if it believes it. No other look is due meanwhile."""
    return await lost.ground.say(lost.payment_id, verdict, processor_ref)


def shown_ref(lost: Lost) -> str:
    """The processor's number of the charge."""
    (fact,) = lost.ground.bench.ledger(lost.order.reference)
    return str(fact["processor_ref"])
