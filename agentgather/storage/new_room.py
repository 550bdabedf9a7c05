"""Make a room's folder, whole or not at all."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentgather.storage.disk import OS_DISK, Disk, sync_directory_if_possible
from agentgather.storage.files import (
    DIRECTORY_MODE,
    TEMPORARY,
    create_file,
    ensure_directory,
    open_directory,
)
from agentgather.storage.stored_room import (
    BRIEF_FILE,
    CURSORS,
    LOG_FILE,
    ROOM_FILE,
    ROSTER_FILE,
    TOKENS_FILE,
)
from agentgather.wire.records import (
    Participant,
    RoomState,
    Tokens,
    encode_roster,
    encode_small_file,
)

ABANDONED_SECONDS: Final = 3600
"""Making a room or a file takes milliseconds; what is an hour old was left by a crash."""


def create_folder(
    path: Path,
    state: RoomState,
    participants: list[Participant],
    brief: str,
    tokens: Tokens,
    *,
    disk: Disk = OS_DISK,
) -> None:
    """Make a room's folder at ``path``, durably. Of two that try, one succeeds.

    Raises:
        FileExistsError: something is at ``path`` already.
        OSError: it cannot be made, and nothing is left of it; or only the last sync failed.

    """
    _remove_abandoned(path.parent)
    _check_free(path)
    new = path.with_name(f".{path.name}{TEMPORARY}{os.urandom(8).hex()}")
    disk.make_directory(new, DIRECTORY_MODE)
    try:
        new.chmod(DIRECTORY_MODE)
        ensure_directory(new / CURSORS, disk=disk)
        for name, content in (
            (ROOM_FILE, encode_small_file(state)),
            (ROSTER_FILE, encode_roster(participants)),
            (BRIEF_FILE, brief.encode()),
            (TOKENS_FILE, encode_small_file(tokens)),
            (LOG_FILE, b""),
        ):
            create_file(new / name, content, replace=False, disk=disk)
        disk.rename(new, path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        # Another process may have been faster.
        _check_free(path)
        raise
    with open_directory(path.parent) as directory:
        sync_directory_if_possible(disk, directory)


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(f"this home has a room or a seat in a room named {path.name} already")


def _remove_abandoned(rooms: Path) -> None:
    """Remove rooms that were never finished."""
    for entry in os.scandir(rooms):
        if not entry.name.startswith(".") or TEMPORARY not in entry.name:
            continue
        # One that is just being finished may have got its name by now.
        with suppress(FileNotFoundError):
            age_seconds = time.time() - entry.stat(follow_symlinks=False).st_mtime
            if age_seconds >= ABANDONED_SECONDS and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
