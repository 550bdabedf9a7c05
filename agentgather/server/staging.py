"""What a live room decided, on its way to the disk and then to everybody.

From here on nothing can be refused but by the disk. What is staged is applied at once, so
that the next decision is made from it; it becomes visible when it is durable, in the order
it was decided, and is undone, newest first, if the disk takes it not.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from agentgather.domain.attendance import Presence
from agentgather.domain.room import Mark, Room
from agentgather.domain.text import Moment
from agentgather.server.wait_hub import WaitHub
from agentgather.storage.commit import Change, GroupCommit, RoomStore, Staged
from agentgather.storage.stored_room import ROOM_FILE, ROSTER_FILE, TOKENS_FILE
from agentgather.wire.errors import Rejected
from agentgather.wire.records import (
    Message,
    Participant,
    RoomState,
    Tokens,
    encode_roster,
    encode_small_file,
)

Files = tuple[tuple[str, bytes], ...]
"""Small files that change with a line, by name."""


class Staging:
    """The one way from a decision to the disk. ``commit.run`` is the caller's to run.

    ``latest`` is what was staged last, if anything was. Each method returns what to wait on
    before the change may be acknowledged, and raises ``Unavailable`` where the disk takes
    nothing: then nothing has changed.
    """

    def __init__(
        self, room: Room, tokens: Tokens, presence: Presence, store: RoomStore, hub: WaitHub
    ) -> None:
        self._room = room
        self._tokens = tokens
        self._presence = presence
        self._hub = hub
        self.commit = GroupCommit(store, on_durable=self._on_durable)
        self.latest: Staged | None = None
        self._records: deque[int] = deque()

    def line(
        self,
        message: Message,
        files: Files = (),
        undo_more: Callable[[], None] | None = None,
    ) -> Staged:
        """Stage a line of the log, with the small files that change with it."""
        mark = self._room.mark(message)
        entry = self._room.apply(message)
        undo = partial(self._undo_line, mark, undo_more)
        return self._stage(Change(lines=entry + b"\n", files=files), 1, undo)

    def text(self, text: str, now: Moment) -> Staged:
        """Stage a line of the room's own."""
        return self.line(self._room.system_line(text, now))

    def state(
        self,
        state: RoomState,
        text: str,
        now: Moment,
        files: Files = (),
        undo_more: Callable[[], None] = lambda: None,
    ) -> Staged:
        """Stage a new state of the room, and the line that tells of it."""
        before = self._room.state
        # The line's own id comes before the next one.
        state.next_message_id = self._room.log.next_id + 1
        self._room.state = state

        def undo() -> None:
            self._room.state = before
            undo_more()

        message = self._room.system_line(text, now)
        return self.line(message, (*files, (ROOM_FILE, encode_small_file(state))), undo)

    def seat(
        self, seat: Participant, token: str | None = None, *, line: Message | None = None
    ) -> Staged:
        """Stage a seat, and its raw token as long as nobody has used it.

        A ``line`` that tells of it is stored with it: both or neither.
        """
        roster, tokens = self._room.roster, self._tokens.tokens
        seat.lastSeenAt = self._presence.last_seen_text(seat)
        seat.attention = self._presence.attention(seat.alias)
        before = roster.put(seat)
        token_before = tokens.get(seat.alias)
        _keep(tokens, seat.alias, token)
        files = [(ROSTER_FILE, encode_roster(list(roster)))]
        if token != token_before:
            files.append((TOKENS_FILE, encode_small_file(self._tokens)))

        def undo() -> None:
            roster.take_back(seat.alias, before)
            _keep(tokens, seat.alias, token_before)

        if line is not None:
            return self.line(line, tuple(files), undo)
        return self._stage(Change(files=tuple(files)), 0, undo)

    def _stage(self, change: Change, records: int, undo: Callable[[], None]) -> Staged:
        def undo_all() -> None:
            self._records.pop()
            undo()

        try:
            staged = self.commit.stage(change, undo=undo_all)
        except Rejected:
            undo()
            raise
        self._records.append(records)
        self.latest = staged
        return staged

    def _undo_line(self, mark: Mark, undo_more: Callable[[], None] | None) -> None:
        self._room.retract(mark)
        if undo_more is not None:
            undo_more()

    def _on_durable(self, count: int) -> None:
        records = [self._records.popleft() for _ in range(count)]
        if any(records):
            aliases, everybody = self._room.log.publish(sum(records))
            self._hub.publish(aliases, everybody=everybody)
        if not all(records):
            self._hub.publish_facts()


def _keep(tokens: dict[str, str], alias: str, token: str | None) -> None:
    if token is None:
        tokens.pop(alias, None)
    else:
        tokens[alias] = token
