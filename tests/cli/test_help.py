"""The help of every command: there, in both spellings, and printable on any terminal."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentgather.cli.help_text import HELP
from agentgather.cli.program import program
from tests.cli.outside.terminal import ROOT
from tests.cli.terminal import Terminal
from tests.test_docs import fault_in


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(program)), ids=" ".join)
def test_help_is_there(
    path: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag in ("-h", "--help"):
        assert Terminal(tmp_path).run(*path, flag).status == 0
        shown = capsys.readouterr().out
        assert shown.startswith(" ".join(["Usage: agentgather", *path]))
        # click writes it with the stream's own encoding, which may know nothing else.
        assert shown.isascii()


@pytest.mark.parametrize("path", list(commands(program)), ids=" ".join)
def test_what_help_names_exists(path: tuple[str, ...]) -> None:
    command: click.Command = program
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    text = command.help or ""
    named = re.findall(r"^  (?:[a-z ]+\| )?(agentgather .*?)(?:   .*)?$", text, re.MULTILINE)
    named += re.findall(r"`(agentgather [^`]*)`", text)
    for line in named:
        if "COMMAND" not in line:
            assert fault_in(shlex.split(line)) == "", line


def test_help_names_every_variable_that_the_program_reads() -> None:
    sources = [*ROOT.glob("agentgather/**/*.py"), *ROOT.glob("packaging/unpack/*.c")]
    named = set()
    for source in sources:
        named |= set(re.findall(r'"(AGENTGATHER_[A-Z_]+)"', source.read_text("utf-8")))
    assert len(named) > 3
    for variable in named:
        assert re.search(rf"^  {variable}  ", HELP, re.MULTILINE), variable
