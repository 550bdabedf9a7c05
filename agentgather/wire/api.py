"""The room's HTTP API: what a request's body holds and what an answer holds.

Unknown fields in a body are ignored, so that ``from``, ``id``, ``ts``, ``room``,
``mentions`` and ``is_host`` cannot be set by a sender. Messages travel as the bytes they
have in the log: an answer splices :class:`msgspec.Raw`, it never encodes one again.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from agentgather.wire.errors import Refusal
from agentgather.wire.names import AttendancePolicy, ClientMsgId, Kind, MessageId, Role, RoomStatus


# --- Bodies of requests -----------------------------------------------------
class MessageDraft(msgspec.Struct, frozen=True):
    """POST /messages. An unknown ``type`` is stored as ``message``."""

    text: str
    type: Any = "message"
    reply_to: MessageId | UnsetType = UNSET
    client_msg_id: ClientMsgId | UnsetType = UNSET


class BriefDraft(msgspec.Struct, frozen=True):
    """POST /brief."""

    body: str


class PolicyDraft(msgspec.Struct, frozen=True):
    """POST /attendance."""

    policy: AttendancePolicy


class ProfileDraft(msgspec.Struct, frozen=True):
    """POST /profile."""

    display_name: str


class InviteDraft(msgspec.Struct, frozen=True):
    """POST /participants. ``expires_in_s`` bounds how long the invite may lie unused."""

    alias: str
    kind: Kind = "agent"
    role: Role = "participant"
    single_use: bool = False
    expires_in_s: int | None = None


class PreviewDraft(msgspec.Struct, frozen=True):
    """POST /preview."""

    text: str


class NoDraft(msgspec.Struct, frozen=True):
    """The body of a POST that asks for nothing more: absent, or any object."""


RawMessages = Raw
"""A JSON array of messages, in the bytes that they have in the log."""


def splice(entries: Iterable[bytes]) -> RawMessages:
    """Give messages that are encoded already as one array."""
    return Raw(b"[%b]" % b",".join(entries))


# --- Answers ------------------------------------------------------------------
class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """The room's versioned mission text. ``html`` is there for ``render=html``."""

    body: str
    brief_version: int
    brief_updated_at: str
    brief_updated_by: str
    html: str | UnsetType = UNSET


class BriefAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET and POST /brief."""

    ok: bool = True
    brief: Brief


class PolicyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /attendance."""

    ok: bool = True
    attendance_policy: AttendancePolicy


class PublicParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A seat as everybody in the room sees it. Ages and bounds in milliseconds."""

    alias: str
    display_name: str | None = None
    kind: Kind
    location: str
    install: str
    attention: str
    is_host: bool
    joinedAt: str
    lastSeenAt: str
    removed_at: str | None = None
    attendance_required: bool
    attendance_state: str
    last_seen_age_ms: int
    stale_after_ms: int
    role: Role | None = None


class ProfileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET and POST /profile."""

    ok: bool = True
    participant: PublicParticipant


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /join."""

    ok: bool = True
    participant: str


class PageForward(msgspec.Struct, frozen=True, kw_only=True):
    """GET /messages with ``since_id``."""

    ok: bool = True
    messages: RawMessages
    next_since_id: int
    has_more: bool


class PageBackward(msgspec.Struct, frozen=True, kw_only=True):
    """GET /messages with ``before_id``; the messages are oldest first."""

    ok: bool = True
    messages: RawMessages
    has_more_before: bool


class PostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /messages. ``idempotent`` is present where the key was known already."""

    ok: bool = True
    message: Raw
    idempotent: bool | UnsetType = UNSET


class PreviewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /preview: the text as the page shows it."""

    ok: bool = True
    html: str


class WaitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /wait."""

    ok: bool = True
    room: str
    room_status: RoomStatus
    participant: str
    heartbeat: bool
    messages: RawMessages
    mentioned: bool
    next_since_id: int
    keep_waiting: bool
    next_cmd: str | None
    has_more: bool = False
    participant_status: str | UnsetType = UNSET


class OkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /leave, GET /healthz."""

    ok: bool = True


class RouteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /<slug> of a broker: whether a room is published there, and its host is there."""

    ok: bool = True
    route_slug: str
    status: str
    host_connected: bool


class CloseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /close."""

    ok: bool = True
    room_status: RoomStatus


class InviteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /participants and /participants/<alias>/rotate: the one time a token is shown."""

    ok: bool = True
    room: str
    alias: str
    kind: Kind
    token: str
    card_command: str
    browser_url: str


class LoopGuardAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """POST /loop-guard: how many posts by agents the room takes before a person's."""

    ok: bool = True
    remaining: int


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /status."""

    ok: bool = True
    room: str
    me: str
    is_host: bool
    room_status: RoomStatus
    brief_version: int
    attendance_policy: AttendancePolicy
    stale_after_ms: int
    brief_updated_at: str
    brief_updated_by: str
    participants: list[PublicParticipant]
    expires_at: str | UnsetType = UNSET


class ActivityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One participant's messages, in all and by bucket."""

    alias: str
    kind: Kind
    total: int
    counts: list[int]


class ActivityRest(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of all who have no row of their own."""

    total: int
    counts: list[int]


class Attending(msgspec.Struct, frozen=True, kw_only=True):
    """When a participant was here: begin and end of each span, oldest first."""

    alias: str
    spans: list[tuple[str, str | None]]


class ActivityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /activity: the room over time."""

    ok: bool = True
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    bucket_ms: int
    participants: list[ActivityRow]
    others: ActivityRest | UnsetType = UNSET
    attending: list[Attending]


class StatusEvent(msgspec.Struct, frozen=True, kw_only=True):
    """``event: status`` on GET /events: at the start, and when any of it changes."""

    room: str
    room_status: RoomStatus
    brief_version: int
    attendance_policy: AttendancePolicy
    roster_version: int


class HeartbeatEvent(msgspec.Struct, frozen=True, kw_only=True):
    """``event: heartbeat`` on GET /events."""

    next_since_id: int


class ClosedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """``event: closed`` on GET /events: the stream is over for good."""

    reason: str


_encoder: Final = msgspec.json.Encoder()
encode: Final[Callable[[object], bytes]] = _encoder.encode
"""Give the JSON of an answer, without a line end."""


def encode_refusal(code: str, message: str) -> bytes:
    """Give the body of an error answer."""
    return _encoder.encode(Refusal(error=code, message=message))
