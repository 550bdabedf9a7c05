"""How a link ends: in order, by silence, by a fault, by a cancellation; and who is told."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agentgather.link.channel import GOODBYE_SECONDS, Channel, LinkEnd
from agentgather.link.machine import End
from agentgather.link.stream import Stream, StreamOver
from agentgather.link.watch import SUSPECTED_PONG_SECONDS
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import (
    HOST_SILENT_SECONDS,
    PING_SECONDS,
    PONG_SECONDS,
    UNREAD_ANSWER_SECONDS,
)
from agentgather.wire.link import (
    CLOSE_CODES,
    Data,
    GoingAway,
    Ping,
    Pong,
    Request,
    Response,
    decode_from_broker,
    decode_from_host,
    encode_frame,
)
from tests.doubles.link_line import LineEnd, line
from tests.link.links import Link, echo, open_link, read_all, until

BIG = bytes(500_000)
GONE = LinkEnd("", by_peer=True)


async def answer_big(stream: Stream) -> None:
    await stream.send_head(Response(stream=stream.id, status=200))
    await stream.send(BIG, end=True)


# --- The heartbeat ------------------------------------------------------------------------
async def test_a_quiet_link_lives_and_both_ends_ask(autojump_clock: MockClock) -> None:
    async with open_link(echo) as link:
        await trio.sleep(3600)
        assert link.ends == {}
        for messages, decode in (
            (link.broker_line.sent, decode_from_broker),
            (link.host_line.sent, decode_from_host),
        ):
            frames: list[Any] = [decode(message) for message in messages]
            pings = sum(isinstance(frame, Ping) for frame in frames)
            assert pings == pytest.approx(3600 / PING_SECONDS, abs=2)
            assert pings == pytest.approx(sum(isinstance(f, Pong) for f in frames), abs=2)
        assert await read_all(await link.ask(b"hello")) == b"hello"


@pytest.mark.hostile("W09")
@pytest.mark.parametrize("wait", [0, 1, 9.9])
async def test_a_line_that_goes_dead_is_noticed_at_both_ends(
    wait: float, autojump_clock: MockClock
) -> None:
    async with open_link() as link:
        await trio.sleep(3 * PING_SECONDS + wait)
        asked = await link.ask()
        await link.settle()
        link.broker_line.is_lost = link.host_line.is_lost = True
        started = trio.current_time()
        await until(lambda: bool(asked.reset_code and link.streams[0].reset_code))
        assert asked.reset_code == link.streams[0].reset_code == "host_unavailable"
        assert trio.current_time() - started <= PING_SECONDS + PONG_SECONDS + 0.2
        await until(lambda: len(link.ends) == 2)
        assert trio.current_time() - started <= HOST_SILENT_SECONDS
        assert {end.code for end in link.ends.values()} == {"heartbeat_timeout"}


@pytest.mark.hostile("T16")
async def test_a_peer_that_answers_no_ping_is_gone_though_it_sends_data(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = line()
    channel = Channel(End.BROKER, ours)
    ends: list[LinkEnd] = []

    async def run() -> None:
        ends.append(await channel.run())

    async with trio.open_nursery() as running:
        running.start_soon(run)
        stream = await channel.open(method="GET", path=b"/", query=b"", headers=(), body=b"")
        await theirs.receive()
        await theirs.send(encode_frame(Response(stream=1, status=200)))
        while not ends:
            await trio.sleep(1)
            if theirs.closed is None:
                await theirs.send(encode_frame(Data(stream=1, data=b"tick")))
                theirs.inbox.clear()
                theirs.unjam()
            stream.take()
        assert trio.current_time() <= HOST_SILENT_SECONDS
    assert ends == [LinkEnd("heartbeat_timeout", by_peer=False)]
    assert theirs.closed is not None
    assert theirs.closed.code == CLOSE_CODES["heartbeat_timeout"]
    assert stream.reset_code == "host_unavailable"


@pytest.mark.hostile("T20")
async def test_a_peer_that_reads_nothing_is_gone_though_it_answers_pings_by_guess(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = line()
    channel = Channel(End.HOST, ours)
    ours.is_jammed = True
    with trio.fail_after(PING_SECONDS + UNREAD_ANSWER_SECONDS + GOODBYE_SECONDS):
        async with trio.open_nursery() as guessing:

            async def guess() -> None:
                for number in range(1, 1000):
                    await theirs.send(encode_frame(Pong(id=number)))
                    await trio.sleep(1)

            guessing.start_soon(guess)
            end = await channel.run()
            guessing.cancel_scope.cancel()
    assert end == LinkEnd("heartbeat_timeout", by_peer=False)
    assert ours.is_torn
    assert ours.closed is None, "nothing can be said behind half a message"


async def test_a_suspected_link_that_lives_is_kept(autojump_clock: MockClock) -> None:
    async with open_link(echo) as link:
        for _ in range(100):
            link.host.suspect()
            await trio.sleep(0.7)
        await trio.sleep(100)
        assert link.ends == {}


@pytest.mark.parametrize("between", [0.1, 3 * PING_SECONDS])
async def test_a_suspected_link_that_is_dead_is_left_soon(
    between: float, autojump_clock: MockClock
) -> None:
    async with open_link() as link:
        await trio.sleep(25)
        link.broker_line.is_lost = link.host_line.is_lost = True
        started = trio.current_time()
        while "host" not in link.ends:
            # However often, it is not put off.
            link.host.suspect()
            await trio.sleep(between)
        allowed = SUSPECTED_PONG_SECONDS + GOODBYE_SECONDS
        assert trio.current_time() - started <= max(allowed, between)
        assert link.ends["host"].code == "heartbeat_timeout"


@pytest.mark.hostile("K04")
async def test_whoever_was_stopped_for_long_looks_at_once_and_keeps_a_link_that_lives(
    autojump_clock: MockClock,
) -> None:
    async with open_link(echo) as link:
        await trio.sleep(PING_SECONDS + 1)
        autojump_clock.jump(600)
        await trio.sleep(60)
        assert link.ends == {}
        assert await read_all(await link.ask(b"hello")) == b"hello"


# --- In order -----------------------------------------------------------------------------
async def test_going_away_lets_open_streams_end_and_opens_no_more(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        link.broker.go_away("going_away", 1500)
        await link.settle()
        assert link.goings == ["host"]
        assert not link.broker.is_open
        assert not link.host.is_open
        with pytest.raises(Unavailable, match="host_unavailable"):
            await link.ask()
        (stream,) = link.streams
        await stream.send_head(Response(stream=stream.id, status=200, data=b"last", end=True))
        assert await read_all(asked) == b"last"
        link.broker.end("going_away")
        await link.settle()
    assert link.ends["broker"] == LinkEnd("going_away", by_peer=False)
    assert link.ends["host"] == LinkEnd("going_away", by_peer=True, return_after_ms=1500)


@pytest.mark.parametrize("waiters", [1, 3])
async def test_all_who_wait_until_a_link_is_idle_are_told(
    waiters: int, autojump_clock: MockClock
) -> None:
    async with open_link(echo) as link:
        streams = [await link.ask() for _ in range(3)]
        idle: list[float] = []

        async def wait() -> None:
            await link.broker.wait_idle()
            idle.append(trio.current_time())

        async with trio.open_nursery() as waiting:
            link.broker.go_away("going_away")
            for _ in range(waiters):
                waiting.start_soon(wait)
            for stream in streams:
                await read_all(stream)
        assert len(idle) == waiters
        await link.broker.wait_idle()


async def test_who_waits_until_it_is_idle_is_told_of_its_end(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        await link.ask()
        async with trio.open_nursery() as waiting:
            waiting.start_soon(link.broker.wait_idle)
            await link.settle()
            link.host_line.cut()


@pytest.mark.hostile("T02")
@pytest.mark.parametrize("code", ["superseded", "route_expired", "route_closed"])
async def test_an_end_resets_every_stream_once_and_says_why(
    code: str, autojump_clock: MockClock
) -> None:
    async with open_link() as link:
        streams = [await link.ask() for _ in range(5)]
        await link.settle()
        link.broker.end(code)
        link.broker.end("going_away")
        assert {stream.reset_code for stream in streams} == {"host_unavailable"}
        await link.settle()
        assert {stream.reset_code for stream in link.streams} == {"host_unavailable"}
    assert link.ends["broker"] == LinkEnd(code, by_peer=False)
    assert link.ends["host"] == LinkEnd(code, by_peer=True)
    assert link.host_line.closed is not None
    assert link.host_line.closed.code == CLOSE_CODES.get(code, 1000)


async def test_what_was_sent_before_an_end_arrives_before_it(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        (stream,) = link.streams
        await stream.send_head(Response(stream=stream.id, status=200, data=b"last", end=True))
        link.host.end("going_away")
        await link.settle()
        assert await read_all(asked) == b"last"
        assert asked.reset_code is None


async def test_an_end_may_come_before_the_link_runs(autojump_clock: MockClock) -> None:
    ours, theirs = line()
    channel = Channel(End.BROKER, ours)
    channel.end("superseded")
    assert await channel.run() == LinkEnd("superseded", by_peer=False)
    assert decode_from_broker(await theirs.receive()) == GoingAway(code="superseded")
    assert theirs.closed is not None
    assert theirs.closed.code == 4409


@pytest.mark.parametrize("when", ["before", "while"])
async def test_an_end_waits_for_no_peer_that_does_not_read(
    when: str, autojump_clock: MockClock
) -> None:
    ours, _ = line()
    ours.is_jammed = True
    channel = Channel(End.BROKER, ours)
    with trio.fail_after(2 * GOODBYE_SECONDS + 0.1):
        if when == "before":
            channel.end("superseded")
            assert (await channel.run()).code == "superseded"
            return
        async with trio.open_nursery() as running:
            running.start_soon(channel.run)
            await trio.testing.wait_all_tasks_blocked()
            channel.end("superseded")


# --- The peer ends ------------------------------------------------------------------------
async def test_a_cut_line_resets_what_is_open_and_keeps_what_is_whole(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        whole, half, nothing = [await link.ask() for _ in range(3)]
        await link.settle()
        for stream, is_whole in zip(link.streams, (True, False), strict=False):
            head = Response(stream=stream.id, status=200, data=b"data", end=is_whole)
            await stream.send_head(head)
        await link.settle()
        link.host_line.cut()
        await link.settle()
        assert (whole.reset_code, whole.take(), whole.is_ended) == (None, b"data", True)
        assert (half.reset_code, half.take(), half.is_ended) == (
            "host_unavailable",
            b"data",
            False,
        )
        assert nothing.reset_code == "host_unavailable"
        assert link.streams[1].reset_code == "host_unavailable"
    assert link.ends == {"broker": GONE, "host": GONE}


async def test_nothing_is_opened_on_a_link_that_is_over(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        link.host_line.cut()
        await link.settle()
        with trio.fail_after(1), pytest.raises(Unavailable, match="host_unavailable"):
            await link.ask()


@pytest.mark.parametrize("what", ["credit", "turn"])
async def test_the_end_of_a_link_wakes_whoever_sends(what: str, autojump_clock: MockClock) -> None:
    async with open_link() as link:
        for _ in range(30):
            await link.ask()
        await link.settle()
        link.host_line.is_jammed = what == "turn"
        overs: list[str] = []

        async def send(stream: Stream) -> None:
            head = Response(stream=stream.id, status=200, data=bytes(20_000), end=True)
            with pytest.raises(StreamOver) as caught:
                await stream.send_head(head)
            overs.append(caught.value.code)

        async with trio.open_nursery() as sending:
            for stream in link.streams:
                sending.start_soon(send, stream)
            await link.settle()
            link.host_line.cut()
        assert overs == ["host_unavailable"] * 30


@pytest.mark.hostile("T02")
async def test_why_the_peer_ended_is_known_though_sending_failed_first(
    autojump_clock: MockClock,
) -> None:  # who is superseded must not fight back
    ours, _ = line()
    channel = Channel(End.HOST, ours)
    ends: list[LinkEnd] = []

    async def run() -> None:
        ends.append(await channel.run())

    async with trio.open_nursery() as running:
        running.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        ours.inbox.append(encode_frame(GoingAway(code="superseded")))
        ours.cut(1006)
        channel.suspect()
    assert ends == [LinkEnd("superseded", by_peer=True)]


async def test_a_close_code_of_no_link_is_just_an_end(autojump_clock: MockClock) -> None:
    async with open_link() as link:
        link.broker_line.cut(4999, "who knows")
        await link.settle()
    assert link.ends == {"broker": GONE, "host": GONE}


# --- Faults -------------------------------------------------------------------------------
FAULTS = [
    pytest.param("text", "bad_frame", id="T08 text"),
    pytest.param(b"", "bad_frame", id="T08 empty"),
    pytest.param(b"\xc1garbage", "bad_frame", id="T08 garbage"),
    pytest.param(bytes(65_537), "bad_frame", id="T08 too long"),
    pytest.param(encode_frame(Data(stream=99, data=b"x")), "bad_frame", id="T05 no such stream"),
    pytest.param(
        encode_frame(Response(stream=1, status=200, data=bytes(16 * 1024 + 1))),
        "flow_control",
        id="T07 beyond its credit",
    ),
]


@pytest.mark.hostile("T05", "T07", "T08")
@pytest.mark.parametrize(("message", "code"), FAULTS)
async def test_a_fault_ends_the_link_at_once_with_its_close_code(
    message: bytes | str, code: str, autojump_clock: MockClock
) -> None:
    async with open_link() as link:
        asked = await link.ask()
        await link.settle()
        with trio.fail_after(1):
            link.broker_line.put(message)
            await link.settle()
            assert asked.reset_code == "host_unavailable"
    assert link.ends["broker"] == LinkEnd(code, by_peer=False)
    assert link.ends["host"] == LinkEnd(code, by_peer=True)
    assert link.host_line.closed is not None
    assert link.host_line.closed.code == CLOSE_CODES[code]


@pytest.mark.hostile("T08")
async def test_a_fault_of_one_link_touches_no_other(autojump_clock: MockClock) -> None:
    async with open_link(echo) as good, open_link() as bad:
        bad.broker_line.put("text")
        await bad.settle()
        assert bad.ends
        assert await read_all(await good.ask(b"hello")) == b"hello"


@pytest.mark.hostile("T06")
async def test_a_stream_out_of_order_is_reset_at_both_ends_and_the_link_lives(
    autojump_clock: MockClock,
) -> None:
    async with open_link() as link:
        bad, good = await link.ask(), await link.ask()
        await link.settle()
        link.broker_line.put(encode_frame(Data(stream=1, data=b"no head")))
        await link.settle()
        assert bad.reset_code == link.streams[0].reset_code == "bad_host_response"
        await echo(link.streams[1])
        assert await read_all(good) == b""
        assert link.ends == {}


async def test_an_owner_that_fails_is_no_reason_to_hide_it(autojump_clock: MockClock) -> None:
    ours, theirs = line()
    theirs.other = ours
    channel = Channel(End.HOST, ours)

    def fail(stream: Stream) -> None:
        raise RuntimeError("a bug")

    ours.put(encode_frame(Request(stream=1, method="GET", path=b"/")))
    with pytest.RaisesGroup(RuntimeError):
        await channel.run(on_request=fail)


# --- Cancelled ----------------------------------------------------------------------------
async def test_a_link_that_is_cancelled_resets_its_streams(autojump_clock: MockClock) -> None:
    link = Link(None)
    async with trio.open_nursery() as running:
        running.start_soon(link.run_broker)
        asked = await link.ask()
        await trio.testing.wait_all_tasks_blocked()
        running.cancel_scope.cancel()
    assert asked.reset_code == "host_unavailable"
    assert link.ends == {}


@pytest.mark.hostile("T18")
async def test_a_send_that_is_cancelled_half_way_is_the_last(autojump_clock: MockClock) -> None:
    # the line's double fails where anything is sent behind half a message.
    link = Link(None)
    async with trio.open_nursery() as running:
        running.start_soon(link.run_broker)
        link.broker_line.is_jammed = True
        asked = await link.ask(b"half")
        await trio.testing.wait_all_tasks_blocked()
        running.cancel_scope.cancel()
    assert link.broker_line.is_torn
    assert asked.reset_code == "host_unavailable"
    with pytest.raises(Unavailable):
        await link.ask()


@pytest.mark.hostile("T18")
async def test_a_stream_that_is_cancelled_never_tears_the_line(autojump_clock: MockClock) -> None:
    async with open_link(answer_big) as link:
        for pause in range(40):
            with trio.move_on_after(0):
                for _ in range(pause):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                await read_all(await link.ask(bytes(64 * 1024)))
        for line_end in (link.broker_line, link.host_line):
            assert isinstance(line_end, LineEnd)
        stream = await link.ask()
        assert await read_all(stream) == BIG
        assert link.ends == {}
