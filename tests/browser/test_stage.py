"""The room, the proxy and the visitor do what the tests of the page rely on."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse

import pytest

from tests.browser import chromium
from tests.browser.conftest import OpenRoom
from tests.browser.room import Refused, Room
from tests.browser.visitor import Visitors

SOON_SECONDS = 0.5


@contextmanager
def asked(room: Room, path: str) -> Iterator[Callable[[], HTTPResponse]]:
    """Ask through the proxy, as the host; the answer is read when it is wanted."""
    host, prefix = room.url.removeprefix("http://").partition("/")[::2]
    connection = HTTPConnection(host, timeout=SOON_SECONDS)
    target = f"/{prefix}{path}" if prefix else path
    try:
        connection.request("GET", target, headers={"Authorization": f"Bearer {room.host.token}"})
        yield connection.getresponse
    finally:
        connection.close()


def status_of(room: Room) -> int:
    with asked(room, "/status") as answer:
        response = answer()
        response.read()
        return response.status


@pytest.fixture
def proxied(open_room: OpenRoom) -> Room:
    return open_room(proxied=True)


def test_people_are_invited_and_post_and_are_removed(room: Room) -> None:
    ada = room.invite("ada", name="Ada Lovelace")
    rev = room.invite("rev", kind="agent")
    assert ada.link == f"{room.url}/#token={ada.token}"
    assert room.url in rev.card_command
    first = room.post("ada", "hello @rev")
    answer = room.post(rev.token, "hello", reply_to=first)
    assert [m["id"] for m in room.messages(first - 1) if m["from"] != "host"] == [first, answer]
    room.remove("rev")
    with pytest.raises(Refused, match="participant_removed"):
        room.post("rev", "still here?")
    room.close()
    assert room.status()["room_status"] == "closed"


def test_a_room_is_the_same_after_a_restart_and_a_kill(room: Room) -> None:
    first = room.post("host", "before")
    room.restart()
    room.restart(kill=True)
    assert room.post("host", "after") == first + 1
    room.stop()
    with pytest.raises(AssertionError, match="not served"):
        room.stop()


def test_a_room_begins_with_a_conversation_where_one_is_wanted(open_room: OpenRoom) -> None:
    room = open_room(messages=600)
    assert len(room.messages(550)) >= 50
    assert room.post("host", "on top") > 600


@pytest.mark.parametrize("strips_prefix", [False, True])
def test_a_room_is_reached_under_a_prefix(open_room: OpenRoom, strips_prefix: bool) -> None:
    room = open_room(prefix="/team/demo", strips_prefix=strips_prefix)
    assert room.invite("ada").link.startswith(f"{room.url}/#token=")
    assert room.url.endswith("/team/demo")
    assert status_of(room) == 200


def test_a_cut_breaks_what_is_open_and_what_comes(proxied: Room) -> None:
    with asked(proxied, "/events?since_id=0") as answer:
        stream = answer()
        assert stream.readline().startswith(b"event:")
        proxied.proxy.cut()
        with pytest.raises(HTTPException):
            stream.read()
    with pytest.raises((HTTPException, ConnectionError)):
        status_of(proxied)
    proxied.proxy.mend()
    assert status_of(proxied) == 200


def test_a_stall_keeps_everything_until_it_is_mended(proxied: Room) -> None:
    with asked(proxied, "/events?since_id=0") as answer:
        stream = answer()
        assert stream.readline().startswith(b"event:")
        proxied.proxy.stall()
        with pytest.raises(TimeoutError):
            status_of(proxied)
        proxied.post("host", "kept back")
        proxied.proxy.mend()
        while b"kept back" not in stream.readline():
            pass


def test_a_proxy_that_buffers_keeps_streams_back_and_nothing_else(proxied: Room) -> None:
    proxied.post("host", "something to hear of")
    proxied.proxy.buffer_events()
    with asked(proxied, "/events?since_id=0") as answer, pytest.raises(TimeoutError):
        answer()
    assert status_of(proxied) == 200
    with asked(proxied, "/wait?since_id=0") as answer:
        assert answer().status == 200


def test_a_host_that_is_away_is_told_of(proxied: Room) -> None:
    proxied.proxy.host_away()
    with asked(proxied, "/status") as answer:
        response = answer()
        assert (response.status, json.loads(response.read())["error"]) == (503, "host_unavailable")
    proxied.proxy.mend()
    proxied.stop()
    assert status_of(proxied) == 502


def test_a_host_that_sleeps_answers_when_it_wakes(room: Room) -> None:
    room.pause()
    with asked(room, "/status") as answer:
        with pytest.raises(TimeoutError):
            answer()
        room.resume()
    assert status_of(room) == 200
    room.pause()
    room.stop()


def test_a_visitor_has_the_screen_and_the_taste_that_were_asked_for(
    room: Room, visitors: Visitors
) -> None:
    visitor = visitors.open(
        f"{room.url}/healthz", width=390, height=700, scheme="dark", reduced_motion=True
    )
    visitor.guards.allow_console("favicon")
    asked_for = "(width: 390px) and (prefers-color-scheme: dark) and (prefers-reduced-motion)"
    assert visitor.page.evaluate("media => matchMedia(media).matches", asked_for)
    shot = visitor.screenshot("stage")
    assert shot.name == "stage-390-dark.png"
    assert shot.read_bytes().startswith(b"\x89PNG")
    shot.unlink()


def test_a_page_that_is_frozen_does_nothing_until_it_thaws(room: Room, visitors: Visitors) -> None:
    visitor = visitors.open(f"{room.url}/healthz")
    visitor.guards.allow_console("favicon")
    # Times and not a count: nothing can be asked of a frozen page.
    visitor.page.evaluate(
        "() => { window.ticks = []; setInterval(() => ticks.push(Date.now()), 20); }"
    )
    visitor.waits_for("() => ticks.length > 3")
    with visitor.frozen():
        time.sleep(SOON_SECONDS)
    visitor.waits_for("() => ticks.some((tick, at) => tick - ticks[at - 1] > 400)")


def test_a_laptop_that_slept_wakes_at_another_time(room: Room, visitors: Visitors) -> None:
    visitor = visitors.open(f"{room.url}/healthz", own_clock=True)
    visitor.guards.allow_console("favicon")
    visitor.page.evaluate(
        "() => { window.start = Date.now(); window.ticks = 0; setInterval(() => ticks++, 1000); }"
    )
    visitor.sleeps(3600)
    assert visitor.page.evaluate("() => Date.now() - start") >= 3_600_000
    assert visitor.page.evaluate("() => ticks") < 10


def test_a_machine_without_network_reaches_nothing(room: Room, visitors: Visitors) -> None:
    visitor = visitors.open(f"{room.url}/healthz")
    visitor.guards.allow_console("favicon|ERR_INTERNET_DISCONNECTED")
    look = "() => fetch('healthz').then(() => 'reached', () => 'nothing')"
    visitor.goes_offline()
    assert visitor.page.evaluate(look) == "nothing"
    visitor.goes_offline(offline=False)
    assert visitor.page.evaluate(look) == "reached"


def test_a_machine_without_chromium_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(chromium.ChromiumMissing, match="is no program"):
        chromium.find_chromium()
    monkeypatch.delenv("CHROMIUM")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(chromium.ChromiumMissing, match="make test"):
        chromium.find_chromium()


def test_a_port_of_a_room_that_is_gone_is_free_again(open_room: OpenRoom) -> None:
    room = open_room(proxied=True)
    room.end()
    with socket.create_server(("127.0.0.1", room.port)):
        pass
    with pytest.raises(ConnectionRefusedError):
        status_of(room)
