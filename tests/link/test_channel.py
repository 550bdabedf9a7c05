"""The link under Trio: requests and answers, whoever reads slowly, and the turns of senders."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agentgather.link.stream import Stream, StreamOver
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import (
    MAX_DATA_BYTES,
    MAX_HEAD_BYTES,
    MAX_QUEUED_BYTES,
    MAX_ROUTE_BUFFER_BYTES,
    MAX_STREAMS,
    MAX_WINDOW_BYTES,
    RESPONSE_CREDIT_BYTES,
)
from agentgather.wire.link import (
    Data,
    Request,
    Reset,
    Response,
    decode_from_broker,
    decode_from_host,
)
from tests.link.links import Link, answer_with, echo, open_link, read_all

BIG = bytes(range(256)) * 8 * 1024
"""2 MiB, in which a piece that is lost or out of order shows."""


def from_host(link: Link) -> list[Any]:
    return [decode_from_host(message) for message in link.host_line.sent]


def from_broker(link: Link) -> list[Any]:
    return [decode_from_broker(message) for message in link.broker_line.sent]


async def answer_big(stream: Stream) -> None:
    await stream.send_head(Response(stream=stream.id, status=200))
    await stream.send(BIG, end=True)


async def trickle(stream: Stream) -> None:
    """Answer with an event stream that never ends."""
    await stream.send_head(Response(stream=stream.id, status=200))
    while True:
        await stream.send(b"tick", end=False)
        await trio.sleep(1)


# --- Requests and answers ---------------------------------------------------------------
async def test_a_request_and_its_answer_are_one_frame_each(autojump_clock: MockClock) -> None:
    async with open_link(echo) as link:
        stream = await link.ask(b"hello", "POST")
        assert await read_all(stream) == b"hello"
        assert isinstance(stream.head, Response)
        assert stream.head.status == 200
        assert [type(frame) for frame in from_broker(link)] == [Request]
        assert [type(frame) for frame in from_host(link)] == [Response]
        assert link.broker.stream_count == link.host.stream_count == 0


async def test_big_bodies_go_both_ways_at_once(autojump_clock: MockClock) -> None:
    async with open_link(echo) as link:
        bodies = {number: bytes([number]) * 64 * 1024 for number in range(1, 9)}
        answers = {}

        async def visit(body: bytes) -> None:
            stream = await link.ask(body)
            answers[stream.id] = await read_all(stream)

        async with trio.open_nursery() as visits:
            for body in bodies.values():
                visits.start_soon(visit, body)
        assert sorted(answers.values()) == sorted(bodies.values())


async def test_an_answer_of_any_size_arrives_whole_however_slowly_it_is_read(
    autojump_clock: MockClock,
) -> None:
    async with open_link(answer_big) as link:
        stream = await link.ask()
        assert await read_all(stream, pause=1) == BIG
        sizes = [len(frame.data) for frame in from_host(link)]
        assert max(sizes) == MAX_DATA_BYTES


async def test_an_answer_that_comes_before_the_request_is_whole_ends_both(
    autojump_clock: MockClock,
) -> None:
    async def refuse(stream: Stream) -> None:
        await stream.send_head(Response(stream=stream.id, status=413, end=True))

    async with open_link(refuse) as link:
        with trio.fail_after(1):
            # More than a host takes at once, and this one takes nothing.
            stream = await link.ask(bytes(200_000))
        assert isinstance(stream.head, Response)
        assert stream.is_ended
        assert stream.reset_code is None
        assert link.broker.stream_count == 0


async def test_a_body_that_nobody_wants_any_more_is_not_missed_by_its_sender(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link, trio.open_nursery() as asking:
        asking.start_soon(link.ask, bytes(200_000))
        await link.settle()
        (stream,) = link.streams
        await stream.send_head(Response(stream=stream.id, status=413, end=True))


async def test_a_head_that_fits_no_frame_costs_its_stream_and_not_the_link(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        (stream,) = link.streams
        long = ((b"content-type", bytes(MAX_HEAD_BYTES)),)
        with pytest.raises(StreamOver, match="bad_host_response"):
            await stream.send_head(Response(stream=stream.id, status=200, headers=long))
        await asked.wait_news()
        assert asked.reset_code == "bad_host_response"
        assert (await link.ask()).reset_code is None


async def test_the_longest_head_goes_with_the_longest_piece_of_a_body(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        (stream,) = link.streams
        long = ((b"content-type", bytes(MAX_HEAD_BYTES - 12 - 16)),)
        head = Response(stream=stream.id, status=200, headers=long, data=bytes(100_000), end=True)
        async with trio.open_nursery() as sending:
            sending.start_soon(stream.send_head, head)
            assert len(await read_all(asked)) == 100_000


# --- Whoever reads slowly -----------------------------------------------------------------
async def test_a_reader_that_stalls_stops_its_own_stream_and_no_other(
    autojump_clock: MockClock,
) -> None:
    async def serve(stream: Stream) -> None:
        await (answer_big if stream.id == 1 else echo)(stream)

    async with open_link(serve) as link:
        stalled = await link.ask()
        await trio.sleep(60)
        for number in range(100):
            body = b"%d" % number
            assert await read_all(await link.ask(body)) == body
        assert len(stalled.take()) == RESPONSE_CREDIT_BYTES, "all that it had credit for"
        assert await read_all(stalled) == BIG[RESPONSE_CREDIT_BYTES:]


async def test_what_a_reader_is_dealing_with_counts_for_its_window(
    autojump_clock: MockClock,
) -> None:
    async with open_link(answer_big) as link:
        stream = await link.ask()
        await trio.sleep(60)
        assert len(stream.take()) == RESPONSE_CREDIT_BYTES
        await trio.sleep(60)
        assert not stream.has_news, "a participant who reads slowly holds no more than that"
        assert stream.take() == b""
        await trio.sleep(1)
        assert stream.has_news, "it is done with"


@pytest.mark.hostile("T20")
async def test_all_that_a_broker_holds_of_slow_readers_is_bounded(
    autojump_clock: MockClock,
) -> None:
    async with open_link(answer_big) as link:
        streams = [await link.ask() for _ in range(MAX_STREAMS)]
        held = [0] * MAX_STREAMS

        async def read_some(stream: Stream) -> None:
            # Long enough that its window grows as far as the pool allows, and then no more.
            while stream.id % 2 and not stream.is_ended:
                await stream.wait_news()
                if len(stream._pieces) < 2:
                    stream.take()
                await trio.sleep(0.01)

        async with trio.open_nursery() as reading:
            for stream in streams:
                reading.start_soon(read_some, stream)
            await trio.sleep(5)
            reading.cancel_scope.cancel()
        await trio.sleep(5)
        held = [sum(map(len, stream._pieces)) for stream in streams]
        assert (MAX_STREAMS - 8) * RESPONSE_CREDIT_BYTES < sum(held) <= MAX_ROUTE_BUFFER_BYTES
        assert max(held) <= MAX_WINDOW_BYTES
        assert link.host._machine.outgoing.size <= MAX_QUEUED_BYTES + MAX_DATA_BYTES


async def test_what_a_reader_leaves_behind_is_given_back(autojump_clock: MockClock) -> None:
    async with open_link(answer_big) as link:
        for _ in range(20):
            stream = await link.ask()
            for _ in range(12):
                await stream.wait_news()
                stream.take()
            await stream.wait_news()
            stream.reset("cancelled")
            while stream.take():
                pass
        assert link.broker._machine._ledger.extra == 0
        assert link.broker.stream_count == 0


async def test_what_waits_to_be_sent_is_bounded_and_its_senders_wait(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        for _ in range(40):
            await link.ask()
        await link.settle()
        link.host_line.is_jammed = True
        async with trio.open_nursery() as sending:
            for stream in link.streams:
                head = Response(stream=stream.id, status=200, data=bytes(16_000), end=True)
                sending.start_soon(stream.send_head, head)
            await link.settle()
            outgoing = link.host._machine.outgoing
            assert MAX_QUEUED_BYTES <= outgoing.size < MAX_QUEUED_BYTES + MAX_DATA_BYTES
            link.host_line.unjam()
        assert link.host.stream_count == 0


# --- Turns --------------------------------------------------------------------------------
async def test_streams_take_turns_on_a_link_that_is_full(autojump_clock: MockClock) -> None:
    async with open_link(answer_big) as link:
        streams = [await link.ask() for _ in range(4)]

        async def read(stream: Stream) -> None:
            await read_all(stream)

        async with trio.open_nursery() as reading:
            for stream in streams:
                reading.start_soon(read, stream)
        order = [frame.stream for frame in from_host(link) if isinstance(frame, Data)]
        # While all four send, whatever their windows have grown to.
        together = order[: min(map(last_of(order), (1, 2, 3, 4)))]
        assert len(together) > 100
        for start in range(0, len(together) - 100, 10):
            share = Counter(together[start : start + 100])
            assert min(share[number] for number in (1, 2, 3, 4)) >= 4, share


def last_of(order: list[int]) -> Callable[[int], int]:
    return lambda number: len(order) - order[::-1].index(number)


async def test_a_small_answer_does_not_wait_behind_a_big_one(autojump_clock: MockClock) -> None:
    async def serve(stream: Stream) -> None:
        await (answer_big if stream.id == 1 else echo)(stream)

    async with open_link(serve) as link:
        big = await link.ask()
        async with trio.open_nursery() as reading:
            reading.start_soon(read_all, big)
            while len(from_host(link)) < 20:
                await trio.lowlevel.checkpoint()
            assert await read_all(await link.ask(b"small")) == b"small"
            frames = from_host(link)
        small = next(n for n, frame in enumerate(frames) if frame.stream == 2)
        between = [frame for frame in frames[20:small] if isinstance(frame, Data)]
        # What was queued, and what went while the question was on its way.
        assert 0 < sum(len(frame.data) for frame in between) <= 2 * MAX_QUEUED_BYTES


async def test_a_turn_that_nobody_uses_goes_to_the_next(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        for _ in range(40):
            await link.ask()
        await link.settle()
        link.host_line.is_jammed = True
        done: list[int] = []

        async def send(stream: Stream) -> None:
            head = Response(stream=stream.id, status=200, data=bytes(16_000), end=True)
            try:
                await stream.send_head(head)
                done.append(stream.id)
            except StreamOver:
                pass

        async with trio.open_nursery() as sending:
            for stream in link.streams:
                sending.start_soon(send, stream)
                await link.settle()
            waiting = [stream for stream in link.streams if stream.id not in done]
            assert len(waiting) > 15
            # All who wait but for the last are reset: none of them has a frame to send.
            for stream in waiting[:-1]:
                stream.reset("cancelled")
            link.host_line.unjam()
        assert done[-1] == waiting[-1].id


# --- Cancelled while waiting --------------------------------------------------------------
async def test_cancelled_while_it_waits_for_credit(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        (stream,) = link.streams
        await stream.send_head(Response(stream=stream.id, status=200))
        with trio.move_on_after(5) as deadline:
            await stream.send(BIG, end=True)
        assert deadline.cancelled_caught
        assert asked.take() == BIG[:RESPONSE_CREDIT_BYTES]
        stream.reset("unread_answer")
        await asked.wait_news()
        assert asked.reset_code == "unread_answer"


async def test_cancelled_while_it_waits_for_its_turn(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        link.broker_line.is_jammed = True
        async with trio.open_nursery() as asking:
            for _ in range(30):
                asking.start_soon(link.ask, bytes(20_000))
            await link.settle()
            with trio.move_on_after(1) as deadline:
                await link.ask(b"never")
            assert deadline.cancelled_caught
            link.broker_line.unjam()
        await link.settle()
        assert len(link.streams) == 30
        assert [stream.id for stream in link.streams] == sorted(s.id for s in link.streams)
        assert await_end(link) is None


def await_end(link: Link) -> object:
    return link.ends.get("host") or link.ends.get("broker")


async def test_cancelled_in_the_middle_of_its_request(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        with trio.move_on_after(5) as deadline:
            await link.ask(bytes(200_000))
        assert deadline.cancelled_caught
        await link.settle()
        (stream,) = link.streams
        assert stream.reset_code == "cancelled"
        assert link.broker.stream_count == link.host.stream_count == 0


async def test_cancelled_while_it_waits_for_news(autojump_clock: MockClock) -> None:
    async with open_link(trickle) as link:
        stream = await link.ask()
        await link.settle()
        assert stream.take() == b"tick"
        with trio.move_on_after(0.5) as deadline:
            await stream.wait_news()
        assert deadline.cancelled_caught
        await stream.wait_news()
        assert stream.take() == b"tick", "nothing is lost"


# --- Resets -------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["credit", "turn", "news"])
async def test_a_reset_wakes_whoever_waits(what: str, autojump_clock: MockClock) -> None:
    async with open_link() as link:
        asked = await link.ask(bytes(1), "POST")
        await link.settle()
        (stream,) = link.streams
        stream.take()

        async def wait() -> None:
            if what == "news":
                await stream.wait_news()
                assert stream.reset_code == "cancelled"
                return
            if what == "turn":
                link.host_line.is_jammed = True
                await fill(link)
            with pytest.raises(StreamOver, match="cancelled"):
                await stream.send_head(Response(stream=stream.id, status=200, data=BIG, end=True))

        async with trio.open_nursery() as waiting:
            waiting.start_soon(wait)
            await link.settle()
            asked.reset("cancelled")
            await link.settle()
            link.host_line.unjam()


async def fill(link: Link) -> None:
    """Have so much wait at the host that whoever comes has to wait."""
    for _ in range(20):
        await link.ask()
    await link.settle()
    for stream in link.streams[1:]:
        if link.host._machine.outgoing.has_room:
            head = Response(stream=stream.id, status=200, data=bytes(16_000), end=True)
            await stream.send_head(head)


async def test_what_had_come_before_a_reset_can_still_be_read(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        (stream,) = link.streams
        await stream.send_head(Response(stream=stream.id, status=200, data=b"half"))
        stream.reset("internal_error")
        await link.settle()
        assert asked.reset_code == "internal_error"
        assert asked.take() == b"half"
        assert not asked.is_ended


async def test_a_whole_answer_stays_whole_whatever_is_reset_after_it(
    autojump_clock: MockClock,
) -> None:
    async with open_link(echo) as link:
        asked = await link.ask(b"whole")
        await link.settle()
        asked.reset("shutting_down")
        assert asked.reset_code is None
        assert asked.take() == b"whole"
        assert asked.is_ended
        assert not any(isinstance(frame, Reset) for frame in from_broker(link))


async def test_a_participant_who_leaves_ends_the_stream_at_the_host(
    autojump_clock: MockClock,
) -> None:
    async with open_link(trickle) as link:
        asked = await link.ask()
        await asked.wait_news()
        asked.reset("cancelled")
        await trio.sleep(2)
        assert link.streams[0].reset_code == "cancelled"
        assert link.host.stream_count == 0


async def test_a_stream_more_than_there_may_be_is_refused_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        for _ in range(MAX_STREAMS):
            await link.ask()
        with pytest.raises(Unavailable, match="route_request_limit"):
            await link.ask()
        await link.settle()
        last = link.streams[-1]
        await answer_with(last, body=b"done")
        await link.settle()
        assert (await link.ask()).id == MAX_STREAMS + 1
