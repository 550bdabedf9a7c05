"""The shell of the documents' tests tells what a newcomer would see go wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import agentgather_commands, shape
from tests.docs.shell import Shell
from tests.end_to_end.terminal import eventually


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path / "scripts", tmp_path, tmp_path, {"PATH": os.environ["PATH"]})
    yield opened
    opened.kill()


def test_a_command_that_fails_in_the_middle_of_a_block_is_told(shell: Shell) -> None:
    with pytest.raises(AssertionError, match="a command failed; it said:\nbefore\n"):
        shell.run("echo before\nfalse\necho after\n")


def test_a_refusal_is_told_though_curl_is_content(shell: Shell) -> None:
    with pytest.raises(AssertionError, match="it was refused"):
        shell.run("""echo '{"ok":false,"error":"forbidden","message":"no"}'\n""")


def test_what_a_block_exports_is_there_in_the_next_and_in_other_terminals(
    shell: Shell, tmp_path: Path
) -> None:
    shell.run("mkdir here\ncd here\nexport WHO='it is me'\n")
    assert shell.run("echo $WHO; pwd\n").splitlines()[0] == "it is me"
    shell.open_terminal('echo "$WHO in $PWD" > ../.seen; mv ../.seen ../seen\n')
    eventually((tmp_path / "seen").exists)
    shell.end_terminals()
    assert (tmp_path / "seen").read_text() == f"it is me in {tmp_path}/here\n"


def test_a_terminal_whose_command_fails_is_told(shell: Shell, tmp_path: Path) -> None:
    shell.open_terminal("sh -c 'echo so it goes; exit 3'\n")
    eventually(lambda: any(file.read_text() for file in tmp_path.rglob("*.status")))
    with pytest.raises(AssertionError, match="so it goes"):
        shell.end_terminals()


def test_ctrl_c_ends_what_stays(shell: Shell) -> None:
    shell.open_terminal("sleep 1000\n")
    shell.end_terminals()


@pytest.mark.parametrize(
    ("expected", "said", "matches"),
    [
        ("a …c\n", "x\na b c\ny\n", True),
        ("a …c\n", "a b\nc\n", False),
        ("a\n…\nc\n", "a\nb\nb\nc\n", True),
        ("a\n…\nc\n", "a\nc\n", True),
        ("a\nc\n", "a\nb\nc\n", False),
    ],
)
def test_an_output_is_compared_in_shape(expected: str, said: str, matches: bool) -> None:
    assert (shape(expected).search(said) is not None) is matches


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("git diff | agentgather send rev -", [["agentgather", "send", "rev", "-"]]),
        (
            "A=b .venv/bin/agentgather up; agentgather -h",
            [["agentgather", "up"], ["agentgather", "-h"]],
        ),
        (
            "sudo -u who /opt/bin/agentgather broker serve > log",
            [["agentgather", "broker", "serve"]],
        ),
        ("ssh-keygen -n agentgather", []),
    ],
)
def test_commands_of_the_program_are_found(line: str, commands: list[list[str]]) -> None:
    assert list(agentgather_commands(line)) == commands
