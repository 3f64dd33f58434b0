"""Levels of rate limits that processes share: see `sql/rates.sql`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from psycopg import Connection

from shared.store.statements import load

_SQL: Final = load("rates")


class Rate(NamedTuple):
    """A bucket that fills by `per_s` up to `most`."""

    key: str
    per_s: float
    most: float


def refill(connection: Connection[Any], asked: Iterable[Rate]) -> dict[str, float]:
    """Fill the buckets up to now and lock them until the transaction ends; their levels by key."""
    # In the order of the keys, so that two askers cannot wait for each other crosswise.
    keys, per_s, most = zip(*sorted(asked), strict=True)
    found = connection.execute(_SQL["refill"], {"keys": list(keys), "per_s": list(per_s), "most": list(most)})
    return dict(found.fetchall())


def write(connection: Connection[Any], levels: Mapping[str, float]) -> None:
    """Set the levels of locked buckets."""
    connection.execute(_SQL["write"], {"keys": list(levels), "levels": list(levels.values())})
