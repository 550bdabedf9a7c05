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

from tests.bench.processes import REPOSITORY, client, room_of
from tests.bench.tunnel import (
    Broker,
    Figures,
    brokered,
    cpu_seconds,
    room_served,
    until_public,
)

SLUG = "victim"
PATH = f"/{SLUG}/messages?since_id=0&limit=1"
PER_SECOND = 200
OPTIONS = ("--client-requests", "100000000", "--route-requests", "100000000")
WHATS = {
    "nothing": "a process that only takes a core",
    "pings": "pings without end, and back when it is cut",
    "fragments": "fragments of one byte, and back when it is cut",
    "comings": "comes, registers, leaves, and comes again",
    "handshakes": "shakes hands and never registers",
}


class Turn(NamedTuple):
    """One measurement. ``broker`` is what the broker took of a core."""

    p50_ms: float
    p99_ms: float
    broker: float
    done: dict[str, int]


def measure_hostile_hosts(*, quick: bool) -> Figures:
    """A broker of its own, with the limits that it has by default but for participants."""
    seconds, turns = (3, 1) if quick else (10, 5)
    with TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder:
        options = (*OPTIONS, "--trusted-proxy", "loopback")
        with (
            brokered(Path(folder) / "floods", *options) as broker,
            room_of(1_000) as home,
            room_served(broker, home, SLUG),
        ):
            until_public(broker, SLUG)
            quiet, found = [], {what: [] for what in WHATS}
            for number in range(turns):
                quiet.append(measure(broker, seconds, {}))
                for what, turn in found.items():
                    with hostile(broker, what, number, seconds) as done:
                        turn.append(measure(broker, seconds, done))
    yield "another room, quiet", figure(quiet)
    for what, turns_of_it in found.items():
        yield f"a host: {WHATS[what]}", figure(turns_of_it)


@contextmanager
def hostile(broker: Broker, what: str, number: int, seconds: float) -> Iterator[dict[str, int]]:
    """Have a host that nobody knows yet do its worst; what it did is there afterwards."""
    place = list(WHATS).index(what)
    arguments = (f"{what}-{number}", f"198.51.{place}.{number}", what, str(seconds + 1))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hostile_host", str(broker.port), *arguments],
        cwd=REPOSITORY,
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
    result = client(broker.port, seconds, PER_SECOND, PATH, module="paced_load")
    share = (cpu_seconds(pid) - before) / (time.perf_counter() - start)
    return Turn(result["p50_ms"], result["p99_ms"], share, done)


def figure(turns: list[Turn]) -> str:
    p50, p99, share = (min(turn[index] for turn in turns) for index in range(3))
    done = "".join(f", {count:,} {what}" for what, count in turns[-1].done.items())
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, the broker {share:.0%} of a core{done}"
