"""A tunnel's life, in virtual time, at brokers of every kind."""

import random
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.link.channel import Channel, LinkEnd
from agentgather.link.handshake import RegistrationRefused
from agentgather.link.proof import owner_of
from agentgather.link.stream import Stream
from agentgather.tunnel.attempt import LEAVE_SECONDS, STOP_SECONDS, claim_route
from agentgather.tunnel.client import LONGEST_PAUSE_SECONDS, run_tunnel
from agentgather.tunnel.events import (
    STOPPED,
    Connecting,
    Ended,
    Lost,
    Opened,
    TunnelEvent,
    TunnelPlan,
)
from agentgather.tunnel.guard import ANSWER_HEADERS
from agentgather.tunnel.incoming import Incoming
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.public_url import BadPublicUrl, check_public_url
from agentgather.wire.limits import (
    FAULT_PAUSE_SECONDS,
    MAX_STREAMS,
    PING_SECONDS,
    PONG_SECONDS,
    REGISTER_SECONDS,
)
from agentgather.wire.link import FAULT_CODES, Registered, Response
from tests.doubles.fake_broker import (
    BROKER,
    Behaviour,
    FakeBroker,
    Visit,
    end_with,
    hang_up,
    refuse_with,
    say_nothing,
    serve_for,
    serve_for_ever,
)

SECRET = "agh_" + "s" * 43
PLAN = TunnelPlan(BROKER, "review", SECRET, registration_token="agr_token")
URL = f"{BROKER}/review"


class Echo:
    """A responder that answers each request with its path, or holds it."""

    def __init__(self) -> None:
        self.public_urls: list[str] = []
        self.held = 0
        self.most = 0

    def serve_at(self, public_url: str, *, passed_on: Set[bytes] = ANSWER_HEADERS) -> None:
        self.public_urls.append(public_url)

    async def respond(self, stream: Incoming) -> None:
        head: Any = stream.head
        if head.path == b"/bug":
            raise RuntimeError
        self.held += 1
        self.most = max(self.most, self.held)
        try:
            if head.path == b"/slow":
                await trio.sleep(60)
            while head.path == b"/wait" and stream.reset_code is None:
                await stream.wait_news()
            if stream.reset_code is None:
                answer = Response(stream=head.stream, status=200, data=head.path, end=True)
                await stream.send_head(answer)
        finally:
            self.held -= 1


class Run:
    """A tunnel that runs: what it told, and how it ended."""

    def __init__(self) -> None:
        self.responder = Echo()
        self.stop = trio.Event()
        self.events: list[tuple[float, TunnelEvent]] = []
        self.ended: Ended | None = None
        self.suspended_seconds = 0.0

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for _, event in self.events]

    @property
    def lost(self) -> list[Lost]:
        return [event for _, event in self.events if isinstance(event, Lost)]

    async def run(self, broker: FakeBroker, **options: Any) -> None:
        chance = random.Random(1)
        self.ended = await run_tunnel(
            PLAN,
            self.responder,
            stop=self.stop,
            on_event=lambda event: self.events.append((trio.current_time(), event)),
            entropy=chance.randbytes,
            dial=broker.dial,
            suspended=lambda: self.suspended_seconds,
            **options,
        )


@asynccontextmanager
async def open_tunnel(broker: FakeBroker, **options: Any) -> AsyncIterator[Run]:
    """Have a tunnel run for the length of the block; then it is told to stop."""
    run = Run()
    async with trio.open_nursery() as nursery:

        async def start() -> None:
            await run.run(broker, **options)

        nursery.start_soon(start)
        yield run
        run.stop.set()


async def run_to_end(broker: FakeBroker) -> Run:
    run = Run()
    with trio.fail_after(100_000):
        await run.run(broker)
    return run


def no_link(message: str = "nobody listens there", status: int = 0, body: bytes = b"") -> NoLink:
    return NoLink(message, status=status, body=body)


# --- From the name to the link --------------------------------------------------------------
async def test_a_tunnel_registers_and_says_where_the_room_is_public() -> None:
    broker = FakeBroker(serve_for_ever)
    async with open_tunnel(broker) as run:
        await wait_all_tasks_blocked()
        assert [event for _, event in run.events] == [Connecting(), Opened(URL)]
        assert run.responder.public_urls == [URL]
        claim = broker.visits[0].claim
        assert claim is not None
        assert (claim.slug, claim.owner) == ("review", owner_of(SECRET))
        assert (claim.registration_token, claim.claim_only) == ("agr_token", False)
    assert run.ended == STOPPED


async def test_requests_are_answered_at_once_and_side_by_side() -> None:
    broker = FakeBroker(serve_for_ever)
    async with open_tunnel(broker) as run:
        await wait_all_tasks_blocked()
        channel = broker.visits[0].channel
        assert channel is not None
        request = {"method": "GET", "query": b"", "headers": (), "body": b""}
        waits = [await channel.open(path=b"/wait", **request) for _ in range(MAX_STREAMS - 1)]
        quick = await channel.open(path=b"/quick", **request)
        while not quick.is_ended:
            await quick.wait_news()
            assert quick.take() == b"/quick"
        assert run.responder.held == MAX_STREAMS - 1
        for wait in waits:
            wait.reset("cancelled")
        await wait_all_tasks_blocked()
        assert run.responder.held == 0


@pytest.mark.hostile("T17")
async def test_a_broker_that_asks_and_resets_starts_no_more_than_twice_what_may_be_open(
    autojump_clock: MockClock,
) -> None:
    broker = FakeBroker(serve_for_ever)
    async with open_tunnel(broker) as run:
        await wait_all_tasks_blocked()
        channel = broker.visits[0].channel
        assert channel is not None
        request = {"method": "POST", "query": b"", "headers": (), "body": b""}
        for _ in range(3 * MAX_STREAMS):
            stream = await channel.open(path=b"/slow", **request)
            await wait_all_tasks_blocked()
            stream.reset("cancelled")
        assert run.responder.most == 2 * MAX_STREAMS
        refused = await channel.open(path=b"/quick", **request)
        await wait_all_tasks_blocked()
        assert refused.reset_code == "route_request_limit"
        await trio.sleep(61)
        taken = await channel.open(path=b"/quick", **request)
        await wait_all_tasks_blocked()
        assert taken.take() == b"/quick"


@pytest.mark.hostile("K11")
async def test_a_bug_in_a_responder_costs_its_stream_and_no_other(caplog: Any) -> None:
    broker = FakeBroker(serve_for_ever)
    async with open_tunnel(broker) as run:
        await wait_all_tasks_blocked()
        channel = broker.visits[0].channel
        assert channel is not None
        request = {"method": "GET", "query": b"", "headers": (), "body": b""}
        wait = await channel.open(path=b"/wait", **request)
        stream = await channel.open(path=b"/bug", **request)
        await wait_all_tasks_blocked()
        assert (stream.reset_code, wait.reset_code) == ("internal_error", None)
        assert run.kinds == ["Connecting", "Opened"]
    assert "a responder failed" in caplog.text


async def test_a_bug_in_a_tunnel_costs_the_link_and_not_the_process(
    autojump_clock: MockClock, caplog: Any
) -> None:
    bugs: list[Any] = [RuntimeError("a bug")]
    broker = FakeBroker(*bugs, serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(5)
        assert run.kinds == ["Connecting", "Lost", "Connecting", "Opened"]
    assert "the tunnel failed" in caplog.text


async def test_a_slug_is_reserved_without_serving_it() -> None:
    claims: list[Any] = []

    async def behave(visit: Visit) -> None:
        await visit.register()
        claims.append(visit.claim)

    assert await claim_route(PLAN, FakeBroker(behave).dial) == URL
    assert claims[0].claim_only
    with pytest.raises(RegistrationRefused):
        await claim_route(PLAN, FakeBroker(refuse_with("route_slug_taken")).dial)
    with pytest.raises(NoLink):
        await claim_route(PLAN, FakeBroker(hang_up).dial)


# --- Coming back ----------------------------------------------------------------------------
async def test_it_is_tried_for_ever_with_longer_and_longer_pauses(
    autojump_clock: MockClock,
) -> None:
    broker = FakeBroker(no_link())
    async with open_tunnel(broker) as run:
        await trio.sleep(3600)
    assert broker.pauses[0] < 2
    assert 100 < len(broker.dialled_at) < 1000
    assert max(broker.pauses) <= 30.001
    assert run.lost[0].reason == f"{BROKER}: nobody listens there"
    assert run.lost[0].retry_seconds == pytest.approx(broker.pauses[0])


@pytest.mark.hostile("T04")
async def test_a_broker_that_is_killed_and_starts_again_has_its_host_back_soon(
    autojump_clock: MockClock,
) -> None:
    broker = FakeBroker(serve_for(60), no_link(), no_link(), serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(120)
        assert run.kinds[-1] == "Opened"
        lost_at = next(at for at, event in run.events if isinstance(event, Lost))
        assert run.events[-1][0] - lost_at < 10


@pytest.mark.hostile("T15")
async def test_fifty_cuts_in_a_row_make_no_storm(autojump_clock: MockClock) -> None:
    broker = FakeBroker(serve_for(0.2))
    async with open_tunnel(broker) as run:
        await trio.sleep(60)
    assert 3 <= len(broker.dialled_at) < 50
    assert run.kinds[:6] == ["Connecting", "Opened", "Lost"] * 2


async def test_after_a_good_link_the_next_attempt_is_soon(autojump_clock: MockClock) -> None:
    broker = FakeBroker(*[no_link()] * 8, serve_for(10), serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(400)
    assert max(broker.pauses[:8]) > 4
    assert run.lost[-1].retry_seconds < 2


@pytest.mark.parametrize("behaviour", [say_nothing, hang_up])
async def test_a_broker_that_does_not_register_is_tried_again(
    behaviour: Behaviour, autojump_clock: MockClock
) -> None:
    broker = FakeBroker(behaviour, serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(REGISTER_SECONDS + 5)
        assert run.kinds == ["Connecting", "Lost", "Connecting", "Opened"]


async def test_a_broker_that_says_when_is_asked_then(autojump_clock: MockClock) -> None:
    broker = FakeBroker(
        refuse_with("rate_limited", retry_after_s=120),
        refuse_with("overloaded", retry_after_s=10**7),
        serve_for_ever,
    )
    async with open_tunnel(broker) as run:
        await trio.sleep(4000)
        assert run.kinds[-1] == "Opened"
    assert broker.pauses == pytest.approx([120, LONGEST_PAUSE_SECONDS])
    assert "no such luck" in run.lost[0].reason


async def test_a_broker_that_restarts_says_when_to_come_back(autojump_clock: MockClock) -> None:
    async def restart(visit: Visit) -> None:
        channel = await visit.register()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            await trio.sleep(20)
            channel.go_away("going_away", return_after_ms=7_000)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()

    broker = FakeBroker(restart, serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(60)
    assert run.lost == [Lost("the broker goes away for a while", 7.0)]


async def test_a_broker_that_goes_away_and_does_not_is_left(autojump_clock: MockClock) -> None:
    async def linger(visit: Visit) -> None:
        channel = await visit.register()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            channel.go_away("going_away")
            await trio.sleep_forever()

    broker = FakeBroker(linger, serve_for_ever)
    async with open_tunnel(broker):
        await trio.sleep(LEAVE_SECONDS + 5)
    assert len(broker.dialled_at) == 2


@pytest.mark.hostile("W09", "T16")
async def test_a_silent_broker_is_noticed_in_time(autojump_clock: MockClock) -> None:
    async def fall_silent(visit: Visit) -> None:
        channel = await visit.register()
        visit.transport.is_silent = True
        await channel.run()

    broker = FakeBroker(fall_silent, serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(50)
    at, lost = next((at, event) for at, event in run.events if isinstance(event, Lost))
    assert at <= PING_SECONDS + PONG_SECONDS + PING_SECONDS <= 40
    assert isinstance(lost, Lost)
    assert lost.reason == "the broker went silent"


@pytest.mark.hostile("K10")
async def test_after_a_laptops_sleep_the_room_is_back_within_15_seconds(
    autojump_clock: MockClock,
) -> None:
    async def die_in_its_sleep(visit: Visit) -> None:
        channel = await visit.register()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            await trio.sleep(100)
            visit.transport.is_silent = True
            run.suspended_seconds += 600
            await trio.sleep_forever()

    broker = FakeBroker(die_in_its_sleep, serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(115)
        assert run.kinds[-2:] == ["Connecting", "Opened"]


async def test_a_sleep_ends_a_long_pause(autojump_clock: MockClock) -> None:
    broker = FakeBroker(refuse_with("rate_limited", retry_after_s=3000), serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(100)
        run.suspended_seconds += 600
        await trio.sleep(5)
        assert run.kinds[-1] == "Opened"


@pytest.mark.hostile("W06")
@pytest.mark.parametrize("code", sorted(FAULT_CODES))
async def test_after_a_fault_of_ours_it_stays_away_and_comes_back_by_itself(
    code: str, autojump_clock: MockClock
) -> None:
    broker = FakeBroker(end_with(code), serve_for_ever)
    async with open_tunnel(broker) as run:
        await trio.sleep(FAULT_PAUSE_SECONDS + 5)
        assert run.kinds == ["Connecting", "Opened", "Lost", "Connecting", "Opened"]
    [lost] = run.lost
    assert lost.reason == f"the broker ended the link for a fault of this program ({code})"
    assert lost.retry_seconds == FAULT_PAUSE_SECONDS
    [pause] = broker.pauses
    assert pause > FAULT_PAUSE_SECONDS


# --- In vain --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "code",
    ["slug_forbidden", "route_slug_taken", "invalid_registration", "route_expired", "new_code"],
)
async def test_a_final_refusal_ends_it_with_its_reason(
    code: str, autojump_clock: MockClock
) -> None:
    broker = FakeBroker(refuse_with(code))
    run = await run_to_end(broker)
    assert run.ended is not None
    assert run.ended.code == code
    assert "no such luck" in run.ended.reason
    assert len(broker.dialled_at) == 1


@pytest.mark.hostile("T02")
@pytest.mark.parametrize("code", ["superseded", "route_expired"])
async def test_whoever_is_replaced_or_over_does_not_fight_back(
    code: str, autojump_clock: MockClock
) -> None:
    broker = FakeBroker(end_with(code))
    run = await run_to_end(broker)
    assert run.ended is not None
    assert (run.ended.code, len(broker.dialled_at)) == (code, 1)


@pytest.mark.hostile("T21")
@pytest.mark.parametrize(
    "url",
    [
        *("http://rooms.example/review", "https://rooms.example/other", "https://rooms.example/"),
        *("https://u:p@rooms.example/review", "javascript:alert(1)//review", "review", ""),
        *("https://rooms.example/review?x", 'https://rooms.example/"$(id)/review'),
        *("https://rooms.example/a b/review", "https://rooms.example/review\n", "file:///review"),
    ],
)
async def test_a_public_url_that_no_room_can_have_ends_it(url: str) -> None:
    with pytest.raises(BadPublicUrl):
        check_public_url(url, "review")

    async def lie(visit: Visit) -> None:
        await visit.register(public_url=url)
        await trio.sleep_forever()

    run = await run_to_end(FakeBroker(lie))
    assert run.ended is not None
    assert run.ended.code == "bad_broker"
    assert run.responder.public_urls == []
    assert run.kinds == ["Connecting"]


def test_a_public_url_is_taken_in_normal_form() -> None:
    assert check_public_url("https://Rooms.Example/a/review/", "review") == (
        "https://rooms.example/a/review"
    )
    assert check_public_url("http://127.0.0.1:8799/review", "review").startswith("http:")


async def hold_wait(broker: FakeBroker) -> tuple[Channel, Stream]:
    """Have the host of the first link hold a wait."""
    await trio.sleep(1)
    channel = broker.visits[0].channel
    assert channel is not None
    wait = await channel.open(method="GET", path=b"/wait", query=b"", headers=(), body=b"")
    await trio.sleep(1)
    return channel, wait


# --- Stopping -------------------------------------------------------------------------------
async def test_stopping_lets_what_is_in_flight_end(autojump_clock: MockClock) -> None:
    broker = FakeBroker(serve_for_ever)
    async with open_tunnel(broker) as run:
        channel, wait = await hold_wait(broker)
        run.stop.set()
        await trio.sleep(1)
        assert wait.reset_code is None
        assert not channel.is_open
        wait.reset("cancelled")
        await trio.sleep(0.1)
        assert run.ended == STOPPED


async def test_stopping_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    broker = FakeBroker(serve_for_ever)
    async with open_tunnel(broker) as run:
        _, wait = await hold_wait(broker)
        before = trio.current_time()
        run.stop.set()
    assert run.ended == STOPPED
    assert trio.current_time() - before <= STOP_SECONDS + 3
    assert wait.reset_code is not None
    assert run.responder.held == 0


@pytest.mark.parametrize("behaviour", [say_nothing, no_link()])
async def test_stopping_ends_an_attempt_and_a_pause_at_once(
    behaviour: Any, autojump_clock: MockClock
) -> None:
    broker = FakeBroker(behaviour)
    async with open_tunnel(broker) as run:
        await trio.sleep(0.1)
        run.stop.set()
        before = trio.current_time()
    assert trio.current_time() == before
    assert run.ended == STOPPED


async def test_cancelling_ends_every_task(autojump_clock: MockClock) -> None:
    broker = FakeBroker(serve_for_ever)
    run = Run()
    with trio.move_on_after(5):
        await run.run(broker)
    assert run.ended is None


# --- An older broker ------------------------------------------------------------------------
class OlderDouble:
    """An attempt at an older broker, without one."""

    def __init__(self, made: list["OlderDouble"]) -> None:
        made.append(self)
        self.opened_at: float | None = None
        self._over = trio.Event()

    async def run(self, on_open: Callable[[str], None]) -> LinkEnd | None:
        self.opened_at = trio.current_time()
        on_open(URL)
        with trio.move_on_after(60):
            await self._over.wait()
        return LinkEnd("heartbeat_timeout", by_peer=False)

    async def stop(self) -> None:
        self._over.set()

    def suspect(self) -> None:
        pass


async def test_an_older_broker_is_polled_and_asked_each_time_whether_it_still_is_one(
    autojump_clock: MockClock,
) -> None:
    refusal = b'{"ok":false,"error":"unsupported_route","message":"Unsupported host route."}'
    older: list[OlderDouble] = []
    broker = FakeBroker(no_link("HTTP 405", 405, refusal), serve_for_ever)
    async with open_tunnel(broker, older=lambda _plan, _responder: OlderDouble(older)) as run:
        await trio.sleep(70)
        assert run.kinds == ["Connecting", "Opened", "Lost", "Connecting", "Opened"]
    assert len(older) == 1


async def test_what_is_no_broker_at_all_is_not_polled(autojump_clock: MockClock) -> None:
    broker = FakeBroker(no_link("HTTP 404", 404, b"<html>"))
    async with open_tunnel(broker, older=lambda *_: pytest.fail("polled")):
        await trio.sleep(5)


def test_no_secret_is_in_what_is_printed_of_a_plan() -> None:
    assert SECRET not in repr(PLAN)
    assert "agr_token" not in repr(PLAN)
    assert "agr_token" not in str(Registered(public_url=URL, lease_seconds=1, lifetime_seconds=1))
