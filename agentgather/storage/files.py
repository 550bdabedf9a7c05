"""Small files and the directories that hold them, safe against what may lie there instead.

Nothing here follows a symbolic link in the last place of a path, waits for a FIFO, or
writes to a device. Files are 0600 and directories 0700, whatever the umask.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agentgather.storage.disk import (
    OS_DISK,
    Disk,
    sync_directory_if_possible,
    sync_if_possible,
    unlink_if_there,
    write_all,
)

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
# O_NONBLOCK, so that opening a FIFO returns at once instead of waiting for its other end.
SAFE_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
TEMPORARY: Final = ".tmp-"
"""In the name of every temporary file, ours and the older program's."""
_SWEEP_ATTEMPTS: Final = 2


class UnsafeFile(Exception):
    """A path holds something else than it must. The text is for the host, not for peers."""


def ensure_directory(path: Path, *, disk: Disk = OS_DISK) -> None:
    """Make a private directory, parents too and durably, or check the one that is there.

    One of ours that others may read is made private; one that others may write to is
    refused, because they may have put anything there.

    Raises:
        UnsafeFile: it is a link, no directory, another user's, or others may write to it.
        OSError: it cannot be made.

    """
    if not path.parent.exists():
        ensure_directory(path.parent, disk=disk)
    try:
        disk.make_directory(path, DIRECTORY_MODE)
    except FileExistsError:
        pass
    else:
        path.chmod(DIRECTORY_MODE)
        # Else all that is synced in it goes with its name. Whoever may not read the parent
        # cannot sync it either.
        with suppress(PermissionError), open_directory(path.parent) as directory:
            sync_directory_if_possible(disk, directory)
        return
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFile(f"{path} is a symbolic link; name the directory that it leads to")
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFile(f"{path} is not a directory")
    if found.st_uid != os.geteuid():
        raise UnsafeFile(f"{path} belongs to another user")
    if found.st_mode & 0o022:
        raise UnsafeFile(f"other users may write to {path}; look at what is in it, then chmod 700")
    if stat.S_IMODE(found.st_mode) != DIRECTORY_MODE:
        path.chmod(DIRECTORY_MODE)


def open_regular(path: Path, flags: int, *, disk: Disk = OS_DISK) -> int:
    """Open a file of ours and give its descriptor; the caller closes it.

    Raises:
        UnsafeFile: it is no regular file, or another user's.
        FileNotFoundError: nothing is there, and ``flags`` do not create it.
        OSError: it cannot be opened.

    """
    try:
        if flags & os.O_CREAT:
            descriptor = disk.create(path, flags | SAFE_FLAGS, FILE_MODE)
        else:
            descriptor = os.open(path, flags | SAFE_FLAGS)
    except OSError as error:
        # ELOOP for a link, EISDIR, ENXIO for a FIFO or socket: the errors differ by
        # system, what lies there does not.
        if not isinstance(error, FileNotFoundError) and os.path.lexists(path):
            _check_regular(path, path.lstat())
        raise
    try:
        _check_regular(path, os.fstat(descriptor))
        if flags & os.O_CREAT:
            # A umask can only take bits away, and one of 0777 takes ours.
            os.fchmod(descriptor, FILE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFile(f"{path} is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(f"{path} is not a regular file")
    if found.st_uid != os.geteuid():
        raise UnsafeFile(f"{path} belongs to another user")


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """Read a whole file.

    Raises:
        UnsafeFile: it is no regular file, another user's, or longer than ``max_bytes``.
        FileNotFoundError: nothing is there.
        OSError: it cannot be read.

    """
    descriptor = open_regular(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UnsafeFile(f"{path} is longer than {max_bytes} bytes")
    return data


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    """Hold a directory open for the length of the block, so that its names can be synced.

    Raises:
        OSError: it cannot be opened.

    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, disk: Disk = OS_DISK) -> None:
    """Put a file in place of another, durably: a reader or a crash meets the old or the new.

    What lies there is never opened, so a link is replaced and not followed.

    Raises:
        UnsafeFile: a directory is in the way.
        OSError: nothing changed, or, if it was the last sync that failed, perhaps.

    """
    with open_directory(path.parent) as directory:
        for attempt in range(1, _SWEEP_ATTEMPTS + 1):
            temporary = write_temporary(path, data, disk=disk)
            try:
                disk.rename(temporary, path)
            except BaseException as error:
                unlink_if_there(disk, temporary)
                if isinstance(error, IsADirectoryError):
                    raise UnsafeFile(f"{path} is a directory") from error
                # Who opens a room sweeps its temporary files; ours may have been among them.
                if isinstance(error, FileNotFoundError) and attempt < _SWEEP_ATTEMPTS:
                    continue
                raise
            break
        sync_directory_if_possible(disk, directory)


def write_temporary(path: Path, data: bytes, *, disk: Disk = OS_DISK, sync: bool = True) -> Path:
    """Write what is to be renamed to ``path``, beside it, and give its path.

    Raises:
        OSError: nothing is left of it.

    """
    temporary = path.with_name(f".{path.name}{TEMPORARY}{os.urandom(8).hex()}")
    _write_new(temporary, data, disk=disk, sync=sync)
    return temporary


def create_file(path: Path, data: bytes, *, replace: bool, disk: Disk = OS_DISK) -> None:
    """Write a file where the user wants one, such as an export's.

    Raises:
        FileExistsError: something is there, and ``replace`` is false.
        UnsafeFile: something else than a regular file is there.
        OSError: it cannot be written; what was there is unchanged.

    """
    if replace:
        try:
            found = path.lstat()
        except FileNotFoundError:
            pass
        else:
            if not stat.S_ISREG(found.st_mode):
                raise UnsafeFile(f"{path} is not a regular file")
        replace_file(path, data, disk=disk)
        return
    with open_directory(path.parent) as directory:
        _write_new(path, data, disk=disk, sync=True)
        sync_directory_if_possible(disk, directory)


def _write_new(path: Path, data: bytes, *, disk: Disk, sync: bool) -> None:
    descriptor = disk.create(path, os.O_WRONLY | os.O_EXCL | SAFE_FLAGS, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
        write_all(disk, descriptor, data)
        if sync:
            sync_if_possible(disk, descriptor)
    except BaseException:
        unlink_if_there(disk, path)
        raise
    finally:
        os.close(descriptor)


def remove_temporaries(
    directory: Path, *, min_age_seconds: float = 0, disk: Disk = OS_DISK
) -> None:
    """Remove the temporary files that a killed process left in a directory.

    Raises:
        OSError: one cannot be removed.

    """
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        if TEMPORARY not in entry.name or entry.is_dir(follow_symlinks=False):
            continue
        try:
            changed_at = entry.stat(follow_symlinks=False).st_mtime
            if min_age_seconds == 0 or time.time() - changed_at >= min_age_seconds:
                disk.unlink(Path(entry.path))
        except FileNotFoundError:
            continue
