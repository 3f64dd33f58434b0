"""What the files of one folder share and other folders have no use for: a sandbox costs while it only stands there."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """Opens a thing for the first test that asks, and closes it when tests of another folder begin."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._things: dict[str, Any] = {}

    def come_to(self, folder: Path) -> None:
        if folder != self._folder:
            self.close()
            self._folder = folder

    def get(self, name: str, opened: Callable[[], AbstractContextManager[T]]) -> T:
        if name not in self._things:
            self._things[name] = self._stack.enter_context(opened())
        thing: T = self._things[name]
        return thing

    def close(self) -> None:
        self._things.clear()
        self._stack.close()
