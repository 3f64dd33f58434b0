"""Every exchange and queue, declared by whoever needs one: the names and arguments are the same everywhere.

Whoever publishes or consumes declares first and after every reconnect, so that a RabbitMQ that came back empty is
whole again without anybody's help. Only arguments that RabbitMQ 3.10 and 4 both know are used.
"""

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pika
from pika.exceptions import AMQPError

from schemas.commands import AGGREGATOR_QUEUE, CHARGE_QUEUES, FIRST_CHARGE_QUEUES, REFUND_QUEUE, VOID_QUEUE
from schemas.events import EVENTS_EXCHANGE, UNROUTED_EXCHANGE
from schemas.requests import REQUESTS_EXCHANGE, SUBMIT_KEY, SUBMIT_QUEUE
from shared.messaging import properties

NOTIFY_QUEUE: Final = "notify.v1"
UNROUTED_QUEUE: Final = "batchpay.events.unrouted.v1"
COMMAND_QUEUES: Final = (*CHARGE_QUEUES.values(), *FIRST_CHARGE_QUEUES.values(), VOID_QUEUE, REFUND_QUEUE)
# Has no queue: an event of these kinds is for whoever has bound one to the exchange of events, and that may be nobody.
# What is of no such kind has a wrong name, and is kept to be looked at.
_KINDS_EXCHANGE: Final = "batchpay.events.kinds"
_KINDS: Final = ("batch.*", "finding.*", "invoice.*", "payment.*", "request.*")

# Without this argument RabbitMQ 4 gives up on a message after 20 deliveries, and one lost worker connection counts as a
# delivery of everything it had prefetched. Attempts are counted in PostgreSQL instead; -1 is not valid on 3.10.
DELIVERY_LIMIT: Final = 1_000_000
# Events that nobody is bound for, and rejected messages, are kept to be looked at and are never the only copy. Without
# a length they would fill the disk, which stops every publisher; the oldest go first.
KEPT_MESSAGES: Final = 10_000
# The broker notices a dead peer after twice this time; shorter times drop healthy connections on a busy machine.
HEARTBEAT_S: Final = 30
# The first pause lets RabbitMQ tell every consumer of a deleted queue before somebody declares it again: it would move
# the others to the new queue, and deliver nothing to them. Later ones must not storm a broker that is starting.
_RECONNECT_DELAYS_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
# A consumer that gets nothing for so long asks anew, on a new connection, in case it was moved all the same.
TRUST_SILENCE_S: Final = 15.0
SILENCE: Final = "silence"
# Whoever probes gives up after a few seconds.
PROBE_WITHIN_S: Final = 2.0
# How long a memory or disk alarm may hold a publisher before its connection is given up and tried anew.
BLOCKED_S: Final = 20


def connection_parameters(amqp_url: str) -> Any:
    """Pika's parameters for the URL, with a heartbeat and a bound on blocked connections unless the URL has its own."""
    properties.install()
    parts = urlsplit(amqp_url)
    query = {"heartbeat": HEARTBEAT_S, "blocked_connection_timeout": BLOCKED_S, **dict(parse_qsl(parts.query))}
    return pika.URLParameters(urlunsplit(parts._replace(query=urlencode(query))))


def reconnect_delay_s(attempts: int) -> float:
    """The pause before connecting again, after this many attempts since the last connection."""
    return _RECONNECT_DELAYS_S[min(attempts - 1, len(_RECONNECT_DELAYS_S) - 1)]


def is_reachable(amqp_url: str) -> bool:
    """Whether RabbitMQ takes a new connection with our credentials."""
    parameters = connection_parameters(amqp_url)
    parameters.socket_timeout = parameters.stack_timeout = PROBE_WITHIN_S
    parameters.connection_attempts = 1
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError):
        return False
    return True


def declare(amqp_url: str) -> None:
    """Declare everything, on a connection of its own. Safe to repeat.

    Raises pika's AMQPError if RabbitMQ is not there, or has one of the names with other arguments.
    """
    connection = pika.BlockingConnection(connection_parameters(amqp_url))
    try:
        declare_on(connection.channel())
    finally:
        if connection.is_open:
            connection.close()


def declare_on(channel: Any) -> None:
    """Declare everything on a channel of any pika connection.

    On an asynchronous connection nothing is waited for: what follows on the channel comes after it, and a refusal
    closes the channel.
    """
    channel.exchange_declare(exchange=UNROUTED_EXCHANGE, exchange_type="fanout", durable=True)
    channel.exchange_declare(
        exchange=EVENTS_EXCHANGE,
        exchange_type="topic",
        durable=True,
        arguments={"alternate-exchange": UNROUTED_EXCHANGE},
    )
    channel.exchange_declare(exchange=_KINDS_EXCHANGE, exchange_type="fanout", durable=True, internal=True)
    channel.exchange_declare(exchange=REQUESTS_EXCHANGE, exchange_type="direct", durable=True)
    for queue in all_queues():
        channel.queue_declare(queue=queue, durable=True, arguments=queue_arguments(queue))
    for key in _KINDS:
        channel.exchange_bind(destination=_KINDS_EXCHANGE, source=EVENTS_EXCHANGE, routing_key=key)
    channel.queue_bind(queue=UNROUTED_QUEUE, exchange=UNROUTED_EXCHANGE, routing_key="")
    channel.queue_bind(queue=SUBMIT_QUEUE, exchange=REQUESTS_EXCHANGE, routing_key=SUBMIT_KEY)


def all_queues() -> tuple[str, ...]:
    """The names of all queues, a command queue after the one for its dead letters."""
    ours = (AGGREGATOR_QUEUE, NOTIFY_QUEUE, SUBMIT_QUEUE, UNROUTED_QUEUE)
    return (*map(dead_letter_queue, COMMAND_QUEUES), *COMMAND_QUEUES, *ours)


def queue_arguments(queue: str) -> dict[str, Any]:
    """The arguments of one of our queues. All are quorum queues: a classic queue confirms before it is on the disk."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum"}
    if queue in COMMAND_QUEUES:
        dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead_letter_queue(queue)}
        return arguments | {"x-delivery-limit": DELIVERY_LIMIT} | dead_letters
    if queue in {AGGREGATOR_QUEUE, NOTIFY_QUEUE, SUBMIT_QUEUE}:
        return arguments | {"x-delivery-limit": DELIVERY_LIMIT}
    return arguments | {"x-max-length": KEPT_MESSAGES, "x-overflow": "drop-head"}


def dead_letter_queue(queue: str) -> str:
    """Where RabbitMQ puts what a worker rejected: only bodies it cannot read and actors it does not have."""
    return f"{queue}.XQ"  # the name that Dramatiq's own tools look for
