"""The whole journey of billing staff on the sample export."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import psycopg
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from services.development.sandbox import Sandbox, call
from shared.domain.words import ProcessorName
from tests.browser.person import SHORT_LOOK, WIDE, Person
from tests.journeys.journey import days_pass, look_now
from tests.journeys.sandboxes import SAMPLE
from tests.waiting import eventually

LIVE_WITHIN_MS = 90_000
SLOW_MS = 4500  # less than the sandbox waits for an answer


def invoices_by_behaviour(box: Sandbox, behaviour: str) -> list[str]:
    """Numbers of invoices that can be charged and whose card behaves like this at the simulated processor."""
    with (SAMPLE / "vault.csv").open(encoding="utf-8") as file:
        tokens = [row["token"] for row in csv.DictReader(file) if row["behaviour"] == behaviour]
    with psycopg.connect(box.database_url) as connection:
        rows = connection.execute(
            "SELECT e.invoice_number FROM invoice_eligibility e JOIN practice p ON p.id = e.practice_id"
            " WHERE p.external_id = 'prac_cedar' AND e.reasons = '{}' AND e.token = ANY (%s)"
            " ORDER BY count(*) OVER (PARTITION BY e.client_id), e.invoice_number",
            [tokens],
        ).fetchall()
    return [row[0] for row in rows]


def slow_down(box: Sandbox, invoices: list[str]) -> None:
    """Let the processor take its time with these invoices' cards, so that the history is seen at work."""
    with psycopg.connect(box.database_url) as connection:
        cards = connection.execute(
            "SELECT DISTINCT processor_account, payer_id, token FROM invoice_eligibility"
            " WHERE invoice_number = ANY (%s) AND processor = 'vantage'",
            [invoices],
        ).fetchall()
    behaviours = [
        {"account": account, "payer": payer, "token": token, "behaviour": f"slow:{SLOW_MS}"}
        for account, payer, token in cards
    ]
    call(f"{box.simulators[ProcessorName.VANTAGE]}/_control/behaviours", behaviours, method="PUT")


def tick(page: Page, number: str) -> None:
    page.get_by_label("Search invoice").fill(number)
    box = page.get_by_role("checkbox", name=re.compile(rf"^{number},"))
    box.wait_for()
    expect(page.locator("#list tbody tr")).to_have_count(1)
    box.check()


def test_from_sign_in_to_sign_out(box: Sandbox, person: Callable[..., Person], tmp_path: Path) -> None:
    marta = person()
    begin(marta)
    good, bad = invoices_by_behaviour(box, "approve")[:4], invoices_by_behaviour(box, "decline:51")[:1]
    select(marta, [*good, *bad])
    # The others are approved at once: the history is seen half way.
    slow_down(box, good[2:])
    submit_and_watch(marta)
    read_the_report(marta, tmp_path, good, bad[0])
    void_one(marta, good[0])
    with days_pass(box):
        refund_one(marta, box, good[1])
    leave(marta)


def begin(marta: Person) -> None:
    page = marta.page
    marta.arrive()
    marta.look("sign-in")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="No batches yet")).to_be_visible()
    marta.look("history-empty")
    page.get_by_role("link", name="New batch").first.click()
    page.get_by_label("Payment number").fill("NOV-2026")
    marta.look("create-batch")
    page.get_by_role("button", name="Next: Select Open Invoices").click()


def select(marta: Person, numbers: list[str]) -> None:
    page = marta.page
    for number in numbers:
        tick(page, number)
    expect(page.locator("#tally")).to_contain_text(f"{len(numbers)} selected")
    page.get_by_label("Search invoice").fill("")
    expect(page.locator("#list caption")).to_contain_text("112 invoices match")
    expect(page.locator("#tally")).to_contain_text(f"{len(numbers)} selected")
    marta.look("select-invoices")
    page.get_by_role("link", name="Next: Confirm").click()
    expect(page.get_by_text("Total Amount Paid")).to_be_visible()
    marta.look("confirm")


def submit_and_watch(marta: Person) -> None:
    """The history goes live to completion without being loaded again."""
    page, row = marta.page, marta.page.locator("tbody#BP-1001")
    page.get_by_role("button", name="Submit Batch Payment").first.click()
    expect(row).to_contain_text("Charging")
    page.evaluate("window.notReloaded = true")
    half_way = re.compile("^[1-4] of 5 payments finished$")
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuetext", half_way, timeout=LIVE_WITHIN_MS)
    marta.look("history-charging", looks=[(WIDE, "light")])
    expect(row).to_contain_text("Completed with errors", timeout=LIVE_WITHIN_MS)
    assert page.evaluate("window.notReloaded") is True
    row.get_by_role("button", name="1 problem in BP-1001").click()
    expect(row.get_by_role("tooltip")).to_contain_text("Not enough money or credit.")
    marta.look("history")
    page.keyboard.press("Escape")
    expect(row.get_by_role("tooltip")).to_be_hidden()


def read_the_report(marta: Person, folder: Path, good: list[str], bad: str) -> None:
    page = marta.page
    page.get_by_role("link", name="BP-1001", exact=True).click()
    expect(page.get_by_role("heading", name="Batch BP-1001")).to_be_visible()
    marta.look("report-completed")
    files = {}
    for kind in ("CSV", "PDF"):
        with page.expect_download() as download:
            page.get_by_role("link", name=kind, exact=True).click()
        files[kind] = folder / download.value.suggested_filename
        download.value.save_as(files[kind])
    with files["CSV"].open(encoding="utf-8-sig", newline="") as file:
        told = {row["Invoice"]: (row["Status"], row["Payment number"]) for row in csv.DictReader(file)}
    assert told == {**dict.fromkeys(good, ("Approved", "NOV-2026")), bad: ("Declined", "NOV-2026")}
    read = PdfReader(files["PDF"]).pages[0].extract_text()
    for expected in ("Cedar Grove Counseling", "BP-1001", "Page 1 of 1", "Not enough money or credit.", *good, bad):
        assert expected in read


def void_one(marta: Person, number: str) -> None:
    """First with second thoughts: Escape keeps the payment and gives the focus back."""
    page, dialog = marta.page, marta.page.get_by_role("dialog")
    page.get_by_role("link", name=f"Void… {number}").click()
    expect(dialog).to_contain_text("The charge is voided")
    assert marta.focused() == "Keep the payment"
    marta.look("void-dialog")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert marta.focused().startswith("Void…")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name=re.compile(r"^Void \$")).click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()

    def voided() -> bool:
        page.reload()
        return page.locator("h1 + .status").inner_text() == "Voided"

    eventually(voided, within_s=60, what="the processor voids the payment")
    expect(page.locator(".time")).to_contain_text("By Marta Reyes.")
    expect(page.locator(".time")).to_contain_text("Approval A11111. The client was charged once.")
    marta.look("payment")
    page.get_by_role("link", name="Batch BP-1001").click()
    expect(page.locator(".totals")).to_contain_text("1 payment")


def refund_one(marta: Person, box: Sandbox, number: str) -> None:
    """Once it is settled. The report ends with gross, voided, refunded and net of the four charges."""
    page, dialog = marta.page, marta.page.get_by_role("dialog")
    refund = page.get_by_role("link", name=f"Refund… {number}")

    def settled() -> bool:
        look_now(box)
        page.reload()
        return refund.is_visible()

    eventually(settled, within_s=90, what="the payments are settled")
    refund.click()
    expect(dialog).to_contain_text("The full amount goes back to the same card")
    assert marta.focused() == "Keep the payment"
    dialog.get_by_label("Reason").fill("Session was cancelled in time")
    marta.look("refund-dialog", looks=SHORT_LOOK)
    dialog.get_by_role("button", name=re.compile(r"^Refund \$")).click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    expect(page.locator(".time")).to_contain_text("By Marta Reyes. Reason: “Session was cancelled in time”")
    page.get_by_role("link", name="Batch BP-1001").click()
    row = page.locator("table.rep tr", has_text=number)

    def refunded() -> bool:
        look_now(box)
        page.reload()
        return "Refunded" in row.inner_text()

    eventually(refunded, within_s=90, what="the processor refunds the payment")
    gross, voided, returned, _, _, net = (
        round(float(text.lstrip("\N{MINUS SIGN}").lstrip("$").replace(",", "")) * 100)
        for text in page.locator(".totals .v").all_inner_texts()
    )
    assert voided > 0
    assert returned > 0
    assert net == gross - voided - returned
    marta.look("report")
    marta.keep_paper("report-print")


def leave(marta: Person) -> None:
    page = marta.page
    page.locator("details.who summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    marta.look("signed-out")
    marta.go("/batches")
    expect(page.get_by_role("heading", name="You have been signed out")).to_be_visible()
