"""A submit's refusals as problems."""

from typing import assert_never

from fastapi import Request

from schemas import http
from services.submit.caller import Caller
from services.submit.explain import why
from services.submit.limits import SUBMITS, WINDOW_S, Limiter
from services.submit.problems import ProblemError
from services.submit.submission import Differs, KeyReused, Refused, TooMany
from shared.store.approvals import Approval
from shared.store.drafts import Difference

_NOTHING_SAVED = "The batch was not submitted. No card was charged."


def refusal(body: http.SubmitRequest, key: str, answer: KeyReused | Refused | Differs | TooMany) -> ProblemError:
    match answer:
        case KeyReused():
            return key_reused(key)
        case Refused():
            return refused(body, answer)
        case Differs():
            return differs(body.control, answer)
        case TooMany():
            return too_many()
        case _:
            assert_never(answer)


def count_submit(request: Request, caller: Caller) -> None:
    """Raises the problem 429 if the caller's practice submits too often."""
    submits: Limiter = request.app.state.submits
    if not submits.allows(str(caller.scope.practice_id)):
        raise ProblemError(
            429,
            "too_many_submits",
            f"{_NOTHING_SAVED} Your practice submitted {SUBMITS} batches within a minute. Wait one minute and submit"
            " again.",
            headers={"Retry-After": str(round(WINDOW_S))},
        )


def key_reused(key: str) -> ProblemError:
    return ProblemError(
        409,
        "idempotency_key_reused",
        f"{_NOTHING_SAVED} This key belongs to an earlier, different request.",
        errors=[
            http.Fault(
                field="Idempotency-Key",
                value=key,
                code="idempotency_key_reused",
                message="Another request was sent with this key.",
                fix="Use a new key for a new request, the same key only to repeat the same request.",
            )
        ],
    )


def refused(body: http.SubmitRequest, answer: Refused) -> ProblemError:
    """Every reason of every invoice at once."""
    places = {invoice: n for n, invoice in enumerate(body.invoices or [])}
    errors = [
        http.Fault(
            field=f"invoices.{places[row.external_id]}",
            value=row.external_id,
            code=one.code,
            message=one.message,
            fix=one.fix,
        )
        for row in answer.blocked
        for one in why(row)
    ]
    count = len(answer.blocked)
    detail = f"{count} of the selected invoices cannot be charged." if count > 1 else "An invoice cannot be charged."
    return ProblemError(422, "invoices_not_chargeable", f"{_NOTHING_SAVED} {detail}", errors=errors)


def differs(control: http.ControlTotals, answer: Differs) -> ProblemError:
    """The difference, figure by figure."""
    pairs = (
        ("control.count", control.count, answer.now.ready),
        ("control.total_minor", control.total_minor, answer.now.ready_minor),
    )
    errors = [
        http.Fault(
            field=field,
            value=confirmed,
            code="control_totals_differ",
            message=f"You confirmed {confirmed}; it is {now} now.",
            fix="Ask for a preview, look at it again and send its control totals.",
        )
        for field, confirmed, now in pairs
        if confirmed != now
    ]
    return ProblemError(
        409, "control_totals_differ", f"{_NOTHING_SAVED} The selection changed after it was confirmed.", errors=errors
    )


def own_batch() -> ProblemError:
    return ProblemError(403, "own_batch", "You prepared this batch. Someone else must approve it. Nothing was charged.")


def approval_closed(approval: Approval) -> ProblemError:
    state = approval.decision or ("expired" if approval.expired else "not what you saw")
    return ProblemError(
        409, "approval_closed", f"This approval is {state.replace('_', ' ')}. Nothing was charged by this request."
    )


def approval_changed(differences: list[Difference]) -> ProblemError:
    """Every invoice that is not what was confirmed."""
    errors = [
        http.Fault(
            field="control",
            value=one.invoice_number,
            code="invoice_changed",
            message=f"Confirmed with {one.then_minor}; it is {one.now_minor} now."
            if not one.reasons
            else " ".join(reason.message for reason in why(one)),
            fix="Let the batch be prepared again.",
        )
        for one in differences
    ]
    return ProblemError(
        409,
        "approval_changed",
        f"{_NOTHING_SAVED} Its invoices are not what was confirmed any more, so this approval is over.",
        errors=errors,
    )


def too_many() -> ProblemError:
    return ProblemError(
        422,
        "too_many_invoices",
        f"{_NOTHING_SAVED} The filter leaves more than {http.MOST_INVOICES} invoices. Narrow it and submit in parts.",
    )


def busy() -> ProblemError:
    return ProblemError(
        503, "busy", f"{_NOTHING_SAVED} Other submits took the same rows. Send it again.", headers={"Retry-After": "1"}
    )


def sort_not_available(sort: str) -> ProblemError:
    fault = http.Fault(
        field="sort",
        value=sort,
        code="sort_not_available",
        message="With own clients only, the history is sorted newest first.",
        fix="Leave out `sort` and `order`.",
    )
    return ProblemError(422, "sort_not_available", fault.message, errors=[fault])
