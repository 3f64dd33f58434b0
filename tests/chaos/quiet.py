"""After the healing: wait until nothing is under way, by itself first, then with days passing at the processors."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import psycopg
import structlog

from services.development.sandbox import Sandbox
from shared.domain.payment import UNFINISHED, State
from shared.domain.words import ProcessorName
from shared.store import invariants
from tests.journeys.journey import days_pass, let_wires_go, look_now, rows

# A hint that may be lost comes again within a minute, a lease ends within half of one: this is several of each.
BY_ITSELF_WITHIN_S: Final = 300.0
WITHOUT_PAUSES_WITHIN_S: Final = 60.0
WITH_DAYS_WITHIN_S: Final = 600.0
_LOOK_EVERY_S: Final = 0.5
# By then every charge has executed that a simulator was told to execute late.
_LATEST_EXECUTION_S: Final = 60

_MOVING: Final = (State.QUEUED, State.SENDING)
# What is surplus waits for people, and is a double charge to the verdict.
OPEN: Final = tuple(state for state in UNFINISHED if state is not State.SURPLUS)

_log = structlog.get_logger()


def wait_until_quiet(box: Sandbox) -> float:
    """The seconds until nothing moved any more without help. What does not come to rest is left to the verdict."""
    began = time.monotonic()
    _wait(box, lambda: _count(box, _MOVING) == 0, within_s=BY_ITSELF_WITHIN_S)
    by_itself_s = time.monotonic() - began
    # Voids that were lost several times would be looked at again minutes later; after the cut-off it is too late.
    _wait(box, lambda: _looked(box) and _count(box, (State.VOIDING,)) == 0, within_s=WITHOUT_PAUSES_WITHIN_S)
    for name in ProcessorName:
        box.control(name, "clock", {"advance_s": _LATEST_EXECUTION_S})
    _forget_keys(box)
    with days_pass(box):
        _wait(box, lambda: _looked(box) and _count(box, OPEN) == 0, within_s=WITH_DAYS_WITHIN_S)
        _wait(box, lambda: _sound(box), within_s=WITH_DAYS_WITHIN_S)
    return by_itself_s


def _wait(box: Sandbox, condition: Callable[[], bool], *, within_s: float) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            states = rows(box, "SELECT state, count(*) FROM payment GROUP BY 1")
            _log.error("not_quiet", within_s=within_s, states=dict(states))
            return
        time.sleep(_LOOK_EVERY_S)


def _count(box: Sandbox, states: tuple[State, ...]) -> int:
    return int(rows(box, "SELECT count(*) FROM payment WHERE state = ANY(%s)", list(states))[0][0])


def _forget_keys(box: Sandbox) -> None:
    """Let a day pass after which an unknown Stripe charge or refund is not sent again, and its absence is final.

    Under the payments' locks, as everything that writes attempts: a janitor that has just read one would write it back.
    """
    rows(
        box,
        "UPDATE attempt a SET first_send_at = a.first_send_at - interval '25 hours',"
        " last_send_at = a.last_send_at - interval '25 hours',"
        " last_claimed_at = a.last_claimed_at - interval '25 hours'"
        " FROM (SELECT id FROM payment WHERE state IN ('sending', 'unknown', 'refunding') AND processor = 'stripe'"
        " ORDER BY token, id FOR UPDATE) p WHERE a.payment_id = p.id AND a.outcome IS NULL",
    )


def _looked(box: Sandbox) -> bool:
    """Bring every look forward."""
    look_now(box)
    let_wires_go(box)
    return True


def _sound(box: Sandbox) -> bool:
    with psycopg.connect(box.database_url) as connection:
        return not invariants.check(connection, settled_down=timedelta(0))
