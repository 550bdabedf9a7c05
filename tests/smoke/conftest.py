"""The two forms of the built program, and a machine with each."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import open_chromium
from tests.end_to_end.public.ports import ReservedPort
from tests.smoke.machine import Machine
from tests.smoke.mounts import READ_ONLY, TRIED_LAST, why_no_mounts

FORMS: Final = ("file", "folder")

OpenMachine = Callable[..., Machine]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the single file; the tarball lies beside it. Without them there is nothing to try."""
    parser.addoption(
        "--built", type=Path, required=True, metavar="FILE", help="dist/agentgather-…, see `make`"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Stop where a form is missing, before a test can pass without it."""
    for path in (built_file(config), tarball_of(built_file(config))):
        if not path.is_file():
            raise pytest.UsageError(f"{path} is not there; `make smoke` builds it")


def built_file(config: pytest.Config) -> Path:
    path: Path = config.getoption("--built")
    return path.resolve()


def tarball_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.tar.gz")


@pytest.fixture(scope="session")
def single_file(pytestconfig: pytest.Config) -> Path:
    """The single file. It unpacks where its machine lets it."""
    return built_file(pytestconfig)


@pytest.fixture(scope="session")
def programs(single_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is run, by form; the folder is unpacked as a user does it."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "-xzf", tarball_of(single_file), "-C", folder], check=True)
    (program,) = folder.glob("*/agentgather")
    return {"file": single_file, "folder": program}


@pytest.fixture
def open_machine(tmp_path: Path) -> Iterator[OpenMachine]:
    """Open machines with the options of :class:`Machine`."""
    machines: list[Machine] = []

    def open_one(program: Path, **options: Any) -> Machine:
        machines.append(Machine(tmp_path / f"machine{len(machines)}", program, **options))
        return machines[-1]

    yield open_one
    for machine in machines:
        machine.end()


@pytest.fixture(params=FORMS)
def program(request: pytest.FixtureRequest, programs: dict[str, Path]) -> Path:
    """The built program: each test runs with both forms."""
    return programs[request.param]


@pytest.fixture
def machine(program: Path, open_machine: OpenMachine) -> Machine:
    """A machine on which a user may write wherever users may."""
    return open_machine(program)


@pytest.fixture(params=["as it is", "read-only"])
def any_machine(
    request: pytest.FixtureRequest, program: Path, open_machine: OpenMachine
) -> Machine:
    """The same; and one whose disks are read-only, but for the user's one folder."""
    if request.param == "as it is":
        return open_machine(program)
    require_mounts()
    machine = open_machine(program, mounts=READ_ONLY)
    for folder in ("/", *TRIED_LAST):
        assert "Read-only" in machine.shell(f"touch {folder}/agentgather-was-here").stderr
    return machine


def require_mounts() -> None:
    """Skip what needs file systems of its own, and say so, where the kernel allows none."""
    if reason := why_no_mounts():
        pytest.skip(f"NOT TRIED, this machine allows no mounts: {reason}")


@pytest.fixture
def port() -> Iterator[int]:
    """A port that stays the same over a restart."""
    with ReservedPort() as number:
        yield number


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, from the tests' own environment: it is somebody else's machine."""
    with open_chromium() as chromium:
        yield chromium
