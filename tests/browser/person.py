"""A person with a browser: signs in as the upstream app would let them, looks, and listens like a screen reader."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, Page

from services.development.sandbox import Sandbox
from services.submit.auth import mint

EVERYTHING = ("billing", "billing:void", "billing:refund", "billing:approve")
Size = tuple[int, int]
Theme = Literal["light", "dark"]
WIDE, TABLET, PHONE = (1440, 1000), (768, 1024), (360, 780)
# 400 % on a small laptop's screen (WCAG 1.4.10).
ZOOMED = (320, 256)
EVERY_LOOK: tuple[tuple[Size, Theme], ...] = tuple(product((WIDE, TABLET, PHONE), ("light", "dark")))
# Without pictures to take, each size and each theme is seen once.
SHORT_LOOK: tuple[tuple[Size, Theme], ...] = ((WIDE, "light"), (PHONE, "dark"))
# Kept of every page in one look, of the pages where most of the work is done in two more.
_KEPT: tuple[Size, Theme] = (WIDE, "light")
_KEPT_OF_MAIN: tuple[tuple[Size, Theme], ...] = ((WIDE, "dark"), (PHONE, "light"))
_MAIN = {"history", "report", "select-invoices", "confirm"}
_MOST_TABS = 60
_NAME = """(() => {
  const one = document.activeElement;
  return (one.getAttribute("aria-label") || one.innerText || one.labels?.[0]?.innerText || "").trim();
})()"""
# The middle of what has the focus, or of the part of it that fits, is not under anything else.
_IN_SIGHT = """(() => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const x = Math.min(Math.max((box.left + box.right) / 2, 0), innerWidth - 1);
  const y = Math.min(Math.max((box.top + box.bottom) / 2, 0), innerHeight - 1);
  const top = document.elementFromPoint(x, y);
  return one === document.body || Boolean(top && (one.contains(top) || top.contains(one)));
})()"""
_STICKING_OUT = """[...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth)
  .slice(-5).map((one) => one.outerHTML.slice(0, 120))"""
# Findings below this are advice.
_SERIOUS = ("serious", "critical")
_AXE_OPTIONS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


class Person:
    def __init__(
        self,
        box: Sandbox,
        browser: Browser,
        axe: str,
        screenshots: Path | None,
        *,
        subject: str,
        practice: str = "prac_cedar",
        permissions: tuple[str, ...] = EVERYTHING,
        clinician: str | None = None,
        name: str = "Marta Reyes",
    ) -> None:
        self._box, self._axe, self._screenshots = box, axe, screenshots
        self._claims: dict[str, Any] = {
            "subject": subject, "practice": practice, "permissions": permissions, "clinician": clinician, "name": name,
        }  # fmt: skip
        self._context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, color_scheme="light")
        self.complaints: list[str] = []
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        # An answer that is an error is a page here, which the tests look at.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def sign_in(self) -> "Person":
        self.arrive()
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_role("heading", level=1).wait_for()
        return self

    def arrive(self) -> None:
        """What the upstream app does: it posts a token."""
        token = mint(
            self._box.environment["BATCHPAY_JWT_SECRET"],
            audience="batchpay-console",
            now=datetime.now(UTC),
            lifetime=timedelta(minutes=2),
            **self._claims,
        )
        self.page.set_content(
            f'<form method="post" action="{self._box.api_url}/console/sign-in">'
            f'<input name="token" value="{token}"><button>Open</button></form>'
        )
        self.page.get_by_role("button", name="Open").click()
        self.page.get_by_role("heading", name="Sign in to batch payments").wait_for()

    def go(self, path: str) -> Page:
        self.page.goto(f"{self._box.api_url}/console{path}")
        return self.page

    def look(self, name: str, *, looks: Sequence[tuple[Size, Theme]] = ()) -> None:
        """Nothing serious for axe, nothing scrolls sideways, whatever the screen and the theme; pictures are taken."""
        for size, theme in looks or (EVERY_LOOK if self._screenshots else SHORT_LOOK):
            self.resize(size)
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            self._check(f"{name} at {size[0]} px, {theme}")
            if (size, theme) == _KEPT or (name in _MAIN and (size, theme) in _KEPT_OF_MAIN):
                self._keep(f"{name}-{size[0]}-{theme}.png")
        self.resize(WIDE)
        self.page.emulate_media(color_scheme="light")

    def resize(self, size: Size) -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def keep_paper(self, name: str) -> None:
        """What the browser prints, beside the pictures."""
        if self._screenshots:
            self.page.pdf(path=self._screenshots / f"{name}.pdf", prefer_css_page_size=True)

    def _keep(self, name: str) -> None:
        if self._screenshots:
            self._screenshots.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=self._screenshots / name)

    def _check(self, where: str) -> None:
        # Evaluated from outside: the page's own policy lets no foreign script in.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(f"{self._axe}; 0")
        found = self.page.evaluate("(options) => axe.run(document, options)", _AXE_OPTIONS)
        serious = [
            f"{where}: {one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
        ]
        assert serious == []
        self.stays_inside(where)

    def stays_inside(self, where: str) -> None:
        wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{where}: scrolls sideways by {wider} px: {self.page.evaluate(_STICKING_OUT)}"

    def tab_to(self, name: str | re.Pattern[str]) -> None:
        """With the Tab key alone; what has the focus on the way is on the screen and not behind a sticky bar."""
        for _ in range(_MOST_TABS):
            self.page.keyboard.press("Tab")
            assert self.page.evaluate(_IN_SIGHT), f"out of sight: {self.focused()}"
            if re.search(name, self.focused()):
                return
        raise AssertionError(f"the Tab key does not lead to {name}")

    def focused(self) -> str:
        """The accessible text of what holds the focus."""
        return str(self.page.evaluate(_NAME))

    def close(self) -> None:
        self._context.close()
