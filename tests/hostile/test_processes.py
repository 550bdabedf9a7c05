"""A process that is stopped, killed, or one of two; and real curl."""

import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.storage.home import Home
from tests.doubles.raw_http import RawServer, post, request
from tests.doubles.table import TOKENS

ADA, REV, HOST = TOKENS["ada"], TOKENS["rev"], TOKENS["host"]
ROOT = Path(__file__).parents[2]


class RoomProcess:
    """A room in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.server: RawServer

    async def until_ready(self) -> None:
        assert self.process.stdout is not None
        line = b""
        with trio.fail_after(20):
            while not line.endswith(b"\n"):
                more = await self.process.stdout.receive_some()
                assert more, "the process ended before it served"
                line += more
        self.server = RawServer(int(line))


async def start(home: Home) -> RoomProcess:
    with (home.root.parent / "stderr").open("ab") as stderr:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-W", "error", "-m", "tests.doubles.room_process", str(home.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
        )
    return RoomProcess(process)


async def end(room: RoomProcess) -> None:
    if room.process.poll() is None:
        room.process.kill()
    await room.process.wait()
    for stream in (room.process.stdin, room.process.stdout):
        assert stream is not None
        await stream.aclose()


@pytest.fixture
async def room(home: Home) -> AsyncIterator[RoomProcess]:
    started = await start(home)
    await started.until_ready()
    yield started
    await end(started)
    assert "Traceback" not in (home.root.parent / "stderr").read_text()


@pytest.mark.hostile("K04")
async def test_a_room_that_was_stopped_for_a_while_goes_on_where_it_was(room: RoomProcess) -> None:
    server = room.server
    waits = [await server.connect() for _ in range(3)]
    for connection in waits:
        await connection.send(request("GET", "/wait", token=REV))
    await server.ask(request("GET", "/healthz"))
    room.process.send_signal(signal.SIGSTOP)
    poster = await server.connect()
    await poster.send(post("while it slept", ADA))
    await trio.sleep(1)
    room.process.send_signal(signal.SIGCONT)
    assert (await poster.reply()).status == 201
    for connection in waits:
        document = (await connection.reply()).json()
        assert [message["text"] for message in document["messages"]] == ["while it slept"]
        assert document["room_status"] == "open"
        await connection.stream.aclose()
    await poster.stream.aclose()
    assert (await server.ask(post("awake", REV))).status == 201


@pytest.mark.hostile("K13")
async def test_what_was_acknowledged_before_a_kill_is_there_after_it(
    room: RoomProcess, home: Home
) -> None:
    taken: list[int] = []

    async def talk(token: str) -> None:
        connection = await room.server.connect()
        async with connection.stream:
            try:
                while True:
                    await connection.send(post("x", token))
                    reply = await connection.reply()
                    if reply.status != 201:
                        return
                    taken.append(reply.json()["message"]["id"])
                    if len(taken) == 50:
                        room.process.kill()
            except (trio.BrokenResourceError, AssertionError):
                return

    async with trio.open_nursery() as nursery:
        for token in (ADA, HOST):
            nursery.start_soon(talk, token)
    await room.process.wait()
    again = await start(home)
    await again.until_ready()
    page = (await again.server.ask(request("GET", "/messages", token=ADA))).json()
    ids = [message["id"] for message in page["messages"]]
    assert ids == list(range(1, len(ids) + 1))
    assert set(taken) <= set(ids)
    assert (await again.server.ask(post("next", REV))).json()["message"]["id"] == len(ids) + 1
    await end(again)


@pytest.mark.hostile("S11")
async def test_a_room_has_one_owner_and_a_second_one_changes_nothing(
    room: RoomProcess, home: Home
) -> None:
    second = await start(home)
    with trio.fail_after(20):
        assert await second.process.wait() != 0
    await end(second)
    assert (await room.server.ask(post("mine", ADA))).status == 201


async def test_an_orderly_end_answers_held_waits(room: RoomProcess) -> None:
    connection = await room.server.connect()
    await connection.send(request("GET", "/wait", token=REV))
    await room.server.ask(request("GET", "/healthz"))
    assert room.process.stdin is not None
    await room.process.stdin.aclose()
    with trio.fail_after(5):
        document = (await connection.reply()).json()
        assert await room.process.wait() == 0
    assert (document["heartbeat"], document["keep_waiting"]) == (True, True)
    await connection.stream.aclose()


# --- Little memory ----------------------------------------------------------------------
HALF = request(
    "POST", "/messages", "Content-Type: application/json", "Content-Length: 60000", token=ADA
)
FLOODS = {
    "half bodies": HALF + b" " * 59_000,
    "half heads": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: aaaa\r\n" * 90,
    "pages that nobody reads": request("GET", "/messages", token=ADA) * 50,
    "streams that nobody reads": request("GET", "/events", token=HOST),
    "brackets": request("POST", "/messages", token=ADA, body=b'{"text":' + b"[" * 65_000),
    "what is behind a held wait": request("GET", "/wait?since_id=999999", token=REV)
    + b"GET / HTTP/1.1\r\nX: " * 3_000,
    "long texts": post("@rev " + "\U0001f600" * 11_000, HOST),
}
BYTES = 512 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.hostile("K07")
async def test_floods_in_512_mib_end_in_refusals_and_not_in_the_process(
    room: RoomProcess, home: Home
) -> None:
    resource.prlimit(room.process.pid, resource.RLIMIT_AS, (BYTES, BYTES))
    for number in range(60):
        assert (await room.server.ask(post(f"{number}" + "x" * 20_000, ADA))).status == 201
    opened: list[trio.SocketStream] = []

    async def pour(data: bytes) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", room.server.port)
        opened.append(stream)
        with suppress(trio.BrokenResourceError), trio.move_on_after(5):
            await stream.send_all(data)

    for data in FLOODS.values():
        async with trio.open_nursery() as nursery:
            for _ in range(150):
                nursery.start_soon(pour, data)
        assert (await room.server.ask(request("GET", "/healthz"))).status == 200
        assert (await room.server.ask(request("GET", "/status", token=ADA))).status == 200
    for stream in opened:
        await trio.aclose_forcefully(stream)
    assert room.process.poll() is None
    reply = await room.server.ask(post("the last", REV))
    assert reply.status == 201
    lines = (home.room_path("demo") / "messages.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    ids = [json.loads(line)["id"] for line in lines]
    assert ids == list(range(1, reply.json()["message"]["id"] + 1))


async def bash(script: str) -> str:
    with trio.fail_after(15):
        done = await trio.run_process(
            ["bash", "-euc", script], capture_stdout=True, capture_stderr=True, check=False
        )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout.decode()


async def test_an_agent_with_bash_and_curl_follows_its_card_to_the_letter(
    room: RoomProcess,
) -> None:
    base = f"http://127.0.0.1:{room.server.port}"
    card = await bash(f'curl -s "{base}/card?participant=rev&token={REV}"')
    blocks = re.findall(r"^```sh\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    set_up, join, wait, loop, tell, reply, look, leave = blocks

    async def does(block: str) -> Any:
        return json.loads(await bash(set_up + block))

    assert await does(join) == {"ok": True, "participant": "rev"}
    document = await does(wait)
    assert [message["text"] for message in document["messages"]] == ["rev joined"]
    posted = (await does(tell))["message"]
    assert (posted["from"], posted["mentions"]) == ("rev", ["host"])
    assert (await does(reply))["message"]["reply_to"] == 1
    # The command that an answer brings runs as it is.
    document = await does(document["next_cmd"])
    assert [message["id"] for message in document["messages"]] == [2, 3]
    lines = (await bash(set_up + look)).splitlines()
    assert [list(json.loads(line))[1] for line in lines] == ["room", "brief", "messages"]
    assert await does(leave) == {"ok": True}
    closed = await room.server.ask(request("POST", "/close", token=HOST))
    assert closed.status == 200
    heard = [json.loads(line) for line in (await bash(set_up + loop)).splitlines()]
    texts = [message["text"] for document in heard for message in document["messages"]]
    assert texts[0] == "rev joined"
    assert texts[-2:] == ["rev left", "room closed"]
    assert heard[-1]["next_cmd"] is None
