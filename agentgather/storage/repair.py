"""Put right what lies damaged in a room's folder. Its owner holds the lock."""

from pathlib import Path

from agentgather.storage.disk import OS_DISK, Disk
from agentgather.storage.files import read_file, replace_file
from agentgather.storage.stored_room import (
    COPY_SUFFIX,
    TOKENS_FILE,
    DamagedRoom,
    StoredRoom,
    read_record,
    read_stored_room,
)
from agentgather.wire.limits import MAX_SMALL_FILE_BYTES
from agentgather.wire.records import Tokens


def read_repaired(
    path: Path, room: str, now_text: str, *, disk: Disk = OS_DISK
) -> tuple[StoredRoom, tuple[str, ...]]:
    """Read a room's small files; a damaged one is set aside as ``<name>.damaged-<time>``.

    Returns also warnings for the host.

    Raises:
        DamagedRoom, NewerSchema, UnsafeFile, OSError: as ``stored_room.read_stored_room``.

    """
    stored, restored = read_stored_room(path, room)
    for name in restored:
        content = read_file(path / f"{name}{COPY_SUFFIX}", max_bytes=MAX_SMALL_FILE_BYTES)
        if (path / name).exists():
            _set_aside(path / name, now_text, disk)
        replace_file(path / name, content, disk=disk)
    try:
        read_record(path / TOKENS_FILE, Tokens.from_plain, "")
    except DamagedRoom:
        _set_aside(path / TOKENS_FILE, now_text, disk)
        warning = f"{TOKENS_FILE} was damaged; rotate the seats that nobody has used yet"
        return stored, (*stored.warnings, warning)
    return stored, stored.warnings


def _set_aside(path: Path, now_text: str, disk: Disk) -> None:
    disk.rename(path, path.with_name(f"{path.name}.damaged-{now_text.replace(':', '')}"))
