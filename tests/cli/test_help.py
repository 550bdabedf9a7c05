"""The help of every command: there, in both spellings, and printable on any terminal."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentgather.cli.program import program
from tests.cli.terminal import Terminal


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
