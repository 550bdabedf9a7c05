"""One room: its state, and every decision about it, in plain synchronous code.

Nothing can run between a check and the change that it allows. A decision returns what is
to be stored; ``server.live_room`` stages it, and takes it back if the disk refuses.
"""

from typing import Final, NamedTuple

import msgspec

from agentgather.domain.guards import REARMED, LoopGuard
from agentgather.domain.log import Log
from agentgather.domain.mentions import parse_mentions
from agentgather.domain.roster import Roster
from agentgather.domain.text import Moment, has_hidden, is_blank, parse_time, utf16_units
from agentgather.wire.api import Brief, MessageDraft
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_BRIEF_UNITS, MAX_NOTICES, MAX_TEXT_UNITS
from agentgather.wire.names import MESSAGE_TYPES, SYSTEM, AttendancePolicy, RoomStatus
from agentgather.wire.records import (
    Message,
    Participant,
    RoomState,
    decode_message,
    encode_message,
)

CLOSED_LINE: Final = "room closed"
# The older program writes this where a room's time ran out.
_CLOSED_LINES: Final = frozenset({CLOSED_LINE, "room closed by ttl"})
# System lines that concern everybody: a wait `for=me` wakes for them.
_BRIEF_LINE: Final = "Room brief updated to v"
_POLICY_LINE: Final = "Attendance policy set to "


class Mark(NamedTuple):
    """What :meth:`Room.retract` needs to take back one record."""

    guard: tuple[int, int]
    client_messages: int
    notices: int
    closed_line_written: bool
    mover: str
    was_here: bool | None


class Room:
    """State of one room. ``max_messages`` bounds what clients may post."""

    def __init__(
        self, state: RoomState, participants: list[Participant], brief: str, *, max_messages: int
    ) -> None:
        self.state = state
        self.brief = brief
        self.roster = Roster(participants)
        self.log = Log()
        self.guard = LoopGuard()
        self.client_messages = 0
        self.notices = 0
        self.closed_line_written = False
        self.expired = False
        self.here: dict[str, bool] = {}
        """By alias: whether the last notice said that it joined, or that it left."""
        self._max_messages = max_messages
        # Records, not ids: a damaged log can hold an id twice.
        self._keys: dict[tuple[str, str], bytes] = {}

    # --- Loading ----------------------------------------------------------------
    def load(self, message: Message, entry: bytes) -> None:
        """Take in one record of the log, in the log's order."""
        self.apply(message, entry)
        self.log.publish(1)
        if self.closed_line_written:
            self.state.status = "closed"

    @property
    def status(self) -> RoomStatus:
        """``closed`` from the moment that the host closed the room or its time ran out."""
        return "closed" if self.expired else self.state.status

    @property
    def is_closed(self) -> bool:
        """Whether the room takes no more posts."""
        return self.status == "closed"

    def expires_ms(self) -> int | None:
        """When the room ends by itself, in wall milliseconds; None if never."""
        return parse_time(self.state.expires_at) if self.state.expires_at else None

    # --- Messages -----------------------------------------------------------------
    def known_post(self, sender: str, draft: MessageDraft) -> tuple[int, bytes] | None:
        """Give the id and the bytes of what this sender posted under the same key.

        Raises:
            Rejected: ``idempotency_conflict``: the key stands for another text.

        """
        if draft.client_msg_id is msgspec.UNSET:
            return None
        entry = self._keys.get((sender, draft.client_msg_id))
        if entry is None:
            return None
        message = decode_message(entry)
        if message.text != draft.text:
            raise Rejected("idempotency_conflict")
        return message.id, entry

    def check_open(self) -> None:
        """Refuse a write to a closed room.

        Raises:
            Rejected: ``room_closed``.

        """
        if self.is_closed:
            raise Rejected("room_closed")

    def check_post_limits(self, sender: Participant, moment: Moment) -> None:
        """Refuse a post past the loop guard or the log's bound.

        Raises:
            Rejected: ``loop_guard``, ``room_log_full``.

        """
        if sender.kind == "agent":
            seconds = self.guard.wait_seconds(moment.wall_ms)
            if seconds:
                raise Rejected(
                    "loop_guard",
                    "agents posted 30 in a row without a person; wait for one, or for the host "
                    "to re-arm the guard",
                    retry_after=seconds,
                )
        if self.client_messages >= self._max_messages:
            raise Rejected("room_log_full")

    def decide_post(self, sender: Participant, draft: MessageDraft, moment: Moment) -> Message:
        """Make the next message of the log.

        Raises:
            Rejected: ``message_too_large``, ``invalid_message``, ``invalid_reply_to``.

        """
        if utf16_units(draft.text) > MAX_TEXT_UNITS:
            raise Rejected("message_too_large")
        if is_blank(draft.text):
            raise Rejected("invalid_message", "the text is blank")
        reply_to = None
        if draft.reply_to is not msgspec.UNSET:
            if self.log.find(draft.reply_to) is None:
                raise Rejected("invalid_reply_to", "there is no message with that id here")
            reply_to = draft.reply_to
        known_type = isinstance(draft.type, str) and draft.type in MESSAGE_TYPES
        return Message(
            id=self.log.next_id,
            room=self.state.id,
            ts=moment.text(),
            sender=sender.alias,
            type=draft.type if known_type else "message",
            text=draft.text,
            mentions=parse_mentions(draft.text, self.roster.present),
            reply_to=reply_to,
            client_msg_id=None if draft.client_msg_id is msgspec.UNSET else draft.client_msg_id,
            hidden_chars=has_hidden(draft.text),
        )

    def system_line(self, text: str, moment: Moment) -> Message:
        """Make the next message of the log in the room's own voice."""
        return Message(
            id=self.log.next_id,
            room=self.state.id,
            ts=moment.text(),
            sender=SYSTEM,
            type=SYSTEM,
            text=text,
            mentions=(),
        )

    def apply(self, message: Message, entry: bytes | None = None) -> bytes:
        """Put a record into the log, not yet visible, and return its bytes."""
        if entry is None:
            entry = encode_message(message)
        addressed = message.mentions
        if message.reply_to is not None:
            answered = self.log.find(message.reply_to)
            if answered is not None and answered.sender not in addressed:
                addressed = (*addressed, answered.sender)
        if message.sender in addressed:
            addressed = tuple(alias for alias in addressed if alias != message.sender)
        system = message.type == SYSTEM
        self.log.append(
            message.id, entry, addressed=addressed, to_all=system and _is_to_all(message.text)
        )
        if system:
            self._apply_system(message)
            return entry
        self.client_messages += 1
        if message.client_msg_id is not None:
            self._keys.setdefault((message.sender, message.client_msg_id), entry)
        author = self.roster.get(message.sender)
        if author is not None and author.kind == "agent":
            self.guard.agent_posted(parse_time(message.ts) or 0)
        else:
            self.guard.reset()
        return entry

    def _apply_system(self, message: Message) -> None:
        text = message.text
        if is_notice(text):
            self.notices += 1
            alias, _, what = text.rpartition(" ")
            self.here[alias] = what == "joined"
        elif text in _CLOSED_LINES:
            self.closed_line_written = True
        elif text == REARMED:
            self.guard.reset()

    def mark(self, message: Message) -> Mark:
        """Give the state that :meth:`retract` goes back to, before :meth:`apply`."""
        moves = message.type == SYSTEM and is_notice(message.text)
        mover = message.text.rpartition(" ")[0] if moves else ""
        return Mark(
            self.guard.snapshot(),
            self.client_messages,
            self.notices,
            self.closed_line_written,
            mover,
            self.here.get(mover),
        )

    def retract(self, mark: Mark) -> None:
        """Take back the newest record, which could not be stored."""
        message = decode_message(self.log.retract())
        self.guard.restore(mark.guard)
        if message.client_msg_id is not None and self.client_messages > mark.client_messages:
            self._keys.pop((message.sender, message.client_msg_id), None)
        if mark.was_here is not None:
            self.here[mark.mover] = mark.was_here
        else:
            self.here.pop(mark.mover, None)
        self.client_messages = mark.client_messages
        self.notices = mark.notices
        self.closed_line_written = mark.closed_line_written

    @property
    def takes_notices(self) -> bool:
        """Whether ``joined`` and ``left`` are still written; see ``MAX_NOTICES``."""
        return self.notices < MAX_NOTICES

    # --- The room itself ------------------------------------------------------------
    def decide_brief(self, body: str, author: str, moment: Moment) -> RoomState:
        """Give the state under a new brief.

        Raises:
            Rejected: ``brief_too_large``.

        """
        if utf16_units(body) > MAX_BRIEF_UNITS:
            raise Rejected("brief_too_large")
        return self._changed(
            moment,
            brief_version=self.state.brief_version + 1,
            brief_updated_at=moment.text(),
            brief_updated_by=author,
        )

    def decide_policy(self, policy: AttendancePolicy, moment: Moment) -> RoomState:
        """Give the state under another attendance policy."""
        return self._changed(moment, attendance_policy=policy)

    def decide_close(self, moment: Moment) -> RoomState:
        """Give the closed state."""
        return self._changed(moment, status="closed")

    def public_brief(self) -> Brief:
        """Give the brief as participants read it."""
        return Brief(
            body=self.brief,
            brief_version=self.state.brief_version,
            brief_updated_at=self.state.brief_updated_at,
            brief_updated_by=self.state.brief_updated_by,
        )

    def _changed(self, moment: Moment, **changes: object) -> RoomState:
        return msgspec.structs.replace(
            self.state,
            updatedAt=moment.text(),
            next_message_id=self.log.next_id,
            **changes,
        )


def brief_line(version: int) -> str:
    """Give the system line of a new brief."""
    return f"{_BRIEF_LINE}{version}"


def policy_line(policy: str) -> str:
    """Give the system line of another attendance policy."""
    return f"{_POLICY_LINE}{policy}"


def joined_line(alias: str) -> str:
    """Give the system line of somebody who came."""
    return f"{alias} joined"


def left_line(alias: str) -> str:
    """Give the system line of somebody who went."""
    return f"{alias} left"


def is_notice(text: str) -> bool:
    """Say whether a system line only tells that somebody came or went."""
    return text.endswith((" joined", " left"))


def _is_to_all(text: str) -> bool:
    return text in _CLOSED_LINES or text.startswith((_BRIEF_LINE, _POLICY_LINE))
