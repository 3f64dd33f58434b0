"""Searches and day reports of Vantage on a raw wire: what they show, and what proves nothing."""

from typing import Any

import pytest

from tests.contract.vantage.bench import answered, report_of, report_row, search_of, search_row
from workers.processors.port import Found, LookupFailed, NotFound, Seen


def search(*rows: str, prefix: str = "") -> Any:
    return answered("lookup", search_of(*rows, prefix=prefix))


def report(*rows: Any, **changes: Any) -> Any:
    return answered("report", report_of(*rows, **changes))


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"status": "CCDebitPending"}, Seen.APPROVED),
        ({"status": "CCDebitSettled"}, Seen.SETTLED),
        ({"status": "CCDebitFunded"}, Seen.SETTLED),
        ({"status": "CCDebitVoided"}, Seen.VOIDED),
        ({"status": "CCDebitDeclined", "code": "51", "first": "Failure"}, Seen.DECLINED),
        ({"status": "CCDebitDeclined", "code": "777", "first": "Failure"}, Seen.OTHER),
        ({"status": "CCDebitDeclined", "code": "0"}, Seen.OTHER),
        ({"status": "CCDebitSettled", "code": "51", "first": "Failure"}, Seen.OTHER),
        ({"status": "CCDebitAuthorized"}, Seen.OTHER),
        ({"status": "CCDebitChargedBack"}, Seen.OTHER),
        ({"status": "CCDebitRepresented"}, Seen.OTHER),
        ({"status": "InvalidTransaction"}, Seen.OTHER),
        ({"status": "ACHInPending"}, Seen.OTHER),
        ({"status": ""}, Seen.OTHER),
    ],
    ids=str,
)
def test_a_search_row_stands_as_the_table_says(changes: dict[str, str], seen: Seen) -> None:
    found = search(search_row(**changes))
    assert isinstance(found, Found)
    assert found.sighting.seen is seen


@pytest.mark.parametrize(("approval", "code"), [("A11442", "A11442"), ("", None)])
def test_a_search_row_tells_the_code_of_its_approval(approval: str, code: str | None) -> None:
    assert search(search_row(approval=approval)).sighting.approval_code == code


def test_of_several_charges_the_one_that_took_money_is_shown() -> None:
    declined = search_row(number="530", status="CCDebitDeclined", code="51", first="Failure")
    found = search(declined, search_row(number="531"), search_row(number="532", status="CCDebitVoided"))
    assert isinstance(found, Found)
    assert found.sighting.processor_ref == "531"


def test_money_back_in_a_search_is_folded_into_its_charge() -> None:
    whole, part = (search_row(number="540", status="CCCreditSettled", amount=amount) for amount in ("12500", "100"))
    assert search(search_row(), whole).sighting.seen is Seen.REFUNDED
    assert search(search_row(), part).sighting.seen is Seen.OTHER


@pytest.mark.parametrize(
    "row",
    [
        "<XMLTrans><transType>34</transType><status>77</status></XMLTrans>",
        "<XMLTrans><status>00</status><initialTransactionResult>Not_Found</initialTransactionResult></XMLTrans>",
    ],
)
def test_both_forms_of_an_empty_search_are_absence(row: str) -> None:
    assert isinstance(search(row), NotFound)


@pytest.mark.parametrize("status", ["58", "59", "65", "67", "69", "00x", "", "7 7"])
def test_a_search_that_was_refused_proves_nothing(status: str) -> None:
    assert isinstance(search(f"<XMLTrans><status>{status}</status></XMLTrans>"), LookupFailed)


@pytest.mark.parametrize(
    ("rows", "prefix"),
    [
        ([search_row(invoice="another")], ""),
        ([search_row(amount="")], ""),
        ([search_row(amount="-5")], ""),
        ([search_row(number="")], ""),
        ([search_row(status="CCCreditSettled")], ""),
        ([], ""),
        ([search_row()], '<!DOCTYPE x [<!ENTITY a "b">]>'),
        ([search_row()], '<?xml version="1.0" encoding="cp037"?><!doctype x>'),
    ],
)
def test_a_search_answer_without_its_parts_proves_nothing(rows: list[str], prefix: str) -> None:
    assert isinstance(search(*rows, prefix=prefix), LookupFailed)


@pytest.mark.parametrize("name", ["lookup", "report"])
@pytest.mark.parametrize("status", ["201 Created", "400 Bad", "403 Forbidden", "500 Error", "503 Unavailable"])
def test_a_look_at_another_status_proves_nothing(name: str, status: str) -> None:
    whole = search_of(search_row()) if name == "lookup" else report_of(report_row())
    assert isinstance(answered(name, whole, status=status), LookupFailed)


REFUND = {"TransactionId": "9", "ParentTransactionId": "529", "TransactionDescription": "-CC"}


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        ([report_row()], [Seen.SETTLED]),
        ([report_row(), report_row()], [Seen.SETTLED]),
        ([report_row(ReturnCode="51")], [Seen.OTHER]),
        ([report_row(MerchantId="541253")], []),
        ([report_row(), report_row(**REFUND, GrossAmount="-125.00")], [Seen.REFUNDED]),
        ([report_row(), report_row(**REFUND, GrossAmount="-1.00")], [Seen.OTHER]),
        ([report_row(TransactionDescription="something new")], [Seen.OTHER]),
        ([], []),
    ],
)
def test_report_rows_are_folded_into_charges(rows: list[Any], seen: list[Seen]) -> None:
    assert [each.seen for each in report(*rows).sightings] == seen


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        ([report_row(GrossAmount="a lot")], {}),
        ([report_row(GrossAmount="1E+9")], {}),
        ([report_row(TransactionId="")], {}),
        (["text"], {}),
        ([], {"RequestResults": {"ResultCode": 403}}),
        ([], {"RequestParams": {"StartDate": "2026-03-03", "EndDate": "2026-03-04"}}),
        ([], {"Transactions": None}),
    ],
)
def test_a_report_that_cannot_be_read_whole_proves_nothing(rows: list[Any], changes: dict[str, Any]) -> None:
    assert isinstance(report(*rows, **changes), LookupFailed)
