"""What is in the built program: all that its commands need, from nowhere else."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from agentgather import __version__
from agentgather.cli.program import program as command_line
from tests.smoke.conftest import OpenMachine
from tests.smoke.machine import Machine

OF_GLIBC: Final = re.compile(
    r"(ld-linux\S*|lib(c|m|dl|pthread|rt|util|resolv|nss_\w+))([-.][\d.]+)?\.so[.\d]*"
)


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Give every command as the words that it takes."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*before, name)
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


def test_it_is_the_version_of_this_source(machine: Machine) -> None:
    assert machine.run("--version") == f"agentgather {__version__}\n"


def test_every_command_is_in_it(programs: dict[str, Path], open_machine: OpenMachine) -> None:
    """Each is a module that is imported when it is asked for, by a name in a table.

    One form has what the other has; this is the one that takes less time.
    """
    machine = open_machine(programs["folder"])
    known = list(commands(command_line))
    assert len(known) > 20
    for words in known:
        assert machine.run(*words, "--help").startswith(f"Usage: agentgather {' '.join(words)} ")


def test_it_runs_by_a_link_and_by_a_name_in_the_path(machine: Machine) -> None:
    (machine.folder / "tools" / "agentgather").symlink_to(machine.program)
    for script in ("agentgather --version", "../tools/agentgather --version"):
        assert machine.shell(script).stdout == f"agentgather {__version__}\n"


def test_its_files_are_those_that_were_built(machine: Machine) -> None:
    assert machine.run("doctor", "--verify").startswith("ok   program: ")


def test_a_changed_an_additional_and_a_missing_file_are_told(
    programs: dict[str, Path], open_machine: OpenMachine, tmp_path: Path
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(programs["folder"].parent, folder)
    machine = open_machine(folder / "agentgather")
    # The last of them is one that the check itself can do without.
    inside = folder / "_internal"
    (page,) = inside.glob("**/index.html")
    with page.open("a") as file:
        file.write("<!-- -->")
    (inside / "more").touch()
    (script,) = inside.glob("**/assets/main.js")
    script.unlink()
    done = machine.attempt("doctor", "--verify")
    assert done.returncode == 1
    for fault in (f"changed: {page}", f"additional: {inside / 'more'}", f"missing: {script}"):
        assert f"FAIL program: {fault}\n" in done.stdout


def test_nothing_of_this_machine_is_loaded_but_the_c_library(
    machine: Machine, programs: dict[str, Path]
) -> None:
    up = machine.start("up", "up", "review", "--port", "0")
    up.waits_to_say("is open at")
    maps = Path(f"/proc/{up.pid}/maps").read_text()
    files = {Path(found) for found in re.findall(r" (/\S+)$", maps, re.MULTILINE)}
    own = (programs["folder"].parent, machine.cache)
    others = [file for file in files if not any(file.is_relative_to(one) for one in own)]
    assert len(files) > len(others) > 0
    assert [file for file in others if not OF_GLIBC.fullmatch(file.name)] == []


def test_without_a_home_it_says_where_it_would_be(machine: Machine) -> None:
    """``HOME`` is not there, and nobody named another folder."""
    del machine.environment["AGENTGATHER_HOME"]
    assert re.search(r"^(warn|ok  ) home: /\S+/\.agentgather ", machine.run("doctor"), re.MULTILINE)


@pytest.mark.parametrize("words", [("broker", "serve", "--port", "0"), ("up", "--port", "0")])
def test_a_home_that_cannot_be_written_to_is_one_line(
    words: tuple[str, ...], programs: dict[str, Path], open_machine: OpenMachine
) -> None:
    machine = open_machine(programs["folder"])
    del machine.environment["AGENTGATHER_HOME"]
    machine.environment["HOME"] = "/proc/none"
    done = machine.attempt(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "/proc/none" in done.stderr
