"""Keeps people's data, card numbers and credentials out of the logs, whoever tries to log them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

MASK: Final = "[removed]"

# Keys that hold a person's data, text that a person typed, a whole message, or something that opens a door.
_DROPPED: Final = frozenset({
    "name", "client", "client_name", "first_name", "last_name", "full_name", "clinician", "clinician_name",
    "practice_name", "email", "phone", "address", "birthday", "description", "session", "memo", "note", "notes",
    "payment_number", "typed_number", "body", "payload", "request_text", "response_text", "headers", "authorization",
    "token", "payer_id", "password", "secret", "api_key", "cvv", "cvc", "card", "card_number", "pan", "last4",
    "cookie", "database_url", "amqp_url", "dsn",
})  # fmt: skip
_DROPPED_ENDINGS: Final = ("_name", "_email", "_token", "_secret", "_password", "_key")
# Keys that end like the ones above and are the system's own words.
_KEPT: Final = frozenset({"actor_name", "queue_name", "process_name", "idempotency_key", "routing_key"})

# Shorter text holds neither a card number nor a credential.
_SHORTEST: Final = 10
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# Most text in an event is one of our ids or references, or a word; both are told apart from suspects at once.
_HARMLESS: Final = re.compile(rf"(?:[a-z0-9]{{1,8}}-)?{_UUID}(?:-[0-9]{{1,5}})?|[A-Za-z_.]+")
_SUSPECT: Final = re.compile(
    rf"(?P<uuid>{_UUID})"
    r"|(?<!\d)(?P<digits>\d(?:[ -]?\d){12,18})(?!\d)"
    r"|\b(?P<scheme>bearer|basic)\s+[\w.~+/=-]+"
    r"|(?<=://)(?P<login>[^/\s@:]*:[^/\s@]*)(?=@)"
    r"|(?P<address>[\w.+-]+@[\w-]+\.[\w.-]+)"
    # PostgreSQL quotes rows in these lines of its errors.
    r"|(?P<row>\b(?:DETAIL|CONTEXT):[^\n]*)",
    re.IGNORECASE,
)
_MASKED_WHOLE: Final = frozenset({"login", "address", "row"})
# How deep values are looked into; what lies deeper is not logged.
_DEEPEST: Final = 6


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: drop keys that may hold people's data, mask what looks like a card or a credential."""
    clean: EventDict = {}
    for key, value in event.items():
        if not _dropped(key):
            # Most values are short words: they are let through here, for one function call less each.
            plain = value is None or (type(value) is str and len(value) < _SHORTEST)
            clean[key] = value if plain else _clean(value, 0)
    return clean


@lru_cache(maxsize=1024)
def _dropped(key: object) -> bool:
    word = str(key).lower().replace("-", "_")
    return word not in _KEPT and (word in _DROPPED or word.endswith(_DROPPED_ENDINGS))


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _clean_text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return MASK if value > 10**12 and _is_card_number(str(value)) else value
    if depth == _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {key: _clean(inner, depth + 1) for key, inner in value.items() if not _dropped(key)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(inner, depth + 1) for inner in value]
    if isinstance(value, bytes):
        return MASK
    return _clean_text(str(value))


def _clean_text(text: str) -> str:
    if len(text) < _SHORTEST or _HARMLESS.fullmatch(text):
        return text
    return _SUSPECT.sub(_mask, text)


def _mask(match: re.Match[str]) -> str:
    kind, text = match.lastgroup, match[0]
    if kind == "uuid":
        return text
    if kind == "digits":
        return MASK if _is_card_number(text.replace(" ", "").replace("-", "")) else text
    return MASK if kind in _MASKED_WHOLE else f"{match['scheme']} {MASK}"


def _is_card_number(digits: str) -> bool:
    """13 to 19 digits whose last one is the Luhn check digit (ISO/IEC 7812-1, annex B)."""
    if not 13 <= len(digits) <= 19:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) << (place & 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
