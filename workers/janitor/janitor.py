"""What every part of the janitor is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg_pool import AsyncConnectionPool

from shared.domain.words import ProcessorName
from workers.clock import elapsed_s
from workers.processors.port import Processor

ACTOR = "janitor"
# The same key is sent at most this often again: Stripe stores a 500 and replays it, and then only looking helps.
RESENDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Janitor:
    """What the janitor needs: connections, the processors, and time."""

    pool: AsyncConnectionPool
    processors: Mapping[ProcessorName, Processor]
    monotonic: Callable[[], float] = elapsed_s
