"""The HTTP interface as commands use it. A refusal ends the command with what is wrong, field by field, and its fix."""

import json
from http import HTTPStatus
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

import jwt
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.cli.printing import USAGE, fail

# A submit of fifty thousand invoices takes seconds.
_ANSWERED_WITHIN_S: Final = 120.0


class ClientSettings(BaseSettings):
    """Where the service answers, and who asks."""

    model_config = SettingsConfigDict(env_prefix="BATCHPAY_", extra="ignore")

    api_url: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://")
    api_token: SecretStr = Field(min_length=1)


def get(path: str, **query: str | int) -> Any:
    """The answer to GET /v1/`path`."""
    return _answer(_request("GET", path, query=query))


def find(path: str) -> Any | None:
    """The answer to GET /v1/`path`, or None where the token's practice has nothing of this name."""
    return _answer(_request("GET", path), none_at=HTTPStatus.NOT_FOUND)


def post(path: str, body: Any, *, key: str | None = None) -> Any:
    """The answer to POST /v1/`path`; `key` makes it safe to repeat."""
    return _answer(_request("POST", path, body=body, key=key))


def name(text: str) -> str:
    """What a person typed as a part of a path."""
    return quote(text, safe="")


def practice_of_token() -> str:
    """Whose token this is, by its own words; the service verifies them."""
    try:
        claims = jwt.decode(_settings().api_token.get_secret_value(), options={"verify_signature": False})
        return str(claims["practice"])
    except (jwt.InvalidTokenError, KeyError):
        fail("BATCHPAY_API_TOKEN is no token of Batchpay. `batchpay token PRACTICE` prints one.", code=USAGE)


def _settings() -> ClientSettings:
    try:
        return ClientSettings()
    except ValidationError as error:
        if any(one["loc"] == ("api_token",) for one in error.errors()):
            fail("Set BATCHPAY_API_TOKEN. `batchpay token PRACTICE` prints one.", code=USAGE)
        fail("BATCHPAY_API_URL must begin with http:// or https://.", code=USAGE)


def _request(method: str, path: str, *, query: Any = None, body: Any = None, key: str | None = None) -> Request:
    settings = _settings()
    headers = {"Authorization": f"Bearer {settings.api_token.get_secret_value()}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    url = f"{settings.api_url.rstrip('/')}/v1/{path}" + (f"?{urlencode(query)}" if query else "")
    data = None if body is None else json.dumps(body).encode()
    return Request(url, data=data, method=method, headers=headers)  # noqa: S310  # the settings allow http(s) only


def _answer(request: Request, *, none_at: int | None = None) -> Any:
    try:
        with urlopen(request, timeout=_ANSWERED_WITHIN_S) as answer:  # noqa: S310  # as above
            return json.load(answer)
    except HTTPError as error:
        with error:
            if error.code == none_at:
                return None
            fail(_problem(error))
    except (URLError, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        fail(f"No answer from {_settings().api_url}: {reason}. Is it running, and is BATCHPAY_API_URL right?")


def _problem(error: HTTPError) -> str:
    """RFC 9457 as lines for people."""
    try:
        problem = json.loads(error.read())
    except ValueError:
        return f"{error.url} answered {error.code}, and not as Batchpay does. Is BATCHPAY_API_URL right?"
    if error.code == HTTPStatus.UNAUTHORIZED:
        problem["detail"] += " Set BATCHPAY_API_TOKEN to one that `batchpay token PRACTICE` prints."
    if error.code == HTTPStatus.NOT_FOUND:
        wanted = unquote(urlsplit(str(error.url)).path.removeprefix("/v1/"))
        problem["detail"] += (
            f" It was asked for {wanted}. `batchpay history` lists the batches of the token's practice."
        )
    faults = [f"  {one['field']}={one['value']!r}: {one['message']} {one['fix']}" for one in problem["errors"]]
    return "\n".join([problem["detail"], *faults, f"  (request {problem['request_id']})"])
