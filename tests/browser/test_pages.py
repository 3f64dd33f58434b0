"""Pages beside the journey: review, approvals, own clients, what goes wrong; and the keyboard."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from playwright.sync_api import Page, Route, expect

from services.development.sandbox import Sandbox
from services.submit.console import words
from tests import builders
from tests.browser.person import PHONE, ZOOMED, Person


@pytest.fixture
def connection(box: Sandbox) -> Iterator[builders.Connection]:
    with psycopg.connect(box.database_url, autocommit=True) as connection:
        yield connection


def select_all(page: Page) -> None:
    page.get_by_role("button", name="Next: Select Open Invoices").click()
    page.get_by_role("button", name=re.compile(r"Select all \d+ that match")).first.click()
    expect(page.locator("#tally")).not_to_contain_text(re.compile(r"^\$0.00"))


def test_a_second_person_approves_what_is_above_the_ceiling(
    connection: builders.Connection, person: Callable[..., Person]
) -> None:
    connection.execute("UPDATE practice SET approval_ceiling_minor = 300000 WHERE external_id = 'prac_mesa'")
    maker = person("marta", practice="prac_mesa").sign_in()
    maker.go("/new")
    select_all(maker.page)
    maker.page.get_by_role("link", name="Next: Confirm").click()
    maker.page.get_by_role("button", name="Send for approval").first.click()
    expect(maker.page.get_by_text("You prepared this batch. Someone else must approve it.")).to_be_visible()
    checker = person("dana", practice="prac_mesa", name="Dana Whitfield").sign_in()
    checker.go("/batches")
    expect(checker.page.get_by_text("waits for approval")).to_be_visible()
    checker.go("/approvals")
    checker.look("approvals")
    checker.page.locator("tbody a").first.click()
    checker.look("approval")
    checker.page.get_by_role("button", name="Approve and charge").click()
    expect(checker.page.locator("tbody[id^=BP-]").first).to_contain_text("Marta Reyes")


def test_a_refund_above_the_limit_waits_for_a_second_person(
    connection: builders.Connection, person: Callable[..., Person]
) -> None:
    made = builders.submitted(connection, 1)
    builders.paid(connection, made.payments[0])
    practice = connection.execute(
        "UPDATE practice SET refund_limit_minor = 100 WHERE id = %s RETURNING external_id", [made.practice_id]
    ).fetchone()
    assert practice
    maker = person("marta", practice=practice[0]).sign_in()
    maker.go(f"/payments/{made.payments[0]}/refund")
    maker.page.get_by_label("Reason").fill("Session was cancelled in time")
    maker.page.get_by_role("button", name="Send for approval").click()
    expect(maker.page.get_by_text("You asked for this refund. Someone else must approve it.")).to_be_visible()
    checker = person("dana", practice=practice[0], name="Dana Whitfield").sign_in()
    checker.go("/approvals")
    checker.look("approvals-refund")
    checker.page.locator("tbody a").first.click()
    expect(checker.page.get_by_role("button", name="Approve and refund")).to_be_visible()
    checker.look("refund-approval")
    checker.page.get_by_label("Or send it back").fill("Ask the client first")
    checker.page.get_by_role("button", name="Send back").click()
    expect(checker.page.get_by_text("“Ask the client first”")).to_be_visible()


def test_the_review_list_asks_for_what_only_people_can_settle(
    connection: builders.Connection, person: Callable[..., Person]
) -> None:
    made = builders.submitted(connection, 2)
    external_id = connection.execute("SELECT external_id FROM practice WHERE id = %s", [made.practice_id]).fetchone()
    assert external_id
    builders.attempt(connection, made.payments[0])
    connection.execute(
        "UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(), lease_until = now() WHERE id = %s",
        [made.payments[0]],
    )
    connection.execute(
        "UPDATE payment SET state = 'unknown', review_reason = 'no outcome for 30 minutes', next_check_at = %s"
        " WHERE id = %s",
        [datetime(2099, 1, 1, tzinfo=UTC), made.payments[0]],
    )
    marta = person(practice=external_id[0]).sign_in()
    marta.go("/review")
    expect(marta.page.get_by_role("heading", level=2)).to_contain_text("Did Vantage charge Ada Example $50.00?")
    marta.look("review")
    marta.page.get_by_role("link", name="It was charged").click()
    expect(marta.page.get_by_role("radio", name="It was charged")).to_be_checked()
    connection.execute("UPDATE payment SET review_reason = NULL WHERE id = %s", [made.payments[0]])
    connection.execute(
        "INSERT INTO resolution (payment_id, verdict, note, asked_by, source, answered_at)"
        " VALUES (%s, 'acknowledged', 'Seen in the portal', 'marta', 'test', now())",
        [made.payments[0]],
    )
    marta.go("/review")
    expect(marta.page.get_by_role("heading", name="Nothing to review")).to_be_visible()
    marta.page.get_by_role("link", name="Resolved").click()
    expect(marta.page.get_by_text("Seen in the portal")).to_be_visible()
    marta.look("review-resolved")


def test_what_cannot_be_found_says_so(person: Callable[..., Person]) -> None:
    marta = person().sign_in()
    marta.go("/batches/BP-999999")
    expect(marta.page.get_by_role("heading", name="We cannot find that page")).to_be_visible()
    marta.look("not-found")


def test_the_keyboard_goes_through_the_list(person: Callable[..., Person]) -> None:
    """The skip link, sorting with the focus kept, ticking with Space, and a range with Shift."""
    marta = person(practice="prac_harbor").sign_in()
    page = marta.go("/new")
    page.keyboard.press("Tab")
    assert marta.focused() == "Skip to the main content"
    page.get_by_label("Payment number").press("Enter")
    expect(page.locator("caption")).to_contain_text("invoices match")
    page.get_by_role("link", name="Amount due").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Amount due")
    assert marta.focused() == "Amount due"
    expect(page.locator("#say")).to_contain_text("sorted by amount, largest first")
    boxes = page.locator("tbody .box:not(:disabled)")
    boxes.nth(0).focus()
    page.keyboard.press("Space")
    expect(page.locator("#tally")).to_contain_text("1 selected")
    boxes.nth(3).click(modifiers=["Shift"])
    expect(page.locator("#tally")).to_contain_text("4 selected")
    expect(page.locator("#say")).to_contain_text("4 invoices selected")
    page.reload()
    expect(page.locator("tbody .box:checked")).to_have_count(4)


def test_the_page_is_replaced_when_the_session_ends(
    box: Sandbox, connection: builders.Connection, person: Callable[..., Person]
) -> None:
    lee = person("lee", practice="prac_harbor", name="Lee").sign_in()
    page = lee.go("/new")
    select_all(page)
    connection.execute("UPDATE console_session SET seen_at = now() - interval '31 minutes' WHERE subject = 'lee'")
    page.get_by_label("Search client").fill("a")
    expect(page.get_by_role("heading", name="You have been signed out")).to_be_visible()
    expect(page.get_by_text("Your work is saved")).to_be_visible()
    lee.look("session-expired")
    lee.sign_in()
    expect(page.get_by_role("heading", name="Select Open Invoices")).to_be_visible()
    expect(page.locator("#tally")).not_to_contain_text("0 selected")
    assert box.api_url in page.url


def test_the_keyboard_alone_takes_a_batch_to_its_last_button(person: Callable[..., Person]) -> None:
    """Tab and Enter through all three steps; at 400 % nothing scrolls sideways and no bar hides what has the focus."""
    marta = person("keys", practice="prac_harbor").sign_in()
    page = marta.go("/new")
    marta.resize(ZOOMED)
    marta.tab_to("Payment number")
    page.keyboard.type("KEYS")
    marta.tab_to("Next: Select Open Invoices")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Select Open Invoices", level=1)).to_be_visible()
    marta.stays_inside("step 2 at 400 %")
    marta.tab_to(re.compile("^INV-"))
    page.keyboard.press("Space")
    expect(page.locator("#tally")).to_contain_text("1 selected")
    marta.tab_to("Next: Confirm")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Confirm Batch Payment")).to_be_visible()
    marta.stays_inside("step 3 at 400 %")
    marta.tab_to("Submit Batch Payment")


def test_a_phone_sorts_and_searches_every_column(person: Callable[..., Person]) -> None:
    lee = person("phone", practice="prac_harbor").sign_in()
    page = lee.go("/new")
    page.get_by_role("button", name="Next: Select Open Invoices").click()
    lee.resize(PHONE)
    page.locator("summary", has_text="Sort and search").click()
    page.get_by_label("Sort by").select_option("-amount")
    expect(page.locator("#say")).to_contain_text("sorted by amount, largest first")
    page.locator("#sm-amount").fill("> 100")
    expect(page).to_have_url(re.compile("q.amount"))
    amounts = page.locator("tbody .c-amt")
    expect(amounts.first).to_contain_text("$")
    for name in ("client", "invoice", "clinician", "dates", "sessions", "card", "amount"):
        assert page.locator(f"#sm-{name}").bounding_box()["height"] >= 44


def test_who_is_idle_is_warned_in_time_and_can_stay(person: Callable[..., Person]) -> None:
    lee = person("idle", practice="prac_harbor")
    lee.page.clock.install()
    page = lee.sign_in().go("/batches")
    page.get_by_role("link", name="New batch").first.focus()
    page.clock.fast_forward("27:50")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.clock.fast_forward("00:15")
    warning = page.get_by_role("dialog", name="Still there?")
    expect(warning).to_contain_text("You are signed out at")
    assert lee.focused() == "Stay signed in"
    page.keyboard.press("Enter")
    expect(warning).to_have_count(0)
    assert lee.focused() == "New batch"


def test_what_is_typed_and_ticked_before_the_scripts_are_there_counts(person: Callable[..., Person]) -> None:
    early = person("early", practice="prac_harbor").sign_in()
    page = early.go("/new")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/*.js", hold)
    page.get_by_role("button", name="Next: Select Open Invoices").click()
    box = page.locator("#list tbody .box:not(:disabled)").first
    client = box.locator("xpath=ancestor::tr").get_by_role("rowheader").inner_text()
    box.check()
    page.get_by_label("Search client").fill(client)
    expect(page.get_by_text("0 selected")).to_be_visible()
    for route in held:
        route.continue_()
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(page).to_have_url(re.compile(r"q\.client="))
    expect(page.locator("#list tbody .box").first).to_be_checked()


def test_a_server_that_does_not_answer_is_said_and_the_list_stays(person: Callable[..., Person]) -> None:
    lee = person("lost", practice="prac_harbor").sign_in()
    page = lee.go("/new")
    page.get_by_role("button", name="Next: Select Open Invoices").click()
    rows = page.locator("#list tbody tr")
    before = rows.count()
    page.route("**/invoices?**", lambda route: route.abort())
    page.get_by_label("Search client").fill("a")
    expect(page.get_by_role("alert").filter(has_text="The server does not answer")).to_be_visible()
    expect(rows).to_have_count(before)
    page.unroute("**/invoices?**")
    page.get_by_label("Search client").fill("")
    expect(page.get_by_text("The server does not answer")).to_be_hidden()
    lee.complaints.clear()  # Chromium's own words about the cut


def test_nothing_turns_for_who_wants_less_motion(person: Callable[..., Person]) -> None:
    lee = person("calm", practice="prac_harbor").sign_in()
    page = lee.go("/batches")
    page.emulate_media(reduced_motion="reduce")
    moving = "document.body.insertAdjacentHTML('beforeend', '<svg class=\"icon spin\" id=\"probe\"></svg>');"
    assert page.evaluate(f"() => {{ {moving} return getComputedStyle(byId('probe')).animationName }}") == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("getComputedStyle(byId('probe')).animationName") == "spin"


def test_a_clinician_sees_one_line_for_what_is_hidden(
    connection: builders.Connection, person: Callable[..., Person]
) -> None:
    made = builders.submitted(connection, 2)
    practice = connection.execute(
        "INSERT INTO clinician (practice_id, external_id, name) VALUES (%s, 'dr-ray', 'Dr Ray') RETURNING"
        " (SELECT external_id FROM practice WHERE id = practice_id)",
        [made.practice_id],
    ).fetchone()
    assert practice
    connection.execute(
        "UPDATE client SET clinician_id = (SELECT id FROM clinician WHERE external_id = 'dr-ray')"
        " WHERE id = (SELECT client_id FROM payment WHERE id = %s)",
        [made.payments[0]],
    )
    doctor = person("dr", practice=practice[0], permissions=("billing", "own_clients"), clinician="dr-ray")
    page = doctor.sign_in().go("/batches")
    page.locator("tbody[id^=BP-] a.num").first.click()
    expect(page.get_by_text(words.HIDDEN)).to_be_visible()
    expect(page.locator("table.rep tbody tr")).to_have_count(2)
    doctor.look("report-own-clients")
