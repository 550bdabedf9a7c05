"""What lies in a room's folder: one message per log line, and the small files.

A record that a newer program wrote may hold keys that we do not know. A log line is
never rewritten; a small file keeps such keys in ``extra`` and writes them back.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from agentgather.wire.names import AttendancePolicy, Kind, MessageId, Role, RoomStatus, Slug

SCHEMA: Final = 1
"""The newest form of the small files that we read. A room without the key is form 1."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of ``messages.jsonl``, and the same bytes on the wire.

    ``sender`` is ``from`` there. ``hidden_chars`` is present and true when the text
    holds characters that a reader cannot see.
    """

    id: MessageId
    room: str
    ts: str
    sender: str = msgspec.field(name="from")
    type: str
    text: str
    mentions: tuple[str, ...]
    reply_to: MessageId | None = None
    client_msg_id: str | None = None
    hidden_chars: bool = False


class _SmallFile(msgspec.Struct, kw_only=True):
    """A JSON file that is replaced as a whole."""

    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read the known keys and keep the others.

        Raises:
            msgspec.ValidationError: a known key has the wrong type or is missing.

        """
        known = frozenset(cls.__struct_encode_fields__) - {"extra"}
        record = msgspec.convert({k: v for k, v in plain.items() if k in known}, cls)
        record.extra = {k: v for k, v in plain.items() if k not in known}
        return record

    def to_plain(self) -> dict[str, Any]:
        """Give the keys as they lie in the file: ours, then those we only keep."""
        plain: dict[str, Any] = {
            k: v for k, v in msgspec.to_builtins(self).items() if v is not None and k != "extra"
        }
        return plain | self.extra


class RoomState(_SmallFile, kw_only=True):
    """``room.json``. Times are ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""

    id: Slug
    status: RoomStatus = "open"
    attendance_policy: AttendancePolicy = "manual-ok"
    createdAt: str
    updatedAt: str
    expires_at: str | None = None
    next_message_id: int = 1
    brief_version: int = 1
    brief_updated_at: str = ""
    brief_updated_by: str = ""
    schema: int = SCHEMA


class Participant(_SmallFile, kw_only=True):
    """One seat in ``participants.json``.

    ``token_hash`` is the SHA-256 of the token in hex. ``claimed_at`` is when its holder
    first acted; older programs do not write it. ``invite_expires_at`` and ``single_use``
    bind only while nobody has claimed the seat.
    """

    alias: Slug
    display_name: str | None = None
    kind: Kind = "agent"
    role: Role | None = None
    location: str = "local"
    install: str = "lite"
    attention: str = "manual"
    is_host: bool = False
    token_hash: str | None = None
    joinedAt: str = ""
    lastSeenAt: str = ""
    removed_at: str | None = None
    claimed_at: str | None = None
    single_use: bool | None = None
    invite_expires_at: str | None = None


class Cursor(_SmallFile, kw_only=True):
    """``cursors/<alias>.json``: what a seat of this machine has read."""

    alias: Slug
    sinceId: int
    updatedAt: str = ""


class CurrentRoom(_SmallFile, kw_only=True):
    """``current-room.json``: the seat that one-shot commands speak for."""

    roomId: Slug
    alias: Slug
    token: str
    baseUrl: str


class Tokens(_SmallFile, kw_only=True):
    """``tokens.json``: raw tokens of the seats that nobody has used yet."""

    tokens: dict[str, str] = msgspec.field(default_factory=dict)


class TunnelState(_SmallFile, kw_only=True):
    """``tunnel.json``: where the room can be reached from outside, while it can.

    ``public_base_url`` is the older program's key; what else it writes there is kept.
    """

    publicUrl: str = msgspec.field(name="public_base_url")


class RouteSecret(msgspec.Struct, frozen=True):
    """What makes a slug at a broker this host's. ``broker`` is a base URL in normal form."""

    broker: str
    slug: str
    secret: str

    def __repr__(self) -> str:
        return f"RouteSecret(broker={self.broker!r}, slug={self.slug!r}, ...)"


class RouteSecrets(_SmallFile, kw_only=True):
    """``routes.json``: the slugs that a room has had at brokers, the last used one first.

    ``asked`` has those that no broker has granted, or not yet; the newest is first.
    """

    routes: list[RouteSecret] = msgspec.field(default_factory=list)
    asked: list[RouteSecret] = msgspec.field(default_factory=list)


_message_encoder: Final = msgspec.json.Encoder()
_message_decoder: Final = msgspec.json.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """Give the JSON of one message, without a line end."""
    return _message_encoder.encode(message)


def decode_message(line: bytes) -> Message:
    """Read one line of the log.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not a message.

    """
    return _message_decoder.decode(line)


def encode_messages(messages: list[Message]) -> bytes:
    """Give the JSON of many messages, each with a line end."""
    return _message_encoder.encode_lines(messages)


def decode_messages(lines: bytes) -> list[Message]:
    """Read many lines of the log at once.

    Blank space between records is skipped, whatever it is, so this alone does not tell
    that each record has a line of its own.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: one is not a message.

    """
    return _message_decoder.decode_lines(lines)


def encode_small_file(record: _SmallFile) -> bytes:
    """Give the file's bytes: JSON for people, two spaces deep."""
    return encode_plain(record.to_plain())


def encode_roster(participants: list[Participant]) -> bytes:
    """Give ``participants.json``."""
    return encode_plain([participant.to_plain() for participant in participants])


def encode_plain(plain: object) -> bytes:
    """Give indented JSON with a line end, as people and the older program expect it."""
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def decode_plain(data: bytes) -> Any:
    """Read any JSON file.

    Raises:
        ValueError: it is not JSON in UTF-8.

    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
