"""One AGENTGATHER_HOME: where its rooms and seats lie, and what is in their small files."""

import os
import stat
from pathlib import Path
from typing import Final

from agentgather.storage.disk import OS_DISK, unlink_if_there
from agentgather.storage.files import (
    UnsafeFile,
    ensure_directory,
    remove_temporaries,
    replace_file,
)
from agentgather.storage.new_room import ABANDONED_SECONDS, create_folder
from agentgather.storage.stored_room import (
    CURSORS,
    LOG_FILE,
    ROOM_FILE,
    ROSTER_FILE,
    TOKENS_FILE,
    TUNNEL_FILE,
    DamagedRoom,
    NewerSchema,
    StoredRoom,
    read_record,
    read_stored_room,
)
from agentgather.wire.names import is_slug
from agentgather.wire.records import (
    CurrentRoom,
    Cursor,
    Participant,
    RoomState,
    Tokens,
    TunnelState,
    encode_small_file,
)

_CURRENT_FILE: Final = "current-room.json"
_ROOMS: Final = "rooms"


class Home:
    """The folder of one user's rooms. Holds no file open and no lock.

    Every method may raise UnsafeFile and OSError; texts are for the user of the machine.
    """

    def __init__(self, root: Path) -> None:
        # Absolute now, so that a later change of directory changes nothing.
        self.root = root.absolute()

    def prepare(self) -> None:
        """Make the home, or check the one that is there.

        Raises:
            UnsafeFile: others may write to it, or it is another user's.

        """
        ensure_directory(self.root)
        ensure_directory(self.root / _ROOMS)
        remove_temporaries(self.root, min_age_seconds=ABANDONED_SECONDS)

    # --- Rooms ------------------------------------------------------------------------
    def rooms(self) -> list[str]:
        """Give the names of the rooms that live here, sorted.

        A seat in somebody else's room has a folder too; it is no room of this home.
        """
        try:
            names = sorted(entry.name for entry in os.scandir(self.root / _ROOMS))
        except FileNotFoundError:
            return []
        return [name for name in names if is_slug(name) and self._holds_room(name)]

    def has_room(self, room: str) -> bool:
        """Say whether the room lives here; a damaged one does too."""
        self.room_path(room)
        return self._holds_room(room)

    def room_path(self, room: str) -> Path:
        """Give a room's folder, which need not be there.

        Raises:
            ValueError: no room can have that name.
            UnsafeFile: a link or a file is in its place.

        """
        if not is_slug(room):
            raise ValueError("a room's name is 1 to 64 of a-z 0-9 -, and begins with no dash")
        path = self.root / _ROOMS / room
        for directory in (path.parent, path):
            try:
                found = directory.lstat()
            except FileNotFoundError:
                break
            if not stat.S_ISDIR(found.st_mode):
                raise UnsafeFile(f"{directory} is not a directory")
            if found.st_uid != os.geteuid():
                raise UnsafeFile(f"{directory} belongs to another user")
        return path

    def create_room(
        self, state: RoomState, participants: list[Participant], brief: str, tokens: Tokens
    ) -> None:
        """Make a room, whole or not at all.

        Raises:
            FileExistsError: the room, or a seat in a room of that name, is there already.

        """
        path = self.room_path(state.id)
        self.prepare()
        create_folder(path, state, participants, brief, tokens)

    def read_room(self, room: str) -> StoredRoom:
        """Read a room's small files without its lock; changes nothing.

        Raises:
            FileNotFoundError: there is no such room here.
            DamagedRoom, NewerSchema: it cannot be opened.

        """
        path = self.room_path(room)
        if not self._holds_room(room):
            raise FileNotFoundError(f"there is no room {room} in this home")
        return read_stored_room(path, room)[0]

    # --- Seats ------------------------------------------------------------------------
    def read_current(self) -> CurrentRoom | None:
        """Give the seat that one-shot commands speak for; None if none is selected.

        Raises:
            DamagedRoom, NewerSchema: the file cannot be read.

        """
        hint = "select a room again"
        return read_record(self.root / _CURRENT_FILE, CurrentRoom.from_plain, hint)

    def write_current(self, current: CurrentRoom) -> None:
        """Select a seat."""
        ensure_directory(self.root)
        replace_file(self.root / _CURRENT_FILE, encode_small_file(current))

    def clear_current(self) -> None:
        """Select none."""
        unlink_if_there(OS_DISK, self.root / _CURRENT_FILE)

    def read_cursor(self, room: str, alias: str) -> int:
        """Give the id of the last message that a seat of this machine has read; 0 if none.

        A damaged cursor counts as none: what is shown twice is not lost.

        Raises:
            NewerSchema: a newer program wrote the file.

        """
        cursor = self._read_cursor(room, alias)
        return max(0, cursor.sinceId) if cursor is not None else 0

    def write_cursor(self, room: str, alias: str, since_id: int, now_text: str) -> None:
        """Store what a seat of this machine has read.

        Raises:
            NewerSchema: a newer program wrote the file.

        """
        cursor = self._read_cursor(room, alias) or Cursor(alias=alias, sinceId=0)
        cursor.sinceId = since_id
        cursor.updatedAt = now_text
        path = self._cursor_path(room, alias)
        ensure_directory(path.parent)
        replace_file(path, encode_small_file(cursor))

    def read_tokens(self, room: str) -> Tokens:
        """Give the raw tokens that are kept for a room's seats.

        Raises:
            DamagedRoom, NewerSchema: the file cannot be read.

        """
        path = self.room_path(room) / TOKENS_FILE
        hint = "remove it, and rotate the seats that nobody has used yet"
        return read_record(path, Tokens.from_plain, hint) or Tokens()

    def add_token(self, room: str, alias: str, token: str) -> None:
        """Keep the token of a seat in somebody else's room. Not for a room that lives here."""
        tokens = self.read_tokens(room)
        tokens.tokens[alias] = token
        path = self.room_path(room)
        ensure_directory(path)
        replace_file(path / TOKENS_FILE, encode_small_file(tokens))

    # --- Tunnel -----------------------------------------------------------------------
    def read_tunnel(self, room: str) -> TunnelState | None:
        """Say where a room can be reached from outside; None if nowhere, or if unreadable."""
        try:
            return read_record(self.room_path(room) / TUNNEL_FILE, TunnelState.from_plain, "")
        except (DamagedRoom, NewerSchema):
            return None

    def write_tunnel(self, room: str, tunnel: TunnelState) -> None:
        """Note where a room can be reached from outside."""
        replace_file(self.room_path(room) / TUNNEL_FILE, encode_small_file(tunnel))

    def clear_tunnel(self, room: str) -> None:
        """Note that it cannot any more."""
        unlink_if_there(OS_DISK, self.room_path(room) / TUNNEL_FILE)

    # --- Within -----------------------------------------------------------------------
    def _holds_room(self, room: str) -> bool:
        path = self.root / _ROOMS / room
        return not path.is_symlink() and any(
            os.path.lexists(path / name) for name in (ROOM_FILE, ROSTER_FILE, LOG_FILE)
        )

    def _cursor_path(self, room: str, alias: str) -> Path:
        if not is_slug(alias):
            raise ValueError("an alias is 1 to 64 of a-z 0-9 -, and begins with no dash")
        return self.room_path(room) / CURSORS / f"{alias}.json"

    def _read_cursor(self, room: str, alias: str) -> Cursor | None:
        try:
            return read_record(self._cursor_path(room, alias), Cursor.from_plain, "")
        except DamagedRoom:
            return None
