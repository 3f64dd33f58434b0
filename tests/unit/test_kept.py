"""What a folder's tests share is there for them alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kept import Kept


def test_a_thing_is_opened_once_for_a_folder_and_closed_when_another_begins() -> None:
    seen: list[str] = []

    @contextmanager
    def opened() -> Iterator[int]:
        seen.append("opened")
        yield len(seen)
        seen.append("closed")

    kept = Kept()
    kept.come_to(Path("journeys"))
    assert kept.get("sandbox", opened) == 1
    kept.come_to(Path("journeys"))
    assert kept.get("sandbox", opened) == 1
    kept.come_to(Path("unit"))
    assert seen == ["opened", "closed"]
    kept.come_to(Path("journeys"))
    assert kept.get("sandbox", opened) == 3
    kept.close()
    assert seen == ["opened", "closed"] * 2
