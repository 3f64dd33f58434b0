"""No decision changes anything that is not meant: each step as a whole against `whole_steps.txt`."""

from tests.unit import whole_steps


def test_every_step_changes_exactly_what_it_says() -> None:
    said = whole_steps.FILE.read_text(encoding="utf-8")
    assert whole_steps.text().split("\n\n") == said.split("\n\n"), "python -m tests.unit.whole_steps writes it anew"
