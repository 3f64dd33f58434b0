"""Between locking what must leave and taking it off: how every line publishes."""

from collections.abc import Callable, Sequence

from shared.crash_points import reached
from shared.messaging.publish import Outgoing, Publisher


def publish_locked(
    publisher: Publisher, messages: Sequence[Outgoing], *, take_off: Callable[[Sequence[bool]], None]
) -> int:
    """Publish what is locked and return how many messages arrived; `take_off` is told of each whether it has.

    The locks are held while RabbitMQ answers, so that a second relay takes other rows. To lose them costs a repeated
    message and no more; how long RabbitMQ may take is bounded by the publisher.
    """
    if messages:
        reached("relay_taken")
    confirmed = publisher.publish(messages)
    arrived = sum(confirmed)
    if arrived:
        reached("relay_confirmed")
    take_off(confirmed)
    if arrived:
        reached("relay_deleted")
    return arrived
