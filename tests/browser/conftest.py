"""Chromium for all browser tests, a room for each, and guards over whoever visits."""

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import open_chromium
from tests.browser.room import Room
from tests.browser.visitor import Visitors

HERE: Final = Path(__file__).parent
OpenRoom = Callable[..., Room]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here, so that it can be run or left out: ``-m "not browser"``."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Ask the guards while everything still runs: what ends first makes errors of its own."""
    visitors = item.funcargs.get("visitors") if isinstance(item, pytest.Function) else None
    if visitors is None:
        return (yield)
    try:
        result = yield
    except BaseException as error:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", item.name)
        for line in [*visitors.faults(), *map(str, visitors.photograph(name))]:
            error.add_note(line)
        raise
    faults = visitors.faults()
    if faults:
        pytest.fail("the page did what it may not:\n" + "\n".join(faults), pytrace=False)
    return result


# For the package and not the session: while Playwright runs, asyncio counts as running in
# this thread, which is no matter for tests that come after this folder.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium. A test takes ``visitors`` instead."""
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    """Let people come: ``visitors.open(seat.link)``."""
    people = Visitors(browser)
    yield people
    people.close()


@pytest.fixture
def open_room(tmp_path: Path) -> Iterator[OpenRoom]:
    """Open rooms with the options of :class:`Room`."""
    rooms: list[Room] = []

    def open_one(**options: Any) -> Room:
        rooms.append(Room(tmp_path / f"host{len(rooms)}", **options))
        return rooms[-1]

    yield open_one
    for room in rooms:
        room.end()


@pytest.fixture
def room(open_room: OpenRoom) -> Room:
    """A room that is served as ``agentgather room serve`` does it."""
    return open_room()
