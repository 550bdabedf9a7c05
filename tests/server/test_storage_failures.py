"""A disk that is full, or that fails: nothing is half done, and reads go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

from agentgather.storage.failures import StorageFailed, StorageFull
from agentgather.wire.limits import LOOP_GUARD_POSTS, MAX_STAGED
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.gated_store import GatedStore
from tests.doubles.table import Table, open_table

pytestmark = VIRTUAL_TIME

FULL = StorageFull("/home/secret/path: no space left on device")
FAILED = StorageFailed("/home/secret/path: input/output error")


def put_store(table: Table) -> GatedStore:
    """Put a store that can fail before the room's own."""
    store = GatedStore(table.live.commit._store)
    table.live.commit._store = store
    return store


@contextmanager
def shut(store: GatedStore) -> Iterator[None]:
    """Let no write through during the block, and let go even where a test fails in it."""
    store.gate.clear()
    try:
        yield
    finally:
        store.gate.set()


WRITES = [
    ("ada", "/messages", {"text": "hi", "client_msg_id": "k"}),
    ("rev", "/messages", {"text": "@ada hi"}),
    ("rev", "/join", {}),
    ("ada", "/leave", {}),
    ("rev", "/profile", {"display_name": "Zoë"}),
    ("host", "/brief", {"body": "new"}),
    ("host", "/attendance", {"policy": "all-foreground"}),
    ("host", "/loop-guard", {}),
    ("host", "/participants", {"alias": "new", "kind": "agent"}),
    ("host", "/participants/bo/remove", {}),
    ("host", "/participants/bo/rotate", {}),
    ("host", "/close", {}),
]


def picture(table: Table) -> dict[str, Any]:
    """Give all of the room's state that a request could have changed."""
    room = table.live.room
    return {
        "next_id": room.log.next_id,
        "head": room.log.head,
        "state": room.state.to_plain(),
        "brief": room.brief,
        "roster": {seat.alias: (seat.token_hash, seat.removed_at, seat.display_name, seat.joinedAt)
                   for seat in room.roster},
        "present": set(room.roster.present),
        "tokens": dict(table.live.tokens.tokens),
        "here": dict(room.here),
        "guard": room.guard.snapshot(),
        "client_messages": room.client_messages,
        "is_closed": room.is_closed,
        "files": {
            path.name: path.read_bytes()
            for path in table.folder.iterdir()
            if path.is_file() and not path.name.endswith(".copy")
        },
    }  # fmt: skip


@pytest.mark.hostile("S21")
@pytest.mark.parametrize(("alias", "target", "document"), WRITES)
async def test_a_full_disk_undoes_a_change_and_lets_it_be_tried_again(
    table: Table, alias: str, target: str, document: object
) -> None:
    for client in (table.host, table.ada, table.rev, table.bo):
        await client.post("/join")
    await table.rev.post("/leave")
    await table.rev.say("hi")
    store = put_store(table)
    client = getattr(table, alias)
    before = picture(table)
    store.error = FULL
    reply = await client.post(target, document)
    assert reply.outcome == (507, "storage_full")
    assert b"secret" not in reply.body
    assert picture(table) == before
    again = await client.post(target, document)
    assert again.status in (200, 201)
    if target == "/messages":
        assert again.json()["message"]["id"] == before["next_id"]
        assert "idempotent" not in again.json()


@pytest.mark.hostile("S06")
@pytest.mark.parametrize(("alias", "target", "document"), WRITES)
async def test_a_failed_disk_makes_the_room_read_only(
    table: Table, alias: str, target: str, document: object
) -> None:
    for client in (table.host, table.ada, table.rev, table.bo):
        await client.post("/join")
    await table.rev.post("/leave")
    store = put_store(table)
    client = getattr(table, alias)
    before = picture(table)
    store.error = FAILED
    first = await client.post(target, document)
    assert first.outcome == (503, "storage_failed")
    assert b"secret" not in first.body
    second = await client.post(target, document)
    assert second.outcome == (503, "storage_failed")
    assert picture(table) == before
    for reader in ("/status", "/messages", "/brief", "/card", "/profile", "/wait?hold=0"):
        assert (await table.rev.get(reader)).status == 200


@pytest.mark.hostile("S06")
async def test_who_first_comes_after_the_disk_failed_can_read_and_wait(table: Table) -> None:
    store = put_store(table)
    await table.ada.say("hi")
    store.error = FAILED
    assert (await table.ada.post("/messages", {"text": "x"})).outcome == (503, "storage_failed")
    for target in ("/status", "/messages", "/brief", "/card", "/wait", "/wait?since_id=1&hold=1"):
        assert (await table.bo.get(target)).status == 200
    async with table.eve.events("/events") as stream:
        assert [event.name for event in await stream.until("message")] == ["status", "message"]


async def test_a_room_whose_disk_failed_still_ends_in_time(table: Table) -> None:
    store = put_store(table)
    store.error = FAILED
    await table.ada.post("/messages", {"text": "x"})
    table.live.expires_at = trio.current_time() + 10
    await trio.sleep(10)
    assert (await table.ada.get("/status")).json()["room_status"] == "closed"
    assert (await table.ada.get("/wait")).json()["room_status"] == "closed"


@pytest.mark.hostile("S21")
async def test_all_that_was_decided_on_top_of_a_change_that_failed_is_undone(table: Table) -> None:
    await table.ada.say("first")
    store = put_store(table)
    store.error = FULL
    replies = []

    async def post(text: str) -> None:
        replies.append(await table.ada.post("/messages", {"text": text, "client_msg_id": text}))

    async with trio.open_nursery() as nursery:
        with shut(store):
            nursery.start_soon(post, "a")
            while table.live.room.log.next_id < 3:
                await trio.lowlevel.checkpoint()
            # These wait behind the first, and build on it.
            nursery.start_soon(post, "b")
            nursery.start_soon(table.host.post, "/brief", {"body": "new"})
            nursery.start_soon(table.host.post, "/participants", {"alias": "new"})
            nursery.start_soon(post, "a")
            while table.live.room.log.next_id < 5:
                await trio.lowlevel.checkpoint()
            await table.settled_but_for_the_disk()
    assert [reply.outcome for reply in replies] == [(507, "storage_full")] * 3
    assert table.texts() == ["first"]
    assert table.live.room.brief == "Goal: say hello."
    assert table.live.room.roster.get("new") is None
    assert (await table.ada.say("a", client_msg_id="a"))["id"] == 2


@pytest.mark.hostile("S21")
async def test_a_message_that_was_not_stored_wakes_nobody(table: Table) -> None:
    store = put_store(table)
    async with table.rev.open("GET", "/wait") as exchange:
        await table.settled()
        store.error = FULL
        await table.ada.post("/messages", {"text": "@rev hi"})
        await table.settled()
        assert exchange.start is None


async def test_posts_that_were_not_stored_count_for_no_loop_guard(table: Table) -> None:
    store = put_store(table)
    for _ in range(LOOP_GUARD_POSTS + 5):
        store.error = FULL
        assert (await table.rev.post("/messages", {"text": "x"})).outcome == (507, "storage_full")
    for _ in range(LOOP_GUARD_POSTS):
        assert (await table.rev.post("/messages", {"text": "x"})).status == 201


@pytest.mark.hostile("S22")
async def test_a_reader_never_sees_a_message_that_a_crash_could_take_back(table: Table) -> None:
    store = put_store(table)
    async with trio.open_nursery() as nursery:
        with shut(store):
            nursery.start_soon(table.ada.say, "hi")
            while table.live.room.log.next_id == 1:
                await trio.lowlevel.checkpoint()
            assert (await table.rev.get("/messages")).json()["messages"] == []
            assert (await table.rev.get("/messages?before_id=9")).json()["messages"] == []
            assert (await table.rev.get("/wait?hold=0")).json()["messages"] == []
    assert (await table.rev.get("/messages")).json()["next_since_id"] == 1


@pytest.mark.hostile("S22")
async def test_a_writer_is_told_to_come_back_when_the_disk_is_far_behind(table: Table) -> None:
    store = put_store(table)
    live = table.live
    with shut(store):
        for _ in range(MAX_STAGED):
            live._staging.text("x joined", live.clock())
        before = live.room.log.next_id
        for target, document in (("/messages", {"text": "x"}), ("/brief", {"body": "x"})):
            reply = await table.host.post(target, document)
            assert reply.outcome == (503, "overloaded")
            assert int(reply.headers["retry-after"]) >= 1
        assert live.room.log.next_id == before
    await table.settled()
    assert (await table.host.say("x"))["id"] == before


@pytest.mark.hostile("S06")
async def test_after_a_restart_a_room_whose_disk_failed_is_as_its_files_say(home: Any) -> None:
    async with open_table(home) as table:
        await table.ada.say("hi")
        store = put_store(table)
        store.error = FAILED
        await table.host.post("/brief", {"body": "new"})
    async with open_table(home) as table:
        assert (await table.ada.get("/brief")).json()["brief"]["brief_version"] == 1
        assert (await table.ada.say("again"))["id"] == 2
        assert json.loads((table.folder / "room.json").read_bytes())["brief_version"] == 1


async def test_a_removal_is_stored_with_its_line_or_not_at_all(table: Table) -> None:
    await table.rev.get("/wait?hold=0")
    await table.settled()  # the seat was taken, and that is stored without anybody waiting
    store = put_store(table)
    live = table.live
    async with table.rev.open("GET", "/wait") as held:
        with shut(store):
            await table.settled_but_for_the_disk()
            while live.commit._staged < MAX_STAGED:
                live._staging.text("x joined", live.clock())
            reply = await table.host.post("/participants/rev/remove")
            assert reply.outcome == (503, "overloaded")
            seat = live.room.roster.get("rev")
            assert seat is not None
            assert seat.removed_at is None
        await table.settled()
        assert held.reply().json()["messages"]  # the lines that filled the queue
    assert (await table.rev.get("/messages?limit=1")).status == 200
    assert (await table.host.post("/participants/rev/remove")).status == 200
    assert (await table.rev.get("/messages")).outcome == (410, "participant_removed")
