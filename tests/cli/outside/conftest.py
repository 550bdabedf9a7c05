"""Terminals with a home of their own, and a room that a real server serves."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.outside.stub_server import StubServer
from tests.cli.outside.terminal import Served, Terminal


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    """Open terminals by the name of their home; all that runs in them ends with the test."""
    terminals: list[Terminal] = []

    def open_one(name: str) -> Terminal:
        terminals.append(Terminal(tmp_path / name))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def terminal(open_terminal: Callable[[str], Terminal]) -> Terminal:
    """A terminal whose home does not exist yet."""
    return open_terminal("home")


@pytest.fixture
def unserved(terminal: Terminal) -> Terminal:
    """The host of the room ``demo``, which no server serves."""
    # A port on which nobody listens: the first one is for those who may have it.
    terminal.run("room", "start", "demo", "--brief", "Goal: a demo.", "--url", "http://127.0.0.1:1")
    return terminal


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """The host of the room ``demo``, which a server serves for all tests of a module."""
    terminal = Terminal(tmp_path_factory.mktemp("served") / "home")
    terminal.run("room", "start", "demo", "--brief", "Goal: a demo.")
    terminal.serve()
    yield terminal
    terminal.close()


@pytest.fixture
def served(unserved: Terminal) -> Served:
    """A server of the room of ``unserved``, for one test."""
    return unserved.serve()


@pytest.fixture
def stub() -> Iterator[StubServer]:
    """A server that answers what the test tells it to."""
    with StubServer() as server:
        yield server


@pytest.fixture
def guest(open_terminal: Callable[[str], Terminal], stub: StubServer) -> Terminal:
    """A guest with a seat in a room that the stub plays."""
    terminal = open_terminal("guest")
    terminal.home.mkdir(mode=0o700)
    seat = {"roomId": "demo", "alias": "rev", "token": "agp_" + "r" * 43, "baseUrl": stub.url}
    (terminal.home / "current-room.json").write_text(json.dumps(seat))
    return terminal
