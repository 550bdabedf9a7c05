"""Run many crash points: `make crash-points`, or a few of them in `make test`.

    python -m tests.durability.crash_points [POINTS]

A crash point is one moment of one recorded life and one disk of those that a power cut at
that moment may leave. The same numbers give the same points.
"""

import random
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from agentgather.storage.disk import Disk
from agentgather.storage.home import Home
from tests.doubles.folders import quick_folder
from tests.durability import home_story, room_story
from tests.durability.crashes import Crash, lay_out
from tests.durability.recording_disk import RecordingDisk
from tests.durability.room_story import Told
from tests.durability.stand_in import StandIn

POINTS: Final = 100_000
POINTS_PER_STORY: Final = 1_000
CRASHES_BEFORE: Final = (0, 0, 1, 2)
"""How many power cuts a room has behind it when its story begins, by chance."""


class UnsyncedDisk(StandIn):
    """The system's calls without syncs, which cost nothing where the test is the power cut."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_directory(self, descriptor: int) -> None:
        pass


class Story(NamedTuple):
    """A recorded life, what was told in it, and who holds a disk to that."""

    disk: RecordingDisk
    told: Told
    home: Callable[[Path], Home]
    faults_after: Callable[[Home, Told, Disk], list[str]]


class Outcome(NamedTuple):
    """How many points were tried, how many of them left different disks, and what was wrong."""

    points: int
    disks: int
    faults: list[str]


def some_story(
    folder: Path, seed: int, recorder: Callable[[Path], RecordingDisk] = RecordingDisk
) -> Story:
    """Tell the story of that number."""
    chance = random.Random(seed)
    root = folder / "story"
    shutil.rmtree(root, ignore_errors=True)
    if seed % 5 == 0:
        disk, told = home_story.tell_story(root, chance, recorder)
        return Story(disk, told, home_story.home_under, home_story.faults_after)
    home, told = room_story.make_room(root)
    disk = recorder(root)
    room_story.tell_story(home, disk, told, chance)
    for _ in range(chance.choice(CRASHES_BEFORE)):
        crash = Crash(disk.start, disk.record, chance.randrange(len(disk.record) + 1))
        lay_out(crash.held(chance.randrange(2**32)), disk.directories, root)
        told = told.at(crash.said)
        disk = recorder(root)
        room_story.tell_story(home, disk, told, chance)
    return Story(disk, told, Home, room_story.faults_after)


def try_story(folder: Path, story: Story, seed: int, points: int = POINTS_PER_STORY) -> Outcome:
    """Cut the power at every place of a story in turn, so many times in all."""
    root = folder / "disk"
    record, disk = story.disk.record, UnsyncedDisk()
    tried: set[int] = set()
    faults: list[str] = []
    moments = [Crash(story.disk.start, record, cut_at) for cut_at in range(len(record) + 1)]
    tolds = [story.told.at(crash.said) for crash in moments]
    for point in range(points):
        moment = point % len(moments)
        told = tolds[moment]
        held = moments[moment].held(seed * POINTS + point)
        # What is the same disk with the same promises need not be opened twice.
        key = hash((repr(held), repr(told.fates)))
        if key in tried:
            continue
        tried.add(key)
        lay_out(held, story.disk.directories, root)
        found = story.faults_after(story.home(root), told, disk)
        faults += [f"story {seed}, point {point}, cut at {moment}: {one}" for one in found]
    return Outcome(points, len(tried), faults)


def try_seed(seed: int) -> Outcome:
    """Tell one story, and cut the power in it."""
    with quick_folder() as folder:
        return try_story(folder, some_story(folder, seed), seed)


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else POINTS
    began = time.perf_counter()
    points = disks = 0
    faults: list[str] = []
    with ProcessPoolExecutor() as pool:
        for outcome in pool.map(try_seed, range(-(-wanted // POINTS_PER_STORY))):
            points += outcome.points
            disks += outcome.disks
            faults += outcome.faults
    for fault in faults[:20]:
        print(fault)
    seconds = time.perf_counter() - began
    print(
        f"{points:,} crash points, {disks:,} different disks, {len(faults)} faults; {seconds:.0f} s"
    )
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
