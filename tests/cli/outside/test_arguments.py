"""How a command line is read, and that what makes no sense is refused before anything is done."""

import os
from pathlib import Path

import pytest

from tests.cli.outside.terminal import Terminal, texts

EVERY_COMMAND = [
    "up",
    "send",
    "reply",
    "handoff",
    "messages",
    "read",
    "watch",
    "attend",
    "export",
    "doctor",
    "instructions",
    *(
        f"room {name}"
        for name in (
            *("start", "serve", "invite", "invite-card", "join", "leave", "remove", "rotate"),
            *("rearm", "close", "current", "status", "list", "use", "dashboard"),
        )
    ),
    *("room brief view", "room brief set", "room attendance view", "room attendance set"),
]


def test_help_is_there_in_two_spellings(terminal: Terminal) -> None:
    for words in ([], ["room"], ["room", "brief"], ["send"]):
        long, short = terminal.try_(*words, "--help").out, terminal.try_(*words, "-h").out
        assert long == short
        assert "Usage: " + " ".join(["agentgather", *words]) in long
    assert not terminal.home.exists()


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_has_help_and_knows_json(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Terminal(tmp_path / "home").here(*command.split(), "-h").status == 0
    assert "--json" in capsys.readouterr().out
    assert not (tmp_path / "home").exists()


def test_the_version_is_said(terminal: Terminal) -> None:
    assert terminal.try_("--version").out.startswith("agentgather 0.")


@pytest.mark.parametrize("words", [[], ["room"], ["room", "brief"]])
def test_a_group_without_a_command_shows_its_help_and_is_misused(
    words: list[str], terminal: Terminal
) -> None:
    done = terminal.here(*words)
    assert (done.status, done.out) == (2, "")
    assert "Commands:\n" in done.err


@pytest.mark.hostile("C01")
@pytest.mark.parametrize(
    "words",
    [
        "nope",
        "room nope",
        "--nope",
        "send --nope rev hi",
        "send",
        "send rev",
        "send Rev hi",
        "send --json=yes rev hi",
        "reply 0 hi",
        "reply 1.0 hi",
        "reply x hi",
        "handoff rev",
        "handoff rev --summary",
        "messages --since -1",
        "messages --since 1e3",
        "messages --limit 0",
        "attend --max-turns 0",
        "export",
        "export --output x --format xml",
        "instructions --agent eliza",
        "room start demo --ttl 0s",
        "room start demo --ttl 2",
        "room start demo --ttl 999999999d",
        "room start demo --ttl 1h --expires-at 2999-01-01T00:00:00Z",
        "room start demo --expires-at 2001-01-01T00:00:00Z",
        "room start demo --expires-at 2999-01-01T00:00:00",
        "room start demo --kind robot",
        "room start demo --attendance never",
        "room start demo --alias system",
        "room start demo --alias Operator",
        "room start demo --url ftp://x",
        "room start demo --url http://user@x",
        "room start demo --url http://x/?q",
        "room start demo --url http://[::1",
        "room start demo --url http://127.0.0.1:99999",
        "room start demo --brief a --brief-file b",
        "room start demo --brief-file /nonexistent",
        "room start demo --brief-file /dev/zero",
        "room serve --port 65536",
        "room serve --port x",
        "room invite rev --expires soon",
        "room attendance set sometimes",
        "room join demo --alias rev",
        "room join demo --alias rev --token nonsense",
        "room join demo --alias rev --token-file /nonexistent",
    ],
)
def test_nonsense_is_misuse_and_leaves_nothing_on_the_disk(words: str, tmp_path: Path) -> None:
    misused(tmp_path / "home", *words.split())


def misused(home: Path, *words: str) -> None:
    """Run a command, and see that it was refused before it did anything."""
    Terminal(home).fails(2, *words)
    assert not home.exists()


@pytest.mark.hostile("F01")
@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "a\\b", "%2e%2e", "CON", "room\n", "", "-x", "a" * 65, "о", " a"]
)
@pytest.mark.parametrize("command", ["start", "use", "join"])
def test_what_is_no_name_of_a_room_makes_no_file(name: str, command: str, tmp_path: Path) -> None:
    misused(tmp_path / "home", "room", command, "--", name)


@pytest.mark.hostile("U01")
@pytest.mark.parametrize(
    "alias",
    ["Operator", "оperator", "ｏperator", "operator\u200b", "operator ", "operator\n", "a" * 65],
)
def test_what_is_no_alias_is_invited_by_nobody(alias: str, tmp_path: Path) -> None:
    misused(tmp_path / "home", "room", "invite", "--", alias)


@pytest.mark.hostile("C01")
def test_arguments_that_are_not_utf_8_are_refused(unserved: Terminal) -> None:
    before = unserved.files()
    junk = os.fsdecode(b"a\xffb")
    for words in (
        ["send", "rev", junk],
        ["send", "rev", "hi", "--client-msg-id", junk],
        ["room", "brief", "set", junk],
        ["room", "brief", "set", "--body", junk],
        ["room", "start", "other", "--brief", junk],
        ["room", "start", "other", "--url", f"http://127.0.0.1/{junk}"],
        ["room", "start", junk],
        ["handoff", "rev", "--summary", junk],
        [f"--{junk}"],
    ):
        unserved.fails(2, *words)
    assert unserved.files() == before


@pytest.mark.hostile("C01")
def test_flags_are_read_wherever_and_however_they_are_written(host: Terminal) -> None:
    host.run("send", "--json", "host", "one")
    host.run("send", "host", "--json", "two", "words")
    host.run("send", "host", "--text=three")
    host.run("send", "host", "--text", "--help")
    host.run("send", "host", "--", "--help", "-x", "--json")
    host.run("--insecure", "send", "--text", "no", "--text", "the last counts", "host")
    host.run("send", "host", "--client-msg-id=k.1", "once")
    host.run("send", "host", "--client-msg-id", "k.1", "once")
    assert texts(host.log()) == [
        "@host one",
        "@host two words",
        "@host three",
        "@host --help",
        "@host --help -x --json",
        "@host the last counts",
        "@host once",
    ]


@pytest.mark.hostile("C08")
def test_an_error_cannot_act_on_the_terminal(terminal: Terminal) -> None:
    err = terminal.fails(2, "--no\x1b[31mpe\u202e\x9b")
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert "\x9b" not in err
