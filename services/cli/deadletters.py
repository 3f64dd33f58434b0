"""`batchpay deadletters`: messages that no worker could read, and events that nobody was bound for.

None of them is the only copy of anything: a command is a hint to look at a row, and the janitor hints again.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import pika
import typer
from pika.exceptions import ChannelClosedByBroker

from schemas.events import EVENTS_EXCHANGE, UNROUTED_EXCHANGE
from services.cli.broker import connected_to_rabbitmq, depth
from services.cli.printing import Json, fail, print_json, print_table
from shared.messaging.topology import COMMAND_QUEUES, UNROUTED_QUEUE, dead_letter_queue

app = typer.Typer(no_args_is_help=True, help="Messages that nobody could take.")
_QUEUES: Final = (*map(dead_letter_queue, COMMAND_QUEUES), UNROUTED_QUEUE)
_LONGEST_BODY: Final = 200

Queue = Annotated[str | None, typer.Option("--queue", help=f"One of {', '.join(_QUEUES)}; without it: all.")]
# Exchange and routing key.
Route = Callable[[Any], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Letter:
    queue: str
    message_id: str | None
    routing_key: str
    died: str | None
    body: str


@app.command("list")
def list_(*, queue: Queue = None, as_json: Json = False) -> None:
    """Show what lies there, oldest first."""
    # A message that is only given back counts as delivered, and RabbitMQ 4 drops it after twenty times. So each is put
    # at the queue's end, once around.
    letters = [one for name in _wanted(queue) for one in _passed_on(name, _end_of(name))]
    if as_json:
        print_json([asdict(letter) for letter in letters])
    elif letters:
        rows = [(one.queue, one.message_id or "", one.routing_key, one.died or "", one.body) for one in letters]
        print_table(rows, columns=("Queue", "Message", "Routing key", "Why", "Body"))
    else:
        typer.echo("There are no dead letters.")


@app.command()
def replay(*, queue: Queue = None, as_json: Json = False) -> None:
    """Send each once more where it was meant to go. Repeating a hint or an event changes nothing for who knows it."""
    letters = [one for name in _wanted(queue) for one in _passed_on(name, _home_of(name))]
    if as_json:
        print_json([asdict(letter) for letter in letters])
    else:
        typer.echo(f"{len(letters):,} sent once more.")


def _wanted(queue: str | None) -> tuple[str, ...]:
    if queue is not None and queue not in _QUEUES:
        raise typer.BadParameter(f"{queue!r} is none of {', '.join(_QUEUES)}", param_hint="--queue")
    return _QUEUES if queue is None else (queue,)


def _home_of(queue: str) -> Route:
    """Where the letters of a queue were meant to go: back to its command queue, or to the exchange of events."""
    if queue == UNROUTED_QUEUE:
        return lambda method: (EVENTS_EXCHANGE, method.routing_key)
    home = queue.removesuffix(dead_letter_queue(""))
    return lambda _method: ("", home)


def _end_of(queue: str) -> Route:
    """The end of the same queue. Unrouted events keep their routing key: it says where they were meant to go."""
    if queue == UNROUTED_QUEUE:
        return lambda method: (UNROUTED_EXCHANGE, method.routing_key)
    return lambda _method: ("", queue)


def _passed_on(queue: str, route: Route) -> list[Letter]:
    """Publish each message of a queue on `route`, and take it out when RabbitMQ has the copy safe."""
    with connected_to_rabbitmq() as connection:
        found = depth(connection, queue)
        letters: list[Letter] = []
        channel = connection.channel()
        channel.confirm_delivery()
        # As many as there were: what comes back meanwhile is not taken again.
        for _ in range(found.messages if found else 0):
            method, properties, body = channel.basic_get(queue)
            if method is None:
                break
            _publish(channel, *route(method), properties, body)
            channel.basic_ack(method.delivery_tag)
            letters.append(_letter(queue, method, properties, body))
        return letters


def _publish(channel: Any, exchange: str, routing_key: str, properties: Any, body: bytes) -> None:
    try:
        channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
    except (pika.exceptions.UnroutableError, pika.exceptions.NackError, ChannelClosedByBroker) as error:
        fail(f"RabbitMQ does not take the message for {routing_key!r}: {error!r}. It stays where it was.")


def _letter(queue: str, method: Any, properties: Any, body: bytes) -> Letter:
    headers = properties.headers or {}
    return Letter(
        queue=queue,
        message_id=properties.message_id,
        routing_key=method.routing_key,
        died=headers.get("x-first-death-reason"),
        body=body[:_LONGEST_BODY].decode(errors="replace"),
    )
