"""A long log: read in pages, without jumps, in a document that stays small."""

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.visitor import Visitor, Visitors

LENGTH = 2_000
MOST_ITEMS = 320
IDS = "items => items.map((item) => Number(item.dataset.id))"
# What stands in the middle of the messages, and where.
MIDDLE = """() => {
  const box = document.getElementById("scroller").getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const item = at.closest(".message");
  return item && [Number(item.dataset.id), Math.round(item.getBoundingClientRect().top)];
}"""


@pytest.fixture
def long_room(open_room: OpenRoom) -> Room:
    return open_room(messages=LENGTH)


@pytest.fixture
def ada(long_room: Room, visitors: Visitors) -> Visitor:
    return visitors.open(long_room.invite("ada", name="Ada").link).enters()


def ids(visitor: Visitor) -> list[int]:
    found: list[int] = visitor.page.locator("#timeline li.message").evaluate_all(IDS)
    return found


def is_a_run(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[-1] + 1))


def settled(visitor: Visitor) -> list[int]:
    """Give what stands in the middle, once a busy machine has laid out all that it has."""
    found: list[int] = visitor.page.evaluate(MIDDLE)
    while True:
        visitor.page.wait_for_timeout(100)
        before, found = found, visitor.page.evaluate(MIDDLE)
        if found == before:
            return found


def stays(visitor: Visitor, before: list[int]) -> bool:
    """Say whether what stood in the middle stands there still, but for rounding."""
    message_id, top = settled(visitor)
    return message_id == before[0] and abs(top - before[1]) <= 1


def scroll_to(visitor: Visitor, where: str) -> None:
    visitor.page.evaluate(
        "(where) => { const s = document.getElementById('scroller');"
        " s.scrollTop = where === 'top' ? 0 : s.scrollHeight; }",
        where,
    )


@pytest.mark.hostile("X05")
def test_a_long_room_opens_at_its_end_with_a_part_of_it(ada: Visitor) -> None:
    ada.sees_message(LENGTH)
    assert len(ids(ada)) <= 80
    expect(ada.page.locator("#jump")).to_be_hidden()


def test_scrolling_back_goes_to_the_beginning_without_a_gap(ada: Visitor) -> None:
    ada.sees_message(LENGTH)
    lowest = ids(ada)[0]
    for _ in range(200):
        scroll_to(ada, "top")
        ada.page.wait_for_timeout(20)
        found = ids(ada)
        assert is_a_run(found)
        assert len(found) <= MOST_ITEMS
        assert found[0] <= lowest
        lowest = found[0]
        if lowest == 1:
            break
    assert lowest == 1
    expect(ada.page.locator("#history")).to_have_text("The room begins here.")
    # And back again, to the very end.
    for _ in range(200):
        scroll_to(ada, "bottom")
        ada.page.wait_for_timeout(20)
        found = ids(ada)
        assert is_a_run(found)
        assert len(found) <= MOST_ITEMS
        if found[-1] >= LENGTH:
            break
    ada.sees_message(LENGTH)


def test_what_is_looked_at_stays_where_it_is(long_room: Room, ada: Visitor) -> None:
    ada.sees_message(LENGTH)
    scroller = ada.page.locator("#scroller")
    for turn in range(12):
        before = ids(ada)[0]
        # Near the top, so that the next page is asked for; then it must not move. At the very
        # top the day's name is seen, which goes when there are others before it.
        top = 500 * (turn % 2)
        ada.page.evaluate("(top) => { document.getElementById('scroller').scrollTop = top; }", top)
        seen = ada.page.evaluate(MIDDLE)
        ada.waits_for(f"() => Number(document.querySelector('#timeline li').dataset.id) < {before}")
        assert stays(ada, seen)
    # Nor does it when messages come at the other end.
    place = settled(ada)
    for number in range(5):
        long_room.post("host", f"meanwhile {number}")
    expect(ada.page.locator("#jump")).to_be_visible()
    expect(ada.page.locator("#jump")).to_have_text("Jump to latest, 5 new messages")
    assert stays(ada, place)
    ada.page.locator("#jump").click()
    ada.sees_message("meanwhile 4")
    expect(ada.page.locator("#jump")).to_be_hidden()
    assert scroller.evaluate("s => s.scrollHeight - s.scrollTop - s.clientHeight < 2")


def test_a_reply_to_something_long_ago_leads_there_and_back(long_room: Room, ada: Visitor) -> None:
    reply = long_room.post("host", "about the old one", reply_to=7)
    link = ada.sees_message(reply).locator(".answers a")
    expect(link).to_contain_text("in reply to #7 ")
    link.click()
    old = ada.sees_message(7)
    expect(old).to_be_in_viewport()
    assert is_a_run(ids(ada))
    expect(old.locator("article")).to_be_focused()
    # What comes now is not shown in the wrong place.
    later = long_room.post("host", "at the end")
    ada.page.wait_for_timeout(300)
    assert is_a_run(ids(ada))
    expect(ada.message(later)).to_have_count(0)
    ada.page.locator("#jump").click()
    ada.sees_message(later)
    assert is_a_run(ids(ada))


def test_from_the_beginning_one_scrolls_on_to_the_end(long_room: Room, ada: Visitor) -> None:
    """The first messages are short, so that both ends are near at once."""
    reply = long_room.post("host", "about the first", reply_to=1)
    ada.sees_message(reply).locator(".answers a").click()
    ada.sees_message(1)
    for _ in range(4):
        before = ids(ada)[-1]
        scroll_to(ada, "bottom")
        ada.waits_for(
            f"() => Number([...document.querySelectorAll('#timeline > li')].at(-1).dataset.id)"
            f" > {before}"
        )
        assert is_a_run(ids(ada))


def test_what_comes_while_one_jumps_to_the_end_is_there(long_room: Room, ada: Visitor) -> None:
    reply = long_room.post("host", "about the old one", reply_to=7)
    ada.sees_message(reply).locator(".answers a").click()
    ada.sees_message(7)
    posted: list[int] = []

    def answer_late(route: Route) -> None:
        answer = route.fetch()
        # It comes live before the page that lacks it is there.
        posted.append(long_room.post("host", f"meanwhile {len(posted)}"))
        ada.page.wait_for_timeout(300)
        route.fulfill(response=answer)

    ada.page.route("**/messages?before_id=99*", answer_late, times=1)
    ada.page.locator("#jump").click()
    ada.sees_message(posted[0] if posted else "meanwhile 0")
    last = long_room.post("host", "after it")
    ada.sees_message(last)
    assert is_a_run(ids(ada))
    assert posted[0] in ids(ada)


def test_a_page_that_is_ahead_of_the_stream_brings_nothing_twice(
    long_room: Room, ada: Visitor
) -> None:
    reply = long_room.post("host", "about the old one", reply_to=7)
    ada.sees_message(reply).locator(".answers a").click()
    ada.sees_message(7)
    for number in range(30):
        long_room.post("host", f"quick {number}")
        if number % 10 == 0:
            # Whether the pill is there depends on what has loaded by now.
            ada.page.evaluate("document.getElementById('jump').click()")
            scroll_to(ada, "bottom")
    last = long_room.post("host", "the last")
    ada.page.evaluate("document.getElementById('jump').click()")
    ada.sees_message(last)
    assert is_a_run(ids(ada))


def test_a_jump_within_sight_of_the_end_goes_on_following(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    asked = room.post("host", "a question")
    reply = room.post("host", "an answer", reply_to=asked)
    ada.sees_message(reply).locator(".answers a").click()
    expect(ada.page.locator("#jump")).to_be_hidden()
    for number in range(30):
        room.post("host", f"more {number}")
    expect(ada.sees_message("more 29")).to_be_in_viewport()


def test_who_sends_while_scrolled_back_sees_what_becomes_of_it(
    long_room: Room, ada: Visitor
) -> None:
    ada.sees_message(LENGTH)
    scroll_to(ada, "top")
    expect(ada.page.locator("#jump")).to_be_visible()
    ada.says("from far above")
    expect(ada.sees_message("from far above")).to_be_in_viewport()
    assert is_a_run(ids(ada))


def test_who_was_away_for_long_is_led_to_where_they_stopped(
    long_room: Room, visitors: Visitors, ada: Visitor
) -> None:
    ada.sees_message("ada joined")
    ada.page.goto("about:blank")
    first = long_room.post("host", "the first that ada missed")
    for number in range(90):
        long_room.post("host", f"missed {number}")
    ada.page.goto(long_room.seats["ada"].link)
    ada.enters()
    offer = ada.page.get_by_role("button", name="91 messages since you were here")
    offer.click()
    expect(offer).to_be_hidden()
    expect(ada.sees_message(first)).to_be_in_viewport()
    expect(ada.message(first).locator(".unread")).to_have_count(1)


@pytest.mark.hostile("X05")
def test_a_page_that_stays_open_stays_small(long_room: Room, ada: Visitor) -> None:
    ada.sees_message(LENGTH)
    long_room.stop()
    log = long_room.home / "rooms" / "demo" / "messages.jsonl"
    head = len(log.read_bytes().splitlines())
    with log.open("a") as file:
        for number in range(head + 1, head + 1_501):
            file.write(
                f'{{"id":{number},"room":"demo","ts":"2026-01-02T03:04:05.000Z","from":"host",'
                f'"type":"message","text":"in a flood {number}","mentions":[]}}\n'
            )
    ada.guards.allow_console("ERR_")
    long_room.start()
    last = long_room.post("host", "after the flood")
    ada.sees_message(last)
    assert len(ids(ada)) <= MOST_ITEMS
    assert is_a_run(ids(ada))
    scroller = ada.page.locator("#scroller")
    assert scroller.evaluate("s => s.scrollHeight - s.scrollTop - s.clientHeight < 2")


def test_up_and_down_go_from_message_to_message(ada: Visitor) -> None:
    last = ada.sees_message(LENGTH + 1)
    ada.page.get_by_role("textbox", name="Message").focus()
    ada.page.keyboard.press("Shift+Tab")
    focused = ada.page.evaluate("Number(document.activeElement.closest('.message').dataset.id)")
    assert focused == LENGTH + 1
    expect(last).to_contain_text("ada joined")
    ada.page.keyboard.press("ArrowUp")
    ada.page.keyboard.press("ArrowUp")
    focused = ada.page.evaluate("Number(document.activeElement.closest('.message').dataset.id)")
    assert focused == LENGTH - 1
    ada.page.keyboard.press("ArrowDown")
    focused = ada.page.evaluate("Number(document.activeElement.closest('.message').dataset.id)")
    assert focused == LENGTH
    reply = ada.page.get_by_role("button", name=f"Reply to #{LENGTH}")
    for _ in range(6):
        ada.page.keyboard.press("Tab")
        if reply.evaluate("one => one === document.activeElement"):
            break
    expect(reply).to_be_focused()
