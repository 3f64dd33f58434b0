"""What the README generates from code is what the code says."""

from pathlib import Path

from shared.domain.machine import diagram
from shared.domain.payment import TABLE

README = Path(__file__).parents[2] / "README.md"


def test_the_state_diagram_is_the_transition_table() -> None:
    assert f"```mermaid\n{diagram(TABLE)}\n```" in README.read_text(encoding="utf-8")
