"""What people change about a page: spacing, colours, width, paper. And what they are told while nothing moves."""

from collections.abc import Callable, Iterator
from typing import Final

import psycopg
import pytest
from playwright.sync_api import Page, expect

from services.development.sandbox import Sandbox
from tests import builders
from tests.browser.person import PHONE, WIDE, Person

PAGES: Final = ("/batches", "/batches/BP-{number}", "/new", "/drafts", "/review", "/approvals")
# WCAG 1.4.12. A sheet that a script makes is not held up by the page's own policy.
SPACED: Final = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important;"
    + " word-spacing: .16em !important }"
    + " p { margin-bottom: 2em !important }");
  document.adoptedStyleSheets = [sheet];
}"""
CUT_OFF: Final = """() => [...document.querySelectorAll("h1, h2, .btn, .status, th, td, dd, dt, label, .note")]
  .filter((one) => one.checkVisibility() && getComputedStyle(one).overflow !== "visible" && one.clientHeight > 1
    && (one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1))
  .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture
def connection(box: Sandbox) -> Iterator[builders.Connection]:
    with psycopg.connect(box.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def paused(connection: builders.Connection) -> Iterator[builders.Submitted]:
    """A batch of three that waits because its processor is paused."""
    connection.execute("INSERT INTO processor_pause (processor, paused_by, reason) VALUES ('vantage', 'ops', 'x')")
    made = builders.submitted(connection, 3)
    yield made
    connection.execute(
        "UPDATE payment SET state = 'canceled', next_check_at = NULL WHERE batch_id = %s", [made.batch_id]
    )
    connection.execute("DELETE FROM processor_pause")


def practice_of(connection: builders.Connection, made: builders.Submitted) -> tuple[str, int]:
    row = connection.execute(
        "SELECT p.external_id, b.number FROM batch b JOIN practice p ON p.id = b.practice_id WHERE b.id = %s",
        [made.batch_id],
    ).fetchone()
    assert row
    return row[0], row[1]


def visit(lee: Person, path: str, number: int) -> Page:
    """The page at this path; the list of the wizard is behind its first step."""
    if path != "/drafts":
        return lee.go(path.format(number=number))
    page = lee.go("/new")
    page.get_by_role("button", name="Next: Select Open Invoices").click()
    expect(page.get_by_role("heading", name="Select Open Invoices", level=1)).to_be_visible()
    return page


def test_pages_bear_wider_spacing_other_colours_and_every_width(
    connection: builders.Connection, paused: builders.Submitted, person: Callable[..., Person]
) -> None:
    practice, number = practice_of(connection, paused)
    lee = person("lee", practice=practice, name="Lee").sign_in()
    for path in PAGES:
        page = visit(lee, path, number)
        lee.resize((1920, 1080))
        lee.stays_inside(f"{path} at 1920 px")
        main = page.locator("main").bounding_box()
        assert main
        assert main["width"] <= 1400
        assert abs(main["x"] - (1920 - main["x"] - main["width"])) <= 20, "it stands in the middle"
        page.emulate_media(forced_colors="active")
        lee.stays_inside(f"{path} in forced colours")
        page.emulate_media(forced_colors="none")
        page.evaluate(SPACED)
        for size in (WIDE, PHONE):
            lee.resize(size)
            lee.stays_inside(f"{path} with wider spacing at {size[0]} px")
            assert page.evaluate(CUT_OFF) == [], f"{path} at {size[0]} px"
        lee.resize(WIDE)


def test_the_history_says_that_the_processor_is_paused_and_goes_on_by_itself(
    connection: builders.Connection, paused: builders.Submitted, person: Callable[..., Person]
) -> None:
    practice, number = practice_of(connection, paused)
    lee = person("lee", practice=practice, name="Lee").sign_in()
    page = lee.go("/batches")
    note = page.get_by_text("Charging at Vantage is paused")
    expect(note).to_be_visible()
    expect(page.locator(f"#BP-{number}")).to_contain_text(
        "paused at 0 of 3. No card is charged twice: 3 payments wait."
    )
    lee.look("history-paused")


def test_without_a_stream_the_history_is_asked_for_every_ten_seconds_until_there_is_one(
    connection: builders.Connection, paused: builders.Submitted, person: Callable[..., Person]
) -> None:
    practice, number = practice_of(connection, paused)
    lee = person("user-1", practice=practice, name="Lee")
    lee.page.clock.install()
    page = lee.sign_in().go("/review")
    page.route("**/batches/live**", lambda route: route.fulfill(status=503, body=""))
    lee.go("/batches")
    row = page.locator(f"#BP-{number}")
    expect(row).to_contain_text("Charging at Vantage is paused")
    expect(page.locator("#poll[hx-trigger='every 10s']")).to_have_count(1)
    row.get_by_role("link", name="Void…").focus()
    with page.expect_response("**/batches/cells**"):
        page.clock.fast_forward("00:11")
    connection.execute("DELETE FROM processor_pause")
    page.clock.fast_forward("00:11")
    expect(row).not_to_contain_text("Charging at Vantage is paused")
    expect(page.locator("#say")).to_have_text(f"Batch BP-{number}: 0 of 3 payments finished.")
    assert lee.focused().startswith("Void…"), "what holds the focus is left alone"
    page.unroute("**/batches/live**")
    page.clock.fast_forward("02:00")
    expect(page.locator("#poll[hx-trigger='never']")).to_have_count(1)
    lee.complaints.clear()  # htmx's own words about the cut


def test_on_paper_there_is_the_report_and_nothing_to_press(
    connection: builders.Connection, paused: builders.Submitted, person: Callable[..., Person]
) -> None:
    practice, number = practice_of(connection, paused)
    lee = person("lee", practice=practice, name="Lee").sign_in()
    page = lee.go(f"/batches/BP-{number}")
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.get_by_text("Batch payment report · printed")).to_be_visible()
    for hidden in (".bar", ".foot", ".filters", ".head .btn", "th.c-act"):
        expect(page.locator(hidden).first).to_be_hidden()
    for shown in ("Invoice", "Finished", "Reference"):
        expect(page.get_by_role("columnheader", name=shown)).to_be_visible()
    paper = page.evaluate("getComputedStyle(document.querySelector('main')).color")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert paper == "rgb(27, 34, 37)"
    assert page.evaluate("getComputedStyle(document.querySelector('table.rep thead')).display") == "table-header-group"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_on_a_phone_the_account_menu_covers_what_is_under_it_and_the_steps_stand_in_one_line(
    person: Callable[..., Person],
) -> None:
    lee = person("small", practice="prac_harbor").sign_in()
    page = visit(lee, "/drafts", 0)
    page.locator("tbody .box:not(:disabled)").first.check()
    expect(page.locator("#tally")).to_contain_text("1 selected")
    page.get_by_role("link", name="Next: Confirm").click()
    expect(page.get_by_role("heading", name="Confirm Batch Payment")).to_be_visible()
    lee.resize(PHONE)
    boxes = [box for item in page.locator(".steps li").all() if (box := item.bounding_box())]
    assert len({round(box["y"] + box["height"] / 2) for box in boxes}) == 1
    for link in page.locator(".steps a").all():
        box = link.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24, "a finger finds the way back"
    page.locator("details.who summary").click()
    covered = page.evaluate("""() => [...document.querySelectorAll(".who .menu p, .who .menu .btn")].every((one) => {
      const box = one.getBoundingClientRect();
      return one.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2));
    })""")
    assert covered


def test_after_paging_and_filtering_the_focus_is_where_the_next_key_belongs(person: Callable[..., Person]) -> None:
    lee = person("pages", practice="prac_cedar").sign_in()
    page = visit(lee, "/drafts", 0)
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_text("Page 2")).to_be_visible()
    expect(page.get_by_role("heading", name="Open invoices", exact=True)).to_be_focused()
    page.get_by_role("link", name="50 on a page").click()
    expect(page.locator("#list tbody tr")).to_have_count(50)
    expect(page.get_by_role("heading", name="Open invoices", exact=True)).to_be_focused()
    search = page.get_by_label("Search client")
    search.fill("zzzz")
    expect(page.get_by_text("No invoice has “zzzz” in Client.")).to_be_visible()
    expect(search).to_be_focused()
    expect(page.locator("#say")).to_contain_text("0 invoices match")
    page.get_by_role("link", name="Clear the column searches").click()
    expect(page.locator("#list tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Not ready").click()
    expect(page.get_by_role("link", name="Not ready")).to_be_focused()
