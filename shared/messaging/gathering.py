"""A connection of pika that sends many frames with one call of the system."""

from collections.abc import Iterator
from contextlib import contextmanager

import pika


class GatheringConnection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """Sends what is written within `gathering()` in one piece.

    pika calls the system for every frame, three times for a message, and RabbitMQ reads each by itself.
    `_adapter_emit_data` is what pika has every adapter write.
    """

    _gathered: list[bytes] | None = None

    @contextmanager
    def gathering(self) -> Iterator[None]:
        gathered = self._gathered = []
        try:
            yield
        finally:
            self._gathered = None
            if gathered:
                self._adapter_emit_data(b"".join(gathered))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._gathered is None:
            super()._adapter_emit_data(data)
        else:
            self._gathered.append(data)
