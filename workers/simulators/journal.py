"""State that survives kill -9: JSON lines, appended before an answer leaves, replayed at the next start."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

Replay = Callable[[Mapping[str, Any]], None]


class BadStateError(ValueError):
    """The state file holds a line that this simulator cannot read; the message names file and line."""


class Journal:
    """Append-only; without a path it keeps nothing.

    A line handed to the operating system survives the death of this process, which is all that the demo needs, so
    nothing is synced to the disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self, handlers: Mapping[str, Replay]) -> int:
        """Replay every record through the handler of its kind, then open for appending; returns how many."""
        if self._path is None:
            return 0
        count = self._replay(self._path, handlers) if self._path.exists() else 0
        self._file = self._path.open("ab", buffering=0)
        return count

    def append(self, kind: str, record: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps([kind, record], separators=(",", ":")).encode() + b"\n")

    def erase(self) -> None:
        if self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @staticmethod
    def _replay(path: Path, handlers: Mapping[str, Replay]) -> int:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) != len(content):
            # A kill in the middle of a write leaves half a line. It was never answered, so it never happened.
            with path.open("r+b") as file:
                file.truncate(len(whole))
        lines = whole.splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                kind, record = json.loads(line)
                handlers[kind](record)
            except (ValueError, KeyError, TypeError) as error:
                raise BadStateError(f"{path}:{number}: not a record of this simulator ({error!r})") from error
        return len(lines)
