"""Who reads on behalf of a person sees that person's rows, also through a statement that forgets its WHERE."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from shared.store.pool import open_pool
from shared.store.scope import Scope, resolve, seeing
from tests.console_client import Console, draft_with, submit, with_console
from tests.submit_service import seed

ROLE = "batchpay_member"
READABLE = (
    "SELECT c.relname, c.relkind, c.relrowsecurity, c.reloptions FROM pg_class c"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')"
    " AND has_table_privilege('batchpay_member', c.oid, 'SELECT') ORDER BY c.relname"
)


@pytest.fixture
def url(database_url: str) -> str:
    """Two practices, each with a batch of two clinicians' clients and a draft."""
    seed(database_url)

    async def story(console: Console) -> None:
        for practice in ("oak", "elm"):
            owner = await console.person(practice)
            await submit(owner, await draft_with(owner, ["INV-1", "INV-2"]))
            await draft_with(owner, ["INV-3", "INV-4"])

    with_console(database_url, story)
    return database_url


def readable(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(READABLE).fetchall()]


async def count(connection: psycopg.AsyncConnection[Any], table: str) -> int:
    cursor = await connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
    row = await cursor.fetchone()
    assert row
    return int(row[0])


def as_scope(
    url: str, practice: str, clinician: str | None, story: Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with open_pool(url, process="test", most=1) as pool:
            async with pool.connection() as connection:
                scope = await resolve(connection, practice=practice, clinician=clinician)
            assert scope
            async with seeing(pool, scope) as connection:
                await story(connection)

    asyncio.run(run())


def test_without_a_where_each_practice_sees_its_half_and_nobody_sees_nothing(url: str) -> None:
    tables = readable(url)
    assert {"client", "invoice", "payment", "batch", "session", "draft", "invoice_eligibility"} <= set(tables)
    with psycopg.connect(url) as connection:
        all_of = {
            table: connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            for table in tables
        }
    halves: dict[str, list[int]] = {table: [] for table in tables}

    async def look(connection: psycopg.AsyncConnection[Any]) -> None:
        for table in tables:
            halves[table].append(await count(connection, table))

    as_scope(url, "oak", None, look)
    as_scope(url, "elm", None, look)
    assert halves == {table: [row[0] // 2] * 2 for table, row in all_of.items() if row}

    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ROLE)))
        for table in tables:
            seen = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            assert seen == (0,), table


def test_a_clinician_sees_own_clients_in_every_table_that_has_clients(url: str) -> None:
    async def look(connection: psycopg.AsyncConnection[Any]) -> None:
        for table, own in {"client": 3, "payment_method": 3, "invoice": 3, "session": 3, "payment": 1}.items():
            assert await count(connection, table) == own, table
        assert await count(connection, "invoice_eligibility") == 3
        assert await count(connection, "payment_report") == 1

    as_scope(url, "oak", "oak-dr1", look)


def test_the_role_owns_nothing_cannot_bypass_and_reads_only_what_is_guarded(url: str) -> None:
    with psycopg.connect(url) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, (SELECT count(*) FROM pg_class WHERE relowner"
            " = r.oid) FROM pg_roles r WHERE rolname = %s",
            [ROLE],
        ).fetchone()
        assert role == (False, False, False, False, 0)
        for name, kind, guarded, options in connection.execute(READABLE).fetchall():
            if kind == "v":
                assert "security_invoker=true" in (options or []), f"{name} would show its owner's rows"
            else:
                assert guarded, f"{name} is not guarded"
                rules = connection.execute(
                    "SELECT permissive FROM pg_policies WHERE tablename = %s AND %s = ANY (roles)", [name, ROLE]
                ).fetchall()
                assert rules == [("RESTRICTIVE",)], name


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payment SET state = 'approved'",
        "DELETE FROM invoice",
        "SELECT * FROM audit_entry",
        "SELECT * FROM console_session",
        "INSERT INTO outbox (lane) VALUES ('event')",
        "UPDATE batch_hint SET after = after",
        "UPDATE draft SET practice_id = (SELECT uuid7())",
        "INSERT INTO audit_entry (practice_id, actor, source, action) SELECT uuid7(), 'x', 'x', 'x'",
    ],
)
def test_reading_for_a_person_moves_no_money_and_touches_no_other_practice(url: str, statement: str) -> None:
    async def attempt(connection: psycopg.AsyncConnection[Any]) -> None:
        with pytest.raises(InsufficientPrivilege):
            await connection.execute(statement)  # type: ignore[call-overload]  # tests write SQL freely
        await connection.rollback()

    as_scope(url, "oak", None, attempt)


def test_the_connection_is_itself_again_afterwards(url: str) -> None:
    async def story() -> None:
        async with open_pool(url, process="test", most=1) as pool:
            async with pool.connection() as connection:
                scope = await resolve(connection, practice="oak", clinician=None)
            assert scope == Scope(practice_id=scope.practice_id) if scope else False
            async with seeing(pool, scope) as connection:
                assert await count(connection, "practice") == 1
            async with pool.connection() as connection:
                assert await count(connection, "practice") == 2

    asyncio.run(story())


def test_what_is_read_of_one_moment_is_not_changed_by_others_meanwhile(url: str) -> None:
    async def run() -> None:
        async with open_pool(url, process="test", most=2) as pool, pool.connection() as other:
            scope = await resolve(other, practice="oak", clinician=None)
            assert scope
            async with seeing(pool, scope, of_one_moment=True) as connection:
                before = await numbers(connection)
                await other.execute("UPDATE payment SET number = number || '-9'")
                await other.commit()
                assert await numbers(connection) == before
                assert await numbers(other) != before
                with pytest.raises(ReadOnlySqlTransaction):
                    await connection.execute("DELETE FROM practice")

    asyncio.run(run())


async def numbers(connection: psycopg.AsyncConnection[Any]) -> list[Any]:
    return await (await connection.execute("SELECT number FROM payment ORDER BY id")).fetchall()
