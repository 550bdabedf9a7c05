"""What a disk may hold after a power cut, of what a ``RecordingDisk`` has recorded.

The rules are those of the worst file system that keeps its word:

* What was synced is there: a file's content by a sync of the file, names by a sync of their
  directory, and neither by the other.
* Of what was not synced, anything may be there, in any choice and without regard to order:
  a write whole, not at all, up to any byte, with some of its sectors missing, or as zeros of
  the right length; a cut, or none; each change of names, or none.
* A rename is one step where the new name is concerned. The old one may be there as well.
* After a sync that failed, what was written before is never sure again, whatever a later
  sync says.
"""

import os
import random
import shutil
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Final, NamedTuple

from tests.durability.recording_disk import (
    Entry,
    Mark,
    Names,
    Rename,
    Start,
    Sync,
    SyncNames,
    Truncate,
    Write,
)

SECTOR_BYTES: Final = 512


class Held(NamedTuple):
    """What a disk holds, by node. Node 0 is the root."""

    content: dict[int, bytes]
    names: dict[int, Names]


class Chance:
    """Chooses what of the unsynced is there; ``share`` 0: nothing, 1: all of it."""

    def __init__(self, seed: int, share: float | None = None) -> None:
        self._random = random.Random(seed)
        likely = self._random.choice((0, 0.2, 0.5, 0.5, 0.8, 1))
        self._share: float = likely if share is None else share

    def keeps(self) -> bool:
        return self._random.random() < self._share

    def lay(self, file: bytearray, write: Write) -> None:
        """Do to a file what is there of a write."""
        if not self.keeps():
            return
        end = write.offset + len(write.data)
        how = self._random.random()
        if self._share == 1 or how < 0.4:
            _put(file, write.offset, write.data)
        elif how < 0.7:
            _put(file, write.offset, write.data[: self._random.randrange(len(write.data) + 1)])
        elif how < 0.9:
            file.extend(bytes(max(0, end - len(file))))
            for at in range(0, len(write.data), SECTOR_BYTES):
                if self.keeps():
                    _put(file, write.offset + at, write.data[at : at + SECTOR_BYTES])
        else:
            file.extend(bytes(max(0, end - len(file))))


class Crash:
    """A power cut before entry ``cut_at`` of a record, which each disk survives in its own way."""

    def __init__(self, start: Start, record: Sequence[Entry], cut_at: int) -> None:
        self.said: Final = [one.said for one in record[:cut_at] if isinstance(one, Mark)]
        """What was marked before it."""
        self._start = start
        self._changes = [
            (entry, number in synced)
            for synced in (_synced(record[:cut_at]),)
            for number, entry in enumerate(record[:cut_at])
            if isinstance(entry, Write | Truncate | Rename)
        ]

    def held(self, seed: int) -> Held:
        """Give what one disk holds afterwards."""
        return self._held(Chance(seed))

    def whole(self) -> Held:
        """Give what lay in the files at that moment, and survives a kill of the process."""
        return self._held(Chance(0, share=1))

    def _held(self, chance: Chance) -> Held:
        content = {node: bytearray(data) for node, data in self._start.content.items()}
        names = {node: dict(found) for node, found in self._start.names.items()}
        for entry, is_sure in self._changes:
            match entry:
                case Write():
                    file = content.setdefault(entry.node, bytearray())
                    if is_sure:
                        _put(file, entry.offset, entry.data)
                    else:
                        chance.lay(file, entry)
                case Truncate():
                    if is_sure or chance.keeps():
                        del content[entry.node][entry.size_bytes :]
                case Rename():
                    if is_sure or chance.keeps():
                        is_moved = is_sure or chance.keeps()
                        _name(names.setdefault(entry.directory, {}), entry, is_moved=is_moved)
        return Held({node: bytes(data) for node, data in content.items()}, names)


def _synced(record: Sequence[Entry]) -> set[int]:
    """Give the numbers of the entries that a sync made sure."""
    synced: set[int] = set()
    waiting: dict[int, list[int]] = {}
    waiting_names: dict[int, list[int]] = {}
    for number, entry in enumerate(record):
        match entry:
            case Write() | Truncate():
                waiting.setdefault(entry.node, []).append(number)
            case Sync():
                made_sure = waiting.pop(entry.node, [])
                if not entry.failed:
                    synced.update(made_sure)
            case Rename():
                waiting_names.setdefault(entry.directory, []).append(number)
            case SyncNames():
                made_sure = waiting_names.pop(entry.directory, [])
                if not entry.failed:
                    synced.update(made_sure)
            case Mark():
                pass
    return synced


def _name(names: Names, change: Rename, *, is_moved: bool) -> None:
    if change.also_gone is not None and is_moved:
        names.pop(change.also_gone, None)
    if change.node is None:
        names.pop(change.name, None)
    else:
        names[change.name] = change.node


def _put(file: bytearray, offset: int, data: bytes) -> None:
    file.extend(bytes(max(0, offset - len(file))))
    file[offset : offset + len(data)] = data


def lay_out(held: Held, directories: Set[int], root: Path) -> None:
    """Make the files of a disk under ``root``, in place of what lies there."""
    shutil.rmtree(root, ignore_errors=True)
    _lay_out(held, directories, 0, str(root))


def _lay_out(held: Held, directories: Set[int], node: int, path: str) -> None:
    os.mkdir(path, 0o700)  # noqa: PTH102 - done a million times
    for name, below in held.names.get(node, {}).items():
        if below in directories:
            _lay_out(held, directories, below, f"{path}/{name}")
        else:
            with open(f"{path}/{name}", "wb") as file:  # noqa: PTH123
                file.write(held.content.get(below, b""))
