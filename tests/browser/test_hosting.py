"""What only the host has: invites, seats, brief, policy, loop guard, export, close."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.room import Room
from tests.browser.visitor import Visitor, Visitors


@pytest.fixture
def host(room: Room, visitors: Visitors) -> Visitor:
    room.ask("POST", "/profile", "host", {"display_name": "Hanna"})
    return visitors.open(room.host.link).enters()


def open_host(visitor: Visitor) -> Locator:
    visitor.page.get_by_role("button", name="Host", exact=True).click()
    dialog = visitor.page.get_by_role("dialog", name="Host this room")
    expect(dialog).to_be_visible()
    return dialog


def invite(visitor: Visitor, alias: str, kind: str) -> Locator:
    open_host(visitor).get_by_role("button", name="Invite…").click()
    dialog = visitor.page.locator("#inviting")
    dialog.get_by_role("radio", name=kind).check()
    dialog.get_by_label("Alias").fill(alias)
    return dialog


def test_others_have_no_host_controls(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    room.invite("rev", "agent")
    expect(ada.roster_row("rev")).to_be_visible()
    expect(ada.page.get_by_role("button", name="Host", exact=True)).to_be_hidden()
    expect(ada.page.locator("#roster button, #roster summary")).to_have_count(0)


def test_an_agent_is_invited_and_its_command_prints_its_card(room: Room, host: Visitor) -> None:
    dialog = invite(host, "rev", "An agent")
    dialog.get_by_label("If nobody uses it").select_option("after an hour")
    dialog.get_by_label("works once").check()
    dialog.get_by_role("button", name="Invite", exact=True).click()
    expect(dialog.get_by_role("heading", name="rev is invited")).to_be_visible()
    command = dialog.locator("#invited-command pre").inner_text()
    card = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    expect(dialog.locator("#invited-card pre")).to_contain_text("# Attend Card: rev in demo")
    assert dialog.locator("#invited-card pre").inner_text().strip() == card.strip()
    expect(host.roster_row("rev")).to_contain_text("agent")
    # The card is all that the agent needs.
    blocks = re.findall(r"^```sh\n(.*?)^```$", card, re.M | re.S)
    subprocess.run(
        ["bash", "-euc", blocks[0] + blocks[1]], capture_output=True, check=True, timeout=20
    )
    dialog.get_by_role("button", name="Close this window").click()
    host.sees_message("rev joined")
    expect(host.roster_row("rev")).to_contain_text("attending")


def test_a_person_is_invited_by_link(room: Room, host: Visitor, visitors: Visitors) -> None:
    host.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dialog = invite(host, "ada", "A person")
    dialog.get_by_role("button", name="Invite", exact=True).click()
    expect(dialog.locator("#invited-card")).to_be_hidden()
    dialog.get_by_role("button", name="Copy the link").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    link = host.page.evaluate("navigator.clipboard.readText()")
    assert link == dialog.locator("#invited-link pre").inner_text()
    ada = visitors.open(link)
    ada.sees_screen("name")
    ada.page.get_by_role("button", name="Enter the room").click()
    ada.enters()


def test_a_wrong_alias_is_refused_in_the_form(room: Room, host: Visitor) -> None:
    host.guards.allow_console("400|409")
    room.invite("rev", "agent")
    dialog = invite(host, "rev", "An agent")
    submit = dialog.get_by_role("button", name="Invite", exact=True)
    submit.click()
    expect(dialog.get_by_role("alert")).to_contain_text("choose a new one")
    dialog.get_by_label("Alias").fill("everyone")
    submit.click()
    expect(dialog.get_by_role("alert")).to_contain_text("kept for the room")
    dialog.get_by_label("Alias").fill("Not An Alias")
    submit.click()
    assert dialog.get_by_label("Alias").evaluate("one => !one.validity.valid")
    assert len(room.status()["participants"]) == 2


def test_an_observer_is_invited(room: Room, host: Visitor) -> None:
    dialog = invite(host, "eve", "A person")
    dialog.get_by_label("Observer").check()
    dialog.get_by_role("button", name="Invite", exact=True).click()
    expect(host.roster_row("eve")).to_contain_text("observer")


def seat(visitor: Visitor, alias: str, action: str) -> None:
    row = visitor.roster_row(alias)
    row.locator("summary").click()
    row.get_by_role("button", name=action).click()


def test_a_seat_is_removed_after_a_question(room: Room, host: Visitor) -> None:
    room.invite("rev", "agent")
    expect(host.roster_row("rev")).to_be_visible()
    seat(host, "rev", "Remove…")
    dialog = host.page.get_by_role("dialog", name="Remove rev?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(host.roster_row("rev")).to_be_visible()
    host.roster_row("rev").get_by_role("button", name="Remove…").click()
    dialog.get_by_role("button", name="Remove").click()
    host.sees_message("rev removed")
    expect(host.roster_row("rev")).to_have_count(0)


def test_a_seat_gets_a_new_token(room: Room, host: Visitor, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    ada.guards.allow_console("403")
    expect(host.roster_row("ada")).to_be_visible()
    seat(host, "ada", "New token…")
    host.page.get_by_role("dialog").get_by_role("button", name="Make a new token").click()
    link = host.page.locator("#invited-link pre")
    expect(link).to_contain_text("#token=agp_")
    ada.sees_state("removed")
    ada.page.goto(link.inner_text())
    ada.enters()


def test_the_brief_is_edited_with_a_preview(room: Room, host: Visitor, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    open_host(host).get_by_role("button", name="Edit the brief…").click()
    field = host.page.get_by_role("textbox", name="Brief, in Markdown")
    expect(field).to_have_value("Goal: say **hello**.")
    field.fill("# Now\n\ndo *this*")
    preview = host.page.get_by_role("region", name="Preview of the brief")
    expect(preview.locator("em")).to_have_text("this")
    host.page.get_by_role("button", name="Update the brief").click()
    expect(host.page.locator("#briefing")).to_be_hidden()
    expect(ada.page.locator("#brief em")).to_have_text("this")
    expect(ada.page.locator("#brief-by")).to_contain_text("by Hanna")
    assert room.ask("GET", "/brief")["brief"]["body"] == "# Now\n\ndo *this*"


def test_the_policy_is_set_and_the_loop_guard_re_armed(room: Room, host: Visitor) -> None:
    dialog = open_host(host)
    dialog.get_by_label("Attendance").select_option("all-foreground")
    dialog.get_by_role("button", name="Set the policy").click()
    expect(dialog.locator("#policy-meaning")).to_contain_text("everybody, people too")
    assert room.status()["attendance_policy"] == "all-foreground"
    dialog.get_by_role("button", name="Re-arm the loop guard").click()
    expect(dialog.locator("#host-result")).to_contain_text("30 more messages")
    assert room.messages()[-1]["text"] == "loop guard re-armed"


def test_the_room_is_exported_as_markdown_and_json(room: Room, host: Visitor) -> None:
    room.post("host", "to be **kept**")
    dialog = open_host(host)
    with host.page.expect_download() as markdown:
        dialog.get_by_role("button", name="Markdown").click()
    assert markdown.value.suggested_filename == "demo.md"
    text = markdown.value.path().read_text()
    assert text.startswith("# Room demo\n")
    assert ">     to be **kept**" in text
    with host.page.expect_download() as document:
        dialog.get_by_role("button", name="JSON").click()
    assert document.value.suggested_filename == "demo.json"
    exported = json.loads(document.value.path().read_text())
    assert [one["text"] for one in exported["messages"]][-1] == "to be **kept**"
    assert "token" not in markdown.value.path().read_text()


def test_the_room_is_closed_after_a_question(room: Room, host: Visitor) -> None:
    open_host(host).get_by_role("button", name="Close the room…").click()
    question = host.page.get_by_role("dialog", name="Close the room?")
    question.get_by_role("button", name="Cancel").click()
    assert room.status()["room_status"] == "open"
    host.page.locator("#close-room").click()
    question.get_by_role("button", name="Close the room").click()
    host.sees_state("closed")
    assert room.status()["room_status"] == "closed"
    dialog = open_host(host)
    expect(dialog.get_by_role("button", name="Close the room…")).to_be_disabled()
    expect(dialog.get_by_role("button", name="Markdown")).to_be_enabled()


def test_the_overview_shows_who_wrote_when_and_who_attended(room: Room, host: Visitor) -> None:
    room.invite("rev", "agent")
    for number in range(3):
        room.post("rev", f"message {number}")
    host.says("mine")
    host.sees_message("mine")
    host.page.get_by_role("button", name="Overview").click()
    dialog = host.page.get_by_role("dialog", name="Overview")
    picture = dialog.get_by_role("img")
    expect(picture).to_have_attribute("aria-label", re.compile(r"^4 messages by 2 "))
    assert dialog.locator("svg .bar").count() >= 2
    assert dialog.locator("svg .span").count() >= 1
    dialog.get_by_text("The same as a table").click()
    rows = dialog.get_by_role("row")
    expect(rows.nth(1)).to_contain_text("rev")
    expect(rows.nth(1).get_by_role("cell").first).to_have_text("3")
    expect(rows.nth(2)).to_contain_text("Hanna")


def test_what_is_opened_while_the_room_is_away_says_so(room: Room, host: Visitor) -> None:
    host.guards.allow_console("ERR_|Failed to fetch")
    room.stop()
    host.page.get_by_role("button", name="Overview").click()
    told = host.page.get_by_role("dialog", name="That did not open")
    expect(told).to_contain_text("Try again")
    told.get_by_role("button", name="OK").click()
    room.start()
    host.sees_state("live")
    host.page.get_by_role("button", name="Overview").click()
    expect(host.page.get_by_role("dialog", name="Overview")).to_be_visible()
