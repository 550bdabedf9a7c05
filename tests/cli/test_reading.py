"""``messages``, ``read`` and ``watch``."""

import io
from pathlib import Path

import pytest

from agentgather.cli.program import run_command
from tests.cli.terminal import FakeRoom, Terminal, message, ok, page, waited

TIME = "2027-01-15T08:00:00.000Z"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path / "home")
    terminal.seat()
    return terminal


def test_messages_are_paged_to_the_end(terminal: Terminal) -> None:
    terminal.room = FakeRoom(
        [
            page(message(1, "a"), more=True),
            page(message(2, "b\nc"), more=True),
            page(message(3, "d")),
        ]
    )
    result = terminal.run("messages")
    assert result.out == f"1 {TIME} rev: a\n2 {TIME} rev: b\n2 {TIME} rev: c\n3 {TIME} rev: d\n"
    assert [one.target for one in terminal.room.asked] == [
        "/messages?since_id=0",
        "/messages?since_id=1",
        "/messages?since_id=2",
    ]


def test_a_page_that_does_not_move_is_the_last(terminal: Terminal) -> None:
    terminal.room = FakeRoom([page(since=0, more=True)])
    assert terminal.run("messages").out == "(no messages)\n"


def test_json_is_one_message_per_line_as_the_server_sent_it(terminal: Terminal) -> None:
    sent = message(1, "a\u202e", new_key={"x": [1]})
    terminal.room = FakeRoom([page(sent)])
    result = terminal.run("messages", "--json")
    assert result.documents == [sent]
    assert "\\u202e" in result.out
    terminal.room = FakeRoom([page()])
    assert terminal.run("messages", "--json").out == ""


def test_since_and_limit_are_forward_and_limit_alone_is_the_end(terminal: Terminal) -> None:
    terminal.room = FakeRoom([page(message(6, "a"), more=True)])
    assert terminal.run("messages", "--since", "5", "--limit=1").out == f"6 {TIME} rev: a\n"
    assert terminal.room.asked[0].target == "/messages?since_id=5&limit=1"
    last = ok({"messages": [message(8, "x"), message(9, "y")], "has_more_before": True})
    terminal.room = FakeRoom([last])
    assert terminal.run("messages", "--limit", "2").out == f"8 {TIME} rev: x\n9 {TIME} rev: y\n"
    assert terminal.room.asked[0].target == "/messages?before_id=999999999999999&limit=2"


def test_a_long_limit_is_asked_for_in_pages(terminal: Terminal) -> None:
    later = [message(n, "x") for n in range(501, 1001)]
    earlier = [message(n, "x") for n in range(400, 501)]
    terminal.room = FakeRoom(
        [
            ok({"messages": later, "has_more_before": True}),
            ok({"messages": earlier, "has_more_before": True}),
        ]
    )
    result = terminal.run("messages", "--limit", "601", "--json")
    assert [one["id"] for one in result.documents] == list(range(400, 1001))
    assert terminal.room.asked[1].target == "/messages?before_id=501&limit=101"


OLDER = {"messages": [message(n, "x") for n in range(4, 9)], "next_since_id": 8}
"""What a room of 0.1.0 to 0.2.5 answers, whatever the ``limit`` and the ``before_id``."""


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], [4, 5, 6, 7, 8]),
        (["--since", "3", "--limit", "2"], [4, 5]),
        (["--since", "3", "--limit", "9"], [4, 5, 6, 7, 8]),
        (["--limit", "2"], [7, 8]),
        (["--limit", "9"], [4, 5, 6, 7, 8]),
    ],
)
def test_an_older_room_gives_all_that_it_has_and_that_is_cut(
    terminal: Terminal, arguments: list[str], shown: list[int]
) -> None:
    terminal.room = FakeRoom([ok(OLDER)])
    result = terminal.run("messages", "--json", *arguments)
    assert [one["id"] for one in result.documents] == shown
    assert len(terminal.room.asked) == 1


def test_an_older_room_is_read_to_its_end(terminal: Terminal) -> None:
    terminal.room = FakeRoom([ok(OLDER)])
    assert len(terminal.run("read").out.splitlines()) == 5
    assert terminal.home.read_cursor("demo", "host") == 8


@pytest.mark.parametrize("since", ["-1", "x", "1e3", "9" * 16])
def test_a_cursor_is_a_number(terminal: Terminal, since: str) -> None:
    assert terminal.run("messages", f"--since={since}").status == 2


def test_read_goes_on_where_it_was(terminal: Terminal) -> None:
    terminal.room = FakeRoom([page(message(1, "a"), more=True), page(message(2, "b"))])
    assert terminal.run("read").out == f"1 {TIME} rev: a\n2 {TIME} rev: b\n"
    assert terminal.home.read_cursor("demo", "host") == 2
    terminal.room = FakeRoom([page(since=2)])
    assert terminal.run("read").out == "(no messages)\n"
    assert terminal.room.asked[0].target == "/messages?since_id=2"


def test_read_follows_a_log_that_is_shorter_than_its_cursor(terminal: Terminal) -> None:
    terminal.home.write_cursor("demo", "host", 50, "t")
    terminal.room = FakeRoom([page(since=3)])
    terminal.run("read")
    assert terminal.home.read_cursor("demo", "host") == 3


class Unplugged(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


class Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.hostile("C09")
@pytest.mark.parametrize(("stream", "status"), [(Unplugged(), 141), (Full(), 1)])
@pytest.mark.parametrize("command", ["read", "watch", "attend"])
def test_what_was_not_printed_is_not_remembered_as_read(
    terminal: Terminal, command: str, stream: io.StringIO, status: int
) -> None:
    answer = page(message(1, "a")) if command == "read" else waited(message(1, "a"), since=0)
    terminal.room = FakeRoom([answer])
    context = terminal.context(stdout=stream)
    assert run_command([command], context) == status
    assert terminal.home.read_cursor("demo", "host") == 0
    errors = context.stderr.getvalue()  # type: ignore[attr-defined]
    assert errors == ("" if status == 141 else "agentgather: No space left on device\n")


def test_watch_is_one_turn(terminal: Terminal) -> None:
    terminal.room = FakeRoom([waited(message(1, "a"), since=0)])
    assert terminal.run("watch", "--for-me").out == f"1 {TIME} rev: a\n"
    assert terminal.room.asked[0].target == "/wait?since_id=0&for=me"
    assert terminal.home.read_cursor("demo", "host") == 1
    terminal.room = FakeRoom([waited(since=1)])
    assert terminal.run("watch").out == "(no messages)\n"
    terminal.room = FakeRoom([waited(since=1)])
    (document,) = terminal.run("watch", "--json").documents
    assert document["keep_waiting"] is True
    assert document["next_since_id"] == 1


def test_watch_of_a_removed_seat_is_refused(terminal: Terminal) -> None:
    terminal.room = FakeRoom([waited(since=0, end="removed")])
    assert terminal.run("watch").status == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'{"ok":true}', b'{"ok":true,"messages":[{}]}', b"\xff",
     b'{"ok":true,"messages":[1],"next_since_id":1,"has_more":false}',
     b'{"ok":true,"messages":[],"next_since_id":"1","has_more":false}', b"[" * 100_000],
    ids=str,
)  # fmt: skip
def test_an_answer_of_another_program_is_no_room(terminal: Terminal, body: bytes) -> None:
    terminal.room = FakeRoom([ok({})._replace(body=body)])
    result = terminal.run("messages")
    assert (result.status, result.out) == (69, "")
    assert "check the URL" in result.err


@pytest.mark.parametrize(
    ("status", "exit_status", "says"),
    [
        (301, 69, "sends elsewhere"),
        (403, 69, "no agentgather room"),
        (404, 69, "no agentgather room"),
        (429, 75, "busy"),
        (500, 69, "no agentgather room"),
        (502, 69, "away"),
        (503, 75, "busy"),
        (504, 69, "away"),
    ],
)
def test_an_error_page_of_a_proxy_is_understood(
    terminal: Terminal, status: int, exit_status: int, says: str
) -> None:
    terminal.room = FakeRoom([ok({})._replace(status=status, body=b"<html>")])
    result = terminal.run("messages")
    assert result.status == exit_status
    assert says in result.err
