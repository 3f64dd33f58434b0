"""`batchpay token`: mints a bearer token for development."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.submit.auth import SHORTEST_SECRET_BYTES, Permission, mint


class TokenSettings(BaseSettings):
    """What the submit service reads to verify a token, without all else that it needs."""

    model_config = SettingsConfigDict(env_prefix="BATCHPAY_", extra="ignore")

    jwt_secret: SecretStr | None = None
    jwt_issuer: str | None = None
    jwt_audience: str = "batchpay"


def token(
    practice: Annotated[str, typer.Argument(help="Upstream's id of the practice.")],
    *,
    subject: Annotated[str, typer.Option(help="Who acts; it is written to the audit log.")] = "developer",
    permission: Annotated[
        list[Permission] | None, typer.Option(help="Repeat for several; without it: billing, void and refund.")
    ] = None,
    clinician: Annotated[str | None, typer.Option(help="Upstream's id; adds own_clients.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 30)] = 8,
) -> None:
    """Print a token that is signed with BATCHPAY_JWT_SECRET."""
    typer.echo(
        minted(
            practice,
            subject=subject,
            permissions=permission or [Permission.BILLING, Permission.VOID, Permission.REFUND],
            clinician=clinician,
            lifetime=timedelta(hours=hours),
        )
    )


def minted(
    practice: str,
    *,
    subject: str,
    permissions: Sequence[Permission],
    clinician: str | None,
    lifetime: timedelta,
    audience_suffix: str = "",
    name: str | None = None,
) -> str:
    """A token signed with BATCHPAY_JWT_SECRET. Ends the command with 2 if that is missing or too short."""
    settings = TokenSettings()
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else ""
    if len(secret.encode()) < SHORTEST_SECRET_BYTES:
        typer.echo(f"Set BATCHPAY_JWT_SECRET to at least {SHORTEST_SECRET_BYTES} characters.", err=True)
        raise typer.Exit(2)
    if clinician is not None and Permission.OWN_CLIENTS not in permissions:
        permissions = [*permissions, Permission.OWN_CLIENTS]
    return mint(
        secret,
        subject=subject,
        practice=practice,
        permissions=[one.value for one in permissions],
        clinician=clinician,
        audience=settings.jwt_audience + audience_suffix,
        issuer=settings.jwt_issuer,
        now=datetime.now(UTC),
        lifetime=lifetime,
        name=name,
    )
