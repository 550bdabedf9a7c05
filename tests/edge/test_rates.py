"""Counting by slices: no burst of twice the limit, and who comes back when told is taken."""

from bisect import bisect_right
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.edge.rates import SLICES, CoarseWindow, SlidingWindow
from agentgather.wire.limits import MAX_RATE_KEYS

LIMIT = 10


def take(window: CoarseWindow | SlidingWindow, key: str, now: float) -> bool:
    if window.wait_seconds(key, now):
        return False
    window.record(key, now)
    return True


def test_the_limit_passes_and_one_more_does_not() -> None:
    window = CoarseWindow(LIMIT)
    assert [take(window, "a", 0.5) for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]
    assert take(window, "b", 0.5)


@pytest.mark.hostile("R01")
def test_there_is_no_burst_of_twice_the_limit_at_a_window_s_edge() -> None:
    window = CoarseWindow(LIMIT)
    assert all(take(window, "a", 59.9) for _ in range(LIMIT))
    assert window.wait_seconds("a", 60.1) == 60
    assert not take(window, "a", 119.89)
    assert take(window, "a", 121.0)


def test_after_a_pause_longer_than_the_window_all_is_forgotten() -> None:
    window = CoarseWindow(LIMIT)
    for now in (0.0, 1_000.0, 1_000_000.0):
        assert [take(window, "a", now) for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]


def test_a_window_of_an_hour_forgets_by_the_minute() -> None:
    window = CoarseWindow(2, 3600)
    assert take(window, "a", 10)
    assert take(window, "a", 1800)
    assert window.wait_seconds("a", 1801) == 3660 - 1801
    assert take(window, "a", 3660)
    assert not take(window, "a", 3661)


def test_an_event_that_was_not_allowed_counts_too() -> None:
    window = CoarseWindow(1)
    for _ in range(5):
        window.record("a", 1)
    assert window.wait_seconds("a", 2) == 60
    window.record("a", 30)
    assert window.wait_seconds("a", 62) == 29


@pytest.mark.hostile("K05")
def test_a_clock_that_stands_still_or_goes_back_is_no_error() -> None:
    window = CoarseWindow(LIMIT)
    assert take(window, "a", 100)
    assert take(window, "a", 50)
    assert take(window, "a", 100)


def test_keys_beyond_the_bound_push_out_the_longest_unused() -> None:
    window = CoarseWindow(1)
    for number in range(MAX_RATE_KEYS):
        window.record(str(number), 0)
    window.record("0", 0)
    window.record("new", 0)
    assert len(window) == MAX_RATE_KEYS
    assert window.wait_seconds("0", 0)
    assert window.wait_seconds("new", 0)
    assert not window.wait_seconds("1", 0)


def test_keys_of_the_past_go_as_new_ones_come() -> None:
    windows = CoarseWindow(LIMIT), SlidingWindow(LIMIT)
    for window in windows:
        for number in range(1000):
            window.record(str(number), 0)
        window.record("busy", 0)
        window.record("busy", 50)
        for number in range(400):
            window.record(f"later {number}", 62)
        assert len(window) == 201 + 400
        for number in range(200):
            window.record(f"last {number}", 62)
        assert len(window) == 1 + 600
        assert [take(window, "busy", 62) for _ in range(LIMIT)] == [True] * (LIMIT - 1) + [False]


@given(
    st.integers(1, 12),
    st.sampled_from([60.0, 7.0, 3600.0]),
    st.lists(st.floats(0, 1.5), min_size=1, max_size=120),
)
def test_no_stretch_of_the_window_s_length_has_more_than_the_limit(
    limit: int, seconds: float, gaps: list[float]
) -> None:
    window = CoarseWindow(limit, seconds)
    now, taken = 0.0, []
    for gap in gaps:
        now += gap * seconds / limit
        wait = window.wait_seconds("a", now)
        if wait:
            # A slice, and what a whole second and the arithmetic add.
            assert wait <= seconds + seconds / SLICES + 2
            # A look at the future would forget what is past by then.
            assert deepcopy(window).wait_seconds("a", now + wait + 1e-6) == 0
        else:
            window.record("a", now)
            taken.append(now)
    for at, moment in enumerate(taken):
        assert bisect_right(taken, moment + seconds * (1 - 1e-9)) - at <= limit
