"""The access log: a few keys, nothing that a peer chose, and no hold on the broker."""

import json
import os
import threading
from collections.abc import Callable
from io import FileIO
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.broker.access_log import (
    EVENTS,
    LINGER_SECONDS,
    MAX_BATCH_LINES,
    AccessLog,
    Line,
    encode_line,
)
from agentgather.broker.hashes import route_hash
from agentgather.broker.site import PATH_CLASSES
from agentgather.wire.errors import CODES
from agentgather.wire.limits import MAX_LOG_LINES

KEYS = "event route_hash method path_class status duration_ms bytes_in bytes_out wait_held_ms error"
HASH = route_hash(b"k" * 32, "review")


class Stream:
    """Takes what is written; ``gate`` holds it up, ``fault`` fails it, ``most`` cuts it."""

    def __init__(self) -> None:
        self.data = b""
        self.writes = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fault: Exception | None = None
        self.most: int | None = None
        self.on_write: Callable[[], None] = lambda: None

    def write(self, data: bytes, /) -> int | None:
        self.gate.wait()
        self.writes += 1
        if self.most is not None:
            taken, self.most = data[: self.most], None
            self.data += taken
            return len(taken)
        if self.fault is not None:
            raise self.fault
        self.data += data
        trio.from_thread.run_sync(self.on_write)
        return len(data)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.data.splitlines() if line]


async def written(log: AccessLog) -> None:
    """Write all that waits, and end."""
    log.close()
    await log.run()


def line(number: int = 0) -> bytes:
    return encode_line("request", status=number)


# --- One line -----------------------------------------------------------------------------------
def test_a_line_has_the_keys_of_the_contract_in_their_order() -> None:
    full = encode_line(
        "request",
        route_hash=HASH,
        method="GET",
        path_class="wait",
        status=429,
        duration_ms=0,
        bytes_in=0,
        bytes_out=40,
        wait_held_ms=25_000,
        error="wait_limit",
    )
    assert full.endswith(b"}\n")
    assert list(json.loads(full)) == KEYS.split() == list(Line.__struct_fields__)


def test_a_key_that_does_not_apply_is_absent() -> None:
    assert encode_line("start") == b'{"event":"start"}\n'
    assert json.loads(encode_line("link_end", route_hash=HASH, error="superseded")) == {
        "event": "link_end",
        "route_hash": HASH,
        "error": "superseded",
    }


@pytest.mark.parametrize("method", ["PUT", "get", "", "SECRET", "OPTIONS"])
def test_a_method_that_is_none_of_ours_is_other(method: str) -> None:
    assert json.loads(encode_line("request", method=method))["method"] == "OTHER"


@pytest.mark.hostile("B19")
@pytest.mark.parametrize("text", ["agp_secret", "", "Not found: /x", "a" * 64, "a\nb"])
def test_free_text_is_in_no_key(text: str) -> None:
    document = json.loads(
        encode_line("request", method=text, path_class=text, error=text, route_hash=text)
    )
    assert document == {
        "event": "request",
        "method": "OTHER",
        "path_class": "other",
        "error": "other",
    }


def test_every_code_and_every_class_can_be_said() -> None:
    for code in CODES:
        assert json.loads(encode_line("request", error=code))["error"] == code
    for kind in PATH_CLASSES:
        assert json.loads(encode_line("request", path_class=kind))["path_class"] == kind
    assert sorted(EVENTS) == [
        "drop",
        "link_end",
        "link_open",
        "register",
        "request",
        "start",
        "stop",
    ]


# --- On their way --------------------------------------------------------------------------------
async def test_lines_are_written_in_order_and_many_at_once() -> None:
    stream = Stream()
    log = AccessLog(stream)
    for number in range(1_000):
        log.write(line(number))
    await written(log)
    assert [one["status"] for one in stream.lines] == list(range(1_000))
    assert stream.writes == -(-1_000 // MAX_BATCH_LINES)


async def test_lines_are_written_while_the_broker_runs(nursery: trio.Nursery) -> None:
    reader, writer = os.pipe()
    with FileIO(reader) as out, FileIO(writer, "w") as stream:
        log = AccessLog(stream)
        await nursery.start(log.run)
        for number in (1, 2):
            log.write(line(number))
            assert await trio.to_thread.run_sync(out.readline) == line(number)


async def test_a_line_waits_a_moment_for_others_and_they_are_written_as_one(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream, wrote = Stream(), trio.Event()
    stream.on_write = wrote.set
    log = AccessLog(stream)
    await nursery.start(log.run)
    log.write(line(1))
    await trio.sleep(LINGER_SECONDS / 2)
    log.write(line(2))
    assert stream.writes == 0
    await wrote.wait()
    assert trio.current_time() == pytest.approx(LINGER_SECONDS)
    assert (stream.writes, len(stream.lines)) == (1, 2)


async def test_at_the_end_no_line_waits_for_others(autojump_clock: MockClock) -> None:
    stream = Stream()
    log = AccessLog(stream)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        log.write(line(1))
        await wait_all_tasks_blocked()
        log.write(line(2))
        log.close()
    assert trio.current_time() == 0
    assert [one["status"] for one in stream.lines] == [1, 2]


@pytest.mark.hostile("B17")
async def test_a_stuck_reader_holds_up_nobody_and_what_has_no_place_is_counted() -> None:
    stream, dropped, drained = Stream(), list[int](), trio.Event()
    stream.gate.clear()
    log = AccessLog(stream, dropped.append)

    def look() -> None:
        if stream.data.count(b"\n") > MAX_LOG_LINES:
            drained.set()

    stream.on_write = look
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.write(line(0))
        await wait_all_tasks_blocked()
        for number in range(1, MAX_LOG_LINES + 1):
            log.write(line(number))
        assert dropped == []
        for _ in range(100):
            log.write(line(7777))
        assert sum(dropped) == 100
        stream.gate.set()
        await drained.wait()
        log.write(line(8888))
        log.close()
    said = [one.get("status", one["event"]) for one in stream.lines]
    assert said == [*range(MAX_LOG_LINES + 1), "drop", 8888]


@pytest.mark.hostile("B17")
async def test_a_stuck_reader_does_not_keep_the_broker_from_stopping() -> None:
    stream = Stream()
    stream.gate.clear()
    log = AccessLog(stream)
    log.write(line())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await wait_all_tasks_blocked()
        log.close()
        nursery.cancel_scope.cancel()
    assert stream.data == b""
    stream.gate.set()


class Dropped:
    """How many lines were dropped, and the moment when the first ones were."""

    def __init__(self) -> None:
        self.count = 0
        self.happened = trio.Event()

    def __call__(self, count: int) -> None:
        self.count += count
        self.happened.set()


@pytest.mark.hostile("B17")
@pytest.mark.parametrize("fault", [BrokenPipeError(), OSError(28, "full"), ValueError("closed")])
async def test_a_reader_that_is_gone_ends_nothing(fault: Exception) -> None:
    stream, dropped = Stream(), Dropped()
    log = AccessLog(stream, dropped)
    stream.fault = fault
    log.write(line(1))
    log.write(line(2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await dropped.happened.wait()
        stream.fault = None
        log.write(line(3))
        log.close()
    assert dropped.count == 2
    assert [one.get("status", one["event"]) for one in stream.lines] == ["drop", 3]


async def test_a_line_that_was_cut_does_not_swallow_the_next() -> None:
    stream, dropped = Stream(), Dropped()
    stream.fault, stream.most = BrokenPipeError(), 5
    log = AccessLog(stream, dropped)
    log.write(line(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await dropped.happened.wait()
        stream.fault = None
        log.write(line(2))
        log.close()
    assert stream.data == line(1)[:5] + b"\n" + encode_line("drop") + line(2)


async def test_a_stream_that_takes_a_little_at_a_time_gets_all() -> None:
    stream = Stream()
    stream.most = 3
    log = AccessLog(stream)
    log.write(line(1))
    await written(log)
    assert stream.data == line(1)


async def test_a_line_after_the_end_is_dropped() -> None:
    dropped: list[int] = []
    log = AccessLog(Stream(), dropped.append)
    await written(log)
    log.write(line())
    log.write(line())
    assert dropped == [1, 1]


async def test_the_real_standard_output_closed_by_its_reader() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    dropped: list[int] = []
    with FileIO(writer, "w") as stream:
        log = AccessLog(stream, dropped.append)
        log.write(line())
        await written(log)
    assert dropped == [1]
