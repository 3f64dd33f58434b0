"""The report of one batch."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.submit.auth import Permission
from services.submit.batches import BatchId, visible_batch
from services.submit.caller import Pool
from services.submit.console import history, pages
from services.submit.console.formats import Formats
from services.submit.console.history import Text
from services.submit.console.listing import Listing, read_sort
from services.submit.console.session import Member, SignedIn
from services.submit.explain import payment_reason
from shared.domain.payment import State
from shared.domain.refund_requests import RefundResult, result_of_asking
from shared.store import refund_approvals, report, submissions
from shared.store.batches import Part
from shared.store.report import ReportRow, Wanted
from shared.store.scope import seeing
from shared.store.submissions import Chance

router = APIRouter()
_SORTS: Final = ("attention", "invoice", "client", "service_date", "card", "number", "amount", "finished")
_SIZE: Final = 50
_CHARGED: Final = (
    State.APPROVED, State.SETTLED, State.VOIDING, State.REFUNDING, State.VOIDED, State.REFUNDED,
)  # fmt: skip
_ATTENTION: Final = (State.DECLINED, State.FAILED, State.SKIPPED, State.UNKNOWN, State.SURPLUS)
Tab = Literal["all", "attention", "approved", "declined", "returned"]
TABS: Final[dict[Tab, tuple[str, tuple[State, ...] | None]]] = {
    "all": ("All", None),
    "attention": ("Needs attention", _ATTENTION),
    "approved": ("Approved", (State.APPROVED, State.SETTLED)),
    "declined": ("Declined", (State.DECLINED, State.FAILED, State.SKIPPED)),
    "returned": (
        "Voided, refunded",
        (State.VOIDED, State.REFUNDED, State.VOIDING, State.REFUNDING, State.CANCELED),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    payments: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Gross less voided less refunded is net, always."""

    gross: Sum
    voided: Sum
    refunded: Sum
    declined: Sum
    unfinished: Sum

    @property
    def net_minor(self) -> int:
        return self.gross.amount_minor - self.voided.amount_minor - self.refunded.amount_minor


def totals(parts: list[Part]) -> Totals:
    def over(*states: State) -> Sum:
        rows = [part for part in parts if part.state in states]
        return Sum(payments=sum(one.payments for one in rows), amount_minor=sum(one.amount_minor for one in rows))

    return Totals(
        gross=over(*_CHARGED),
        voided=over(State.VOIDED),
        refunded=over(State.REFUNDED),
        declined=over(State.DECLINED, State.SKIPPED, State.FAILED, State.CANCELED),
        unfinished=over(State.QUEUED, State.SENDING, State.UNKNOWN, State.PROCESSING, State.SURPLUS),
    )


def tab_counts(parts: list[Part]) -> dict[Tab, int]:
    return {
        name: sum(
            part.payments
            for part in parts
            if states is None or part.state in states or (name == "attention" and part.in_review)
        )
        for name, (_, states) in TABS.items()
    }


def why(row: ReportRow, formats: Formats | None = None, chance: Chance | None = None) -> str:
    """The sentence under a payment's status; empty where the status says all.

    With `formats` it says when we look next, with a `chance` when a soft decline may be tried again.
    """
    if row.state == State.UNKNOWN:
        look = f"; next look {formats.moment(row.next_check_at)}" if formats and row.next_check_at else ""
        return f"No clear answer yet. We keep looking{look}. It is not charged again."
    if row.review_reason is not None:
        return "On the review list: a person has to look at it."
    said = payment_reason(row.reason_code, row.reason_category)
    sentence = said.message if said else ""
    return f"{sentence} {_again(chance, formats)}".strip() if chance and formats else sentence


def _again(chance: Chance, formats: Formats) -> str:
    if not chance.chargeable:
        return ""
    if not chance.allowed:
        return f"It was tried {chance.declines} times; ask the client."
    if chance.from_at is None or chance.from_at <= formats.now():
        return "You can retry now."
    return f"You can retry from {formats.coming(chance.from_at)}."


def voidable(member: Member, row: ReportRow) -> bool:
    return (
        member.may(Permission.VOID)
        and row.void_requested_at is None
        and row.processor == "vantage"
        and row.state in {State.QUEUED, State.SENDING, State.UNKNOWN, State.APPROVED}
    )


def refundable(member: Member, row: ReportRow) -> bool:
    if not member.may(Permission.REFUND):
        return False
    return result_of_asking(State(row.state), disputed=row.disputed) is RefundResult.REFUNDING


@router.get("/batches/{batch}")
async def batch_report(
    request: Request,
    batch: BatchId,
    member: SignedIn,
    pool: Pool,
    *,
    tab: Tab = "all",
    sort: Text = "attention",
    q: Annotated[str, Query(max_length=100)] = "",
    after: Text = "",
    before: Text = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Every payment with its status in words, and the totals."""
    column, descending = read_sort(sort, _SORTS, "attention")
    async with seeing(pool, member.scope) as connection:
        found = await visible_batch(connection, member.scope, batch)
        listing = Listing(
            path=f"{history.PATH}/BP-{found.number}",
            sort=column,
            descending=descending,
            size=_SIZE,
            page=page,
            after=after or None,
            before=before or None,
            default="attention",
            filters={"tab": tab, "q": q.strip()},
        )
        wanted = Wanted(states=TABS[tab][1], or_in_review=tab == "attention", search=q.strip() or None)
        rows = await report.page(connection, member.scope, batch_id=found.id, wanted=wanted, order=listing.order())
        (line,) = await history.lines(connection, member, [found], whole=True)
        refunds = await refund_approvals.waiting(connection, member.scope, batch_id=found.id)
        chances = await submissions.chances(connection, member.scope, payments=[row.id for row in rows])
        again = await submissions.retryable(connection, member.scope, batch_id=found.id)
        await member.note_view(connection, "report.viewed", batch_id=found.id, rows=len(rows))
        shell = await pages.shell(connection, member)
    shown, previous, following = listing.cut(rows)
    return pages.page(
        request,
        "report.html",
        member=member,
        shell=shell,
        line=line,
        refundable=member.may_refund_batches and line.count(State.SETTLED) > 0,
        refunds=refunds,
        again=None if member.scope.own_clients else again,
        totals=totals(line.parts),
        counts=tab_counts(line.parts),
        tabs=TABS,
        tab=tab,
        q=q,
        rows=[
            (row, why(row, member.formats, chances.get(row.id)), voidable(member, row), refundable(member, row))
            for row in shown
        ],
        listing=listing,
        previous=previous,
        following=following,
    )
