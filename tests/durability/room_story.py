"""A room's writer at work on a disk that may fail, and what must be there after a crash."""

import errno
import random
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from agentgather.storage.disk import Disk
from agentgather.storage.failures import StorageBusy, StorageFailed, StorageFull
from agentgather.storage.home import Home
from agentgather.storage.owned_room import OpenRoom, open_room
from agentgather.wire.records import Participant, encode_roster, encode_small_file
from tests.durability.recording_disk import Fault, Killed, RecordingDisk
from tests.storage.samples import HOST, NOW, ROOM, Records, folder_of, line, make_home, state

FILES: Final = ("brief.md", "participants.json", "room.json", "tokens.json")
BATCHES: Final = 4
"""In each life of a process."""
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
SIZES: Final = (5, 5, 5, 80, 900, 6_000)
"""Of a message's text: within a sector, over a few, and over many."""

POSSIBLE: Final = ("began", "failing", "stored", "failed")
"""The fates of what may be on the disk; what was refused may not."""
Contents = Mapping[str, bytes | None]


class Step(NamedTuple):
    """One batch and its fate: ``began``, ``stored``, ``refused`` or ``failed``.

    One that began is ``failing`` from the moment at which the disk failed.
    """

    number: int
    fate: str


@dataclass
class Told:
    """Every batch by its number, and what became of it as far as anybody was told.

    What a room shows when it opens is a batch too, and is stored: somebody has seen it.
    """

    lines: dict[int, list[bytes]] = field(default_factory=dict)
    files: dict[int, Contents] = field(default_factory=dict)
    fates: dict[int, str] = field(default_factory=dict)

    def begin(self, files: Contents, lines: list[bytes]) -> Step:
        """Take in one batch more."""
        number = len(self.lines)
        self.lines[number], self.files[number] = lines, files
        return Step(number, "began")

    def at(self, steps: Iterable[object]) -> "Told":
        """Give what was told when only these steps had been."""
        told = Told(self.lines, self.files, dict(self.fates))
        last = 0
        for step in steps:
            if isinstance(step, Step):
                last = step.number
                told.fates[last] = step.fate
            elif step == Fault(errno.EIO) and told.fates[last] == "began":
                told.fates[last] = "failing"
        return told

    def with_fate(self, *fates: str) -> list[int]:
        return sorted(number for number, fate in self.fates.items() if fate in fates)


def tell_story(home: Home, disk: RecordingDisk, told: Told, chance: random.Random) -> None:
    """Let processes own the room, one after the other, each until it is killed or ends."""
    for _ in range(chance.choice((1, 2, 3))):
        disk.calls_to_live = chance.choice((None, chance.randrange(90)))
        with suppress(Killed):
            live(home, disk, told, chance)
        disk.calls_to_live = disk.fault = None


def live(home: Home, disk: RecordingDisk, told: Told, chance: random.Random) -> None:
    records = Records()
    with open_room(home, ROOM, records, NOW, disk=disk) as room:
        seen = told.begin(contents_of(home), [one + b"\n" for one in records.lines])
        disk.mark(seen._replace(fate="stored"))
        next_id = room.recovery.last_id + 1
        for _ in range(BATCHES):
            disk.half_writes = chance.random() < 0.3
            if chance.random() < 0.2:
                call, code = chance.choice(FAULTS)
                disk.fault = (call, chance.randrange(4), code)
            number = len(told.lines)
            lines = [
                line(next_id + more, f"{number}.{more} ".ljust(chance.choice(SIZES), "x"))
                for more in range(chance.choice((0, 1, 1, 2, 5)))
            ]
            files = some_files(number, chance, has_lines=bool(lines))
            if write_batch(room, disk, told.begin(files, lines), files, lines) == "stored":
                next_id += len(lines)
            disk.fault = None


def some_files(number: int, chance: random.Random, *, has_lines: bool) -> Contents:
    """Give small files that each say by which batch they were written."""
    seats = [HOST, Participant(alias=f"n{number}", token_hash=str(number), joinedAt=NOW)]
    possible: dict[str, bytes | None] = {
        "brief.md": b"%d." % number * chance.choice((1, 50, 1_500)),
        "participants.json": encode_roster(seats),
        "room.json": encode_small_file(state(brief_version=number)),
        "tokens.json": None if number % 2 else b'{"tokens":{"n%d":"t"}}' % number,
    }
    chosen = chance.sample(FILES, chance.choice((0, 0, 1, 2, 4)))
    return {name: possible[name] for name in chosen or ([] if has_lines else ["brief.md"])}


def write_batch(
    room: OpenRoom, disk: RecordingDisk, begun: Step, files: Contents, lines: list[bytes]
) -> str:
    disk.mark(begun)
    try:
        room.store.write(files, b"".join(lines))
    except (StorageFull, StorageBusy):
        fate = "refused"
    except StorageFailed:
        fate = "failed"
    else:
        fate = "stored"
    disk.mark(begun._replace(fate=fate))
    return fate


def make_room(root: Path) -> tuple[Home, Told]:
    """Make a home whose room has two messages, as they were told of."""
    lines = [line(number) for number in (1, 2)]
    home = make_home(root, lines=b"".join(lines))
    told = Told()
    told.fates[told.begin(contents_of(home), lines).number] = "stored"
    return home, told


def contents_of(home: Home) -> Contents:
    """Give the small files; None for one that is not there."""
    paths = {name: folder_of(home) / name for name in FILES}
    return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}


def faults_after(home: Home, told: Told, disk: Disk) -> list[str]:
    """Open a room as after a crash, and hold it to what was told. Appends one message."""
    records = Records()
    log = folder_of(home) / "messages.jsonl"
    with ExitStack() as stack:
        try:
            room = stack.enter_context(open_room(home, ROOM, records, NOW, disk=disk))
        except Exception as error:
            return [f"the room does not open: {error!r}"]
        found = [f"a crash damages nothing: {warning}" for warning in room.stored.warnings]
        found += faults_in_log(records.lines, told)
        found += faults_in_files(contents_of(home), told, records.lines)
        before = log.read_bytes()
        following = line(room.recovery.last_id + 1, "after the crash")
        room.store.write({}, following)
        if before[-1:] != b"\n" or log.read_bytes() != before + following:
            found.append("the next message has no line of its own")
    found += [f"left behind: {path}" for path in folder_of(home).glob(".*.tmp-*")]
    return found


def faults_in_log(found: list[bytes], told: Told) -> list[str]:
    """Each message that was acknowledged is there, and none that nobody wrote."""
    there = set(found)
    stored = (one for number in told.with_fate("stored") for one in told.lines[number])
    possible = {one[:-1] for number in told.with_fate(*POSSIBLE) for one in told.lines[number]}
    faults = [f"lost: {one[:60]!r}" for one in stored if one[:-1] not in there]
    faults += [f"never written: {one[:60]!r}" for one in found if one not in possible]
    ids = [int(one[6 : one.index(b",")]) for one in found]
    if ids != sorted(set(ids)):
        faults.append(f"ids are not in order: {ids}")
    return faults


def faults_in_files(contents: Contents, told: Told, lines: list[bytes]) -> list[str]:
    """Each small file is that of a batch at least as late as the last one that is known of."""
    in_log = set(lines)
    # What a line tells of is in the files already; but a disk that failed keeps what it likes.
    certain = set(told.with_fate("stored")) | {
        number
        for number in told.with_fate("began")
        if any(one[:-1] in in_log for one in told.lines[number])
    }
    faults = []
    for name, content in contents.items():
        writers = [number for number in told.with_fate(*POSSIBLE) if name in told.files[number]]
        least = max(number for number in writers if number in certain)
        if content not in [told.files[number][name] for number in writers if number >= least]:
            faults.append(f"{name} is not that of batch {least} or later: {content!r:.80}")
    return faults
