"""The order in which test files begin."""

from pathlib import Path

from tests.conftest import LONG, LONGEST, place

TESTS = Path(__file__).parents[1]


def test_every_file_that_is_to_begin_first_is_there() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


def test_the_longest_begin_then_what_runs_whole_systems_and_then_all_others() -> None:
    files = sorted(TESTS.glob("*/test_*.py"))
    ordered = [f"{file.parent.name}/{file.name}" for file in sorted(files, key=place)]
    assert tuple(ordered[: len(LONGEST)]) == LONGEST
    whole = [name.split("/")[0] in LONG for name in ordered]
    assert whole == sorted(whole, reverse=True)
