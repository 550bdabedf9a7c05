"""The broker's directory: its own, private, and one broker's at a time.

``key`` makes hashes of slugs this broker's own. ``lock`` is held by the broker that runs.
``state.sqlite3`` has leases and registration tokens; see :mod:`agentgather.broker.state`.
Nothing here follows a link inside the directory, and every file is 0600.
"""

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 32
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_SAFE_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class StateError(Exception):
    """The state cannot be used. The text is for the operator, and never for a peer."""


class StateInUse(StateError):
    """Another broker runs on it."""


def ensure_directory(path: Path, *, create: bool) -> Path:
    """Give the directory that ``path`` leads to; make it, and what is above it.

    A link is followed, as systemd makes one for a dynamic user: what counts is whose the
    directory is.

    Raises:
        StateError: it is not there and not to be made, no directory, another user's, or
            open to others.
        OSError: it cannot be made.

    """
    path = Path(os.path.realpath(path))
    if create:
        _make(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise StateError(f"there is no broker state in {path}; name it with --state-dir") from None
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{path} is not a directory")
    if found.st_uid != os.geteuid():
        raise StateError(f"{path} belongs to another user; run this as the user of the broker")
    if found.st_mode & 0o077:
        raise StateError(
            f"{path} is open to other users; look at what is in it, then chmod 700 it (systemd: "
            "StateDirectoryMode=0700)"
        )
    return path


def _make(path: Path) -> None:
    if not path.parent.exists():
        _make(path.parent)
    try:
        path.mkdir(mode=_DIRECTORY_MODE)
    except FileExistsError:
        return
    # A umask can only take bits away, and one of 0777 takes ours.
    path.chmod(_DIRECTORY_MODE)


def open_private(path: Path, flags: int) -> int:
    """Open or, with ``O_CREAT``, make a file of the directory; the caller closes it.

    Raises:
        StateError: it is no regular file, or another user's.
        OSError: it cannot be opened.

    """
    try:
        descriptor = os.open(path, flags | _SAFE_FLAGS, _FILE_MODE)
    except OSError:
        if path.is_symlink():
            raise StateError(f"{path} is a symbolic link") from None
        raise
    try:
        _check_private(path, os.fstat(descriptor))
        os.fchmod(descriptor, _FILE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StateError(f"{path} is not a regular file")
    if found.st_uid != os.geteuid():
        raise StateError(f"{path} belongs to another user")


def read_key(directory: Path, entropy: Callable[[int], bytes]) -> bytes:
    """Give the broker's key, which is made once, durably.

    Raises:
        StateError: what is there is no key.
        OSError: it can be neither read nor made.

    """
    path = directory / "key"
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    # Whole under its name or not there, also where two processes are first at once.
    temporary = directory / f".key.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(entropy(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return _read_key(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(directory)
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        # Another key would make every lease another's: the owners would be locked out.
        raise StateError(
            f"{path} is damaged; restore it, or remove it and state.sqlite3 beside it: leases "
            "and registration tokens are lost then"
        )
    return key


def take_lock(directory: Path) -> int:
    """Own the directory until the descriptor is closed, or this process is gone.

    Raises:
        StateInUse: another process owns it.
        OSError: the lock's file cannot be opened.

    """
    descriptor = open_private(directory / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateInUse(
            f"a broker runs on {directory} already; end that one first, or give this one another "
            "--state-dir"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sync_directory(directory: Path) -> None:
    """Make names that were made in a directory durable.

    Raises:
        OSError: they may not be.

    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
