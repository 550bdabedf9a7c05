"""From a link to the room: the token, the invitation, the name."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.visitor import Visitor, Visitors

STORAGES = """() => [sessionStorage, localStorage].map(
  (storage) => Object.fromEntries(Object.entries(storage)))"""


@pytest.mark.hostile("X02")
def test_the_token_leaves_the_address_and_is_kept_in_one_place(
    room: Room, visitors: Visitors
) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(ada.link).enters()
    assert visitor.page.url == f"{room.url}/"
    visitor.says("hello")
    visitor.sees_message("hello")
    tab, browser = visitor.page.evaluate(STORAGES)
    holders = [key for key, value in tab.items() if ada.token in value]
    assert holders == ["agentgather:/:token"]
    assert ada.token not in str(browser)
    assert ada.token not in visitor.page.title()
    assert ada.token not in visitor.page.content()
    assert visitor.page.evaluate("document.cookie") == ""
    # Nor does going back bring it into the address.
    assert visitor.page.evaluate("history.length") <= 2


def test_a_reload_stays_in_the_seat_and_a_new_tab_is_nobody(room: Room, visitors: Visitors) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(ada.link).enters()
    visitor.page.reload()
    visitor.enters()
    tab = visitor.new_tab()
    expect(tab.get_by_role("heading", name="This room is by invitation")).to_be_visible()


@pytest.mark.hostile("X02")
def test_two_rooms_on_one_origin_keep_their_tokens_apart(
    open_room: OpenRoom, visitors: Visitors
) -> None:
    room = open_room(prefix="/team/demo")
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(ada.link).enters()
    tab, _ = visitor.page.evaluate(STORAGES)
    assert [key for key, value in tab.items() if ada.token in value] == [
        "agentgather:/team/demo:token"
    ]


def asked_for_a_link(visitor: Visitor) -> None:
    visitor.sees_screen("invite")
    expect(visitor.page.get_by_role("textbox", name="Invitation link")).to_be_focused()


def paste(visitor: Visitor, link: str) -> None:
    visitor.page.get_by_role("textbox", name="Invitation link").fill(link)
    visitor.page.get_by_role("button", name="Enter", exact=True).click()


def test_without_a_token_the_page_asks_for_a_link_and_takes_it(
    room: Room, visitors: Visitors
) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(room.url)
    asked_for_a_link(visitor)
    assert visitor.page.get_by_text("demo").count() == 0
    alert = visitor.page.locator("#invite-error")
    paste(visitor, "https://[")
    expect(alert).to_contain_text("not a link")
    paste(visitor, f"{room.url}/")
    expect(alert).to_contain_text("no token")
    paste(visitor, f"https://elsewhere.example/#token={ada.token}")
    expect(alert).to_contain_text("another room")
    paste(visitor, f"javascript:alert(1)#token={ada.token}")
    expect(alert).to_contain_text("another room")
    paste(visitor, ada.link)
    visitor.enters()


def test_a_token_alone_is_taken_too(room: Room, visitors: Visitors) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(room.url)
    paste(visitor, f"  {ada.token} ")
    visitor.enters()


def test_a_link_that_is_not_good_any_more_says_so_and_is_forgotten(
    room: Room, visitors: Visitors
) -> None:
    ada = room.invite("ada")
    room.rotate("ada")
    visitor = visitors.open(room.url)
    visitor.guards.allow_console("403")
    paste(visitor, ada.link)
    asked_for_a_link(visitor)
    expect(visitor.page.locator("#invite-error")).to_contain_text("not one of this room")
    assert ada.token not in str(visitor.page.evaluate(STORAGES))


def test_a_person_without_a_name_chooses_one_before_entering(
    room: Room, visitors: Visitors
) -> None:
    bob = room.invite("bob")
    room.invite("ada", name="Ada")
    visitor = visitors.open(bob.link)
    visitor.sees_screen("name")
    field = visitor.page.get_by_role("textbox", name="Your name")
    expect(field).to_be_focused()
    expect(field).to_have_value("bob")
    assert all(message["text"] != "bob joined" for message in room.messages())
    visitor.guards.allow_console("40[09]")
    enter = visitor.page.get_by_role("button", name="Enter the room")
    field.fill("ADA")
    enter.click()
    expect(visitor.page.locator("#naming-error")).to_contain_text("another")
    field.fill("system")
    enter.click()
    expect(visitor.page.locator("#naming-error")).to_contain_text("kept for the room")
    field.fill("  Bob   B. ")
    enter.click()
    visitor.enters()
    expect(visitor.roster_row("bob")).to_contain_text("Bob B.")
    visitor.sees_message("bob joined")
    # Only once: the name is the seat's.
    visitor.page.reload()
    visitor.enters()


def test_a_link_pasted_into_the_address_is_another_visit(room: Room, visitors: Visitors) -> None:
    ada = room.invite("ada", name="Ada")
    bob = room.invite("bob", name="Bob")
    visitor = visitors.open(ada.link).enters()
    expect(visitor.roster_row("ada")).to_contain_text("you")
    visitor.page.evaluate("(hash) => { location.hash = hash; }", f"#token={bob.token}")
    expect(visitor.roster_row("bob")).to_contain_text("you")
    visitor.enters()
    assert visitor.page.url == f"{room.url}/"


def test_an_observer_reads_and_writes_nothing(room: Room, visitors: Visitors) -> None:
    eve = room.invite("eve", role="observer", name="Eve")
    room.post("host", "for everybody")
    visitor = visitors.open(eve.link).enters()
    visitor.sees_message("for everybody")
    expect(visitor.page.get_by_role("textbox", name="Message")).to_be_hidden()
    expect(visitor.page.locator("#no-composer")).to_contain_text("observer")
    visitor.message("for everybody").hover()
    expect(visitor.page.get_by_role("button", name="Reply to")).to_have_count(0)


def test_who_leaves_can_come_back(room: Room, visitors: Visitors) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(ada.link).enters()
    visitor.page.get_by_role("button", name="Leave", exact=True).click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    visitor.sees_screen("ended")
    assert room.messages()[-1]["text"] == "ada left"
    visitor.page.get_by_role("button", name="Come back").click()
    visitor.enters()
    visitor.sees_message(room.messages()[-1]["id"])
    assert room.messages()[-1]["text"] == "ada joined"


def test_who_could_not_leave_is_told_so_and_stays(room: Room, visitors: Visitors) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(ada.link).enters()
    visitor.guards.allow_console("ERR_")
    visitor.page.route("**/leave", lambda route: route.abort())
    visitor.page.get_by_role("button", name="Leave", exact=True).click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    told = visitor.page.get_by_role("dialog", name="That did not work")
    expect(told).to_contain_text("does not answer")
    expect(told.get_by_role("button", name="Cancel")).to_be_hidden()
    told.get_by_role("button", name="OK").click()
    visitor.sees_screen("room")
    visitor.sees_state("live")


def test_a_host_that_is_starting_is_waited_for(room: Room, visitors: Visitors) -> None:
    ada = room.invite("ada", name="Ada")
    visitor = visitors.open(ada.link).enters()
    visitor.guards.allow_console("ERR_|Failed to fetch|503")
    # The page itself comes from the browser's memory here; the room is not there yet.
    visitor.context.route("**/status", lambda route: route.abort())
    visitor.page.reload()
    visitor.sees_screen("ended")
    expect(visitor.page.locator("#ended")).to_contain_text("does not answer")
    visitor.context.unroute("**/status")
    visitor.enters()


def test_a_room_that_was_taken_from_its_url_is_not_tried_again_by_itself(
    room: Room, visitors: Visitors
) -> None:
    visitor = visitors.open(room.invite("ada", name="Ada").link).enters()
    visitor.guards.allow_console("410")
    taken = {"ok": False, "error": "route_closed", "message": "The host took the room from here."}
    visitor.context.route("**/status", lambda route: route.fulfill(status=410, json=taken))
    visitor.page.reload()
    visitor.sees_screen("ended")
    expect(visitor.page.locator("#ended")).to_contain_text("Ask the host where it is")
    visitor.context.unroute("**/status")
    visitor.page.get_by_role("button", name="Come back").click()
    visitor.enters()
