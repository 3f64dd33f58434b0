"""Who calls: a JWT bearer token, HS256 with our secret or RS256 with a key of the configured JWKS. Nothing else."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import uuid4

import jwt

from shared.settings import SubmitSettings

SHORTEST_SECRET_BYTES: Final = 32  # RFC 7518, section 3.2: as long as the hash
_LEEWAY_S: Final = 30  # clocks of two machines differ
_JWKS_LIFESPAN_S: Final = 300
_REQUIRED: Final = ["exp", "aud", "sub"]


class Permission(StrEnum):
    BILLING = "billing"
    VOID = "billing:void"
    REFUND = "billing:refund"
    APPROVE = "billing:approve"
    CATALOG_WRITE = "catalog:write"
    WEBHOOKS_WRITE = "webhooks:write"
    OWN_CLIENTS = "own_clients"


class TokenRefusedError(Exception):
    """This token is not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a verified token says. `practice` and `clinician` are upstream's ids, `name` is the person's."""

    subject: str
    practice: str
    permissions: frozenset[str]
    clinician: str | None
    name: str
    expires_at: datetime


class Verifier:
    """Verifies tokens. The algorithm comes from our configuration, never from the token."""

    def __init__(self, settings: SubmitSettings) -> None:
        if not settings.jwt_secret and not settings.jwt_jwks_url:
            raise ValueError("set BATCHPAY_JWT_SECRET or BATCHPAY_JWT_JWKS_URL: without one no token can be verified")
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
        if self._secret is not None and len(self._secret.encode()) < SHORTEST_SECRET_BYTES:
            raise ValueError(f"BATCHPAY_JWT_SECRET needs at least {SHORTEST_SECRET_BYTES} bytes")
        self._jwks = (
            jwt.PyJWKClient(settings.jwt_jwks_url, lifespan=_JWKS_LIFESPAN_S, timeout=5)
            if settings.jwt_jwks_url
            else None
        )
        self._audience, self._issuer = settings.jwt_audience, settings.jwt_issuer

    async def verify(self, text: str, *, audience_suffix: str = "", even_expired: bool = False) -> Token:
        """The token's claims. Raises TokenRefusedError with a reason that tells an attacker nothing new.

        `audience_suffix` is added to the configured audience: a token for one door does not open another. With
        `even_expired` the caller judges `expires_at`.
        """
        try:
            key, algorithm = await self._key(text)
            claims = jwt.decode(
                text,
                key,
                algorithms=[algorithm],
                audience=self._audience + audience_suffix,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={
                    "require": _REQUIRED + (["iss"] if self._issuer else []),
                    "verify_exp": not even_expired,
                },
            )
        except jwt.PyJWTError as error:
            raise TokenRefusedError(f"The token is refused: {type(error).__name__}.") from error
        return _token(claims)

    async def _key(self, text: str) -> tuple[Any, str]:
        algorithm = jwt.get_unverified_header(text).get("alg")
        if algorithm == "HS256" and self._secret is not None:
            return self._secret, "HS256"
        if algorithm == "RS256" and self._jwks is not None:
            # Reads from the network when the key is not known yet.
            key = await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, text)
            return key.key, "RS256"
        raise jwt.InvalidAlgorithmError


def _token(claims: Mapping[str, Any]) -> Token:
    practice, permissions, clinician = claims.get("practice"), claims.get("permissions"), claims.get("clinician")
    if not isinstance(practice, str) or not practice or not claims["sub"]:
        raise TokenRefusedError("The token names no practice or no subject.")
    if not isinstance(permissions, list) or not all(isinstance(one, str) for one in permissions):
        raise TokenRefusedError("The token has no list of permissions.")
    restricted = Permission.OWN_CLIENTS in permissions
    if restricted and (not isinstance(clinician, str) or not clinician):
        raise TokenRefusedError("The token says own_clients without a clinician.")
    name = claims.get("name")
    return Token(
        subject=claims["sub"],
        practice=practice,
        permissions=frozenset(permissions),
        clinician=clinician if restricted else None,
        name=name if isinstance(name, str) and name else claims["sub"],
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
    )


def mint(
    secret: str,
    *,
    subject: str,
    practice: str,
    permissions: Sequence[str],
    audience: str,
    now: datetime,
    lifetime: timedelta,
    clinician: str | None = None,
    issuer: str | None = None,
    name: str | None = None,
) -> str:
    """An HS256 token for development and for upstream apps that share the secret."""
    claims = {
        "sub": subject,
        "practice": practice,
        "permissions": list(permissions),
        "aud": audience,
        "iat": now,
        "exp": now + lifetime,
        "clinician": clinician,
        "iss": issuer,
        "name": name,
        # Two tokens of the same second differ: one that signs in works once.
        "jti": uuid4().hex,
    }
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm="HS256")
