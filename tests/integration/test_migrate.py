"""A database that cannot hold what it must is refused before anything is changed."""

import psycopg
import pytest
from psycopg import sql

from services.development.servers import Servers
from shared.store.migrate import WrongEncodingError, migrate
from tests.shared_servers import database_url_of, drop_database, unique


def test_a_database_that_keeps_bytes_instead_of_text_is_refused(servers: Servers) -> None:
    name = unique("batchpay_bytes")
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        statement = sql.SQL(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
        )
        connection.execute(statement.format(sql.Identifier(name)))
    try:
        with pytest.raises(WrongEncodingError, match="does not keep its text as UTF-8"):
            migrate(database_url_of(servers.database_url, name))
    finally:
        drop_database(servers.database_url, name)
