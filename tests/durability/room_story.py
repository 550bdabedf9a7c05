"""A room's writer at work on a disk that may fail, and what must be there after a crash."""

import errno
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from agentgather.storage.disk import Disk
from agentgather.storage.home import Home, OpenRoom, open_room
from agentgather.storage.journal import StorageBusy, StorageFailed, StorageFull
from agentgather.wire.records import Participant, encode_roster, encode_small_file
from tests.durability.recording_disk import RecordingDisk
from tests.storage.samples import HOST, NOW, ROOM, Records, folder_of, line, make_home, state

BATCHES: Final = 7
FAULTS: Final = (
    ("write", errno.ENOSPC),
    ("write", errno.EIO),
    ("sync", errno.EIO),
    ("rename", errno.EMFILE),
    ("link", errno.EIO),
    ("create", errno.ENOSPC),
    ("sync_directory", errno.EIO),
    ("truncate", errno.EIO),
)
FILES: Final = ("brief.md", "participants.json", "room.json", "tokens.json")
SIZES: Final = (5, 5, 5, 80, 900, 6_000)
"""Of a message's text: within a sector, over a few, and over many."""


class Step(NamedTuple):
    """One batch and its fate: ``began``, ``stored``, ``refused`` or ``failed``."""

    number: int
    fate: str


@dataclass
class Told:
    """What the writer's callers know at some moment.

    Batches are numbered from 1; ``files[0]`` is what was there before.
    """

    lines: dict[int, list[bytes]] = field(default_factory=dict)
    files: dict[int, dict[str, bytes | None]] = field(default_factory=dict)
    fates: dict[int, str] = field(default_factory=dict)

    def at(self, steps: list[object]) -> "Told":
        """Give what they knew when only these steps had been."""
        fates = {step.number: step.fate for step in steps if isinstance(step, Step)}
        return Told(self.lines, self.files, fates)

    def with_fate(self, *fates: str) -> list[int]:
        return [number for number, fate in self.fates.items() if fate in fates]


class Story(NamedTuple):
    """A recorded life of a room, with what it told."""

    disk: RecordingDisk
    told: Told


def tell_story(root: Path, seed: int) -> Story:
    """Let a writer store some batches at ``root``, and record what the disk was told."""
    chance = random.Random(seed)
    home = make_home(root, lines=b"".join(line(number) for number in (1, 2)))
    disk = RecordingDisk(root)
    told = Told(files={0: {name: (folder_of(home) / name).read_bytes() for name in FILES}})
    with open_room(home, ROOM, Records(), NOW, disk=disk) as room:
        next_id = room.recovery.last_id + 1
        for number in range(1, BATCHES + 1):
            disk.half_writes = chance.random() < 0.3
            if chance.random() < 0.2:
                call, code = chance.choice(FAULTS)
                disk.fault = (call, chance.randrange(4), code)
            lines = [
                line(next_id + more, f"{number}.{more} ".ljust(chance.choice(SIZES), "x"))
                for more in range(chance.choice((0, 1, 1, 2, 5)))
            ]
            files = some_files(number, chance, has_lines=bool(lines))
            told.lines[number], told.files[number] = lines, files
            if write_batch(room, disk, number, files, lines) == "stored":
                next_id += len(lines)
            disk.fault = None
    return Story(disk, told)


def some_files(number: int, chance: random.Random, *, has_lines: bool) -> dict[str, bytes | None]:
    """Give small files that each say by which batch they were written."""
    seats = [HOST, Participant(alias=f"n{number}", token_hash=str(number), joinedAt=NOW)]
    possible: dict[str, bytes | None] = {
        "brief.md": b"%d." % number * chance.choice((1, 50, 1_500)),
        "participants.json": encode_roster(seats),
        "room.json": encode_small_file(state(brief_version=number)),
        "tokens.json": None if number % 2 else b'{"tokens":{"n%d":"t"}}' % number,
    }
    chosen = chance.sample(list(possible), chance.choice((0, 0, 1, 2, 4)))
    return {name: possible[name] for name in chosen or ([] if has_lines else ["brief.md"])}


def write_batch(
    room: OpenRoom,
    disk: RecordingDisk,
    number: int,
    files: dict[str, bytes | None],
    lines: list[bytes],
) -> str:
    disk.mark(Step(number, "began"))
    try:
        room.store.write(files, b"".join(lines))
    except (StorageFull, StorageBusy):
        fate = "refused"
    except StorageFailed:
        fate = "failed"
    else:
        fate = "stored"
    disk.mark(Step(number, fate))
    return fate


def faults_after(home: Home, told: Told, disk: Disk) -> list[str]:
    """Open a room as after a crash, and hold it to what was told. Appends one message."""
    records = Records()
    log = folder_of(home) / "messages.jsonl"
    with ExitStack() as stack:
        try:
            room = stack.enter_context(open_room(home, ROOM, records, NOW, disk=disk))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
            return [f"the room does not open: {error!r}"]
        found = faults_in_log(records.lines, told)
        found += faults_in_files(home, room, told, records.lines)
        before = log.read_bytes()
        following = line(room.recovery.last_id + 1, "after the crash")
        room.store.write({}, following)
        if before[-1:] != b"\n" or log.read_bytes() != before + following:
            found.append("the next message has no line of its own")
    found += [f"left behind: {path}" for path in folder_of(home).glob(".*.tmp-*")]
    return found


def faults_in_log(found: list[bytes], told: Told) -> list[str]:
    stored = [one[:-1] for number in told.with_fate("stored") for one in told.lines[number]]
    possible = {
        one[:-1]
        for number in told.with_fate("began", "stored", "failed")
        for one in told.lines[number]
    }
    faults = [f"lost: {one[:60]!r}" for one in stored if one not in found]
    beginning = [line(number)[:-1] for number in (1, 2)]
    if found[:2] != beginning:
        faults.append("what was there before is not")
    faults += [f"never written: {one[:60]!r}" for one in found[2:] if one not in possible]
    ids = [int(one[6 : one.index(b",")]) for one in found]
    if ids != sorted(set(ids)):
        faults.append(f"ids are not in order: {ids}")
    return faults


def faults_in_files(home: Home, room: OpenRoom, told: Told, lines: list[bytes]) -> list[str]:
    """Each small file is that of a batch at least as late as the last one that is known of."""
    faults = [f"a crash damages nothing: {warning}" for warning in room.stored.warnings]
    possible = [0, *told.with_fate("began", "stored", "failed")]
    in_log = set(lines)
    # What a line tells of is in the files already; but a disk that failed keeps what it likes.
    certain = set(told.with_fate("stored")) | {
        number
        for number in told.with_fate("began")
        if any(one[:-1] in in_log for one in told.lines[number])
    }
    for name in FILES:
        writers = [number for number in possible if name in told.files[number]]
        least = max(number for number in writers if number in certain or number == 0)
        path = folder_of(home) / name
        content = path.read_bytes() if path.exists() else None
        if content not in [told.files[number][name] for number in writers if number >= least]:
            faults.append(f"{name} is not that of batch {least} or later: {content!r:.80}")
    return faults
