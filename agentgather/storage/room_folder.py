"""A room's folder as the store of its changes: small files and log, both or neither."""

import errno
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agentgather.storage.disk import (
    BUSY,
    FULL,
    OS_DISK,
    Disk,
    sync_directory_if_possible,
    unlink_if_there,
)
from agentgather.storage.failures import StorageBusy, StorageFailed, StorageFull
from agentgather.storage.files import (
    TEMPORARY,
    UnsafeFile,
    open_directory,
    read_file,
    write_temporary,
)
from agentgather.storage.journal import Journal
from agentgather.storage.stored_room import COPIED, COPY_SUFFIX, ROSTER_FILE, with_kept
from agentgather.wire.limits import MAX_SMALL_FILE_BYTES

_CANNOT_LINK: Final = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
"""The file system has no second names for a file, such as exFAT."""


class RoomFolder:
    """Writes batches of changes. Its owner holds the room's lock and closes the journal.

    Small files come before the log: after a crash between the two the room's state may be
    ahead of what its log tells, and nobody was told that either is stored. A seat that
    the log calls removed is so in ``participants.json`` as well.
    """

    def __init__(
        self, path: Path, journal: Journal, kept: tuple[Any, ...], *, disk: Disk = OS_DISK
    ) -> None:
        self._path = path
        self._journal = journal
        self._kept = kept
        self._disk = disk
        self._failed = False

    def write(self, files: Mapping[str, bytes | None], lines: bytes) -> None:
        """Store small files by their name (None removes one) and whole log lines.

        Raises:
            StorageFull: there was no space; files and log are as they were.
            StorageBusy: descriptors or memory ran out; files and log are as they were.
            StorageFailed: the disk failed, now or before; only opening the room again helps.

        """
        if self._failed:
            raise StorageFailed("the disk failed before")
        try:
            if files:
                self._write_all(files, lines)
            else:
                self._journal.append(lines)
        except StorageFailed:
            self._failed = True
            raise

    def _write_all(self, files: Mapping[str, bytes | None], lines: bytes) -> None:
        try:
            files = self._with_kept(files)
            # Opened before anything changes: going back must not need a descriptor.
            with open_directory(self._path) as directory:
                self._swap(_Swap(self._path, files, self._disk, directory), lines)
        except (OSError, UnsafeFile) as error:
            code = error.errno if isinstance(error, OSError) else None
            if code in FULL:
                raise StorageFull(str(error)) from error
            if code in BUSY:
                raise StorageBusy(str(error)) from error
            raise StorageFailed(str(error)) from error
        for name in COPIED & files.keys():
            self._copy(name, files[name])

    def _with_kept(self, files: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        files = dict(files)
        roster = files.get(ROSTER_FILE)
        if roster is not None:
            files[ROSTER_FILE] = with_kept(roster, self._kept)
        return files

    def _swap(self, swap: "_Swap", lines: bytes) -> None:
        try:
            swap.prepare()
            swap.switch()
            if lines:
                self._journal.append(lines)
        except BaseException:
            try:
                swap.undo()
            except OSError as error:
                raise StorageFailed(str(error)) from error
            raise
        swap.finish()

    def _copy(self, name: str, content: bytes | None) -> None:
        """Keep a second copy, for the day on which the file itself is damaged.

        It is not synced, because a power cut that takes it leaves the file itself sound.
        """
        copy = self._path / f"{name}{COPY_SUFFIX}"
        # An older copy would be worse than none: it may let in whom the host removed.
        with suppress(OSError):
            unlink_if_there(self._disk, copy)
        if content is not None:
            with suppress(OSError):
                temporary = write_temporary(copy, content, disk=self._disk, sync=False)
                self._disk.rename(temporary, copy)


class _Swap:
    """Several small files that are replaced together, and put back if the log fails."""

    def __init__(
        self, path: Path, files: Mapping[str, bytes | None], disk: Disk, directory: int
    ) -> None:
        self._path = path
        self._files = files
        self._disk = disk
        self._directory = directory
        self._new: dict[str, Path] = {}
        self._old: dict[str, Path | None] = {}

    def prepare(self) -> None:
        """Write the new contents beside the old: all that can run out of space."""
        for name, content in self._files.items():
            if content is not None:
                self._new[name] = write_temporary(self._path / name, content, disk=self._disk)

    def switch(self) -> None:
        """Give the new contents their names; the old ones keep a name of ours."""
        for name, content in self._files.items():
            path = self._path / name
            self._old[name] = self._keep_old(path)
            if content is not None:
                self._disk.rename(self._new[name], path)
                del self._new[name]
            elif self._old[name] is not None:
                self._disk.unlink(path)
        sync_directory_if_possible(self._disk, self._directory)

    def _keep_old(self, path: Path) -> Path | None:
        old = path.with_name(f".{path.name}{TEMPORARY}old")
        unlink_if_there(self._disk, old)
        try:
            self._disk.link(path, old)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            content = read_file(path, max_bytes=MAX_SMALL_FILE_BYTES)
            return write_temporary(path, content, disk=self._disk)
        return old

    def undo(self) -> None:
        """Put the old contents back. It takes no space."""
        for temporary in self._new.values():
            unlink_if_there(self._disk, temporary)
        for name, old in self._old.items():
            if old is not None:
                self._disk.rename(old, self._path / name)
                # Of two names for one file, rename(2) leaves both.
                unlink_if_there(self._disk, old)
            else:
                unlink_if_there(self._disk, self._path / name)
        if self._old:
            sync_directory_if_possible(self._disk, self._directory)

    def finish(self) -> None:
        """Forget the old contents. What fails here, the next opening does."""
        for old in self._old.values():
            if old is not None:
                with suppress(OSError):
                    self._disk.unlink(old)
