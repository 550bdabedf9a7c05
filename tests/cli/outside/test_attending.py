"""Staying in a room: through restarts, at a measured pace, with nothing lost on the way."""

import array
import fcntl
import json
import signal
import socket
import subprocess
import termios
import threading
from collections.abc import Callable

import pytest

from tests.cli.outside.stub_server import StubServer, json_answer, refusal
from tests.cli.outside.terminal import (
    Served,
    Terminal,
    check_stderr,
    ended,
    eventually,
    next_line,
    texts,
)

Start = Callable[..., "subprocess.Popen[str]"]


def cursor_of(terminal: Terminal, alias: str = "host") -> int:
    path = terminal.home / "rooms" / "demo" / "cursors" / f"{alias}.json"
    return int(json.loads(path.read_text())["sinceId"]) if path.exists() else 0


def news(number: int, *, more: bool = False, **other: object) -> bytes:
    message = {
        "id": number,
        "room": "demo",
        "ts": "2026-01-01T00:00:00.000Z",
        "from": "host",
        "type": "message",
        "text": f"text {number}",
        "mentions": [],
    }
    return turn(messages=[message], next_since_id=number, has_more=more, **other)


def turn(**other: object) -> bytes:
    answer = {
        "ok": True,
        "room": "demo",
        "room_status": "open",
        "participant": "rev",
        "heartbeat": False,
        "messages": [],
        "mentioned": False,
        "next_since_id": 0,
        "keep_waiting": False,
        "next_cmd": "curl …",
        "has_more": False,
    }
    return json_answer(answer | other)


CLOSED = turn(room_status="closed", next_since_id=1, next_cmd=None)


def read_stderr(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    check_stderr(line)
    return line


def test_a_restart_of_the_server_is_waited_out(unserved: Terminal, served: Served) -> None:
    attending = unserved.start("attend", "--json")
    unserved.run("send", "host", "one")
    assert json.loads(next_line(attending))["text"] == "@host one"
    served.stop()
    assert read_stderr(attending).startswith("agentgather: ")
    # At another port: the seat says where.
    unserved.serve()
    unserved.run("send", "host", "two")
    assert json.loads(next_line(attending))["text"] == "@host two"
    unserved.run("room", "close")
    assert json.loads(next_line(attending))["text"] == "room closed"
    done = ended(attending)
    assert json.loads(done.out) == {"ended": "room_closed"}
    assert done.status == 0
    assert cursor_of(unserved) == 3


@pytest.mark.hostile("C10")
def test_the_last_line_says_why_it_ended(unserved: Terminal, served: Served) -> None:
    unserved.run("send", "host", "one")
    lines = unserved.run("attend", "--max-turns", "1").splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("host: @host one")
    assert lines[1].startswith("ended: ")
    again = unserved.json_lines("attend", "--since", "0", "--max-turns", "1")
    assert again[-1] == {"ended": "max_turns"}
    unserved.run("room", "close")
    assert "closed" in unserved.run("attend").splitlines()[-1]
    assert unserved.json_lines("attend") == [{"ended": "room_closed"}]


@pytest.fixture
def rev(unserved: Terminal, served: Served, open_terminal: Callable[[str], Terminal]) -> Terminal:
    """A guest of the served room."""
    terminal = open_terminal("rev")
    token = unserved.json("room", "invite", "rev")["token"]
    terminal.run(
        *("room", "join", "demo", "--alias", "rev", "--url", served.url, "--token", "-"),
        stdin=token.encode(),
    )
    return terminal


@pytest.mark.hostile("C10")
@pytest.mark.parametrize(
    ("command", "code"), [("remove", "participant_removed"), ("rotate", "forbidden")]
)
def test_a_seat_that_is_gone_ends_it(
    command: str, code: str, unserved: Terminal, rev: Terminal
) -> None:
    attending = rev.start("attend", "--json")
    assert json.loads(next_line(attending))["text"] == "rev joined"
    unserved.run("room", command, "rev")
    done = ended(attending)
    assert done.status == 1
    last = json.loads(done.out.splitlines()[-1])
    assert last["ended"] in (code, "participant_removed", "forbidden", "unauthorized")
    assert rev.here("attend").out.startswith("ended: ")
    assert rev.here("attend").status == 1


@pytest.mark.hostile("K03")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_own_code(
    number: signal.Signals, unserved: Terminal, served: Served
) -> None:
    attending = unserved.start("attend", "--json")
    unserved.run("send", "host", "one")
    assert json.loads(next_line(attending))["text"] == "@host one"
    # The cursor moves after the line is out.
    eventually(lambda: cursor_of(unserved) == 1)
    attending.send_signal(number)
    done = ended(attending)
    assert done.status == 128 + number
    assert done.err == ""


@pytest.mark.hostile("K03")
def test_a_signal_ends_a_one_shot_too(guest: Terminal, stub: StubServer) -> None:
    arrived = threading.Semaphore(0)

    def hold(connection: socket.socket) -> None:
        arrived.release()
        # Nothing more comes: this returns when the other side is gone.
        connection.recv(1)

    stub.answers = [hold]
    for number in (signal.SIGINT, signal.SIGTERM):
        process = guest.start("send", "host", "hi")
        assert arrived.acquire(timeout=20)
        process.send_signal(number)
        assert ended(process).status == 128 + number


def test_what_is_not_concerning_is_slept_through(unserved: Terminal, served: Served) -> None:
    attending = unserved.start("attend", "--for-me", "--json")
    token = unserved.json("room", "invite", "rev", "--kind", "agent")["token"]
    assert token
    unserved.run("room", "brief", "set", "Goal: woken")
    assert "Room brief" in next_line(attending)


@pytest.mark.hostile("C10")
def test_a_busy_server_is_asked_again_when_it_said(guest: Terminal, stub: StubServer) -> None:
    stub.answers = [
        refusal("429 Too Many Requests", "rate_limited", "retry-after: 1\r\n"),
        refusal("500 Internal Server Error", "internal_error"),
        None,
        news(1),
        CLOSED,
    ]
    done = guest.try_("attend", "--json")
    assert done.status == 0
    assert [json.loads(line).get("id") for line in done.out.splitlines()] == [1, None]
    away, back = done.err.splitlines()
    assert away.startswith("agentgather: ")
    assert back == "agentgather: back"
    assert len(stub.requests) == 5


def test_a_tunnel_that_is_down_is_waited_out(guest: Terminal, stub: StubServer) -> None:
    stub.answers = [refusal("404 Not Found", "route_not_found"), news(1), CLOSED]
    assert guest.try_("attend", "--json").status == 0


@pytest.mark.hostile("C10")
def test_a_server_that_holds_nothing_is_not_asked_in_a_hot_loop(
    guest: Terminal, stub: StubServer
) -> None:
    stub.answers = [turn(heartbeat=True, keep_waiting=True)]
    attending = guest.start("attend")
    eventually(lambda: len(stub.requests) >= 2)
    with pytest.raises(subprocess.TimeoutExpired):
        attending.wait(1)
    assert len(stub.requests) < 12
    attending.kill()


@pytest.mark.hostile("C09")
def test_what_was_not_printed_is_shown_again(unserved: Terminal, served: Served) -> None:
    for number in range(6):
        unserved.run("send", "host", f"{number} " + "x" * 20_000)
    # Nobody reads the pipe, so the output stops in the middle of it.
    attending = unserved.start("attend", "--json")
    assert attending.stdout is not None
    reader = attending.stdout.fileno()
    eventually(lambda: waiting_bytes(reader) >= 60_000)
    assert cursor_of(unserved) == 0
    attending.send_signal(signal.SIGKILL)
    attending.wait(20)
    again = unserved.json_lines("attend", "--max-turns", "1")
    assert texts(again[:1])[0].startswith("@host 0 ")
    assert len(again) == 7
    assert cursor_of(unserved) == 6


def waiting_bytes(descriptor: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def test_a_watch_is_one_wait(unserved: Terminal, served: Served) -> None:
    unserved.run("send", "host", "one")
    assert len(unserved.run("watch").splitlines()) == 1
    assert cursor_of(unserved) == 1
    assert texts(unserved.json("watch", "--since", "0")["messages"]) == ["@host one"]
    watching = unserved.start("watch")
    unserved.run("send", "host", "two")
    done = ended(watching)
    assert done.status == 0
    assert [line.rpartition(": ")[2] for line in done.out.splitlines()] == ["@host two"]
    unserved.run("room", "close")
    unserved.run("read")
    assert unserved.here("watch").status == 0


def test_a_watch_of_an_empty_hold_says_so(guest: Terminal, stub: StubServer) -> None:
    stub.answers = [turn(heartbeat=True, keep_waiting=True)]
    assert guest.run("watch") == "(no messages)\n"
    assert guest.json("watch")["heartbeat"] is True


def test_two_that_attend_in_one_home_each_get_everything(
    unserved: Terminal, served: Served
) -> None:
    both = [unserved.start("attend", "--since", "0", "--json") for _ in range(2)]
    unserved.run("send", "host", "one")
    assert ["one" in next_line(process) for process in both] == [True, True]
