"""The wait loop of a participant: ask, print, move the cursor, ask again.

The cursor moves when what was delivered has left this process, so a crash shows a delivery
again and never loses one. ``spec/wait.md`` has the rule of what ends it, and what is waited out.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from agentgather.cli.answers import Document
from agentgather.cli.context import Context
from agentgather.cli.failures import REFUSED, UNREACHABLE, Refused, TryLater, Unreachable
from agentgather.storage.seats import read_seat
from agentgather.wire.limits import UNPUBLISHED_SECONDS
from agentgather.wire.records import CurrentRoom

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30
EARLY_SECONDS: Final = 1
"""An empty answer that comes sooner was not held: a server that is stopping, or something
between that answers for it. It is not asked again at once."""


class End(NamedTuple):
    """Why a loop is over: a code for programs, a text for people, an exit status."""

    code: str
    text: str
    status: int


_NEW_INVITE: Final = "ask the host for a new invite, then `agentgather room join`"
# Every other refusal may be of a proxy, or of a broker whose host comes back.
ENDS: Final = {
    end.code: end
    for end in (
        End("participant_removed", "the host removed this seat", REFUSED),
        End("forbidden", f"the token is no longer valid; {_NEW_INVITE}", REFUSED),
        End("unauthorized", f"the token is not one; {_NEW_INVITE}", REFUSED),
        End("invite_expired", f"the invite expired before it was used; {_NEW_INVITE}", REFUSED),
        End("participant_mismatch", f"the token is another seat's; {_NEW_INVITE}", REFUSED),
        End(
            "route_closed",
            "the room was taken from this URL; ask the host where it is",
            UNREACHABLE,
        ),
    )
}
UNPUBLISHED: Final = frozenset({"route_expired", "route_not_found"})
"""A broker without the room. Its host may be back any moment, so they end it after an hour."""


class WaitLoop:
    """Waits over HTTP from a cursor."""

    def __init__(self, context: Context, since: int | None, *, for_me: bool) -> None:
        self._context = context
        self._seat = context.seat()
        self._for_me = for_me
        if since is None:
            since = context.home.read_cursor(self._seat.roomId, self._seat.alias)
        self._since = since
        self._failures = 0
        self._unpublished_at: float | None = None

    def run(self, show: Callable[[list[dict[str, Any]]], None], max_turns: int | None) -> End:
        """Wait until there is an end. ``show`` prints one delivery, and flushes it.

        Raises:
            EndedBySignal, OutputClosed, OSError: in the middle; the cursor tells how far.

        """
        turns = 0
        while True:
            asked_at = self._context.monotonic()
            try:
                # The host was away: find out at once whether it is back.
                answer = self.ask(hold_seconds=0 if self._failures else None)
            except (Unreachable, TryLater, Refused) as error:
                end = self._end_of(error)
                if end is not None:
                    return end
                self._wait_out(error)
                continue
            was_away = self._failures > 0
            if was_away:
                self._context.say("back")
                self._failures = 0
                self._unpublished_at = None
            if answer["messages"]:
                show(answer["messages"])
                turns += 1
            moved = self.move_to(answer["next_since_id"])
            if answer.get("participant_status") == "removed":
                return ENDS["participant_removed"]
            # A room of 0.1.0 to 0.2.5 gives no command after a delivery either.
            if answer["next_cmd"] is None and answer["room_status"] == "closed":
                return End("room_closed", "the room is closed", 0)
            if turns == max_turns:
                return End("max_turns", f"{turns} deliveries were printed", 0)
            early = self._context.monotonic() - asked_at < EARLY_SECONDS
            if early and not (answer["messages"] or moved or was_away):
                self._context.sleep(FIRST_PAUSE_SECONDS)

    def ask(self, *, hold_seconds: int | None = None) -> Document:
        """Wait once. Moves nothing.

        Raises:
            Refused, TryLater, Unreachable: there is no answer.

        """
        # Files alone bring no news, so only a server is asked.
        seat = self._current_seat()
        api = self._context.api_of(seat, offline=False)
        try:
            return api.wait(self._since, for_me=self._for_me, hold_seconds=hold_seconds)
        except Unreachable as error:
            if error.may_be_done or not self._context.home.has_room(seat.roomId):
                raise
            # Whom the text would send to the host, is the host.
            raise Unreachable(
                f"{seat.roomId} is not served; serve it with `agentgather room serve`"
            ) from None

    def move_to(self, since_id: int) -> bool:
        """Remember what was printed. False where that was known already."""
        if since_id == self._since:
            return False
        self._since = since_id
        self._context.home.write_cursor(
            self._seat.roomId, self._seat.alias, since_id, self._context.now_text()
        )
        return True

    def _current_seat(self) -> CurrentRoom:
        # Read again each time: the server may be back at another port, with another token.
        seat = read_seat(self._context.home, self._seat.roomId)
        if seat is not None and seat.alias == self._seat.alias:
            self._seat = seat
        return self._seat

    def _end_of(self, error: Unreachable | TryLater | Refused) -> End | None:
        if not isinstance(error, Refused):
            return None
        if error.code in UNPUBLISHED:
            now = self._context.monotonic()
            if self._unpublished_at is None:
                self._unpublished_at = now
            if now - self._unpublished_at >= UNPUBLISHED_SECONDS:
                text = "the room is not public any more; ask the host to publish it again"
                return End(error.code, text, UNREACHABLE)
        return ENDS.get(error.code)

    def _wait_out(self, error: Unreachable | TryLater | Refused) -> None:
        if not self._failures:
            self._context.say(f"host away, retrying: {error}")
        pause = min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
        self._failures = min(self._failures + 1, 10)
        # Half to all of it, so that a room's agents do not come back in one moment.
        jitter = 0.5 + self._context.entropy(1)[0] / 512
        asked = 0 if isinstance(error, Refused) else error.retry_after
        self._context.sleep(max(pause * jitter, asked))
