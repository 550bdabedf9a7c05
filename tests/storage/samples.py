"""Rooms, messages and homes for the tests of storage."""

from pathlib import Path

from agentgather.storage.home import Home
from agentgather.wire.records import Message, Participant, RoomState, Tokens, encode_message

NOW = "2026-11-21T08:01:02.123Z"
ROOM = "demo"
HOST = Participant(alias="op", kind="human", is_host=True, token_hash="a1", joinedAt=NOW)


def message(number: int, text: str = "hello", *, room: str = ROOM) -> Message:
    return Message(number, room, NOW, "op", "message", text, ())


def line(number: int, text: str = "hello", *, room: str = ROOM) -> bytes:
    return encode_message(message(number, text, room=room)) + b"\n"


def state(**changes: object) -> RoomState:
    return RoomState(id=ROOM, createdAt=NOW, updatedAt=NOW, **changes)  # type: ignore[arg-type]


def make_home(path: Path, *, lines: bytes = b"") -> Home:
    """Make a home with one room, whose folder is :func:`folder_of`."""
    home = Home(path)
    home.create_room(state(), [HOST], "the brief", Tokens(tokens={"op": "agp_secret"}))
    if lines:
        (folder_of(home) / "messages.jsonl").write_bytes(lines)
    return home


def folder_of(home: Home) -> Path:
    return home.root / "rooms" / ROOM


class Records:
    """Collects what a log's reading gives."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.lines: list[bytes] = []

    def __call__(self, message: Message, line: bytes) -> None:
        self.ids.append(message.id)
        self.lines.append(line)
