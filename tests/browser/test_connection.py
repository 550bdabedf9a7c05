"""The page while the world around it breaks: nothing missing, nothing twice, plainly said."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.visitor import Visitor, Visitors

BROKEN = r"ERR_|Failed to fetch|403|410|429|50[234]"


@pytest.fixture
def far(open_room: OpenRoom) -> Room:
    """A room behind a proxy that can be broken."""
    return open_room(proxied=True)


def come(room: Room, visitors: Visitors, *, own_clock: bool = False) -> Visitor:
    visitor = visitors.open(room.invite("ada", name="Ada").link, own_clock=own_clock)
    visitor.guards.allow_console(BROKEN)
    return visitor.enters()


def ids(visitor: Visitor) -> list[int]:
    return visitor.page.locator("#timeline li.message").evaluate_all(
        "items => items.map((item) => Number(item.dataset.id))"
    )


def follows(visitor: Visitor) -> list[str]:
    """Note from now on each time that the page tries to follow the room."""
    tries: list[str] = []
    visitor.page.on(
        "request", lambda request: tries.append(request.url) if "/events" in request.url else None
    )
    return tries


def sees_all_in_order(room: Room, visitor: Visitor) -> None:
    """Everything that the log has is there, once, in its order."""
    last = room.post("host", "the last one")
    visitor.sees_message(last)
    assert ids(visitor) == list(range(1, last + 1))


@pytest.mark.hostile("X06")
@pytest.mark.parametrize("kill", [False, True], ids=["in order", "killed"])
def test_a_restart_of_the_server_is_survived(room: Room, visitors: Visitors, *, kill: bool) -> None:
    visitor = come(room, visitors)
    room.post("host", "before")
    room.stop(kill=kill)
    visitor.sees_state("reconnecting", "away")
    room.start()
    for number in range(5):
        room.post("host", f"after {number}")
    visitor.sees_state("live")
    sees_all_in_order(room, visitor)


def test_a_host_that_stays_away_is_said_to_be_away(room: Room, visitors: Visitors) -> None:
    visitor = come(room, visitors)
    room.stop()
    visitor.sees_state("away")
    expect(visitor.page.locator("#state")).to_have_text("host away")
    expect(visitor.page.locator("#notice")).to_contain_text("does not answer")
    # What is written meanwhile is kept, and says that it is not there yet.
    visitor.says("are you back?")
    expect(visitor.page.locator("#outbox li")).to_have_attribute("data-state", "failed")
    room.start()
    visitor.sees_state("live")
    expect(visitor.page.locator("#notice")).to_be_hidden()
    visitor.page.get_by_role("button", name="Retry").click()
    visitor.sees_message("are you back?")
    sees_all_in_order(room, visitor)


def test_a_tunnel_that_is_cut_and_mended_many_times(far: Room, visitors: Visitors) -> None:
    visitor = come(far, visitors)
    for number in range(8):
        far.post("host", f"round {number}")
        far.proxy.cut()
        far.post("host", f"while cut {number}")
        far.proxy.mend()
    visitor.sees_state("live")
    sees_all_in_order(far, visitor)


def test_a_broker_that_says_the_host_is_away_is_believed_at_once(
    far: Room, visitors: Visitors
) -> None:
    visitor = come(far, visitors)
    far.proxy.host_away()
    visitor.sees_state("away")
    far.post("host", "meanwhile")
    far.proxy.mend()
    visitor.sees_state("live")
    sees_all_in_order(far, visitor)


def test_a_room_that_was_taken_from_its_url_is_not_asked_for_until_somebody_looks(
    far: Room, visitors: Visitors
) -> None:
    visitor = come(far, visitors)
    far.proxy.host_away(410, "route_closed")
    visitor.sees_state("gone")
    expect(visitor.page.locator("#notice")).to_contain_text("Ask the host where it is")
    tries = follows(visitor)
    visitor.page.wait_for_timeout(1500)
    assert tries == []
    far.proxy.mend()
    visitor.page.evaluate("() => dispatchEvent(new Event('pageshow'))")
    visitor.sees_state("live")
    sees_all_in_order(far, visitor)


def test_a_page_that_looks_again_in_vain_says_that_the_host_is_away(
    far: Room, visitors: Visitors
) -> None:
    visitor = come(far, visitors)
    # Lost first, so that the clock runs when the room is taken from its URL.
    far.proxy.cut()
    visitor.sees_state("reconnecting")
    far.proxy.host_away(410, "route_closed")
    visitor.sees_state("gone")
    far.proxy.cut()
    visitor.page.evaluate("() => dispatchEvent(new Event('pageshow'))")
    visitor.sees_state("reconnecting")
    visitor.sees_state("away")
    far.proxy.mend()
    visitor.sees_state("live")


def test_a_room_that_is_not_public_any_more_is_waited_for_an_hour(
    far: Room, visitors: Visitors
) -> None:
    visitor = come(far, visitors, own_clock=True)
    far.proxy.host_away(410, "route_expired")
    visitor.sees_state("away")
    visitor.sleeps(3000)
    visitor.sees_state("away")
    visitor.sleeps(601)
    visitor.sees_state("gone")
    far.proxy.mend()
    visitor.page.evaluate("() => dispatchEvent(new Event('online'))")
    visitor.sees_state("live")
    sees_all_in_order(far, visitor)


def test_a_broker_that_says_when_to_ask_again_is_asked_then(far: Room, visitors: Visitors) -> None:
    visitor = come(far, visitors, own_clock=True)
    with visitor.page.expect_response("**/events?*"):
        far.proxy.host_away(429, "rate_limited", retry_after=50)
    tries = follows(visitor)
    visitor.sleeps(40)
    visitor.page.wait_for_timeout(300)
    assert tries == []
    far.proxy.mend()
    visitor.sleeps(20)
    visitor.sees_state("live")
    sees_all_in_order(far, visitor)


def test_behind_a_proxy_that_keeps_streams_back_the_page_polls(
    far: Room, visitors: Visitors
) -> None:
    far.proxy.buffer_events()
    visitor = visitors.open(far.invite("ada", name="Ada").link)
    visitor.guards.allow_console(BROKEN)
    visitor.sees_screen("room")
    visitor.sees_state("polling")
    expect(visitor.page.locator("#notice")).to_contain_text("a little later")
    visitor.says("heard?")
    visitor.sees_message("heard?")
    sees_all_in_order(far, visitor)
    far.close()
    visitor.sees_state("closed")


def test_at_an_older_broker_which_has_no_streams_the_page_polls(
    far: Room, visitors: Visitors
) -> None:
    far.proxy.refuse_events()
    visitor = visitors.open(far.invite("ada", name="Ada").link)
    visitor.guards.allow_console("404")
    visitor.sees_screen("room")
    visitor.sees_state("polling")
    visitor.says("heard?")
    visitor.sees_message("heard?")
    sees_all_in_order(far, visitor)
    far.close()
    visitor.sees_state("closed")


def test_a_page_that_slept_notices_that_its_connection_is_dead(
    far: Room, visitors: Visitors
) -> None:
    visitor = come(far, visitors, own_clock=True)
    # Nothing comes through any more, and nobody says so.
    far.proxy.stall()
    for number in range(5):
        far.post("host", f"in the night {number}")
    visitor.sleeps(600)
    visitor.sees_state("reconnecting", "away")
    far.proxy.mend()
    visitor.sleeps(15)
    visitor.sees_state("live")
    sees_all_in_order(far, visitor)


def test_a_network_that_comes_back_is_used_at_once(room: Room, visitors: Visitors) -> None:
    visitor = come(room, visitors)
    visitor.goes_offline()
    room.stop()
    visitor.sees_state("away")
    room.start()
    room.post("host", "while offline")
    visitor.goes_offline(offline=False)
    visitor.sees_state("live")
    sees_all_in_order(room, visitor)


def test_a_close_is_told_and_the_room_can_still_be_read(room: Room, visitors: Visitors) -> None:
    visitor = come(room, visitors)
    room.post("host", "last words")
    room.close()
    visitor.sees_state("closed")
    visitor.sees_message("last words")
    visitor.sees_message("room closed")
    expect(visitor.page.locator("#composer")).to_be_hidden()
    expect(visitor.page.locator("#no-composer")).to_have_text("The room is closed.")
    visitor.page.reload()
    visitor.sees_screen("room")
    visitor.sees_state("closed")
    visitor.sees_message("last words")
    expect(visitor.page.locator("#composer")).to_be_hidden()


@pytest.mark.hostile("X06")
def test_who_is_removed_is_told_and_sees_nothing_more(room: Room, visitors: Visitors) -> None:
    visitor = come(room, visitors)
    token = room.seats["ada"].token
    room.post("host", "before")
    visitor.sees_message("before")
    room.remove("ada")
    visitor.sees_state("removed")
    room.post("host", "after")
    expect(visitor.page.locator("#notice")).to_contain_text("removed you")
    expect(visitor.page.locator("#composer")).to_be_hidden()
    visitor.page.wait_for_timeout(300)
    expect(visitor.message("after")).to_have_count(0)
    # The token is of no use any more, and kept nowhere.
    assert token not in visitor.page.evaluate("JSON.stringify({...sessionStorage})")
    visitor.page.reload()
    visitor.sees_screen("invite")


@pytest.mark.hostile("X06")
def test_a_rotated_token_says_to_ask_for_a_new_link(room: Room, visitors: Visitors) -> None:
    visitor = come(room, visitors)
    seat = room.rotate("ada")
    visitor.sees_state("removed")
    expect(visitor.page.locator("#notice")).to_contain_text("no longer valid")
    visitor.page.goto(seat.link)
    visitor.enters()


def test_a_fifth_window_of_a_seat_polls_and_says_why(room: Room, visitors: Visitors) -> None:
    visitor = come(room, visitors)
    link = room.seats["ada"].link
    for _ in range(3):
        tab = visitor.new_tab(link)
        expect(tab.locator("#state")).to_have_attribute("data-state", "live")
    fifth = visitor.new_tab(link)
    expect(fifth.locator("#state")).to_have_attribute("data-state", "polling")
    expect(fifth.locator("#notice")).to_contain_text("too many windows")
    room.post("host", "to all windows")
    expect(fifth.locator("#timeline")).to_contain_text("to all windows", timeout=10_000)


@pytest.mark.parametrize("is_busy", [False, True], ids=["quiet", "busy"])
def test_a_log_that_was_set_back_is_read_anew(
    room: Room, visitors: Visitors, *, is_busy: bool
) -> None:
    for number in range(8):
        room.post("host", f"kept {number}")
    visitor = come(room, visitors)
    room.stop()
    log = room.home / "rooms" / "demo" / "messages.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:4]))
    room.start()
    if is_busy:
        # Where somebody writes all the time, no heartbeat tells that the log is shorter.
        room.post("host", "on the old number")
    visitor.sees_state("live")
    visitor.waits_for("() => document.querySelectorAll('#timeline li.message').length <= 6")
    sees_all_in_order(room, visitor)
