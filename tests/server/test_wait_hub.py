"""Who is woken, and when."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.server.wait_hub import WaitHub
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import MAX_WAITS, WAKE_BATCH


@pytest.fixture
async def hub(nursery: trio.Nursery) -> AsyncIterator[WaitHub]:
    hub = WaitHub()
    nursery.start_soon(hub.run)
    yield hub
    nursery.cancel_scope.cancel()


class Sleeper:
    """One held wait."""

    def __init__(self, hub: WaitHub, alias: str, *, for_me: bool = False) -> None:
        self.hub = hub
        self.alias = alias
        self.for_me = for_me
        self.woken_at: float | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.hub.seat(self.alias, for_me=self.for_me) as waiter:
            with trio.CancelScope() as waiter.scope:
                task_status.started()
                await trio.sleep_forever()
            self.woken_at = trio.current_time()


async def sleepers(nursery: trio.Nursery, hub: WaitHub, *names: str) -> list[Sleeper]:
    """Start sleepers; a name with a star waits only for what concerns it."""
    found = [Sleeper(hub, name.rstrip("*"), for_me=name.endswith("*")) for name in names]
    for sleeper in found:
        await nursery.start(sleeper.run)
    return found


def woken(found: list[Sleeper]) -> list[str]:
    return [
        sleeper.alias + "*" * sleeper.for_me for sleeper in found if sleeper.woken_at is not None
    ]


NAMES = ("ada", "ada*", "rev", "rev*", "bo*")


@pytest.mark.parametrize(
    ("aliases", "everybody", "expected"),
    [
        ((), False, ["ada", "rev"]),
        (("rev",), False, ["ada", "rev", "rev*"]),
        (("rev", "bo", "nobody"), False, ["ada", "rev", "rev*", "bo*"]),
        ((), True, list(NAMES)),
    ],
)
async def test_news_wakes_those_whom_it_concerns(
    hub: WaitHub,
    nursery: trio.Nursery,
    aliases: tuple[str, ...],
    expected: list[str],
    *,
    everybody: bool,
) -> None:
    found = await sleepers(nursery, hub, *NAMES)
    hub.publish(aliases, everybody=everybody)
    await wait_all_tasks_blocked()
    assert woken(found) == expected
    assert len(hub) == len(NAMES) - len(expected)


async def test_a_kick_wakes_every_wait_of_one_seat(hub: WaitHub, nursery: trio.Nursery) -> None:
    found = await sleepers(nursery, hub, *NAMES, "rev", "rev*")
    hub.kick("rev")
    await wait_all_tasks_blocked()
    assert woken(found) == ["rev", "rev*", "rev", "rev*"]


async def test_release_wakes_everybody(hub: WaitHub, nursery: trio.Nursery) -> None:
    found = await sleepers(nursery, hub, *NAMES)
    hub.release()
    await wait_all_tasks_blocked()
    assert woken(found) == list(NAMES)
    assert hub.released


async def test_a_bystander_has_its_turns_while_many_are_woken(
    hub: WaitHub, nursery: trio.Nursery
) -> None:
    count = WAKE_BATCH * 20
    found = await sleepers(nursery, hub, *(["ada"] * count))
    awake_at_each_turn: list[int] = []

    async def stand_by() -> None:
        while len(hub):
            awake_at_each_turn.append(count - len(hub))
            await trio.lowlevel.checkpoint()

    hub.publish((), everybody=False)
    with trio.fail_after(10):
        await stand_by()
    steps = [after - before for before, after in pairwise(awake_at_each_turn)]
    assert max(steps) <= 2 * WAKE_BATCH
    assert len(awake_at_each_turn) >= 10
    assert len(woken(found)) == count


async def test_who_leaves_between_being_woken_and_waking_harms_nobody(
    hub: WaitHub, nursery: trio.Nursery
) -> None:
    async with trio.open_nursery() as leaving:
        await sleepers(leaving, hub, "ada", "ada*")
        hub.publish(("ada",), everybody=False)
        leaving.cancel_scope.cancel()
    found = await sleepers(nursery, hub, "ada")
    await wait_all_tasks_blocked()
    assert woken(found) == []
    hub.publish((), everybody=False)
    await wait_all_tasks_blocked()
    assert woken(found) == ["ada"]
    assert len(hub) == 0


@pytest.mark.hostile("R07")
async def test_a_room_holds_so_many_waits_and_refuses_the_next(hub: WaitHub) -> None:
    hub._count = MAX_WAITS - 1
    with hub.seat("ada"):
        with pytest.raises(Unavailable, match="overloaded"), hub.seat("ada"):
            pass
        assert len(hub) == MAX_WAITS
    with hub.seat("ada"):
        pass


async def test_a_stream_that_was_woken_sleeps_again_when_it_is_rearmed(
    hub: WaitHub, autojump_clock: MockClock
) -> None:
    with hub.seat("ada", for_me=True) as waiter:
        for _ in range(3):
            hub.rearm(waiter)
            hub.publish(("ada",), everybody=False)
            with trio.move_on_after(10) as waiter.scope:
                await trio.sleep_forever()
            assert waiter.woken
        hub.rearm(waiter)
        started = trio.current_time()
        with trio.move_on_after(10) as waiter.scope:
            await trio.sleep_forever()
        assert not waiter.woken
        assert trio.current_time() - started == 10
    assert len(hub) == 0
