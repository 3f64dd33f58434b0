"""Row ids made by the caller: UUIDv7 of RFC 9562, in order within one call."""

import os

_COUNTER = 4096  # rand_a has 12 bits; RFC 9562 section 6.2, method 1: it counts, and overflows into the time


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
