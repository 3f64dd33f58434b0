import asyncio

import pytest

from tests.console_client import Console, draft_with, field_of, row_of, submit, with_console
from tests.submit_service import seed


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url, clients=30)
    return database_url


def test_three_steps_submit_a_batch_that_the_history_shows(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person(name="Pat Doe")
        draft = await draft_with(pat, ["INV-1", "INV-3"], payment_number="OCT-2026")
        confirm = (await pat.get(f"{draft}/confirm")).body
        assert "$4.00" in confirm
        assert "OCT-2026, on all" in confirm
        assert "Psychotherapy" in confirm
        reply = await submit(pat, draft)
        assert reply.headers["Location"] == "/console/batches?new=BP-1001#BP-1001"
        history = (await pat.follow(reply)).body
        for said in ("BP-1001", "Pat Doe", "OCT-2026", "$4.00", "2 payments", "0 of 2"):
            assert said in history
        payments = await console.sql(
            "SELECT i.number, p.amount_minor, p.number FROM payment p JOIN invoice i ON i.id = p.invoice_id"
            " ORDER BY p.id"
        )
        assert payments == [("INV-1", 100, "OCT-2026"), ("INV-3", 300, "OCT-2026")]
        assert (await console.sql("SELECT actor FROM audit_entry WHERE action = 'batch.submitted'")) == [("pat",)]

    with_console(url, story)


def test_submitting_twice_and_in_two_tabs_makes_one_batch(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1"])
        replies = await asyncio.gather(*(pat.post(f"{draft}/submit", count=1, total_minor=100) for _ in range(4)))
        assert {reply.status for reply in replies} == {303}
        assert all("BP-1001" in reply.headers["Location"] for reply in replies)
        assert (await console.sql("SELECT count(*) FROM batch")) == [(1,)]
        reply = await pat.get(f"{draft}/confirm")
        assert "already submitted today at " in (await pat.follow(reply)).body

    with_console(url, story)


def test_what_changed_after_it_was_confirmed_is_shown_and_nothing_is_submitted(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1", "INV-2", "INV-3"])
        await console.sql("UPDATE invoice SET status = 'closed' WHERE external_id = 'oak-i1'")
        await console.sql("UPDATE invoice SET pushed_due_minor = 150 WHERE external_id = 'oak-i2'")
        reply = await pat.post(f"{draft}/submit", count=3, total_minor=600)
        assert reply.status == 409
        for said in ("No card was charged", "2 invoices changed", "Paid or closed", "Taken out", "$2.00", "$1.50"):
            assert said in reply.body
        assert (field_of(reply.body, "count"), field_of(reply.body, "total_minor")) == ("2", "450")
        assert (await console.sql("SELECT count(*) FROM batch")) == [(0,)]
        assert (await pat.post(f"{draft}/submit", count=2, total_minor=450)).status == 303

    with_console(url, story)


def test_totals_that_the_page_did_not_show_are_refused(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1"])
        assert (await pat.post(f"{draft}/submit", count=2, total_minor=100)).status == 409
        assert (await pat.post(f"{draft}/submit", count=1, total_minor=99)).status == 409

    with_console(url, story)


def test_the_selection_survives_filters_pages_and_reloads(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-2"])
        page = (await pat.get(f"{draft}/invoices", **{"q.client": "00030"})).body
        reply = await pat.post(
            f"{draft}/selection",
            [("op", "add"), ("invoice", row_of(page, "INV-30")), ("on_page", "1"), ("expected", "3000")],
        )
        assert "Select all 3,000 that match" in reply.body
        assert "<strong>2 selected</strong>" in reply.body
        assert "$32.00" in reply.body
        assert "1 of them on other pages" in reply.body
        reply = await pat.post(f"{draft}/selection", [("op", "remove"), ("invoice", row_of(page, "INV-30"))])
        assert "$2.00" in reply.body
        selected = (await pat.get(f"{draft}/invoices", show="selected")).body
        assert "INV-2," in selected
        assert "INV-30," not in selected

    with_console(url, story)


def test_all_that_match_is_what_can_be_charged_now(url: str) -> None:
    async def story(console: Console) -> None:
        await console.sql("UPDATE invoice SET reopened_at = now() WHERE external_id = 'oak-i29'")
        await console.sql("UPDATE payment_method SET first_charged_on = NULL WHERE external_id = 'oak-c28-m'")
        pat = await console.person()
        draft = await draft_with(pat, [])
        listed = (await pat.get(f"{draft}/invoices", **{"q.amount": "> 25"})).body
        assert "Charge it once in person first." in listed
        assert "Select all 3 that match" in listed
        reply = await pat.post(f"{draft}/selection", op="matching", view="?q.amount=%3E+25", expected=4)
        reply = await pat.follow(reply)
        assert "<strong>3 selected</strong>" in reply.body
        assert "$83.00" in reply.body
        assert "1 changed meanwhile" in reply.body
        assert 'value="&gt; 25"' in reply.body

    with_console(url, story)


def test_clear_can_be_undone(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1", "INV-2"])
        reply = await pat.follow(await pat.post(f"{draft}/selection", op="clear"))
        assert "<strong>0 selected</strong>" in reply.body
        assert "Undo" in reply.body
        reply = await pat.follow(await pat.post(f"{draft}/selection", op="undo"))
        assert "<strong>2 selected</strong>" in reply.body

    with_console(url, story)


def test_nothing_selected_leads_back_with_a_reason(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, [])
        page = (await pat.follow(await pat.get(f"{draft}/confirm"))).body
        assert "Select at least one invoice." in page
        assert "<title>Error: Select Open Invoices" in page

    with_console(url, story)


def test_what_is_in_a_running_batch_says_in_which_and_since_when(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1"]))
        draft = await draft_with(pat, [])
        page = (await pat.get(f"{draft}/invoices", **{"q.invoice": "INV-1", "show": "blocked"})).body
        assert "Already in batch BP-1001, submitted today at " in page

    with_console(url, story)


def test_a_blocked_invoice_cannot_be_ticked(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, [])
        page = (await pat.get(f"{draft}/invoices")).body
        await console.sql("UPDATE payment_method SET removed_at = now() WHERE external_id = 'oak-c1-m'")
        reply = await pat.post(f"{draft}/selection", [("op", "add"), ("invoice", row_of(page, "INV-1"))])
        assert "<strong>0 selected</strong>" in reply.body
        blocked = (await pat.get(f"{draft}/invoices", show="blocked")).body
        assert "No card on file. Add one in Bill To &amp; Insurance Info." in blocked
        assert "disabled" in blocked

    with_console(url, story)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"q.amount": "2"}, ["INV-2"]),
        ({"q.amount": "> 29"}, ["INV-30"]),
        ({"q.amount": "<= $2.00"}, ["INV-1", "INV-2"]),
        ({"q.amount": "3-5"}, ["INV-3", "INV-4", "INV-5"]),
        ({"q.sessions": "> 1"}, []),
        ({"q.invoice": "v-30"}, ["INV-30"]),
        ({"q.client": "CLIENT 00007"}, ["INV-7"]),
        ({"q.clinician": "dr 1", "q.amount": "<5"}, ["INV-1", "INV-3"]),
        ({"q.card": "visa 42", "q.amount": "1"}, ["INV-1"]),
        ({"from": "2026-09-28"}, ["INV-27"]),
        ({"q.dates": "2026-09-03"}, ["INV-2", "INV-30"]),
        ({"q.dates": "Sep 3, 2026"}, ["INV-2", "INV-30"]),
        ({"from": "2026-09-03", "q.dates": "Sep 2026", "to": "2026-09-03"}, ["INV-2", "INV-30"]),
        ({"q.client": "' OR 1=1 --"}, []),
        ({"q.client": "%"}, []),
    ],
    ids=str,
)
def test_every_column_has_its_search(url: str, query: dict[str, str], numbers: list[str]) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, [])
        page = (await pat.get(f"{draft}/invoices", size=100, sort="amount", **query)).body
        assert [f"INV-{n}" for n in range(1, 31) if f'aria-label="INV-{n},' in page] == numbers

    with_console(url, story)


def test_a_search_that_cannot_be_read_says_how_and_filters_nothing(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, [])
        page = (
            await pat.get(f"{draft}/invoices", **{"q.amount": "lots", "q.dates": "soon", "from": "2026-99-99"})
        ).body
        assert "Write 2, &gt; 100 or 50-80" in page
        assert "Write Oct 13 or Oct" in page
        assert "30 invoices match" in page

    with_console(url, story)


def test_pages_go_forth_and_back_over_every_row_once(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, [])

        def rows(page: str) -> list[str]:
            return [part.split(",")[0] for part in page.split('aria-label="')[1:] if part.startswith("INV-")]

        def link(page: str, name: str) -> str:
            return page.split(f'id="page-{name}"')[1].split('href="')[1].split('"', maxsplit=1)[0].replace("&amp;", "&")

        first = (await pat.get(f"{draft}/invoices", size=12, sort="-amount")).body
        second = (await pat.get(link(first, "next"))).body
        third = (await pat.get(link(second, "next"))).body
        assert rows(first) + rows(second) + rows(third) == [f"INV-{n}" for n in range(30, 0, -1)]
        assert 'id="page-next"' not in third
        back = (await pat.get(link(third, "previous"))).body
        assert rows(back) == rows(second)
        assert rows((await pat.get(link(back, "previous"))).body) == rows(first)

    with_console(url, story)


def test_a_used_payment_number_is_a_warning_and_a_wrong_one_an_error(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1"], payment_number="OCT-2026"))
        warning = (await pat.get("/console/numbers", payment_number="OCT-2026")).body
        assert "OCT-2026 is already in use" in warning
        assert "BP-1001" in warning
        assert (await pat.get("/console/numbers", payment_number="NOV")).body.strip() == ""
        reply = await pat.post("/console/drafts", payment_number="OCT/2026 <second run>")
        assert reply.status == 422
        assert "Use at most 30 letters, digits, dashes or spaces" in reply.body
        draft = await draft_with(pat, ["INV-2"], payment_number="OCT-2026")
        assert "OCT-2026 is already in use" in (await pat.get(f"{draft}/confirm")).body, "said without a script too"
        blocked = await pat.post("/console/drafts", payment_number="", show="blocked")
        assert blocked.headers["Location"].endswith("/invoices?show=blocked")

    with_console(url, story)


@pytest.mark.parametrize(("practice", "title"), [("oak", "Default Credit Card"), ("elm", "Default Payment Method")])
def test_the_method_column_is_called_as_the_processors_users_know_it(url: str, practice: str, title: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person(practice)
        draft = await draft_with(pat, [])
        assert title in (await pat.get(f"{draft}/invoices")).body

    with_console(url, story)


def test_amounts_and_dates_are_those_of_the_practices_locale(url: str) -> None:
    async def story(console: Console) -> None:
        await console.sql("UPDATE practice SET locale = 'de_DE', timezone = 'Europe/Berlin' WHERE external_id = 'oak'")
        pat = await console.person()
        draft = await draft_with(pat, ["INV-30"])
        page = (await pat.get(f"{draft}/confirm")).body
        assert '<html lang="de-DE"' in page
        assert "30,00\xa0$" in page
        assert "03.09.2026" in page

    with_console(url, story)
