"""Now, in both clocks."""

import time

import trio

from agentgather.domain.text import Moment


def read_clock() -> Moment:
    """Give Trio's clock for durations and the machine's for display."""
    return Moment(trio.current_time(), time.time_ns() // 1_000_000)
