"""Places and homes that the tests of the command line share."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.outside.terminal import Terminal


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else can have it, and at which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Terminal]:
    """The host of a room that nobody serves yet."""
    terminal = Terminal(tmp_path / "home")
    # Where nobody listens: at the URL of its own some other room may be served on this machine.
    terminal.run("room", "start", "demo", "--brief", "Goal.", "--url", "http://127.0.0.1:1")
    yield terminal
    terminal.close()
