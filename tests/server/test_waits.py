"""GET /wait: the held long-poll."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from agentgather.wire.limits import HOLD_SECONDS, MAX_TEXT_UNITS, MAX_WAITS_PER_PARTICIPANT
from tests.doubles.asgi_client import AsgiClient, Exchange, Reply
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import TOKENS, Table, open_table

pytestmark = VIRTUAL_TIME

KEYS = [
    *("ok", "room", "room_status", "participant", "heartbeat", "messages", "mentioned"),
    *("next_since_id", "keep_waiting", "next_cmd", "has_more"),
]


def command(
    alias: str, since_id: int, *, base: str = "http://127.0.0.1:8787", more: str = ""
) -> str:
    return (
        f'curl -s "{base}/wait?participant={alias}&since_id={since_id}{more}" '
        '-H "Authorization: Bearer $AG_TOKEN"'
    )


class Held:
    """A wait under way, and how long it took."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.seconds = -1.0
        self.done = trio.Event()
        self.scope = trio.CancelScope()

    @property
    def answer(self) -> Any:
        assert self.reply is not None, "the wait is still held"
        assert self.reply.status == 200, self.reply
        return self.reply.json()


@asynccontextmanager
async def holding(table: Table, client: AsgiClient, target: str = "/wait") -> AsyncIterator[Held]:
    """Have a wait held when the block starts, and answered at the latest when it ends."""
    held = Held()

    async def wait() -> None:
        started = trio.current_time()
        held.reply = await client.get(target)
        held.seconds = trio.current_time() - started
        held.done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await table.settled()
        yield held
        await table.settled()
        nursery.cancel_scope.cancel()


# --- The four cases -----------------------------------------------------------------------
async def test_nothing_for_the_whole_hold_is_a_heartbeat(table: Table) -> None:
    started = trio.current_time()
    reply = await table.rev.get("/wait?participant=rev&since_id=0")
    assert trio.current_time() - started == HOLD_SECONDS
    document = reply.json()
    assert list(document) == KEYS
    assert document == {
        "ok": True,
        "room": "demo",
        "room_status": "open",
        "participant": "rev",
        "heartbeat": True,
        "messages": [],
        "mentioned": False,
        "next_since_id": 0,
        "keep_waiting": True,
        "next_cmd": command("rev", 0),
        "has_more": False,
    }


async def test_newer_messages_are_given_at_once(table: Table) -> None:
    await table.ada.say("one")
    await table.ada.say("@rev two")
    started = trio.current_time()
    document = (await table.rev.get("/wait?participant=rev&since_id=0")).json()
    assert trio.current_time() == started
    assert list(document) == KEYS
    assert [message["text"] for message in document.pop("messages")] == ["one", "@rev two"]
    assert document == {
        "ok": True,
        "room": "demo",
        "room_status": "open",
        "participant": "rev",
        "heartbeat": False,
        "mentioned": True,
        "next_since_id": 2,
        "keep_waiting": False,
        "next_cmd": command("rev", 2),
        "has_more": False,
    }


async def test_a_message_that_arrives_ends_the_wait_at_once(table: Table) -> None:
    async with holding(table, table.rev) as held:
        assert held.reply is None
        message = await table.ada.say("hi")
        await held.done.wait()
        assert held.seconds == 0
        assert held.answer["messages"] == [message]
        assert held.answer["heartbeat"] is False
        assert held.answer["keep_waiting"] is False
        assert held.answer["mentioned"] is False
        assert held.answer["next_cmd"] == command("rev", 1)


async def test_a_closed_room_gives_what_is_left_and_then_nothing_more(table: Table) -> None:
    text = "x" * MAX_TEXT_UNITS
    for number in range(12):
        await (table.ada, table.host)[number % 2].say(text)
    await table.host.post("/close")
    since_id, found = 0, []
    while True:
        started = trio.current_time()
        document = (await table.rev.get(f"/wait?since_id={since_id}")).json()
        assert trio.current_time() == started
        assert document["room_status"] == "closed"
        assert document["heartbeat"] is False
        assert document["keep_waiting"] is False
        found += [message["id"] for message in document["messages"]]
        since_id = document["next_since_id"]
        if document["next_cmd"] is None:
            break
        assert document["has_more"] is True
        assert document["next_cmd"] == command("rev", since_id)
    assert found == list(range(1, 14))
    last = (await table.rev.get(f"/wait?since_id={since_id}")).json()
    assert (last["messages"], last["next_cmd"], last["keep_waiting"]) == ([], None, False)


async def test_the_first_wait_of_a_seat_in_a_closed_room_is_not_held(table: Table) -> None:
    await table.host.post("/close")
    for client in (table.rev, table.bo):
        started = trio.current_time()
        document = (await client.get("/wait?since_id=1")).json()
        assert trio.current_time() == started
        assert (document["room_status"], document["next_cmd"]) == ("closed", None)


@pytest.mark.parametrize("query", ["", "?since_id=0&for=me", "?since_id=99"])
async def test_a_removed_participant_is_told_so(table: Table, query: str) -> None:
    await table.ada.say("not for you any more")
    await table.host.post("/participants/rev/remove")
    document = (await table.rev.get(f"/wait{query}")).json()
    assert list(document) == [*KEYS, "participant_status"]
    assert document["participant_status"] == "removed"
    assert (document["heartbeat"], document["messages"]) == (False, [])
    assert (document["keep_waiting"], document["next_cmd"]) == (False, None)
    assert document["has_more"] is False


# --- The cursor ---------------------------------------------------------------------------
@pytest.mark.hostile("J19")
@pytest.mark.parametrize("query", ["", "&for=me"])
async def test_a_cursor_beyond_the_log_is_set_back_at_once(table: Table, query: str) -> None:
    await table.ada.say("one")
    started = trio.current_time()
    document = (await table.rev.get(f"/wait?since_id=99{query}")).json()
    assert trio.current_time() == started
    assert (document["messages"], document["next_since_id"]) == ([], 1)
    assert "since_id=1" in document["next_cmd"]


async def test_a_page_that_is_full_says_so_and_the_command_goes_on(table: Table) -> None:
    for number in range(12):
        await (table.ada, table.host)[number % 2].say("x" * MAX_TEXT_UNITS)
    document = (await table.rev.get("/wait")).json()
    assert document["has_more"] is True
    assert len(document["messages"]) == 10
    assert document["next_cmd"] == command("rev", 10)


@pytest.mark.parametrize("seconds", [0, 1, 24, 25])
async def test_a_caller_may_ask_for_a_shorter_hold(table: Table, seconds: int) -> None:
    started = trio.current_time()
    document = (await table.rev.get(f"/wait?hold={seconds}")).json()
    assert trio.current_time() - started == seconds
    assert (document["heartbeat"], document["keep_waiting"]) == (True, True)


@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        ("hold=26", (400, "invalid_hold")),
        ("hold=-1", (400, "invalid_hold")),
        ("hold=1.5", (400, "invalid_hold")),
        ("hold=", (400, "invalid_hold")),
        ("for=you", (400, "invalid_for")),
        ("for=", (400, "invalid_for")),
        ("since_id=1e3", (400, "invalid_since_id")),
        ("since_id=", (400, "invalid_since_id")),
        ("participant=ada", (403, "participant_mismatch")),
        ("participant=", (403, "participant_mismatch")),
        ("participant=Rev", (403, "participant_mismatch")),
        ("participant=rev&participant=rev", (400, "bad_query")),
    ],
)
async def test_a_wait_that_is_asked_for_wrongly_is_refused_at_once(
    table: Table, query: str, outcome: tuple[int, str]
) -> None:
    started = trio.current_time()
    for target in (f"/wait?{query}", f"/events?{query}"):
        if "hold" in query and "events" in target:
            continue
        assert (await table.rev.get(target)).outcome == outcome
    assert trio.current_time() == started


# --- No lost wake-up ------------------------------------------------------------------------
@pytest.mark.parametrize("waits_first", [False, True])
async def test_a_message_that_is_being_stored_when_a_wait_starts_is_not_missed(
    table: Table, *, waits_first: bool
) -> None:
    for number in range(1, 11):
        replies: list[Any] = []

        async def wait(since_id: int = number - 1, found: list[Any] = replies) -> None:
            found.append((await table.rev.get(f"/wait?since_id={since_id}")).json())

        async def post() -> None:
            await table.ada.say("hi")

        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            for each in (wait, post) if waits_first else (post, wait):
                nursery.start_soon(each)
        assert trio.current_time() == started
        assert [m["id"] for m in replies[0]["messages"]] == [number]


@pytest.mark.hostile("S22")
async def test_a_staged_message_is_shown_to_nobody_before_it_is_durable(table: Table) -> None:
    async with holding(table, table.rev) as held:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(table.ada.say, "hi")
            # The poster has staged it as soon as the room's next id has moved on.
            while table.live.room.log.next_id == 1:
                await trio.lowlevel.checkpoint()
            assert table.live.room.log.head == 0
            assert held.reply is None
            assert (await table.bo.get("/messages")).json()["messages"] == []
        await held.done.wait()
        assert held.answer["next_since_id"] == 1


async def test_a_hundred_readers_in_a_loop_meet_every_message_once(table: Table) -> None:
    found: dict[int, list[int]] = {}

    async def read(number: int) -> None:
        client = AsgiClient(table.app, (TOKENS["rev"], TOKENS["bo"], TOKENS["eve"])[number % 3])
        since_id = 0
        ids = found.setdefault(number, [])
        while since_id < 40:
            document = (await client.get(f"/wait?since_id={since_id}")).json()
            ids += [message["id"] for message in document["messages"]]
            since_id = document["next_since_id"]

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(read, number)
        for number in range(40):
            await (table.ada, table.host)[number % 2].say("hi")
            if number % 7 == 0:
                await table.settled()
    assert list(found.values()) == [list(range(1, 41))] * 12


# --- for=me -------------------------------------------------------------------------------
async def test_for_me_wakes_for_a_mention_a_reply_and_a_handoff(table: Table) -> None:
    mine = (await table.rev.say("a question"))["id"]
    for draft in (
        {"text": "@rev look"},
        {"text": "an answer", "reply_to": mine},
        {"text": "@rev yours", "type": "handoff"},
    ):
        head = table.live.room.log.head
        async with holding(table, table.rev, f"/wait?since_id={head}&for=me") as held:
            await table.ada.say("about something else")
            await table.ada.say("@ada to myself, and @bo")
            await table.settled()
            assert held.reply is None
            await table.ada.say(**draft)
            await held.done.wait()
            # What was slept through comes along, so the cursor can move on.
            assert len(held.answer["messages"]) == 3
            assert held.answer["next_since_id"] == head + 3
            assert held.answer["next_cmd"] == command("rev", head + 3, more="&for=me")


@pytest.mark.parametrize(
    ("target", "document"),
    [
        ("/brief", {"body": "new"}),
        ("/attendance", {"policy": "all-foreground"}),
        ("/close", {}),
    ],
)
async def test_for_me_wakes_for_what_concerns_everybody(
    table: Table, target: str, document: object
) -> None:
    async with holding(table, table.rev, "/wait?for=me") as held:
        await table.host.post(target, document)
        await held.done.wait()
        assert held.seconds == 0
        assert len(held.answer["messages"]) == 1


async def test_for_me_sleeps_through_what_concerns_others_and_its_own_words(table: Table) -> None:
    async with holding(table, table.rev, "/wait?for=me") as held:
        own = await table.rev.say("@rev to myself")
        await table.rev.say("answer to myself", reply_to=own["id"])
        await table.ada.post("/join")
        await table.ada.say("hello @bo")
        await table.ada.say("`@rev` in code, and @revised")
        await table.ada.post("/leave")
        await table.host.post("/participants", {"alias": "new"})
        await table.host.post("/participants/bo/remove")
        await table.settled()
        assert held.reply is None
        await held.done.wait()
        assert held.seconds == HOLD_SECONDS
        assert held.answer["heartbeat"] is True
        assert held.answer["messages"] == []
        assert held.answer["next_since_id"] == 0


async def test_for_me_finds_what_came_before_the_wait(table: Table) -> None:
    await table.ada.say("@rev hi")
    await table.ada.say("more")
    started = trio.current_time()
    document = (await table.rev.get("/wait?since_id=0&for=me")).json()
    assert trio.current_time() == started
    assert [message["id"] for message in document["messages"]] == [1, 2]


# --- How many, and who leaves ----------------------------------------------------------------
@asynccontextmanager
async def four_waits(client: AsgiClient) -> AsyncIterator[list[Exchange]]:
    exchanges = []
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_WAITS_PER_PARTICIPANT):
            exchange = Exchange("GET", b"")
            scope = client.scope("GET", "/wait", b"", None)
            nursery.start_soon(client.app, scope, exchange.receive, exchange.send)
            exchanges.append(exchange)
        await trio.testing.wait_all_tasks_blocked()
        yield exchanges
        nursery.cancel_scope.cancel()


@pytest.mark.hostile("R07")
@pytest.mark.parametrize("target", ["/wait", "/events"])
async def test_a_fifth_wait_is_refused_and_harms_no_other(table: Table, target: str) -> None:
    async with holding(table, table.bo) as other, four_waits(table.rev) as waits:
        for _ in range(200):
            reply = await table.rev.get(target)
            assert reply.outcome == (429, "wait_limit")
            assert int(reply.headers["retry-after"]) >= 1
        assert all(exchange.start is None for exchange in waits)
        assert (await table.rev.get("/wait?hold=0")).status == 200
        await table.ada.say("hi")
        await table.settled()
        assert all(exchange.reply().status == 200 for exchange in waits)
        assert other.answer["messages"]


@pytest.mark.hostile("H29")
async def test_a_client_that_leaves_frees_its_seat_at_once(table: Table) -> None:
    async with four_waits(table.rev) as waits:
        started = trio.current_time()
        waits[0].left.set()
        await table.settled()
        assert len(table.live.hub) == 3
        assert waits[0].start is None
        async with holding(table, table.rev) as held:
            assert len(table.live.hub) == 4
            assert held.reply is None
        assert trio.current_time() == started


@pytest.mark.hostile("H29")
async def test_a_connection_that_is_cut_frees_its_seat(table: Table) -> None:
    async with four_waits(table.rev):
        assert len(table.live.hub) == 4
    assert len(table.live.hub) == 0
    assert table.live.presence.held("rev") == 0


async def test_an_answered_wait_frees_its_seat(table: Table) -> None:
    async with four_waits(table.rev):
        await table.ada.say("hi")
        await table.settled()
        assert len(table.live.hub) == 0
        assert table.live.presence.held("rev") == 0


# --- Removal, rotation, close, shutdown ---------------------------------------------------------
@pytest.mark.hostile("A16")
async def test_removal_ends_a_held_wait_at_once_and_no_other(table: Table) -> None:
    async with holding(table, table.rev) as held, holding(table, table.bo, "/wait?for=me") as other:
        await table.host.post("/participants/rev/remove")
        await held.done.wait()
        assert held.seconds == 0
        assert held.answer["participant_status"] == "removed"
        assert held.answer["messages"] == []
        assert held.answer["next_cmd"] is None
        assert other.reply is None


@pytest.mark.hostile("A16")
@pytest.mark.parametrize("query", ["", "?for=me"])
async def test_rotation_ends_a_held_wait_under_the_old_token_at_once(
    table: Table, query: str
) -> None:
    async with holding(table, table.rev, f"/wait{query}") as held:
        invite = (await table.host.post("/participants/rev/rotate")).json()
        await held.done.wait()
        assert held.seconds == 0
        assert held.reply is not None
        assert held.reply.outcome == (403, "forbidden")
        assert (await table.rev.get("/wait")).outcome == (403, "forbidden")
        renewed = AsgiClient(table.app, invite["token"])
        assert (await renewed.get("/wait?hold=0")).status == 200


@pytest.mark.hostile("K08")
async def test_the_close_releases_every_wait_with_the_last_messages(table: Table) -> None:
    async with (
        holding(table, table.rev) as any_message,
        holding(table, table.bo, "/wait?for=me") as for_me,
        holding(table, table.eve) as observer,
    ):
        await table.host.post("/close")
        for held in (any_message, for_me, observer):
            await held.done.wait()
            assert held.seconds == 0
            assert [m["text"] for m in held.answer["messages"]] == ["room closed"]
            assert held.answer["room_status"] == "closed"
            assert held.answer["keep_waiting"] is False
            assert held.answer["next_cmd"] is None


async def test_shutdown_answers_every_wait_with_a_command_that_goes_on(table: Table) -> None:
    async with holding(table, table.rev) as held, holding(table, table.bo, "/wait?for=me") as other:
        table.live.hub.release()
        for each, alias, more in ((held, "rev", ""), (other, "bo", "&for=me")):
            await each.done.wait()
            assert each.seconds == 0
            assert each.answer["heartbeat"] is True
            assert each.answer["next_cmd"] == command(alias, 0, more=more)
        started = trio.current_time()
        assert (await table.ada.get("/wait")).json()["heartbeat"] is True
        assert trio.current_time() == started


# --- Where the caller is ------------------------------------------------------------------------
async def test_the_next_command_uses_the_url_that_the_caller_used(home: Any) -> None:
    public = "https://rooms.example/my-room"
    async with open_table(home, public_urls=(public,)) as table:
        for host, base in (
            ("127.0.0.1:8787", "http://127.0.0.1:8787"),
            ("localhost:8787", "http://localhost:8787"),
            ("[::1]:9000", "http://[::1]:9000"),
            ("rooms.example", public),
            ("ROOMS.example", public),
        ):
            client = AsgiClient(table.app, TOKENS["rev"], host=host)
            document = (await client.get("/wait?hold=0")).json()
            assert document["next_cmd"] == command("rev", 0, base=base)
            card = (await client.get("/card")).text
            assert f'export AG_BASE="{base}"' in card
            prefixed = await client.get("/my-room/wait?hold=0")
            assert prefixed.json()["next_cmd"] == command("rev", 0, base=base)


# --- Signs of life ------------------------------------------------------------------------------
async def seat_of(table: Table, alias: str) -> Any:
    seats = (await table.host.get("/status")).json()["participants"]
    return next(seat for seat in seats if seat["alias"] == alias)


async def test_a_held_wait_is_a_sign_of_life_and_reading_is_none(table: Table) -> None:
    for target in ("/status", "/brief", "/card", "/messages", "/profile"):
        await table.rev.get(target)
    assert (await seat_of(table, "rev"))["last_seen_age_ms"] == 2**53 - 1
    async with holding(table, table.rev):
        await trio.sleep(10)
        seat = await seat_of(table, "rev")
        assert (seat["attention"], seat["last_seen_age_ms"]) == ("attending", 0)
    await trio.sleep(90)
    seat = await seat_of(table, "rev")
    assert (seat["attendance_state"], seat["last_seen_age_ms"]) == ("attending", 90_000)
    await trio.sleep(0.001)
    assert (await seat_of(table, "rev"))["attendance_state"] == "stale"


async def test_a_wait_writes_nothing_to_the_disk_once_its_seat_is_taken(table: Table) -> None:
    await table.rev.get("/wait?hold=0")
    await table.settled()
    before = {path.name: path.stat().st_mtime_ns for path in table.folder.iterdir()}
    await table.rev.get("/wait?hold=1")
    await table.rev.get("/messages")
    await table.rev.get("/status")
    await table.settled()
    assert {path.name: path.stat().st_mtime_ns for path in table.folder.iterdir()} == before
    roster = json.loads((table.folder / "participants.json").read_bytes())
    assert next(seat for seat in roster if seat["alias"] == "rev")["claimed_at"]
