"""Clients that take their time, at a whole room, in virtual time."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import trio

from agentgather.wire.limits import (
    BODY_SECONDS,
    HEADERS_SECONDS,
    KEEP_ALIVE_SECONDS,
    UNREAD_ANSWER_SECONDS,
    UNSENT_BODY_SECONDS,
)
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.raw_http import descriptors, request
from tests.doubles.table import TOKENS, Table
from tests.edge.peers import Pair, one_connection

pytestmark = VIRTUAL_TIME

ADA = TOKENS["ada"]
JSON = "Content-Type: application/json"
HALF = request("POST", "/messages", JSON, "Content-Length: 60000", token=ADA)


@asynccontextmanager
async def client(table: Table) -> AsyncIterator[Pair]:
    """Have a connection to the room; look at the room when it is over."""
    async with one_connection(table.app) as pair:
        yield pair
    assert (await table.ada.get("/status")).status == 200
    assert table.texts() == []


@pytest.mark.hostile("H21")
async def test_a_head_of_a_byte_a_second_is_given_up_after_ten(table: Table) -> None:
    async with client(table) as pair, trio.open_nursery() as nursery:
        started = trio.current_time()
        nursery.start_soon(pair.drip, request("GET", "/messages", token=ADA)[:60], 1)
        found = await pair.answer()
        assert (found.status, json.loads(found.body)["error"]) == (408, "request_timeout")
        assert trio.current_time() - started == HEADERS_SECONDS
        nursery.cancel_scope.cancel()


@pytest.mark.hostile("H25")
@pytest.mark.parametrize("is_silent", [False, True], ids=["a byte a second", "no byte"])
async def test_a_body_has_fifteen_seconds(table: Table, *, is_silent: bool) -> None:
    async with client(table) as pair, trio.open_nursery() as nursery:
        await pair.send(HALF)
        started = trio.current_time()

        async def drip() -> None:
            with suppress(trio.BrokenResourceError):
                await pair.drip(b"x" * 60, 1)

        if not is_silent:
            nursery.start_soon(drip)
        found = await pair.answer()
        assert (found.status, json.loads(found.body)["error"]) == (408, "body_timeout")
        assert trio.current_time() - started == BODY_SECONDS
        await pair.ended.wait()
        assert trio.current_time() - started <= BODY_SECONDS + UNSENT_BODY_SECONDS
        nursery.cancel_scope.cancel()


@pytest.mark.hostile("H23")
@pytest.mark.parametrize(
    ("token", "fields", "status"),
    [
        (None, (), 401),
        ("agp_" + "x" * 43, (), 403),
        (ADA, ("Content-Length: 70000",), 413),
        (ADA, ("Content-Type: text/plain",), 415),
    ],
)
async def test_who_is_refused_and_sends_no_more_is_gone_five_seconds_later(
    table: Table, token: str | None, fields: tuple[str, ...], status: int
) -> None:
    lines = list(fields)
    if not any(line.startswith("Content-Length") for line in lines):
        lines.append("Content-Length: 5")
    if not any(line.startswith("Content-Type") for line in lines):
        lines.append(JSON)
    async with client(table) as pair:
        await pair.send(request("POST", "/messages", *lines, token=token))
        started = trio.current_time()
        found = await pair.answer()
        assert (found.status, found.headers["connection"]) == (status, "close")
        await pair.ended.wait()
        assert trio.current_time() - started <= UNSENT_BODY_SECONDS


@pytest.mark.hostile("H24")
async def test_300_clients_that_ask_once_and_stay_are_all_closed(table: Table) -> None:
    before = descriptors()
    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(one_connection(table.app)) for _ in range(300)]
        for pair in pairs:
            assert (await pair.ask(request("GET", "/status", token=ADA))).status == 200
        started = trio.current_time()
        for pair in pairs:
            assert await pair.rest() == b""
        assert trio.current_time() - started <= KEEP_ALIVE_SECONDS
    assert descriptors() == before


@pytest.mark.hostile("H26")
async def test_who_asks_for_a_long_page_and_reads_nothing_is_cut(table: Table) -> None:
    # 1.2 MB of the page's socket, of which the kernel holds a part and nobody reads any.
    for number in range(60):
        await table.ada.say(f"{number}" + "x" * 20_000)
    many = request("GET", "/messages", token=ADA) * 5
    async with one_connection(table.app) as pair:
        await pair.send(many)
        started = trio.current_time()
        await pair.ended.wait()
        assert trio.current_time() - started <= UNREAD_ANSWER_SECONDS
    assert (await table.ada.get("/status")).status == 200
