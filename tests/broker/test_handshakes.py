"""Hosts on their way to a registration: how many at once, and how often in vain."""

from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from agentgather.broker.handshakes import Handshakes
from agentgather.wire.errors import Unavailable
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
        self.handshakes = Handshakes(self._note)

    def _note(self) -> None:
        self.late += 1

    async def come(self, client: str = HOME, *, is_vain: bool = True) -> float:
        """Come and go; say how long it took to be let in."""
        started = trio.current_time()
        async with self.handshakes.open(client) as handshake:
            handshake.is_vain = is_vain
            return trio.current_time() - started

    async def refused(self, client: str) -> Unavailable:
        with pytest.raises(Unavailable) as caught:
            await self.come(client)
        return caught.value


async def test_who_comes_in_vain_waits_from_the_next_time_on(autojump_clock: MockClock) -> None:
    """W06: at the bound, and one past it."""
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


async def test_an_address_has_half_of_all_places(autojump_clock: MockClock) -> None:  # W06
    hall = Hall()
    async with AsyncExitStack() as stack:
        for _ in range(MAX_PENDING_PER_CLIENT):
            await stack.enter_async_context(hall.handshakes.open(HOME))
        refusal = await hall.refused(HOME)
        assert refusal.code == "overloaded"
        assert refusal.retry_after is not None
        for _ in range(MAX_PENDING - MAX_PENDING_PER_CLIENT):
            await stack.enter_async_context(hall.handshakes.open(AWAY))
        assert (await hall.refused(ELSEWHERE)).code == "overloaded"
    assert await hall.come(ELSEWHERE) == 0


async def test_a_wait_that_is_cancelled_gives_its_place_back(autojump_clock: MockClock) -> None:
    hall = Hall()
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        await hall.come()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_PENDING_PER_CLIENT):
            nursery.start_soon(hall.come)
        await trio.testing.wait_all_tasks_blocked()
        assert (await hall.refused(HOME)).code == "overloaded"
        nursery.cancel_scope.cancel()
    assert await hall.come() == pytest.approx(VAIN_WAIT_SECONDS)
