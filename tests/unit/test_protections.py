"""Each row of `make protections` still names code that is there once, and a test that is there."""

import re
from pathlib import Path

import pytest

from tests.protections.removals import REMOVALS, Removal

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.protection)
def test_a_protection_can_be_taken_out_and_its_test_is_there(removal: Removal) -> None:
    code = (ROOT / removal.file).read_text()
    assert code.count(removal.there) == 1
    file, *_, test = removal.test.split("::")
    name = test.partition("[")[0]
    assert re.search(rf"def {name}\b", (ROOT / file).read_text()) or name in inherited()


def inherited() -> set[str]:
    """Tests of the contracts, which adapters' files inherit."""
    contracts = (ROOT / "tests/contract").glob("*_contract.py")
    return {name for contract in contracts for name in re.findall(r"def (test_\w+)", contract.read_text())}
