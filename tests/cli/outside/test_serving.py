"""Serving a room: one process, one lock, two signals."""

import os
import signal
import socket

import pytest

from agentgather.storage.lock import read_holder
from tests.cli.outside.terminal import Served, Terminal, ended


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_server_in_order(number: signal.Signals, unserved: Terminal) -> None:
    served = unserved.serve()
    lock = unserved.home / "rooms" / "demo" / "lock"
    assert read_holder(lock) == served.process.pid
    served.process.send_signal(number)
    done = ended(served.process)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert read_holder(lock) is None


@pytest.mark.hostile("K03")
@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGHUP, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)]
)
def test_a_second_signal_ends_it_at_once(
    first: signal.Signals, second: signal.Signals, unserved: Terminal
) -> None:
    served = unserved.serve()
    # Stopped, so that it finds both when it goes on.
    served.process.send_signal(signal.SIGSTOP)
    os.waitpid(served.process.pid, os.WUNTRACED)
    served.process.send_signal(first)
    served.process.send_signal(second)
    served.process.send_signal(signal.SIGCONT)
    # In which order the kernel delivers the two is its own affair.
    assert ended(served.process).status in (128 + first, 128 + second)


@pytest.mark.hostile("S11")
def test_a_room_is_served_once(unserved: Terminal, served: Served) -> None:
    before = unserved.files()
    for words in (["room", "serve"], ["up", "demo"], ["up"]):
        err = unserved.fails(69, *words, "--port", "0")
        assert f"process {served.process.pid}" in err
    assert unserved.files() == before
    unserved.run("send", "host", "still served")


def test_a_taken_port_is_refused_with_a_hint(unserved: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for words in (["room", "serve"], ["up"], ["up", "another"]):
            err = unserved.fails(1, *words, "--port", port)
            assert "--port" in err
            assert port in err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "", "example.com"])
def test_listening_beyond_this_machine_has_to_be_asked_for(host: str, unserved: Terminal) -> None:
    err = unserved.fails(2, "room", "serve", "--host", host, "--port", "0")
    assert "--allow-remote" in err


def test_listening_beyond_this_machine_when_asked_for(unserved: Terminal) -> None:
    served = unserved.serve("--host", "0.0.0.0", "--allow-remote")
    assert unserved.run("send", "host", "hi")
    served.stop()


@pytest.mark.hostile("U06")
@pytest.mark.parametrize(
    "words",
    [
        ["--host", "192.0.2.7", "--allow-remote"],
        ["--host", "no such name", "--allow-remote"],
        ["--url", "ftp://x"],
        ["--url", "http://x/$(id)"],
    ],
)
def test_what_cannot_be_served_is_one_plain_line(words: list[str], unserved: Terminal) -> None:
    done = unserved.try_("room", "serve", "--port", "0", *words)
    assert done.status in (1, 2)
    assert done.out == ""
    assert done.err.count("\n") == 1


def test_a_room_of_somebody_else_is_not_served(guest: Terminal) -> None:
    guest.fails(1, "room", "serve", "--port", "0")


def test_without_a_room_there_is_nothing_to_serve(terminal: Terminal) -> None:
    assert "room start" in terminal.fails(1, "room", "serve", "--port", "0")
    assert not terminal.home.exists()


def test_commands_find_the_server_where_it_is_now(unserved: Terminal) -> None:
    first = unserved.serve()
    unserved.run("send", "host", "one")
    first.stop()
    second = unserved.serve()
    assert unserved.seat()["baseUrl"] == second.url
    unserved.run("send", "host", "two")
    assert len(unserved.log()) == 2


def test_a_damaged_room_says_what_is_damaged(unserved: Terminal) -> None:
    folder = unserved.home / "rooms" / "demo"
    for name in ("room.json", "room.json.copy"):
        (folder / name).write_text("{")
    assert "room.json" in unserved.fails(1, "room", "serve", "--port", "0")
    assert "room.json" in unserved.fails(1, "send", "host", "x")
    (folder / "room.json").write_text('{"id":"demo","schema":99}')
    assert "newer" in unserved.fails(1, "room", "serve", "--port", "0")
