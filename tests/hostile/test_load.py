"""Many at once, much in the log, and the same again and again."""

import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from agentgather.domain.tokens import hash_token
from agentgather.edge.bounds import Bounds
from agentgather.storage.home import Home
from agentgather.wire.limits import MAX_LOG_MESSAGES, MAX_PAGE_BYTES
from agentgather.wire.records import Participant, encode_roster
from tests.doubles.asgi_client import AsgiClient
from tests.doubles.broker_server import BrokerServer, open_server
from tests.doubles.raw_http import Connection, RawServer, descriptors, eventually, post, request
from tests.doubles.table import TOKENS, Table, open_table
from tests.doubles.tunnelled_room import open_tunnelled_room
from tests.edge.peers import serving
from tests.storage.samples import line

ADA, REV, HOST, BO = (TOKENS[alias] for alias in ("ada", "rev", "host", "bo"))
MIB = 1024 * 1024


def write_log(home: Home, messages: int, text: str) -> int:
    """Write a log of so many messages; give its bytes."""
    log = home.room_path("demo") / "messages.jsonl"
    with log.open("wb") as file:
        file.writelines(line(number, text) for number in range(1, messages + 1))
    return log.stat().st_size


# --- Connections ----------------------------------------------------------------------------
@pytest.mark.hostile("H27")
@pytest.mark.usefixtures("many_descriptors")
async def test_1100_connections_of_one_address_are_as_many_as_there_may_be(
    real_table: Table,
) -> None:
    bounds = Bounds(connections_per_client=1_000)
    async with serving(real_table.app, bounds=bounds) as opened:
        server = RawServer(opened.port)
        before = descriptors()
        held = [await server.connect() for _ in range(4)]
        for connection in held:
            await connection.send(request("GET", "/wait", token=REV))
        await eventually(lambda: len(real_table.live.hub) == 4)
        idle = [await server.connect() for _ in range(996)]
        beyond = [await server.connect() for _ in range(100)]
        for connection in beyond:
            reply = await connection.reply()
            assert reply.outcome == (503, "overloaded")
            assert int(reply.field("retry-after") or 0) >= 1
        for connection in idle:
            await connection.send(request("GET", "/healthz"))
            assert (await connection.reply()).status == 200
        await idle[0].send(post("hi", ADA))
        assert (await idle[0].reply()).status == 201
        for connection in held:
            assert (await connection.reply()).json()["messages"][0]["text"] == "hi"
        for connection in (*held, *idle, *beyond):
            await connection.stream.aclose()
        await eventually(lambda: descriptors() <= before)
        assert (await server.ask(request("GET", "/healthz"))).status == 200


# --- A long log -----------------------------------------------------------------------------
def bytes_read() -> int:
    """Say how many bytes this process has read, of files and of all else."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


@pytest.mark.slow
@pytest.mark.hostile("S09", "A10")
async def test_a_log_of_50_000_messages_is_read_once(home: Home) -> None:
    tokens = [f"agp_{number:043}" for number in range(25)]
    seats = home.read_room("demo").participants
    seats += [
        Participant(alias=f"x{number}", kind="human", token_hash=hash_token(token))
        for number, token in enumerate(tokens)
    ]
    (home.room_path("demo") / "participants.json").write_bytes(encode_roster(seats))
    size = write_log(home, MAX_LOG_MESSAGES - 2, "x" * 200)
    last = MAX_LOG_MESSAGES - 2
    before = bytes_read()
    async with open_table(home, in_virtual_time=False) as table:
        opening = bytes_read() - before
        assert size <= opening < 2 * size, "once, and nothing twice"
        # Seats that nobody has used are stored as taken at their first wait.
        for token in tokens:
            await AsgiClient(table.app, token).get(f"/wait?since_id={last}&hold=0")
        answers: list[list[str]] = []

        async def wait(token: str) -> None:
            reply = await AsgiClient(table.app, token).get(f"/wait?since_id={last}")
            answers.append([message["text"] for message in reply.json()["messages"]])

        before = bytes_read()
        async with trio.open_nursery() as nursery:
            for token in tokens * 4:
                nursery.start_soon(wait, token)
            await eventually(lambda: len(table.live.hub) == 100)
            await table.ada.say("news")
        for query in (f"since_id={last - 500}", "before_id=25000", "limit=500"):
            page = (await table.ada.get(f"/messages?{query}")).json()
            assert len(page["messages"]) > 100
        assert answers == [["news"]] * 100
        assert bytes_read() - before < size / 50, "wake-ups and pages read no file"


# --- A backlog, through a broker --------------------------------------------------------------
@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerServer]:
    async with open_server(tmp_path / "broker") as opened:
        yield opened
        assert {status for status in opened.statuses if status >= 500} == set()


@pytest.mark.hostile("B05")
@pytest.mark.parametrize(
    ("messages", "text"),
    [
        pytest.param(60, "x" * 20_000, id="1.2 MB"),
        pytest.param(1_500, "\u20ac" * 24_000, id="100 MB", marks=pytest.mark.slow),
    ],
)
async def test_a_backlog_is_read_to_its_end_through_a_broker(
    home: Home, broker: BrokerServer, messages: int, text: str
) -> None:
    size = write_log(home, messages, text)
    assert size > (1.2e6 if messages < 100 else 1e8)
    async with open_tunnelled_room(home, "demo", broker.url):
        connection = await broker.connect()
        async with connection.stream:
            seen: list[int] = []
            while True:
                cursor = seen[-1] if seen else 0
                target = f"/demo/wait?since_id={cursor}&hold=0"
                await connection.send(request("GET", target, token=ADA))
                reply = await connection.reply()
                assert reply.status == 200
                document = reply.json()
                assert len(reply.body) <= MAX_PAGE_BYTES
                seen += [message["id"] for message in document["messages"]]
                assert document["next_since_id"] == seen[-1]
                if not document["has_more"]:
                    break
    assert seen == list(range(1, messages + 1))


# --- Again and again ------------------------------------------------------------------------
@asynccontextmanager
async def stream_of(broker: BrokerServer, token: str, cursor: int) -> AsyncIterator[Connection]:
    connection = await broker.connect()
    async with connection.stream:
        target = f"/demo/events?since_id={cursor}"
        await connection.send(request("GET", target, token=token))
        yield connection


async def come_and_go(broker: BrokerServer, number: int) -> None:
    """Do what people do in a room, and leave in every way."""
    for token in (ADA, REV, BO):
        for path in ("/join", "/leave"):
            reply = await broker.ask(request("POST", f"/demo{path}", token=token))
            assert reply.status == 200
        body = json.dumps({"text": f"round {number}"}).encode()
        reply = await broker.ask(request("POST", "/demo/messages", token=token, body=body))
        assert reply.status == 201
        # Held, and left in the middle.
        async with stream_of(broker, token, 10**6) as streaming:
            assert b"event: status" in await streaming.stream.receive_some()
        waiting = await broker.connect()
        # With HTML, so that what renders is loaded before anything is compared.
        page = await broker.ask(request("GET", "/demo/messages?render=html", token=token))
        cursor = page.json()["next_since_id"]
        await waiting.send(request("GET", f"/demo/wait?since_id={cursor}&for=me", token=token))
        await waiting.stream.aclose()
        cut = await broker.connect()
        await cut.send(request("POST", "/demo/messages", "Content-Length: 99", token=token))
        await trio.aclose_forcefully(cut.stream)
        stranger = await broker.ask(request("GET", "/demo/messages?limit=1", token="agp_x"))
        assert stranger.outcome == (403, "forbidden")


@pytest.mark.slow
@pytest.mark.hostile("K12", "W11")
async def test_who_comes_and_goes_leaves_nothing_behind(home: Home, broker: BrokerServer) -> None:
    def tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living

    async with open_tunnelled_room(home, "demo", broker.url) as live:
        for number in range(3):
            await come_and_go(broker, number)
        await eventually(lambda: len(live.hub) == 0)
        await trio.sleep(0.2)
        gc.collect()
        tracemalloc.start()
        living, opened, held = tasks(), descriptors(), tracemalloc.get_traced_memory()[0]
        for number in range(12):
            await come_and_go(broker, number)
        await eventually(lambda: len(live.hub) == 0)
        await eventually(lambda: tasks() <= living)
        await eventually(lambda: descriptors() <= opened)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - held
        tracemalloc.stop()
        # The log has grown by 108 messages, and they stay in memory.
        assert grown < MIB
