"""A link whose users, and whose ends, are cancelled at every step."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from agentgather.link.channel import Channel
from agentgather.link.stream import Stream, StreamOver
from agentgather.wire.limits import REQUEST_CREDIT_BYTES, RESPONSE_CREDIT_BYTES
from agentgather.wire.link import Response
from tests.cancellation.baseline import baseline
from tests.doubles.cancelling import Cut, cut_everywhere
from tests.link.links import Link, echo, open_link, read_all, until

LARGE = bytes(range(256)) * (RESPONSE_CREDIT_BYTES // 64)
"""More than the first credit, and in it a piece that is lost or twice there shows."""
LARGE_REQUEST = bytes(range(256)) * (REQUEST_CREDIT_BYTES // 128)


async def answer(stream: Stream, body: bytes = LARGE) -> None:
    await stream.send_head(Response(stream=stream.id, status=200))
    await stream.send(body, end=True)


async def read(stream: Stream) -> bytes:
    """Read an answer as a broker does: whatever happens, it is done with it afterwards."""
    try:
        return await read_all(stream)
    finally:
        if not stream.is_ended:
            stream.reset("cancelled")
        while stream.take():
            pass


async def ask(link: Link, body: bytes = b"") -> bytes:
    """Ask, and give the answer. Raises StreamOver."""
    return await read(await link.ask(body, "POST"))


@asynccontextmanager
async def open_checked_link(
    serve: Callable[[Stream], Awaitable[None]] | None,
) -> AsyncIterator[Link]:
    """Have a link that has to be as good as new at the end of the block."""
    async with open_link(serve) as link:
        await link.settle()
        before = baseline()
        yield link
        await link.settle()
        assert baseline() == before
        assert link.ends == {}
        for channel in (link.broker, link.host):
            assert_idle(channel)
        stream = await link.ask(b"still there?", "POST")
        if serve is None:
            await link.settle()
            await echo(link.streams[-1])
        assert await read_all(stream) == b"still there?"


def assert_idle(channel: Channel) -> None:
    """Whatever a link can hold for a stream, it holds for none."""
    machine = channel._machine
    assert channel.stream_count == len(channel._streams._by_id) == 0
    assert machine._ledger.extra == 0
    assert len(machine.outgoing) == machine.outgoing.size == 0
    assert not channel._writer._turns
    assert not channel._writer.is_torn


async def test_whoever_sends_an_answer_leaves_the_others_whole(autojump_clock: MockClock) -> None:
    async def once(cut: Cut) -> None:
        async with open_checked_link(None) as link:
            others = link.tasks
            bodies: list[bytes] = []

            async def visit() -> None:
                with suppress(StreamOver):
                    bodies.append(await ask(link))

            for _ in range(3):
                others.start_soon(visit)
            await link.settle()
            first, second, third = link.streams
            others.start_soon(answer, second)
            await cut.run(partial(answer, first), beside=others)
            # As whoever answers does where it is cancelled.
            first.reset("cancelled")
            others.start_soon(answer, third)
            await link.settle()
            # The last piece may have been on its way when the cut came.
            assert bodies in ([LARGE] * 2, [LARGE] * 3)

    await cut_everywhere(once, at_least=20)


async def test_whoever_asks_leaves_no_half_of_a_request(autojump_clock: MockClock) -> None:
    async def once(cut: Cut) -> None:
        async with open_checked_link(echo) as link:
            others = link.tasks
            bodies: list[bytes] = []

            async def visit() -> None:
                bodies.append(await ask(link, LARGE_REQUEST))

            others.start_soon(visit)
            await cut.run(partial(ask, link, LARGE_REQUEST), beside=others)
            others.start_soon(visit)
            await link.settle()
            assert bodies == [LARGE_REQUEST] * 2
            assert cut.result in (None, LARGE_REQUEST)
            for stream in link.streams:
                assert stream.is_ended or stream.reset_code == "cancelled"

    await cut_everywhere(once, at_least=30)


@pytest.mark.parametrize("end", ["broker", "host"])
async def test_an_end_of_a_link_takes_its_streams_with_it(
    autojump_clock: MockClock, end: str
) -> None:
    async def once(cut: Cut) -> None:
        before = baseline()
        link = Link(answer)
        over: list[str] = []

        async def visit() -> None:
            try:
                assert await ask(link) == LARGE
            except StreamOver as error:
                over.append(error.code)
            else:
                over.append("")

        async with trio.open_nursery() as others:
            runs = {"broker": link.run_broker, "host": link.run_host}
            this = runs.pop(end)
            for run in runs.values():
                others.start_soon(run)
            for _ in range(2):
                others.start_soon(visit)

            async def operation() -> None:
                with trio.move_on_after(60):
                    await this()

            await cut.run(operation, beside=others)
            if end not in link.ends:
                # Its connection ends with it, as a block around a transport ends one.
                (link.broker_line if end == "broker" else link.host_line).cut()
            # No end of a link writes behind half a message: the line itself fails then.
            await until(lambda: len(over) == 2)
            await link.settle()
            (other,) = runs
            assert other in link.ends
            for channel in (link.broker, link.host):
                assert not channel.is_open
                assert not channel._streams._by_id
            assert set(over) <= {"", "host_unavailable"}
        assert baseline() == before

    await cut_everywhere(once, at_least=60)
