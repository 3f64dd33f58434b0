"""The machine: transitions as data."""

from shared.domain.machine import Transition, after, diagram, sources

TABLE = (
    Transition("a", "go", "b", ""),
    Transition("a", "go", "c", "if it rains"),
    Transition("c", "go", "b", ""),
    Transition("b", "stay", "b", ""),
    Transition("a", "run", "b", ""),
)


def test_an_event_leads_to_every_target_that_the_table_names() -> None:
    assert after(TABLE, "a", "go") == {"b", "c"}


def test_an_event_that_the_table_does_not_name_leads_nowhere() -> None:
    assert after(TABLE, "b", "go") == frozenset()
    assert after(TABLE, "a", "fly") == frozenset()


def test_the_sources_of_an_event_are_each_named_once_and_sorted() -> None:
    assert sources(TABLE, "go") == ("a", "c")


def test_the_diagram_names_all_events_of_an_arrow_and_leaves_out_what_changes_nothing() -> None:
    assert diagram(TABLE) == "stateDiagram-v2\n    a --> b: go, run\n    a --> c: go\n    c --> b: go"
