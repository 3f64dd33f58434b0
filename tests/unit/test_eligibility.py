import re
from pathlib import Path

import pytest

from shared.domain.eligibility import WORDS, Facts, Reason, sentence, words
from shared.store import migrate

SCHEMA = Path(migrate.__file__).parent / "migrations" / "versions" / "0001_engine.sql"


def test_the_reasons_are_exactly_those_of_the_view_and_each_has_words() -> None:
    view = SCHEMA.read_text(encoding="utf-8").split("CREATE VIEW invoice_eligibility", 1)[1].split(";", 1)[0]
    assert set(re.findall(r"THEN\s+'([a-z_]+)' END", view)) == set(Reason)
    assert set(WORDS) == set(Reason)


@pytest.mark.parametrize(
    ("reason", "facts", "text"),
    [
        (Reason.NO_PAYMENT_METHOD, Facts(), "No card on file. Add one in Bill To & Insurance Info."),
        (Reason.METHOD_NEVER_CHARGED, Facts(), "Card never charged before. Charge it once in person first."),
        (Reason.METHOD_EXPIRED, Facts(expiry="04/2026"), "Card expired 04/2026. Ask for a new one."),
        (Reason.METHOD_EXPIRED, Facts(), "Card expired. Ask for a new one."),
        (
            Reason.METHOD_OF_OTHER_PROCESSOR,
            Facts(method_processor="Stripe", practice_processor="Vantage"),
            "The card belongs to Stripe; your practice now uses Vantage. Store it again.",
        ),
        (Reason.IN_RUNNING_BATCH, Facts(running_batch="batch BP-1048"), "Already in batch BP-1048."),
        (Reason.IN_RUNNING_BATCH, Facts(), "Already in a running batch."),
        (
            Reason.OVER_INVOICE_LIMIT,
            Facts(limit="$30,000.00"),
            "This invoice alone is above your practice's limit of $30,000.00. Charge it by hand.",
        ),
    ],
)
def test_a_reason_is_said_in_a_sentence_for_staff(reason: Reason, facts: Facts, text: str) -> None:
    assert sentence(reason, facts) == text


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_said_without_any_fact(reason: Reason) -> None:
    said = words(reason)
    assert said.what.endswith(".")
    assert said.fix.endswith(".")
    assert "{" not in said.what
