"""What a room's small files say, read strictly: a damaged one never opens a room to more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from agentgather.domain.text import parse_time
from agentgather.storage.files import read_file
from agentgather.wire.limits import MAX_SMALL_FILE_BYTES
from agentgather.wire.records import (
    SCHEMA,
    Participant,
    RoomState,
    decode_plain,
    encode_plain,
)

_Parsed = TypeVar("_Parsed")

ROOM_FILE: Final = "room.json"
ROSTER_FILE: Final = "participants.json"
BRIEF_FILE: Final = "brief.md"
TOKENS_FILE: Final = "tokens.json"
LOG_FILE: Final = "messages.jsonl"
TUNNEL_FILE: Final = "tunnel.json"
LOCK_FILE: Final = "lock"
CURSORS: Final = "cursors"
COPY_SUFFIX: Final = ".copy"
"""Of the second copy that ``room.json`` and ``participants.json`` have."""
COPIED: Final = frozenset({ROOM_FILE, ROSTER_FILE})


class DamagedRoom(Exception):
    """A small file cannot be read. The text says which, and what the host can do."""


class NewerSchema(Exception):
    """A newer agentgather wrote a file; this one would spoil it. The text says what to do."""


class _Wrong(ValueError):
    """A file's content is JSON, and is not what the file must hold."""


@dataclass(frozen=True, slots=True)
class StoredRoom:
    """A room's small files.

    ``participants`` are the seats that we understand, one per alias. ``kept`` are the
    other entries of ``participants.json`` as they lie there: nobody gets in by them, and
    they are written back with each change. ``warnings`` are for the host.
    """

    state: RoomState
    participants: list[Participant]
    brief: str
    kept: tuple[Any, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_room(data: bytes, room: str) -> RoomState:
    """Read ``room.json``.

    Raises:
        ValueError: it is not what the file of ``room`` must be.
        NewerSchema: it has a form that we do not know.

    """
    plain = as_object(decode_plain(data))
    _refuse_newer(plain, f"room {room}")
    state = RoomState.from_plain(plain)
    if state.expires_at is not None and parse_time(state.expires_at) is None:
        # Read as no time at all, it would keep a room open that should have ended.
        raise _Wrong("expires_at is no time")
    if state.id != room:
        raise _Wrong("it is another room's")
    return state


def parse_roster(data: bytes) -> tuple[list[Participant], tuple[Any, ...]]:
    """Read ``participants.json``: the seats, and the entries that are none.

    Entries of a kind that we do not know, with a wrong type, or with an alias that an
    earlier one has, are kept apart.

    Raises:
        ValueError: it is no list, or no entry of it is a seat.

    """
    plain = decode_plain(data)
    if not isinstance(plain, list):
        raise _Wrong("not a JSON list")
    seats: dict[str, Participant] = {}
    kept = []
    for entry in plain:
        try:
            seat = Participant.from_plain(as_object(entry))
        except ValueError:
            kept.append(entry)
            continue
        if seats.setdefault(seat.alias, seat) is not seat:
            kept.append(entry)
    if kept and not seats:
        raise _Wrong("no entry is a seat")
    return list(seats.values()), tuple(kept)


def with_kept(roster: bytes, kept: tuple[Any, ...]) -> bytes:
    """Add the kept entries to the bytes of a roster that is to be written."""
    if not kept:
        return roster
    return encode_plain([*decode_plain(roster), *kept])


def read_stored_room(path: Path, room: str) -> tuple[StoredRoom, tuple[str, ...]]:
    """Read the small files in a room's folder; changes nothing.

    A file that is damaged or missing is read from its second copy, if that is sound.
    Returns also the names of such files.

    Raises:
        DamagedRoom: a file and its copy cannot be read.
        NewerSchema: a newer program wrote the room.
        UnsafeFile, OSError: as ``files.read_file``.

    """
    warnings: list[str] = []
    restored: list[str] = []

    def read(name: str, parse: Callable[[bytes], _Parsed]) -> _Parsed:
        try:
            return parse(read_file(path / name, max_bytes=MAX_SMALL_FILE_BYTES))
        except FileNotFoundError:
            problem = "missing"
        except ValueError as error:
            problem = f"damaged ({_describe(error)})"
        try:
            copy = path / f"{name}{COPY_SUFFIX}"
            parsed = parse(read_file(copy, max_bytes=MAX_SMALL_FILE_BYTES))
        except (FileNotFoundError, ValueError):
            raise DamagedRoom(
                f"{name} of room {room} is {problem} and has no sound copy; put it right by "
                "hand or from a backup, the messages are not affected"
            ) from None
        warnings.append(
            f"{name} is {problem}; its second copy is used, so check that the latest change "
            "of seats and settings is in it"
        )
        restored.append(name)
        return parsed

    state = read(ROOM_FILE, lambda data: parse_room(data, room))
    participants, kept = read(ROSTER_FILE, parse_roster)
    if kept:
        warnings.append(
            f"{len(kept)} entries of {ROSTER_FILE} are no seats; they are kept, and let nobody in"
        )
    if not any(seat.is_host and seat.removed_at is None for seat in participants):
        warnings.append("nobody is the host of this room")
    try:
        brief = read_file(path / BRIEF_FILE, max_bytes=MAX_SMALL_FILE_BYTES).decode()
    except FileNotFoundError:
        brief = ""
        warnings.append(f"{BRIEF_FILE} is missing; the brief is empty")
    except UnicodeDecodeError:
        brief = read_file(path / BRIEF_FILE, max_bytes=MAX_SMALL_FILE_BYTES).decode(
            errors="replace"
        )
        warnings.append(f"{BRIEF_FILE} is not UTF-8; what cannot be read is shown as \ufffd")
    return StoredRoom(state, participants, brief, kept, tuple(warnings)), tuple(restored)


def read_record(path: Path, parse: Callable[[Any], _Parsed], hint: str) -> _Parsed | None:
    """Read a small file that holds one record; None if there is none.

    Raises:
        DamagedRoom: it is not what it must be; ``hint`` says what to do.
        NewerSchema: it has a form that we do not know.
        UnsafeFile, OSError: as ``files.read_file``.

    """
    try:
        plain = as_object(decode_plain(read_file(path, max_bytes=MAX_SMALL_FILE_BYTES)))
        _refuse_newer(plain, path.name)
        return parse(plain)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedRoom(f"{path.name} is damaged ({_describe(error)}); {hint}") from error


def _refuse_newer(plain: Mapping[str, Any], what: str) -> None:
    """Look at the form before anything else: a newer one may differ in every other key."""
    schema = plain.get("schema", SCHEMA)
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise NewerSchema(
            f"{what} was written by a newer agentgather (form {schema}, this one reads up to "
            f"{SCHEMA}); upgrade agentgather to open it"
        )


def _describe(error: ValueError) -> str:
    # Of the decoder's texts only these name no more than keys and types.
    return str(error) if isinstance(error, (msgspec.ValidationError, _Wrong)) else "not JSON"


def as_object(plain: object) -> dict[str, Any]:
    """Give a JSON object as such.

    Raises:
        ValueError: it is something else.

    """
    if not isinstance(plain, dict):
        raise _Wrong("not a JSON object")
    return plain
