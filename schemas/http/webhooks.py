"""Webhooks: who is told of events, and what was sent."""

from difflib import get_close_matches
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from schemas.events import EVENT_TYPES
from schemas.http.base import MOST_ROWS, Answer, Sent, Text

MOST_EVENT_TYPES: Final = 50
LONGEST_URL: Final = 2_000
_KINDS: Final = sorted({name.partition(".")[0] for name in EVENT_TYPES})
WANTED_TYPES: Final = (*EVENT_TYPES, *(f"{kind}.*" for kind in _KINDS))


def _there_is(wanted: str) -> str:
    if wanted not in WANTED_TYPES:
        near = get_close_matches(wanted, WANTED_TYPES, n=1)
        raise ValueError(f"no event has this type; did you mean {near[0]!r}?" if near else "no event has this type")
    return wanted


EventType = Annotated[
    str,
    AfterValidator(_there_is),
    Field(
        description="`batch.completed`, or `batch.*` for all of a kind.",
        json_schema_extra={"enum": list(WANTED_TYPES)},
    ),
]


class WebhookQuery(Sent):
    """The practice's webhooks, from a query string."""

    model_config = ConfigDict(strict=False)

    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25


class DeliveryQuery(Sent):
    """What one webhook was sent, from a query string."""

    model_config = ConfigDict(strict=False)

    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25


class WebhookRequest(Sent):
    """Where events are to be sent. `types` left out: all of them."""

    url: Annotated[Text, Field(min_length=1, max_length=LONGEST_URL, description="https://, on the internet.")]
    types: Annotated[list[EventType], Field(min_length=1, max_length=MOST_EVENT_TYPES)] | None = None


class RotateRequest(Sent):
    """For how long the old secret is valid beside the new one; 0 if somebody else knows it."""

    old_valid_hours: Annotated[int, Field(ge=0, le=24)] = 24


class Webhook(Answer):
    """Who is told of the practice's events."""

    id: UUID
    url: str
    types: list[str] | None = Field(description="Null: all of them.")
    state: Literal["active", "disabled"]
    failures: int = Field(description="Requests that failed since the last one that did not.")
    failing_since: AwareDatetime | None
    created_at: AwareDatetime
    created_by: str
    disabled_at: AwareDatetime | None
    disabled_by: str | None
    disabled_why: Literal["failing", "gone", "asked"] | None = Field(
        description="`failing`: nothing arrived for five days. `gone`: the receiver answered 410."
    )


class NewWebhook(Webhook):
    secret: str = Field(description="Signs every request. It is shown only here.")


class WebhookPage(Answer):
    items: list[Webhook]
    next_cursor: str | None


class RotatedSecret(Answer):
    secret: str = Field(description="Signs every request from now on. It is shown only here.")
    old_valid_until: AwareDatetime | None = Field(description="Until then the secrets before it sign as well.")


class SentTest(Answer):
    """A test event is on its way; see the deliveries for what became of it."""

    event_id: str


class WebhookDelivery(Answer):
    """One event on its way to one webhook."""

    event_id: str
    type: str
    state: Literal["waiting", "delivered", "failed", "held"] = Field(
        description="`failed`: given up after the last try. `held`: not sent, as the webhook was disabled."
    )
    attempts: int
    created_at: AwareDatetime
    next_try_at: AwareDatetime | None
    last_try_at: AwareDatetime | None
    last_status: int | None = Field(description="The HTTP status that the receiver answered.")
    last_failure: str | None
    done_at: AwareDatetime | None


class WebhookDeliveryPage(Answer):
    items: list[WebhookDelivery]
    next_cursor: str | None
