"""Typed twin of `invariant.sql`: the rules that hold in every committed state, whatever crashed before.

Tests run them after every journey; an operator may run them on a live database, where they cost a full scan.
"""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection

from shared.domain.batch import group
from shared.domain.payment import LIVE, TAKEN, UNFINISHED, State
from shared.store.statements import load

_SQL: Final = load("invariant")
NAMES: Final = tuple(_SQL)

# The sweep comes every few seconds; a date that is so long past was not kept.
FORGOTTEN_AFTER: Final = timedelta(minutes=10)
# Events are under way for seconds at most. Only then does a batch have to agree with its payments.
SETTLED_DOWN: Final = timedelta(minutes=1)


class Violation(NamedTuple):
    """A broken rule and the rows that break it."""

    name: str
    ids: tuple[str, ...]


def check(connection: Connection[Any], *, settled_down: timedelta = SETTLED_DOWN) -> list[Violation]:
    """Every rule that is broken now; empty if all hold.

    A test that has waited for the last event passes `settled_down=timedelta(0)`: then nothing may be under way.
    """
    parameters = {
        "live": list(LIVE),
        "unfinished": list(UNFINISHED),
        "taken": list(TAKEN),
        "states": list(State),
        "groups": [group(state) for state in State],
        "forgotten_after": FORGOTTEN_AFTER,
        "settled_down": settled_down,
    }
    answers = {name: connection.execute(statement, parameters).fetchall() for name, statement in _SQL.items()}
    return [Violation(name, tuple(row[0] for row in rows)) for name, rows in answers.items() if rows]
