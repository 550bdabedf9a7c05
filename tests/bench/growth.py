"""What grows with a room: its log, and its roster.

Rooms of all sizes are served at once and measured in turns: a server that nobody asks costs
nothing, and what else the machine does hits all alike.
"""

import socket
import statistics
import time
from contextlib import ExitStack
from functools import partial
from typing import Final, NamedTuple

from tests.bench.clients import answer_to, connect, get_request, json_request, resident_kib
from tests.bench.figures import TIMES, Figure, Row, Rows, load_figures
from tests.bench.processes import client, median_of, room_of, served
from tests.bench.seeds import seed_home, token

LOGS: Final = (0, 50_000, 400_000, 1_000_000)
START_WANTED: Final = {50_000: 2}
NEWEST: Final = "/messages?before_id=999999999999999&limit=50"

ROSTERS: Final = (1, 100, 1_000)
POSTS: Final = 60
CHANGES: Final = 14
"""Invites, and leaves: the host may make 30 changes a minute."""


class Served(NamedTuple):
    """A room that is served; ``size`` is what grows."""

    size: int
    port: int
    pid: int


def measure_log(*, quick: bool) -> Rows:
    turns = 1 if quick else 3
    with ExitStack() as on:
        homes = {size: on.enter_context(room_of(size)) for size in LOGS}
        starts: dict[int, list[float]] = {size: [] for size in LOGS}
        for _ in range(turns):
            for size, home in homes.items():
                with served(home) as (_, _, seconds):
                    starts[size].append(seconds)
        rooms = []
        for size, home in homes.items():
            port, server, _ = on.enter_context(served(home))
            rooms.append(Served(size, port, server.pid))
        least = statistics.median(starts[0])
        for room in rooms:
            seconds = statistics.median(starts[room.size])
            limit = "loading the modules"
            if room.size:
                limit += f", and {1e6 * (seconds - least) / room.size:.1f} µs for each message"
            yield Row(
                f"start until the first answer, {room.size:,} in the log",
                (
                    Figure("", seconds, "s", START_WANTED.get(room.size)),
                    Figure("resident", resident_kib(room.pid) / 1024, "MiB"),
                ),
                limit,
            )
        yield from measure_load(rooms, turns, 0.5 if quick else 1)


def measure_load(rooms: list[Served], turns: int, seconds: float) -> Rows:
    loads: dict[str, tuple[object, ...]] = {
        "posts acknowledged, 1 at once": ("posts", 1, seconds),
        "posts acknowledged, 32 at once": ("posts", 32, seconds),
        "`GET` of the newest 50 messages, 1 at once": ("gets", 1, seconds, NEWEST),
    }
    for name, (what, *rest) in loads.items():
        found: dict[int, list[dict[str, float]]] = {room.size: [] for room in rooms}
        for _ in range(turns):
            for room in rooms:
                found[room.size].append(client(what, room.port, *rest, server=room.pid))
        base = median_of(found[0])["per_second"]
        for size, runs in found.items():
            result = median_of(runs)
            ratio = Figure("the empty log's", result["per_second"] / base, TIMES)
            yield Row(
                f"{name}, {size:,} in the log",
                (*load_figures(result), *((ratio,) if size else ())),
                "nothing that grows: a ratio other than 1 is the machine's" if size else "",
            )


def measure_roster(*, quick: bool) -> Rows:
    """By one connection, one request after the other, as the rates of one host allow."""
    del quick  # it takes seconds
    with ExitStack() as on:
        rooms = []
        for size in ROSTERS:
            home = on.enter_context(room_of(0, partial(seed_home, participants=size)))
            port, server, _ = on.enter_context(served(home))
            rooms.append(Served(size, port, server.pid))
        for what, limit in ROSTER_LIMITED_BY.items():
            taken: dict[int, list[float]] = {room.size: [] for room in rooms}
            with ExitStack() as connected:
                lines = [
                    (room.size, connected.enter_context(connect(room.port)), requests(room.port))
                    for room in rooms
                ]
                for turn in range(len(lines[0][2][what])):
                    for size, connection, plan in lines:
                        taken[size].append(timed(connection, plan[what][turn]))
            for size, times in taken.items():
                yield Row(
                    f"{what}, {size:,} seat{'s' * (size > 1)}",
                    (
                        Figure("p50", statistics.median(times), "ms"),
                        Figure("worst", max(times), "ms"),
                    ),
                    limit,
                )


ROSTER_LIMITED_BY: Final = {
    "a post": "its sync; nobody is looked up but the sender and whom it names",
    "`GET /status`": "the roster as JSON, about 3 µs a seat",
    "an invite": "the roster is written anew, about 4 µs a seat, and so is the file of tokens",
    "`POST /leave` or `/join`": "one line of the log, and its sync",
}


def requests(port: int) -> dict[str, list[bytes]]:
    """Give what the host of a room asks for, by what it is in the table."""
    return {
        "a post": [host_request(port, "/messages", text=f"post {one}") for one in range(POSTS)],
        "`GET /status`": [get_request(port, "/status", 0)] * POSTS,
        "an invite": [
            host_request(port, "/participants", alias=f"guest-{one}") for one in range(CHANGES)
        ],
        "`POST /leave` or `/join`": [
            host_request(port, path) for _ in range(CHANGES) for path in ("/leave", "/join")
        ],
    }


def host_request(port: int, path: str, **body: str) -> bytes:
    return json_request(port, path, token(0), body)


def timed(connection: socket.socket, request: bytes) -> float:
    """Give the milliseconds until the whole answer was here."""
    start = time.perf_counter()
    answer = answer_to(connection, request)
    milliseconds = 1000 * (time.perf_counter() - start)
    if not answer.startswith(b"HTTP/1.1 20"):
        raise SystemExit(f"unexpected answer: {answer[:400]!r}")
    return milliseconds
