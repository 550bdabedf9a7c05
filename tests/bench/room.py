"""One room, served on this machine: posts, waits, reads, and its end."""

import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from tests.bench.clients import connect, get_request, is_whole, last_id
from tests.bench.disk import synced_writes
from tests.bench.figures import TIMES, Figure, Row, Rows, load_figures
from tests.bench.processes import (
    ROOT,
    client,
    end,
    median_of,
    room_of,
    served,
)
from tests.bench.seeds import LOG, ROOM, seed_home, token

WAITS: Final = (1, 32, 200, 1_000, 2_000, 5_000, 10_000)
HELD: Final = 1_000


def measure_posts(*, quick: bool) -> Rows:
    """In turns with the disk itself, which is what a post waits for."""
    seconds, turns = (1, 1) if quick else (2, 3)
    runs: dict[int, list[dict[str, float]]] = {1: [], 8: [], 32: []}
    synced = []
    with room_of(0) as home, served(home) as (port, server, _):
        log = home / "rooms" / ROOM / LOG
        client("posts", port, 1, 0.2)
        size = len(log.read_bytes().splitlines()[0]) + 1
        for _ in range(turns):
            synced.append(synced_writes(log.parent, size, seconds))
            for connections, found in runs.items():
                found.append(client("posts", port, connections, seconds, server=server.pid))
    rate = statistics.median(synced)
    yield Row(
        f"`write` and `fdatasync` of {size} bytes, one writer",
        (Figure("", rate, "/s"),),
        "the disk, and the file system's journal",
    )
    for connections, found in runs.items():
        result = median_of(found)
        yield Row(
            f"posts acknowledged, {connections} at once",
            (
                *load_figures(result),
                Figure("the disk's rate", result["per_second"] / rate, TIMES),
            ),
            "one sync for each, and its way through HTTP before and after it"
            if connections == 1
            else "the interpreter: a sync is shared by all that wait for it",
        )


def measure_waits(*, quick: bool) -> Rows:
    with room_of(1_000) as home, served(home) as (port, _, _):
        result = client("latency", port, 100 if quick else 500, module="wait_load")
        yield Row(
            "from a post to the answer of one held wait",
            (Figure("p50", result["p50_ms"], "ms"), Figure("p99", result["p99_ms"], "ms")),
            "the post's way through HTTP, and its sync",
        )
    for count in WAITS:
        with room_of(1_000) as home, served(home) as (port, server, _):
            rounds = 3 if quick or count > 2_000 else 7
            result = client("waits", port, count, rounds, server.pid, module="wait_load")
            each = 1000 * (result["last_ms"] - result["first_ms"]) / count
            yield Row(
                f"a post to {count:,} held waits",
                (
                    Figure("first answer", result["first_ms"], "ms"),
                    Figure("last", result["last_ms"], "ms"),
                    Figure("a bystander's p99", result["bystander_p99_ms"], "ms"),
                    # The first few waits also grow what all of them share.
                    *(
                        (Figure("memory of each", result["kib_per_wait"], "KiB"),)
                        if count >= 200
                        else ()
                    ),
                ),
                f"the loop: {each:.0f} µs from one answer to the next" if count >= 200 else "",
            )


def measure_reads(*, quick: bool) -> Rows:
    """In turns with the HTTP server alone, which no answer can be quicker than."""
    seconds, turns = (1, 1) if quick else (1, 3)
    page = "/messages?since_id=0&limit=1"
    with (
        raw_stack() as raw,
        room_of(1_000) as home,
        served(home) as room,
        room_of(0, partial(seed_home, participants=1)) as small_home,
        served(small_home) as small,
    ):
        loads: dict[str, tuple[Any, ...]] = {
            "the HTTP server with an application that does nothing": (raw, "/"),
            "`GET /messages?limit=1`": (room, page),
            "`GET /wait` with news": (room, "/wait?since_id=999"),
            "`GET /brief`, through quart": (room, "/brief"),
            "`GET /status` of one seat, through quart": (small, "/status", token(0)),
        }
        for connections in (1, 32):
            found: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
            for _ in range(turns):
                for name, ((port, server, *_), *what) in loads.items():
                    found[name].append(
                        client("gets", port, connections, seconds, *what, server=server.pid)
                    )
            most = median_of(next(iter(found.values())))["per_second"]
            for place, (name, runs) in enumerate(found.items()):
                result = median_of(runs)
                share = Figure("the server alone", result["per_second"] / most, TIMES)
                yield Row(
                    f"{name}, {connections} at once",
                    (*load_figures(result), *((share,) if place else ())),
                    READS_LIMITED_BY[place],
                )


READS_LIMITED_BY: Final = (
    "h11, which parses the request, Trio's scheduling, and the call that sends",
    "the HTTP server; a fifth is the room's checks, and the page",
    "the HTTP server; a quarter is the room's checks, and the wait",
    "quart and werkzeug, a quarter of it, and the tasks that they start",
    "the same, and the JSON of the roster",
)


@contextmanager
def raw_stack() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.raw_stack"], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
    finally:
        end(process)


def measure_shutdown(*, quick: bool) -> Rows:
    taken, unanswered = [], 0
    for _ in range(1 if quick else 3):
        with room_of(10) as home, served(home) as (port, server, _):
            with connect(port) as asking:
                since = last_id(asking)
            waiting = [connect(port) for _ in range(HELD)]
            for index, connection in enumerate(waiting):
                connection.sendall(get_request(port, f"/wait?since_id={since}", 1 + index // 4))
            time.sleep(1.5)
            start = time.perf_counter()
            server.send_signal(signal.SIGTERM)
            server.wait()
            taken.append(time.perf_counter() - start)
            answers = [connection.recv(1 << 16) for connection in waiting]
            unanswered += sum(not is_whole(answer) for answer in answers)
            for connection in waiting:
                connection.close()
    yield Row(
        f"SIGTERM with {HELD:,} held waits",
        (
            Figure("ended after", statistics.median(taken), "s", 1),
            Figure("worst", max(taken), "s"),
            Figure("without an answer", unanswered, "", 0),
        ),
        "the answers, one after the other",
    )
