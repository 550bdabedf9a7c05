"""A room that lives: its state, its writer, its waiters, its limits.

Every method that changes something is one synchronous stretch: check, decide, stage,
apply. An ``await`` in between would let another request decide from the same state. What
is staged becomes visible when it is durable, in the order it was decided.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import trio

from agentgather.domain.attendance import Presence
from agentgather.domain.display_names import parse_display_name
from agentgather.domain.guards import REARMED
from agentgather.domain.mentions import parse_mentions
from agentgather.domain.room import (
    CLOSED_LINE,
    Room,
    brief_line,
    joined_line,
    left_line,
    policy_line,
)
from agentgather.domain.roster import is_expired
from agentgather.domain.text import Moment, is_blank, utf16_units
from agentgather.domain.tokens import hash_token
from agentgather.edge.rates import SlidingWindow
from agentgather.server.activity import ActivityIndex
from agentgather.server.rendering import Rendering
from agentgather.server.staging import Staging
from agentgather.server.wait_hub import WaitHub
from agentgather.storage.commit import RoomStore, Staged
from agentgather.storage.stored_room import BRIEF_FILE
from agentgather.wire.api import InviteDraft, MessageDraft
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import (
    BRIEFS_PER_WINDOW,
    CLOSES_PER_WINDOW,
    JOINS_PER_WINDOW,
    MAX_TEXT_UNITS,
    MAX_WAITS_PER_PARTICIPANT,
    POSTS_PER_WINDOW,
    PREVIEWS_PER_WINDOW,
    WRITES_PER_WINDOW,
)
from agentgather.wire.names import AttendancePolicy
from agentgather.wire.records import Participant, Tokens

_SLOW_DOWN: Final = "too many of these in the last minute; wait for Retry-After seconds"


class LiveRoom:
    """One room while a process owns it.

    ``clock`` gives now, ``entropy(n)`` n random bytes. ``warnings`` are for the host: what
    opening the room found. ``commit.run`` and ``hub.run`` are
    the caller's to run.
    """

    def __init__(
        self,
        room: Room,
        tokens: Tokens,
        store: RoomStore,
        *,
        warnings: tuple[str, ...] = (),
        clock: Callable[[], Moment],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.room = room
        self.tokens = tokens
        self.warnings = warnings
        self.clock = clock
        self.entropy = entropy
        self.hub = WaitHub()
        self.rendering = Rendering()
        self.activity = ActivityIndex(room.log)
        now = clock()
        self.presence = Presence(now, list(room.roster))
        self._staging = Staging(room, tokens, self.presence, store, self.hub)
        self.commit = self._staging.commit
        self._posts = SlidingWindow(POSTS_PER_WINDOW)
        self._joins = SlidingWindow(JOINS_PER_WINDOW)
        self._briefs = SlidingWindow(BRIEFS_PER_WINDOW)
        self._closes = SlidingWindow(CLOSES_PER_WINDOW)
        self._writes = SlidingWindow(WRITES_PER_WINDOW)
        self._previews = SlidingWindow(PREVIEWS_PER_WINDOW)
        expires_ms = room.expires_ms()
        # Counted on the clock that nobody sets, from what was left when we started.
        self.expires_at = (
            now.monotonic + (expires_ms - now.wall_ms) / 1000
            if expires_ms is not None and not room.is_closed
            else float("inf")
        )

    # --- Who asks -------------------------------------------------------------------
    def authenticate(self, token: str, now: Moment) -> Participant:
        """Give the seat that a token belongs to; removed ones too.

        Raises:
            Rejected: ``forbidden``, ``invite_expired``.

        """
        participant = self.room.roster.by_hash(hash_token(token))
        if participant is None:
            raise Rejected("forbidden")
        if is_expired(participant, now):
            raise Rejected("invite_expired")
        return participant

    def advance(self, now: Moment) -> None:
        """Close the room if its time has run out. Every request calls this first."""
        if now.monotonic >= self.expires_at:
            self.expires_at = float("inf")
            self.room.expired = True
            # A disk that takes no line changes nothing about the time.
            with suppress(Unavailable):
                self._close(now)

    async def run_clock(self) -> None:
        """End the room the moment its time is over, whether anybody asks or not."""
        await trio.sleep_until(self.expires_at)
        self.advance(self.clock())

    def reconcile(self, now: Moment) -> None:
        """Write the line of a close that a crash kept from the log."""
        self.advance(now)
        if self.room.is_closed:
            self._close(now)

    @property
    def is_settled_closed(self) -> bool:
        """Whether the room is closed and all that came before the close is visible."""
        return self.room.is_closed and self.room.log.is_settled

    # --- Messages -------------------------------------------------------------------
    def check_post(self, sender: Participant, now: Moment) -> None:
        """Check what does not depend on the message.

        Raises:
            Rejected: ``observer_read_only``, ``room_closed``, ``rate_limited``,
                ``loop_guard``, ``room_log_full``.

        """
        if sender.role == "observer":
            raise Rejected("observer_read_only")
        self.room.check_open()
        self._limit(self._posts, sender.alias, now)
        self.room.check_post_limits(sender, now)

    def post(
        self, sender: Participant, draft: MessageDraft, now: Moment
    ) -> tuple[bytes, Staged | None, bool]:
        """Give a message its place in the log.

        Returns its bytes, and what to wait on before they are shown. A message that the
        sender posted before under the same key comes back as it is: ``known`` is true.

        Raises:
            Rejected: as :meth:`check_post` and ``Room.decide_post`` say.

        """
        known = self.room.known_post(sender.alias, draft)
        if known is not None:
            message_id, entry = known
            return entry, self._staging.latest if message_id > self.room.log.head else None, True
        self.check_post(sender, now)
        message = self.room.decide_post(sender, draft, now)
        self._posts.record(sender.alias, now.monotonic)
        self._claim(sender, now)
        staged = self._staging.line(message)
        self.presence.seen(sender.alias, now)
        return self.room.log.entry(message.id), staged, False

    def check_preview(self, sender: Participant, now: Moment) -> None:
        """Check the rate of previews.

        Raises:
            Rejected: ``rate_limited``.

        """
        self._limit(self._previews, sender.alias, now)

    async def preview(self, sender: Participant, text: str, now: Moment) -> str:
        """Give a text as it would be shown if it were posted now. No sign of life.

        Raises:
            Rejected: ``rate_limited``, ``message_too_large``.

        """
        self.check_preview(sender, now)
        if utf16_units(text) > MAX_TEXT_UNITS:
            raise Rejected("message_too_large")
        self._previews.record(sender.alias, now.monotonic)
        if is_blank(text):
            return ""
        mentions = parse_mentions(text, self.room.roster.present)
        return await self.rendering.render_text(sender.alias, text, mentions)

    async def render_brief(self, reader: Participant, body: str) -> str:
        """Give a brief as HTML."""
        mentions = parse_mentions(body, self.room.roster.present)
        return await self.rendering.render_text(reader.alias, body, mentions, keep=True)

    # --- Coming and going -------------------------------------------------------------
    def join(self, participant: Participant, now: Moment) -> Staged | None:
        """Take a seat up; one line per absence."""
        self.room.check_open()
        self._limit(self._joins, participant.alias, now)
        self._joins.record(participant.alias, now.monotonic)
        self.presence.seen(participant.alias, now, attention="attending")
        notice = None
        if not self.room.here.get(participant.alias, False) and self.room.takes_notices:
            notice = self.room.system_line(joined_line(participant.alias), now)
        if not participant.joinedAt or participant.claimed_at is None:
            seat = msgspec.structs.replace(
                participant,
                joinedAt=participant.joinedAt or now.text(),
                claimed_at=participant.claimed_at or now.text(),
            )
            return self._staging.seat(seat, line=notice)
        return self._staging.line(notice) if notice is not None else None

    def leave(self, participant: Participant, now: Moment) -> Staged | None:
        """Leave a seat; the token stays valid. One line per presence."""
        self._limit(self._writes, participant.alias, now)
        self._writes.record(participant.alias, now.monotonic)
        self.presence.seen(participant.alias, now, attention="away")
        staged = self._claim(participant, now)
        silent = self.room.is_closed or not self.room.here.get(participant.alias, True)
        if not silent and self.room.takes_notices:
            staged = self._staging.text(left_line(participant.alias), now)
        return staged

    def rename(self, participant: Participant, name: str, now: Moment) -> Staged:
        """Give a participant a display name.

        Raises:
            Rejected: ``invalid_display_name``, ``reserved_name``, ``display_name_taken``.

        """
        self._limit(self._writes, participant.alias, now)
        name = parse_display_name(name, own_alias=participant.alias)
        self.room.roster.check_name_free(participant.alias, name)
        self._writes.record(participant.alias, now.monotonic)
        self.presence.seen(participant.alias, now)
        return self._staging.seat(
            msgspec.structs.replace(participant, display_name=name),
            self.tokens.tokens.get(participant.alias),
        )

    def attend(self, participant: Participant, now: Moment) -> None:
        """Take note of a wait or a stream: a sign of life, in the foreground."""
        # Reading does not need a disk that writes; the next act claims the seat.
        with suppress(Unavailable):
            self._claim(participant, now)
        self.presence.seen(participant.alias, now, attention="attending")

    def check_wait_limit(self, alias: str) -> None:
        """Refuse one more held wait or stream.

        Raises:
            Rejected: ``wait_limit``.

        """
        if self.presence.held(alias) >= MAX_WAITS_PER_PARTICIPANT:
            raise Rejected("wait_limit", retry_after=1)

    # --- What the host does -------------------------------------------------------------
    def set_brief(self, host: Participant, body: str, now: Moment) -> Staged:
        """Replace the brief.

        Raises:
            Rejected: ``room_closed``, ``rate_limited``, ``brief_too_large``.

        """
        self.room.check_open()
        self._limit(self._briefs, host.alias, now)
        state = self.room.decide_brief(body, host.alias, now)
        self._briefs.record(host.alias, now.monotonic)
        before = self.room.brief

        def undo() -> None:
            self.room.brief = before

        self.room.brief = body
        files = ((BRIEF_FILE, body.encode()),)
        return self._staging.state(state, brief_line(state.brief_version), now, files, undo)

    def set_policy(self, host: Participant, policy: AttendancePolicy, now: Moment) -> Staged:
        """Set the attendance policy.

        Raises:
            Rejected: ``room_closed``, ``rate_limited``.

        """
        self.room.check_open()
        self._limit(self._writes, host.alias, now)
        self._writes.record(host.alias, now.monotonic)
        return self._staging.state(self.room.decide_policy(policy, now), policy_line(policy), now)

    def close(self, host: Participant, now: Moment) -> Staged | None:
        """Close the room; again is nothing new."""
        self._limit(self._closes, host.alias, now)
        self._closes.record(host.alias, now.monotonic)
        return self._close(now)

    def rearm(self, host: Participant, now: Moment) -> Staged:
        """Let agents post again before a person did; the log remembers it."""
        self.room.check_open()
        self._limit(self._writes, host.alias, now)
        self._writes.record(host.alias, now.monotonic)
        return self._staging.text(REARMED, now)

    def invite(
        self, host: Participant, draft: InviteDraft, token: str, now: Moment
    ) -> tuple[Participant, Staged]:
        """Make a seat.

        Raises:
            Rejected: ``room_closed``, ``rate_limited``, and as ``Roster.decide_invite``.

        """
        self.room.check_open()
        self._limit(self._writes, host.alias, now)
        seat = self.room.roster.decide_invite(
            draft.alias,
            draft.kind,
            draft.role,
            hash_token(token),
            now,
            single_use=draft.single_use,
            expires_in_s=draft.expires_in_s,
        )
        self._writes.record(host.alias, now.monotonic)
        return seat, self._staging.seat(seat, token)

    def rotate(
        self, host: Participant, alias: str, token: str, now: Moment
    ) -> tuple[Participant, Staged]:
        """Give a seat a new token; its held waits under the old one end at once.

        Raises:
            Rejected: ``rate_limited``, ``unknown_participant``.

        """
        self._limit(self._writes, host.alias, now)
        seat = self.room.roster.decide_rotate(alias, hash_token(token))
        self._writes.record(host.alias, now.monotonic)
        staged = self._staging.seat(seat, token)
        self.hub.kick(alias)
        return seat, staged

    def remove(self, host: Participant, alias: str, now: Moment) -> tuple[Participant, Staged]:
        """Remove a participant; its held waits end at once.

        Raises:
            Rejected: ``rate_limited``, ``unknown_participant``, ``host_required``.

        """
        self._limit(self._writes, host.alias, now)
        seat = self.room.roster.decide_remove(alias, now)
        self._writes.record(host.alias, now.monotonic)
        # A closed room's log has ended; the seat ends all the same.
        line = None if self.room.is_closed else self.room.system_line(f"{alias} removed", now)
        staged = self._staging.seat(seat, line=line)
        self.hub.kick(alias)
        return seat, staged

    def check_write(self, seat: Participant, now: Moment) -> None:
        """Check the rate of the writes that have no rate of their own.

        Raises:
            Rejected: ``rate_limited``.

        """
        self._limit(self._writes, seat.alias, now)

    # --- Beneath ------------------------------------------------------------------------
    def _close(self, now: Moment) -> Staged | None:
        if self.room.closed_line_written:
            return None
        return self._staging.state(self.room.decide_close(now), CLOSED_LINE, now)

    def _claim(self, participant: Participant, now: Moment) -> Staged | None:
        """Note that a seat's holder acted for the first time; its raw token goes."""
        if participant.claimed_at is not None:
            return None
        claimed = msgspec.structs.replace(participant, claimed_at=now.text())
        return self._staging.seat(claimed)

    def _limit(self, window: SlidingWindow, alias: str, now: Moment) -> None:
        seconds = window.wait_seconds(alias, now.monotonic)
        if seconds:
            raise Rejected("rate_limited", _SLOW_DOWN, retry_after=seconds)
