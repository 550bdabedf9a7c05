"""Noticing that this process did not run for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.tunnel.suspension import (
    GAP_SECONDS,
    LOOK_SECONDS,
    suspended_seconds,
    watch_suspension,
)


class Machine:
    """A machine that may sleep. Its monotonic clock does not notice."""

    def __init__(self) -> None:
        self.slept = 1000.0
        self.wakes: list[float] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await watch_suspension(
                    lambda: self.wakes.append(trio.current_time()), suspended=lambda: self.slept
                )

            nursery.start_soon(watch)
            yield
            nursery.cancel_scope.cancel()


async def test_a_machine_that_does_not_sleep_is_not_woken(autojump_clock: MockClock) -> None:
    machine = Machine()
    async with machine.watched():
        await trio.sleep(3600)
        # Clocks differ a little, and a step of that size is no sleep.
        machine.slept += GAP_SECONDS
        await trio.sleep(3600)
    assert machine.wakes == []


@pytest.mark.hostile("K10")
async def test_a_sleep_is_noticed_once_and_soon(autojump_clock: MockClock) -> None:
    machine = Machine()
    async with machine.watched():
        await trio.sleep(100)
        machine.slept += 600
        await trio.sleep(100)
    [woken_at] = machine.wakes
    assert 100 <= woken_at <= 100 + LOOK_SECONDS


@pytest.mark.hostile("K04", "K10")
async def test_a_process_that_was_stopped_notices_by_its_own_clock(mock_clock: MockClock) -> None:
    machine = Machine()
    async with machine.watched():
        await wait_all_tasks_blocked()
        # SIGSTOP: the clock goes on, and the process does not.
        mock_clock.jump(LOOK_SECONDS + GAP_SECONDS + 1)
        await wait_all_tasks_blocked()
        mock_clock.jump(LOOK_SECONDS)
        await wait_all_tasks_blocked()
    assert len(machine.wakes) == 1


def test_this_machine_has_not_slept_since_a_moment_ago() -> None:
    before = suspended_seconds()
    assert abs(suspended_seconds() - before) < 1
