"""The caller of a request, as the routes ask for it: verified token, known practice, permission."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.submit.auth import Permission, TokenRefusedError, Verifier
from services.submit.problems import ProblemError
from shared.store import audit
from shared.store.scope import Scope, resolve

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="Claims: sub, aud, exp, practice, permissions.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`source` says from where, for the audit log."""

    subject: str
    scope: Scope
    permissions: frozenset[str]
    source: str

    async def note_view(
        self,
        connection: AsyncConnection[Any],
        action: str,
        *,
        batch_id: UUID | None = None,
        payment_id: UUID | None = None,
        rows: int = 1,
    ) -> None:
        """Write into the audit log that this caller saw clients' data."""
        await audit.write(
            connection,
            practice_id=self.scope.practice_id,
            actor=self.subject,
            source=self.source,
            action=action,
            batch_id=batch_id,
            payment_id=payment_id,
            detail={"rows": rows},
        )


def source_of(request: Request) -> str:
    """From where this request comes."""
    host = request.client.host if request.client else "unknown"
    return f"http {host} {request.scope['request_id']}"


def get_pool(request: Request) -> AsyncConnectionPool[Any]:
    pool: AsyncConnectionPool[Any] = request.app.state.pool
    return pool


Pool = Annotated[AsyncConnectionPool[Any], Depends(get_pool)]


def caller_with(*permissions: Permission) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets callers with all of these permissions in."""

    async def caller(
        request: Request,
        pool: Pool,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if credentials is None:
            raise _unauthorized("Send `Authorization: Bearer <token>`.")
        verifier: Verifier = request.app.state.verifier
        try:
            token = await verifier.verify(credentials.credentials)
        except TokenRefusedError as error:
            raise _unauthorized(str(error)) from error
        for permission in permissions:
            if permission not in token.permissions:
                raise ProblemError(
                    403, "permission_missing", f"This needs the permission `{permission}`. Nothing was changed."
                )
        async with pool.connection() as connection:
            scope = await resolve(connection, practice=token.practice, clinician=token.clinician)
        if scope is None:
            raise ProblemError(403, "practice_unknown", "The token's practice, or its clinician, is not known here.")
        return Caller(subject=token.subject, scope=scope, permissions=token.permissions, source=source_of(request))

    return caller


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, "token_refused", detail, headers={"WWW-Authenticate": "Bearer"})


Biller = Annotated[Caller, Depends(caller_with(Permission.BILLING))]
Approver = Annotated[Caller, Depends(caller_with(Permission.BILLING, Permission.APPROVE))]
Refunder = Annotated[Caller, Depends(caller_with(Permission.BILLING, Permission.REFUND))]
Voider = Annotated[Caller, Depends(caller_with(Permission.BILLING, Permission.VOID))]
