"""How the page does in Chromium: to be there, to show what comes, and what it weighs."""

import json
import statistics
import time
from contextlib import closing
from http.client import HTTPConnection

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

from tests.bench.conversation import conversation
from tests.bench.figures import Figure, Row, Rows
from tests.bench.page_scripts import ASSETS, AWAIT_MESSAGE, IS_SHOWN, TIMES, VISIBLE
from tests.bench.processes import room_of, served
from tests.bench.seeds import ROOM, TALKERS, seed_conversation, token
from tests.browser.chromium import open_chromium

MESSAGES = 10_000
BURST = 200
BETWEEN_SECONDS = 0.01
PATIENCE_MS = 60_000
TEXTS = [message["text"] for message in conversation(ROOM, 500)]


def measure_page(*, quick: bool) -> Rows:
    with room_of(MESSAGES, seed_conversation) as home, served(home) as (port, _, _):
        yield from measure_visits(port, quick=quick)


def measure_visits(port: int, *, quick: bool) -> Rows:
    url = f"http://127.0.0.1:{port}/"
    with open_chromium() as browser:
        cold, warm = [], []
        for _ in range(3 if quick else 9):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            cold.append(_times(context, url))
            warm.append(_times(context, url))
            context.close()
        for how, visits in (("cold", cold), ("warm", warm)):
            yield Row(
                f"the page of a room of {MESSAGES:,} messages, {how}",
                (
                    Figure("first paint", _median(visits, "paint"), "ms"),
                    Figure("usable", _median(visits, "usable"), "ms"),
                ),
                "the browser: it asks after 40 ms, then runs the modules and loads fonts",
            )
        yield from _measure_messages(browser, url, port, rounds=10 if quick else 40)


def _times(context: BrowserContext, url: str) -> dict[str, float]:
    page = context.new_page()
    _enter(page, url)
    times: dict[str, float] = page.evaluate(TIMES)
    page.close()
    assert None not in times.values(), f"the page set no mark, or painted nothing: {times}"
    return times


def _enter(page: Page, url: str) -> None:
    page.goto(f"{url}#token={token(0)}")
    page.locator(VISIBLE).first.wait_for(timeout=PATIENCE_MS)
    page.locator('#state[data-state="live"]').wait_for(timeout=PATIENCE_MS)


def _measure_messages(browser: Browser, url: str, port: int, *, rounds: int) -> Rows:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    _enter(page, url)
    assets = page.evaluate(ASSETS)
    yield Row(
        "the page and all its files, uncompressed",
        (
            Figure("", assets["bytes"] / 1024, "KiB", 150_000 / 1024),
            Figure("files", assets["count"], ""),
        ),
        "the scripts; there is no compression",
    )

    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as poster:
        painted = sorted(_post_to_paint(page, poster, number) for number in range(rounds))
        yield Row(
            "from a post's 201 until the message is painted",
            (
                Figure("p50", statistics.median(painted), "ms"),
                Figure("worst", painted[-1], "ms"),
            ),
            "the browser's frames, one each 17 ms",
        )

        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        before = _metrics(session)
        _wait_shown(page, _post_burst(poster))
        after = _metrics(session)
        script_ms = _profile_burst(page, session, poster)
    each = {key: 1000 * (after[key] - before[key]) / BURST for key in before}
    drawing = each["RecalcStyleDuration"] + each["LayoutDuration"]
    yield Row(
        f"the page's main thread for each of {BURST} messages",
        (
            Figure("scripts", script_ms / BURST, "ms"),
            Figure("style and layout", drawing, "ms"),
            Figure("all", each["TaskDuration"], "ms"),
        ),
        "the browser",
    )

    session.send("HeapProfiler.collectGarbage")
    end = _metrics(session)
    elements = page.evaluate("() => document.getElementsByTagName('*').length")
    yield Row(
        "the page at the end",
        (
            Figure("elements", elements, ""),
            Figure("JavaScript heap", end["JSHeapUsedSize"] / 2**20, "MiB"),
        ),
        "how many messages it keeps in the document, however long the log is",
    )
    page.close()


def _post_to_paint(page: Page, poster: HTTPConnection, number: int) -> float:
    # The round before ended with a frame; without a pause all would start at the same moment
    # of one.
    time.sleep(number % 7 * 0.005)
    page.evaluate(AWAIT_MESSAGE)
    _post(poster, number)
    acknowledged = 1000 * time.time()
    painted: float = page.evaluate("() => window.painted")
    return painted - acknowledged


def _post_burst(poster: HTTPConnection) -> int:
    """Post many; gives the last one's id."""
    last = 0
    for number in range(BURST):
        last = _post(poster, number)
        time.sleep(BETWEEN_SECONDS)
    return last


def _profile_burst(page: Page, session: CDPSession, poster: HTTPConnection) -> float:
    """Give the milliseconds that scripts ran while many messages came.

    By samples: ``ScriptDuration`` knows nothing of what runs after an ``await``.
    """
    session.send("Profiler.enable")
    session.send("Profiler.setSamplingInterval", {"interval": 200})
    session.send("Profiler.start")
    _wait_shown(page, _post_burst(poster))
    profile = session.send("Profiler.stop")["profile"]
    idle = {
        node["id"]
        for node in profile["nodes"]
        if node["callFrame"]["functionName"] in ("(root)", "(program)", "(idle)")
    }
    spent = zip(profile["samples"], profile["timeDeltas"], strict=True)
    return float(sum(us for node, us in spent if node not in idle)) / 1000


def _post(poster: HTTPConnection, number: int) -> int:
    """Post what somebody in a conversation may say; gives the message's id."""
    headers = {
        "Authorization": f"Bearer {token(1 + number % (TALKERS - 1))}",
        "Content-Type": "application/json",
    }
    body = json.dumps({"text": TEXTS[number % len(TEXTS)]})
    poster.request("POST", "/messages", body, headers)
    response = poster.getresponse()
    answer = json.loads(response.read())
    assert response.status == 201, answer
    return int(answer["message"]["id"])


def _wait_shown(page: Page, message_id: int) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(IS_SHOWN, message_id):
        assert time.monotonic() < deadline, f"message {message_id} is not shown"
        page.wait_for_timeout(20)


def _metrics(session: CDPSession) -> dict[str, float]:
    found = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in found}


def _median(visits: list[dict[str, float]], key: str) -> float:
    return statistics.median(visit[key] for visit in visits)
