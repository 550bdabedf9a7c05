"""What no page of ours may do, whatever a test looks at.

Everything is noted while it happens, and :meth:`Guards.faults` gives it at the end.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urldefrag

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Error,
    Page,
    Request,
    WebError,
)

# Kept in the window for a test to look at, and said on the console, which outlives the window.
WATCH_POLICY: Final = """
window.cspViolations = [];
addEventListener("securitypolicyviolation", (event) => {
  const what = `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile ?? ""}`;
  window.cspViolations.push(what);
  console.error(`Content Security Policy: ${what}`);
}, true);
"""
_POLICY: Final = "content security policy"
_LOCAL: Final = ("data:", "blob:")


class Guards:
    """Watch one person's pages. ``base`` is where the room is; nothing else may be asked for.

    ``secrets`` may be in a page's fragment, which stays in the browser, and in no URL that is
    sent anywhere.
    """

    def __init__(
        self, context: BrowserContext, base: str, *, secrets: tuple[str, ...] = ()
    ) -> None:
        self._context = context
        self._base = base.rstrip("/")
        self._secrets = secrets
        self._noted: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        self._pages_wanted = 0
        context.add_init_script(WATCH_POLICY)
        context.on("dialog", self._on_dialog)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("page", self._on_page)

    def allow_console(self, pattern: str) -> None:
        """Let errors on the console pass, for a test that breaks the network on purpose.

        The pattern is searched in ``text (URL)``. A policy violation never passes.
        """
        self._allowed.append(re.compile(pattern))

    @contextmanager
    def expecting_page(self) -> Iterator[None]:
        """Let one page open, and want it: a tab that the test opens, or a link that does."""
        self._pages_wanted += 1
        yield
        if self._pages_wanted:
            self._pages_wanted = 0
            self._note("no page came, and one was expected")

    def faults(self) -> list[str]:
        """Give all that was done and may not be, in the order in which it happened."""
        violations = []
        for page in self._context.pages:
            for frame in page.frames:
                try:
                    # The first call lets what is queued happen, and its events arrive.
                    frame.evaluate("() => undefined")
                    violations += frame.evaluate("() => window.cspViolations ?? []")
                except Error:
                    # It is gone or crashed; the latter was noted.
                    continue
        seen = "\n".join(self._noted)
        return [
            *self._noted,
            *(f"policy violation: {what}" for what in violations if what not in seen),
        ]

    def _note(self, fault: str) -> None:
        self._noted.append(fault)

    def _on_dialog(self, dialog: Dialog) -> None:
        self._note(f"dialog: {dialog.type} {dialog.message!r}")
        dialog.dismiss()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "assert"):
            return
        text = f"{message.text} ({message.location.get('url', '')})"
        if _POLICY in text.lower():
            self._note(f"policy violation: {text}")
        elif not any(pattern.search(text) for pattern in self._allowed):
            self._note(f"console error: {text}")

    def _on_error(self, error: WebError) -> None:
        self._note(f"uncaught error: {error.error}")

    def _on_request(self, request: Request) -> None:
        url = urldefrag(request.url).url
        if url.startswith(_LOCAL):
            return
        # The path too: a room under a prefix has no business beside it.
        if not re.match(re.escape(self._base) + r"(?:[/?]|$)", url):
            self._note(f"foreign request: {request.method} {url}")
        if any(secret in url for secret in self._secrets):
            self._note(f"token in a URL: {request.method} {url}")

    def _on_page(self, page: Page) -> None:
        page.on("crash", lambda _: self._note("crash"))
        page.on("websocket", lambda socket: self._note(f"WebSocket: {socket.url}"))
        if self._pages_wanted:
            self._pages_wanted -= 1
        else:
            self._note(f"popup: {page.url}")
