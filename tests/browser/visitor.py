"""A person with a browser of their own: storage, tabs, screen and taste."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urldefrag

from playwright.sync_api import Browser, Error, Locator, Page, expect

from tests.browser.axe import Violation, find_violations
from tests.browser.guards import Guards

ARTIFACTS: Final = Path(__file__).resolve().parents[2] / "artifacts"
SCREENSHOTS: Final = ARTIFACTS / "screenshots"
FAILURES: Final = ARTIFACTS / "failures"
# A machine that runs much else at once is slow, and a wait that succeeds costs nothing.
PATIENCE_MS: Final = 15_000

Scheme = Literal["light", "dark"]
Screen = Literal["loading", "invite", "name", "room", "ended"]


class Visitor:
    """One person: a browser context, and the tab ``page`` that they look at.

    ``url`` is opened at once; its fragment may have the token. The guards watch from before
    that until :meth:`Visitors.faults`. ``further`` is Playwright's, such as ``has_touch``.
    """

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: Scheme = "light",
        reduced_motion: bool = False,
        own_clock: bool = False,
        **further: Any,
    ) -> None:
        self.scheme = scheme
        self.width = width
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce" if reduced_motion else "no-preference",
            service_workers="block",
            **further,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        if own_clock:
            self.context.clock.install()
        self.base, fragment = urldefrag(url)
        tokens = parse_qs(fragment).get("token", [])
        self.guards = Guards(self.context, self.base, secrets=tuple(tokens))
        self.page = self.new_tab(url)

    def new_tab(self, url: str | None = None) -> Page:
        """Open another tab of the same person, at the room or at ``url``."""
        with self.guards.expecting_page():
            page = self.context.new_page()
        page.goto(url or self.base)
        return page

    # --- The page's hooks ---------------------------------------------------------------

    def sees_screen(self, screen: Screen) -> None:
        """Wait until the page shows a screen."""
        expect(self.page.locator("html")).to_have_attribute(
            "data-screen", screen, timeout=PATIENCE_MS
        )

    def sees_state(self, *states: str) -> None:
        """Wait until the connection is in one of the states, such as ``live``."""
        expect(self.page.locator("#state")).to_have_attribute(
            "data-state", re.compile(f"^(?:{'|'.join(states)})$"), timeout=PATIENCE_MS
        )

    def enters(self) -> "Visitor":
        """Wait until the room can be read and written, and messages come."""
        self.sees_screen("room")
        self.sees_state("live")
        return self

    def waits_for(self, condition: str) -> None:
        """Wait until a condition (JavaScript, ``() => …``) holds in the page.

        Playwright's own ``wait_for_function`` evaluates in the page, whose policy forbids it.
        """
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"it did not become true: {condition}"
            self.page.wait_for_timeout(20)

    def message(self, which: int | str) -> Locator:
        """Give a message of the timeline by its id, or by text in it."""
        if isinstance(which, int):
            return self.page.locator(f'#timeline li.message[data-id="{which}"]')
        return self.page.locator("#timeline li.message", has_text=which)

    def sees_message(self, which: int | str) -> Locator:
        """Wait until a message is in the timeline, once."""
        found = self.message(which)
        expect(found).to_have_count(1, timeout=PATIENCE_MS)
        return found

    def roster_row(self, alias: str) -> Locator:
        """Give somebody's row in the roster."""
        return self.page.locator(f'#roster li[data-alias="{alias}"]')

    def says(self, text: str) -> None:
        """Write a message and send it."""
        self.page.locator("#text").fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()

    # --- The browser and its machine ----------------------------------------------------

    def goes_offline(self, *, offline: bool = True) -> None:
        """Take the machine's network away, or give it back."""
        self.context.set_offline(offline)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no script of the page run, as a browser does in the background. Ask it nothing.

        What arrives meanwhile is there afterwards. Real time passes.
        """
        session = self.context.new_cdp_session(self.page)
        session.send("Debugger.enable")
        # The page's life cycle would be more real, but Playwright keeps every page in front.
        session.send("Debugger.pause")
        try:
            yield
        finally:
            session.send("Debugger.disable")
            session.detach()

    def sleeps(self, seconds: int) -> None:
        """Close the lid, and open it so much later: timers that are due fire once.

        The visitor was opened with ``own_clock=True``. What the network does meanwhile is the
        test's to say, such as ``room.proxy.cut()``.
        """
        self.page.clock.fast_forward(seconds * 1000)

    def barriers(self, *, within: str | None = None) -> list[Violation]:
        """Give axe's serious and critical violations; within a part of the page if told (CSS)."""
        return find_violations(self.page, within=within)

    def screenshot(self, name: str, *, folder: Path = SCREENSHOTS) -> Path:
        """Save what is to be seen as ``name-1280-dark.png``."""
        path = folder / f"{name}-{self.width}-{self.scheme}.png"
        self.page.screenshot(path=path, animations="disabled")
        return path


class Visitors:
    """All people of one test. ``open`` takes what :class:`Visitor` does."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._all: list[Visitor] = []

    def open(self, url: str, **options: Any) -> Visitor:
        """Let somebody come, with a browser that has never been here."""
        visitor = Visitor(self._browser, url, **options)
        self._all.append(visitor)
        return visitor

    def faults(self) -> list[str]:
        """Give what the guards saw, of everybody who came."""
        return [fault for visitor in self._all for fault in visitor.guards.faults()]

    def forget(self, visitor: Visitor) -> None:
        """End a visit whose faults are looked at in the test itself."""
        self._all.remove(visitor)
        visitor.context.close()

    def photograph(self, name: str) -> list[Path]:
        """Save what everybody sees, for whoever looks into a failure; less those gone."""
        saved = []
        for number, visitor in enumerate(self._all, 1):
            # A page that crashed or was closed is part of the failure, not another one.
            with suppress(Error):
                saved.append(visitor.screenshot(f"{name}-{number}", folder=FAILURES))
        return saved

    def close(self) -> None:
        """End all visits."""
        for visitor in self._all:
            visitor.context.close()
