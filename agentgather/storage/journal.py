"""The log file of one room: whole lines, appended by its one owner.

A line without its line end was never acknowledged. Opening sets such a tail aside, so that
the next line does not stick to it.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentgather.storage.disk import (
    FULL,
    OS_DISK,
    Disk,
    sync_directory_if_possible,
    sync_if_possible,
    unlink_if_there,
    write_all,
)
from agentgather.storage.failures import StorageFailed, StorageFull
from agentgather.storage.files import FILE_MODE, open_directory, open_regular
from agentgather.storage.log_scan import LogScan, OnRecord
from agentgather.storage.recovery import Recovery
from agentgather.wire.limits import MAX_LOG_LINE_BYTES

_CHUNK_BYTES: Final = 256 * 1024


class Journal:
    """A log that is open for append. ``size_bytes`` is where the next line begins."""

    def __init__(self, descriptor: int, size_bytes: int, *, can_sync: bool, disk: Disk) -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._can_sync = can_sync
        self._disk = disk
        self._failed = False

    def append(self, data: bytes) -> None:
        """Write whole lines and make them durable.

        Raises:
            StorageFull: there was no space; the log is as it was.
            StorageFailed: they may be lost. From then on every call raises this: after a
                failed sync the kernel may have dropped what a second one calls synced.

        """
        if self._failed:
            raise StorageFailed("the disk failed before")
        self._check_unchanged()
        try:
            write_all(self._disk, self._descriptor, data)
        except OSError as error:
            self._cut_back()
            if error.errno in FULL:
                raise StorageFull(error.strerror) from error
            self._failed = True
            raise StorageFailed(error.strerror) from error
        try:
            self._sync()
        except OSError as error:
            self._failed = True
            # For a restart, which should not find what was never acknowledged. Whether
            # it works is not known, and nothing depends on it.
            with suppress(OSError):
                self._disk.truncate(self._descriptor, self.size_bytes)
            raise StorageFailed(error.strerror) from error
        self.size_bytes += len(data)

    def close(self) -> None:
        """Close the file. What was appended is durable already."""
        self._failed = True
        os.close(self._descriptor)

    def _check_unchanged(self) -> None:
        found = os.fstat(self._descriptor)
        if found.st_nlink == 0:
            self._failed = True
            raise StorageFailed("the log was removed")
        if found.st_size != self.size_bytes:
            # The older program's commands write to the log themselves where they reach
            # no server. Those lines have ids that we would give away again.
            self._failed = True
            raise StorageFailed("another program changed the log")

    def _cut_back(self) -> None:
        try:
            self._disk.truncate(self._descriptor, self.size_bytes)
            # Else a power cut could bring back lines that their senders were told
            # are not stored.
            self._sync()
        except OSError as error:
            self._failed = True
            raise StorageFailed(error.strerror) from error

    def _sync(self) -> None:
        if self._can_sync:
            self._disk.sync(self._descriptor)


def open_journal(
    path: Path, room: str, on_record: OnRecord, *, now_text: str, disk: Disk = OS_DISK
) -> tuple[Journal, Recovery]:
    """Read a log and open it for append. The caller owns the room's lock, and closes it.

    A tail without a line end goes to ``<name>.torn-<time>``, the rest is left as it is.

    Raises:
        UnsafeFile: there is no regular file of ours at ``path``.
        StorageFull, OSError: a tail could not be set aside; nothing was changed.

    """
    was_missing = not os.path.lexists(path)
    descriptor = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, disk=disk)
    try:
        os.fchmod(descriptor, FILE_MODE)
        scan, sound_bytes, size_bytes = _scan(descriptor, room, on_record)
        torn = None
        with open_directory(path.parent) as directory:
            if size_bytes > sound_bytes:
                torn = _set_aside(path, descriptor, sound_bytes, now_text, disk)
                sync_directory_if_possible(disk, directory)
                disk.truncate(descriptor, sound_bytes)
            can_sync = sync_if_possible(disk, descriptor)
            can_sync = sync_directory_if_possible(disk, directory) and can_sync
    except OSError as error:
        os.close(descriptor)
        if error.errno in FULL:
            raise StorageFull(error.strerror) from error
        raise
    except BaseException:
        os.close(descriptor)
        raise
    journal = Journal(descriptor, sound_bytes, can_sync=can_sync, disk=disk)
    torn_bytes = size_bytes - sound_bytes
    return journal, _recovery(scan, torn, torn_bytes, can_sync=can_sync, was_missing=was_missing)


def read_journal(path: Path, room: str, on_record: OnRecord) -> Recovery:
    """Read a log and change nothing; it needs no lock.

    The last line of a log that a server writes to may be unfinished, and is no damage then.

    Raises:
        UnsafeFile: there is no regular file of ours at ``path``.
        FileNotFoundError: there is none at all.
        OSError: it cannot be read.

    """
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        scan, sound_bytes, size_bytes = _scan(descriptor, room, on_record)
    finally:
        os.close(descriptor)
    return _recovery(scan, None, size_bytes - sound_bytes)


def _scan(descriptor: int, room: str, on_record: OnRecord) -> tuple[LogScan, int, int]:
    """Read all. Also gives where the last line end is, and the size that was read."""
    scan = LogScan(room, on_record)
    rest = b""
    skipped_bytes = 0
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        data = rest + chunk
        end = data.rfind(b"\n") + 1
        if skipped_bytes and end:
            first = data.index(b"\n") + 1
            scan.skip(skipped_bytes + first, ends_line=True)
            skipped_bytes = 0
            scan.feed(data[first:end])
        elif end:
            scan.feed(data[:end])
        rest = data[end:]
        if skipped_bytes or len(rest) > MAX_LOG_LINE_BYTES:
            skipped_bytes += len(rest)
            rest = b""
    return scan, scan.offset, scan.offset + skipped_bytes + len(rest)


def _set_aside(path: Path, descriptor: int, start: int, now_text: str, disk: Disk) -> Path:
    """Copy the log from ``start`` on to a file of its own, and sync its content."""
    torn, copy = _create_torn(path, now_text.replace(":", ""), disk)
    try:
        while chunk := os.pread(descriptor, _CHUNK_BYTES, start):
            write_all(disk, copy, chunk)
            start += len(chunk)
        sync_if_possible(disk, copy)
    except BaseException:
        unlink_if_there(disk, torn)
        raise
    finally:
        os.close(copy)
    return torn


def _create_torn(path: Path, time_text: str, disk: Disk) -> tuple[Path, int]:
    for number in range(1, 1_000):
        suffix = f"-{number}" if number > 1 else ""
        torn = path.with_name(f"{path.name}.torn-{time_text}{suffix}")
        try:
            return torn, open_regular(torn, os.O_WRONLY | os.O_CREAT | os.O_EXCL, disk=disk)
        except FileExistsError:
            continue
    raise FileExistsError(f"too many files {path.name}.torn-{time_text}-*")


def _recovery(
    scan: LogScan,
    torn: Path | None,
    torn_bytes: int,
    *,
    can_sync: bool = True,
    was_missing: bool = False,
) -> Recovery:
    return Recovery(
        records=scan.records,
        last_id=scan.last_id,
        blank=scan.blank,
        bad=tuple(scan.bad),
        bad_count=scan.bad_count,
        gaps=scan.gaps,
        duplicates=scan.duplicates,
        out_of_order=scan.out_of_order,
        foreign=scan.foreign,
        torn=torn,
        torn_bytes=torn_bytes,
        can_sync=can_sync,
        was_missing=was_missing,
    )
