"""Which faults a seed has and how likely each is. Half of them are left out, so that rare ones are not drowned."""

from dataclasses import dataclass, fields
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Probabilities: of each commit, borrowed connection, message, request or step of the scheduler."""

    commit_answer_lost: float = 0.0
    commit_fails: float = 0.0
    no_connection: float = 0.0
    message_lost: float = 0.0
    message_doubled: float = 0.0
    message_unconfirmed: float = 0.0
    message_late: float = 0.0
    queue_lost: float = 0.0
    death: float = 0.0
    freeze: float = 0.0
    jump: float = 0.0
    refused: float = 0.0
    funds_short: float = 0.0
    answer_lost: float = 0.0
    never_executed: float = 0.0
    executed_late: float = 0.0
    look_fails: float = 0.0
    outside: float = 0.0
    catalog: float = 0.0


CALM = Weather()

_MOST = Weather(
    commit_answer_lost=0.25,
    commit_fails=0.25,
    no_connection=0.1,
    message_lost=0.4,
    message_doubled=0.4,
    message_unconfirmed=0.4,
    message_late=0.4,
    queue_lost=0.03,
    death=0.06,
    freeze=0.08,
    jump=0.25,
    refused=0.3,
    funds_short=0.2,
    answer_lost=0.5,
    never_executed=0.4,
    executed_late=0.5,
    look_fails=0.4,
    outside=0.3,
    catalog=0.02,
)


def draw(random: Random) -> Weather:
    return Weather(
        **{
            field.name: random.uniform(0.1, 1.0) * getattr(_MOST, field.name) if random.random() < 0.5 else 0.0
            for field in fields(Weather)
        }
    )
