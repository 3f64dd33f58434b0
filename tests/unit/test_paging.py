from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import ordered_ids
from shared.store.paging import BadCursorError, Cursor, read_cursor, write_cursor

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(WORDS, st.integers(-(2**63), 2**63 - 1), st.uuids())
def test_a_cursor_is_read_back_as_it_was_written(text: str, number: int, row_id: UUID) -> None:
    cursor = Cursor(text=text, number=number, id=row_id)
    assert read_cursor(write_cursor(cursor, sort="client asc"), sort="client asc") == cursor


@given(st.text())
def test_any_other_text_is_refused_and_never_breaks(text: str) -> None:
    with pytest.raises(BadCursorError):
        read_cursor(text, sort="client asc")


def test_a_cursor_of_another_order_is_refused() -> None:
    made = write_cursor(Cursor(text="a", number=0, id=UUID(int=1)), sort="client asc")
    with pytest.raises(BadCursorError, match="another sort order"):
        read_cursor(made, sort="client desc")


def test_ids_made_in_one_call_are_distinct_uuids_of_version_7_in_order() -> None:
    made = ordered_ids(10_000, unix_ms=1_700_000_000_000)
    assert made == sorted(set(made))
    assert {(UUID(one).version, UUID(one).variant) for one in made} == {(7, "specified in RFC 4122")}
    assert UUID(made[0]).int >> 80 == 1_700_000_000_000
