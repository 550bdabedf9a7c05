"""Without a server a command takes the room's lock, and the same rules hold."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.outside.terminal import ROOT, Terminal, texts

HOLD = """
import sys
from pathlib import Path
from agentgather.storage.lock import open_lock
with open_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(unserved: Terminal) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the room's lock and answers nobody."""
    path = unserved.home / "rooms" / "demo" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=ROOT,
        env=unserved.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_commands_work_without_a_server(unserved: Terminal) -> None:
    token = unserved.json("room", "invite", "rev")["token"]
    assert token.startswith("agp_")
    assert unserved.run("send", "rev", "hi").startswith("sent #1 ")
    unserved.run("reply", "1", "an answer")
    unserved.run("handoff", "rev", "--summary", "the rest")
    unserved.run("room", "brief", "set", "Goal: another")
    unserved.run("room", "attendance", "set", "all-foreground")
    assert len(unserved.run("messages").splitlines()) == 5
    assert len(unserved.run("read").splitlines()) == 5
    unserved.run("room", "status")
    unserved.run("room", "remove", "rev")
    unserved.run("room", "close")
    assert texts(unserved.log()) == [
        "@rev hi",
        "an answer",
        "@rev the rest",
        "Room brief updated to v2",
        "Attendance policy set to all-foreground",
        "rev removed",
        "room closed",
    ]
    assert [message["id"] for message in unserved.log()] == [1, 2, 3, 4, 5, 6, 7]
    served = unserved.serve()
    assert texts(unserved.json_lines("messages")) == texts(unserved.log())
    served.stop()


def test_the_rules_are_the_same(unserved: Terminal) -> None:
    unserved.fails(2, "room", "invite", "host")
    unserved.fails(1, "reply", "99", "to nothing")
    unserved.fails(1, "room", "remove", "host")
    unserved.run("send", "host", "once", "--client-msg-id", "k")
    assert unserved.json("send", "host", "once", "--client-msg-id", "k")["idempotent"] is True
    unserved.fails(1, "send", "host", "other", "--client-msg-id", "k")
    unserved.run("room", "close")
    unserved.fails(1, "send", "host", "late")
    assert texts(unserved.log()) == ["@host once", "room closed"]


def test_a_wait_without_a_server_says_how_to_get_one(unserved: Terminal) -> None:
    assert "agentgather room serve" in unserved.fails(69, "watch")


@pytest.mark.hostile("S12")
def test_while_another_process_has_the_lock_nothing_is_written(
    unserved: Terminal, holder: "subprocess.Popen[str]"
) -> None:
    before = unserved.files()
    for words in (
        ["send", "host", "hi"],
        ["room", "invite", "rev"],
        ["room", "rotate", "host"],
    ):
        unserved.fails(69, *words)
    err = unserved.fails(69, "room", "serve", "--port", "0")
    assert str(holder.pid) in err
    err = unserved.fails(69, "up", "demo", "--port", "0")
    assert str(holder.pid) in err
    assert unserved.files() == before


@pytest.mark.hostile("S12")
def test_a_stranger_on_the_port_of_a_server_that_is_gone_sees_no_token(unserved: Terminal) -> None:
    unserved.run("send", "host", "once, so that the room has had an owner")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        seat = unserved.seat() | {"baseUrl": f"http://127.0.0.1:{stranger.getsockname()[1]}"}
        (unserved.home / "current-room.json").write_text(json.dumps(seat))
        unserved.run("send", "host", "hi")
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert texts(unserved.log())[-1] == "@host hi"


@pytest.mark.hostile("S12")
def test_many_commands_at_once_all_get_their_turn(unserved: Terminal) -> None:
    running = [unserved.start("send", "host", f"text {number}") for number in range(3)]
    assert [process.wait(20) for process in running] == [0] * 3
    assert sorted(texts(unserved.log())) == [f"@host text {number}" for number in range(3)]


def test_another_rooms_server_on_the_same_port_does_not_get_in_the_way(
    unserved: Terminal,
) -> None:
    served = unserved.serve()
    unserved.run("room", "start", "other", "--url", served.url)
    assert unserved.run("send", "host", "hi").startswith("sent #1 ")
    assert texts(unserved.log("other")) == ["@host hi"]
    assert texts(unserved.log("demo")) == []
