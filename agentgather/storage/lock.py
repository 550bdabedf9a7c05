"""The lock of a room. The kernel frees it with its holder, so none is ever stale."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agentgather.storage.files import UnsafeFile, open_regular

_MAX_PID_BYTES: Final = 20
# `read_holder` shares the lock for microseconds; a machine under load makes more of them.
_LOOKS: Final = 6
_LOOK_SECONDS: Final = 0.01
_CANNOT_LOCK: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class RoomLocked(Exception):
    """Another process owns the room."""


@contextmanager
def open_lock(path: Path) -> Iterator[None]:
    """Own a room for the length of the block. Waits no longer than somebody looks at the lock.

    The file stays when the lock goes: removing it would let two processes lock two files
    of one name. The holder's process id in it is for people; nobody decides by it.

    Raises:
        RoomLocked: another process has it, or this one in another place.
        UnsafeFile: the path holds no regular file of ours, or its file system cannot lock.
        OSError: the file cannot be made.

    """
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        for attempt in range(_LOOKS):
            try:
                _take(path, descriptor, fcntl.LOCK_EX)
                break
            except RoomLocked:
                if attempt == _LOOKS - 1:
                    raise
                time.sleep(_LOOK_SECONDS)
        # A full disk is no reason not to own the room.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        try:
            yield
        finally:
            # Closing frees the lock too, but not while a forked child holds a copy.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def read_holder(path: Path) -> int | None:
    """Give the process id that owns a room; 0 if unknown, None if nobody does. For ``doctor``.

    Asks by sharing the lock for a moment, which :func:`open_lock` waits out.

    Raises:
        UnsafeFile: the path holds no regular file of ours.
        OSError: it cannot be opened.

    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        _take(path, descriptor, fcntl.LOCK_SH)
    except RoomLocked:
        text = os.read(descriptor, _MAX_PID_BYTES).strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)


def _take(path: Path, descriptor: int, how: int) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RoomLocked("another process serves or changes this room") from error
    except OSError as error:
        if error.errno in _CANNOT_LOCK:
            raise UnsafeFile(f"the file system of {path} has no locks; use a local disk") from error
        raise
