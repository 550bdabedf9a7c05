"""How a signal stops what runs under Trio: in order, and at a second one at once."""

import os
from collections.abc import AsyncIterator

import trio


async def stop_on_signal(signals: AsyncIterator[int], stop: trio.Event) -> None:
    """Set ``stop`` at the first of the signals. A second one ends the process."""
    async for number in signals:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
