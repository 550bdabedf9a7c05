"""A room whose callers are cancelled at every step: nothing is lost, and nothing is left."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from agentgather.server.quart_app import QuartWay
from agentgather.storage.home import Home
from tests.cancellation.baseline import baseline
from tests.doubles.asgi_client import Exchange, Reply
from tests.doubles.cancelling import Cut, cut_everywhere
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import SEATS, Table, make_home, open_table

pytestmark = VIRTUAL_TIME

KEY = "the-key-of-the-message"


@pytest.fixture(autouse=True)
def first_home(tmp_path: Path) -> None:
    """A home with an untouched room, to be copied."""
    make_home(tmp_path / "first")


@pytest.fixture(autouse=True)
def one_quart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make quart's application once for all rooms: it keeps nothing of any, and takes 10 ms."""
    one = QuartWay()
    monkeypatch.setattr("agentgather.server.app.QuartWay", lambda: one)


def copy_home(folder: Path, cut: Cut) -> Home:
    """Give a home with an untouched room ``demo`` for one cut."""
    path = folder / f"{cut.number}"
    copytree(folder / "first", path)
    return Home(path)


@asynccontextmanager
async def open_room(folder: Path, cut: Cut) -> AsyncIterator[Table]:
    """Have a room of its own for one cut. What has to hold of any room holds at the end."""
    home = copy_home(folder, cut)
    async with open_table(home) as table:
        # Its renderer is loaded in a task of its own, which ends.
        table.live.rendering.page_opened.set()
        await settled(table)
        # The seats of those who act here are claimed, and no write is on its way.
        for client in (table.host, table.ada, table.rev):
            assert (await client.post("/join", {})).status == 200
        await settled(table)
        before = baseline()
        yield table
        await settled(table)
        live = table.live
        assert baseline() == before
        hub = live.hub
        assert (len(hub), hub._to_any, hub._to_alias, hub._streams) == (0, {}, {}, {})
        assert [live.presence.held(alias) for alias in SEATS] == [0] * len(SEATS)
        assert live.commit._staged == live.commit._staged_bytes == len(live._staging._records) == 0
        assert live.room.log.is_settled
        # Whoever comes now is served, and hears of what is said.
        if not live.room.is_closed:
            await hears_of_news(table)
        seats = {seat.alias: seat.to_plain() for seat in live.room.roster}
        in_memory = live.room.log.entries(0, live.room.log.visible_count)
    on_disk = (table.folder / "messages.jsonl").read_bytes().splitlines()
    assert on_disk == in_memory
    assert [json.loads(line)["id"] for line in on_disk] == list(range(1, len(on_disk) + 1))
    async with open_table(home) as reopened:
        again = {seat.alias: seat.to_plain() for seat in reopened.live.room.roster}
        assert again.keys() == seats.keys()
        for alias, seat in seats.items():
            # What is not written on a read is when somebody was last seen.
            for key in ("token_hash", "display_name", "removed_at", "claimed_at"):
                assert again[alias].get(key) == seat.get(key)


async def settled(table: Table) -> None:
    """Return once everybody waits, and neither the disk nor the renderer has work."""
    await table.settled()
    while table.live.rendering._thread.borrowed_tokens:
        await wait_all_tasks_blocked(0.0002)
    await table.settled()


async def hears_of_news(table: Table) -> None:
    since_id = table.live.room.log.head
    async with table.bo.open("GET", f"/wait?since_id={since_id}") as exchange:
        await table.settled()
        said = await table.ada.say("is anybody here?")
        await table.settled()
        assert [one["id"] for one in exchange.reply().json()["messages"]] == [said["id"]]


def said(table: Table, text: str) -> list[int]:
    """Give the ids of the messages of this text, in the log on the disk."""
    lines = (table.folder / "messages.jsonl").read_bytes().splitlines()
    return [one["id"] for one in map(json.loads, lines) if one["text"] == text]


# --- Writes -------------------------------------------------------------------------------
async def test_a_post_is_stored_once_if_it_is_acknowledged_and_once_when_it_is_repeated(
    tmp_path: Path,
) -> None:
    async def once(cut: Cut) -> None:
        async with open_room(tmp_path, cut) as table:
            draft = {"text": "hello", "client_msg_id": KEY}
            await cut.run(partial(table.ada.post, "/messages", draft))
            if cut.result is not None:
                assert cut.result.status == 201
                assert said(table, "hello") == [cut.result.json()["message"]["id"]]
            again = await table.ada.post("/messages", draft)
            assert again.status in (200, 201)
            assert said(table, "hello") == [again.json()["message"]["id"]]

    # Its body, the disk, the answer's two parts.
    await cut_everywhere(once, at_least=8)


async def test_a_post_among_others_leaves_their_order_as_it_was(tmp_path: Path) -> None:
    async def once(cut: Cut) -> None:
        async with open_room(tmp_path, cut) as table, trio.open_nursery() as others:
            acknowledged: dict[str, int] = {}

            async def post(text: str) -> None:
                message = await table.rev.say(text)
                acknowledged[text] = message["id"]

            for number in range(3):
                others.start_soon(post, f"before {number}")
            await cut.run(partial(table.ada.post, "/messages", {"text": "hello"}), beside=others)
            for number in range(3):
                others.start_soon(post, f"after {number}")
            await table.settled()
            assert len(acknowledged) == 6
            for text, message_id in acknowledged.items():
                assert said(table, text) == [message_id]

    await cut_everywhere(once, at_least=12)


WRITES: list[tuple[str, str, Any]] = [
    ("ada", "/leave", {}),
    ("bo", "/join", {}),
    ("rev", "/profile", {"display_name": "Zoë"}),
    ("host", "/brief", {"body": "new"}),
    ("host", "/participants", {"alias": "new", "kind": "agent"}),
    ("host", "/participants/eve/remove", {}),
    ("host", "/participants/eve/rotate", {}),
    ("host", "/close", {}),
]


@pytest.mark.parametrize(("alias", "path", "document"), WRITES)
async def test_a_write_is_whole_or_was_not_there(
    tmp_path: Path, alias: str, path: str, document: Any
) -> None:
    async def once(cut: Cut) -> None:
        async with open_room(tmp_path, cut) as table:
            client = getattr(table, alias)
            await cut.run(partial(client.post, path, document))
            assert cut.result is None or cut.result.status in (200, 201)

    await cut_everywhere(once, at_least=10)


# --- Waits and streams --------------------------------------------------------------------
async def asks(table: Table, target: str) -> Reply:
    return await table.rev.get(target)


async def test_a_wait_that_ends_with_news_loses_none(tmp_path: Path) -> None:
    async def once(cut: Cut) -> None:
        async with open_room(tmp_path, cut) as table, trio.open_nursery() as others:
            since_id = table.live.room.log.head
            posted: list[int] = []

            async def post() -> None:
                await wait_all_tasks_blocked()
                posted.append((await table.ada.say("@rev look"))["id"])

            others.start_soon(post)
            target = f"/wait?since_id={since_id}"
            await cut.run(partial(asks, table, target), beside=others)
            await table.settled()
            if cut.result is None:
                # Whoever lost the answer has its cursor, and asks again.
                cut.result = await asks(table, target)
            assert [one["id"] for one in cut.result.json()["messages"]] == posted

    await cut_everywhere(once, at_least=10)


async def test_a_wait_that_ends_with_its_hold_leaves_nothing(tmp_path: Path) -> None:
    async def once(cut: Cut) -> None:
        async with open_room(tmp_path, cut) as table:
            await cut.run(partial(asks, table, "/wait?for=me&hold=25&since_id=0"))
            assert cut.result is None or cut.result.json()["heartbeat"]

    await cut_everywhere(once, at_least=5)


async def follow(table: Table, target: str, *, until: str) -> list[int]:
    """Read a stream up to an event; give the ids of what it told."""
    async with table.rev.events(target) as stream:
        return [event.id for event in await stream.until(until) if event.id is not None]


@pytest.mark.parametrize("query", ["", "&render=html"])
async def test_an_event_stream_is_resumed_where_it_was_cut(tmp_path: Path, query: str) -> None:
    async def once(cut: Cut) -> None:
        async with open_room(tmp_path, cut) as table, trio.open_nursery() as others:
            exchange = Exchange("GET", b"")
            scope = table.rev.scope("GET", f"/events?since_id=0{query}", b"", None)

            async def talk() -> None:
                await wait_all_tasks_blocked()
                await table.ada.say("one")
                await table.host.post("/brief", {"body": "another"})
                await table.ada.say("two")
                await table.host.post("/close", {})

            others.start_soon(talk)
            stream = partial(table.app, scope, exchange.receive, exchange.send)
            await cut.run(stream, beside=others)
            while not table.live.is_settled_closed:
                await table.settled()
            told = ids_of(exchange)
            assert told == list(range(1, len(told) + 1))
            target = f"/events?since_id={len(told)}{query}"
            told += await follow(table, target, until="closed")
            assert told == list(range(1, table.live.room.log.head + 1))

    await cut_everywhere(once, at_least=30)


def ids_of(exchange: Exchange) -> list[int]:
    """Give the ids of the messages that were written whole."""
    blocks = b"".join(exchange.chunks).split(b"\n\n")
    return [int(one[4 : one.index(b"\n")]) for one in blocks if one.startswith(b"id: ")]


# --- The room itself ------------------------------------------------------------------------
async def test_a_room_that_is_cancelled_has_stored_all_that_it_acknowledged(
    tmp_path: Path,
) -> None:
    async def once(cut: Cut) -> None:
        home = copy_home(tmp_path, cut)
        acknowledged: dict[int, str] = {}

        async def run() -> None:
            async with open_table(home) as table, trio.open_nursery() as posting:

                async def post(text: str) -> None:
                    acknowledged[(await table.ada.say(text))["id"]] = text

                for number in range(6):
                    posting.start_soon(post, f"text {number}")
                    await trio.lowlevel.checkpoint()

        await cut.run(run)
        # The lock is free, whatever was cut.
        async with open_table(home) as table:
            head = table.live.room.log.head
            entries = [json.loads(one) for one in table.live.room.log.entries(0, head)]
            assert [one["id"] for one in entries] == list(range(1, head + 1))
            for message_id, text in acknowledged.items():
                assert entries[message_id - 1]["text"] == text
            await hears_of_news(table)

    await cut_everywhere(once, at_least=60)
