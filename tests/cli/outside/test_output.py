"""Output that nobody reads, that cannot be written, or that cannot show every character."""

import json
import subprocess

import pytest

from tests.cli.outside.terminal import AGENTGATHER, ROOT, Terminal, check_stderr

HOSTILE = "esc \x1b[2J bidi \u202eabc tag \U000e0041 cr \rfake c1 \x9b31m nul \x00 zw \u200b end"
RAW = "\x1b\u202e\U000e0041\r\x9b\x00\u200b"


@pytest.fixture(scope="module", autouse=True)
def said(host: Terminal) -> None:
    host.run("send", "host", "-", stdin=HOSTILE.encode())
    host.run("send", "host", "first line\n9 2020-01-01T00:00:00.000Z host: forged")
    host.run("send", "host", "snow ☃ und grüße 😀")
    for number in range(30):
        host.run("send", "host", f"{number} " + "x" * 20_000) if number < 5 else None


def in_shell(host: Terminal, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in which ``agentgather`` is ours."""
    quoted = " ".join(f"'{word}'" for word in AGENTGATHER)
    done = subprocess.run(
        ["bash", "-c", f'agentgather() {{ {quoted} "$@"; }}; {script}'],
        env=host.environment | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=20,
    )
    check_stderr(done.stderr)
    return done


@pytest.mark.hostile("U05", "C08")
def test_what_acts_on_a_terminal_is_made_visible(host: Terminal) -> None:
    for command in (["messages"], ["read", "--since", "0"], ["watch", "--since", "0"]):
        out = host.run(*command)
        assert [character for character in RAW if character in out] == []
        assert "\\x1b[2J" in out
        assert "\\u202e" in out


def test_json_carries_every_character_and_shows_none_that_acts(host: Terminal) -> None:
    out = host.run("messages", "--json")
    assert [character for character in RAW if character in out] == []
    assert json.loads(out.splitlines()[0])["text"] == "@host " + HOSTILE


@pytest.mark.hostile("C08")
def test_each_line_of_a_message_has_its_own_prefix(host: Terminal) -> None:
    second = host.log()[1]
    lines = host.run("messages", "--since", "1", "--limit", "1").splitlines()
    prefix = f"2 {second['ts']} host: "
    assert lines == [
        prefix + "@host first line",
        prefix + "9 2020-01-01T00:00:00.000Z host: forged",
    ]


@pytest.mark.hostile("C08")
@pytest.mark.parametrize("words", ["messages", "messages --json", "attend --since 0"])
def test_a_reader_that_has_enough_is_no_error(words: str, host: Terminal) -> None:
    done = in_shell(host, f"agentgather {words} | head -1; exit ${{PIPESTATUS[0]}}")
    assert done.returncode in (0, 141)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.hostile("C08")
def test_a_closed_output_makes_no_traceback(host: Terminal) -> None:
    assert in_shell(host, "agentgather messages >&-").stderr.count("\n") <= 1
    assert in_shell(host, "agentgather --version >&-").stderr.count("\n") <= 1
    assert in_shell(host, "agentgather --help >&-").stderr.count("\n") <= 1
    assert in_shell(host, "agentgather send nobody! x 2>&-").returncode == 2
    assert in_shell(host, "agentgather messages >&- 2>&- <&-").stderr == ""


@pytest.mark.hostile("C08")
def test_a_full_disk_behind_the_output_is_one_plain_line(host: Terminal) -> None:
    for command in ("messages", "messages --json", "room status", "export --output -", "doctor"):
        done = in_shell(host, f"agentgather {command} > /dev/full")
        assert done.returncode == 1, command
        assert done.stderr.count("\n") == 1, done.stderr
        assert "No space left on device" in done.stderr


@pytest.mark.hostile("C09")
def test_nothing_counts_as_read_that_was_not_written(host: Terminal) -> None:
    cursor = host.home / "rooms" / "demo" / "cursors" / "host.json"
    cursor.unlink(missing_ok=True)
    in_shell(host, "agentgather read > /dev/full")
    in_shell(host, "agentgather read >&-")
    in_shell(host, "agentgather watch > /dev/full")
    in_shell(host, "agentgather attend >&-")
    assert not cursor.exists()


@pytest.mark.hostile("C08")
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
    ids=["C", "plain C", "ascii", "latin-1"],
)
def test_what_the_output_cannot_show_is_escaped(
    environment: dict[str, str], host: Terminal
) -> None:
    done = host.try_("messages", "--since", "2", "--limit", "1", **environment)
    assert done.status == 0
    assert "snow ☃" in done.out or "snow \\u2603" in done.out
    done = host.try_("messages", "--since", "2", "--limit", "1", "--json", **environment)
    assert json.loads(done.out)["text"] == "@host snow ☃ und grüße 😀"
    assert host.try_("send", "☃", "x", **environment).status == 2
