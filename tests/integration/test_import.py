import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from services.cli.import_folder import Imported, run_import
from services.cli.main import app
from services.cli.read_folder import BadFolderError, read_folder

Table = list[dict[str, str]]


def table(columns: str, *rows: str) -> Table:
    names = columns.split(",")
    return [dict(zip(names, row.split(","), strict=True)) for row in rows]


def export() -> dict[str, Table]:
    return {
        "practices": table(
            "practice_id,name,timezone,currency,processor,processor_account,enrolled",
            "p1,Oak,America/New_York,USD,vantage,77,true",
        ),
        "clinicians": table("practice_id,clinician_id,name", "p1,d1,Dr One"),
        "clients": table("practice_id,client_id,name,email,clinician_id", "p1,c1,Zoë,z@oak.example,d1", "p1,c2,Sami,,"),
        "payment_methods": table(
            "practice_id,client_id,payment_method_id,processor,type,brand,last4,exp_month,exp_year,payer_id,token,"
            "is_default,first_charged_on",
            "p1,c1,m1,vantage,card,visa,4242,12,2030,pay1,tok1,true,2026-01-02",
            "p1,c1,m2,vantage,card,amex,0005,12,2030,pay1,tok2,false,2026-01-02",
            "p1,c2,m3,stripe,us_bank_account,chase,6789,,,cus_1,pm_1,true,",
        ),
        "invoices": table(
            "practice_id,invoice_id,invoice_number,client_id,currency,total_minor,amount_due_minor,issued_on,status",
            "p1,i1,INV-1,c1,USD,12000,9000,2026-10-01,open",
            "p1,i2,INV-2,c2,USD,5000,5000,2026-10-02,open",
        ),
        "sessions": table(
            "practice_id,invoice_id,session_id,service_date,clinician_id,description,amount_minor",
            "p1,i1,s1,2026-09-03,d1,Psychotherapy,7000",
            "p1,i1,s2,2026-09-01,d1,Psychotherapy,5000",
            "p1,i2,s3,2026-09-02,,Late cancellation,5000",
        ),
    }


def write(folder: Path, tables: dict[str, Table]) -> Path:
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            names = dict.fromkeys(name for row in rows for name in row)
            writer = csv.DictWriter(file, fieldnames=list(names))
            writer.writeheader()
            writer.writerows(rows)
    return folder


def land(database_url: str, folder: Path) -> Imported:
    return asyncio.run(run_import(database_url, read_folder(folder), actor="tester"))


def ask(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]  # tests write SQL freely


def totals(imported: Imported) -> tuple[int, int, int, int]:
    results = imported.results.values()
    return (
        sum(one.added for one in results),
        sum(one.changed for one in results),
        sum(one.unchanged for one in results),
        len({(row.file, row.line) for row in imported.bad}),
    )


def test_a_folder_lands_once_and_again_changes_nothing(database_url: str, tmp_path: Path) -> None:
    folder = write(tmp_path, export())
    assert totals(land(database_url, folder)) == (12, 0, 0, 0)
    statements = [
        f"SELECT xmin::text, ctid::text FROM {name} ORDER BY id"  # noqa: S608  # names of our own tables
        for name in ("practice", "client", "payment_method", "invoice", "session", "audit_entry")
    ]
    before = [ask(database_url, statement) for statement in statements]
    assert totals(land(database_url, folder)) == (0, 0, 12, 0)
    assert [ask(database_url, statement) for statement in statements] == before
    assert ask(
        database_url,
        "SELECT number, first_service_on::text, last_service_on::text, session_count FROM invoice ORDER BY 1",
    ) == [("INV-1", "2026-09-01", "2026-09-03", 2), ("INV-2", "2026-09-02", "2026-09-02", 1)]
    assert ask(database_url, "SELECT processor, account FROM merchant_account") == [("vantage", "77")]
    assert ask(database_url, "SELECT actor, action FROM audit_entry") == [("tester", "catalog.imported")]


def test_a_practice_brings_its_limits_keeps_them_when_they_are_left_out_and_drops_them_at_0(
    database_url: str, tmp_path: Path
) -> None:
    tables = export()
    [practice] = tables["practices"]
    steps: list[tuple[dict[str, str], tuple[int | None, int | None], int]] = [
        ({"approval_ceiling_minor": "3000000", "refund_limit_minor": "50000"}, (3_000_000, 50_000), 0),
        ({}, (3_000_000, 50_000), 0),
        ({"approval_ceiling_minor": "", "refund_limit_minor": "60000"}, (3_000_000, 60_000), 1),
        ({"approval_ceiling_minor": "0", "refund_limit_minor": "60000"}, (None, 60_000), 1),
        ({"approval_ceiling_minor": "0", "refund_limit_minor": "60000"}, (None, 60_000), 0),
    ]
    for given, kept, changed in steps:
        tables["practices"] = [{**practice, **given}]
        assert totals(land(database_url, write(tmp_path, tables)))[1] == changed
        [limits] = ask(database_url, "SELECT approval_ceiling_minor, refund_limit_minor FROM practice")
        assert limits == kept


def test_the_default_moves_between_methods_in_one_push_and_back(database_url: str, tmp_path: Path) -> None:
    tables = export()
    land(database_url, write(tmp_path, tables))
    for first, second in (("false", "true"), ("true", "false")):
        tables["payment_methods"][0]["is_default"], tables["payment_methods"][1]["is_default"] = first, second
        assert totals(land(database_url, write(tmp_path, tables))) == (0, 2, 10, 0)
        [(name,)] = ask(
            database_url,
            "SELECT m.external_id FROM payment_method m JOIN client c ON c.id = m.client_id"
            " WHERE c.external_id = 'c1' AND m.is_default",
        )
        assert name == ("m2" if second == "true" else "m1")


def test_a_new_default_pushes_out_one_that_is_not_in_the_push(database_url: str, tmp_path: Path) -> None:
    tables = export()
    land(database_url, write(tmp_path, tables))
    del tables["payment_methods"][0]
    tables["payment_methods"][0]["is_default"] = "true"
    assert totals(land(database_url, write(tmp_path, tables)))[3] == 0
    assert ask(database_url, "SELECT external_id FROM payment_method WHERE is_default ORDER BY 1") == [("m2",), ("m3",)]


@pytest.mark.unsound("its invoice is paid without a payment")
def test_an_old_push_does_not_open_a_paid_invoice_again(database_url: str, tmp_path: Path) -> None:
    folder = write(tmp_path, export())
    land(database_url, folder)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE invoice SET taken_minor = 9000 WHERE external_id = 'i1'")
    assert totals(land(database_url, folder)) == (0, 0, 12, 0)
    assert ask(database_url, "SELECT amount_due_minor FROM invoice WHERE external_id = 'i1'") == [(0,)]


BAD = [
    ("practices", {"timezone": "Mars/Base"}, "timezone", "time zone"),
    ("practices", {"currency": "ZZZ"}, "currency", "no currency"),
    ("practices", {"processor": "paypal"}, "processor", "'vantage' or 'stripe'"),
    ("practices", {"enrolled": "maybe"}, "enrolled", "boolean"),
    ("practices", {"approval_ceiling_minor": "300.00"}, "approval_ceiling_minor", "integer"),
    ("practices", {"refund_limit_minor": "-1"}, "refund_limit_minor", "greater than or equal to 0"),
    ("clinicians", {"practice_id": "p9"}, "practice_id", "no such practice"),
    ("clients", {"clinician_id": "d9"}, "clinician_id", "no such clinician"),
    ("clients", {"name": ""}, "name", "at least 1 character"),
    ("payment_methods", {"client_id": "c9"}, "client_id", "no such client"),
    ("payment_methods", {"last4": "42"}, "last4", "pattern"),
    ("payment_methods", {"exp_month": ""}, "", "expiry"),
    ("payment_methods", {"processor": "paypal"}, "processor", "'vantage' or 'stripe'"),
    ("invoices", {"amount_due_minor": "12.50"}, "amount_due_minor", "integer"),
    ("invoices", {"amount_due_minor": "90.00"}, "amount_due_minor", "integer"),
    ("invoices", {"amount_due_minor": "-1"}, "amount_due_minor", "greater than or equal to 0"),
    ("invoices", {"amount_due_minor": "12001"}, "amount_due_minor", "more than the total"),
    ("invoices", {"issued_on": "10/01/2026"}, "issued_on", "date"),
    ("invoices", {"client_id": "c9"}, "client_id", "no such client"),
    ("sessions", {"invoice_id": "i9"}, "invoice_id", "no such invoice"),
    ("sessions", {"amount_minor": "70.00"}, "amount_minor", "integer"),
    ("sessions", {"service_date": "2026-02-30"}, "service_date", "date"),
]


def test_every_bad_row_is_reported_with_what_is_wrong_and_what_to_do_and_good_rows_land(
    database_url: str, tmp_path: Path
) -> None:
    tables, expected = export(), []
    for n, (name, change, field, reason) in enumerate(BAD):
        key = f"{name.removesuffix('s')}_id"
        other = tables[name][0] | {key: f"other{n}"} | ({"is_default": "false"} if name == "payment_methods" else {})
        tables[name].append(other | change)
        expected.append((f"{name}.csv", len(tables[name]) + 1, field, change[field] if field else "", reason))
    imported = land(database_url, write(tmp_path, tables))
    for bad, (*place, reason) in zip(imported.bad, expected, strict=True):
        assert [bad.file, bad.line, bad.field, bad.value] == place
        assert reason in bad.reason
        assert bad.fix.endswith(".")
    assert totals(imported) == (12, 0, 0, len(BAD))


def test_of_two_rows_with_one_id_the_first_lands(database_url: str, tmp_path: Path) -> None:
    tables = export()
    for rows in tables.values():
        rows.append(dict(rows[0]))
    imported = land(database_url, write(tmp_path, tables))
    assert [(bad.file, bad.line) for bad in imported.bad] == [(f"{name}.csv", len(tables[name]) + 1) for name in tables]
    assert {bad.reason for bad in imported.bad} == {"the same id is on line 2, which was taken"}
    assert totals(imported) == (12, 0, 0, 6)


def test_of_two_defaults_neither_lands(database_url: str, tmp_path: Path) -> None:
    tables = export()
    tables["payment_methods"][1]["is_default"] = "true"
    imported = land(database_url, write(tmp_path, tables))
    assert [(bad.line, bad.field, bad.value, bad.reason[-6:]) for bad in imported.bad] == [
        (2, "is_default", "true", "line 3"),
        (3, "is_default", "true", "line 2"),
    ]
    assert totals(imported) == (10, 0, 0, 2)


def test_nothing_moves_to_another_owner(database_url: str, tmp_path: Path) -> None:
    tables = export()
    land(database_url, write(tmp_path, tables))
    tables["payment_methods"][0] |= {"client_id": "c2", "is_default": "false"}
    tables["invoices"][0]["client_id"] = "c2"
    tables["sessions"][0]["invoice_id"] = "i2"
    imported = land(database_url, write(tmp_path, tables))
    assert [(bad.file, bad.line, bad.field) for bad in imported.bad] == [
        ("payment_methods.csv", 2, "client_id"),
        ("invoices.csv", 2, "client_id"),
        ("sessions.csv", 2, "invoice_id"),
    ]
    assert all("belongs to another" in bad.reason for bad in imported.bad)


def test_the_command_prints_the_result_and_exits_with_1_for_bad_rows_and_2_for_a_bad_folder(
    database_url: str, tmp_path: Path
) -> None:
    tables = export()
    folder = write(tmp_path, tables)
    runner = CliRunner(env={"BATCHPAY_DATABASE_URL": database_url})
    assert runner.invoke(app, ["import", str(folder)]).exit_code == 0
    again = runner.invoke(app, ["import", str(folder)])
    assert (again.exit_code, "Nothing changed" in again.output) == (0, True)
    tables["invoices"][0]["total_minor"] = "lots"
    bad = runner.invoke(app, ["import", str(write(tmp_path, tables)), "--json"])
    assert bad.exit_code == 1
    [row] = json.loads(bad.output)["bad_rows"]
    assert (row["file"], row["line"], row["field"], row["value"]) == ("invoices.csv", 2, "total_minor", "lots")
    (folder / "clients.csv").unlink()
    assert runner.invoke(app, ["import", str(folder)]).exit_code == 2
    with pytest.raises(BadFolderError, match=r"clients\.csv is missing"):
        read_folder(folder)


def test_the_token_command_mints_a_token(database_url: str) -> None:
    environment = {"BATCHPAY_DATABASE_URL": database_url, "BATCHPAY_JWT_SECRET": "x" * 32}
    minted = CliRunner(env=environment).invoke(app, ["token", "p1", "--clinician", "d1"])
    assert (minted.exit_code, minted.output.count(".")) == (0, 2)
    short = CliRunner(env=environment | {"BATCHPAY_JWT_SECRET": "short"}).invoke(app, ["token", "p1"])
    assert short.exit_code == 2
