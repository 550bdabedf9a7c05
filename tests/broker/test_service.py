"""A whole broker over real sockets: it serves, it says how it is, and it ends in order."""

from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.link.channel import LinkEnd
from agentgather.wire.limits import BROKER_DRAIN_SECONDS
from tests.doubles.broker_server import open_server
from tests.doubles.broker_stage import EVENT_FIELDS, JSON_FIELDS, Stream, echo, hold, response
from tests.doubles.raw_http import request

STOP_SECONDS = 10


async def test_a_request_goes_through_and_is_noted(tmp_path: Path) -> None:
    async with open_server(tmp_path) as server:
        await server.host(echo)
        asked = await server.ask(request("GET", "/demo/status", token="agp_x"))
        assert asked.status == 200
        assert asked.json()["path"] == "/status"
    events = [line["event"] for line in server.log.lines]
    assert events == ["start", "register", "link_open", "request", "link_end", "stop"]


async def test_an_answer_to_head_has_no_length_but_the_hosts(tmp_path: Path) -> None:
    async def serve(stream: Stream) -> None:
        # A host may not know what the body of GET would be, as for an export.
        head: Any = stream.head
        length = ((b"content-length", b"7"),) if head.path == b"/card" else ()
        await stream.send_head(response(stream, headers=(*JSON_FIELDS, *length)))

    async with open_server(tmp_path) as server:
        await server.host(serve)
        unknown = await server.ask(request("HEAD", "/demo/export"), is_head=True)
        assert (unknown.status, unknown.field("content-length")) == (200, None)
        known = await server.ask(request("HEAD", "/demo/card"), is_head=True)
        assert (known.status, known.field("content-length")) == (200, "7")


async def test_metrics_are_served_apart(tmp_path: Path) -> None:
    async with open_server(tmp_path) as server:
        await server.host(echo)
        await server.ask(request("GET", "/demo/status"))
        assert (await server.ask(request("GET", "/metrics"))).outcome == (404, "route_not_found")
        text = await server.metrics()
        assert "agentgather_broker_links 1.0" in text
        assert 'path_class="status",status_class="2xx"} 1.0' in text
        assert "demo" not in text


@pytest.mark.hostile("B13")
async def test_at_the_end_everybody_is_told_and_it_does_not_wait_for_ever(
    tmp_path: Path,
) -> None:
    async def serve(stream: Stream) -> None:
        if stream.id % 2:
            await hold(stream)
        await stream.send_head(response(stream, headers=EVENT_FIELDS, data=b"x\n\n", end=False))
        await hold(stream)

    async with open_server(tmp_path) as server:
        ends: list[LinkEnd] = []
        await server.host(serve, on_end=ends.append)
        waits = [await server.connect() for _ in range(20)]
        for number, connection in enumerate(waits):
            await connection.send(request("GET", f"/demo/{'events' if number % 2 else 'wait'}"))
        await server.until(lambda: server.streams == 20)
        started = trio.current_time()
        server.stop.set()
        replies = []
        for connection in waits:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await connection.stream.receive_some()
            replies.append(data)
        assert trio.current_time() - started < BROKER_DRAIN_SECONDS + 1
        refused = [data for data in replies if data.startswith(b"HTTP/1.1 503 ")]
        assert len(refused) == 10
        assert all(b"\r\nretry-after: " in data for data in refused)
        await server.ended.wait()
        assert trio.current_time() - started < STOP_SECONDS
        assert [(end.code, end.by_peer) for end in ends] == [("going_away", True)]
        assert ends[0].return_after_ms >= 1000
        for connection in waits:
            await connection.stream.aclose()


@pytest.mark.hostile("K02")
async def test_who_takes_nothing_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def pour(stream: Stream) -> None:
        await stream.send_head(response(stream, end=False))
        while True:
            await stream.send(b"x" * 65536, end=False)

    async with open_server(tmp_path) as server:
        await server.host(pour)
        connections = [await server.connect() for _ in range(5)]
        for connection in connections:
            await connection.send(request("GET", "/demo/export"))
        await server.until(lambda: server.streams == 5)
        started = trio.current_time()
        server.stop.set()
        await server.ended.wait()
        assert trio.current_time() - started < STOP_SECONDS
        for connection in connections:
            await connection.stream.aclose()
