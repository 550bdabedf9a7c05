"""Making, selecting and joining rooms, and what lies in the home afterwards."""

import re
import shlex
import stat
from pathlib import Path

import pytest

from agentgather.domain.tokens import hash_token
from agentgather.storage.seats import read_seat, seated_rooms, write_seat
from agentgather.wire.errors import CODES
from agentgather.wire.limits import MAX_BRIEF_UNITS
from agentgather.wire.records import CurrentRoom, Tokens, decode_plain, encode_small_file
from tests.cli.terminal import TOKEN, FakeRoom, Terminal, ok, refused
from tests.test_docs import fault_in


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


def files(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


# --- start ---
def test_start_makes_a_room_and_selects_it(terminal: Terminal) -> None:
    result = terminal.run("room", "start", "demo", "--brief", "Goal.", "--json")
    assert result.documents == [
        {
            "ok": True,
            "room": "demo",
            "alias": "host",
            "kind": "human",
            "baseUrl": "http://127.0.0.1:8787",
        }
    ]
    stored = terminal.home.read_room("demo")
    (host,) = stored.participants
    assert (stored.brief, stored.state.brief_version, stored.state.expires_at) == ("Goal.", 1, None)
    assert (host.is_host, host.install, host.location) == (True, "host", "local")
    seat = terminal.home.read_current()
    assert seat is not None
    assert host.token_hash == hash_token(seat.token)
    assert read_seat(terminal.home, "demo") == seat
    assert seat.token not in result.out


@pytest.mark.hostile("C07")
def test_the_token_is_shown_on_demand_alone(terminal: Terminal) -> None:
    document = terminal.run("room", "start", "demo", "--json", "--show-token").documents[0]
    assert document["token"].startswith("agp_")
    assert "agp_" not in terminal.run("room", "start", "two").out


def test_files_are_private_whatever_the_umask(terminal: Terminal) -> None:
    import os

    before = os.umask(0)
    try:
        terminal.run("room", "start", "demo")
    finally:
        os.umask(before)
    for path in (terminal.root, *terminal.root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_times_are_absolute_or_a_duration(terminal: Terminal) -> None:
    terminal.run("room", "start", "a", "--ttl", "2h")
    terminal.run("room", "start", "b", "--expires-at", "2027-01-15T10:00:00Z")
    terminal.run("room", "start", "c", "--expires-at=2027-01-15T11:00:00+01:00")
    ends = [terminal.home.read_room(room).state.expires_at for room in "abc"]
    assert ends == ["2027-01-15T10:00:00.000Z"] * 3


@pytest.mark.hostile("C01")
@pytest.mark.parametrize(
    "arguments",
    [
        ("..",), (".",), ("a/b",), ("a\\b",), ("CON",), ("room\n",), ("",), ("%2e%2e",), ("-x",),
        ("demo", "--alias", "Operator"), ("demo", "--alias", "all"), ("demo", "--alias", "x" * 65),
        ("demo", "--kind", "robot"), ("demo", "--attendance", "never"),
        ("demo", "--ttl", "2"), ("demo", "--ttl", "0s"), ("demo", "--ttl", "1.5h"),
        ("demo", "--ttl", "999999999d"),
        ("demo", "--expires-at", "tomorrow"), ("demo", "--expires-at", "2020-01-01T00:00:00Z"),
        ("demo", "--expires-at", "2027-02-01T00:00:00"),
        ("demo", "--ttl", "2h", "--expires-at", "2027-02-01T00:00:00Z"),
        ("demo", "--url", "http://192.168.1.5:8787"), ("demo", "--url", "rooms.example"),
        ("demo", "--brief", "x" * (MAX_BRIEF_UNITS + 1)), ("demo", "--brief", "\udcff"),
        ("demo", "--brief", "x", "--brief-file", "y"), ("demo", "--brief-file", "/nonexistent"),
        ("demo", "--brief-file", "/dev/null\0"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_makes_no_sense_leaves_nothing_on_the_disk(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    result = terminal.run("room", "start", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert not terminal.root.exists()


def test_a_brief_comes_from_a_file_or_stdin(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text("one\ntwo\n")
    terminal.run("room", "start", "a", "--brief-file", str(tmp_path / "brief.md"))
    terminal.run("room", "start", "b", "--brief", "-", stdin=b"three\n")
    terminal.run("room", "start", "c", "--brief-file=-", stdin=b"four")
    assert [terminal.home.read_room(r).brief for r in "abc"] == ["one\ntwo", "three", "four"]


def test_a_room_is_not_made_twice(terminal: Terminal) -> None:
    terminal.run("room", "start", "demo")
    before = (terminal.root / "seats/demo.json").read_bytes()
    result = terminal.run("room", "start", "demo")
    assert result.status == 1
    assert "agentgather room use demo" in result.err
    assert (terminal.root / "seats/demo.json").read_bytes() == before


def test_a_room_does_not_take_the_place_of_a_seat_elsewhere(terminal: Terminal) -> None:
    terminal.seat(roomId="demo", alias="ada")
    assert terminal.run("room", "start", "demo").status == 1
    seat = read_seat(terminal.home, "demo")
    assert seat is not None
    assert seat.alias == "ada"


def test_a_crash_before_the_seat_is_written_locks_nobody_out(terminal: Terminal) -> None:
    terminal.run("room", "start", "demo")
    (terminal.root / "seats/demo.json").unlink()
    seat = terminal.home.read_current()
    terminal.home.clear_current()
    assert terminal.run("room", "use", "demo").status == 0
    assert terminal.home.read_current() == seat


def test_a_home_that_others_may_write_to_is_refused(terminal: Terminal) -> None:
    terminal.run("room", "start", "demo")
    terminal.root.chmod(0o777)
    for command in (("room", "start", "two"), ("messages",), ("room", "list"), ("up",)):
        result = terminal.run(*command)
        assert result.status == 1
        assert "other users may write" in result.err


# --- list, use, current ------------------------------------------------------------------
def test_a_second_room_loses_no_token(terminal: Terminal) -> None:
    terminal.run("room", "start", "one")
    first = terminal.home.read_current()
    terminal.run("room", "start", "two")
    rows = [line.split() for line in terminal.run("room", "list").out.splitlines()]
    assert [row[0] for row in rows] == ["one", "*"]
    assert terminal.run("room", "use", "one").out == "selected one, as host\n"
    assert terminal.home.read_current() == first
    listed = terminal.run("room", "list", "--json").documents[0]["rooms"]
    assert [(one["room"], one["selected"]) for one in listed] == [("one", True), ("two", False)]


def test_a_room_without_a_seat_cannot_be_used(terminal: Terminal) -> None:
    result = terminal.run("room", "use", "nowhere")
    assert result.status == 1
    assert "room list" in result.err
    assert terminal.run("room", "list").out == "(no rooms)\n"


def test_an_older_home_keeps_its_seats(terminal: Terminal) -> None:
    """It has no ``seats``: one seat is selected, the others are in their rooms' tokens."""
    terminal.run("room", "start", "one")
    terminal.run("room", "start", "two")
    tokens = {r: read_seat(terminal.home, r).token for r in ("one", "two")}  # type: ignore[union-attr]
    for file in (terminal.root / "seats").iterdir():
        file.unlink()
    for room in ("one", "two"):
        kept = Tokens(tokens={"host": tokens[room], "rev": "agp_" + "r" * 43})
        (terminal.root / "rooms" / room / "tokens.json").write_bytes(encode_small_file(kept))
    assert seated_rooms(terminal.home) == ["two"]
    assert terminal.run("room", "use", "one").status == 0
    assert terminal.home.read_current().token == tokens["one"]  # type: ignore[union-attr]
    assert read_seat(terminal.home, "two").token == tokens["two"]  # type: ignore[union-attr]


def test_the_selected_seat_of_an_older_home_survives_another(terminal: Terminal) -> None:
    terminal.home.prepare()
    old = CurrentRoom(roomId="old", alias="ada", token=TOKEN, baseUrl="http://127.0.0.1:1")
    terminal.home.write_current(old)
    terminal.run("room", "start", "new")
    assert read_seat(terminal.home, "old") == old


def test_current_shows_the_seat_even_if_nobody_answers(
    terminal: Terminal, closed_port: int
) -> None:
    terminal.seat(baseUrl=f"http://127.0.0.1:{closed_port}")
    result = terminal.run("room", "current", "--json")
    assert result.status == 0
    assert result.documents == [
        {
            "ok": True,
            "current": {
                "roomId": "demo",
                "alias": "host",
                "baseUrl": f"http://127.0.0.1:{closed_port}",
            },
            "reachable": False,
        }
    ]
    assert TOKEN not in result.out + result.err
    assert terminal.run("room", "status").status == 69


def test_a_damaged_seat_is_said_and_not_forgotten(terminal: Terminal) -> None:
    terminal.seat()
    (terminal.root / "current-room.json").write_text("{")
    result = terminal.run("messages")
    assert result.status == 1
    assert "current-room.json is damaged" in result.err


@pytest.mark.hostile("C07")
def test_the_dashboard_shows_no_token_unless_asked(terminal: Terminal) -> None:
    terminal.seat()
    assert terminal.run("room", "dashboard").out == "http://127.0.0.1:1/\n"
    assert terminal.run("room", "dashboard", "--show-token").out == (
        f"http://127.0.0.1:1/#token={TOKEN}\n"
    )


# --- join ---
STATUS = {
    "room": "demo", "me": "ada", "is_host": False, "room_status": "open", "brief_version": 1,
    "attendance_policy": "manual-ok", "stale_after_ms": 90_000, "brief_updated_at": "",
    "brief_updated_by": "host", "participants": [],
}  # fmt: skip
JOINED = ok({"participant": "ada"})


@pytest.mark.hostile("C07")
@pytest.mark.parametrize("how", ["argument", "file", "stdin"])
def test_join_takes_the_token_three_ways(terminal: Terminal, tmp_path: Path, how: str) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    given = {
        "argument": ("--token", TOKEN),
        "file": ("--token-file", str(tmp_path / "token")),
        "stdin": ("--token", "-"),
    }[how]
    terminal.room = FakeRoom([ok(STATUS), JOINED])
    url = "https://rooms.example/my-room/"
    result = terminal.run(
        "room", "join", "demo", "--alias", "ada", *given, "--url", url, "--json",
        stdin=f" {TOKEN}\n".encode(),
    )  # fmt: skip
    assert result.documents == [
        {"ok": True, "room": "demo", "alias": "ada", "baseUrl": "https://rooms.example/my-room"}
    ]
    assert TOKEN not in result.out + result.err
    assert [one.target for one in terminal.room.asked] == ["/status", "/join"]
    seat = terminal.home.read_current()
    assert seat is not None
    assert (seat.alias, seat.token) == ("ada", TOKEN)
    assert files(terminal.root) == {"current-room.json", "seats/demo.json"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--token", TOKEN, "--token-file", "x"),
        ("--token", "nonsense"),
        ("--token", ""),
        ("--token-file", "/nonexistent"),
        ("--token", TOKEN, "--url", "http://192.168.1.5:8787"),
        ("--token", TOKEN, "--url", "nonsense"),
    ],
)
def test_join_refuses_what_makes_no_sense(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    terminal.room = FakeRoom([])
    result = terminal.run("room", "join", "demo", "--alias", "ada", *arguments)
    assert (result.status, result.out) == (2, "")
    assert TOKEN not in result.err
    assert not terminal.root.exists()


def test_the_token_of_another_seat_is_noticed(terminal: Terminal) -> None:
    terminal.room = FakeRoom([ok(STATUS)])
    result = terminal.run("room", "join", "demo", "--alias", "rev", "--token", TOKEN)
    assert result.status == 2
    assert "the seat of ada in demo" in result.err
    assert terminal.home.read_current() is None


def test_a_refused_join_leaves_no_seat(terminal: Terminal) -> None:
    terminal.room = FakeRoom([refused(403, "forbidden")])
    assert terminal.run("room", "join", "demo", "--alias", "ada", "--token", TOKEN).status == 1
    assert terminal.home.read_current() is None


def test_a_second_seat_in_a_room_needs_another_home(terminal: Terminal) -> None:
    terminal.run("room", "start", "demo")
    before = terminal.home.read_current()
    terminal.room = FakeRoom([])
    result = terminal.run("room", "join", "demo", "--alias", "ada", "--token", TOKEN)
    assert result.status == 1
    assert "AGENTGATHER_HOME" in result.err
    assert terminal.home.read_current() == before


def test_plain_http_is_a_decision_that_is_remembered(terminal: Terminal) -> None:
    terminal.room = FakeRoom([ok(STATUS), JOINED])
    url = "http://192.0.2.1:8787"
    arguments = ("demo", "--alias", "ada", "--token", TOKEN, "--url", url)
    assert terminal.run("room", "join", *arguments, "--insecure").status == 0
    assert decode_plain((terminal.root / "current-room.json").read_bytes())["insecure"] is True
    terminal.room = None
    seat = terminal.home.read_current()
    assert seat is not None
    assert terminal.context().api_of(seat) is not None
    seat.extra.clear()
    write_seat(terminal.home, seat, select=True)
    assert terminal.run("messages").status == 2


# --- the host's controls ---------------------------------------------------------------------
INVITE = {
    "room": "demo", "alias": "rev", "kind": "agent", "token": "agp_" + "r" * 43,
    "card_command": 'curl -s "http://127.0.0.1:1/card?participant=rev&token=…"',
    "browser_url": "http://127.0.0.1:1/#token=…",
}  # fmt: skip


def test_an_invite_is_asked_for_as_given(terminal: Terminal) -> None:
    terminal.seat()
    terminal.room = FakeRoom([ok(INVITE, 201)] * 3)
    assert INVITE["card_command"] in terminal.run("room", "invite", "rev").out
    terminal.run(
        "room", "invite", "@rev", "--kind", "human", "--single-use", "--expires", "2h", "--observer"
    )
    assert terminal.run("room", "invite", "rev", "--json").documents == [{"ok": True, **INVITE}]
    assert terminal.room.bodies[:2] == [
        {"alias": "rev", "kind": "agent"},
        {
            "alias": "rev",
            "kind": "human",
            "single_use": True,
            "expires_in_s": 7200,
            "role": "observer",
        },
    ]
    terminal.room = FakeRoom([ok({**INVITE, "kind": "human"}, 201)])
    assert INVITE["browser_url"] in terminal.run("room", "invite", "rev").out


@pytest.mark.parametrize(
    "alias",
    ["Operator", "оperator", "ｏperator", "operator\u200b", "operator ", "operator\n", "x" * 65,
     "-x", "--json", "system", "host", "all", "here", "everyone", "admin", "broker",
     "agentgather"],
    ids=ascii,
)  # fmt: skip
def test_an_alias_that_cannot_be_is_wrong_usage(terminal: Terminal, alias: str) -> None:
    terminal.seat()
    terminal.room = FakeRoom([])
    assert terminal.run("room", "invite", alias).status == 2


def test_a_taken_alias_is_refused_with_the_way_on(terminal: Terminal) -> None:
    terminal.seat()
    terminal.room = FakeRoom([refused(409, "alias_taken")])
    result = terminal.run("room", "invite", "rev")
    assert result.status == 1
    assert "agentgather room rotate" in result.err


def test_a_card_is_printed_while_the_seat_is_unused(terminal: Terminal) -> None:
    terminal.run("room", "start", "demo")
    terminal.room = FakeRoom([ok({})._replace(body=b"# Attend Card\n")])
    kept = Tokens(tokens={"rev": "agp_" + "r" * 43})
    (terminal.root / "rooms/demo/tokens.json").write_bytes(encode_small_file(kept))
    assert terminal.run("room", "invite-card", "rev").out == "# Attend Card\n"
    assert terminal.room.asked[0].headers["Authorization"] == "Bearer agp_" + "r" * 43
    used = terminal.run("room", "invite-card", "ada")
    assert used.status == 1
    assert "--rotate" in used.err
    terminal.room = FakeRoom([ok(INVITE), ok({})._replace(body=b"# Attend Card\n")])
    assert terminal.run("room", "invite-card", "rev", "--rotate").status == 0
    assert [one.target for one in terminal.room.asked] == ["/participants/rev/rotate", "/card"]


def test_a_new_token_of_ones_own_is_kept(terminal: Terminal) -> None:
    terminal.seat()
    terminal.room = FakeRoom([ok({**INVITE, "alias": "host"})])
    terminal.run("room", "rotate", "host")
    assert terminal.home.read_current().token == INVITE["token"]  # type: ignore[union-attr]
    assert read_seat(terminal.home, "demo").token == INVITE["token"]  # type: ignore[union-attr]
    terminal.room = FakeRoom([ok(INVITE)])
    terminal.run("room", "rotate", "rev")
    assert terminal.home.read_current().token == INVITE["token"]  # type: ignore[union-attr]


BRIEF = {
    "brief": {
        "body": "Goal\x1b[2J\nnext",
        "brief_version": 3,
        "brief_updated_at": "2027-01-15T08:00:00.000Z",
        "brief_updated_by": "host",
    }
}


def test_the_brief_is_shown_and_set(terminal: Terminal, tmp_path: Path) -> None:
    terminal.seat()
    (tmp_path / "brief").write_text("from file\n")
    terminal.room = FakeRoom([ok(BRIEF)] * 6)
    shown = terminal.run("room", "brief", "view").out
    assert shown == "version 3, by host at 2027-01-15T08:00:00.000Z\n\nGoal\\x1b[2J\nnext\n"
    for arguments in (
        ("two", "words"), ("--body", "text"), ("--body-file", str(tmp_path / "brief")), ("-",),
        ("--body=-",),
    ):  # fmt: skip
        result = terminal.run("room", "brief", "set", *arguments, stdin=b"from stdin\n")
        assert result.out == "the brief is now version 3\n"
    bodies = [body["body"] for body in terminal.room.bodies]
    assert bodies == ["two words", "text", "from file", "from stdin", "from stdin"]
    assert terminal.run("room", "brief", "set").status == 2
    assert terminal.run("room", "brief", "set", "a", "--body", "b").status == 2


def test_the_rest_of_the_controls(terminal: Terminal) -> None:
    terminal.seat()
    terminal.room = FakeRoom(
        [
            ok({"attendance_policy": "agents-foreground"}),
            ok({"remaining": 30}),
            ok({}),
            ok({"room_status": "closed"}),
        ]
    )
    said = [
        terminal.run("room", *arguments).out
        for arguments in (
            ("attendance", "set", "agents-foreground"),
            ("rearm",),
            ("leave",),
            ("close",),
        )
    ]
    assert said == [
        "the attendance policy is now agents-foreground\n",
        "agents may post 30 more before a person must\n",
        "you left demo; your seat stays yours\n",
        "demo is closed\n",
    ]
    assert terminal.run("room", "attendance", "set", "nonsense").status == 2


def test_a_guest_is_told_that_only_the_host_may(terminal: Terminal) -> None:
    terminal.seat()
    terminal.room = FakeRoom([refused(403, "host_required")])
    result = terminal.run("room", "close")
    assert result.status == 1
    assert "ask the host" in result.err
    # The last host is refused with the same code, and has nobody to ask.
    terminal.room = FakeRoom([refused(409, "host_required", "the last one cannot be removed")])
    result = terminal.run("room", "remove", "host")
    assert result.err == "agentgather: the last one cannot be removed\n"


@pytest.mark.parametrize(
    ("code", "arguments", "advice"),
    [
        ("unknown_participant", ("room", "remove", "zed"), "agentgather room status"),
        ("invalid_reply_to", ("reply", "99", "hi"), "agentgather messages"),
        ("room_closed", ("send", "rev", "hi"), "agentgather export"),
    ],
)
def test_a_refusal_says_how_to_go_on(
    terminal: Terminal, code: str, arguments: tuple[str, ...], advice: str
) -> None:
    terminal.seat()
    terminal.room = FakeRoom([refused(CODES[code].status, code)])
    result = terminal.run(*arguments)
    assert result.status == 1
    assert advice in result.err
    # What is advised exists.
    (command,) = re.findall(r"`(agentgather [^`]*)`", result.err)
    assert fault_in(shlex.split(command)) == ""


def test_a_guest_is_not_told_to_do_what_only_a_host_can(terminal: Terminal) -> None:
    terminal.seat()
    terminal.room = FakeRoom([])
    result = terminal.run("room", "invite-card", "rev")
    assert result.status == 1
    assert "ask the host" in result.err
    assert "--rotate" not in result.err
    result = terminal.run("up", "demo", "--port", "0")
    assert result.status == 1
    assert "served by its host" in result.err
    assert not (terminal.root / "rooms/demo").exists()
