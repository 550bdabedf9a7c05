"""What every test may use. Hypothesis finds the same examples on every run."""

import gc
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from agentgather.storage.home import Home
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import Table, make_home, open_table

# `--hypothesis-profile=search` looks further than a run of the whole suite may.
settings.register_profile("suite", deadline=None, max_examples=60, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=3_000, database=None)
# `make fuzz`: more than once is more than much at once.
settings.register_profile("fuzz", deadline=None, max_examples=150, database=None, print_blob=True)
settings.load_profile("suite")


@pytest.hookimpl
def pytest_configure() -> None:
    """Heed the signals that whoever started us ignores, as `nohup` and a shell's `&` do.

    A program of ours keeps to what it inherits, so its tests must not inherit that.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_break = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_break else signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put a module's own way to run trio before the one that `trio_mode` gives each test."""
    for item in items:
        if VIRTUAL_TIME.mark in item.iter_markers("trio"):
            item.add_marker(VIRTUAL_TIME, append=False)


@pytest.hookimpl
def pytest_collection_finish() -> None:
    """Keep the collector from walking thousands of tests: it would stop one for 0.2 s and more."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with an untouched room ``demo``."""
    return make_home(tmp_path / "home")


@pytest.fixture
async def table(home: Home) -> AsyncIterator[Table]:
    """The room ``demo``, live. Its tests run under ``VIRTUAL_TIME``."""
    async with open_table(home) as opened:
        yield opened


@pytest.fixture
async def real_table(home: Home) -> AsyncIterator[Table]:
    """The room ``demo``, live, in real time: for tests with sockets."""
    async with open_table(home, in_virtual_time=False) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB; skips where mounting is not allowed."""
    mounted = tmp_path / "disk"
    mounted.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)
