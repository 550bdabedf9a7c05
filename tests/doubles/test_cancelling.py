"""The cuts reach every checkpoint: whatever leaks at one of them is found, and says where."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.doubles.cancelling import Cut, cut_everywhere

CHECKPOINTS = 5


class World:
    """What the operations here change. Each of them leaves it as it was, or is broken."""

    def __init__(self) -> None:
        self.taken = 0


Operation = Callable[[World], Awaitable[None]]


async def pause(times: int = 1) -> None:
    for _ in range(times):
        await trio.lowlevel.checkpoint()


async def holds(operation: Operation, *, at_least: int = 1) -> int:
    async def once(cut: Cut) -> None:
        world = World()
        await cut.run(lambda: operation(world))
        assert world.taken == 0

    return await cut_everywhere(once, at_least=at_least)


async def note_of(operation: Operation) -> str:
    """Give where a broken operation was found to be so."""
    with pytest.raises(AssertionError) as caught:
        await holds(operation)
    (note,) = caught.value.__notes__
    return note


def leaks_at(number: int) -> Operation:
    """Give an operation that takes something for the length of one checkpoint."""

    async def operation(world: World) -> None:
        await pause(number - 1)
        world.taken += 1
        await pause()
        world.taken -= 1
        await pause(CHECKPOINTS - number)

    return operation


@pytest.mark.parametrize("number", range(1, CHECKPOINTS + 1))
async def test_a_leak_at_any_checkpoint_is_found(number: int) -> None:
    note = await note_of(leaks_at(number))
    # What is taken before the first checkpoint is taken as it begins.
    assert note == "cut 1: as it begins" if number == 1 else "test_cancelling.py" in note


async def test_an_operation_that_gives_back_what_it_took_is_cut_at_each_step() -> None:
    async def operation(world: World) -> None:
        world.taken += 1
        try:
            await pause(CHECKPOINTS)
        finally:
            world.taken -= 1

    # As it begins, and twice at each checkpoint.
    assert await holds(operation) == 1 + 2 * CHECKPOINTS


async def test_a_leak_in_a_task_of_the_operation_is_found() -> None:
    async def operation(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leaks_at(2), world)
            await pause(CHECKPOINTS)

    assert "test_cancelling.py" in await note_of(operation)


async def test_what_is_lost_only_by_a_cancellation_after_a_wait_is_found() -> None:
    """As with a thread: once it has begun it goes on to its end, and nothing is lost."""

    async def came() -> None:
        event = trio.Event()
        trio.lowlevel.current_trio_token().run_sync_soon(event.set)
        await event.wait()

    async def job() -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        task = trio.lowlevel.current_task()
        trio.lowlevel.current_trio_token().run_sync_soon(trio.lowlevel.reschedule, task)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    async def operation(world: World) -> None:
        await came()
        world.taken += 1
        await job()
        world.taken -= 1

    assert "as it goes on from" in await note_of(operation)


async def test_it_is_cut_between_the_steps_of_others_too() -> None:
    places: list[str] = []

    async def once(cut: Cut) -> None:
        go, done = trio.Event(), trio.Event()

        async def other() -> None:
            await go.wait()
            await pause(CHECKPOINTS)
            done.set()

        async def operation() -> None:
            go.set()
            await done.wait()

        async with trio.open_nursery() as others:
            others.start_soon(other)
            await pause()
            await cut.run(operation, beside=others)
            go.set()
        places.append(cut.where)

    await cut_everywhere(once, at_least=3 + CHECKPOINTS)
    assert sum("while others act" in place for place in places) > CHECKPOINTS


async def test_the_worlds_differ_by_the_cut_alone() -> None:
    orders: set[str] = set()

    async def once(cut: Cut) -> None:
        order: list[str] = []

        async def one(name: str) -> None:
            for _ in range(3):
                order.append(name)
                await pause()

        async with trio.open_nursery() as others:
            for name in "abcdef":
                others.start_soon(one, name)
        await cut.run(pause)
        orders.add("".join(order))

    await cut_everywhere(once, at_least=2)
    assert len(orders) == 1


async def test_an_operation_with_fewer_checkpoints_than_is_said_fails() -> None:
    with pytest.raises(AssertionError, match="3 cuts, and not 5"):
        await holds(lambda _world: pause(), at_least=5)


async def test_an_operation_that_is_not_run_fails() -> None:
    async def once(cut: Cut) -> None:
        await pause()

    with pytest.raises(AssertionError, match="was not run"):
        await cut_everywhere(once, at_least=1)


async def test_what_the_operation_gives_is_kept() -> None:
    results: list[object] = []

    async def once(cut: Cut) -> None:
        async def operation() -> str:
            await pause()
            return "done"

        await cut.run(operation)
        results.append(cut.result)

    await cut_everywhere(once, at_least=3)
    assert results == [None, None, None, "done"]
