"""Who is signed in: the cookie, its session, the permission a page needs, and the CSRF token of every POST."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response

from services.submit.auth import Permission
from services.submit.caller import Caller, Pool, source_of
from services.submit.console.formats import Formats
from shared.store import sessions

# __Host-: only over HTTPS (or to this machine), for this host alone, for every path.
COOKIE: Final = "__Host-batchpay"
THEME_COOKIE: Final = "batchpay-theme"
CSRF_HEADER: Final = "X-CSRF-Token"
Theme = Literal["system", "light", "dark"]


class SignedOutError(Exception):
    """There is no session, or it has ended."""

    def __init__(self, ended: sessions.Session | None = None) -> None:
        super().__init__()
        self.ended = ended


class NotAllowedError(Exception):
    """This person has not the permission; `permissions` are those they have."""

    def __init__(self, permission: Permission, permissions: Collection[str]) -> None:
        super().__init__(permission)
        self.permission, self.permissions = permission, permissions


class ForgedError(Exception):
    """The POST does not come from a page of this session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Caller):
    """A signed-in person; `csrf` goes into every form."""

    name: str
    practice_name: str
    processor: str
    currency: str
    enrolled: bool
    ceiling_minor: int | None
    refund_limit_minor: int | None
    formats: Formats
    csrf: str
    ends_at: datetime
    key_sha256: bytes

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    @property
    def may_void_batches(self) -> bool:
        """A whole batch may hold clients that a clinician must not see."""
        return self.may(Permission.VOID) and not self.scope.own_clients

    @property
    def may_refund_batches(self) -> bool:
        return self.may(Permission.REFUND) and not self.scope.own_clients


def new_key() -> str:
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def set_cookie(response: Response, name: str, value: str, *, max_age_s: int | None = None) -> None:
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def csrf_token(key: str) -> str:
    """Derived from the cookie's secret, which a page of another site can neither read nor guess."""
    return hmac.new(key.encode(), b"csrf", hashlib.sha256).hexdigest()


async def check_csrf(request: Request) -> None:
    """A dependency of every route: lets a POST in only with this session's token. Raises ForgedError."""
    if request.method in {"GET", "HEAD"}:
        return
    given = request.headers.get(CSRF_HEADER) or (await request.form()).get("csrf")
    expected = csrf_token(request.cookies.get(COOKIE, ""))
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise ForgedError


async def check_text(request: Request) -> None:
    """A dependency of every route: the database keeps no text with a NUL in it. Raises RequestValidationError."""
    said = [value for _, value in request.query_params.multi_items()]
    if request.method not in {"GET", "HEAD"}:
        said += [value for _, value in (await request.form()).multi_items() if isinstance(value, str)]
    if any("\0" in value for value in said):
        raise RequestValidationError([])


def member_with(*permissions: Permission, active: bool = True) -> Callable[..., Awaitable[Member]]:
    """A dependency that lets in who is signed in and has all of these permissions."""

    async def member(request: Request, pool: Pool) -> Member:
        key = request.cookies.get(COOKIE)
        if not key:
            raise SignedOutError
        async with pool.connection() as connection:
            session = await sessions.find(connection, key_sha256=digest(key), active=active)
        if session is None or not session.alive:
            raise SignedOutError(session)
        for permission in permissions:
            if permission not in session.permissions:
                raise NotAllowedError(permission, session.permissions)
        return _member(session, key=key, source=source_of(request))

    return member


def _member(session: sessions.Session, *, key: str, source: str) -> Member:
    return Member(
        subject=session.subject,
        name=session.name,
        scope=session.scope,
        permissions=frozenset(session.permissions),
        source=source,
        practice_name=session.practice_name,
        processor=session.processor,
        currency=session.currency,
        enrolled=session.enrolled,
        ceiling_minor=session.approval_ceiling_minor,
        refund_limit_minor=session.refund_limit_minor,
        formats=Formats(timezone=session.timezone, locale=session.locale, currency=session.currency),
        csrf=csrf_token(key),
        ends_at=session.ends_at,
        key_sha256=digest(key),
    )


SignedIn = Annotated[Member, Depends(member_with(Permission.BILLING))]
# A page that only waits for news does not keep an unattended screen signed in.
Watching = Annotated[Member, Depends(member_with(Permission.BILLING, active=False))]
Refunding = Annotated[Member, Depends(member_with(Permission.BILLING, Permission.REFUND))]
Voiding = Annotated[Member, Depends(member_with(Permission.BILLING, Permission.VOID))]
Approving = Annotated[Member, Depends(member_with(Permission.BILLING, Permission.APPROVE))]
