"""Routes of the money view: of a batch, and of days."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from schemas import http
from services.submit.batches import BatchId, visible_batch
from services.submit.caller import Biller, Pool
from services.submit.documented import problems
from services.submit.problems import ProblemError
from shared.store import money
from shared.store.money import Money
from shared.store.scope import seeing

router = APIRouter(prefix="/v1", tags=["money"])


@router.get("/batches/{batch}/money", responses=problems(404))
async def batch_money(batch: BatchId, caller: Biller, pool: Pool) -> http.Money:
    """What the batch brought, what the processor kept, what was given back, and what is settled."""
    async with seeing(pool, caller.scope) as connection:
        found = await visible_batch(connection, caller.scope, batch)
        return _answer(await money.of_batch(connection, caller.scope, batch_id=found.id))


@router.get("/money", responses=problems())
async def days_money(query: Annotated[http.MoneyQuery, Query()], caller: Biller, pool: Pool) -> http.MoneyOfDays:
    """The same by the practice's days: each amount on the day on which it moved."""
    if not 0 <= (query.to - query.from_).days < http.MOST_DAYS:
        raise ProblemError(
            422, "span_of_days", f"`from` must not be after `to`, and at most {http.MOST_DAYS} days are answered."
        )
    async with seeing(pool, caller.scope) as connection:
        days = await money.of_days(connection, caller.scope, first=query.from_, last=query.to)
    return http.MoneyOfDays(
        total=_answer(money.total(days)),
        days=[http.MoneyOfDay(day=one.day, **_amounts(one)) for one in days if one.day],
    )


def _answer(row: Money) -> http.Money:
    return http.Money(**_amounts(row))


def _amounts(row: Money) -> dict[str, int]:
    amounts = asdict(row) | {"net_minor": row.net_minor}
    del amounts["day"]
    return amounts
