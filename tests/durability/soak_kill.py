"""Kill a served room again and again while people write and wait: `make soak-kill`.

    python -m tests.durability.soak_kill [KILLS [SEED]]

The room is `agentgather room serve` with its files on a disk, and it ends by SIGKILL: some
time into its life, or before it is ready. It is started again at once. Nobody is told.
"""

import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from tests.bench.seeds import LOG, seed_room, token
from tests.doubles.history import Fault
from tests.end_to_end.public.oracle import Client, Oracle
from tests.end_to_end.public.ports import ReservedPort
from tests.end_to_end.public.program import Program
from tests.end_to_end.terminal import AGENTGATHER, Terminal

KILLS: Final = 200
POSTERS: Final = 6
LOUD, QUIET = 4, 2
"""Readers of two waits each: those that every message wakes, and those that nothing does."""
POST_PAUSE_SECONDS: Final = 0.005
"""A participant may post 120 times a minute, and a room that starts has counted none."""
LIFE_SECONDS: Final = 0.7
START_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60


class Outcome(NamedTuple):
    """What was seen, what was wrong with it, and what the room said that it should not."""

    faults: list[Fault]
    kills: int
    early_kills: int
    messages: int
    posts: int
    answers: int
    repeated_posts: int
    idempotent: int
    torn: int
    start_seconds: list[float]
    said: str

    def text(self) -> str:
        return (
            f"{self.kills} kills, {self.early_kills} of them before the room was ready; "
            f"{self.messages:,} messages, {self.posts:,} of them acknowledged to posters, "
            f"{self.repeated_posts:,} tries failed, {self.idempotent} posts had been stored "
            f"before their poster knew; {self.answers:,} answers to readers; {self.torn} torn "
            f"tails; ready {statistics.median(self.start_seconds):.2f} s after a start, at most "
            f"{max(self.start_seconds):.2f} s; {len(self.faults)} faults"
        )


class Room:
    """A room in a process that is killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.home = folder / "home"
        self.files = seed_room(self.home, 0, 1 + POSTERS + LOUD + QUIET)
        command = [*AGENTGATHER, "room", "serve", "--port", str(port)]
        environment = Terminal(self.home).environment
        self.program = Program("room", folder, command, environment)
        self.start_seconds: list[float] = []
        self._lives = 0

    def start(self) -> None:
        self._lives = self.program.has_said("Serving ")
        self.program.start()

    async def until_ready(self) -> None:
        began = trio.current_time()
        with trio.fail_after(PATIENCE_SECONDS):
            while self.program.has_said("Serving ") == self._lives:
                self.program.is_running()
                await trio.sleep(0.01)
        self.start_seconds.append(trio.current_time() - began)

    def log(self) -> list[dict[str, Any]]:
        """Give all messages, off the disk."""
        return [json.loads(one) for one in (self.files / LOG).read_bytes().split(b"\n")[:-1]]


@contextmanager
def opened_room(folder: Path) -> Iterator[tuple[Room, int]]:
    with ReservedPort() as port:
        room = Room(folder, port)
        try:
            yield room, port
        finally:
            room.program.end()


async def kill_under_load(folder: Path, kills: int, seed: int) -> Outcome:
    """Kill a room so often, and hold all that was seen to its log."""
    chance = random.Random(seed)
    oracle = Oracle()
    early = killed = 0
    with opened_room(folder) as (room, port):
        room.start()
        async with trio.open_nursery() as waiting:
            for seat in range(1 + POSTERS, 1 + POSTERS + LOUD + QUIET):
                query = "" if seat <= POSTERS + LOUD else "&for=me"
                for turn in range(2):
                    client = Client(port, "", token(seat))
                    waiting.start_soon(oracle.wait, client, f"p{seat}/{turn}", query)
            async with trio.open_nursery() as writing:
                for seat in range(1, 1 + POSTERS):
                    client = Client(port, "", token(seat))
                    pause = POST_PAUSE_SECONDS
                    writing.start_soon(
                        oracle.write, client, f"p{seat}", pause, lambda: killed < kills
                    )
                for number in range(kills):
                    if number % 5 == 4:
                        early += 1
                        await trio.sleep(chance.uniform(0, START_SECONDS))
                    else:
                        await room.until_ready()
                        await trio.sleep(chance.uniform(0, LIFE_SECONDS))
                    room.program.kill()
                    killed += 1
                    room.start()
            host = Client(port, "", token(0))
            closed = await host.ask("POST", "/close", {})
            assert closed.status == 200, closed
            await host.close()
        log = room.log()
        assert room.program.stop() == 0
    return Outcome(
        faults=oracle.faults(log),
        kills=killed,
        early_kills=early,
        messages=len(log),
        posts=len(oracle.history.posts),
        answers=sum(map(len, oracle.history.answers.values())),
        repeated_posts=oracle.repeated_posts,
        idempotent=oracle.idempotent,
        torn=len(list(room.files.glob("*.torn-*"))),
        start_seconds=room.start_seconds,
        said=room.program.errors.read_text(),
    )


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10_000)
    with tempfile.TemporaryDirectory(prefix="agentgather-kills-", dir="/var/tmp") as folder:
        outcome = trio.run(kill_under_load, Path(folder), kills, seed)
    print(f"seed {seed}: {outcome.text()}")
    for fault in outcome.faults[:20]:
        print(f"{fault.kind}: {fault.what}")
    if "Traceback" in outcome.said:
        print(outcome.said)
    sys.exit(bool(outcome.faults) or "Traceback" in outcome.said)


if __name__ == "__main__":
    main()
