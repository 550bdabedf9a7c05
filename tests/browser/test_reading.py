"""What the room shows: who says what to whom, and what it means to me."""

import re

from playwright.sync_api import expect

from tests.browser.room import Room
from tests.browser.visitor import Visitors


def test_two_people_and_an_agent_talk(room: Room, visitors: Visitors) -> None:
    rev = room.invite("rev", "agent")
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    bob = visitors.open(room.invite("bob", name="Bob").link).enters()
    room.ask("POST", "/join", "rev")
    ada.says("@rev @bob hello")
    bob.sees_message("hello")
    assert room.messages()[-1]["mentions"] == ["rev", "bob"]
    answered = room.post("rev", "hello, **Ada**", reply_to=room.messages()[-1]["id"])
    for visitor in (ada, bob):
        said = visitor.sees_message(answered)
        expect(said.locator("strong", has_text="Ada")).to_be_visible()
        expect(said.locator(".kind")).to_have_text("agent")
    bob.says("welcome")
    ada.sees_message("welcome")
    assert rev.token not in ada.page.content()


def test_authors_have_a_name_and_a_kind(room: Room, visitors: Visitors) -> None:
    room.invite("rev", "agent")
    ada = visitors.open(room.invite("ada", name="Ada L.").link).enters()
    by_rev, by_host = room.post("rev", "from rev"), room.post("host", "from the host")
    ada.says("from me")
    assert [
        (
            ada.sees_message(which).locator(".author").inner_text(),
            ada.message(which).locator(".kind").inner_text(),
        )
        for which in (by_rev, by_host, "from me")
    ] == [("rev", "agent"), ("host", "host"), ("Ada L.", "person")]
    system = ada.sees_message("ada joined")
    expect(system).to_have_class(re.compile("system"))
    # A text that looks like the room's own line is still somebody's.
    forged = room.post("rev", "host removed")
    expect(ada.sees_message(forged)).not_to_have_class(re.compile("system"))


def test_a_new_name_is_shown_on_what_was_said_before(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    room.invite("bob", name="Bob")
    said = ada.sees_message(room.post("bob", "hello"))
    expect(said.locator(".author")).to_have_text("Bob")
    room.ask("POST", "/profile", "bob", {"display_name": "Robert"})
    expect(said.locator(".author")).to_have_text("Robert")
    expect(ada.roster_row("bob")).to_contain_text("Robert")


def test_mentions_of_me_are_marked(room: Room, visitors: Visitors) -> None:
    room.invite("rev", "agent")
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    mine = ada.sees_message(room.post("rev", "@ada please look, and @host too"))
    expect(mine).to_have_class(re.compile("mentions-me"))
    expect(mine.locator(".to-me")).to_have_text("mentions you")
    expect(mine.locator(".mention.me")).to_have_text("@ada")
    expect(mine.locator(".mention:not(.me)")).to_have_text("@host")
    other = ada.sees_message(room.post("rev", "`@ada` in code is nobody"))
    expect(other).not_to_have_class(re.compile("mentions-me"))
    expect(other.locator(".mention")).to_have_count(0)


def test_replies_and_what_they_answer_lead_to_each_other(room: Room, visitors: Visitors) -> None:
    room.invite("rev", "agent")
    asked = room.post("host", "which **branch**?", type="question")
    answers = [room.post("rev", f"answer {n}", reply_to=asked) for n in range(2)]
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    quote = ada.sees_message(answers[0]).locator(".answers a")
    expect(quote).to_have_text(f"in reply to #{asked} host: which **branch**?")
    expect(ada.message(asked).locator(".replies a")).to_have_text(
        [f"#{answers[0]} rev", f"#{answers[1]} rev"]
    )
    # One that comes later is added.
    later = room.post("rev", "answer 2", reply_to=asked)
    expect(ada.message(asked).locator(".replies a")).to_have_count(3)
    quote.click()
    expect(ada.message(asked).locator("article")).to_be_focused()
    ada.message(asked).locator(".replies a").last.click()
    expect(ada.message(later).locator("article")).to_be_focused()
    assert ada.page.url == f"{room.url}/"


def test_the_kinds_of_message_are_to_be_seen(room: Room, visitors: Visitors) -> None:
    room.invite("rev", "agent")
    kinds = ("question", "reply", "status", "request_review", "request_debug", "handoff")
    posted = {kind: room.post("rev", f"a {kind}", type=kind) for kind in kinds}
    plain = room.post("rev", "a message")
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    shown = {kind: ada.sees_message(posted[kind]).locator(".type").inner_text() for kind in kinds}
    assert shown["request_review"] == "review request"
    assert len(set(shown.values())) == len(kinds)
    expect(ada.message(plain).locator(".type")).to_have_count(0)


def test_times_are_relative_and_exact_on_hover(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    time = ada.sees_message(room.post("host", "now")).locator("time")
    expect(time).to_have_text("just now")
    assert re.search(r"\d\d?:\d\d:\d\d", time.get_attribute("title") or "")
    assert time.get_attribute("datetime") == room.messages()[-1]["ts"]
    expect(ada.page.locator(".new-day")).to_have_count(1)


def test_days_are_parted(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    room.post("host", "today")
    ada.sees_message("today")
    ada.page.close()
    room.stop()
    log = room.home / "rooms" / "demo" / "messages.jsonl"
    lines = log.read_text().splitlines()
    lines[0] = re.sub(r'"ts":"[^"]*"', '"ts":"2026-01-01T10:00:00.000Z"', lines[0])
    log.write_text("\n".join(lines) + "\n")
    room.start()
    ada = visitors.open(room.seats["ada"].link).enters()
    expect(ada.page.locator(".new-day")).to_have_count(2)


def test_long_messages_are_folded_and_unfold(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    long = ada.sees_message(room.post("host", "\n\n".join(f"line {n}" for n in range(80))))
    button = long.get_by_role("button", name="Show all")
    expect(button).to_have_attribute("aria-expanded", "false")
    folded = long.bounding_box()
    button.click()
    unfolded = long.bounding_box()
    assert folded
    assert unfolded
    assert unfolded["height"] > 3 * folded["height"]
    long.get_by_role("button", name="Show less").click()
    again = long.bounding_box()
    assert again
    assert again["height"] == folded["height"]
    short = ada.sees_message(room.post("host", "short"))
    expect(short.locator(".unfold")).to_have_count(0)


def test_markdown_is_shown_and_code_is_coloured_and_copied(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link)
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada.enters()
    code = "def f(x):\n    return x  # <b>\n"
    text = f"# Title\n\n- [x] done\n- [ ] open\n\n```python\n{code}```\n\n> quoted\n\n1. one"
    shown = ada.sees_message(room.post("host", text)).locator(".text")
    expect(shown.locator("h3")).to_have_text("Title")
    expect(shown.get_by_role("img", name="done")).to_be_visible()
    expect(shown.get_by_role("img", name="to do")).to_be_visible()
    expect(shown.locator("blockquote")).to_contain_text("quoted")
    keyword, plain = (
        shown.locator(part).first.evaluate("one => getComputedStyle(one).color")
        for part in ("pre .k", "pre code")
    )
    assert keyword != plain
    shown.get_by_role("button", name="Copy the code").click()
    expect(shown.get_by_role("button", name="Copy the code")).to_have_text("Copied")
    assert ada.page.evaluate("navigator.clipboard.readText()") == code


def test_links_lead_out_without_a_way_back(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    text = "see https://example.org/a and [mail](mailto:a@example.org) ![cat](https://example.org/c.png)"
    links = ada.sees_message(room.post("host", text)).locator(".text a")
    assert links.evaluate_all("all => all.map((one) => [one.href, one.rel, one.target])") == [
        [url, "noopener noreferrer", "_blank"]
        for url in ("https://example.org/a", "mailto:a@example.org", "https://example.org/c.png")
    ]
    expect(ada.page.locator("#timeline img:not([aria-label])")).to_have_count(0)


def test_a_new_brief_is_announced_and_shown(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    brief = ada.page.locator("#brief")
    expect(brief.locator("strong", has_text="hello")).to_be_visible()
    expect(brief).to_contain_text("v1")
    expect(brief).to_contain_text("by host")
    room.set_brief("Goal: say **goodbye**.")
    expect(brief.locator("strong", has_text="goodbye")).to_be_visible()
    expect(brief).to_contain_text("v2")
    expect(brief.locator("#brief-changed")).to_be_visible()
    expect(ada.page.locator("#announcer")).to_contain_text("brief has changed")
    brief.locator("summary").click()
    expect(brief.locator("#brief-text")).to_be_hidden()
    brief.locator("summary").click()
    expect(brief.locator("#brief-changed")).to_be_hidden()


def test_the_roster_shows_who_attends_and_who_is_asked_to(room: Room, visitors: Visitors) -> None:
    room.invite("rev", "agent")
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    expect(ada.roster_row("ada")).to_have_attribute("data-state", "attending")
    expect(ada.roster_row("rev")).to_contain_text("never seen")
    expect(ada.roster_row("rev")).to_contain_text("agent")
    room.set_attendance("agents-foreground")
    expect(ada.roster_row("rev")).to_contain_text("not attending")
    expect(ada.roster_row("rev")).to_contain_text("asked to stay")
    expect(ada.roster_row("ada")).not_to_contain_text("asked to stay")
    expect(ada.page.locator("#policy")).to_have_text("Agents are asked to stay.")
    room.ask("POST", "/join", "rev")
    expect(ada.roster_row("rev")).to_have_attribute("data-state", "attending")
    room.ask("POST", "/leave", "rev")
    expect(ada.roster_row("rev")).to_have_attribute("data-state", re.compile("away|not_attending"))
    room.remove("rev")
    expect(ada.roster_row("rev")).to_have_count(0)


def test_who_looks_elsewhere_sees_a_count_and_then_a_divider(
    room: Room, visitors: Visitors
) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    room.post("host", "seen")
    ada.sees_message("seen")
    # Headless pages take themselves for visible, whatever is in front of them.
    ada.page.evaluate(
        """() => {
          Object.defineProperty(document, "visibilityState", {value: "hidden", configurable: true});
          Object.defineProperty(document, "hidden", {value: true, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    first = room.post("host", "unseen 1")
    room.post("host", "unseen 2")
    ada.waits_for("() => document.title.startsWith('(2) demo')")
    expect(ada.message(first).locator(".unread")).to_have_count(1)
    expect(ada.page.locator(".unread")).to_have_count(1)
    ada.page.evaluate(
        """() => {
          delete document.visibilityState; delete document.hidden;
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    ada.waits_for("() => document.title.startsWith('demo')")
    expect(ada.page.locator(".unread")).to_have_count(1)
    ada.says("back again")
    expect(ada.page.locator(".unread")).to_have_count(0)


def test_who_comes_back_later_finds_where_they_were(room: Room, visitors: Visitors) -> None:
    link = room.invite("ada", name="Ada").link
    ada = visitors.open(link).enters()
    ada.sees_message(room.post("host", "read"))
    ada.page.goto("about:blank")
    first = room.post("host", "missed 1")
    room.post("host", "missed 2")
    tab = ada.new_tab(link)
    expect(tab.locator(".unread")).to_have_count(1)
    expect(tab.locator(f'li[data-id="{first}"] .unread')).to_have_count(1)


def test_new_messages_are_read_out_once(room: Room, visitors: Visitors) -> None:
    ada = visitors.open(room.invite("ada", name="Ada").link).enters()
    announcer = ada.page.locator("#announcer")
    assert announcer.get_attribute("aria-live") == "polite"
    room.post("host", "hear *this*")
    expect(announcer).to_have_text("host: hear *this*")
    ada.says("my own")
    ada.sees_message("my own")
    expect(announcer).not_to_contain_text("my own")


def test_a_mention_is_a_desktop_notification_for_who_asked(room: Room, visitors: Visitors) -> None:
    link = room.invite("ada", name="Ada").link
    ada = visitors.open(room.url)
    ada.context.grant_permissions(["notifications"], origin=room.url)
    ada.context.add_init_script(
        """window.notified = [];
        const RealNotification = window.Notification;
        window.Notification = class { constructor(title, options) {
          window.notified.push([title, options.body]); } close() {} };
        Object.defineProperty(window.Notification, "permission", {get: () => "granted"});
        window.Notification.requestPermission = async () => "granted";"""
    )
    ada.page.goto("about:blank")
    ada.page.goto(link)
    ada.enters()
    room.post("host", "@ada before")
    ada.sees_message("before")
    toggle = ada.page.get_by_role("button", name="Notify me")
    toggle.click()
    expect(ada.page.locator("#notify-toggle")).to_have_attribute("aria-pressed", "true")
    ada.page.evaluate("document.hasFocus = () => false")
    room.post("host", "not for anybody")
    room.post("host", "@ada after")
    ada.sees_message("after")
    ada.waits_for("() => window.notified.length > 0")
    assert ada.page.evaluate("window.notified") == [["host in demo", "@ada after"]]
