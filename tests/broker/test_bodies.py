"""Request bodies on their way to a host: whole, in time, and not too many bytes at once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.broker.bodies import BodyBudget
from agentgather.edge.bodies import ClientLeft
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import BODY_SECONDS, MAX_BODY_BYTES, MAX_ROUTE_BODY_BYTES

CHUNKED = {b"transfer-encoding": b"chunked"}
MANY = MAX_ROUTE_BODY_BYTES // MAX_BODY_BYTES

Receive = Callable[[], Awaitable[Any]]


def sending(*pieces: bytes) -> Receive:
    """Send pieces, the last of which is the end."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


async def leaving() -> dict[str, Any]:
    await trio.lowlevel.checkpoint()
    return {"type": "http.disconnect"}


async def dawdling() -> dict[str, Any]:
    await trio.sleep(5)
    return {"type": "http.request", "body": b"x", "more_body": True}


async def read(
    budget: BodyBudget, receive: Receive, *, is_stranger: bool = False, **headers: bytes
) -> bytes:
    fields = {name.replace("_", "-").encode(): value for name, value in headers.items()} or CHUNKED
    async with budget.read(fields, receive, is_stranger=is_stranger) as body:
        return body


@asynccontextmanager
async def held(budget: BodyBudget, count: int, *, is_stranger: bool = False) -> AsyncIterator[None]:
    """Hold so many bodies that are as long as a body may be."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            body = sending(b"x" * MAX_BODY_BYTES)
            await stack.enter_async_context(budget.read(CHUNKED, body, is_stranger=is_stranger))
        yield


async def test_a_body_is_given_whole() -> None:
    assert await read(BodyBudget(), sending(b"a", b"", b"bc")) == b"abc"


@pytest.mark.parametrize(("over", "is_good"), [(0, True), (1, False)])
async def test_a_body_has_at_most_64_kib_whether_announced_or_not(over: int, is_good: bool) -> None:
    data = b"x" * (MAX_BODY_BYTES + over)
    pieces = (data[:1000], data[1000:])
    for headers in ({"content_length": b"%d" % len(data)}, {"transfer_encoding": b"chunked"}):
        if is_good:
            assert await read(BodyBudget(), sending(*pieces), **headers) == data
        else:
            with pytest.raises(Rejected) as caught:
                await read(BodyBudget(), sending(*pieces), **headers)
            assert caught.value.code == "request_too_large"


async def test_an_announced_length_that_is_too_much_is_not_even_read() -> None:
    async def never() -> Any:
        raise AssertionError("read")

    with pytest.raises(Rejected, match="request_too_large"):
        await read(BodyBudget(), never, content_length=b"%d" % (MAX_BODY_BYTES + 1))


@pytest.mark.hostile("R10")
async def test_who_comes_when_all_bytes_are_used_waits_and_is_not_read() -> None:
    budget = BodyBudget()
    got: list[bytes] = []

    async def late() -> None:
        got.append(await read(budget, sending(b"late"), content_length=b"4"))

    async with trio.open_nursery() as nursery:
        async with held(budget, MANY):
            for _ in range(3):
                nursery.start_soon(late)
            await wait_all_tasks_blocked()
            assert got == []
        await wait_all_tasks_blocked()
        assert got == [b"late"] * 3
    assert budget.bytes == 0


async def test_halves_never_wait_for_each_other(autojump_clock: MockClock) -> None:
    """256 bodies that all come a piece at a time: all are whole, and none is too late."""
    budget = BodyBudget()
    most = 0

    def slowly(count: int) -> Receive:
        left = count

        async def receive() -> Any:
            nonlocal left, most
            await trio.sleep(0.01)
            left -= 1
            most = max(most, budget.bytes)
            return {"type": "http.request", "body": b"x" * 8192, "more_body": left > 0}

        return receive

    async with trio.open_nursery() as nursery:
        for _ in range(256):
            nursery.start_soon(read, budget, slowly(8))
    assert most == MAX_ROUTE_BODY_BYTES
    assert budget.bytes == 0


@pytest.mark.hostile("R10")
async def test_strangers_leave_half_of_it_to_participants() -> None:
    budget = BodyBudget()
    async with held(budget, MANY // 2, is_stranger=True), trio.open_nursery() as nursery:
        nursery.start_soon(partial(read, budget, sending(b"x"), is_stranger=True))
        await wait_all_tasks_blocked()
        assert budget.of_strangers == MAX_ROUTE_BODY_BYTES // 2
        assert await read(budget, sending(b"ada")) == b"ada"
        assert len(nursery.child_tasks) == 1
        nursery.cancel_scope.cancel()
    assert (budget.bytes, budget.of_strangers) == (0, 0)


async def test_whoever_waits_for_room_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    budget = BodyBudget()
    async with held(budget, MANY):
        with pytest.raises(Unavailable, match="route_request_limit"):
            await read(budget, sending(b"late"))
    assert trio.current_time() == pytest.approx(BODY_SECONDS)
    assert await read(budget, sending(b"now")) == b"now"


@pytest.mark.parametrize(
    ("receive", "error"), [(leaving, ClientLeft), (dawdling, Rejected)], ids=["leaves", "dawdles"]
)
async def test_a_body_that_does_not_come_gives_its_bytes_back(
    receive: Receive, error: type[Exception], autojump_clock: MockClock
) -> None:
    budget = BodyBudget()
    with pytest.raises(error):
        await read(budget, receive, is_stranger=True)
    assert (budget.bytes, budget.of_strangers) == (0, 0)


async def test_cancelled_half_way_it_gives_its_bytes_back() -> None:
    budget = BodyBudget()

    async def never() -> dict[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(read, budget, never, content_length=b"1000"))
        await wait_all_tasks_blocked()
        assert budget.bytes == 1000
        nursery.cancel_scope.cancel()
    assert budget.bytes == 0


async def test_an_encoded_body_is_refused_before_it_is_read() -> None:
    budget = BodyBudget()
    with pytest.raises(Rejected) as refused:
        await read(budget, leaving, content_encoding=b"gzip", content_length=b"5")
    assert refused.value.code == "unsupported_media_type"
    assert budget.bytes == 0
