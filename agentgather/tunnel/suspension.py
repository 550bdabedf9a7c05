"""Notices that this process did not run for a while: a laptop's sleep, a SIGSTOP."""

import time
from collections.abc import Callable
from typing import Final

import trio

LOOK_SECONDS: Final = 2
"""Between two looks; a wake-up is noticed within it."""
GAP_SECONDS: Final = 5
"""A process under load may be late by less."""


def suspended_seconds() -> float:
    """Say how long this machine has slept, from some moment on.

    ``CLOCK_MONOTONIC`` stands still meanwhile, so no deadline passes and nobody notices.
    Where there is no clock that goes on, it is wall time: setting that by hand looks like
    a sleep, which costs one ping.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    now = time.time() if boottime is None else time.clock_gettime(boottime)
    return now - time.monotonic()


async def watch_suspension(
    on_wake: Callable[[], None], *, suspended: Callable[[], float] = suspended_seconds
) -> None:
    """Call ``on_wake`` after each gap, until cancelled."""
    before = suspended()
    while True:
        due = trio.current_time() + LOOK_SECONDS
        await trio.sleep_until(due)
        now = suspended()
        # Stopped by a signal, our own clock went on, and the look comes late.
        if now - before > GAP_SECONDS or trio.current_time() - due > GAP_SECONDS:
            on_wake()
        before = now
