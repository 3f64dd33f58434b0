"""Hostile text in every field and query of the console: SQL, endless and nested bodies, addresses of other sites."""

import pytest
from fastapi.routing import APIRoute

from services.submit.console.app import MODULES
from tests.console_client import Console, with_console
from tests.integration.test_console_security import FORM, POSTS, filled, state, things
from tests.integration.test_hostile_requests import SQL
from tests.submit_service import seed

READING = [
    (f"/console{route.path}", parameter.alias)
    for module in MODULES
    for route in module.router.routes
    if isinstance(route, APIRoute) and "GET" in route.methods and "live" not in route.path
    for parameter in route.dependant.query_params
]
# These write what they are told where it belongs to this person: a draft, a session, a colour.
OWN_WORK = {"/console/drafts", "/console/sign-out", "/console/session", "/console/theme"}
# And these need no field to void, refund or retry what is in their path.
NO_FIELDS = ("/console/payments/", "/retry")
WRITING = [
    path
    for path in POSTS
    if path not in OWN_WORK and "/drafts/" not in path and not any(one in path for one in NO_FIELDS)
]


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


def test_sql_in_any_query_is_only_text(url: str) -> None:
    async def story(console: Console) -> None:
        ids = await things(console, "oak")
        pat, before = await console.person(), await state(console)
        assert len(READING) > 10
        for path, name in READING:
            for text in SQL:
                reply = await pat.get(filled(path, ids), **{name: text})
                assert reply.status in {200, 303, 404}, (path, name, text)
        assert await state(console) == before

    with_console(url, story)


def test_sql_in_any_field_is_only_text_and_no_number(url: str) -> None:
    async def story(console: Console) -> None:
        ids = await things(console, "oak")
        pat, before = await console.person(subject="lee"), await state(console)
        for path in WRITING:
            for text in SQL:
                fields = {**dict.fromkeys(("count", "total_minor", "verdict", "processor_ref", "note"), text)}
                reply = await pat.post(filled(path, ids), **fields)
                assert reply.status in {404, 409, 422}, (path, text)
        assert await state(console) == before

    with_console(url, story)


@pytest.mark.parametrize("text", SQL)
def test_sql_in_a_payment_number_or_a_reason_is_kept_or_refused_as_text(url: str, text: str) -> None:
    async def story(console: Console) -> None:
        ids = await things(console, "oak")
        pat, lee = await console.person(), await console.person(subject="lee")
        assert (await pat.post("/console/drafts", payment_number=text)).status in {303, 422}
        draft = f"/console/drafts/{ids['draft_id']}/selection"
        assert (await pat.post(draft, [("op", "add"), ("invoice", text)])).status in {200, 404, 422}
        assert (await pat.post(draft, [("op", "matching"), ("view", f"?q.client={text}")])).status in {303, 422}
        sent = await lee.post(f"/console/approvals/{ids['waiting']}/send-back", reason=text)
        kept = [row[0] for row in await console.sql("SELECT reason FROM approval WHERE decision = 'sent_back'")]
        assert (sent.status, kept) in [(303, [text.strip()]), (422, [])], "never something else"

    with_console(url, story)


def test_a_body_that_is_no_form_is_no_error_of_ours_and_without_the_token_changes_nothing(url: str) -> None:
    depth = 50_000
    bodies: dict[str, bytes] = {
        "application/json": b'{"a":' * depth + b"1" + b"}" * depth,
        "application/x-www-form-urlencoded": b"&".join(b"a%d=1" % n for n in range(5_000)),
        "multipart/form-data; boundary=x": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 100_000,
    }

    async def story(console: Console) -> None:
        ids = await things(console, "oak")
        pat, before = await console.person(), await state(console)
        sent = [(path, kind, body) for path in POSTS for kind, body in bodies.items()]
        for path, kind, body in sent:
            reply = await pat.send("POST", filled(path, ids), data=body, headers={"Content-Type": kind})
            assert reply.status in {400, 403, 413, 422}, (path, kind)
        assert await state(console) == before
        for path, kind, body in sent:
            headers = {"Content-Type": kind, "X-CSRF-Token": pat.csrf}
            reply = await pat.send("POST", filled(path, ids), data=body, headers=headers)
            assert reply.status < 500, (path, kind)

    with_console(url, story)


@pytest.mark.parametrize(
    "back", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/v1/batches"]
)
def test_a_choice_of_colours_leads_to_no_other_site(url: str, back: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        reply = await pat.post("/console/theme", **{**FORM, "back": back})
        assert reply.headers["Location"].startswith("/console/")

    with_console(url, story)
