"""Reads pushed rows from a body that is a JSON array, NDJSON or CSV, one row at a time whatever its length."""

import csv
import io
import json
from collections.abc import AsyncIterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

import orjson

from services.submit.problems import ProblemError

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
MEDIA_TYPES: Final = (JSON, NDJSON, CSV)

LONGEST_ROW_BYTES: Final = 64 * 1024
_IN_MEMORY_BYTES: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024

Cells = dict[str, Any]
Records = Iterator[tuple[int, Cells | None]]
"""Each row's line (an array's place), from 1, and its cells; None where it is no JSON object."""


async def spool(chunks: AsyncIterable[bytes]) -> IO[bytes]:
    """The body as a file, so that a slow sender holds no connection to the database, and a long body no memory."""
    file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # the caller closes it
    async for chunk in chunks:
        file.write(chunk)
    return file


def records(file: IO[bytes], media_type: str) -> Records:
    """The rows from the beginning. Raises ProblemError where nothing can be read on; bodies are never half taken."""
    file.seek(0)
    if media_type == CSV:
        return _csv(file)
    return _parsed(_array(file) if media_type == JSON else _lines(file))


def _parsed(raw: Iterator[tuple[int, bytes | str]]) -> Records:
    for line, text in raw:
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError:
            record = None
        yield line, record if isinstance(record, dict) else None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    line = 0
    while text := file.readline(LONGEST_ROW_BYTES + 1):
        line += 1
        if len(text) > LONGEST_ROW_BYTES:
            raise _unreadable(f"Line {line} has more than {LONGEST_ROW_BYTES} bytes.")
        if text.strip():
            yield line, text


def _array(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    """The elements as they are written. What follows a broken one has no certain beginning."""
    reader = _ArrayReader(io.TextIOWrapper(file, encoding="utf-8"))
    try:
        yield from reader.elements()
    except UnicodeDecodeError as error:
        raise _unreadable("The body is not UTF-8.") from error
    finally:
        reader.text.detach()  # the file is read again for the rows that were refused


class _ArrayReader:
    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text = text
        self._buffer = ""
        self._decoder = json.JSONDecoder()

    def elements(self) -> Iterator[tuple[int, str]]:
        self._expect("[", "The body is not a JSON array.")
        place = 0
        while self._next() != "]":
            if not self._buffer:
                raise _unreadable(f"The array does not end: nothing follows element {place}.")
            if place:
                self._expect(",", f"There is no comma after element {place}.")
                self._next()
            place += 1
            yield place, self._element(place)
        self._buffer = self._buffer[1:]
        if self._next():
            raise _unreadable("There is more after the end of the array.")

    def _next(self) -> str:
        """The next character that is not white space, left where it is; empty at the end."""
        self._buffer = self._buffer.lstrip()
        while not self._buffer and (more := self.text.read(_CHUNK)):
            self._buffer = more.lstrip()
        return self._buffer[:1]

    def _expect(self, character: str, otherwise: str) -> None:
        if self._next() != character:
            raise _unreadable(otherwise)
        self._buffer = self._buffer[1:]

    def _element(self, place: int) -> str:
        while True:
            try:
                _, end = self._decoder.raw_decode(self._buffer)
            except (json.JSONDecodeError, RecursionError) as error:
                more = self.text.read(_CHUNK) if len(self._buffer) <= LONGEST_ROW_BYTES else ""
                if not more:
                    raise _unreadable(f"Element {place} of the array is not JSON, or too long.") from error
                self._buffer += more
            else:
                element, self._buffer = self._buffer[:end], self._buffer[end:]
                return element


def _csv(file: IO[bytes]) -> Records:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        rows = csv.DictReader(text, restkey="", restval="", strict=True)
        for row in rows:
            if "" in row:
                raise _unreadable(f"Line {rows.line_num} has more cells than the header.")
            yield rows.line_num, row
    except UnicodeDecodeError as error:
        raise _unreadable("The body is not UTF-8.") from error
    except csv.Error as error:
        raise _unreadable(f"The body is not CSV: {error}.") from error
    finally:
        text.detach()


def _unreadable(detail: str) -> ProblemError:
    return ProblemError(400, "body_unreadable", f"{detail} Nothing was taken.")
