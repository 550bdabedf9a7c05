"""Virtual time beside a real disk.

trio's autojump takes a wait for the room's writer thread for a wait for time, and jumps.
Here time jumps only while the writer and the renderer have nothing to do.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.domain.text import Moment
from agentgather.server.live_room import LiveRoom

START_MS = 1_767_323_045_000
"""2026-01-02T03:04:05.000Z."""
_CUSHION_SECONDS = 0.001
_STUCK_SECONDS = 5


def run_in_virtual_time(
    main: Callable[..., Awaitable[Any]], *, clock: Any = None, instruments: Sequence[Any] = ()
) -> Any:
    """Stand in for ``trio.run``. Nobody moves the clock but :func:`jump_when_idle`."""
    return trio.run(main, clock=clock or MockClock(), instruments=instruments)


VIRTUAL_TIME = pytest.mark.trio(run=run_in_virtual_time)


class RoomClock:
    """What a room takes for now: the virtual clock, and a wall clock that tests may step."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def __call__(self) -> Moment:
        now = trio.current_time()
        return Moment(now, START_MS + round(now * 1000) + self.offset_ms)


async def jump_when_idle(rooms: list[LiveRoom]) -> None:
    """Jump to the next deadline whenever every task waits and no room's thread has work."""
    clock: Any = trio.lowlevel.current_clock()  # type: ignore[attr-defined]
    stuck_since: float | None = None
    while True:
        # More than the cushion of a test that itself waits until all are blocked.
        await wait_all_tasks_blocked(_CUSHION_SECONDS)
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if seconds < float("inf") and not any(
            room.commit._staged or room.rendering.busy for room in rooms
        ):
            clock.jump(max(0.0, seconds))
            stuck_since = None
            continue
        stuck_since = stuck_since or time.monotonic()
        assert time.monotonic() - stuck_since < _STUCK_SECONDS, "every task waits for ever"
