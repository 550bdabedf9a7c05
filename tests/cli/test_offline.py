"""Without a server a command does the same itself, under the room's lock."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentgather.cli import transports
from agentgather.cli.program import run_command
from agentgather.storage.lock import open_lock
from agentgather.storage.seats import write_seat
from tests.cli.stub_server import says, stub_server
from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path, closed_port: int) -> Terminal:
    """A home with a room of its own, which nobody serves."""
    terminal = Terminal(tmp_path / "home")
    url = f"http://127.0.0.1:{closed_port}"
    assert terminal.run("room", "start", "demo", "--url", url, "--brief", "Goal.").status == 0
    return terminal


def log(terminal: Terminal) -> list[dict[str, object]]:
    data = (terminal.root / "rooms/demo/messages.jsonl").read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def move(terminal: Terminal, url: str) -> None:
    seat = terminal.home.read_current()
    assert seat is not None
    seat.baseUrl = url
    write_seat(terminal.home, seat, select=True)


def test_what_is_sent_is_in_the_log(terminal: Terminal) -> None:
    assert terminal.run("send", "host", "hi").out == "sent #1 to @host\n"
    assert [one["text"] for one in log(terminal)] == ["@host hi"]
    assert "@host hi" in terminal.run("messages").out
    again = terminal.run("send", "host", "hi", "--client-msg-id", "k", "--json").documents
    same = terminal.run("send", "host", "hi", "--client-msg-id", "k", "--json").documents
    assert again[0]["message"] == same[0]["message"]
    assert same[0]["idempotent"] is True
    assert len(log(terminal)) == 2


def test_every_kind_of_command_works(terminal: Terminal) -> None:
    invited = terminal.run("room", "invite", "rev", "--json").documents[0]
    assert invited["token"] in terminal.run("room", "invite-card", "rev").out
    for arguments in (
        ("room", "brief", "set", "new"),
        ("room", "brief", "view"),
        ("room", "attendance", "set", "all-foreground"),
        ("room", "attendance", "view"),
        ("room", "profile", "The Host"),
        ("room", "profile"),
        ("room", "rotate", "rev"),
        ("room", "remove", "rev"),
        ("room", "rearm"),
        ("room", "status"),
        ("room", "current"),
        ("read",),
        ("handoff", "host", "--summary", "x"),
        ("reply", "1", "y"),
        ("room", "leave"),
        ("room", "close"),
        ("messages",),
    ):
        result = terminal.run(*arguments)
        assert result.status == 0, (arguments, result)
    assert terminal.run("send", "host", "late").status == 1
    assert log(terminal)[-1]["text"] == "room closed"


def test_a_rule_of_the_room_holds(terminal: Terminal) -> None:
    assert terminal.run("reply", "99", "x").status == 1
    assert terminal.run("room", "remove", "nobody").status == 1
    assert terminal.run("room", "remove", "host").status == 1
    assert log(terminal) == []


@pytest.mark.hostile("S12")
def test_a_room_that_somebody_holds_is_not_touched(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "LOCKED_SECONDS", 0)
    with open_lock(terminal.root / "rooms/demo/lock"):
        for arguments in (
            ("send", "host", "hi"),
            ("room", "close"),
            ("room", "invite", "rev"),
            ("room", "brief", "set", "x"),
            ("messages",),
        ):
            result = terminal.run(*arguments)
            assert (result.status, result.out) == (69, ""), arguments
            assert "serves demo, but not at" in result.err
    assert log(terminal) == []
    assert terminal.home.read_room("demo").brief == "Goal."


def test_a_lock_that_is_held_for_a_moment_is_waited_out(terminal: Terminal) -> None:
    """A server is starting, or another command is in the middle of its one request."""
    with ExitStack() as held:
        held.enter_context(open_lock(terminal.root / "rooms/demo/lock"))
        context = terminal.context()
        context.sleep = lambda _seconds: held.close()
        assert run_command(["send", "host", "hi"], context) == 0
    assert len(log(terminal)) == 1


def test_a_room_elsewhere_has_no_files_here(terminal: Terminal) -> None:
    seat = terminal.home.read_current()
    assert seat is not None
    terminal.seat(roomId="elsewhere", baseUrl=seat.baseUrl)
    result = terminal.run("send", "host", "hi")
    assert result.status == 69
    assert "not acknowledged" in result.err
    assert "--client-msg-id cli-" in result.err
    assert not (terminal.root / "rooms/elsewhere").exists()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("403 Forbidden", b'{"ok":false,"error":"forbidden","message":"another room"}'),
        ("403 Forbidden", b'{"ok":false,"error":"insecure_remote","message":"x"}'),
        ("404 Not Found", b"<html>"),
        ("501 Unsupported method", b"<html>"),
        ("401 Unauthorized", b""),
        ("200 OK", b"<!doctype html>"),
        ("200 OK", b'{"status":"up"}'),
        ("302 Found", b""),
        ("502 Bad Gateway", b"<html>"),
    ],
)
def test_another_room_or_program_on_the_port_is_not_this_one(
    terminal: Terminal, status: str, body: bytes
) -> None:
    with stub_server(says(status, body)) as server:
        move(terminal, server.url)
        assert terminal.run("send", "host", "hi").status == 0
        terminal.run("room", "invite", "rev")
        assert terminal.run("room", "invite-card", "rev").out.startswith("# Attend Card: rev")
    assert len(log(terminal)) == 1


def test_what_a_server_answers_is_the_answer(terminal: Terminal) -> None:
    body = b'{"ok":false,"error":"room_closed","message":"over"}'
    with stub_server(says("403 Forbidden", body)) as server:
        move(terminal, server.url)
        assert terminal.run("send", "host", "hi").status == 1
    assert log(terminal) == []


def test_a_base_url_with_a_prefix_or_of_another_place_works(terminal: Terminal) -> None:
    seat = terminal.home.read_current()
    assert seat is not None
    move(terminal, seat.baseUrl + "/a/b")
    assert terminal.run("send", "host", "hi").status == 0
    card = terminal.run("room", "invite", "rev", "--json").documents[0]["card_command"]
    assert f"{seat.baseUrl}/a/b/card?" in card


def test_what_opening_the_room_found_is_said(terminal: Terminal) -> None:
    terminal.run("send", "host", "hi")
    with (terminal.root / "rooms/demo/messages.jsonl").open("ab") as file:
        file.write(b'{"id":2,')
    result = terminal.run("send", "host", "ho")
    assert result.out == "sent #2 to @host\n"
    assert "warning: an unfinished last line was set aside" in result.err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("room.json", b"{", "room.json of room demo is damaged"),
        ("room.json", b'{"id":"demo","schema":99}', "upgrade agentgather"),
    ],
)
def test_a_room_that_cannot_be_opened_says_why(
    terminal: Terminal, name: str, content: bytes, says: str
) -> None:
    folder = terminal.root / "rooms/demo"
    (folder / name).write_bytes(content)
    (folder / f"{name}.copy").unlink(missing_ok=True)
    for arguments in (("send", "host", "hi"), ("export", "--output", "-")):
        result = terminal.run(*arguments)
        assert result.status == 1
        assert says in result.err
        assert result.err.count("\n") == 1


@pytest.mark.hostile("F03")
def test_a_link_in_the_place_of_the_log_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    path = terminal.root / "rooms/demo/messages.jsonl"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    result = terminal.run("send", "host", "hi")
    assert result.status == 1
    assert "symbolic link" in result.err
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.hostile("A11")
def test_a_raw_token_lies_in_its_owners_file_alone(terminal: Terminal) -> None:
    seat = terminal.home.read_current()
    assert seat is not None
    invited = terminal.run("room", "invite", "rev", "--json").documents[0]["token"]
    terminal.run("send", "rev", "hi")
    assert holders(terminal, seat.token) == {"current-room.json", "seats/demo.json"}
    assert holders(terminal, invited) == {"rooms/demo/tokens.json"}
    guest = Terminal(terminal.root.parent / "guest")
    guest.seat(alias="rev", token=invited, baseUrl=seat.baseUrl)
    assert holders(guest, invited) == {"current-room.json", "seats/demo.json"}


def holders(terminal: Terminal, token: str) -> set[str]:
    return {
        path.relative_to(terminal.root).as_posix()
        for path in terminal.root.rglob("*")
        if path.is_file() and token.encode() in path.read_bytes()
    }
