"""Messages, the brief and previews as HTML."""

import json
from functools import partial

import pytest
import trio
import trio.testing

from agentgather.server import rendering
from agentgather.server.rendering import Rendering
from agentgather.storage.home import Home
from agentgather.wire.limits import (
    MAX_PAGE_BYTES,
    MAX_RENDERED_PAGE_MESSAGES,
    MAX_TEXT_UNITS,
    PREVIEWS_PER_WINDOW,
    WRITES_PER_WINDOW,
)
from tests.doubles.asgi_client import AsgiClient, Reply
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.gated_renderer import GatedRenderer
from tests.doubles.table import Table, open_table

pytestmark = VIRTUAL_TIME

MENTION = '<span class="mention" data-alias="ada">@ada</span>'


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> GatedRenderer:
    """The renderer of every room, behind a gate that is shut."""
    gated = GatedRenderer(is_open=False)
    monkeypatch.setattr(rendering, "_render", gated)
    return gated


def record(number: int, text: str = "x") -> tuple[int, bytes]:
    return number, (
        f'{{"id":{number},"room":"demo","ts":"","from":"ada","type":"message","text":"{text}",'
        '"mentions":[]}'
    ).encode()


async def test_a_rendered_message_is_the_message_with_a_last_key(table: Table) -> None:
    await table.rev.say("**hi** @ada", client_msg_id="a")
    plain = (await table.ada.get("/messages")).body
    html = (await table.ada.get("/messages?render=html")).body
    value = json.dumps(f"<p><strong>hi</strong> {MENTION}</p>").encode()
    assert html == plain.replace(b'"client_msg_id":"a"}', b'"client_msg_id":"a","html":%b}' % value)


async def test_nothing_else_changes_by_it(table: Table) -> None:
    await table.rev.say("**hi**")
    before = await table.ada.get("/messages")
    await table.ada.get("/messages?render=html")
    after = await table.ada.get("/messages")
    assert before == after
    assert b"html" not in after.body
    assert b"html" not in (await table.ada.get("/brief")).body
    assert b"html" not in (await table.ada.get("/wait?since_id=0")).body


@pytest.mark.parametrize("target", ["/messages", "/events", "/brief"])
@pytest.mark.parametrize("render", ["", "HTML", "markdown", "1"])
async def test_render_can_only_be_html(table: Table, target: str, render: str) -> None:
    reply = await table.ada.get(f"{target}?render={render}")
    assert reply.outcome == (400, "invalid_render")


async def test_pages_of_both_directions_meet_every_message(table: Table) -> None:
    said = [(await table.ada.say(f"*{number}* {'x ' * 9000}"))["id"] for number in range(20)]
    since_id, forward = 0, []
    while True:
        page = (await table.rev.get(f"/messages?render=html&since_id={since_id}")).json()
        forward += [one["id"] for one in page["messages"]]
        assert all(one["html"].startswith("<p><em>") for one in page["messages"])
        assert page["next_since_id"] == forward[-1]
        since_id = page["next_since_id"]
        if not page["has_more"]:
            break
    assert forward == said
    before_id, backward = 99, []
    while True:
        page = (await table.rev.get(f"/messages?render=html&before_id={before_id}")).json()
        backward = [one["id"] for one in page["messages"]] + backward
        before_id = backward[0]
        if not page["has_more_before"]:
            break
    assert backward == said
    one = (await table.rev.get("/messages?render=html&before_id=99&limit=1")).json()
    assert [m["id"] for m in one["messages"]] == said[-1:]
    assert one["has_more_before"] is True


async def test_the_end_of_the_log_is_an_empty_page(table: Table) -> None:
    await table.ada.say("a")
    for since_id in (1, 99):
        page = (await table.rev.get(f"/messages?render=html&since_id={since_id}")).json()
        assert page == {"ok": True, "messages": [], "next_since_id": 1, "has_more": False}
    page = (await table.rev.get("/messages?render=html&before_id=1")).json()
    assert page == {"ok": True, "messages": [], "has_more_before": False}


async def test_a_page_has_at_most_100_messages() -> None:
    rendering = Rendering()
    records = [record(number) for number in range(1, 500)]
    page = await rendering.render_records("ada", records[:MAX_RENDERED_PAGE_MESSAGES])
    assert [cursor for cursor, _ in page] == list(range(1, MAX_RENDERED_PAGE_MESSAGES + 1))


async def test_a_page_is_bounded_in_bytes_and_holds_one_message_at_least() -> None:
    rendering = Rendering()
    long = "`a` " * 6000
    for records in ([record(1, long)], [record(n, long) for n in range(1, 9)]):
        for _ in ("cold", "warm"):
            page = await rendering.render_records("ada", records)
            assert page
            assert len(page) == 1 or sum(len(one) for _, one in page) <= MAX_PAGE_BYTES


async def test_records_that_share_a_cursor_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentgather.server.rendering.RENDER_SECONDS", -1.0)
    entries = [(7, record(7, f"{n}")[1]) for n in range(5)] + [(8, record(8, "z")[1])]
    page = await Rendering().render_records("ada", [(3, record(3)[1]), *entries])
    assert [cursor for cursor, _ in page] == [3]
    kept = Rendering()
    assert [cursor for cursor, _ in await kept.render_records("ada", entries)] == [7] * 5
    # Of a group of which one was forgotten none is given, or all.
    kept._kept.pop(entries[4][1])
    page = await kept.render_records("ada", [(3, record(3)[1]), *entries])
    assert [cursor for cursor, _ in page] == [3]


@pytest.mark.hostile("X05")
async def test_a_slow_page_is_cut_and_the_rest_comes_later(
    monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    monkeypatch.setattr("agentgather.server.rendering.RENDER_SECONDS", 0.0)
    for number in range(5):
        await table.ada.say(f"{number}")
    page = (await table.rev.get("/messages?render=html&before_id=9")).json()
    assert [one["id"] for one in page["messages"]] == [5]
    assert page["has_more_before"] is True
    async with table.rev.events("/events?render=html") as stream:
        events = [await stream.news() for _ in range(5)]
        assert [event.id for event in events] == [1, 2, 3, 4, 5]
        assert [event.data["html"] for event in events] == [f"<p>{n}</p>" for n in range(5)]


async def test_what_was_rendered_is_rendered_once(renderer: GatedRenderer) -> None:
    kept = Rendering()
    records = [record(number, f"{number}") for number in range(1, 9)]
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(kept.render_records, "ada", records)
        await trio.testing.wait_all_tasks_blocked()
        renderer.gate.set()
    assert renderer.texts == [f"{number}" for number in range(1, 9)]
    assert kept.busy == 0


async def test_a_brief_that_many_ask_for_at_once_is_rendered_once(
    table: Table, renderer: GatedRenderer
) -> None:
    readers = [table.host, table.ada, table.rev, table.bo, table.eve]
    for number in range(45):
        if number % WRITES_PER_WINDOW == 0:
            await trio.sleep(61)
        invite = (await table.host.post("/participants", {"alias": f"reader-{number}"})).json()
        readers.append(AsgiClient(table.app, invite["token"]))
    replies: list[Reply] = []

    async def read(client: AsgiClient) -> None:
        replies.append(await client.get("/brief?render=html"))

    async with trio.open_nursery() as nursery:
        for client in readers:
            nursery.start_soon(read, client)
        await table.settled_but_for_the_disk()
        assert table.live.rendering.busy == len(readers) == 50
        renderer.gate.set()
    assert renderer.texts == ["Goal: say hello."]
    assert [reply.json()["brief"]["html"] for reply in replies] == ["<p>Goal: say hello.</p>"] * 50
    assert table.live.rendering.busy == 0


async def test_the_cache_is_bounded_and_forgets_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentgather.server.rendering.MAX_RENDERED_BYTES", 5_000)
    kept = Rendering()
    first = record(1, "first")
    await kept.render_records("ada", [first])
    for number in range(2, 40):
        await kept.render_records("ada", [record(number)])
        assert kept._kept_bytes <= 5_000
        assert kept._kept_bytes == sum(len(one) + 200 for one in kept._kept.values())
    assert first[1] not in kept._kept
    assert record(39)[1] in kept._kept


async def test_what_is_asked_for_is_forgotten_last(
    monkeypatch: pytest.MonkeyPatch, renderer: GatedRenderer
) -> None:
    monkeypatch.setattr("agentgather.server.rendering.MAX_RENDERED_BYTES", 5_000)
    renderer.gate.set()
    kept = Rendering()
    greeting = record(1, "greeting")
    for number in range(2, 40):
        await kept.render_records("ada", [record(number, f"{number}")])
        await kept.render_text("ada", "brief", (), keep=True)
        await kept.render_records("eve", [greeting])
    assert [renderer.texts.count(text) for text in ("brief", "greeting", "39")] == [1, 1, 1]
    await kept.render_records("ada", [record(2, "2")])
    assert renderer.texts.count("2") == 2
    for number in range(40, 80):
        await kept.render_records("ada", [record(number, f"{number}")])
    await kept.render_text("ada", "brief", (), keep=True)
    await kept.render_records("eve", [greeting])
    assert [renderer.texts.count(text) for text in ("brief", "greeting")] == [2, 2]


async def test_who_came_second_has_asked_for_it_too(renderer: GatedRenderer) -> None:
    kept = Rendering()
    async with trio.open_nursery() as nursery:
        for reader in ("ada", "eve"):
            nursery.start_soon(partial(kept.render_text, reader, "brief", (), keep=True))
            await trio.testing.wait_all_tasks_blocked()
            if reader == "ada":
                nursery.start_soon(kept.render_records, "rev", [record(1)])
                await trio.testing.wait_all_tasks_blocked()
        renderer.gate.set()
    assert renderer.texts == ["brief", "x"]
    assert list(kept._kept) == [record(1)[1], ("brief", ())]


async def test_a_stream_shows_live_messages_as_html(table: Table) -> None:
    async with table.ada.events("/events?render=html") as stream:
        for number in range(1, 4):
            message = await table.rev.say(f"*{number}* @ada")
            event = await stream.news()
            assert event.id == number
            assert event.data == message | {"html": f"<p><em>{number}</em> {MENTION}</p>"}


@pytest.mark.parametrize(
    "target",
    ["/messages?render=html", "/messages?render=html&before_id=9", "/brief?render=html"],
)
@pytest.mark.parametrize(
    ("act", "outcome"), [("remove", (410, "participant_removed")), ("rotate", (403, "forbidden"))]
)
async def test_a_seat_that_ends_while_it_is_rendered_for_is_shown_nothing(
    table: Table, renderer: GatedRenderer, target: str, act: str, outcome: tuple[int, str]
) -> None:
    await table.ada.say("a secret")
    replies: list[Reply] = []

    async def read() -> None:
        replies.append(await table.rev.get(target))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(table.ada.post, "/preview", {"text": "before it in line"})
        await table.settled()
        nursery.start_soon(read)
        await table.settled()
        assert (await table.host.post(f"/participants/rev/{act}")).status == 200
        assert not replies
        renderer.gate.set()
    assert [reply.outcome for reply in replies] == [outcome]
    assert (await table.rev.get(target)).outcome == outcome


async def test_the_brief_is_rendered_with_the_mentions_of_now(table: Table) -> None:
    await table.host.post("/brief", {"body": "*Goal*: ask @ada"})
    for _ in range(2):
        brief = (await table.rev.get("/brief?render=html")).json()["brief"]
        assert list(brief)[-1] == "html"
        assert brief["html"] == f"<p><em>Goal</em>: ask {MENTION}</p>"
    await table.host.post("/participants/ada/remove")
    brief = (await table.rev.get("/brief?render=html")).json()["brief"]
    assert brief["html"] == "<p><em>Goal</em>: ask @ada</p>"


# --- Previews ---------------------------------------------------------------------------
async def test_a_preview_is_what_the_message_would_be(table: Table) -> None:
    text = "- [x] *a* @ada @nobody\n\n```py\nx = 1\n```"
    preview = (await table.rev.post("/preview", {"text": text})).json()
    assert list(preview) == ["ok", "html"]
    await table.rev.say(text)
    page = (await table.rev.get("/messages?render=html")).json()
    assert page["messages"][0]["html"] == preview["html"]


async def test_a_preview_leaves_no_trace(table: Table) -> None:
    assert (await table.eve.post("/preview", {"text": "a"})).json()["html"] == "<p>a</p>"
    seats = (await table.host.get("/status")).json()["participants"]
    eve = next(seat for seat in seats if seat["alias"] == "eve")
    assert (eve["attention"], eve["last_seen_age_ms"]) == ("manual", 2**53 - 1)
    assert not (table.folder / "messages.jsonl").exists() or table.texts() == []


async def test_a_preview_works_in_a_closed_room_and_of_nothing_is_nothing(table: Table) -> None:
    await table.host.post("/close")
    for text in ("", " \n\t", "\u200b"):
        assert (await table.rev.post("/preview", {"text": text})).json() == {"ok": True, "html": ""}
    assert (await table.rev.post("/preview", {"text": "a"})).json()["html"] == "<p>a</p>"


async def test_a_preview_is_bounded_in_length_and_rate(table: Table) -> None:
    at_limit = {"text": "😀" * (MAX_TEXT_UNITS // 2)}
    assert (await table.rev.post("/preview", at_limit)).status == 200
    over = await table.rev.post("/preview", {"text": "x" * (MAX_TEXT_UNITS + 1)})
    assert over.outcome == (413, "message_too_large")
    for body in ({}, {"text": 1}, {"text": None}):
        assert (await table.rev.post("/preview", body)).outcome == (400, "invalid_message")
    for _ in range(PREVIEWS_PER_WINDOW - 1):
        assert (await table.rev.post("/preview", {"text": "a"})).status == 200
    refused = await table.rev.post("/preview", {"text": "a"})
    assert refused.outcome == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await table.rev.post("/preview", {})).outcome == (429, "rate_limited")
    assert (await table.ada.post("/preview", {"text": "a"})).status == 200


async def test_many_readers_are_served_while_somebody_s_page_is_rendered(home: Home) -> None:
    async with open_table(home, in_virtual_time=False) as table:
        for number in range(30):
            await table.ada.say(f"{number} " + "*a* `b` " * 400)
        ended = trio.Event()
        longest = 0.0

        async def read() -> None:
            await table.ada.get("/messages?render=html")
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            while not ended.is_set():
                started = trio.current_time()
                await trio.lowlevel.checkpoint()
                longest = max(longest, trio.current_time() - started)
        # The thread gives way every 5 ms; all of the page takes over a hundred.
        assert longest < 0.06


async def test_who_asks_for_many_pages_stands_in_line_once(renderer: GatedRenderer) -> None:
    kept = Rendering()
    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(kept.render_records, "eve", [record(number + 1, f"old {number}")])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(kept.render_records, "ada", [record(99, "live")])
        await trio.testing.wait_all_tasks_blocked()
        renderer.gate.set()
    assert len(renderer.texts) == 10
    assert renderer.texts.index("live") == 1, renderer.texts


@pytest.mark.parametrize("others", ["", "/messages?render=html&limit=1", "/brief?render=html"])
async def test_who_asks_for_many_previews_stands_in_line_once(
    table: Table, renderer: GatedRenderer, others: str
) -> None:
    for text in ("first", "live"):
        await table.rev.say(text)
    async with trio.open_nursery() as nursery:
        for number in range(PREVIEWS_PER_WINDOW):
            nursery.start_soon(table.eve.post, "/preview", {"text": f"preview {number}"})
            if others:
                nursery.start_soon(table.eve.get, others)
        await table.settled_but_for_the_disk()
        nursery.start_soon(table.ada.get, "/messages?render=html&since_id=1")
        await table.settled_but_for_the_disk()
        renderer.gate.set()
    assert len(renderer.texts) == PREVIEWS_PER_WINDOW + 1 + bool(others)
    assert renderer.texts.index("live") == 1, renderer.texts


@pytest.mark.parametrize("opened", [False, True], ids=["after a second", "by the page"])
async def test_the_renderer_is_loaded_before_it_is_needed(
    home: Home, monkeypatch: pytest.MonkeyPatch, *, opened: bool
) -> None:
    loaded_at: list[float] = []

    def note(_text: str, _mentions: object) -> str:
        loaded_at.append(trio.from_thread.run_sync(trio.current_time))
        return ""

    monkeypatch.setattr(rendering, "_render", note)
    async with open_table(home) as table:
        started = trio.current_time()
        if opened:
            await table.anyone.get("/assets/main.js")
            await table.ada.get("/messages")
            assert not table.live.rendering.page_opened.is_set()
            await table.anyone.get("/")
        await trio.sleep(2)
        assert [round(at - started) for at in loaded_at] == [0 if opened else 1]
