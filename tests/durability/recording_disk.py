"""A disk that writes down what it is told to do, so that it can be asked what a crash leaves.

It works on real files, which are as the program left them; :mod:`tests.durability.crashes`
makes of the record what a disk may hold after a power cut at any place of it. Nothing is
really synced: a sync is a line of the record, and costs no time.
"""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from tests.durability.stand_in import SYSTEM

Names = dict[str, int]
"""What the names in one directory mean: numbers of nodes."""


class Write(NamedTuple):
    """Bytes that were written into a node."""

    node: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file was cut to a size."""

    node: int
    size_bytes: int


class Sync(NamedTuple):
    """A file's content was synced, or failed to be: then it is never known again."""

    node: int
    failed: bool = False


class Rename(NamedTuple):
    """Names in a directory changed; ``node`` None: the name was taken away.

    ``also_gone`` is the name from which a node was moved.
    """

    directory: int
    name: str
    node: int | None
    also_gone: str | None = None


class SyncNames(NamedTuple):
    """A directory's names were synced, or failed to be."""

    directory: int
    failed: bool = False


class Mark(NamedTuple):
    """What whoever uses the disk has to say, such as that a change was acknowledged.

    The disk itself says which errno it gave for a call.
    """

    said: object


class Fault(NamedTuple):
    """What the disk says when it lets a call fail."""

    code: int


Entry = Write | Truncate | Sync | Rename | SyncNames | Mark


class Start(NamedTuple):
    """What lay on the disk before, all of it durable. Node 0 is the root."""

    content: dict[int, bytes]
    names: dict[int, Names]


class Killed(BaseException):
    """The process ends here: nothing may catch this but the test."""


class RecordingDisk:
    """Stands in for ``storage.disk.Disk`` for all that lies under ``root``."""

    def __init__(self, root: Path) -> None:
        self.record: list[Entry] = []
        self.half_writes = False
        """Whether a write takes only a half, so that who writes has to go on."""
        self.fault: tuple[str, int, int] | None = None
        """A call, how many of them go well, and the errno of the next one."""
        self.calls_to_live: int | None = None
        """How many calls are answered before the process is killed."""
        self.directories: set[int] = set()
        """The nodes that are directories."""
        self._nodes: dict[int, int] = {}
        self._next = 0
        self.start = Start({}, {})
        self._look(root)

    def mark(self, said: object) -> None:
        self.record.append(Mark(said))

    # --- The calls --------------------------------------------------------------------
    def create(self, path: Path, flags: int, mode: int) -> int:
        self._may_fail("create")
        was_there = os.path.lexists(path)
        descriptor: int = SYSTEM.create(path, flags, mode)
        if not was_there:
            self._name(path, self._new_node(os.fstat(descriptor).st_ino))
        return descriptor

    def make_directory(self, path: Path, mode: int) -> None:
        self._may_fail("make_directory")
        SYSTEM.make_directory(path, mode)
        node = self._new_node(path.stat().st_ino)
        self.directories.add(node)
        self._name(path, node)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.half_writes and len(data) > 1:
            data = data[: len(data) // 2]
        self._may_fail("write")
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
            offset = os.fstat(descriptor).st_size
        else:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        count: int = SYSTEM.write(descriptor, data)
        self.record.append(Write(self._node(descriptor), offset, bytes(data[:count])))
        return count

    def sync(self, descriptor: int) -> None:
        try:
            self._may_fail("sync")
        except OSError:
            self.record.append(Sync(self._node(descriptor), failed=True))
            raise
        self.record.append(Sync(self._node(descriptor)))

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        self._may_fail("truncate")
        SYSTEM.truncate(descriptor, size_bytes)
        self.record.append(Truncate(self._node(descriptor), size_bytes))

    def link(self, path: Path, name: Path) -> None:
        self._may_fail("link")
        SYSTEM.link(path, name)
        self._name(name, self._nodes[name.stat().st_ino])

    def rename(self, path: Path, name: Path) -> None:
        self._may_fail("rename")
        node = self._nodes[path.lstat().st_ino]
        SYSTEM.rename(path, name)
        assert path.parent == name.parent, "moving between directories is not thought of here"
        # Of two names for one file, rename(2) leaves both.
        gone = None if os.path.lexists(path) else path.name
        self._name(name, node, gone)

    def unlink(self, path: Path) -> None:
        self._may_fail("unlink")
        SYSTEM.unlink(path)
        self._name(path, None)

    def sync_directory(self, descriptor: int) -> None:
        try:
            self._may_fail("sync_directory")
        except OSError:
            self.record.append(SyncNames(self._node(descriptor), failed=True))
            raise
        self.record.append(SyncNames(self._node(descriptor)))

    # --- Within -----------------------------------------------------------------------
    def _may_fail(self, call: str) -> None:
        if self.calls_to_live is not None:
            # And so it stays: what a dead process would tidy up is left as it is.
            if self.calls_to_live == 0:
                raise Killed
            self.calls_to_live -= 1
        if self.fault is None or self.fault[0] != call:
            return
        _, more, code = self.fault
        if more:
            self.fault = (call, more - 1, code)
            return
        self.fault = None
        self.mark(Fault(code))
        raise OSError(code, os.strerror(code))

    def _node(self, descriptor: int) -> int:
        return self._nodes[os.fstat(descriptor).st_ino]

    def _name(self, path: Path, node: int | None, also_gone: str | None = None) -> None:
        directory = self._nodes[path.parent.stat().st_ino]
        self.record.append(Rename(directory, path.name, node, also_gone))

    def _new_node(self, inode: int) -> int:
        # The system gives the number of a removed file away again; ours are used once.
        node = self._nodes[inode] = self._next
        self._next += 1
        return node

    def _look(self, path: Path) -> int:
        """Take what lies there as durable."""
        node = self._new_node(path.stat().st_ino)
        if path.is_dir():
            self.directories.add(node)
            names = self.start.names[node] = {}
            for below in sorted(path.iterdir()):
                names[below.name] = self._look(below)
        else:
            self.start.content[node] = path.read_bytes()
        return node
