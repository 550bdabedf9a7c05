"""A room and its roster, step by step in any order, beside a model that is plain."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agentgather.domain.guards import REARMED
from agentgather.domain.log import Log
from agentgather.domain.room import CLOSED_LINE, Room, brief_line, joined_line, left_line
from agentgather.domain.roster import Roster, is_expired
from agentgather.domain.text import Moment
from agentgather.wire.api import MessageDraft
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import LOOP_GUARD_POSTS
from agentgather.wire.records import Message, Participant, RoomState, encode_message

START_MS = 1_767_323_045_000
SEATS = [
    Participant(alias="host", kind="human", is_host=True),
    Participant(alias="ada", kind="human"),
    Participant(alias="rev", kind="agent"),
    Participant(alias="bo", kind="agent"),
]
BY_ALIAS = {seat.alias: seat for seat in SEATS}
MOST = 40
"""Few enough that a run meets the bound of the log."""
T = TypeVar("T")


def asked(decide: Callable[[], T]) -> tuple[T | None, Rejected | None]:
    """Give what was decided, or the refusal."""
    try:
        return decide(), None
    except Rejected as refused:
        return None, refused


class RoomMachine(RuleBasedStateMachine):
    """Decides, applies, publishes, takes back and restarts.

    The model is the list of what was applied. ``visible`` of it is durable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.offset_ms = 0
        self.is_clock_set = False
        self.applied: list[Message] = []
        self.visible = 0
        self.marks: list[Any] = []
        self.room = self.fresh()

    def fresh(self) -> Room:
        state = RoomState.from_plain({"id": "demo", "createdAt": "x", "updatedAt": "x"})
        seats = [msgspec.structs.replace(seat) for seat in SEATS]
        return Room(state, seats, "Goal", max_messages=MOST)

    def moment(self) -> Moment:
        return Moment(self.now, START_MS + round(self.now * 1000) + self.offset_ms)

    def take(self, message: Message) -> None:
        assert message.id == len(self.applied) + 1
        self.marks.append(self.room.mark(message))
        assert self.room.apply(message) == encode_message(message)
        self.applied.append(message)

    def clients(self) -> list[Message]:
        return [one for one in self.applied if one.type != "system"]

    @rule(
        alias=st.sampled_from(sorted(BY_ALIAS)),
        text=st.sampled_from(["hi", "@rev look", "room closed", "rev joined", "`@ada`"]),
        key=st.none() | st.sampled_from(["k1", "k2"]),
        reply_to=st.none() | st.integers(1, 12),
    )
    def post(self, alias: str, text: str, key: str | None, reply_to: int | None) -> None:
        plain: dict[str, Any] = {"text": text}
        if key is not None:
            plain["client_msg_id"] = key
        if reply_to is not None:
            plain["reply_to"] = reply_to
        draft = msgspec.convert(plain, MessageDraft)
        first = next(
            (one for one in self.clients() if (one.sender, one.client_msg_id) == (alias, key)),
            None,
        )
        known, refused = asked(lambda: self.room.known_post(alias, draft))
        if key is None or first is None:
            assert (known, refused) == (None, None)
        elif first.text == text:
            assert known == (first.id, encode_message(first))
            return
        else:
            assert refused is not None
            assert refused.code == "idempotency_conflict"
            return

        def decide() -> Message:
            self.room.check_open()
            self.room.check_post_limits(BY_ALIAS[alias], self.moment())
            return self.room.decide_post(BY_ALIAS[alias], draft, self.moment())

        message, refused = asked(decide)
        if refused is not None:
            if refused.code == "room_closed":
                assert self.room.state.status == "closed"
            elif refused.code == "loop_guard":
                assert BY_ALIAS[alias].kind == "agent"
                assert 1 <= int(refused.retry_after or 0) <= 60
            elif refused.code == "room_log_full":
                assert len(self.clients()) >= MOST
            else:
                assert refused.code == "invalid_reply_to"
                assert reply_to is not None
                assert reply_to > len(self.applied)
            return
        assert message is not None
        assert (message.sender, message.type) == (alias, "message")
        assert set(message.mentions) <= BY_ALIAS.keys()
        self.take(message)

    @rule(number=st.integers(25, LOOP_GUARD_POSTS))
    def agents_talk(self, number: int) -> None:
        for _ in range(number):
            self.post("rev", "on and on", None, None)

    @rule(
        line=st.sampled_from(
            [joined_line("rev"), left_line("rev"), joined_line("ada"), brief_line(2), REARMED]
        )
    )
    def say_as_the_room(self, line: str) -> None:
        self.take(self.room.system_line(line, self.moment()))

    @precondition(lambda self: self.room.state.status == "open" and len(self.applied) > 20)
    @rule()
    def close(self) -> None:
        """As the live room does: the state and its line are one change."""
        self.publish(len(self.applied))
        self.room.state = self.room.decide_close(self.moment())
        self.take(self.room.system_line(CLOSED_LINE, self.moment()))
        self.publish(1)

    @rule(count=st.integers(0, 5))
    def publish(self, count: int) -> None:
        count = min(count, len(self.marks))
        self.room.log.publish(count)
        del self.marks[:count]
        self.visible += count

    @rule(count=st.integers(1, 5))
    def take_back(self, count: int) -> None:
        for _ in range(min(count, len(self.marks))):
            self.room.retract(self.marks.pop())
            self.applied.pop()

    @rule(seconds=st.sampled_from([0.001, 1, 59.9, 60, 600]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(offset_ms=st.sampled_from([-3_600_000, 0, 3_600_000, 2**40]))
    def set_the_clock(self, offset_ms: int) -> None:
        self.offset_ms = offset_ms
        self.is_clock_set = True

    @rule()
    def restart(self) -> None:
        """What was staged is stored by then; what follows from the log is the same again."""
        self.publish(len(self.marks))
        before = self.room
        self.room = self.fresh()
        self.room.state = before.state
        for message in self.applied:
            self.room.load(message, encode_message(message))
        now_ms = self.moment().wall_ms
        # A clock that was set back is noted by whoever asks, and by no line of the log.
        if not self.is_clock_set:
            assert self.room.guard.count(now_ms) == before.guard.count(now_ms)
        assert self.room.here == before.here
        assert self.room.notices == before.notices
        assert self.room.status == before.status

    @rule(since_id=st.integers(0, 60), limit=st.integers(1, 9))
    def read_on(self, since_id: int, limit: int) -> None:
        log: Log = self.room.log
        page = log.page_after(since_id, limit)
        found = [one["id"] for one in json.loads(bytes(page.messages))]
        assert found == list(range(since_id + 1, self.visible + 1))[:limit]
        assert page.next_since_id == (found[-1] if found else min(since_id, self.visible))
        assert page.has_more == (bool(found) and found[-1] < self.visible)

    @invariant()
    def it_is_as_the_model_has_it(self) -> None:
        log = self.room.log
        assert log.next_id == len(self.applied) + 1
        assert log.head == log.visible_count == self.visible
        assert log.is_settled == (not self.marks)
        assert self.room.client_messages == len(self.clients()) <= MOST
        if self.applied:
            assert log.find(len(self.applied)) == self.applied[-1]
        assert log.find(len(self.applied) + 1) is None


class RosterMachine(RuleBasedStateMachine):
    """Invites, rotates, removes, takes back, restarts. The model is a token for each alias."""

    @initialize()
    def begin(self) -> None:
        self.roster = Roster([Participant(alias="host", is_host=True, token_hash="t0")])
        self.given = ["t0"]
        self.tokens = {"host": "t0"}
        self.removed: set[str] = set()
        self.undo: list[Any] = []

    def put(self, seat: Participant) -> None:
        model = dict(self.tokens), set(self.removed)
        self.undo.append((seat.alias, self.roster.put(seat), model))

    def token(self) -> str:
        self.given.append(f"t{len(self.given)}")
        return self.given[-1]

    def moment(self) -> Moment:
        return Moment(0.0, START_MS)

    @rule(
        alias=st.sampled_from(["ada", "rev", "bo", "system", "all", "-x", "Ada", ""]),
        expires=st.none() | st.sampled_from([0, 1, 3600, 10**9]),
        single_use=st.booleans(),
    )
    def invite(self, alias: str, expires: int | None, *, single_use: bool) -> None:
        token = self.token()
        seat, refused = asked(
            lambda: self.roster.decide_invite(
                *(alias, "agent", "participant", token, self.moment()),
                single_use=single_use,
                expires_in_s=expires,
            )
        )
        if seat is None:
            assert refused is not None
            expected = {
                "invalid_alias": alias in ("-x", "Ada", ""),
                "reserved_name": alias in ("system", "all"),
                "alias_taken": alias in self.tokens,
                "invalid_expiry": expires in (0, 10**9),
            }
            assert expected[refused.code]
            return
        assert alias in ("ada", "rev", "bo")
        assert alias not in self.tokens
        assert not is_expired(seat, self.moment())
        self.put(seat)
        self.tokens[alias] = token

    @rule(alias=st.sampled_from(["host", "ada", "rev", "nobody"]))
    def rotate(self, alias: str) -> None:
        token = self.token()
        seat, refused = asked(lambda: self.roster.decide_rotate(alias, token))
        if seat is None:
            assert refused is not None
            assert refused.code == "unknown_participant"
            assert alias not in self.tokens or alias in self.removed
            return
        self.put(seat)
        self.tokens[alias] = token

    @rule(alias=st.sampled_from(["host", "ada", "rev", "nobody"]))
    def remove(self, alias: str) -> None:
        seat, refused = asked(lambda: self.roster.decide_remove(alias, self.moment()))
        if seat is None:
            assert refused is not None
            if refused.code == "host_required":
                assert alias == "host"
            else:
                assert alias not in self.tokens or alias in self.removed
            return
        assert alias != "host", "the last host stays"
        self.put(seat)
        self.removed.add(alias)

    @rule(count=st.integers(1, 3))
    def take_back(self, count: int) -> None:
        for _ in range(min(count, len(self.undo))):
            alias, before, (self.tokens, self.removed) = self.undo.pop()
            self.roster.take_back(alias, before)

    @rule()
    def restart(self) -> None:
        """All that was decided is stored by then."""
        self.roster = Roster(list(self.roster))
        self.undo.clear()

    @invariant()
    def a_token_opens_its_own_seat_and_no_other(self) -> None:
        assert {seat.alias for seat in self.roster} == self.tokens.keys()
        assert self.roster.present == self.tokens.keys() - self.removed
        owners = {token: alias for alias, token in self.tokens.items()}
        for token in self.given:
            seat = self.roster.by_hash(token)
            assert (seat.alias if seat is not None else None) == owners.get(token)
            if seat is not None:
                assert (seat.removed_at is not None) == (seat.alias in self.removed)
        assert sum(seat.is_host and seat.removed_at is None for seat in self.roster) >= 1


TestRoom = RoomMachine.TestCase
TestRoster = RosterMachine.TestCase
