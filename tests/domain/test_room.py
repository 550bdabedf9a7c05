"""Decisions about one room."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.guards import REARMED
from agentgather.domain.room import Room, brief_line, joined_line, left_line, policy_line
from agentgather.domain.text import Moment
from agentgather.wire.api import MessageDraft
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import LOOP_GUARD_POSTS, MAX_BRIEF_UNITS, MAX_TEXT_UNITS
from agentgather.wire.records import Message, Participant, RoomState, encode_message

START_MS = 1_767_323_045_000
HOST = Participant(alias="host", kind="human", is_host=True)
ADA = Participant(alias="ada", kind="human")
REV = Participant(alias="rev", kind="agent")
GONE = Participant(alias="gone", kind="agent", removed_at="2026-01-01T00:00:00.000Z")


def at(seconds: float) -> Moment:
    return Moment(seconds, START_MS + round(seconds * 1000))


def make_room(*, max_messages: int = 100, **state: object) -> Room:
    plain = {
        "id": "demo",
        "createdAt": at(0).text(),
        "updatedAt": at(0).text(),
        "brief_updated_at": at(0).text(),
        "brief_updated_by": "host",
        **state,
    }
    seats = [msgspec.structs.replace(seat) for seat in (HOST, ADA, REV, GONE)]
    return Room(RoomState.from_plain(plain), seats, "Goal", max_messages=max_messages)


def say(
    room: Room, seat: Participant, text: str = "hi", *, now: Moment | None = None, **draft: object
) -> Message:
    moment = now if now is not None else at(1)
    room.check_open()
    room.check_post_limits(seat, moment)
    message = room.decide_post(seat, msgspec.convert({"text": text, **draft}, MessageDraft), moment)
    room.apply(message)
    room.log.publish(1)
    return message


def code_of(room: Room, seat: Participant, text: str = "hi", **draft: object) -> str:
    with pytest.raises(Rejected) as refused:
        say(room, seat, text, **draft)
    return refused.value.code


def restarted(room: Room, *, max_messages: int = 100) -> Room:
    """Make the room anew from what its log holds, as opening it does."""
    fresh = make_room(max_messages=max_messages)
    for line in json.loads(bytes(room.log.page_after(0, 10_000).messages)):
        entry = msgspec.json.encode(line)
        fresh.load(msgspec.convert(line, Message), entry)
    return fresh


# --- A message ---------------------------------------------------------------------------
def test_ids_count_up_from_one_without_a_gap() -> None:
    room = make_room()
    assert [say(room, ADA).id for _ in range(3)] == [1, 2, 3]
    assert restarted(room).log.next_id == 4


def test_the_sender_is_the_seat_and_the_keys_have_their_order() -> None:
    room = make_room()
    say(room, HOST)
    message = say(room, REV, "@ada é", type="reply", reply_to=1, client_msg_id="k:1")
    plain = json.loads(encode_message(message))
    assert list(plain) == [
        "id", "room", "ts", "from", "type", "text", "mentions", "reply_to", "client_msg_id",
    ]  # fmt: skip
    assert plain == {
        "id": 2,
        "room": "demo",
        "ts": "2026-01-02T03:04:06.000Z",
        "from": "rev",
        "type": "reply",
        "text": "@ada é",
        "mentions": ["ada"],
        "reply_to": 1,
        "client_msg_id": "k:1",
    }
    assert list(json.loads(encode_message(say(room, ADA)))) == [
        "id", "room", "ts", "from", "type", "text", "mentions",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["system", "", "Message", "unknown", 5, None, True, ["reply"], {}])
def test_an_unknown_type_is_stored_as_message(kind: object) -> None:
    assert say(make_room(), ADA, type=kind).type == "message"


def test_text_is_stored_untrimmed() -> None:
    assert say(make_room(), ADA, "  hi \n").text == "  hi \n"


@pytest.mark.parametrize("unit", ["a", "é", "😀"])
def test_a_text_may_be_24_000_units_long_and_no_longer(unit: str) -> None:
    each = len(unit.encode("utf-16-le")) // 2
    room = make_room()
    say(room, ADA, unit * (MAX_TEXT_UNITS // each))
    assert code_of(room, ADA, unit * (MAX_TEXT_UNITS // each) + "a") == "message_too_large"


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufeff\u00a0"])
def test_a_blank_text_is_refused(text: str) -> None:
    assert code_of(make_room(), ADA, text) == "invalid_message"


@pytest.mark.parametrize("reply_to", [1, 2**53 - 1])
def test_a_reply_to_nothing_is_refused(reply_to: int) -> None:
    assert code_of(make_room(), ADA, reply_to=reply_to) == "invalid_reply_to"


def test_characters_that_a_reader_cannot_see_are_marked() -> None:
    room = make_room()
    assert json.loads(encode_message(say(room, ADA, "a\u202eb")))["hidden_chars"] is True
    assert "hidden_chars" not in json.loads(encode_message(say(room, ADA, "ab")))


def test_a_removed_participant_is_not_mentioned() -> None:
    assert say(make_room(), ADA, "@gone @rev @nobody").mentions == ("rev",)


def test_a_log_that_is_full_takes_no_message_and_still_the_room_s_own_lines() -> None:
    room = make_room(max_messages=2)
    say(room, ADA)
    say(room, ADA)
    assert code_of(room, ADA) == "room_log_full"
    room.apply(room.system_line("room closed", at(2)))
    assert room.log.publish(1) == (set(), True)
    assert code_of(restarted(room, max_messages=2), ADA) == "room_closed"


# --- Whom a message concerns ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "extra", "concerned"),
    [
        ("hello", {}, set()),
        ("@rev", {}, {"rev"}),
        ("@rev", {"type": "handoff"}, {"rev"}),
        ("answer", {"reply_to": 1}, {"host"}),
        ("@rev answer", {"reply_to": 1}, {"rev", "host"}),
        ("@ada to myself", {}, set()),
        ("to my own", {"reply_to": 2}, set()),
    ],
)
def test_a_message_concerns_whom_it_names_or_answers_and_never_its_sender(
    text: str, extra: dict[str, object], concerned: set[str]
) -> None:
    room = make_room()
    say(room, HOST)
    say(room, ADA)
    say(room, ADA, text, **extra)
    assert {seat.alias for seat in room.roster if room.log.concerns(seat.alias, 2)} == concerned


@pytest.mark.parametrize("line", [brief_line(2), policy_line("manual-ok"), "room closed"])
def test_a_brief_a_policy_and_the_close_concern_everybody(line: str) -> None:
    room = make_room()
    room.apply(room.system_line(line, at(1)))
    room.log.publish(1)
    assert all(room.log.concerns(seat.alias, 0) for seat in room.roster)


@pytest.mark.parametrize("line", [joined_line("rev"), left_line("rev"), "rev removed", REARMED])
def test_coming_and_going_concerns_nobody(line: str) -> None:
    room = make_room()
    room.apply(room.system_line(line, at(1)))
    room.log.publish(1)
    assert not any(room.log.concerns(seat.alias, 0) for seat in room.roster)


@pytest.mark.hostile("I04")
def test_a_text_that_equals_a_line_of_the_room_s_is_only_a_message() -> None:
    room = make_room()
    for text in ("room closed", brief_line(9), policy_line("manual-ok"), REARMED, "rev joined"):
        say(room, ADA, text)
    again = restarted(room)
    for each in (room, again):
        assert not each.is_closed
        assert not each.closed_line_written
        assert not each.log.concerns("rev", 0)
        assert each.here == {}


# --- The same message twice ------------------------------------------------------------------
def draft(text: str = "hi", key: str = "k") -> MessageDraft:
    return MessageDraft(text=text, client_msg_id=key)


def test_a_key_stands_for_one_message_of_one_sender_also_after_a_restart() -> None:
    room = make_room()
    posted = say(room, ADA, client_msg_id="k")
    for each in (room, restarted(room)):
        assert each.known_post("ada", draft()) == (posted.id, encode_message(posted))
        assert each.known_post("rev", draft()) is None
        assert each.known_post("ada", draft(key="other")) is None
        with pytest.raises(Rejected, match="idempotency_conflict"):
            each.known_post("ada", draft("other text"))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_a_key_is_known_whatever_ids_a_damaged_log_has(ids: list[int]) -> None:
    room = make_room()
    for number, message_id in enumerate(ids):
        message = Message(
            id=message_id,
            room="demo",
            ts=at(number).text(),
            sender="ada",
            type="message",
            text=f"text {number}",
            mentions=(),
            client_msg_id=f"k{number}",
        )
        room.load(message, encode_message(message))
    for number in range(len(ids)):
        known = room.known_post("ada", draft(f"text {number}", f"k{number}"))
        assert known is not None
        assert json.loads(known[1])["text"] == f"text {number}"
        with pytest.raises(Rejected, match="idempotency_conflict"):
            room.known_post("ada", draft("other", f"k{number}"))


# --- The loop guard -----------------------------------------------------------------------
def agents_talk(room: Room) -> None:
    for _ in range(LOOP_GUARD_POSTS):
        say(room, REV)


def test_the_31st_post_by_agents_in_a_row_is_refused() -> None:
    room = make_room()
    agents_talk(room)
    assert code_of(room, REV) == "loop_guard"
    assert code_of(room, REV) == "loop_guard"
    say(room, ADA)
    say(room, REV)


def test_a_refused_post_is_told_when_to_come_back() -> None:
    room = make_room()
    agents_talk(room)
    with pytest.raises(Rejected) as refused:
        say(room, REV, now=at(31))
    assert refused.value.retry_after == 30
    say(room, REV, now=at(61))


@pytest.mark.hostile("R02")
def test_the_loop_guard_survives_a_restart() -> None:
    room = make_room()
    agents_talk(room)
    assert code_of(restarted(room), REV) == "loop_guard"
    say(restarted(room), REV, now=at(61))
    say(room, ADA)
    say(restarted(room), REV)


def test_the_host_s_word_opens_the_guard_and_a_restart_remembers_it() -> None:
    room = make_room()
    agents_talk(room)
    room.apply(room.system_line(REARMED, at(1)))
    room.log.publish(1)
    say(restarted(room), REV)
    say(room, REV)


def test_an_agent_cannot_open_the_guard_with_the_host_s_words() -> None:
    room = make_room()
    for _ in range(LOOP_GUARD_POSTS):
        say(room, REV, REARMED)
    assert code_of(room, REV) == "loop_guard"
    assert code_of(restarted(room), REV) == "loop_guard"


def test_lines_of_the_room_s_own_do_not_count_as_a_person_s() -> None:
    room = make_room()
    agents_talk(room)
    room.apply(room.system_line(joined_line("ada"), at(1)))
    room.log.publish(1)
    assert code_of(room, REV) == "loop_guard"


# --- What could not be stored ---------------------------------------------------------------
@given(st.data())
def test_what_is_taken_back_leaves_no_trace(data: st.DataObject) -> None:
    room = make_room()
    agents = data.draw(st.integers(0, LOOP_GUARD_POSTS))
    for _ in range(agents):
        say(room, REV)
    for line in data.draw(st.sampled_from([(), ("rev joined",), ("rev joined", "rev left")])):
        room.load(notice := room.system_line(line, at(2)), encode_message(notice))
    next_id = room.log.next_id
    before = (room.guard.snapshot(), room.client_messages, room.notices, next_id, room.here.copy())
    marks = []
    for kind in data.draw(
        st.lists(st.sampled_from(["rev", "ada", "join", "leave", "close"]), max_size=5)
    ):
        if kind in ("join", "leave"):
            line = joined_line("rev") if kind == "join" else left_line("rev")
            message = room.system_line(line, at(9))
        elif kind == "close":
            message = room.system_line("room closed", at(9))
        else:
            seat = REV if kind == "rev" else ADA
            message = room.decide_post(seat, draft(key=f"k{len(marks) + 1}"), at(9))
        marks.append(room.mark(message))
        room.apply(message)
    for mark in reversed(marks):
        room.retract(mark)
    assert before == (
        room.guard.snapshot(), room.client_messages, room.notices, room.log.next_id, room.here
    )  # fmt: skip
    assert not room.closed_line_written
    assert all(room.known_post("ada", draft(key=f"k{n}")) is None for n in range(1, 6))
    assert say(room, ADA, client_msg_id="k1").id == next_id


# --- The room itself ------------------------------------------------------------------------
@pytest.mark.parametrize("unit", ["a", "é", "😀"])
def test_a_brief_may_be_16_000_units_long_and_no_longer(unit: str) -> None:
    each = len(unit.encode("utf-16-le")) // 2
    room = make_room()
    state = room.decide_brief(unit * (MAX_BRIEF_UNITS // each), "host", at(3))
    assert (state.brief_version, state.brief_updated_by) == (2, "host")
    assert state.brief_updated_at == at(3).text()
    with pytest.raises(Rejected, match="brief_too_large"):
        room.decide_brief(unit * (MAX_BRIEF_UNITS // each) + "a", "host", at(3))


def test_a_decision_changes_nothing_by_itself() -> None:
    room = make_room()
    before = room.state.to_plain()
    room.decide_brief("new", "host", at(3))
    room.decide_policy("all-foreground", at(3))
    assert room.decide_close(at(3)).status == "closed"
    assert room.state.to_plain() == before
    assert room.brief == "Goal"


@pytest.mark.parametrize("line", ["room closed", "room closed by ttl"])
def test_a_room_whose_log_says_so_is_closed_whatever_its_file_says(line: str) -> None:
    room = make_room()
    message = room.system_line(line, at(1))
    room.load(message, encode_message(message))
    assert room.is_closed
    assert room.status == "closed"
    assert code_of(room, ADA) == "room_closed"


def test_who_is_here_follows_from_the_log() -> None:
    room = make_room()
    for line in (joined_line("rev"), joined_line("ada"), left_line("rev")):
        room.apply(room.system_line(line, at(1)))
        room.log.publish(1)
    assert restarted(room).here == room.here == {"rev": False, "ada": True}
