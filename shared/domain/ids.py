"""Time-ordered ids and processor references."""

import os
import secrets
import time
from uuid import UUID

_COUNTER = 4096  # rand_a has 12 bits; RFC 9562 section 6.2, method 1: it counts, and overflows into the time


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then randomness; newer ids sort later."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def reference(environment: str, payment_id: UUID, n: int) -> str:
    """The reference of a payment's n-th attempt at its processor: deterministic, so that it can be found again."""
    return f"{environment}-{payment_id}-{n}"


def ordered_ids(count: int, *, unix_ms: int) -> list[str]:
    """`count` ids of this instant that sort in the order they are returned in, as text.

    One read of the system's randomness for all: one read per id costs more than everything else of a large submit.
    """
    noise = os.urandom(8 * count).hex()
    ids = []
    for n in range(count):
        time = f"{unix_ms + n // _COUNTER:012x}"
        tail = noise[16 * n : 16 * n + 16]
        variant = "89ab"[int(tail[0], 16) & 3]
        ids.append(f"{time[:8]}-{time[8:]}-7{n % _COUNTER:03x}-{variant}{tail[1:4]}-{tail[4:]}")
    return ids
