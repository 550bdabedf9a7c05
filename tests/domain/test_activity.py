"""The picture of a room over time, and the spans of attendance."""

import pytest

from agentgather.domain.activity import BUCKETS_MS, Activity, Picture, choose_bucket_ms
from agentgather.domain.spans import Spans
from agentgather.domain.text import Moment
from agentgather.wire.limits import (
    ACTIVITY_SLICE,
    MAX_ACTIVITY_BUCKETS,
    MAX_ACTIVITY_NAMES,
    MAX_SPANS,
    STALE_AFTER_MS,
)

START = 1_767_323_045_000


def at(ms: int) -> Moment:
    return Moment(1_000 + ms / 1000, START + ms)


def draw(activity: Activity, now_ms: int) -> Picture:
    *before, picture = activity.draw(now_ms)
    assert before == [None] * len(before)
    assert picture is not None
    return picture


@pytest.mark.parametrize("span_ms", [0, 1, 95_999, 96_000, 10**6, 10**8, 10**10, 10**13, 10**15])
def test_a_bucket_is_the_shortest_that_holds_the_span(span_ms: int) -> None:
    bucket_ms = choose_bucket_ms(span_ms)
    assert span_ms // bucket_ms + 1 <= MAX_ACTIVITY_BUCKETS
    shorter = [one for one in BUCKETS_MS if one < bucket_ms]
    assert all(span_ms // one + 1 > MAX_ACTIVITY_BUCKETS for one in shorter)


def test_those_who_wrote_most_have_names_and_the_rest_is_summed() -> None:
    activity = Activity()
    for number in range(30):
        for _ in range(number + 1):
            activity.add(START + number, f"a{number:02}")
    picture = draw(activity, START + 1000)
    assert [row.alias for row in picture.rows] == [
        f"a{number:02}" for number in range(29, 29 - MAX_ACTIVITY_NAMES, -1)
    ]
    assert [row.total for row in picture.rows] == list(range(30, 30 - MAX_ACTIVITY_NAMES, -1))
    assert picture.others is not None
    assert picture.others.total == sum(range(1, 31 - MAX_ACTIVITY_NAMES))
    assert sum(picture.others.counts) == picture.others.total


def test_a_clock_that_was_set_back_puts_nothing_outside() -> None:
    activity = Activity()
    for ms in (START, START - 10**9, START + 10**9):
        activity.add(ms, "ada")
    picture = draw(activity, START - 5)
    assert (picture.from_ms, picture.to_ms) == (START, START)
    assert picture.rows[0].counts == [3]


def test_it_gives_way_after_each_slice() -> None:
    activity = Activity()
    for number in range(2 * ACTIVITY_SLICE + 1):
        activity.add(START + number, "ada")
    assert len(list(activity.draw(START + 10**6))) == 4


def test_spans_merge_end_and_are_bounded() -> None:
    spans = Spans()
    spans.begin("ada", at(0))
    spans.end("ada", at(10))
    spans.begin("ada", at(10 + STALE_AFTER_MS - 1))
    spans.end("ada", at(STALE_AFTER_MS + 10))
    assert spans.latest(9) == [("ada", [(at(0), at(STALE_AFTER_MS + 10))])]
    for number in range(2, 3 + MAX_SPANS):
        spans.begin("ada", at(number * 2 * STALE_AFTER_MS))
        spans.end("ada", at(number * 2 * STALE_AFTER_MS + 1))
    [(_, kept)] = spans.latest(9)
    assert len(kept) == MAX_SPANS
    assert kept[0].start == at(6 * STALE_AFTER_MS)


def test_those_who_are_here_come_first() -> None:
    spans = Spans()
    for alias, begin, end in (("a", 0, 5), ("b", 1, None), ("c", 2, 9), ("d", 3, None)):
        spans.begin(alias, at(begin))
        if end is not None:
            spans.end(alias, at(end))
    assert [alias for alias, _ in spans.latest(3)] == ["b", "d", "c"]
