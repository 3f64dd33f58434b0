"""Try a batch's declines again: a new draft of what may be tried, opened at its last step."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from services.submit.auth import Permission
from services.submit.batches import BatchId, visible_batch
from services.submit.caller import Pool
from services.submit.console import history
from services.submit.console.session import NotAllowedError, SignedIn
from shared.store import drafts, submissions
from shared.store.scope import seeing

router = APIRouter()


@router.post("/batches/{batch}/retry")
async def retry_batch(batch: BatchId, member: SignedIn, pool: Pool) -> Response:
    """Nothing is charged before the person confirms, as in the wizard."""
    async with seeing(pool, member.scope) as connection:
        found = await visible_batch(connection, member.scope, batch)
        if member.scope.own_clients:
            raise NotAllowedError(Permission.BILLING, member.permissions)
        again = await submissions.retryable(connection, member.scope, batch_id=found.id)
        if not again.invoices:
            return RedirectResponse(f"{history.PATH}/BP-{found.number}", status_code=303)
        draft = await drafts.start(
            connection, member.scope, owner=member.subject, payment_number=None, retry_of=found.id
        )
        await drafts.add_named(connection, member.scope, draft_id=draft, invoices=again.invoices)
    return RedirectResponse(f"/console/drafts/{draft}/confirm", status_code=303)
