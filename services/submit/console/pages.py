"""Answers in HTML: templates, what every page needs, and the headers that keep a page to itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.submit.console import words
from services.submit.console.session import THEME_COOKIE, Member
from services.submit.explain import batch_number
from services.submit.payments import visible_payment
from shared.domain.eligibility import PROCESSOR_NAMES
from shared.store import reviews, sessions
from shared.store.report import ReportRow
from shared.store.reviews import Connection

FOLDER: Final = Path(__file__).parent
_THEMES: Final = ("system", "light", "dark")
_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {
    "w": words,
    "batch_number": batch_number,
    "processors": PROCESSOR_NAMES,
    "STATES": {state.value: shown for state, shown in words.STATES.items()},
    "BATCHES": {status.value: shown for status, shown in words.BATCHES.items()},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What the top bar shows, and how people are called."""

    reviews: int
    approvals: int
    people: dict[str, str]

    def name(self, subject: str | None) -> str:
        return self.people.get(subject or "", subject or "")


async def shell(connection: Connection, member: Member) -> Shell:
    waiting = await reviews.waiting(connection, member.scope)
    return Shell(
        reviews=waiting.reviews,
        approvals=waiting.approvals,
        people=await sessions.people(connection, member.scope),
    )


async def payment(connection: Connection, member: Member, payment_id: UUID) -> tuple[ReportRow, Shell]:
    """One payment, whose view is noted, and the shell. Raises the problem 404 if the member sees nothing of it."""
    row = await visible_payment(connection, member.scope, payment_id)
    await member.note_view(connection, "payment.viewed", batch_id=row.batch_id, payment_id=row.id)
    return row, await shell(connection, member)


def fragment(template: str, **context: Any) -> str:
    return _environment.get_template(template).render(**context)


def page(
    request: Request,
    template: str,
    *,
    member: Member | None = None,
    shell: Shell | None = None,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """A whole page, or the part of one that htmx asked for: it cuts it out by itself (`hx-select`)."""
    theme = request.cookies.get(THEME_COOKIE, "system")
    html = fragment(
        template,
        member=member,
        shell=shell,
        f=member.formats if member else None,
        theme=theme if theme in _THEMES else "system",
        path=request.url.path,
        request_id=request.scope.get("request_id", ""),
        **context,
    )
    until = {"X-Signed-In-Until": member.formats.iso(member.ends_at)} if member else {}
    return HTMLResponse(html, status_code=status, headers={"Vary": "HX-Request, Cookie", **until})
