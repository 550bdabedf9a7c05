"""A room that this process owns: locked, put right, read, and open for writing.

Apart from the home, because most commands read only the home's small files, and loading
what reads and mends a log would cost each of them 3 ms.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agentgather.storage.disk import OS_DISK, Disk
from agentgather.storage.files import ensure_directory, remove_temporaries
from agentgather.storage.home import Home
from agentgather.storage.journal import open_journal
from agentgather.storage.lock import open_lock
from agentgather.storage.log_scan import OnRecord
from agentgather.storage.recovery import Recovery
from agentgather.storage.repair import read_repaired
from agentgather.storage.room_folder import RoomFolder
from agentgather.storage.stored_room import CURSORS, LOCK_FILE, LOG_FILE, StoredRoom


@dataclass(frozen=True, slots=True)
class OpenRoom:
    """A room that this process owns. ``warnings`` are for the host, the log's included."""

    stored: StoredRoom
    recovery: Recovery
    store: RoomFolder
    warnings: tuple[str, ...]


@contextmanager
def open_room(
    home: Home,
    room: str,
    on_record: OnRecord,
    now_text: str,
    *,
    on_stored: Callable[[StoredRoom], None] = lambda _: None,
    disk: Disk = OS_DISK,
) -> Iterator[OpenRoom]:
    """Own a room for the length of the block: lock it, put right what a crash left, read it.

    ``on_stored`` gets the small files' content once, and then ``on_record`` each record of
    the log, oldest first. Files that were damaged are set aside, never removed.

    Raises:
        FileNotFoundError: there is no such room here.
        RoomLocked: another process owns it.
        DamagedRoom, NewerSchema: its small files cannot be used.
        UnsafeFile: something else lies in the place of one of its files.
        StorageFull, OSError: what has to be put right cannot be written.

    """
    home.prepare()
    if not home.has_room(room):
        raise FileNotFoundError(f"there is no room {room} in this home")
    path = home.room_path(room)
    ensure_directory(path)
    with open_lock(path / LOCK_FILE):
        remove_temporaries(path, disk=disk)
        remove_temporaries(path / CURSORS, disk=disk)
        stored, warnings = read_repaired(path, room, now_text, disk=disk)
        on_stored(stored)
        journal, recovery = open_journal(
            path / LOG_FILE, room, on_record, now_text=now_text, disk=disk
        )
        try:
            store = RoomFolder(path, journal, stored.kept, disk=disk)
            yield OpenRoom(stored, recovery, store, (*warnings, *recovery.problems))
        finally:
            journal.close()
