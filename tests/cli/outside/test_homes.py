"""Where the home is, who may enter it, and which seats it keeps."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agentgather.domain.tokens import hash_token
from tests.cli.outside.terminal import Terminal, eventually, texts

NOW = "2026-01-01T00:00:00.000Z"


@pytest.mark.hostile("F05")
def test_a_relative_home_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    for words in (["room", "start", "demo"], ["room", "current"], ["doctor"]):
        done = terminal.try_(*words, AGENTGATHER_HOME="relative", cwd=tmp_path)
        assert (done.status, done.out) == (2, "")
        assert "absolute" in done.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_variable_it_is_in_the_users_folder(
    terminal: Terminal, tmp_path: Path
) -> None:
    done = terminal.try_("room", "start", "demo", AGENTGATHER_HOME="")
    assert done.status == 0
    assert (tmp_path / ".agentgather" / "rooms" / "demo" / "room.json").is_file()


@pytest.mark.hostile("F05")
@pytest.mark.parametrize("name", ["with a space", "with\nnewline", "with\udcffbyte", "ü$(id)"])
def test_a_home_may_have_any_name(name: str, open_terminal: Callable[[str], Terminal]) -> None:
    terminal = open_terminal(name)
    terminal.run("room", "start", "demo")
    terminal.run("send", "host", "hi")
    served = terminal.serve()
    terminal.run("send", "host", "two")
    assert terminal.here("doctor").status == 0
    served.stop()
    assert texts(terminal.log()) == ["@host hi", "@host two"]


@pytest.mark.hostile("F05")
def test_a_home_that_others_may_write_to_is_refused(unserved: Terminal) -> None:
    before = unserved.files()
    unserved.home.chmod(0o777)
    for words in (
        ["send", "host", "hi"],
        ["messages"],
        ["room", "start", "other"],
        ["room", "serve", "--port", "0"],
        ["room", "current"],
        ["room", "list"],
        ["room", "use", "demo"],
        ["export", "--output", "-"],
        ["attend"],
    ):
        assert "chmod 700" in unserved.fails(1, *words)
    assert unserved.files() == before


@pytest.mark.hostile("F05")
def test_a_home_that_is_a_file_or_a_link_is_refused(
    open_terminal: Callable[[str], Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal("file")
    terminal.home.write_text("")
    terminal.fails(1, "room", "start", "demo")
    other = open_terminal("link")
    other.home.symlink_to(tmp_path)
    other.fails(1, "room", "start", "demo")


@pytest.mark.hostile("F05")
def test_all_files_are_private_whatever_the_umask(
    open_terminal: Callable[[str], Terminal],
) -> None:
    terminal = open_terminal("home")
    for mask in (0, 0o777):
        old = os.umask(mask)
        try:
            terminal.run("room", "start", f"demo-{mask}")
            terminal.run("room", "invite", "rev")
            terminal.run("send", "host", "hi")
            terminal.run("read")
        finally:
            os.umask(old)
    for path in [terminal.home, *terminal.home.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_damaged_selection_is_one_plain_line(unserved: Terminal) -> None:
    (unserved.home / "current-room.json").write_text("{nonsense")
    for words in (["send", "host", "x"], ["room", "current"], ["up"], ["attend"], ["room", "list"]):
        assert "current-room.json" in unserved.fails(1, *words)
    # What it says to do, works.
    unserved.run("room", "use", "demo")
    unserved.run("send", "host", "x")


def test_a_damaged_seat_is_no_bug(guest: Terminal) -> None:
    seat = guest.seat()
    for wrong in (
        {"roomId": "../x"},
        {"alias": "A B"},
        {"baseUrl": "nonsense"},
        {"baseUrl": "http://127.0.0.1:1/ü ü"},
        {"token": "two\r\nlines"},
        {"token": "ünicode"},
        {"token": 1},
        {"baseUrl": None},
    ):
        (guest.home / "current-room.json").write_text(json.dumps(seat | wrong))
        for words in (["send", "host", "hi"], ["room", "status"], ["attend"]):
            done = guest.here(*words)
            assert done.status in (1, 2), (wrong, words, done)
            assert done.err.count("\n") == 1


def test_the_older_programs_home_works(terminal: Terminal) -> None:
    token = "tgl_" + "a" * 40
    folder = terminal.home / "rooms" / "older"
    (folder / "cursors").mkdir(parents=True)
    for path in (terminal.home, folder.parent, folder, folder / "cursors"):
        path.chmod(0o700)
    room = {
        "id": "older",
        "status": "open",
        "attendance_policy": "manual-ok",
        "createdAt": NOW,
        "updatedAt": NOW,
        "next_message_id": 2,
        "brief_version": 1,
        "brief_updated_at": NOW,
        "brief_updated_by": "op",
    }
    seat = {
        "alias": "op",
        "kind": "human",
        "location": "local",
        "install": "host",
        "attention": "managed",
        "is_host": True,
        "token_hash": hash_token(token),
        "joinedAt": NOW,
        "lastSeenAt": NOW,
    }
    line = {
        "id": 1,
        "room": "older",
        "ts": NOW,
        "from": "op",
        "type": "message",
        "text": "before",
        "mentions": [],
    }
    current = {
        "roomId": "older",
        "alias": "op",
        "token": token,
        "baseUrl": "http://127.0.0.1:1",
        "future": {"key": 1},
    }
    (folder / "room.json").write_text(json.dumps(room))
    (folder / "participants.json").write_text(json.dumps([seat]))
    (folder / "tokens.json").write_text(json.dumps({"tokens": {"op": token}}))
    (folder / "messages.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "brief.md").write_text("the brief")
    (terminal.home / "current-room.json").write_text(json.dumps(current))
    for path in terminal.home.rglob("*.*"):
        path.chmod(0o600)

    assert "before" in terminal.run("messages")
    terminal.run("send", "op", "after")
    assert texts(terminal.log("older")) == ["before", "@op after"]
    assert token not in (folder / "tokens.json").read_text(), "its participant has acted"
    # Making another room must not lose the only copy of the first one's token.
    terminal.run("room", "start", "newer", "--url", "http://127.0.0.1:1")
    terminal.run("send", "host", "in the newer one")
    terminal.run("room", "use", "older")
    terminal.run("send", "op", "and back")
    assert texts(terminal.log("older"))[-1] == "@op and back"
    assert terminal.seat()["future"] == {"key": 1}


def test_two_rooms_keep_two_seats(
    unserved: Terminal, open_terminal: Callable[[str], Terminal]
) -> None:
    first = unserved.seat()["token"]
    unserved.run("room", "start", "second", "--url", "http://127.0.0.1:1")
    second = unserved.seat()["token"]
    assert first != second
    listed = unserved.json("room", "list")["rooms"]
    assert [(room["room"], room["selected"]) for room in listed] == [
        ("demo", False),
        ("second", True),
    ]
    assert "agp_" not in json.dumps(listed)
    unserved.run("send", "host", "to the second")
    assert unserved.json("room", "use", "demo")["room"] == "demo"
    assert unserved.seat()["token"] == first
    unserved.run("send", "host", "to the first")
    unserved.run("room", "use", "second")
    assert unserved.seat()["token"] == second
    assert texts(unserved.log("demo")) == ["@host to the first"]
    assert texts(unserved.log("second")) == ["@host to the second"]
    unserved.fails(1, "room", "use", "third")


def test_a_second_seat_in_one_room_does_not_lose_the_hosts(
    unserved: Terminal,
) -> None:
    invited = unserved.json("room", "invite", "rev")
    hosts = unserved.seat()["token"]
    done = unserved.here(
        *("room", "join", "demo", "--alias", "rev", "--url", "http://127.0.0.1:1"),
        *("--token", "-"),
        stdin=invited["token"].encode(),
    )
    assert "AGENTGATHER_HOME" in done.err or done.status == 0
    everything = b"".join(unserved.files().values()).decode()
    assert hosts in everything, "the host's token is nowhere else"


def test_rotating_ones_own_seat_keeps_the_command_line_working(unserved: Terminal) -> None:
    first = unserved.seat()["token"]
    unserved.run("room", "rotate", "host")
    assert unserved.seat()["token"] != first
    unserved.run("send", "host", "one")
    unserved.serve()
    unserved.run("room", "rotate", "host")
    unserved.run("send", "host", "two")
    unserved.fails(1, "room", "invite-card", "host", "--rotate")
    unserved.run("send", "host", "three")
    unserved.run("room", "use", "demo")
    unserved.run("send", "host", "four")


@pytest.mark.parametrize("is_served", [True, False])
def test_a_card_is_shown_until_it_was_used(
    is_served: bool, unserved: Terminal, open_terminal: Callable[[str], Terminal]
) -> None:
    if is_served:
        unserved.serve()
    token = unserved.json("room", "invite", "rev")["token"]
    card = unserved.run("room", "invite-card", "rev")
    assert token in card
    assert unserved.run("room", "invite-card", "rev") == card
    document = unserved.json("room", "invite-card", "rev")
    assert document["ok"] is True
    assert "--rotate" in unserved.fails(1, "room", "invite-card", "nobody")
    if not is_served:
        return
    guest = open_terminal("guest")
    url = unserved.seat()["baseUrl"]
    guest.run(
        *("room", "join", "demo", "--alias", "rev", "--url", url, "--token", "-"),
        stdin=token.encode(),
    )
    assert "--rotate" in unserved.fails(1, "room", "invite-card", "rev")
    renewed = unserved.run("room", "invite-card", "rev", "--rotate")
    assert token not in renewed
    assert "agp_" in renewed
    guest.fails(1, "send", "host", "with the old token")


@pytest.mark.hostile("A11")
def test_a_token_lies_only_where_its_owner_keeps_it(
    unserved: Terminal, open_terminal: Callable[[str], Terminal], tmp_path: Path
) -> None:
    served = unserved.serve()
    token = unserved.json("room", "invite", "rev")["token"]

    def holders(home: Terminal) -> list[str]:
        return [name for name, data in home.files().items() if token.encode() in data]

    assert holders(unserved) == ["rooms/demo/tokens.json"]
    guest = open_terminal("guest")
    guest.run(
        *("room", "join", "demo", "--alias", "rev", "--url", served.url, "--token", "-"),
        stdin=token.encode(),
    )
    guest.run("send", "host", "hi")
    unserved.run("export", "--output", str(tmp_path / "x.md"))
    unserved.run("export", "--output", str(tmp_path / "x.json"))
    assert holders(unserved) == []
    assert token not in (tmp_path / "x.md").read_text() + (tmp_path / "x.json").read_text()
    assert set(holders(guest)) <= {"current-room.json", "seats/demo.json"}


@pytest.mark.hostile("A15")
def test_no_token_is_in_the_arguments_of_a_process(
    unserved: Terminal, open_terminal: Callable[[str], Terminal]
) -> None:
    served = unserved.serve()
    invited = unserved.json("room", "invite", "rev")["token"]
    tokens = [unserved.seat()["token"], invited]
    attending = unserved.start("attend")
    unserved.run("send", "host", "hi")
    assert attending.stdout is not None
    attending.stdout.readline()
    # Nothing is left to read, so a turn is held.
    unserved.run("read")
    watching = unserved.start("watch")
    # It waits for the token, which comes by standard input.
    guest = open_terminal("guest")
    words = ("room", "join", "demo", "--alias", "rev", "--url", served.url, "--token", "-")
    joining = guest.start(*words, stdin=subprocess.PIPE)
    public = unserved.start("tunnel", "run", "--broker", "http://127.0.0.1:1", "--subdomain", "d")
    for process in (served.process, attending, watching, joining, public):
        assert shown_of(process, tokens) == []
    joining.communicate(invited, timeout=20)
    assert joining.returncode == 0


@pytest.mark.hostile("A15")
def test_no_token_of_a_broker_is_in_the_arguments_of_a_process(
    open_terminal: Callable[[str], Terminal], tmp_path: Path
) -> None:
    operator, host = open_terminal("operator"), open_terminal("host")
    state = ("--state-dir", str(tmp_path / "broker"))
    token = operator.run("broker", "token", "add", "host", *state).strip()
    file = tmp_path / "token"
    file.write_text(token)
    serving = operator.start("broker", "serve", "--port", "0", "--registration", "token", *state)
    assert serving.stderr is not None
    (broker,) = re.findall(r"http://[0-9.:]+", serving.stderr.readline())
    up = host.start(
        *("up", "demo", "--port", "0", "--json"),
        *("--tunnel", broker, "--registration-token-file", str(file)),
    )
    assert up.stdout is not None
    url = json.loads(up.stdout.readline())["public_url"]
    # It waits for the host's token, which comes by standard input.
    trying = host.start("conformance", url, "--host-token", "-", stdin=subprocess.PIPE)
    for process in (serving, up, trying):
        assert shown_of(process, [token, host.seat()["token"]]) == []


def shown_of(process: "subprocess.Popen[str]", tokens: list[str]) -> list[str]:
    """Give what of a process shows one of the tokens to others."""
    found = []
    for name in ("cmdline", "environ"):
        path = Path(f"/proc/{process.pid}/{name}")
        # It is empty while the process begins.
        eventually(path.read_bytes)
        if any(token.encode() in path.read_bytes() for token in tokens):
            found.append(name)
    return found
