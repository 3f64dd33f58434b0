"""Stripe's request bodies: nested parameters as a form, byte for byte as the SDK writes them (a test compares)."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote_plus


def encode(params: Mapping[str, object]) -> bytes:
    """Objects as a[b], lists as a[0], truth as true and false; nothing for None."""
    return "&".join(f"{_key(name)}={quote_plus(text)}" for name, text in _flat(params)).encode()


def _key(name: str) -> str:
    # Stripe's own clients leave the brackets readable.
    return quote_plus(name, safe="[]")


def _flat(params: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        name = f"{prefix}[{key}]" if prefix else key
        match value:
            case None:
                continue
            case Mapping():
                yield from _flat(value, name)
            case list() | tuple():
                yield from _flat({str(n): item for n, item in enumerate(value)}, name)
            case bool():
                yield name, "true" if value else "false"
            case _:
                yield name, str(value)
