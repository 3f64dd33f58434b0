"""Voids and refunds of a charge on a ground: asked for, worked at, and as the processor's books show them."""

from datetime import timedelta
from typing import Any

from shared.domain.refund_requests import RefundResult
from shared.domain.voiding import VoidResult
from shared.store import refunds, voids
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, VANTAGE, Ground, Lost
from workers.simulators.behaviour import Behaviour
from workers.simulators.vault import Script
from workers.voids.claiming import Returner
from workers.voids.refunding import refund
from workers.voids.voiding import void


async def ask_for_void(lost: Lost) -> VoidResult:
    asked = await voids.request_payment_void(lost.ground.pool, **_asked_of(lost))
    assert asked
    return asked.result


async def ask_for_refund(lost: Lost) -> RefundResult:
    asked = await refunds.request_payment_refund(lost.ground.pool, **_asked_of(lost))
    assert asked
    return asked.result


def _asked_of(lost: Lost) -> dict[str, Any]:
    payment = lost.payment()
    return {"practice_id": payment["practice_id"], "payment_id": payment["id"], "actor": "pat", "source": "test"}


async def refunding(ground: Ground) -> Lost:
    """A settled payment whose refund is asked for. At Vantage its charge was sent three days ago."""
    sent = BOTH_REPORTS_OUT if ground.name is VANTAGE else timedelta(0)
    if ground.name is VANTAGE:
        await ground.bench.advance(-sent)
    lost = await ground.unknown("approve", sent=sent)
    await ground.bench.advance(sent)
    await ground.sweep()
    assert lost.state == "settled"
    assert await ask_for_refund(lost) is RefundResult.REFUNDING
    return lost


def script(ground: Ground, behaviour: str, operation: str) -> None:
    """What the processor does with the next request of this kind."""
    ground.bench.core.vault.script(Script(Behaviour.parse(behaviour), operation=operation))


async def run_void(lost: Lost) -> None:
    """What the worker does when it is hinted."""
    await void(lost.payment_id, returner=_returner(lost.ground))


async def run_refund(lost: Lost, **more: Any) -> None:
    """What the worker does when it is hinted; `more` replaces what it is made of."""
    await refund(lost.payment_id, returner=_returner(lost.ground, **more))


def _returner(ground: Ground, **more: Any) -> Returner:
    return Returner(pool=ground.pool, processors={ground.name: ground.bench.processor}, environment="test", **more)


async def look_at_refunds(ground: Ground) -> None:
    """One pass of the janitor in which every look at a refund is due."""
    ground.connection.execute("UPDATE payment SET next_check_at = now() WHERE state = 'refunding'")
    await ground.sweep()


def refunded(ground: Ground) -> list[int]:
    """The amounts that the processor gave back, in minor units."""
    ground.bench.core.clock.run_due()
    return [fact["amount_minor"] for fact in ground.bench.core.ledger.facts() if fact["kind"] == "refund"]


def refund_attempts(ground: Ground) -> list[dict[str, Any]]:
    return ground.connection.execute("SELECT * FROM attempt WHERE kind = 'refund' ORDER BY n").fetchall()
