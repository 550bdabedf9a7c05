"""What a command imports is what its user waits for."""

import subprocess
import sys

import pytest

from tests.cli.outside.terminal import ROOT, Terminal

HEAVY = ("trio", "quart", "hypercorn", "click", "asyncio", "ssl", "click.shell_completion")


def imported(host: Terminal, *arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agentgather", *arguments],
        env=host.environment | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    packages = {name.partition(".")[0] for name in names}
    return [name for name in HEAVY if name in names | packages]


def test_the_version_is_said_at_once(host: Terminal) -> None:
    assert imported(host, "--version") == []


@pytest.mark.parametrize(
    "words", ["send host hi", "messages", "room status", "doctor", "room invite rev"]
)
def test_with_a_server_the_command_line_needs_no_server_of_its_own(
    words: str, host: Terminal
) -> None:
    found = imported(host, *words.split())
    assert [name for name in found if name in ("trio", "quart", "hypercorn", "asyncio")] == []


@pytest.mark.parametrize("words", ["send host hi", "messages", "--help"])
def test_who_presses_no_tab_waits_for_none(words: str, host: Terminal) -> None:
    assert "click.shell_completion" not in imported(host, *words.split())


def test_help_imports_no_command(host: Terminal) -> None:
    found = imported(host, "--help")
    assert [name for name in found if name in ("trio", "quart", "hypercorn", "asyncio")] == []


@pytest.mark.parametrize(
    "words", ["se", "send re", "room serve --po", "up --tunnel", "broker ", "conformance --"]
)
def test_a_tab_needs_no_server(words: str, host: Terminal) -> None:
    typed = ["agentgather", *words.split(" ")]
    found = imported(
        host,
        _AGENTGATHER_COMPLETE="bash_complete",
        COMP_WORDS="\n".join(typed),
        COMP_CWORD=str(len(typed) - 1),
    )
    assert [name for name in found if name in ("trio", "quart", "hypercorn", "asyncio")] == []
