"""Twenty rooms behind one broker, in cycles of a quiet part, a troubled one, and a calm look.

    quiet      people stay, write, come and go; nothing fails
    troubled   the same, and tunnels drop, a participant and a host mean harm
    calm       nobody writes; every wait is held again, and every process is looked at

The rooms whose answers are timed have no proxy before their hosts and no trouble of their
own: what they feel is what others do to them. They are asked at a steady pace in both parts,
from processes of their own.
"""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import trio

from tests.bench.processes import cpu_seconds
from tests.end_to_end.public.broker import LIFTED, Broker
from tests.end_to_end.public.ports import ReservedPort
from tests.soak.looks import Look, difference
from tests.soak.opening import TIMED, open_rooms
from tests.soak.people import HELD
from tests.soak.rooms import SoakRoom
from tests.soak.timing import Timing, time_rooms
from tests.soak.trouble import Harm, do_its_worst, drop_tunnels
from tests.soak.vitals import count_tasks, look_at, waited_seconds

PATIENCE_SECONDS: Final = 60
WARM_SECONDS: Final = 5


class Part(NamedTuple):
    """A part of a cycle. Shares are the broker's, of the time: it ran, it waited for a core."""

    timing: Timing
    ran: float
    waited: float


class Soak:
    """One soak, and what came of it."""

    def __init__(self, broker: Broker, rooms: list[SoakRoom]) -> None:
        self.broker = broker
        self.rooms = rooms
        self.quiet: list[Part] = []
        self.troubled: list[Part] = []
        self.looks: list[Look] = []
        self.harm: Counter[str] = Counter()
        self.faults: list[str] = []
        self._began = time.monotonic()
        self._turn = 0

    # --- Parts -----------------------------------------------------------------------
    async def part(self, seconds: float, *, troubled: bool) -> None:
        """Have people talk for so long, and time the answers meanwhile."""
        self._turn += 1
        until = trio.current_time() + seconds
        goes_on = partial(_is_before, until)
        pid, began = self.broker.pid, trio.current_time()
        before = cpu_seconds(pid), waited_seconds(pid)
        async with trio.open_nursery() as parts:
            for room in self.rooms:
                parts.start_soon(room.people.talk, self._turn, goes_on)
            if troubled:
                port, last = self.broker.port, self.rooms[-1]
                harm = Harm(port, last.slug)
                parts.start_soon(harm.run, goes_on)
                parts.start_soon(drop_tunnels, self.rooms[TIMED:-1], goes_on)
                parts.start_soon(do_its_worst, port, self._turn, seconds, self.harm)
            slugs = [room.slug for room in self.rooms[:TIMED]]
            timing = await time_rooms(self.broker.port, slugs, seconds, self.faults)
        took = trio.current_time() - began
        ran, waited = cpu_seconds(pid) - before[0], waited_seconds(pid) - before[1]
        (self.troubled if troubled else self.quiet).append(Part(timing, ran / took, waited / took))
        if troubled:
            self.harm += harm.done

    # --- Looks -----------------------------------------------------------------------
    async def look(self) -> None:
        """Wait until all is calm, and look at every process.

        What has to be the same as at the first look has its time: a connection that somebody
        left half open is cut by a deadline.
        """
        give_up = trio.current_time() + PATIENCE_SECONDS
        held = HELD * len(self.rooms)
        while True:
            await trio.sleep(1.2)  # longer than a count of tasks is old
            look = await trio.to_thread.run_sync(self._look)
            counts = await trio.to_thread.run_sync(
                lambda: [self.broker.metric(n) for n in ("links", "waits_held", "streams_open")]
            )
            is_calm = counts == [len(self.rooms), held, held]
            if is_calm and (not self.looks or look.kept == self.looks[0].kept):
                break
            if trio.current_time() > give_up:
                if not self.looks:
                    raise AssertionError(f"no calm before the start: {counts}")
                self.faults.append(difference(self.looks[0], look, counts, held))
                break
        self.looks.append(look)

    def _look(self) -> Look:
        return Look(
            time.monotonic() - self._began,
            look_at(self.broker),
            [look_at(room.host) for room in self.rooms],
            [room.count() for room in self.rooms],
        )

    # --- The end ---------------------------------------------------------------------
    async def end(self) -> None:
        """Close the rooms, so that whoever waits reads to the end and goes; then compare."""
        for room in self.rooms:
            await room.close()

    def compare(self) -> None:
        """Hold every room to what its people saw."""
        for room in self.rooms:
            self.faults += [f"{room.slug}: {one}" for one in room.people.oracle.faults(room.log())]
            self.faults += [f"{room.slug}: unexplained: {one}" for one in room.unexplained()]
        for program in (self.broker, *(room.host for room in self.rooms)):
            if "Traceback" in program.errors.read_text():
                self.faults.append(f"a bug is told of in {program.errors}")
        bugs = Counter(line.get("error") for line in self.broker.log())["internal_error"]
        if bugs:
            self.faults.append(f"the broker answered {bugs} requests with internal_error")


def _is_before(until: float) -> bool:
    return trio.current_time() < until


async def soak(
    folder: Path, *, quiet_seconds: float, troubled_seconds: float, is_over: Callable[[int], bool]
) -> Soak:
    """Run a soak with its files in ``folder``, until ``is_over`` says so of its cycles."""
    with ReservedPort() as port, ReservedPort() as metrics_port:
        broker = Broker(
            folder,
            f"http://127.0.0.1:{port}",
            port=port,
            metrics_port=metrics_port,
            options=f"{LIFTED} --trusted-proxy loopback",
        )
        count_tasks(broker)
        try:
            await trio.to_thread.run_sync(broker.start)
            async with open_rooms(folder, broker) as rooms:
                done = Soak(broker, rooms)
                async with trio.open_nursery() as staying:
                    for room in rooms:
                        staying.start_soon(room.people.stay)
                    # What is done for the first time is done before the first look.
                    await done.part(WARM_SECONDS, troubled=False)
                    done.quiet.clear()
                    await done.look()
                    cycles = 0
                    while not is_over(cycles):
                        await done.part(quiet_seconds, troubled=False)
                        await done.part(troubled_seconds, troubled=True)
                        await done.look()
                        cycles += 1
                    await done.end()
                    staying.cancel_scope.deadline = trio.current_time() + PATIENCE_SECONDS
                if staying.cancel_scope.cancelled_caught:
                    done.faults.append("somebody waits in a room that is closed")
                done.compare()
        finally:
            broker.end()
    return done
