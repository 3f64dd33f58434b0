"""A rule that is broken while the system runs is told by the janitor, with the rows that break it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
import structlog

from shared.store.invariants import Violation
from tests import builders
from workers.janitor.watching import reader, watch_invariants

EVERY_S = 0.01


def told_by(read: Callable[[], Sequence[Violation]], *, until: str) -> list[Any]:
    """What is logged until an event of this name is."""

    async def watch() -> list[Any]:
        stop = asyncio.Event()
        with structlog.testing.capture_logs() as told:
            watching = asyncio.create_task(watch_invariants(read, stop=stop, every_s=EVERY_S))
            async with asyncio.timeout(20):
                while not any(line["event"] == until for line in told):  # noqa: ASYNC110  # nobody tells that it grows
                    await asyncio.sleep(EVERY_S)
            stop.set()
            await watching
        return told

    return asyncio.run(watch())


@pytest.mark.unsound("it breaks a rule")
def test_a_broken_rule_is_an_error_that_names_it_and_its_rows(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        made = builders.submitted(connection)
        connection.execute("UPDATE invoice SET taken_minor = 1")
    told = told_by(reader(database_url, process="test"), until="invariant_broken")
    assert {key: told[0][key] for key in ("name", "rows", "ids", "log_level")} == {
        "name": "invoice_knows_what_was_taken",
        "rows": 1,
        "ids": (str(made.invoices[0]),),
        "log_level": "error",
    }


def test_a_sound_database_is_no_news(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        builders.submitted(connection)
    told = told_by(reader(database_url, process="test"), until="invariants_hold")
    assert {line["log_level"] for line in told} == {"debug"}


def test_a_check_that_cannot_be_made_is_told_and_made_again(database_url: str) -> None:
    nowhere, sound = (reader(url, process="test") for url in ("postgresql://nobody@127.0.0.1:1/none", database_url))
    readers = iter([nowhere])

    def read() -> Sequence[Violation]:
        return next(readers, sound)()

    told = told_by(read, until="invariants_hold")
    assert [line["event"] for line in told][:2] == ["invariants_unchecked", "invariants_hold"]


def test_many_broken_rows_are_counted_and_some_are_named() -> None:
    violation = Violation("some_rule", tuple(str(number) for number in range(1000)))
    told = told_by(lambda: [violation], until="invariant_broken")
    assert (told[0]["rows"], len(told[0]["ids"])) == (1000, 10)
