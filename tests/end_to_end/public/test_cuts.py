"""The tunnel is cut fifty times while people write and wait: nothing is lost, nothing twice."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.bench.seeds import ROOM, seed_room, token
from tests.doubles.cutting_proxy import CuttingProxy, fail, open_cutting_proxy
from tests.end_to_end.public.broker import LIFTED, Broker
from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.host import Host
from tests.end_to_end.public.oracle import Client, Oracle
from tests.end_to_end.public.ports import ReservedPort

CUTS = 50
WRITERS = 12
WRITER_PAUSE_SECONDS = 0.9
"""For each, in all about twelve a second; a participant may post 120 times a minute."""
LOUD, QUIET = 10, 15
"""Seats, of four waits each: those that every message wakes, and those that nothing does."""
LIVE_SECONDS = 0.25
KNOWN_SECONDS = 5
"""It takes a tenth of a second, and a hundred waits more on a slow machine."""
PATIENCE_SECONDS = 30


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with ExitStack() as stack:
        port, metrics_port = (stack.enter_context(ReservedPort()) for _ in range(2))
        made = Broker(
            tmp_path,
            f"http://127.0.0.1:{port}",
            port=port,
            metrics_port=metrics_port,
            options=LIFTED,
        )
        stack.callback(made.end)
        made.start()
        yield made


async def until(what: Callable[[], object]) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while not await trio.to_thread.run_sync(what):  # noqa: ASYNC110 - processes tell nobody
            await trio.sleep(0.02)


async def link_is_up(broker: Broker, proxy: CuttingProxy, number: int) -> None:
    """Wait for the link of that number, and see that it is the only one."""
    await until(lambda: proxy.passed >= number and broker.metric("links") == 1)
    assert len(proxy) == 1


@pytest.mark.hostile("T14", "T15")
@pytest.mark.slow
async def test_fifty_cuts_under_load_lose_nothing(tmp_path: Path, broker: Broker) -> None:
    async with open_cutting_proxy(broker.port) as proxy:
        host = Host(tmp_path / "host", ROOM, f"http://127.0.0.1:{proxy.port}", {}, is_quick=True)
        seed_room(host.home, 0, 1 + WRITERS + LOUD + QUIET)
        try:
            await trio.to_thread.run_sync(host.opens)
            await load_and_cut(host, broker, proxy)
        finally:
            host.end()


async def load_and_cut(host: Host, broker: Broker, proxy: CuttingProxy) -> None:
    descriptors = host.up.descriptors(), broker.descriptors()
    oracle = Oracle()
    cuts: list[float] = []

    def client(seat: int) -> Client:
        return Client(broker.port, f"/{ROOM}", token(seat))

    async with trio.open_nursery() as waiting:
        for seat in range(WRITERS + 1, WRITERS + 1 + LOUD + QUIET):
            query = "" if seat <= WRITERS + LOUD else "&for=me"
            for turn in range(4):
                waiting.start_soon(oracle.wait, client(seat), f"p{seat}/{turn}", query)
        async with trio.open_nursery() as writing:
            for seat in range(1, WRITERS + 1):
                writing.start_soon(
                    oracle.write,
                    client(seat),
                    f"p{seat}",
                    WRITER_PAUSE_SECONDS,
                    lambda: len(cuts) < CUTS,
                )
            for number in range(CUTS):
                await link_is_up(broker, proxy, number + 1)
                await trio.sleep(LIVE_SECONDS)
                cuts.append(trio.current_time())
                await fail(proxy, number)
        await link_is_up(broker, proxy, CUTS + 1)
        await trio.to_thread.run_sync(partial(host.terminal.run, "room", "close"))

    log = host.log()
    assert oracle.faults(log) == []
    assert len(oracle.history.posts) >= CUTS
    assert len(oracle.history.answers) == 4 * (LOUD + QUIET)
    late = lateness(oracle, cuts)
    print(
        f"{len(cuts)} cuts in {cuts[-1] - cuts[0]:.0f} s, {len(log)} messages, "
        f"{oracle.repeated_posts} posts repeated, {oracle.idempotent} of them stored before; "
        f"{len(late)} waits failed, the last {max(late):.2f} s after its cut"
    )

    # Who was cut off knew soon, and when to come again.
    assert len(late) >= CUTS
    assert max(late) < KNOWN_SECONDS
    refused = [failure for failure in oracle.failures if failure.status == 504]
    assert refused
    assert all(int(failure.retry_after) >= 1 for failure in refused)
    # Nothing is left of fifty links: not at the host, not at the broker.
    await until(lambda: broker.metric("streams_open") == 0)
    await until(lambda: host.up.descriptors() <= descriptors[0])
    await until(lambda: broker.descriptors() <= descriptors[1])
    links = [line["event"] for line in broker.log() if line["event"].startswith("link")]
    assert links.count("link_open") - links.count("link_end") == 1
    assert Curl({})(f"{broker.url}/{ROOM}").json["host_connected"] is True


def lateness(oracle: Oracle, cuts: list[float]) -> list[float]:
    """Give how long after its cut each wait failed that was held at a cut."""
    return [
        failure.ended - moment
        for moment in cuts
        for failure in oracle.failures
        if failure.began < moment < failure.ended
    ]
