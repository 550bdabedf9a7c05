"""What somebody writes: sent once, never lost, and seen before it is sent."""

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.room import Room
from tests.browser.visitor import Visitor, Visitors


@pytest.fixture
def ada(room: Room, visitors: Visitors) -> Visitor:
    room.invite("rev", "agent")
    return visitors.open(room.invite("ada", name="Ada").link).enters()


def field(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("textbox", name="Message")


def hint(visitor: Visitor) -> Locator:
    return visitor.page.locator("#composer-hint")


def texts(room: Room) -> list[str]:
    return [one["text"] for one in room.messages() if one["type"] != "system"]


def test_enter_sends_and_shift_enter_starts_a_line(room: Room, ada: Visitor) -> None:
    field(ada).press_sequentially("one")
    field(ada).press("Shift+Enter")
    field(ada).press_sequentially("two")
    field(ada).press("Enter")
    ada.sees_message("one")
    assert texts(room) == ["one\ntwo"]
    expect(field(ada)).to_have_value("")
    expect(field(ada)).to_be_focused()
    field(ada).press("Enter")
    field(ada).fill("   ")
    field(ada).press("Enter")
    ada.page.wait_for_timeout(200)
    assert texts(room) == ["one\ntwo"]


def test_messages_arrive_in_the_order_in_which_they_were_written(room: Room, ada: Visitor) -> None:
    for number in range(12):
        ada.says(f"number {number}")
    ada.sees_message("number 11")
    expect(ada.page.locator("#outbox li")).to_have_count(0)
    assert texts(room) == [f"number {number}" for number in range(12)]


def test_a_double_click_posts_once(room: Room, ada: Visitor) -> None:
    field(ada).fill("only once")
    ada.page.get_by_role("button", name="Send", exact=True).dblclick()
    ada.sees_message("only once")
    assert texts(room) == ["only once"]


def test_what_is_on_its_way_is_shown_as_pending_and_then_as_sent(room: Room, ada: Visitor) -> None:
    held: list[Route] = []
    ada.page.route("**/messages", lambda route: held.append(route))
    ada.says("patience")
    pending = ada.page.locator("#outbox li")
    expect(pending).to_contain_text("patience")
    expect(pending).to_contain_text("sending")
    held[0].continue_()
    ada.sees_message("patience")
    expect(pending).to_have_count(0)


def test_a_lost_answer_fails_no_message_that_the_room_has(room: Room, ada: Visitor) -> None:
    ada.guards.allow_console("ERR_FAILED")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    ada.page.route("**/messages", lose_the_answer, times=1)
    ada.says("did it arrive?")
    ada.sees_message("did it arrive?")
    expect(ada.page.locator("#outbox li")).to_have_count(0)
    assert texts(room) == ["did it arrive?"]


def test_who_retries_sends_the_same_key(room: Room, ada: Visitor) -> None:
    ada.guards.allow_console("ERR_FAILED|500")
    keys: list[str] = []

    def fail(route: Route) -> None:
        keys.append(route.request.post_data_json["client_msg_id"])
        if len(keys) < 3:
            route.abort()
        else:
            route.continue_()

    ada.page.route("**/messages", fail)
    ada.says("try me")
    pending = ada.page.locator("#outbox li")
    for _ in range(2):
        expect(pending).to_have_attribute("data-state", "failed")
        expect(pending).to_contain_text("not sent")
        # A click too many changes nothing.
        pending.get_by_role("button", name="Retry").click()
    ada.sees_message("try me")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", keys[0])
    assert texts(room) == ["try me"]


def test_a_refusal_says_why_and_the_text_can_be_changed_or_thrown_away(
    room: Room, ada: Visitor
) -> None:
    ada.guards.allow_console("429")
    refused = '{"ok":false,"error":"rate_limited","message":"Too many in the last minute."}'
    ada.page.route(
        "**/messages",
        lambda route: route.fulfill(status=429, body=refused, headers={"Retry-After": "7"}),
    )
    ada.says("too fast")
    pending = ada.page.locator("#outbox li")
    expect(pending).to_contain_text("Too many in the last minute. Try again in 7 s.")
    pending.get_by_role("button", name="Edit").click()
    expect(pending).to_have_count(0)
    expect(field(ada)).to_have_value("too fast")
    ada.page.get_by_role("button", name="Send", exact=True).click()
    pending.get_by_role("button", name="Discard").click()
    expect(pending).to_have_count(0)
    assert texts(room) == []


def test_a_draft_outlives_a_reload_and_so_does_what_failed(room: Room, ada: Visitor) -> None:
    ada.guards.allow_console("ERR_FAILED")
    first = room.post("rev", "a question")
    ada.page.route("**/messages", lambda route: route.abort())
    ada.says("failed once")
    expect(ada.page.locator("#outbox li")).to_have_attribute("data-state", "failed")
    ada.sees_message(first).hover()
    ada.page.get_by_role("button", name=f"Reply to #{first}").click()
    field(ada).fill("half a thou")
    ada.page.locator("#type").select_option("status")
    ada.page.reload()
    ada.enters()
    expect(field(ada)).to_have_value("half a thou")
    expect(ada.page.locator("#type")).to_have_value("status")
    expect(ada.page.locator("#answering")).to_contain_text(f"#{first}")
    failed = ada.page.locator("#outbox li")
    expect(failed).to_contain_text("failed once")
    ada.page.unroute("**/messages")
    failed.get_by_role("button", name="Retry").click()
    ada.sees_message("failed once")
    field(ada).press("Enter")
    ada.sees_message("half a thou")
    assert room.messages()[-1]["reply_to"] == first
    assert texts(room) == ["a question", "failed once", "half a thou"]


def test_what_was_under_way_at_a_reload_is_sent_once(room: Room, ada: Visitor) -> None:
    ada.guards.allow_console("ERR_")

    def arrive_without_an_answer(route: Route) -> None:
        route.fetch()

    ada.page.route("**/messages", arrive_without_an_answer, times=1)
    ada.page.route("**/events**", lambda route: route.abort())
    ada.says("across a reload")
    ada.page.wait_for_timeout(300)
    ada.page.unroute("**/events**")
    ada.page.reload()
    ada.enters()
    ada.sees_message("across a reload")
    expect(ada.page.locator("#outbox li")).to_have_count(0)
    assert texts(room) == ["across a reload"]


def test_mentions_are_completed_from_the_roster(room: Room, ada: Visitor) -> None:
    room.invite("robin", name="Robin Hood")
    ada.sees_message("robin joined")
    field(ada).press_sequentially("ask @r")
    options = ada.page.locator("#completion").get_by_role("option")
    expect(options).to_have_count(2)
    chosen = field(ada).get_attribute("aria-activedescendant")
    assert chosen
    expect(ada.page.locator(f"#{chosen}")).to_have_attribute("aria-selected", "true")
    field(ada).press("ArrowDown")
    field(ada).press("ArrowUp")
    field(ada).press_sequentially("o")
    expect(options).to_have_count(1)
    field(ada).press("Enter")
    expect(field(ada)).to_have_value("ask @robin ")
    expect(options).to_have_count(0)
    # By display name too, by mouse too, and Escape leaves it be.
    field(ada).press_sequentially("and @hood")
    options.first.click()
    expect(field(ada)).to_have_value("ask @robin and @robin ")
    field(ada).press_sequentially("mail a@r @r")
    field(ada).press("Escape")
    expect(options).to_have_count(0)
    field(ada).press("Enter")
    ada.sees_message("mail a@r")
    assert room.messages()[-1]["mentions"] == ["robin"]


def test_a_name_that_nobody_has_is_warned_of(room: Room, ada: Visitor) -> None:
    field(ada).fill("@nobody and `@code` and @rev and mail@rev")
    expect(hint(ada)).to_have_text("Nobody here is called @nobody.")
    room.invite("nobody", "agent")
    expect(hint(ada)).to_have_text("")
    room.remove("nobody")
    expect(hint(ada)).to_have_text("Nobody here is called @nobody.")


def test_capitals_name_nobody_and_are_warned_of(room: Room, ada: Visitor) -> None:
    field(ada).fill("@Rev, please")
    expect(hint(ada)).to_have_text("Nobody here is called @Rev. Do you mean @rev?")


def test_what_was_written_in_another_room_at_the_same_place_stays_there(
    room: Room, ada: Visitor, visitors: Visitors
) -> None:
    """Rooms of one host follow each other on one port, and their seats have the same names."""
    ada.guards.allow_console("ERR_")
    ada.page.route("**/messages", lambda route: route.abort())
    ada.says("for the first room")
    expect(ada.page.locator("#outbox li")).to_have_attribute("data-state", "failed")
    field(ada).fill("a draft for it")
    ada.page.unroute("**/messages")
    room.stop()
    # Else the page may ask the other room with the token of the first.
    ada.page.goto("about:blank")
    room.follow_with("another")
    ada.page.goto(room.invite("ada", name="Ada").link)
    ada.enters()
    expect(ada.page.locator("#room-name")).to_have_text("another")
    expect(field(ada)).to_have_value("")
    expect(ada.page.locator("#outbox li")).to_have_count(0)
    assert texts(room) == []


def test_a_preview_shows_what_the_room_will_show(room: Room, ada: Visitor) -> None:
    field(ada).fill("**bold** for @rev\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    toggle = ada.page.locator("#preview-toggle")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    preview = ada.page.get_by_role("region", name="Preview")
    expect(preview.locator("strong")).to_have_text("bold")
    expect(preview.locator(".mention")).to_have_text("@rev")
    expect(preview.locator("td")).to_have_text(["1", "2"])
    shown = preview.inner_html()
    toggle.click()
    expect(field(ada)).to_be_focused()
    field(ada).press("Enter")
    posted = ada.sees_message("bold").locator(".text")
    assert posted.inner_html() == shown


def test_a_text_that_is_too_long_is_counted_and_not_sent(room: Room, ada: Visitor) -> None:
    field(ada).fill("x" * 23_990)
    expect(hint(ada)).to_have_text("10 characters left.")
    field(ada).fill("😀" * 12_001)
    expect(hint(ada)).to_contain_text("2 characters too many")
    expect(ada.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    field(ada).press("Enter")
    field(ada).fill("😀" * 12_000)
    field(ada).press("Enter")
    expect(field(ada)).to_have_value("")
    ada.sees_message("😀")
    assert texts(room) == ["😀" * 12_000]


def test_a_reply_names_what_it_answers(room: Room, ada: Visitor) -> None:
    asked = room.post("rev", "which branch?", type="question")
    ada.sees_message(asked).hover()
    ada.page.get_by_role("button", name=f"Reply to #{asked}").click()
    expect(field(ada)).to_be_focused()
    expect(ada.page.locator("#answering")).to_contain_text("rev: which branch?")
    field(ada).press("Escape")
    expect(ada.page.locator("#answering")).to_be_hidden()
    ada.message(asked).locator("article").focus()
    ada.page.keyboard.press("r")
    expect(field(ada)).to_be_focused()
    field(ada).fill("main")
    field(ada).press("Enter")
    ada.sees_message("main")
    posted = room.messages()[-1]
    assert (posted["reply_to"], posted["type"], posted["text"]) == (asked, "reply", "main")


@pytest.mark.parametrize(
    ("label", "kind"), [("Question", "question"), ("Review request", "request_review")]
)
def test_the_kind_of_message_is_chosen(room: Room, ada: Visitor, label: str, kind: str) -> None:
    ada.page.get_by_label("Kind of message").select_option(label)
    ada.says("what is this?")
    shown = ada.sees_message("what is this?")
    expect(shown.locator(".type")).to_have_text(label.lower())
    assert room.messages()[-1]["type"] == kind
    expect(ada.page.get_by_label("Kind of message")).to_have_value("message")
