"""A service manager hears when a service is ready, that it goes on, and that it stops."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from agentgather.cli.service_manager import ServiceManager


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def environment(listener: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": listener.getsockname(), **more}


def all_of(listener: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(listener.recv(4096))
    except BlockingIOError:
        return found


async def test_it_is_told_in_the_order_of_what_happens(heard: socket.socket) -> None:
    with ServiceManager(environment(heard)) as manager:
        await manager.tell("READY=1")
        await manager.tell("STOPPING=1")
    assert all_of(heard) == [b"READY=1", b"STOPPING=1"]


async def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"agentgather-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.setblocking(False)
        with ServiceManager({"NOTIFY_SOCKET": f"@{name}"}) as manager:
            await manager.tell("READY=1")
        assert all_of(listener) == [b"READY=1"]


@pytest.mark.parametrize("address", ["", "vsock:2:99", "notify"])
async def test_where_nobody_asks_nobody_is_told(address: str) -> None:
    with ServiceManager({"NOTIFY_SOCKET": address}) as manager:
        await manager.tell("READY=1")


async def test_one_that_is_gone_is_no_reason_to_stop(heard: socket.socket) -> None:
    with ServiceManager(environment(heard)) as manager:
        await trio.Path(heard.getsockname()).unlink()
        await manager.tell("READY=1")


async def test_one_that_does_not_read_holds_nothing_up(
    heard: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    with ServiceManager(environment(heard)) as manager:
        for _ in range(2000):
            with trio.move_on_after(1) as full:
                await manager.tell("WATCHDOG=1")
            if full.cancelled_caught:
                break
        else:
            pytest.fail("it takes no end of messages")
        before = trio.current_time()
        await manager.tell("STOPPING=1")
        assert trio.current_time() - before == pytest.approx(5)


async def test_a_watchdog_hears_twice_in_its_time_that_the_loop_goes_round(
    heard: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    given = environment(heard, WATCHDOG_USEC="60000000", WATCHDOG_PID=str(os.getpid()))
    with ServiceManager(given) as manager, trio.move_on_after(100):
        await manager.feed_watchdog()
    assert all_of(heard) == [b"WATCHDOG=1"] * 4


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
    ],
)
async def test_a_watchdog_that_is_not_there_or_of_another_process_hears_nothing(
    heard: socket.socket, more: dict[str, str]
) -> None:
    with ServiceManager(environment(heard, **more)) as manager:
        await manager.feed_watchdog()
    assert all_of(heard) == []
