"""Time-ordered ids and processor references."""

import os
import secrets
import time
from typing import Final
from uuid import UUID

# The version and rand_a. That has 12 bits; RFC 9562 section 6.2, method 1: it counts, and overflows into the time.
_COUNTS: Final = [f"7{n:03x}" for n in range(4096)]
# Any byte as the first one of rand_b, whose first two bits say the variant.
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then randomness; newer ids sort later."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def reference(environment: str, payment_id: UUID, n: int) -> str:
    """The reference of a payment's n-th attempt at its processor: deterministic, so that it can be found again."""
    return f"{environment}-{payment_id}-{n}"


def ordered_ids(count: int, *, unix_ms: int) -> list[str]:
    """`count` ids of this instant that sort in the order they are returned in, as text: 32 digits, no hyphens.

    One read of the system's randomness for all, and as little as can be for each: ids made one by one cost more than
    everything else that a large submit does before PostgreSQL has it.
    """
    noise = bytearray(os.urandom(8 * count))
    noise[::8] = noise[::8].translate(_VARIANT)
    tails = noise.hex()
    ids: list[str] = []
    for first in range(0, count, len(_COUNTS)):
        time = f"{unix_ms + first // len(_COUNTS):012x}"
        places = range(16 * first, len(tails), 16)
        ids += [time + n + tails[place : place + 16] for n, place in zip(_COUNTS, places, strict=False)]
    return ids
