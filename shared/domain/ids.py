"""Time-ordered ids and processor references."""

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then randomness; newer ids sort later."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def reference(environment: str, payment_id: UUID, n: int) -> str:
    """The reference of a payment's n-th attempt at its processor: deterministic, so that it can be found again."""
    return f"{environment}-{payment_id}-{n}"
