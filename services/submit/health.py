"""Routes for who runs the service: no token, nothing about anybody."""

from fastapi import APIRouter
from psycopg import ProgrammingError

from services.submit.caller import Pool
from services.submit.problems import ProblemError

router = APIRouter(include_in_schema=False)
# An orchestrator asks every few seconds and gives up soon after.
_READY_WITHIN_S = 2.0


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(pool: Pool) -> dict[str, str]:
    """The database answers too, with the schema that this release needs; else 503."""
    try:
        async with pool.connection(timeout=_READY_WITHIN_S) as connection:
            await connection.execute("SELECT FROM invoice_eligibility LIMIT 0")
    except ProgrammingError as error:
        raise ProblemError(
            503, "not_migrated", "The database is of another release: run `batchpay migrate`."
        ) from error
    return {"status": "ok"}
