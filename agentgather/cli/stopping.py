"""What all long-lived commands do alike: what they say of faults, and how a signal stops them."""

import logging
import os
from collections.abc import AsyncIterator

import trio


def say_faults() -> None:
    """Have warnings and errors of the parts below told on standard error."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)


async def stop_on_signal(signals: AsyncIterator[int], stop: trio.Event) -> None:
    """Set ``stop`` at the first of the signals. A second one ends the process."""
    async for number in signals:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
