import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.guards import LoopGuard
from agentgather.wire.limits import LOOP_GUARD_DECAY_SECONDS, LOOP_GUARD_POSTS

MINUTE_MS = LOOP_GUARD_DECAY_SECONDS * 1000
NOW = 1_700_000_000_000


def full_guard() -> LoopGuard:
    guard = LoopGuard()
    for _ in range(LOOP_GUARD_POSTS):
        assert guard.wait_seconds(NOW) == 0
        guard.agent_posted(NOW)
    return guard


def test_thirty_posts_in_a_row_pass_and_the_next_waits() -> None:
    guard = full_guard()
    assert guard.remaining(NOW) == 0
    assert guard.wait_seconds(NOW) == LOOP_GUARD_DECAY_SECONDS


def test_a_reset_lets_thirty_more_pass() -> None:
    guard = full_guard()
    guard.reset()
    assert guard.remaining(NOW) == LOOP_GUARD_POSTS
    assert guard.wait_seconds(NOW) == 0


def test_each_full_minute_without_a_post_takes_one_off() -> None:
    guard = full_guard()
    assert guard.remaining(NOW + MINUTE_MS - 1) == 0
    assert guard.remaining(NOW + MINUTE_MS) == 1
    assert guard.remaining(NOW + 5 * MINUTE_MS) == 5
    assert guard.remaining(NOW + 999 * MINUTE_MS) == LOOP_GUARD_POSTS


def test_a_full_guard_says_in_how_many_whole_seconds_it_opens() -> None:
    guard = full_guard()
    assert guard.wait_seconds(NOW + 1) == 60
    assert guard.wait_seconds(NOW + 500) == 60
    assert guard.wait_seconds(NOW + 1_000) == 59
    assert guard.wait_seconds(NOW + MINUTE_MS - 1) == 1
    assert guard.wait_seconds(NOW + MINUTE_MS) == 0


def test_a_refused_post_changes_nothing() -> None:
    guard = full_guard()
    before = guard.snapshot()
    for _ in range(100):
        guard.wait_seconds(NOW + 30_000)
    assert guard.snapshot() == before


@pytest.mark.hostile("R02")
def test_agents_alone_go_on_at_one_post_a_minute() -> None:
    guard = full_guard()
    now = NOW
    for _ in range(10):
        assert guard.wait_seconds(now) == LOOP_GUARD_DECAY_SECONDS
        now += MINUTE_MS
        assert guard.wait_seconds(now) == 0
        guard.agent_posted(now)


@pytest.mark.hostile("R02", "K05")
@pytest.mark.parametrize("step_ms", [3_600_000, NOW])
def test_a_clock_that_is_set_back_does_not_lock_agents_out(step_ms: int) -> None:
    guard = full_guard()
    now = NOW - step_ms
    assert guard.wait_seconds(now) == LOOP_GUARD_DECAY_SECONDS
    # A minute is a minute, whatever the clock says now.
    assert guard.wait_seconds(now + MINUTE_MS) == 0


def test_a_restored_guard_is_as_it_was() -> None:
    guard = full_guard()
    snapshot = guard.snapshot()
    guard.reset()
    guard.agent_posted(NOW + 5)
    guard.restore(snapshot)
    assert guard.wait_seconds(NOW) == LOOP_GUARD_DECAY_SECONDS


@given(st.lists(st.tuples(st.sampled_from(["agent", "person"]), st.integers(-90_000, 200_000))))
def test_what_is_left_and_how_long_to_wait_never_disagree(
    steps: list[tuple[str, int]],
) -> None:
    guard = LoopGuard()
    now = NOW
    for who, later_ms in steps:
        now += later_ms
        remaining = guard.remaining(now)
        assert 0 <= remaining <= LOOP_GUARD_POSTS
        seconds = guard.wait_seconds(now)
        assert (seconds == 0) == (remaining > 0)
        assert 0 <= seconds <= LOOP_GUARD_DECAY_SECONDS
        if seconds == 0:
            guard.agent_posted(now) if who == "agent" else guard.reset()
            assert guard.remaining(now) >= (remaining - 1 if who == "agent" else LOOP_GUARD_POSTS)
