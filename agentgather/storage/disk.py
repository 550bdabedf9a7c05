"""The few calls that decide what survives a power cut, so that a test can stand in for them.

Nothing else in ``storage`` makes, writes, names or removes a file.
"""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

if sys.platform == "darwin":
    import fcntl

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Space ran out: nothing is broken, and what was written can be cut back."""
BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""The process or the machine ran out of something that comes back."""
CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""The file system has no such call. It is not a failed write; see ``spec/storage.md``."""


class Disk(Protocol):
    """Writing, syncing and naming. Every call raises OSError as the system's own does."""

    def create(self, path: Path, flags: int, mode: int) -> int:
        """Open a file, which is made where it is not there, and give its descriptor."""

    def make_directory(self, path: Path, mode: int) -> None:
        """Make a directory."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of ``data`` and say how many bytes it was."""

    def sync(self, descriptor: int) -> None:
        """Make a file's content and size durable."""

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file to a size."""

    def link(self, path: Path, name: Path) -> None:
        """Give a file a second name."""

    def rename(self, path: Path, name: Path) -> None:
        """Give a file or a directory another name, in place of what had that name."""

    def unlink(self, path: Path) -> None:
        """Take a name away."""

    def sync_directory(self, descriptor: int) -> None:
        """Make the names in a directory durable."""


class _OsDisk:
    """The system's own calls."""

    def create(self, path: Path, flags: int, mode: int) -> int:
        return os.open(path, flags | os.O_CREAT, mode)

    def make_directory(self, path: Path, mode: int) -> None:
        path.mkdir(mode=mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        if sys.platform == "darwin":
            # fsync(2) stops at the drive's own cache there.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        os.ftruncate(descriptor, size_bytes)

    def link(self, path: Path, name: Path) -> None:
        os.link(path, name)

    def rename(self, path: Path, name: Path) -> None:
        path.replace(name)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, descriptor: int) -> None:
        os.fsync(descriptor)


OS_DISK: Final[Disk] = _OsDisk()


def write_all(disk: Disk, descriptor: int, data: bytes) -> None:
    """Write every byte, in as many calls as it takes.

    Raises:
        OSError: the disk took only a part of it, or nothing.

    """
    rest = memoryview(data)
    while rest:
        rest = rest[disk.write(descriptor, rest) :]


def unlink_if_there(disk: Disk, path: Path) -> None:
    """Take a name away, if anything has it.

    Raises:
        OSError: it is there, and stays.

    """
    with suppress(FileNotFoundError):
        disk.unlink(path)


def sync_if_possible(disk: Disk, descriptor: int) -> bool:
    """Sync a file; False where the file system cannot.

    Raises:
        OSError: the sync failed. What was written may be lost, and a second try may say
            that all is well although it is not, so there must be none.

    """
    return _if_possible(disk.sync, descriptor)


def sync_directory_if_possible(disk: Disk, descriptor: int) -> bool:
    """Sync a directory's names; False where the file system cannot.

    Raises:
        OSError: the sync failed.

    """
    return _if_possible(disk.sync_directory, descriptor)


def _if_possible(sync: Callable[[int], None], descriptor: int) -> bool:
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno in CANNOT_SYNC:
            return False
        raise
    return True
