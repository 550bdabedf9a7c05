"""What a hostile host costs the other rooms of its broker.

A victim's room is asked at a steady pace, quiet and while one host does its worst, each in a
process of its own. The machine is noisy: of several turns the quickest counts, of either.
What the flooder's process costs by merely running is a row of its own.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bench.figures import CORE, Figure, Row, Rows
from tests.bench.processes import ROOT, client, cpu_seconds, room_of
from tests.bench.public import (
    Broker,
    brokered,
    room_served,
    until_public,
)

SLUG = "victim"
PATH = f"/{SLUG}/messages?since_id=0&limit=1"
PER_SECOND = 200
OPTIONS = ("--client-requests", "100000000", "--route-requests", "100000000")
WHATS = {
    "nothing": "process only takes a core",
    "pings": "host pings without end, and is back when it is cut",
    "fragments": "host sends fragments of one byte, and is back when it is cut",
    "comings": "host comes, registers, leaves, and comes again",
    "handshakes": "host shakes hands and never registers",
}
BOUNDED_BY = {
    "nothing": "the machine: what the flooder's process costs by merely running",
    "pings": "`MAX_CONTROL_BURST`, `FAULT_PAUSE_SECONDS`",
    "fragments": "`MAX_CONTROL_FRAMES_PER_SECOND`, `FAULT_PAUSE_SECONDS`",
    "comings": "`RETURNS_PER_WINDOW`: a registration is a millisecond of disk",
    "handshakes": "`VAIN_HANDSHAKES_PER_WINDOW`, `VAIN_WAIT_SECONDS`",
}


class Turn(NamedTuple):
    """One measurement. ``broker`` is what the broker took of a core."""

    p50_ms: float
    p99_ms: float
    broker: float
    done: dict[str, int]


def measure_hostile_hosts(*, quick: bool) -> Rows:
    """A broker of its own, with the limits that it has by default but for participants."""
    seconds, turns = (3, 1) if quick else (5, 3)
    with TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder:
        options = (*OPTIONS, "--trusted-proxy", "loopback")
        with (
            brokered(Path(folder) / "floods", *options) as broker,
            room_of(1_000) as home,
            room_served(broker, home, SLUG),
        ):
            until_public(broker, SLUG)
            quiet: list[Turn] = []
            found: dict[str, list[Turn]] = {what: [] for what in WHATS}
            for number in range(turns):
                quiet.append(measure(broker, seconds, {}))
                for what, turn in found.items():
                    with hostile(broker, what, number, seconds) as done:
                        turn.append(measure(broker, seconds, done))
    yield row("another room of the broker, nobody hostile", quiet, None, "")
    for what, turns_of_it in found.items():
        most = 2 * min(turn.p99_ms for turn in quiet)
        yield row(f"another room while one {WHATS[what]}", turns_of_it, most, BOUNDED_BY[what])


@contextmanager
def hostile(broker: Broker, what: str, number: int, seconds: float) -> Iterator[dict[str, int]]:
    """Have a host that nobody knows yet do its worst; what it did is there afterwards."""
    place = list(WHATS).index(what)
    arguments = (f"{what}-{number}", f"198.51.{place}.{number}", what, str(seconds + 1))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hostile_host", str(broker.port), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    done: dict[str, int] = {}
    yield done
    done.update(json.loads(process.communicate()[0]))


def measure(broker: Broker, seconds: float, done: dict[str, int]) -> Turn:
    pid = broker.process.pid
    before, start = cpu_seconds(pid), time.perf_counter()
    result = client(broker.port, seconds, PER_SECOND, "gets", PATH, module="paced_load")
    share = (cpu_seconds(pid) - before) / (time.perf_counter() - start)
    return Turn(result["p50_ms"], result["p99_ms"], share, done)


def row(what: str, turns: list[Turn], most_p99_ms: float | None, bounded_by: str) -> Row:
    figures = (
        Figure("p50", min(turn.p50_ms for turn in turns), "ms"),
        Figure("p99", min(turn.p99_ms for turn in turns), "ms", most_p99_ms),
        Figure("the broker", 100 * min(turn.broker for turn in turns), CORE),
        *(Figure(deed, count, "") for deed, count in turns[-1].done.items()),
    )
    return Row(what, figures, bounded_by)
