"""The CPU that a room's server takes: at rest, where it lies most of its life, and under load."""

import time
from typing import Final

from tests.bench.figures import CORE, Figure, Row, Rows
from tests.bench.processes import client, cpu_seconds, room_of, served

SETTLED_SECONDS: Final = 3
"""A second after the start the page's renderer is loaded."""
HELD: Final = 1_000
HOLD_SECONDS: Final = 25
LATE_SECONDS: Final = 3
"""In the length of a hold and so long, each wait ends once and is asked again, also the last."""
AT_REST: Final = "caches that others have used meanwhile, and a wake-up of each of two threads"
UNDER_LOAD: Final = "HTTP above all: see where the time goes"


def measure_cpu(*, quick: bool) -> Rows:
    with room_of(1_000) as home, served(home) as (port, server, _):
        time.sleep(SETTLED_SECONDS)
        idle = idle_share(server.pid, 5 if quick else 10)
        yield Row(
            "an idle room",
            (Figure("", 100 * idle, CORE),),
            "twice a second it looks whether another process has made it public",
        )
        yield from measure_messages(port, server.pid, idle, quick=quick)
        # Last: a thousand connections that have ended are still work for a while.
        seconds = HOLD_SECONDS + LATE_SECONDS
        held = client("hold", port, HELD, seconds, server.pid, module="wait_load")
        each = (held["cpu_s"] - idle * held["seconds"]) / held["asked_again"]
        yield Row(
            f"an idle room with {HELD:,} held waits",
            (Figure("", 100 * (idle + each * HELD / HOLD_SECONDS), CORE),),
            f"each ends after {HOLD_SECONDS} s and is asked again: {1e6 * each:.0f} µs for it",
        )


def idle_share(pid: int, seconds: float) -> float:
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds


def measure_messages(port: int, pid: int, idle: float, *, quick: bool) -> Rows:
    """The server's CPU for each; of a load with pauses, what the idle room takes is no part."""
    slow, seconds = (5, 1) if quick else (15, 3)
    for per_second, length in ((1, slow), (20, slow // 2)):
        result = client(port, length, per_second, "posts", module="paced_load", server=pid)
        each = result["cpu_us"] - 1e6 * idle / per_second
        yield Row(f"a message, {per_second} a second", (Figure("", each, "µs"),), AT_REST)
    for senders in (1, 32):
        result = client("posts", port, senders, seconds, server=pid)
        yield Row(
            f"a message, {senders} at once without a pause",
            (Figure("", result["cpu_us"], "µs"),),
            UNDER_LOAD,
        )
