"""Each guard fails when it should: one that cannot is worth nothing."""

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.visitor import Visitor, Visitors

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src *; img-src 'self'"


class Server(ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Say nothing: a browser that leaves in the middle is no error of the test."""


class Site:
    """Pages of a test's own. ``pages`` is body by path; HTML unless it ends in .js."""

    def __init__(self) -> None:
        # Chromium looks for an icon by itself.
        self.pages: dict[str, str] = {"/other": "<p>other", "/favicon.ico": ""}
        self.policy: str | None = POLICY
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = site.pages.get(self.path.partition("?")[0])
                self.send_response(404 if body is None else 200)
                kind = "text/javascript" if self.path.endswith(".js") else "text/html"
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                if site.policy:
                    self.send_header("Content-Security-Policy", site.policy)
                self.end_headers()
                self.wfile.write((body or "").encode())

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/room"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    yield served
    served.close()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(site: Site, visitors: Visitors) -> Visit:
    """Open a page whose own script is the one given."""

    def open_page(script: str = "", body: str = "<p>hello") -> Visitor:
        site.pages["/room"] = (
            f"<!doctype html><title>t</title>{body}<script src=/room/own.js></script>"
        )
        site.pages["/room/own.js"] = script
        return visitors.open(f"{site.url}#token=agp_secret")

    return open_page


@pytest.fixture
def faults_of(visitors: Visitors) -> Callable[[Visitor], list[str]]:
    """End a visit and give what the guards saw."""

    def ended(visitor: Visitor) -> list[str]:
        faults = visitor.guards.faults()
        visitors.forget(visitor)
        return faults

    return ended


FaultsOf = Callable[[Visitor], list[str]]


def test_a_page_that_does_nothing_wrong_has_no_faults(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit("console.warn('only a warning'); fetch('/room/own.js?x');")
    visitor.page.wait_for_load_state("networkidle")
    assert faults_of(visitor) == []


@pytest.mark.parametrize("call", ["alert('x')", "confirm('x')", "prompt('x')"])
def test_a_dialog_is_a_fault(visit: Visit, faults_of: FaultsOf, call: str) -> None:
    kind = call.partition("(")[0]
    assert faults_of(visit(f"{call};")) == [f"dialog: {kind} 'x'"]


@pytest.mark.parametrize("call", ["console.error('bad')", "console.assert(false, 'bad')"])
def test_an_error_on_the_console_is_a_fault(visit: Visit, faults_of: FaultsOf, call: str) -> None:
    (fault,) = faults_of(visit(f"{call};"))
    assert re.match(r"console error: .*bad", fault)


def test_a_console_error_passes_where_the_test_allows_it(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit("addEventListener('click', () => { console.error('bad'); });")
    visitor.guards.allow_console("^bad")
    visitor.page.mouse.click(5, 5)
    assert faults_of(visitor) == []


def test_a_failed_fetch_is_a_fault_unless_it_is_allowed(visit: Visit, faults_of: FaultsOf) -> None:
    script = "addEventListener('click', () => fetch('/room/none'));"
    careless, careful = visit(script), visit(script)
    careful.guards.allow_console(r"404.*/room/none")
    for visitor in (careless, careful):
        with visitor.page.expect_response("**/none"):
            visitor.page.mouse.click(5, 5)
    assert faults_of(careful) == []
    assert re.search("404", "".join(faults_of(careless)))


@pytest.mark.parametrize(
    "script", ["throw new Error('lost');", "Promise.reject(new Error('lost'));"]
)
def test_an_error_that_nobody_catches_is_a_fault(
    visit: Visit, faults_of: FaultsOf, script: str
) -> None:
    assert any("lost" in fault for fault in faults_of(visit(script)))


@pytest.mark.parametrize(
    "script",
    [
        "fetch('http://elsewhere.invalid/x').catch(() => 0);",
        "navigator.sendBeacon('http://elsewhere.invalid/x');",
        "new EventSource('http://elsewhere.invalid/x');",
        "new Image().src = 'http://elsewhere.invalid/x';",
    ],
)
def test_a_request_to_another_origin_is_a_fault(
    site: Site, visit: Visit, faults_of: FaultsOf, script: str
) -> None:
    site.policy = None
    visitor = visit(script)
    visitor.page.wait_for_load_state("networkidle")
    faults = "".join(faults_of(visitor))
    assert re.search(r"foreign request: \w+ http://elsewhere\.invalid/x", faults)


def test_a_websocket_is_a_fault(site: Site, visit: Visit, faults_of: FaultsOf) -> None:
    site.policy = None
    visitor = visit("new WebSocket('ws://elsewhere.invalid/x');")
    visitor.page.wait_for_load_state("networkidle")
    assert "WebSocket: ws://elsewhere.invalid/x" in faults_of(visitor)


def test_a_request_beside_the_room_is_a_fault(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit("fetch('/other');")
    visitor.page.wait_for_load_state("networkidle")
    assert faults_of(visitor) == [f"foreign request: GET {visitor.base[:-5]}/other"]


def test_a_token_in_a_url_is_a_fault(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit("fetch('/room/own.js?token=agp_secret');")
    visitor.page.wait_for_load_state("networkidle")
    (fault,) = faults_of(visitor)
    assert fault.startswith("token in a URL: GET ")


@pytest.mark.parametrize(
    "body",
    [
        "<script>window.ran = true</script>",
        "<p onclick='window.ran = true'>x",
        "<p style='color: red'>x",
        "<style>p { color: red }</style>",
        "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    ],
)
def test_a_violation_of_the_policy_is_a_fault(visit: Visit, faults_of: FaultsOf, body: str) -> None:
    visitor = visit(body=body)
    visitor.guards.allow_console(".*")
    assert not visitor.page.evaluate("() => window.ran")
    assert any("policy violation" in fault for fault in faults_of(visitor))


def test_a_violation_by_a_script_is_a_fault_after_the_page_has_gone(
    visit: Visit, faults_of: FaultsOf
) -> None:
    visitor = visit("try { eval('1'); } catch {}")
    visitor.waits_for("() => cspViolations.length")
    visitor.page.goto("about:blank")
    assert any("policy violation" in fault for fault in faults_of(visitor))


def test_a_popup_is_a_fault(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit("addEventListener('click', () => open('/room'));")
    with visitor.context.expect_page():
        visitor.page.mouse.click(5, 5)
    assert any(fault.startswith("popup: ") for fault in faults_of(visitor))


def test_a_popup_without_an_opener_is_a_fault(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit(body="<a href=/room target=_blank rel=noopener>x</a>")
    with visitor.context.expect_page():
        visitor.page.get_by_role("link").click()
    assert any(fault.startswith("popup: ") for fault in faults_of(visitor))


def test_a_popup_passes_where_the_test_expects_it(visit: Visit, faults_of: FaultsOf) -> None:
    visitor = visit("addEventListener('click', () => open('/room'));")
    with visitor.guards.expecting_page(), visitor.context.expect_page():
        visitor.page.mouse.click(5, 5)
    visitor.new_tab()
    assert faults_of(visitor) == []


def test_a_page_that_was_expected_and_did_not_come_is_a_fault(
    visit: Visit, faults_of: FaultsOf
) -> None:
    visitor = visit()
    with visitor.guards.expecting_page():
        pass
    assert faults_of(visitor) == ["no page came, and one was expected"]


def test_what_axe_finds_grave_is_found_under_the_policy(visit: Visit) -> None:
    good = visit(body="<html lang=en><main><h1>x</h1><label>Name <input></label></main>")
    assert good.barriers() == []
    bad = visit(body="<main><input><button></button></main>")
    assert {"label", "button-name"} <= {found.rule for found in bad.barriers()}
    assert bad.page.evaluate("() => window.cspViolations") == []


@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason="the guards fail it")
def test_a_fault_fails_the_test_in_which_it_happens(visit: Visit) -> None:
    visit("console.error('bad');")
