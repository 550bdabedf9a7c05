"""GET /events: the same log as server-sent events."""

import pytest
import trio

from agentgather.server import rendering
from agentgather.wire.limits import HEARTBEAT_SECONDS, MAX_TEXT_UNITS
from tests.doubles.asgi_client import AsgiClient, Event
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.gated_renderer import GatedRenderer
from tests.doubles.table import Table

pytestmark = VIRTUAL_TIME


async def test_a_stream_begins_with_the_room_s_facts(table: Table) -> None:
    async with table.rev.events("/events") as stream:
        first = await stream.next()
        assert first is not None
        assert (first.name, first.id) == ("status", None)
        assert list(first.data) == [
            *("room", "room_status", "brief_version", "attendance_policy", "roster_version"),
        ]
        assert first.data["room_status"] == "open"
        headers = stream.exchange.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "content-length" not in headers


async def test_messages_come_in_order_old_ones_first_each_with_its_id(table: Table) -> None:
    old = [await table.ada.say(f"old {number}") for number in range(3)]
    async with table.rev.events("/events?since_id=1") as stream:
        assert [e.name for e in await stream.until("message")] == ["status", "message"]
        second = await stream.next()
        assert second == Event("message", old[2], 3)
        for number in range(4, 9):
            message = await table.ada.say(f"new {number}")
            assert await stream.next() == Event("message", message, number)


async def test_silence_is_filled_with_a_heartbeat_every_15_seconds(table: Table) -> None:
    await table.ada.say("hi")
    async with table.rev.events("/events") as stream:
        await stream.until("message")
        started = trio.current_time()
        for beat in range(1, 5):
            event = await stream.next()
            assert event == Event("heartbeat", {"next_since_id": 1})
            assert trio.current_time() - started == beat * HEARTBEAT_SECONDS


@pytest.mark.hostile("J19")
@pytest.mark.parametrize("more", ["", "&for=me"])
async def test_a_cursor_beyond_the_log_is_set_back_at_once(table: Table, more: str) -> None:
    await table.ada.say("hi")
    started = trio.current_time()
    async with table.rev.events(f"/events?since_id=9{more}") as stream:
        await stream.until("status")
        assert await stream.next() == Event("heartbeat", {"next_since_id": 1})
        assert trio.current_time() == started
        await table.ada.say("@rev the next")
        event = await stream.news()
        assert (event.name, event.id) == ("message", 2)


async def test_a_message_is_not_followed_by_an_early_heartbeat(table: Table) -> None:
    async with table.rev.events("/events") as stream:
        await stream.until("status")
        for _ in range(5):
            await trio.sleep(7)
            started = trio.current_time()
            async with trio.open_nursery() as nursery:
                # Two at once: the second wakes a stream that is awake already.
                nursery.start_soon(table.ada.say, "one")
                nursery.start_soon(table.host.say, "two")
            assert [(await stream.news()).name for _ in range(2)] == ["message", "message"]
            beat = await stream.news()
            assert beat.name == "heartbeat"
            assert trio.current_time() - started == HEARTBEAT_SECONDS


@pytest.mark.parametrize("last", ["2", "0", "999"])
async def test_last_event_id_beats_since_id(table: Table, last: str) -> None:
    for number in range(3):
        await table.ada.say(f"{number}")
    headers = {"last-event-id": last}
    async with table.rev.events("/events?since_id=1", headers) as stream:
        await stream.until("status")
        await table.ada.say("the next")
        event = (await stream.until("message"))[-1]
        assert event.id == {"2": 3, "0": 1, "999": 4}[last]


@pytest.mark.hostile("J14")
@pytest.mark.parametrize("last", ["x", "-1", "1.5", "1e3", "9" * 16])
async def test_a_last_event_id_of_another_form_is_refused(table: Table, last: str) -> None:
    reply = await table.rev.get("/events", headers={"last-event-id": last})
    assert reply.outcome == (400, "invalid_since_id")


@pytest.mark.hostile("W10")
async def test_a_reader_that_reconnects_has_no_gap_and_no_repetition(table: Table) -> None:
    found: list[int] = []
    last = "0"
    posted = 0
    for round_number in range(8):
        async with table.rev.events("/events", {"last-event-id": last}) as stream:
            await stream.until("status")
            for _ in range(3):
                posted += 1
                await (table.ada, table.host)[posted % 2].say(f"{posted}")
            # It takes a few and is cut off; some may be on their way.
            for _ in range(2 + round_number % 2):
                event = await stream.news()
                assert event.id is not None
                found.append(event.id)
                last = str(event.id)
    async with table.rev.events("/events", {"last-event-id": last}) as stream:
        await stream.until("status")
        while len(found) < posted:
            event = await stream.news()
            assert event.id is not None
            found.append(event.id)
    assert found == list(range(1, posted + 1))


async def test_a_long_backlog_comes_page_by_page(table: Table) -> None:
    for number in range(30):
        await (table.ada, table.host)[number % 2].say("x" * MAX_TEXT_UNITS)
    async with table.rev.events("/events") as stream:
        ids = []
        while len(ids) < 30:
            event = await stream.next()
            assert event is not None
            if event.name == "message":
                ids.append(event.id)
        assert ids == list(range(1, 31))
        assert max(len(chunk) for chunk in stream.exchange.chunks) < 300_000


async def test_a_stream_for_me_sleeps_through_what_concerns_others(table: Table) -> None:
    async with table.rev.events("/events?for=me") as stream:
        await stream.until("status")
        await table.ada.say("to nobody")
        await table.ada.say("@rev to you")
        assert [(await stream.news()).id for _ in range(2)] == [1, 2]
        started = trio.current_time()
        await table.ada.say("to nobody again")
        beat = await stream.next()
        assert beat == Event("heartbeat", {"next_since_id": 2})
        assert trio.current_time() - started == HEARTBEAT_SECONDS


@pytest.mark.parametrize(
    ("target", "document"),
    [
        ("/brief", {"body": "new"}),
        ("/attendance", {"policy": "all-foreground"}),
        ("/participants", {"alias": "new"}),
    ],
)
async def test_a_change_of_the_room_s_facts_is_told(
    table: Table, target: str, document: object
) -> None:
    async with table.rev.events("/events") as stream:
        before = (await stream.until("status"))[-1].data
        await table.host.post(target, document)
        after = (await stream.until("status"))[-1].data
        assert after != before
        assert after["room_status"] == "open"


async def test_the_room_s_facts_do_not_wait_for_what_is_rendered(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = GatedRenderer(is_open=False)
    monkeypatch.setattr(rendering, "_render", renderer)
    said = [await table.ada.say(f"{number}") for number in range(3)]
    async with table.rev.events("/events?render=html") as stream:
        first = await stream.next()
        assert first is not None
        assert (first.name, first.data["brief_version"]) == ("status", 1)
        await table.settled()
        assert b"".join(stream.exchange.chunks).count(b"event: ") == 1
        # What happens meanwhile is told afterwards.
        said.append(await table.ada.say("3"))
        await table.host.post("/brief", {"body": "new"})
        await table.settled()
        assert b"".join(stream.exchange.chunks).count(b"event: ") == 1
        renderer.gate.set()
        events = await stream.until("heartbeat")
    assert [event.data["brief_version"] for event in events if event.name == "status"] == [2]
    messages = [event for event in events if event.name == "message"]
    assert [event.id for event in messages] == [1, 2, 3, 4, 5]
    assert [event.data for event in messages[:4]] == [
        message | {"html": f"<p>{message['text']}</p>"} for message in said
    ]
    assert renderer.texts == ["0", "1", "2", "3", "Room brief updated to v2"]


# --- Ends -------------------------------------------------------------------------------
async def test_the_close_ends_a_stream_after_the_last_message(table: Table) -> None:
    async with table.rev.events("/events") as stream, table.bo.events("/events?for=me") as other:
        for each in (stream, other):
            await each.until("status")
        await table.ada.say("last words")
        await table.host.post("/close")
        for each in (stream, other):
            events = await each.until("closed")
            assert [e.data["text"] for e in events if e.name == "message"] == [
                "last words",
                "room closed",
            ]
            assert events[-1].data == {"reason": "room_closed"}
            assert await each.next() is None


async def test_a_stream_of_a_closed_room_gives_the_log_and_ends(table: Table) -> None:
    await table.ada.say("hi")
    await table.host.post("/close")
    for client in (table.rev, table.bo):
        async with client.events("/events") as stream:
            events = await stream.until("closed")
            assert [e.id for e in events if e.name == "message"] == [1, 2]
            status = [e.data["room_status"] for e in events if e.name == "status"]
            assert status == ["closed"]
            assert await stream.next() is None


@pytest.mark.hostile("A16")
async def test_removal_ends_a_stream_at_once_and_shows_no_later_message(table: Table) -> None:
    async with table.rev.events("/events") as stream:
        await stream.until("status")
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(table.host.post, "/participants/rev/remove")
            nursery.start_soon(table.ada.say, "a secret")
        events = await stream.until("closed")
        assert trio.current_time() == started
        assert events[-1].data == {"reason": "participant_removed"}
        assert "a secret" not in [e.data["text"] for e in events if e.name == "message"]
        assert await stream.next() is None
    assert (await table.rev.get("/events")).outcome == (410, "participant_removed")


@pytest.mark.hostile("A16")
async def test_rotation_ends_a_stream_under_the_old_token_at_once(table: Table) -> None:
    async with table.rev.events("/events?for=me") as stream:
        await stream.until("status")
        started = trio.current_time()
        invite = (await table.host.post("/participants/rev/rotate")).json()
        events = await stream.until("closed")
        assert trio.current_time() == started
        assert events[-1].data == {"reason": "token_replaced"}
    async with AsgiClient(table.app, invite["token"]).events("/events") as stream:
        await stream.until("status")


@pytest.mark.parametrize(
    ("act", "reason"), [("remove", "participant_removed"), ("rotate", "token_replaced")]
)
@pytest.mark.parametrize("facts_wait", [False, True], ids=["rendering", "before"])
async def test_a_seat_that_ends_while_it_is_rendered_for_is_shown_nothing(
    table: Table, monkeypatch: pytest.MonkeyPatch, act: str, reason: str, *, facts_wait: bool
) -> None:
    renderer = GatedRenderer(is_open=False)
    monkeypatch.setattr(rendering, "_render", renderer)
    await table.ada.say("a secret")
    async with table.rev.events("/events?render=html") as stream:
        stream.exchange.stall = facts_wait
        await table.settled()
        stream.exchange.take()  # the head
        await table.settled()
        assert (await table.host.post(f"/participants/rev/{act}")).status == 200
        stream.exchange.stall = False
        stream.exchange.taking.set()
        await table.settled()
        renderer.gate.set()
        events = await stream.until("closed")
        assert [event.name for event in events] == ["status", "closed"]
        assert events[-1].data == {"reason": reason}
        assert await stream.next() is None


async def test_shutdown_ends_a_stream_without_calling_it_over(table: Table) -> None:
    async with table.rev.events("/events") as stream:
        await stream.until("status")
        started = trio.current_time()
        table.live.hub.release()
        assert await stream.next() is None
        assert trio.current_time() == started


async def test_a_client_that_leaves_frees_its_seat_at_once(table: Table) -> None:
    async with table.rev.events("/events") as stream:
        await stream.until("status")
        assert len(table.live.hub) == 1
        stream.exchange.left.set()
        await table.settled()
        assert len(table.live.hub) == 0
        assert table.live.presence.held("rev") == 0


@pytest.mark.hostile("H26")
async def test_a_reader_that_takes_nothing_holds_nobody_up_and_little_memory(table: Table) -> None:
    async with table.rev.events("/events") as stream, table.bo.events("/events") as other:
        await stream.until("status")
        await other.until("status")
        stream.exchange.stall = True
        taken = len(stream.exchange.chunks)
        for number in range(20):
            await (table.ada, table.host)[number % 2].say("x" * 9000)
            assert (await other.news()).id == number + 1
        assert len(stream.exchange.chunks) == taken
        stream.exchange.stall = False
        stream.exchange.taking.set()
        ids = [(await stream.news()).id for _ in range(20)]
        assert ids == list(range(1, 21))


@pytest.mark.hostile("W10")
async def test_what_is_posted_here_is_read_there_in_one_order(table: Table) -> None:
    async with table.rev.events("/events") as one, table.bo.events("/events") as two:
        for stream in (one, two):
            await stream.until("status")
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon((table.ada, table.host)[number % 2].say, f"{number}")
        seen = []
        for stream in (one, two):
            seen.append([(await stream.news()).data for _ in range(20)])
        page = (await table.eve.get("/messages")).json()["messages"]
        assert seen == [page, page]


async def test_a_seat_or_a_name_that_changes_is_told_at_once(table: Table) -> None:
    """No line of the log tells of it, and who looks at the roster is not to wait for one."""
    started = trio.current_time()
    async with table.ada.events("/events") as stream, table.eve.events("/events?for=me") as own:
        for each in (stream, own):
            await each.until("status")
        versions = []
        await table.rev.post("/profile", {"display_name": "Rev"})
        versions.append((await stream.until("status"))[-1].data["roster_version"])
        await table.host.post("/participants", {"alias": "new"})
        versions.append((await stream.until("status"))[-1].data["roster_version"])
        assert versions[0] < versions[1]
        while (await own.until("status"))[-1].data["roster_version"] != versions[1]:
            pass
    assert trio.current_time() == started


async def test_a_change_of_the_roster_wakes_no_wait(table: Table) -> None:
    await table.rev.post("/join")
    async with table.ada.open("GET", "/wait?since_id=1") as wait:
        await table.settled()
        await table.host.post("/participants", {"alias": "new"})
        await table.settled()
        assert not wait.ended
