"""What every test on real servers relies on: its own database and its own virtual host."""

import pika
import psycopg
import pytest

from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually


@pytest.mark.parametrize("visit", ["first", "second"])
def test_each_test_gets_a_migrated_database_that_nobody_has_written_to(database_url: str, visit: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables is not None
        assert tables[0] > 0
        connection.execute("CREATE TABLE visited (visit text)")  # fails where another test was before
        connection.execute("INSERT INTO visited VALUES (%s)", (visit,))


@pytest.mark.parametrize("_visit", ["first", "second"])
def test_each_test_gets_an_empty_virtual_host(amqp_url: str, rabbitmq: RabbitMQ, _visit: str) -> None:
    assert rabbitmq.queues() == {}
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("seen", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "seen", b"one", mandatory=True)
        assert rabbitmq.depth("seen") == 1
        assert rabbitmq.bodies("seen") == ["one"]
        assert rabbitmq.depth("seen") == 1
    finally:
        connection.close()


def test_connections_can_be_closed_by_force(amqp_url: str, rabbitmq: RabbitMQ) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    eventually(rabbitmq.connections, what="the broker lists the connection")
    assert rabbitmq.close_connections() == 1
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
        connection.process_data_events(time_limit=10)
