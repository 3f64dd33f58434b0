"""Our database against the simulators' truth ledger, per practice and per reference: what the demo ends with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from shared.domain.payment import State
from shared.domain.words import ProcessorName

_TAKEN = (State.APPROVED, State.SETTLED)
_BACK = (State.VOIDED, State.REFUNDED)
# The simulators' words for a charge that does not stand any more.
_GIVEN_BACK = frozenset({"voided", "refunded", "partly_refunded", "charged_back"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A number of payments and their amount in minor units."""

    count: int = 0
    minor: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(count=self.count + other.count, minor=self.minor + other.minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeResult:
    """What one practice's payments came to here, and what its account shows at the processor."""

    practice: str
    processor: ProcessorName
    submitted: Sum
    approved: Sum
    declined: Sum
    not_charged: Sum
    voided: Sum
    unfinished: Sum
    taken_there: Sum
    voided_there: Sum
    differences: tuple[str, ...]


def compare(database_url: str, ledgers: Mapping[ProcessorName, Sequence[Mapping[str, Any]]]) -> list[PracticeResult]:
    """Compare every practice that has payments. `ledgers` are the money facts of each simulator.

    A difference is a reference that only one side knows, an amount that differs, money taken twice, or a payment that
    is not finished.
    """
    with psycopg.connect(database_url) as connection:
        practices = connection.execute(
            "SELECT id, name, processor, processor_account FROM practice"
            " WHERE id IN (SELECT practice_id FROM batch) ORDER BY name"
        ).fetchall()
        known = {(processor, account) for _, _, processor, account in practices}
        strangers = [_stranger(name, facts, known) for name, facts in ledgers.items()]
        return [
            *(result for result in strangers if result),
            *(
                _compare_practice(
                    connection,
                    practice_id,
                    name=name,
                    processor=ProcessorName(processor),
                    facts=[fact for fact in ledgers[ProcessorName(processor)] if fact["account"] == account],
                )
                for practice_id, name, processor, account in practices
            ),
        ]


def _stranger(
    processor: ProcessorName, facts: Sequence[Mapping[str, Any]], known: set[tuple[str, str]]
) -> PracticeResult | None:
    """Money that moved in accounts for which nobody submitted a batch."""
    moved = [fact for fact in facts if (processor.value, fact["account"]) not in known]
    if not moved:
        return None
    nothing = Sum()
    return PracticeResult(
        practice="(no practice of ours)",
        processor=processor,
        submitted=nothing,
        approved=nothing,
        declined=nothing,
        not_charged=nothing,
        voided=nothing,
        unfinished=nothing,
        taken_there=_sum([fact for fact in moved if fact["kind"] == "charge"]),
        voided_there=_sum([fact for fact in moved if fact["kind"] == "void"]),
        differences=tuple(f"{fact['reference']} moved in {fact['account']}, which has no batch" for fact in moved),
    )


def _compare_practice(
    connection: psycopg.Connection[Any],
    practice_id: UUID,
    *,
    name: str,
    processor: ProcessorName,
    facts: Sequence[Mapping[str, Any]],
) -> PracticeResult:
    states = _by_state(connection, practice_id)
    ours = connection.execute(
        "SELECT a.reference, p.state, p.amount_minor FROM payment p JOIN attempt a ON a.id = p.current_attempt"
        " WHERE p.practice_id = %s",
        (practice_id,),
    ).fetchall()
    charges = [fact for fact in facts if fact["kind"] == "charge"]
    voids = [fact for fact in facts if fact["kind"] == "void"]

    def total(*wanted: State) -> Sum:
        return sum((states.get(state, Sum()) for state in wanted), Sum())

    finished = (*_TAKEN, State.DECLINED, State.SKIPPED, State.FAILED, State.CANCELED, *_BACK)
    unfinished = total(*(state for state in State if state not in finished))
    return PracticeResult(
        practice=name,
        processor=processor,
        submitted=total(*State),
        approved=total(*_TAKEN),
        declined=total(State.DECLINED),
        not_charged=total(State.SKIPPED, State.FAILED, State.CANCELED),
        voided=total(State.VOIDED),
        unfinished=unfinished,
        taken_there=_sum(charges),
        voided_there=_sum(voids),
        differences=(
            *_differences(ours, charges),
            *([f"{unfinished.count} payments are unfinished"] * bool(unfinished.count)),
        ),
    )


def _by_state(connection: psycopg.Connection[Any], practice_id: UUID) -> dict[State, Sum]:
    rows = connection.execute(
        "SELECT state, count(*), sum(amount_minor) FROM payment WHERE practice_id = %s GROUP BY 1", (practice_id,)
    )
    return {State(state): Sum(count=count, minor=int(minor)) for state, count, minor in rows}


def _sum(facts: Sequence[Mapping[str, Any]]) -> Sum:
    return Sum(count=len(facts), minor=sum(fact["amount_minor"] for fact in facts))


def _differences(ours: Sequence[tuple[str, str, int]], charges: Sequence[Mapping[str, Any]]) -> list[str]:
    """Reference by reference: what we say was taken or given back, against what was."""
    said = {reference: (state, minor) for reference, state, minor in ours if state in (*_TAKEN, *_BACK)}
    found: dict[str, Mapping[str, Any]] = {}
    differences = []
    for charge in charges:
        reference = charge["reference"]
        if reference in found:
            differences.append(f"{reference} was charged twice")
        found[reference] = charge
        if reference not in said:
            differences.append(f"{reference} took {charge['amount_minor']} there, not here")
    for reference, (state, minor) in said.items():
        charge_there = found.get(reference)
        if charge_there is None:
            differences.append(f"{reference} is {state} here, took nothing there")
        elif charge_there["amount_minor"] != minor:
            differences.append(f"{reference} took {charge_there['amount_minor']} there, {minor} here")
        elif _contradicts(charge_there["state"], state):
            differences.append(f"{reference} is {charge_there['state']} there, {state} here")
    return differences


def _contradicts(there: str, here: State | str) -> bool:
    """Whether the processor gave money back that we say it has, or has money that we say is back."""
    return there != here if here in _BACK else there in _GIVEN_BACK
