"""A broker's requests a minute are not used up."""

from trio.testing import MockClock

from agentgather.conformance.pace import MOST, WINDOW_SECONDS, Pace


async def test_who_asks_a_room_itself_is_never_held_up(autojump_clock: MockClock) -> None:
    pace = Pace(lambda _: None)
    began = autojump_clock.current_time()
    for _ in range(2 * MOST):
        await pace.take()
    assert autojump_clock.current_time() == began


async def test_through_a_broker_one_too_many_waits_for_its_minute(
    autojump_clock: MockClock,
) -> None:
    said: list[str] = []
    pace = Pace(said.append)
    pace.is_bound = True
    began = autojump_clock.current_time()
    for _ in range(MOST):
        await pace.take()
    assert (autojump_clock.current_time(), said) == (began, [])
    await pace.take()
    assert autojump_clock.current_time() == began + WINDOW_SECONDS
    assert len(said) == 1


async def test_room_for_many_is_made_before_they_are_asked(autojump_clock: MockClock) -> None:
    pace = Pace(lambda _: None)
    pace.is_bound = True
    for _ in range(MOST - 5):
        await pace.take()
    began = autojump_clock.current_time()
    await pace.make_room_for(5)
    assert autojump_clock.current_time() == began
    await pace.make_room_for(6)
    assert autojump_clock.current_time() == began + WINDOW_SECONDS
