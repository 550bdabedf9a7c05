"""Hosts on their way to a registration: how many at once, and how often in vain."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.broker.handshakes import Handshakes
from agentgather.link.transport import LinkClosed
from agentgather.wire.errors import PeerViolation, Unavailable
from agentgather.wire.limits import (
    MAX_PENDING,
    MAX_PENDING_PER_CLIENT,
    RATE_WINDOW_SECONDS,
    VAIN_HANDSHAKES_PER_WINDOW,
    VAIN_WAIT_SECONDS,
)

HOME, AWAY, ELSEWHERE = "192.0.2.1", "198.51.100.1", "203.0.113.1"


class Hall:
    """Handshakes, and how many of them were told to be late."""

    def __init__(self) -> None:
        self.late = 0
        self.put_out: list[str] = []
        self.handshakes = Handshakes(self._note)

    def _note(self) -> None:
        self.late += 1

    async def come(
        self, client: str = HOME, *, is_vain: bool = True, leaves: trio.Event | None = None
    ) -> float:
        """Come and go; say how long it took to be let in."""
        started = trio.current_time()
        wait_left = trio.sleep_forever if leaves is None else leaves.wait
        async with self.handshakes.open(client, wait_left) as handshake:
            handshake.is_vain = is_vain
            return trio.current_time() - started

    async def stay(self, client: str) -> None:
        """Come, and be silent until the place goes to somebody else."""
        with pytest.raises(PeerViolation) as caught:
            async with self.handshakes.open(client, trio.sleep_forever):
                await trio.sleep_forever()
        assert caught.value.code == "heartbeat_timeout"
        self.put_out.append(client)

    async def refused(self, client: str) -> Unavailable:
        with pytest.raises(Unavailable) as caught:
            await self.come(client)
        return caught.value


@pytest.mark.hostile("W06")
async def test_who_comes_in_vain_waits_from_the_next_time_on(autojump_clock: MockClock) -> None:
    """At the bound, and one past it."""
    hall = Hall()
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        assert await hall.come() == 0
    assert await hall.come() == pytest.approx(VAIN_WAIT_SECONDS)
    assert await hall.come(AWAY) == 0
    assert hall.late == 1
    await trio.sleep(RATE_WINDOW_SECONDS + 1)
    assert await hall.come() == 0


async def test_who_registers_never_waits(autojump_clock: MockClock) -> None:
    hall = Hall()
    for _ in range(1000):
        assert await hall.come(is_vain=False) == 0


@pytest.mark.hostile("W06")
async def test_an_address_has_half_of_all_places(mock_clock: MockClock) -> None:
    hall = Hall()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_PENDING_PER_CLIENT):
            nursery.start_soon(hall.stay, HOME)
        await wait_all_tasks_blocked()
        refusal = await hall.refused(HOME)
        assert refusal.code == "overloaded"
        assert refusal.retry_after is not None
        assert await hall.come(AWAY) == 0
        assert not hall.put_out
        nursery.cancel_scope.cancel()
    assert not len(hall.handshakes)


@pytest.mark.hostile("W06")
async def test_addresses_that_stay_silent_shut_nobody_out() -> None:
    """Two of them have all places: each newcomer gets one of whoever has most of them."""
    hall = Hall()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_PENDING_PER_CLIENT):
            nursery.start_soon(hall.stay, HOME)
        for _ in range(MAX_PENDING - MAX_PENDING_PER_CLIENT):
            nursery.start_soon(hall.stay, AWAY)
        await wait_all_tasks_blocked()
        assert len(hall.handshakes) == MAX_PENDING
        for number in range(10):
            nursery.start_soon(hall.stay, f"203.0.113.{number}")
        await wait_all_tasks_blocked()
        assert len(hall.handshakes) == MAX_PENDING
        assert sorted(hall.put_out) == [HOME] * 5 + [AWAY] * 5
        nursery.cancel_scope.cancel()
    assert not len(hall.handshakes)


async def test_equals_do_not_put_out_one_another() -> None:
    """A thousand hosts come back at once after a restart: the last ones come again later."""
    hall = Hall()
    async with trio.open_nursery() as nursery:
        for number in range(MAX_PENDING):
            nursery.start_soon(hall.stay, f"10.0.{number // 256}.{number % 256}")
        await wait_all_tasks_blocked()
        assert (await hall.refused(ELSEWHERE)).code == "overloaded"
        assert not hall.put_out
        nursery.cancel_scope.cancel()


async def test_one_place_more_than_the_newcomer_will_have_is_one_to_give_up() -> None:
    hall = Hall()
    async with trio.open_nursery() as nursery:
        for number in range(MAX_PENDING - 2):
            nursery.start_soon(hall.stay, f"10.0.{number // 256}.{number % 256}")
        for _ in range(2):
            nursery.start_soon(hall.stay, HOME)
        await wait_all_tasks_blocked()
        nursery.start_soon(hall.stay, ELSEWHERE)
        await wait_all_tasks_blocked()
        assert hall.put_out == [HOME]
        # Now all have one each, and a second one of anybody's would be more than others have.
        assert (await hall.refused(ELSEWHERE)).code == "overloaded"
        assert hall.put_out == [HOME]
        nursery.cancel_scope.cancel()


async def test_a_place_that_is_lost_while_one_waits_is_refused(autojump_clock: MockClock) -> None:
    hall = Hall()
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        await hall.come()
        await hall.come(AWAY)
    refusals: list[Unavailable] = []

    async def wait_in_vain() -> None:
        refusals.append(await hall.refused(HOME))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_in_vain)
        await wait_all_tasks_blocked()
        for _ in range(MAX_PENDING_PER_CLIENT - 1):
            nursery.start_soon(hall.come, HOME)
        for _ in range(MAX_PENDING - MAX_PENDING_PER_CLIENT):
            nursery.start_soon(hall.come, AWAY)
        await wait_all_tasks_blocked()
        assert await hall.come(ELSEWHERE) == 0
        await wait_all_tasks_blocked()
        assert [refusal.code for refusal in refusals] == ["overloaded"]
        nursery.cancel_scope.cancel()
    assert not len(hall.handshakes)


async def test_who_leaves_while_it_waits_gives_its_place_back(autojump_clock: MockClock) -> None:
    hall = Hall()
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        await hall.come()
    leaves = trio.Event()
    async with trio.open_nursery() as nursery:

        async def come_and_leave() -> None:
            with pytest.raises(LinkClosed):
                await hall.come(leaves=leaves)

        nursery.start_soon(come_and_leave)
        await wait_all_tasks_blocked()
        assert len(hall.handshakes) == 1
        leaves.set()
        await wait_all_tasks_blocked()
        assert trio.current_time() < VAIN_WAIT_SECONDS
        assert not len(hall.handshakes)


async def test_a_wait_that_is_cancelled_gives_its_place_back(autojump_clock: MockClock) -> None:
    hall = Hall()
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        await hall.come()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_PENDING_PER_CLIENT):
            nursery.start_soon(hall.come)
        await wait_all_tasks_blocked()
        assert (await hall.refused(HOME)).code == "overloaded"
        nursery.cancel_scope.cancel()
    assert await hall.come() == pytest.approx(VAIN_WAIT_SECONDS)
