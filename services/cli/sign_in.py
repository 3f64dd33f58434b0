"""`batchpay sign-in`: opens the console in a browser, as an upstream app does it."""

import html
import os
import tempfile
import webbrowser
from typing import Annotated, Final

import typer

from services.cli.token import minted
from services.submit.auth import Permission
from services.submit.console.sign_in import AUDIENCE_SUFFIX, LIFETIME

# The form is posted by hand: the page that it leads to asks again, so that nobody is signed in unseen.
_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Sign in to Batchpay</title>
<form method="post" action="{url}/console/sign-in"><input type="hidden" name="token" value="{token}">
<button>Sign in to Batchpay as {subject}</button></form>
"""


def sign_in(
    practice: Annotated[str, typer.Argument(help="Upstream's id of the practice.")],
    *,
    subject: Annotated[str, typer.Option(help="Who signs in; it is written to the audit log.")] = "developer",
    permission: Annotated[list[Permission] | None, typer.Option(help="Repeat for several; without it: all.")] = None,
    clinician: Annotated[str | None, typer.Option(help="Upstream's id; adds own_clients.")] = None,
    url: Annotated[str, typer.Option(help="Where the submit service answers.")] = "http://127.0.0.1:8080",
) -> None:
    """Make a sign-in for the console, signed with BATCHPAY_JWT_SECRET, and open it in a browser.

    The file with it is the owner's alone and works once, within two minutes.
    """
    token = minted(
        practice,
        subject=subject,
        name=subject,
        permissions=permission or [one for one in Permission if one is not Permission.OWN_CLIENTS],
        clinician=clinician,
        audience_suffix=AUDIENCE_SUFFIX,
        lifetime=LIFETIME,
    )
    handle, path = tempfile.mkstemp(prefix="batchpay-sign-in-", suffix=".html")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(_PAGE.format(url=html.escape(url), token=token, subject=html.escape(subject)))
    if not webbrowser.open(f"file://{path}"):
        typer.echo(f"No browser could be started. Open {path} within two minutes.")
