"""The CPU that a room's server takes: at rest, where it lies most of its life, and under load."""

import subprocess
import time
from typing import Final

from tests.bench.figures import CORE, Figure, Row, Rows
from tests.bench.processes import client, cpu_seconds, room_of, served

SETTLED_SECONDS: Final = 3
"""A second after the start the page's renderer is loaded."""
HELD: Final = 1_000
HOLD_SECONDS: Final = 25
"""In so long, each wait that is held ends once and is asked again."""
AT_REST: Final = "caches that others have used meanwhile, and a wake-up of each of two threads"
UNDER_LOAD: Final = "HTTP above all: see where the time goes"


def measure_cpu(*, quick: bool) -> Rows:
    with room_of(1_000) as home, served(home) as (port, server, _):
        time.sleep(SETTLED_SECONDS)
        yield from measure_idle(port, server, 3 if quick else 10)
        yield from measure_messages(port, server, quick=quick)


def measure_idle(port: int, server: subprocess.Popen[bytes], seconds: float) -> Rows:
    before = cpu_seconds(server.pid)
    time.sleep(seconds)
    taken = cpu_seconds(server.pid) - before
    yield Row(
        "an idle room",
        (Figure("", 100 * taken / seconds, CORE),),
        "nothing runs: no timer of the room is due",
    )
    held = client("hold", port, HELD, HOLD_SECONDS, server.pid, module="wait_load")
    yield Row(
        f"an idle room with {HELD:,} held waits",
        (
            Figure("", 100 * held["cpu_s"] / held["seconds"], CORE),
            Figure("asked again", held["asked_again"], ""),
        ),
        f"each hold ends after {HOLD_SECONDS} s, and the wait is asked again: "
        f"{1e6 * held['cpu_s'] / max(1, held['asked_again']):.0f} µs for each",
    )


def measure_messages(port: int, server: subprocess.Popen[bytes], *, quick: bool) -> Rows:
    """The server's CPU for each; a load that is at rest pauses between two."""
    slow, seconds = (5, 1) if quick else (20, 4)
    loads: tuple[tuple[str, str, tuple[object, ...], str], ...] = (
        ("1 a second", "paced_load", (port, slow, 1, "posts"), AT_REST),
        ("20 a second", "paced_load", (port, slow // 2, 20, "posts"), AT_REST),
        ("1 sender without a pause", "clients", ("posts", port, 1, seconds), UNDER_LOAD),
        ("32 senders without a pause", "clients", ("posts", port, 32, seconds), UNDER_LOAD),
    )
    for name, module, arguments, limit in loads:
        result = client(*arguments, module=module, server=server.pid)
        yield Row(
            f"a message, {name}",
            (Figure("", result["cpu_us"], "µs"),),
            limit,
        )
