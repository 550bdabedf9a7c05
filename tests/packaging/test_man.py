"""The page of the manual has what the help has, and is sound roff."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentgather import __version__
from agentgather.cli.program import program
from tests.cli.outside.terminal import ROOT

# All that the page uses; a word of a text at the beginning of a line would be another one.
REQUESTS = {"TH", "SH", "SS", "PP", "TP", "B", "BR", "br", "nf", "fi", "nh", "ad"}
ESCAPES = r"\\(?:[-e&]|\((?:aq|dq|ha|ti)|f[BIR])"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("man") / "agentgather.1"
    command = [sys.executable, ROOT / "packaging" / "generate" / "man.py", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return file


def plain(page: Path) -> str:
    """Give the text of the page without its markup."""
    text = re.sub(r"\\f[BIR]|\\&", "", page.read_text("ascii"))
    for escape, character in ((r"\-", "-"), (r"\(aq", "'"), (r"\(dq", '"'), (r"\(ti", "~")):
        text = text.replace(escape, character)
    return text.replace(r"\(ha", "^").replace(r"\e", "\\")


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_every_command_has_its_section_with_all_its_options(page: Path) -> None:
    sections = dict(
        re.findall(
            r'^\.SS "(agentgather [a-z -]*[a-z])[^"\n]*"\n(.*?)(?=^\.S)', plain(page), re.M | re.S
        )
    )
    expected = dict(commands(program, "agentgather"))
    assert list(sections) == list(expected)
    for path, command in expected.items():
        options = [one for one in command.params if isinstance(one, click.Option)]
        for option in options:
            assert option.opts[0] in sections[path], (path, option.opts)
        words = " ".join((command.help or "").replace("\b", "").replace("`", "").split())
        shown = " ".join(re.sub(r"^\.\w+( |$)", "", sections[path], flags=re.M).split())
        assert words in shown, path


def test_the_sections_stand_in_their_usual_order(page: Path) -> None:
    assert re.findall(r"^\.SH (.*)$", page.read_text(), re.M) == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS"),
        *("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"),
    ]
    assert f"agentgather {__version__}" in page.read_text().splitlines()[0]


def test_no_text_is_taken_for_a_request(page: Path) -> None:
    for line in page.read_text("ascii").splitlines():
        assert not line.startswith("'"), line
        assert re.sub(ESCAPES, "", line).count("\\") == 0, line
        if line.startswith("."):
            name, _, rest = line[1:].partition(" ")
            assert name in REQUESTS, line
            assert rest.count('"') % 2 == 0, line


def test_what_is_to_be_copied_is_in_plain_characters(page: Path) -> None:
    # A bare one becomes a hyphen or a typographic quote, which no shell understands.
    assert not re.search(r"(?<!\\)-|['~^]", re.sub(r"\\\(..", "", page.read_text("ascii")))


def test_lines_that_stand_as_they_are_begin_and_end(page: Path) -> None:
    requests = re.findall(r"^\.(nf|fi)$", page.read_text(), re.M)
    assert requests == ["nf", "fi"] * (len(requests) // 2)


def test_it_is_the_same_each_time(page: Path, tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "packaging" / "generate" / "man.py", tmp_path / "again"]
    environment = {"PYTHONPATH": str(ROOT), "LC_ALL": "C", "COLUMNS": "40", "PYTHONHASHSEED": "1"}
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert (tmp_path / "again").read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        ["groff", "-man", "-ww", "-Tutf8", "-z"],
        ["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"],
        ["mandoc", "-T", "lint", "-W", "error"],
    ],
    ids=lambda command: command[0],
)
def test_formatters_find_no_fault_with_it(command: list[str], page: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([*command, page], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
