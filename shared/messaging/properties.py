"""Message properties that stay readable, whatever a sender has put into the headers.

pika gives its connection up over a header that it cannot decode, as a time in milliseconds where AMQP counts seconds.
The message then comes again over the next connection, and so on: one such message would block its queue for everybody.
"""

import struct
from typing import Any

import pika
from pika.exceptions import InvalidFieldTypeException


class ReadableProperties(pika.BasicProperties):  # type: ignore[misc]  # pika is untyped
    """Has no headers where they cannot be decoded. All else is as it was sent."""

    def decode(self, encoded: bytes, offset: int = 0) -> Any:
        try:
            return super().decode(encoded, offset)
        except (ValueError, OverflowError, OSError, struct.error, InvalidFieldTypeException):
            return super().decode(_without_headers(encoded[offset:]))


def install() -> None:
    """Have pika make these of what it receives. Safe to repeat."""
    pika.spec.props[pika.BasicProperties.INDEX] = ReadableProperties


def text(value: str | bytes | None) -> str | None:
    """A property as text: pika hands bytes over where they are no UTF-8."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _without_headers(encoded: bytes) -> bytes:
    """Flags, then the properties that they name, in order (AMQP 0-9-1, section 4.2.6.1): headers are the third."""
    (flags,) = struct.unpack_from(">H", encoded)
    start = 2
    for flag in (pika.BasicProperties.FLAG_CONTENT_TYPE, pika.BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            start += 1 + encoded[start]
    (length,) = struct.unpack_from(">I", encoded, start)
    rest = struct.pack(">H", flags & ~pika.BasicProperties.FLAG_HEADERS)
    return rest + encoded[2:start] + encoded[start + 4 + length :]
