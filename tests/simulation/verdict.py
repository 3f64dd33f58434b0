"""Is our database what the truth is? Asked at the end, and of what must hold at every moment also on the way."""

from uuid import UUID

from shared.domain.answers import Seen
from shared.domain.payment import State
from shared.store.invariants import check
from tests.simulation.bank import Bank, Charge
from tests.simulation.people import Practice
from tests.simulation.world import Violation, World

# What only a working janitor and aggregator keep: of no meaning while they are stopped or time jumps.
_KEPT_IN_TIME = ("i10_", "i11_")

_PAYMENTS = """SELECT p.id::text, p.state, p.review_reason, p.amount_minor, a.reference, a.processor_ref,
  array(SELECT reference FROM attempt c WHERE c.payment_id = p.id AND c.kind = 'charge')
FROM payment p LEFT JOIN attempt a ON a.id = p.current_attempt ORDER BY p.id"""

# How a payment may end, and how its current charge then stands at the processor; none: no charge has its money.
_ENDS: dict[State, Seen | None] = {
    State.SETTLED: Seen.SETTLED,
    State.VOIDED: Seen.VOIDED,
    State.REFUNDED: Seen.REFUNDED,
    State.DECLINED: None,
    State.FAILED: None,
    State.SKIPPED: None,
    State.CANCELED: None,
}


def look(world: World, *, everything: bool = False) -> None:
    """The invariants of production, now."""
    world.session.set_time(world.clock.now.isoformat())
    broken = [
        violation
        for violation in check(world.session.connection)
        if everything or not violation.name.startswith(_KEPT_IN_TIME)
    ]
    if broken:
        raise Violation(f"invariant {broken[0].name}: {', '.join(broken[0].ids)}")


def judge(world: World, bank: Bank, practices: list[Practice]) -> None:
    """Every payment is final and says what the processors' books say; nothing that was accepted is missing."""
    look(world, everything=True)
    _judge_batches(world, practices)
    moved = {charge.reference: charge for charge in bank.charges if charge.seen is not Seen.DECLINED}
    known: set[str] = set()
    for payment_id, state, _, amount_minor, reference, processor_ref, references in world.session.rows(_PAYMENTS):
        known.update(references)
        taken = [moved[one] for one in references if one in moved]
        problem = _problem(State(state), reference, processor_ref, amount_minor, taken)
        if problem:
            raise Violation(f"payment {payment_id} is {state}: {problem}")
    if strange := moved.keys() - known:
        raise Violation(f"nobody knows of {', '.join(sorted(strange))}")


def _problem(
    state: State, reference: str | None, processor_ref: str | None, amount_minor: int, taken: list[Charge]
) -> str | None:
    if state not in _ENDS:
        return "it is not final"
    expected = _ENDS[state]
    if expected is None:
        return f"{taken[0].reference} is {taken[0].seen}" if taken else None
    if [charge.reference for charge in taken] != [reference]:
        return f"charged were {[charge.reference for charge in taken]}, its charge is {reference}"
    (charge,) = taken
    if charge.seen is not expected:
        return f"its charge is {charge.seen}"
    if (charge.amount_minor, charge.processor_ref) != (amount_minor, processor_ref):
        return (
            f"it has {processor_ref} over {amount_minor}, the books {charge.processor_ref} over {charge.amount_minor}"
        )
    return None


def _judge_batches(world: World, practices: list[Practice]) -> None:
    accepted: set[UUID] = {batch_id for practice in practices for batch_id in practice.batches}
    stored = {row[0] for row in world.session.rows("SELECT id FROM batch")}
    if lost := accepted - stored:
        raise Violation(f"accepted and lost: {', '.join(map(str, sorted(lost)))}")
