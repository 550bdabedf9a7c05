"""The log of a real room can be shown to anybody, and is read like any other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgather.page.render import render_markdown
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.wire.records import CurrentRoom, Participant, RoomState, Tokens
from release.sanitise import ROOM, Sanitiser, leaks, main, words_for
from tests.cli.terminal import Terminal
from tests.storage.samples import NOW, Records

FIXTURES = Path(__file__).parent / "fixtures"
TOKEN = "agp_" + "x" * 43
SECRETS = {
    TOKEN: "token",
    "agh_" + "-" * 43: "token",
    "agr_" + "_" * 43: "token",
    "tgl_0123456789abcdef": "token",
    f"http://127.0.0.1:8787/card?participant=rev&token={TOKEN}": "token",
    "https://rooms.acme.example/review/#token=abc": "token",
    "https://git.acme.test/a/b?x=1": "URL",
    "ada.l+x@mail.acme.test": "e-mail",
    "10.1.2.3": "address",
    "10.1.2.3:8787": "address",
    "fe80:0:0:0:1:2:3:4": "address",
    "/home/ada/project/parser.py": "path",
    "~/secret/notes.md": "path",
    "/root": "path",
    "/data/one/two/three": "path",
    r"C:\Users\ada\x.txt": "path",
    "build7.acme.internal": "host name",
    "acme": "name",
}
HARMLESS = [
    "look at parser.py:12 and main.rs, or agentgather.cli.main",
    "GET /messages?since_id=4, POST /participants/rev/remove, a/b/c, and/or",
    "at 10:11:02.105Z, version 0.3.0, 1.2 ms, 3::4, 50 %",
    "`agentgather room invite rev --kind agent`",
]


# --- What is replaced ---------------------------------------------------------------------
@pytest.mark.parametrize(("secret", "kind"), SECRETS.items())
def test_what_is_nobody_s_business_is_found_and_replaced(secret: str, kind: str) -> None:
    for text in (secret, f"see `{secret}`, please", f'"{secret}"\n({secret})'):
        found = leaks(text, ["acme"])
        assert any(one.startswith(f"{kind}: ") for one in found), found
        replaced = Sanitiser({"acme": "name-1"}).text(text)
        assert leaks(replaced, ["acme"]) == []
        assert secret not in replaced


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_stays(text: str) -> None:
    assert leaks(text, ["acme"]) == []
    assert Sanitiser({}).text(text) == text


def test_the_same_thing_is_the_same_word_everywhere() -> None:
    sanitiser = Sanitiser({})
    first = sanitiser.text("10.0.0.1 and 10.0.0.2 and 10.0.0.1")
    assert first == "192.0.2.1 and 192.0.2.2 and 192.0.2.1"
    assert sanitiser.text("again 10.0.0.2") == "again 192.0.2.2"
    assert sanitiser.text(first) == first
    linked = sanitiser.text(f"open http://127.0.0.1/#token={TOKEN}, or /opt/a/b.txt.")
    assert linked == "open https://site-1.example/, or path-1."


def test_names_are_told_by_what_their_bearers_are() -> None:
    seats = [
        {"alias": "op", "kind": "human", "is_host": True},
        {"alias": "rev", "kind": "agent"},
        {"alias": "rev-2", "kind": "agent"},
        {"alias": "ada", "kind": "human", "display_name": "Ada L."},
    ]
    sanitiser = Sanitiser(words_for(seats, "parser-review", ["acme"]))
    text = "@rev-2 ask @rev or Ada L. (ada), operators of acme's parser-review"
    assert sanitiser.text(text) == (
        "@agent-2 ask @agent-1 or person-1 (person-1), operators of name-1's dogfood"
    )


def test_a_room_s_folder_becomes_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "review"
    folder.mkdir()
    seats = [{"alias": "op", "kind": "human", "is_host": True}, {"alias": "rev", "kind": "agent"}]
    (folder / "participants.json").write_text(json.dumps(seats))
    message: dict[str, Any] = {"id": 1, "room": "review", "ts": "2026-11-25T10:00:00.100Z"}
    message |= {"from": "rev", "type": "message", "text": f"@op {TOKEN}", "mentions": ["op"]}
    second = message | {"id": 2, "ts": "2026-11-25T10:00:07.350Z", "client_msg_id": "mine"}
    lines = [json.dumps(one).encode() + b"\n" for one in (message, second)]
    (folder / "messages.jsonl").write_bytes(b"".join(lines))
    assert main([str(folder)]) == 0
    written = capsys.readouterr()
    first, then = (json.loads(line) for line in written.out.splitlines())
    assert first == message | {
        "room": ROOM,
        "ts": "2026-01-01T09:00:00.000Z",
        "from": "agent-1",
        "text": "@host token-1",
        "mentions": ["host"],
    }
    assert list(then) == list(second)
    assert (then["ts"], then["client_msg_id"]) == ("2026-01-01T09:00:07.250Z", "key-1")
    assert written.err == ""


# --- The logs that are kept ---------------------------------------------------------------
@pytest.fixture(params=sorted(path.name for path in FIXTURES.glob("*.jsonl")))
def log(request: pytest.FixtureRequest) -> bytes:
    data: bytes = (FIXTURES / request.param).read_bytes()
    return data


def messages_of(log: bytes) -> Iterator[dict[str, Any]]:
    for line in filter(None, log.split(b"\n")):
        yield json.loads(line)


@pytest.fixture
def home(log: bytes, tmp_path: Path) -> Home:
    """A home with the room of the log, whose participants have their seats."""
    home = Home(tmp_path / "home")
    names = dict.fromkeys(one["from"] for one in messages_of(log))
    seats = [
        Participant(
            alias=name, kind="agent" if "agent" in name else "human", is_host=name == "host"
        )
        for name in names
        if name != "system"
    ]
    home.create_room(RoomState(id=ROOM, createdAt=NOW, updatedAt=NOW), seats, "Goal.", Tokens())
    (home.room_path(ROOM) / "messages.jsonl").write_bytes(log)
    home.write_current(
        CurrentRoom(roomId=ROOM, alias="host", token=TOKEN, baseUrl="http://127.0.0.1:9")
    )
    return home


def test_a_kept_log_has_nothing_that_is_nobody_s_business(log: bytes) -> None:
    assert log
    for message in messages_of(log):
        assert leaks(message["text"]) == [], message["id"]
        assert leaks(json.dumps(message, ensure_ascii=False)) == [], message["id"]
        assert message["room"] == ROOM
        assert message["from"].partition("-")[0] in {"host", "agent", "person", "system"}


def test_a_kept_log_opens_without_a_complaint(home: Home, log: bytes) -> None:
    records = Records()
    with open_room(home, ROOM, records, NOW) as room:
        assert room.warnings == ()
    assert records.ids == [one["id"] for one in messages_of(log)]
    assert b"".join(line + b"\n" for line in records.lines) == log


def test_a_kept_log_is_exported_whole(home: Home, log: bytes, tmp_path: Path) -> None:
    terminal = Terminal(home.root)
    for form in ("json", "md"):
        path = tmp_path / f"out.{form}"
        done = terminal.run("export", "--format", form, "--output", str(path))
        assert done.status == 0, done.err
    exported = json.loads((tmp_path / "out.json").read_text())["messages"]
    assert exported == list(messages_of(log))
    markdown = (tmp_path / "out.md").read_text()
    for message in messages_of(log):
        if not message.get("hidden_chars"):  # those are spelled out
            assert all(line.strip() in markdown for line in message["text"].split("\n"))


def test_the_page_can_show_a_kept_log(log: bytes) -> None:
    for message in messages_of(log):
        assert render_markdown(message["text"], message["mentions"])
