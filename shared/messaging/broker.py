"""The Dramatiq broker without the parts that lose messages."""

from typing import Any

from dramatiq import Message
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from shared.messaging import topology
from shared.messaging.consumer import EpochConsumer


class HintBroker(RabbitmqBroker):
    """Carries hints to look at a row. It keeps no time, repeats nothing and is never the only place of any work.

    None of Dramatiq's middleware is used. `Retries` acknowledges a message whose retry it could not publish,
    `TimeLimit` can mark finished work failed, `AgeLimit` drops silently, and `Callbacks`, `Pipelines` and `Results`
    publish after the effect: retries and their times are rows in PostgreSQL.
    """

    def __init__(self, amqp_url: str) -> None:
        # Without confirms an unroutable or unsaved message is lost in silence.
        super().__init__(confirm_delivery=True, middleware=[])
        self.parameters = topology.connection_parameters(amqp_url)

    @property
    def consumer_class(self) -> type[EpochConsumer]:
        """Dramatiq's own consumer acknowledges other messages than it was asked to after a reconnect."""
        return EpochConsumer

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Know a command queue of the topology; with `ensure`, declare everything. Raises ValueError for another name.

        No delay queue is declared or consumed: its consumer holds thousands of messages unacknowledged until RabbitMQ's
        consumer timeout returns them all, again and again.
        """
        if queue_name not in topology.COMMAND_QUEUES:
            raise ValueError(f"{queue_name!r} is not one of the command queues {topology.COMMAND_QUEUES}")
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.queues_pending.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            self._ensure_queue(queue_name)  # type: ignore[no-untyped-call]  # Dramatiq leaves it untyped

    def enqueue(self, message: "Message[Any]", *, delay: int | None = None) -> "Message[Any]":
        """Publish one message and wait for its confirm. Raises ConnectionClosed without one, ValueError for a delay."""
        if delay is not None:
            raise ValueError("RabbitMQ keeps no time here: write the row's due_at, or the outbox row's available_at")
        return super().enqueue(message)

    def _declare_queue(self, queue_name: str) -> Any:
        topology.declare_on(self.channel)
        return super()._declare_queue(queue_name)  # type: ignore[no-untyped-call]  # Dramatiq leaves it untyped

    def _declare_dq_queue(self, queue_name: str) -> None:
        """No delay queue."""

    def _declare_xq_queue(self, queue_name: str) -> None:
        """Declared with the rest of the topology."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return topology.queue_arguments(queue_name)
