"""``attend``: it outlives everything but its room, its seat and a signal."""

import signal
from pathlib import Path

import pytest

from agentgather.cli.http_client import NoAnswer, NotSent, Reply
from agentgather.cli.request import Request
from agentgather.cli.signals import EndedBySignal
from tests.cli.terminal import FakeRoom, Terminal, message, ok, refused, waited

TIME = "2027-01-15T08:00:00.000Z"
CLOSED = waited(since=9, end="closed")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path / "home")
    terminal.seat()
    return terminal


def asked_since(room: FakeRoom) -> list[str]:
    return [one.target.removeprefix("/wait?since_id=") for one in room.asked]


def test_it_prints_until_the_room_closes(terminal: Terminal) -> None:
    terminal.room = FakeRoom(
        [
            waited(message(1, "a"), message(2, "b"), since=0),
            waited(since=2),
            waited(message(3, "room closed", "system"), since=2, end="closed"),
        ]
    )
    result = terminal.run("attend")
    assert result.status == 0
    assert result.out.splitlines() == [
        f"1 {TIME} rev: a",
        f"2 {TIME} rev: b",
        f"3 {TIME} system: room closed",
        "ended: the room is closed",
    ]
    assert asked_since(terminal.room) == ["0", "2", "2"]
    assert terminal.home.read_cursor("demo", "host") == 3


def test_a_closed_room_is_read_to_its_end(terminal: Terminal) -> None:
    half = waited(message(1, "a"), since=0, has_more=True, room_status="closed")
    terminal.room = FakeRoom([half, waited(message(2, "b"), since=1, end="closed")])
    assert terminal.run("attend").out.splitlines()[1:] == [
        f"2 {TIME} rev: b",
        "ended: the room is closed",
    ]


def test_a_delivery_of_an_older_room_is_not_its_end(terminal: Terminal) -> None:
    # It answers news with `keep_waiting` false and no `next_cmd`, closed or not.
    news = waited(message(1, "a"), since=0, keep_waiting=False, next_cmd=None)
    terminal.room = FakeRoom([news, waited(message(2, "b"), since=1, next_cmd=None), CLOSED])
    assert terminal.run("attend").out.splitlines() == [
        f"1 {TIME} rev: a",
        f"2 {TIME} rev: b",
        "ended: the room is closed",
    ]
    assert asked_since(terminal.room) == ["0", "1", "2"]


def test_json_is_messages_and_then_the_end(terminal: Terminal) -> None:
    terminal.room = FakeRoom([waited(message(1, "a"), since=0), CLOSED])
    result = terminal.run("attend", "--json", "--for-me", "--since=0")
    assert result.documents == [message(1, "a"), {"ended": "room_closed"}]
    assert asked_since(terminal.room) == ["0&for=me", "1&for=me"]


def test_it_goes_on_from_the_cursor_and_a_given_one_wins(terminal: Terminal) -> None:
    terminal.home.write_cursor("demo", "host", 4, "t")
    terminal.room = FakeRoom([CLOSED])
    terminal.run("attend")
    assert asked_since(terminal.room) == ["4"]
    terminal.room = FakeRoom([CLOSED])
    terminal.run("attend", "--since", "2")
    assert asked_since(terminal.room) == ["2"]


def test_a_turn_is_a_delivery(terminal: Terminal) -> None:
    terminal.room = FakeRoom(
        [waited(since=0), waited(message(1, "a"), since=0), waited(message(2, "b"), since=1)]
    )
    result = terminal.run("attend", "--max-turns", "2")
    assert result.status == 0
    assert result.out.splitlines()[-1] == "ended: 2 deliveries were printed"


@pytest.mark.hostile("C10")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (waited(since=0, end="removed"), "participant_removed"),
        (refused(410, "participant_removed"), "participant_removed"),
        (refused(403, "forbidden"), "forbidden"),
        (refused(401, "unauthorized"), "unauthorized"),
        (refused(410, "invite_expired"), "invite_expired"),
        (refused(403, "participant_mismatch"), "participant_mismatch"),
    ],
)
def test_a_seat_that_is_gone_ends_it(terminal: Terminal, answer: Reply, code: str) -> None:
    terminal.room = FakeRoom([answer])
    result = terminal.run("attend", "--json")
    assert result.status == 1
    assert result.documents == [{"ended": code}]


def test_a_room_that_was_taken_from_its_url_ends_it(terminal: Terminal) -> None:
    terminal.room = FakeRoom([waited(message(1, "a"), since=0), refused(410, "route_closed")])
    result = terminal.run("attend")
    assert result.status == 69
    assert result.out.splitlines()[-1] == (
        "ended: the room was taken from this URL; ask the host where it is"
    )


@pytest.mark.hostile("C10")
@pytest.mark.parametrize("code", ["route_expired", "route_not_found"])
def test_a_room_that_is_not_public_is_waited_for_an_hour(terminal: Terminal, code: str) -> None:
    over, away = refused(410, code), refused(504, "host_unavailable")
    # Each try moves the clock by the pause before it.
    terminal.room = FakeRoom([over, away, *[over] * 400])
    result = terminal.run("attend", "--json")
    assert result.status == 69
    assert result.documents == [{"ended": code}]
    assert 3600 <= sum(terminal.slept) < 3600 + 30


def test_the_hour_begins_anew_once_the_room_has_answered(terminal: Terminal) -> None:
    half = [refused(410, "route_expired")] * 200
    terminal.room = FakeRoom([*half, waited(since=0), *half, CLOSED])
    assert terminal.run("attend").status == 0
    assert sum(terminal.slept) > 3600


def test_everything_else_is_waited_out_and_said_once(terminal: Terminal) -> None:
    html = ok({})._replace(body=b"<html>")
    terminal.room = FakeRoom(
        [
            NotSent("connection refused"),
            NoAnswer("lost"),
            refused(500, "internal_error"),
            refused(503, "shutting_down"),
            refused(408, "request_timeout"),
            refused(404, "route_not_found"),
            refused(410, "route_expired"),
            refused(403, "insecure_remote"),
            html,
            html._replace(status=502),
            html._replace(status=404),
            waited(since=0),
            waited(message(1, "a"), since=0),
            NotSent("connection refused"),
            CLOSED,
        ]
    )
    result = terminal.run("attend")
    assert result.status == 0
    assert result.out.splitlines() == [f"1 {TIME} rev: a", "ended: the room is closed"]
    lines = [line.partition(" (")[0] for line in result.err.splitlines()]
    away = "agentgather: host away, retrying: the room's server cannot be reached"
    assert lines == [away, "agentgather: back", away, "agentgather: back"]


def test_after_an_absence_the_first_wait_is_not_held(terminal: Terminal) -> None:
    terminal.room = FakeRoom([NotSent("x"), waited(since=0), CLOSED])
    terminal.run("attend")
    assert asked_since(terminal.room) == ["0", "0&hold=0", "0"]


def test_pauses_grow_to_half_a_minute_and_no_further(terminal: Terminal) -> None:
    terminal.room = FakeRoom([*[NotSent("x")] * 12, CLOSED])
    terminal.run("attend")
    # Without entropy the jitter halves each pause.
    assert terminal.slept == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15, 15]


@pytest.mark.hostile("C10")
def test_retry_after_is_honoured(terminal: Terminal) -> None:
    terminal.room = FakeRoom(
        [
            refused(429, "wait_limit", retry_after=17),
            refused(503, "overloaded", retry_after=3),
            refused(504, "host_unavailable", retry_after=5),
            ok({})._replace(status=502, body=b"<html>", retry_after=9),
            CLOSED,
        ]
    )
    assert terminal.run("attend").status == 0
    assert terminal.slept == [17, 3, 5, 9]


@pytest.mark.hostile("C10")
def test_empty_answers_that_are_not_held_do_not_spin(terminal: Terminal) -> None:
    terminal.room = FakeRoom([*[waited(since=0)] * 5, CLOSED])
    terminal.run("attend")
    assert terminal.slept == [0.5] * 5


def test_a_cursor_past_the_log_is_set_back(terminal: Terminal) -> None:
    """A host that went back to a backup has a shorter log."""
    terminal.home.write_cursor("demo", "host", 50, "t")
    terminal.room = FakeRoom([waited(since=3), waited(message(4, "a"), since=3), CLOSED])
    terminal.run("attend")
    assert asked_since(terminal.room) == ["50", "3", "4"]


def test_a_server_at_another_place_is_found(terminal: Terminal) -> None:
    seen: list[str] = []

    def moves(request: Request) -> Reply:
        seen.append(request.headers["Authorization"])
        terminal.seat(token="agp_" + "n" * 43)
        return waited(since=0)

    def then(request: Request) -> Reply:
        seen.append(request.headers["Authorization"])
        return CLOSED

    terminal.room = FakeRoom([moves, then])
    terminal.run("attend")
    assert seen == ["Bearer agp_" + "t" * 43, "Bearer agp_" + "n" * 43]


def test_selecting_another_room_does_not_lead_it_away(terminal: Terminal) -> None:
    def elsewhere(_request: Request) -> Reply:
        terminal.seat(roomId="other", token="agp_" + "o" * 43)
        return waited(message(1, "a"), since=0)

    terminal.room = FakeRoom([elsewhere, CLOSED])
    terminal.run("attend")
    assert terminal.room.asked[1].headers["Authorization"] == "Bearer agp_" + "t" * 43
    assert terminal.home.read_cursor("demo", "host") == 9
    assert terminal.home.read_cursor("other", "host") == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_with_a_last_line(terminal: Terminal, number: int, status: int) -> None:
    name = signal.Signals(number).name

    def interrupted(_request: Request) -> Reply:
        raise EndedBySignal(number)

    terminal.room = FakeRoom([waited(message(1, "a"), since=0), interrupted])
    result = terminal.run("attend", "--json")
    assert result.status == status
    assert result.documents[-1] == {"ended": name}
    terminal.room = FakeRoom([interrupted])
    assert terminal.run("attend").out == f"ended: stopped by {name}\n"


def test_max_turns_is_at_least_one(terminal: Terminal) -> None:
    assert terminal.run("attend", "--max-turns", "0").status == 2
