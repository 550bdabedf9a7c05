"""For everybody: with a screen reader, a keyboard alone, a phone, large type, little motion."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.visitor import Scheme, Visitor, Visitors

RICH: Final = """## What I found

The **first** run failed, the _second_ did not; see <https://example.org/log> and `make test`.

- [x] read the log
- [ ] mend `parse_line`, ~~or not~~
- a point
  1. with another under it

| step | took | result |
|:-----|-----:|:------:|
| build | 1.2 s | good |
| test | 47.9 s | **bad** |

```python
@cache
def parse_line(text: str) -> list[str]:
    '''One line.'''  # a comment
    return [word for word in text.split(",") if len(word) > 0x1F]  # rather a long line, to scroll
```

> quoted, with a word for @ada

```diff
- return None
+ return []
```
"""
LOOKS: Final[tuple[tuple[int, Scheme], ...]] = (
    (1280, "light"),
    (1280, "dark"),
    (390, "light"),
    (390, "dark"),
)
looks = pytest.mark.parametrize(
    ("width", "scheme"), LOOKS, ids=[f"{width} {scheme}" for width, scheme in LOOKS]
)

# Where Tab has got to: its name, whether its focus is to be seen, and where it is.
FOCUSED: Final = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const box = one.getBoundingClientRect();
  const name = one.id || one.getAttribute("aria-label") || one.textContent.trim().slice(0, 40);
  const inSight = box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth
    && box.bottom > 0 && box.top < innerHeight;
  return { name, tag: one.tagName, outlined, inSight, dialog: one.closest("dialog")?.id ?? null };
}"""
# What sticks out at the right, of all that is to be seen.
SPILLED: Final = """() => {
  const faults = [];
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) faults.push(`the page is ${wide} px too wide`);
  const parts = "button, input, select, textarea, summary, a, p, h2";
  for (const one of document.querySelectorAll(parts)) {
    const box = one.getBoundingClientRect();
    // What scrolls sideways in a box of its own may, and what is cut short with an ellipsis.
    if (!box.width || one.closest(".table, pre, .answers")) continue;
    if (one.closest(".folded") || one.matches(".unseen, .skip")) continue;
    if (box.right > innerWidth + 1 || box.left < -1) {
      const name = one.id || one.textContent.slice(0, 30);
      faults.push(`${one.tagName} ${name}: ${box.left} to ${box.right}`);
    }
  }
  return faults;
}"""


def furnish(room: Room) -> None:
    """Fill the room with all kinds of content."""
    room.ask("POST", "/profile", "host", {"display_name": "Hanna"})
    room.invite("rev", "agent")
    room.invite("builder", "agent")
    room.invite("ada", name="Ada Lovelace")
    room.invite("eve", name="Eve", role="observer")
    room.ask("POST", "/join", "rev")
    room.set_brief(
        "# Goal\n\nMend the **parser**. Say `done` when it is.\n\n- ask @host\n- [ ] test"
    )
    asked = room.post("host", "@rev which test fails?", type="question")
    found = room.post("rev", RICH, reply_to=asked, type="reply")
    room.post("builder", "I have it: \u202ehidden\u202c.", type="status")
    room.post("ada", "@builder please look", type="request_review", reply_to=found)
    room.post("host", "\n\n".join(f"line {n} of a long one" for n in range(60)))
    room.post("builder", "@host it is yours now", type="handoff")


@pytest.fixture
def furnished(open_room: OpenRoom) -> Room:
    room = open_room()
    furnish(room)
    return room


def has_no_barriers(visitor: Visitor, where: str) -> None:
    assert [str(one) for one in visitor.barriers()] == [], where


def tabs(page: Page, most: int = 60) -> Iterator[dict[str, Any]]:
    """Press Tab until the focus is back where it was first, or out of the page."""
    first = None
    for _ in range(most):
        page.keyboard.press("Tab")
        at: dict[str, Any] = page.evaluate(FOCUSED)
        if at["tag"] == "BODY" or (first is not None and at["name"] == first):
            return
        first = first or at["name"]
        yield at
    raise AssertionError(f"Tab does not come back after {most} times")


# --- axe, and pictures ----------------------------------------------------------------------


@looks
def test_the_screens_before_and_after_the_room(
    width: int, scheme: Scheme, room: Room, visitors: Visitors
) -> None:
    look = {"width": width, "scheme": scheme}
    nobody = visitors.open(room.url, **look)
    nobody.sees_screen("invite")
    nobody.page.locator("#invite-link").fill("nothing")
    nobody.page.get_by_role("button", name="Enter").click()
    expect(nobody.page.locator("#invite-error")).to_be_visible()
    has_no_barriers(nobody, "invite")
    nobody.screenshot("invite")
    new = visitors.open(room.invite("bob").link, **look)
    new.sees_screen("name")
    has_no_barriers(new, "name")
    new.screenshot("name")
    new.page.get_by_role("button", name="Enter the room").click()
    new.enters()
    has_no_barriers(new, "a new room")
    new.page.locator("#leave").click()
    has_no_barriers(new, "question")
    new.screenshot("question")
    new.page.locator("#confirm-yes").click()
    new.sees_screen("ended")
    has_no_barriers(new, "ended")


@looks
def test_the_room_and_its_dialogs(
    width: int, scheme: Scheme, furnished: Room, visitors: Visitors
) -> None:
    room = furnished
    host = visitors.open(room.host.link, width=width, scheme=scheme).enters()
    page = host.page
    room.post("rev", "@host **come** and see")
    host.sees_message("come and see")
    page.evaluate("window.dispatchEvent(new Event('blur')); document.hasFocus = () => false")
    room.post("builder", "unread")
    host.sees_message("unread")
    expect(page.locator(".unread")).to_be_visible()
    host.guards.allow_console("429")
    refused = {"ok": False, "error": "rate_limited", "message": "Too many messages."}
    page.route("**/messages", lambda route: route.fulfill(status=429, json=refused), times=1)
    host.says("this is not sent")
    expect(page.locator("#outbox .error")).to_be_visible()
    has_no_barriers(host, "room")
    host.screenshot("room-end")
    page.locator("#outbox").get_by_role("button", name="Discard").click()
    host.message("47.9 s").scroll_into_view_if_needed()
    host.message("47.9 s").locator("article").focus()
    host.message("47.9 s").get_by_role("button", name="Reply to").click()
    host.screenshot("room")
    page.locator("#answering-end").click()
    if width < 900:
        page.locator("#side-toggle").click()
        has_no_barriers(host, "people")
        host.screenshot("people")
        page.locator("#side-toggle").click()
    page.locator("#text").press_sequentially("thanks, @")
    expect(page.locator("#completion")).to_be_visible()
    has_no_barriers(host, "completion")
    host.screenshot("completion")
    page.keyboard.press("Escape")
    page.locator("#text").fill(RICH)
    page.locator("#preview-toggle").click()
    expect(page.locator("#preview table")).to_be_visible()
    has_no_barriers(host, "preview")
    page.locator("#preview-toggle").click()
    page.locator("#text").fill("")
    page.locator("#host-open").click()
    expect(page.locator("#policy-meaning")).not_to_be_empty()
    has_no_barriers(host, "host")
    host.screenshot("host")
    page.locator("#brief-edit").click()
    expect(page.locator("#briefing-preview strong")).to_be_visible()
    has_no_barriers(host, "briefing")
    host.screenshot("briefing")
    page.keyboard.press("Escape")
    page.locator("#host-open").click()
    page.locator("#invite-open").click()
    has_no_barriers(host, "inviting")
    host.screenshot("inviting")
    page.locator("#inviting-alias").fill("tester")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.locator("#invited-card pre")).to_contain_text("Attend Card")
    has_no_barriers(host, "invited")
    host.screenshot("invited")
    page.keyboard.press("Escape")
    page.locator("#overview-open").click()
    page.locator("#overview summary").click()
    has_no_barriers(host, "overview")
    host.screenshot("overview")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_seat_that_has_ended_and_a_room_that_is_closed(
    scheme: Scheme, furnished: Room, visitors: Visitors
) -> None:
    ada = visitors.open(furnished.seats["ada"].link, scheme=scheme).enters()
    eve = visitors.open(furnished.seats["eve"].link, scheme=scheme).enters()
    ada.guards.allow_console("403")
    furnished.remove("ada")
    ada.sees_state("removed")
    has_no_barriers(ada, "removed")
    ada.screenshot("removed")
    furnished.close()
    eve.sees_state("closed")
    has_no_barriers(eve, "closed")
    eve.screenshot("closed")


# --- A keyboard alone -------------------------------------------------------------------------


def press(page: Page, name: str) -> None:
    """Go to something by Tab, and press it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED)["name"] == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_one_enters_and_writes_with_a_keyboard_alone(room: Room, visitors: Visitors) -> None:
    link = room.invite("ada").link
    ada = visitors.open(room.url)
    ada.sees_screen("invite")
    expect(ada.page.locator("#invite-link")).to_be_focused()
    ada.page.keyboard.insert_text(link)
    ada.page.keyboard.press("Enter")
    ada.sees_screen("name")
    expect(ada.page.locator("#naming-name")).to_be_focused()
    ada.page.keyboard.type("Ada")
    ada.page.keyboard.press("Enter")
    ada.enters()
    expect(ada.page.locator("#text")).to_be_focused()
    ada.page.keyboard.type("hello")
    ada.page.keyboard.press("Enter")
    ada.sees_message("hello")
    expect(ada.page.locator("#text")).to_be_focused()
    # A question is answered with No, and the focus is where it was.
    press(ada.page, "leave")
    expect(ada.page.locator("#confirm")).to_be_visible()
    ada.page.keyboard.press("Escape")
    expect(ada.page.locator("#confirm")).to_be_hidden()
    expect(ada.page.locator("#leave")).to_be_focused()


def test_an_agent_is_invited_with_a_keyboard_alone(room: Room, visitors: Visitors) -> None:
    room.ask("POST", "/profile", "host", {"display_name": "Hanna"})
    page = visitors.open(room.host.link).enters().page
    press(page, "host-open")
    expect(page.locator("#host")).to_be_visible()
    press(page, "invite-open")
    expect(page.locator("#inviting-alias")).to_be_focused()
    page.keyboard.type("rev")
    page.keyboard.press("Enter")
    expect(page.locator("#invited-card pre")).to_contain_text("Attend Card")
    # Whoever cannot see it is told, and Tab stays in the dialog and gets to every part of it.
    reached = list(tabs(page))
    assert {at["dialog"] for at in reached} <= {"inviting", None}
    assert "Copy the command" in {at["name"] for at in reached}
    page.keyboard.press("Escape")
    expect(page.locator("#inviting")).to_be_hidden()
    expect(page.locator("#host-open")).to_be_focused()


@pytest.mark.parametrize("opener", ["host-open", "overview-open", "leave"])
def test_the_focus_returns_to_what_opened_a_dialog(
    opener: str, furnished: Room, visitors: Visitors
) -> None:
    page = visitors.open(furnished.host.link).enters().page
    page.locator(f"#{opener}").focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(1)
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(f"#{opener}")).to_be_focused()


@pytest.mark.parametrize("width", [390, 1280])
def test_tab_follows_the_order_of_reading_and_shows_where_it_is(
    width: int, furnished: Room, visitors: Visitors
) -> None:
    page = visitors.open(furnished.host.link, width=width).enters().page
    page.evaluate(
        "document.activeElement.blur(); document.body.tabIndex = -1; document.body.focus()"
    )
    reached = list(tabs(page, most=120))
    assert [at["name"] for at in reached if not at["outlined"]] == []
    assert [at["name"] for at in reached if not at["inSight"]] == []
    names = [at["name"] for at in reached]
    order = ["Skip to writing", "overview-open", "host-open", "leave", "scroller", "text"]
    order += ["type", "preview-toggle", "send"]
    assert [name for name in names if name in order] == order
    # As in the document, so that nothing jumps about.
    places = page.evaluate(
        "names => names.map((id) => document.getElementById(id)).filter(Boolean)"
        ".map((one, at, all) => !at || Boolean(all[at - 1].compareDocumentPosition(one) & 4))",
        [name for name in names if " " not in name],
    )
    assert all(places)
    page.evaluate("document.body.focus()")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_focused()


def test_messages_are_walked_with_arrows(furnished: Room, visitors: Visitors) -> None:
    ada = visitors.open(furnished.seats["ada"].link).enters()
    page = ada.page
    articles = page.locator("#timeline article")
    articles.last.focus()
    page.keyboard.press("ArrowUp")
    expect(articles.nth(-2)).to_be_focused()
    assert page.evaluate(FOCUSED)["outlined"]
    page.keyboard.press("r")
    expect(page.locator("#answering")).to_be_visible()
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#answering")).to_be_hidden()


# --- What is read out ------------------------------------------------------------------------


def test_new_messages_are_announced_once_and_history_is_not(
    open_room: OpenRoom, visitors: Visitors
) -> None:
    room = open_room(messages=300)
    ada = visitors.open(room.invite("ada", name="Ada").link)
    ada.context.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          window.read = [];
          for (const one of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) {
            new MutationObserver(() => window.read.push(one.textContent))
              .observe(one, { childList: true, characterData: true, subtree: true });
          }
        });"""
    )
    ada.page.reload()
    ada.enters()
    # Its own "ada joined" may be read out; nothing of what was said before is.
    ada.page.wait_for_timeout(1_500)
    ada.page.evaluate("window.read.length = 0")
    first = ada.page.locator("#timeline li.message").first.get_attribute("data-id")
    ada.page.locator("#scroller").evaluate("one => one.scrollTo(0, 0)")
    expect(ada.page.locator("#timeline li.message").first).not_to_have_attribute(
        "data-id", str(first)
    )
    ada.page.wait_for_timeout(1_500)
    read = ada.page.evaluate("window.read")
    assert all(text in ("", "Loading earlier messages…") for text in read), read
    ada.page.locator("#scroller").evaluate("one => one.scrollTo(0, one.scrollHeight)")
    ada.page.evaluate("window.read.length = 0")
    room.post("host", "hear this")
    expect(ada.page.locator("#announcer")).to_have_text("host: hear this")
    ada.page.wait_for_timeout(1_500)
    assert sum("hear this" in text for text in ada.page.evaluate("window.read")) == 1
    # The list itself is no live region, which would read all of it.
    assert ada.page.locator("#timeline, #scroller").evaluate_all(
        "all => all.every((one) => !one.closest('[aria-live], [role=log], [role=status]'))"
    )


# --- Eyes and screens -----------------------------------------------------------------------


def test_who_wants_little_motion_gets_none(furnished: Room, visitors: Visitors) -> None:
    ada = visitors.open(furnished.seats["ada"].link, reduced_motion=True).enters()
    ada.message("please look").locator(".answers a").click()
    ada.page.wait_for_timeout(100)
    assert ada.page.evaluate("document.getAnimations().length") == 0
    ada.guards.allow_console("ERR_|Failed to fetch")
    furnished.stop()
    ada.sees_state("reconnecting", "away")
    ada.page.wait_for_timeout(100)
    running = "document.getAnimations().filter((one) => one.playState === 'running').length"
    assert ada.page.evaluate(running) == 0
    furnished.start()
    ada.sees_state("live")


Size = tuple[int, int]


@pytest.mark.parametrize(
    "size", [(360, 640), (640, 400), (320, 480)], ids=["phone", "zoom 200 %", "zoom 400 %"]
)
def test_everything_is_within_reach_on_a_small_screen(
    size: Size, furnished: Room, visitors: Visitors
) -> None:
    width, height = size
    furnished.invite("a" + "-very" * 11 + "-long", "agent")
    host = visitors.open(furnished.host.link, width=width, height=height).enters()
    page = host.page
    assert page.evaluate(SPILLED) == []
    host.message("47.9 s").locator("article").focus()
    host.message("47.9 s").get_by_role("button", name="Reply to").click()
    assert page.evaluate(SPILLED) == []
    page.locator("#answering-end").click()
    toggle = page.locator("#side-toggle")
    expect(page.locator("#roster")).to_be_hidden()
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    expect(host.roster_row("rev")).to_be_visible()
    assert page.evaluate(SPILLED) == []
    # What one writes in is still there, and messages can be read.
    expect(page.locator("#text")).to_be_in_viewport()
    host.roster_row("rev").locator("summary").scroll_into_view_if_needed()
    host.roster_row("rev").locator("summary").click()
    expect(host.roster_row("rev").get_by_role("button", name="Remove…")).to_be_in_viewport()
    toggle.click()
    expect(page.locator("#roster")).to_be_hidden()
    for control in ("text", "send", "type", "preview-toggle", "host-open", "leave"):
        expect(page.locator(f"#{control}")).to_be_in_viewport(ratio=0.9)
    scroller = page.locator("#scroller").bounding_box()
    assert scroller
    assert scroller["height"] > height / 5
    for opener, dialog in (("host-open", "host"), ("overview-open", "overview")):
        page.locator(f"#{opener}").click()
        expect(page.locator(f"#{dialog}")).to_be_in_viewport(ratio=0.9)
        assert page.evaluate(SPILLED) == []
        last = page.locator(f"#{dialog} button:visible").last
        last.scroll_into_view_if_needed()
        expect(last).to_be_in_viewport()
        page.keyboard.press("Escape")
    host.says("from a small screen")
    host.sees_message("from a small screen")


def test_every_control_has_a_name(furnished: Room, visitors: Visitors) -> None:
    host = visitors.open(furnished.host.link).enters()
    host.page.locator("#host-open").click()
    nameless = host.page.locator("button, summary, a[href], select, input, textarea").evaluate_all(
        """all => all.filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label")
          || one.labels?.length)).map((one) => one.outerHTML)"""
    )
    # The button of a question gets its word with the question.
    assert [one for one in nameless if "confirm-yes" not in one and "hidden" not in one] == []
