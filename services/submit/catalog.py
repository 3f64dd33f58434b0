"""Routes through which upstream pushes its catalog: set-based, streamed, good rows land and bad ones are named."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Path, Request
from pydantic import ValidationError

from schemas import http
from services.submit.auth import Permission
from services.submit.caller import Caller, Pool, caller_with
from services.submit.catalog_body import CSV, JSON, MEDIA_TYPES, NDJSON, Cells, Records, records, spool
from services.submit.documented import problems
from services.submit.problems import ProblemError
from shared.domain.catalog_faults import RowFault, faults_of, refusal_of
from shared.domain.catalog_rows import ClientRow, ClinicianRow, InvoiceRow, PaymentMethodRow, Row, SessionRow
from shared.store import catalog
from shared.store.catalog import KindResult, Rejected
from shared.store.scope import resolve

KINDS: Final[dict[str, type[Row]]] = {
    "clinicians": ClinicianRow,
    "clients": ClientRow,
    "payment-methods": PaymentMethodRow,
    "invoices": InvoiceRow,
    "sessions": SessionRow,
}
MOST_ROWS: Final = 100_000
# Every fault of 100,000 rows would be an answer that nobody reads.
MOST_FAULTS: Final = 1_000
# Rows that are checked at a time in another thread, while this one serves others.
_AT_A_TIME: Final = 1_000
_OURS: Final = {"line", "practice_id"}

router = APIRouter(prefix="/v1/practices", tags=["catalog"])
Pusher = Annotated[Caller, Depends(caller_with(Permission.CATALOG_WRITE))]
PracticeId = Annotated[str, Path(description="Upstream's id of the practice; the token must be for it.")]


@dataclass(slots=True)
class _Push:
    """A push while it is read: its rows go to the database one by one, its faults stay."""

    kind: type[Row]
    practice: str
    strict: bool
    rows: int = 0
    refused: int = 0
    faults: list[RowFault] = field(default_factory=list)

    def sound(self, read: Records) -> Iterator[Row]:
        """The rows that are right by themselves."""
        for line, cells in read:
            self.rows += 1
            if self.rows > MOST_ROWS:
                raise ProblemError(
                    413, "too_many_rows", f"A push may have {MOST_ROWS} rows. Nothing was taken. Push in parts."
                )
            try:
                yield self._row(line, cells)
            except ValidationError as error:
                self.refuse(list(faults_of(line, cells or {}, error)))
            except _RowError as error:
                self.refuse([error.fault])

    def refuse(self, faults: list[RowFault]) -> None:
        self.refused += 1
        self.faults += faults[: max(MOST_FAULTS - len(self.faults), 0)]

    def _row(self, line: int, cells: Cells | None) -> Row:
        if cells is None:
            raise _RowError(line, "", "", "this is not a JSON object", "Send an object for each row.")
        if cells.get("practice_id", self.practice) != self.practice:
            other = str(cells["practice_id"])
            raise _RowError(
                line, "practice_id", other, "it belongs to another practice", "Push it to its own practice."
            )
        whole = {**cells, "practice_id": self.practice, "line": line}
        if not self.strict:
            return self.kind.model_validate(whole)
        try:
            return self.kind.model_validate_json(orjson.dumps(whole), strict=True)
        except orjson.JSONEncodeError:
            raise _RowError(line, "", "", "it holds what is no text or number of JSON", "Correct it.") from None


class _RowError(Exception):
    """A row that cannot even be checked."""

    def __init__(self, line: int, name: str, value: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fault = RowFault(line=line, field=name, value=value[:80], reason=reason, fix=fix)


async def push(name: str, practice: str, request: Request, caller: Caller, pool: Pool) -> http.PushResult:
    """Take the rows of one kind in one transaction: the good ones land, every bad one is named.

    The same rows again change nothing, and rows that are left out stay as they are.
    """
    if caller.scope.own_clients or await _practice_of(pool, practice) != caller.scope.practice_id:
        raise ProblemError(403, "practice_differs", "The token does not let you push for this practice.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise ProblemError(415, "media_type_unknown", f"Send {JSON} (an array), {NDJSON} or {CSV}. Nothing was taken.")
    pushed = _Push(kind=KINDS[name], practice=practice, strict=media_type != CSV)
    with await spool(request.stream()) as file:
        landed = await _land(pool, caller, pushed, records(file, media_type))
        if landed.rejected:
            await asyncio.to_thread(_explain, pushed, landed.rejected, file, media_type)
    return http.PushResult(
        rows=pushed.rows,
        added=landed.added,
        changed=landed.changed,
        unchanged=landed.unchanged,
        refused=pushed.refused,
        errors=[
            http.RefusedRow(row=one.line, field=one.field, value=one.value, reason=one.reason, fix=one.fix)
            for one in sorted(pushed.faults, key=lambda fault: fault.line)
        ],
    )


async def _practice_of(pool: Pool, practice: str) -> UUID | None:
    async with pool.connection() as connection:
        scope = await resolve(connection, practice=practice, clinician=None)
    return scope.practice_id if scope else None


async def _land(pool: Pool, caller: Caller, pushed: _Push, read: Records) -> KindResult:
    async with pool.connection() as connection:
        if not await catalog.begin(connection, practice_id=caller.scope.practice_id):
            raise ProblemError(
                409,
                "push_running",
                "Another push for this practice is running. Nothing was taken. Send it again when that has ended.",
                headers={"Retry-After": "5"},
            )
        results = await catalog.land(
            connection,
            [(pushed.kind, _in_another_thread(pushed.sound(read)))],
            actor=caller.subject,
            source=caller.source,
        )
    return results[pushed.kind.kind]


async def _in_another_thread(rows: Iterator[Row]) -> AsyncIterator[Row]:
    while some := await asyncio.to_thread(lambda: list(islice(rows, _AT_A_TIME))):
        for row in some:
            yield row


def _explain(pushed: _Push, rejected: list[Rejected], file: IO[bytes], media_type: str) -> None:
    """Read the body again for what the refused rows hold: to keep it all would cost memory in every push."""
    by_line = {one.line: one for one in rejected}
    for line, cells in records(file, media_type):
        if one := by_line.get(line):
            fault = refusal_of(pushed.kind, one.code, line=line, other_line=one.other_line, cells=cells or {})
            pushed.refuse([fault])


# --- The routes -------------------------------------------------------------------------------------------------------


def _documented(kind: type[Row]) -> dict[str, Any]:
    schema = kind.model_json_schema()
    schema["properties"] = {name: part for name, part in schema["properties"].items() if name not in _OURS}
    schema["required"] = [name for name in schema["required"] if name not in _OURS]
    return {
        "requestBody": {
            "required": True,
            "description": f"At most {MOST_ROWS} rows.",
            "content": {
                JSON: {"schema": {"type": "array", "maxItems": MOST_ROWS, "items": schema}},
                NDJSON: {"schema": {"type": "string", "description": "An object of the array on each line."}},
                CSV: {"schema": {"type": "string", "description": "A header with the names of the fields, and rows."}},
            },
        }
    }


def _add_route(name: str, kind: type[Row]) -> None:
    async def route(practice: PracticeId, request: Request, caller: Pusher, pool: Pool) -> http.PushResult:
        return await push(name, practice, request, caller, pool)

    router.add_api_route(
        f"/{{practice}}/{name}",
        route,
        methods=["PUT"],
        name=f"push_{kind.kind}s",
        summary=f"Push {name.replace('-', ' ')}",
        description=push.__doc__,
        response_model=http.PushResult,
        responses=problems(400, 409, 413, 415),
        openapi_extra=_documented(kind),
    )


for _name, _kind in KINDS.items():
    _add_route(_name, _kind)
