"""Which fault comes when: a pure function of the seed."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum, auto
from itertools import takewhile
from typing import Final

from services.development.processes import MODULES
from shared.domain.words import ProcessorName

# The mean time from one fault to the next. Several are under way at a time.
GAP_S: Final = 1.5
# Beyond every lease of a sandbox: send budget, total deadline and record margin come to 31 s.
PAST_THE_LEASE_S: Final = 33.0


class Kind(StrEnum):
    PROCESS_KILLED = auto()
    PROCESS_TERMINATED = auto()
    PROCESS_PAUSED = auto()
    PROCESS_PAUSED_PAST_ITS_LEASE = auto()
    CONNECTIONS_CUT = auto()
    CONNECTIONS_DELAYED = auto()
    CONNECTIONS_HALF_CLOSED = auto()
    CONNECTIONS_REFUSED = auto()
    CONNECTIONS_SILENT = auto()
    ANSWERS_SWALLOWED = auto()
    POSTGRESQL_KILLED = auto()
    POSTGRESQL_PAUSED = auto()
    POSTGRESQL_RESTARTED = auto()
    POSTGRESQL_SESSIONS_ENDED = auto()
    RABBITMQ_KILLED = auto()
    RABBITMQ_PAUSED = auto()
    RABBITMQ_RESTARTED = auto()
    RABBITMQ_EMPTIED = auto()
    RABBITMQ_CONNECTIONS_CLOSED = auto()
    RABBITMQ_QUEUE_DELETED = auto()
    PROCESSOR_MISBEHAVED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`target` is a process, a pair `process>server`, a queue, or `processor:operation:behaviour`."""

    at_s: float
    kind: Kind
    target: str = ""
    for_s: float = 0.0


OURS: Final = tuple(name for name in MODULES if not name.startswith("simulator-"))
WORKERS: Final = ("charge-vantage", "charge-stripe", "voids", "janitor")
PAIRS: Final = (
    *(f"{process}>postgresql" for process in OURS),
    *(f"{process}>rabbitmq" for process in ("relay", "aggregator", "charge-vantage", "charge-stripe", "voids")),
    "charge-vantage>vantage",
    "charge-stripe>stripe",
    *(f"{process}>{name}" for process in ("voids", "janitor") for name in ProcessorName),
)
QUEUES: Final = (
    "charge.vantage.v1",
    "charge.stripe.v1",
    "charge.vantage.first.v1",
    "charge.stripe.first.v1",
    "void.v1",
    "aggregator.v1",
)

_ANY_OPERATION: Final = (
    "hang_before_execute", "hang_after_execute", "reset_before_execute", "reset_after_execute", "http_500_before",
    "http_500_after", "truncated_after_execute", "garbled_after_execute", "html_after_execute",
)  # fmt: skip
_LATE: Final = ("execute_late:3", "execute_late:20")
_VANTAGE_CHARGE: Final = ("gateway:207_charged", "gateway:207_not_charged", "internal_timeout:executed", "duplicate")
MISBEHAVIOURS: Final = tuple(
    f"{processor}:{operation}:{behaviour}"
    for processor, operation, behaviours in (
        ("vantage", "charge", _ANY_OPERATION + _LATE + _VANTAGE_CHARGE),
        ("stripe", "charge", _ANY_OPERATION + _LATE),
        ("vantage", "void", _ANY_OPERATION + _LATE),
        ("stripe", "refund", _ANY_OPERATION + _LATE),
    )
    for behaviour in behaviours
)

Draw = Callable[[random.Random], tuple[str, float]]


def _one_of(targets: tuple[str, ...], shortest_s: float = 0.0, longest_s: float = 0.0) -> Draw:
    return lambda chance: (chance.choice(targets), round(chance.uniform(shortest_s, longest_s), 2))


# How often each kind comes, relative to the others, at what, and for how long.
_KINDS: Final[dict[Kind, tuple[int, Draw]]] = {
    Kind.PROCESS_KILLED: (10, _one_of(tuple(MODULES))),
    Kind.PROCESS_TERMINATED: (5, _one_of(OURS)),
    Kind.PROCESS_PAUSED: (6, _one_of(tuple(MODULES), 0.5, 8.0)),
    Kind.PROCESS_PAUSED_PAST_ITS_LEASE: (3, _one_of(WORKERS, PAST_THE_LEASE_S, PAST_THE_LEASE_S + 10)),
    Kind.CONNECTIONS_CUT: (10, _one_of(PAIRS)),
    Kind.CONNECTIONS_DELAYED: (8, _one_of(PAIRS, 2.0, 10.0)),
    Kind.CONNECTIONS_HALF_CLOSED: (5, _one_of(PAIRS, 1.0, 8.0)),
    Kind.CONNECTIONS_REFUSED: (5, _one_of(PAIRS, 1.0, 8.0)),
    Kind.CONNECTIONS_SILENT: (5, _one_of(PAIRS, 1.0, 25.0)),
    Kind.ANSWERS_SWALLOWED: (8, _one_of(PAIRS, 0.2, 8.0)),
    Kind.POSTGRESQL_KILLED: (2, _one_of(("",), 0.0, 4.0)),
    Kind.POSTGRESQL_PAUSED: (2, _one_of(("",), 1.0, 12.0)),
    Kind.POSTGRESQL_RESTARTED: (1, _one_of(("",), 0.0, 2.0)),
    Kind.POSTGRESQL_SESSIONS_ENDED: (3, _one_of(("",))),
    Kind.RABBITMQ_KILLED: (2, _one_of(("",), 0.0, 4.0)),
    Kind.RABBITMQ_PAUSED: (2, _one_of(("",), 1.0, 12.0)),
    Kind.RABBITMQ_RESTARTED: (1, _one_of(("",), 0.0, 2.0)),
    Kind.RABBITMQ_EMPTIED: (1, _one_of(("",), 0.0, 2.0)),
    Kind.RABBITMQ_CONNECTIONS_CLOSED: (2, _one_of(("",))),
    Kind.RABBITMQ_QUEUE_DELETED: (2, _one_of(QUEUES)),
    Kind.PROCESSOR_MISBEHAVED: (20, _one_of(MISBEHAVIOURS)),
}


def schedule(seed: int, *, length_s: float) -> list[Fault]:
    """The faults of a run, in order. A longer run of the same seed begins like a shorter one."""
    return list(takewhile(lambda fault: fault.at_s < length_s, _faults(random.Random(seed))))


def _faults(chance: random.Random) -> Iterator[Fault]:
    kinds, weights = list(_KINDS), [weight for weight, _ in _KINDS.values()]
    at_s = 0.0
    while True:
        at_s += chance.expovariate(1 / GAP_S)
        (kind,) = chance.choices(kinds, weights)
        target, for_s = _KINDS[kind][1](chance)
        yield Fault(at_s=round(at_s, 2), kind=kind, target=target, for_s=for_s)
