"""Paging through the log, sound or damaged."""

import json
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.log import FRAME_BYTES, Log
from agentgather.wire.limits import MAX_PAGE_BYTES, MAX_PAGE_MESSAGES
from agentgather.wire.records import Message, encode_message


def entry(message_id: int, text: str = "x", mentions: tuple[str, ...] = ()) -> bytes:
    return encode_message(
        Message(
            id=message_id,
            room="demo",
            ts="2026-01-02T03:04:05.678Z",
            sender="ada",
            type="message",
            text=text,
            mentions=mentions,
        )
    )


def log_of(*ids: int, text: str = "x") -> Log:
    log = Log()
    for message_id in ids:
        log.append(message_id, entry(message_id, text), addressed=(), to_all=False)
    log.publish(len(ids))
    return log


def ids_of(messages: msgspec.Raw) -> list[int]:
    return [message["id"] for message in json.loads(bytes(messages))]


def forward(log: Log, since_id: int, limit: int) -> list[int]:
    """Read as a client does, page by page, to the end."""
    found: list[int] = []
    for _ in range(log.visible_count + 2):
        page = log.page_after(since_id, limit)
        assert page.size == len(ids_of(page.messages))
        assert page.next_since_id >= min(since_id, log.head)
        found += ids_of(page.messages)
        since_id = page.next_since_id
        if not page.has_more:
            assert page.next_since_id == log.head
            return found
        assert page.size > 0
    raise AssertionError("paging did not end")


def backward(log: Log, before_id: int, limit: int) -> list[int]:
    """Read as a client does that scrolls up: before the first message it has."""
    found: list[int] = []
    for _ in range(log.visible_count + 2):
        messages, has_more = log.page_before(before_id, limit)
        page = ids_of(messages)
        found = page + found
        if not has_more:
            return found
        assert page
        before_id = page[0]
    raise AssertionError("paging did not end")


@dataclass
class Model:
    """What was appended, and how much of it is visible."""

    ids: list[int] = field(default_factory=list)
    visible: int = 0


# Mostly the next id; now and then one that only a damaged log has.
STEPS = st.lists(
    st.one_of(
        st.just(("append", 0)),
        st.just(("append", 0)),
        st.tuples(st.just("damaged"), st.integers(1, 12)),
        st.tuples(st.just("publish"), st.integers(1, 3)),
        st.just(("retract", 0)),
    ),
    max_size=40,
)


def play(
    steps: list[tuple[str, int]], log: Log | None = None, model: Model | None = None
) -> tuple[Log, Model]:
    log, model = log or Log(), model or Model()
    for what, number in steps:
        staged = len(model.ids) - model.visible
        if what == "publish":
            count = min(number, staged)
            log.publish(count)
            model.visible += count
        elif what == "retract" and staged:
            taken = json.loads(log.retract())["id"]
            assert taken == model.ids.pop()
        elif what in ("append", "damaged"):
            message_id = number or log.next_id
            log.append(message_id, entry(message_id), addressed=(), to_all=False)
            model.ids.append(message_id)
        assert log.next_id == max(model.ids, default=0) + 1
        assert log.head == max(model.ids[: model.visible], default=0)
        assert log.visible_count == model.visible
    return log, model


@given(STEPS, st.integers(1, 5))
def test_paging_forward_meets_every_visible_record_once(
    steps: list[tuple[str, int]], limit: int
) -> None:
    log, model = play(steps)
    assert forward(log, 0, limit) == model.ids[: model.visible]


@given(STEPS, st.integers(1, 5))
def test_paging_backward_meets_every_visible_record_once(
    steps: list[tuple[str, int]], limit: int
) -> None:
    log, model = play(steps)
    assert backward(log, 2**53 - 1, limit) == model.ids[: model.visible]


@pytest.mark.hostile("S04")
@given(STEPS, st.integers(0, 14), st.integers(1, 5))
def test_from_any_cursor_every_record_past_it_is_met(
    steps: list[tuple[str, int]], since_id: int, limit: int
) -> None:
    log, model = play(steps)
    found = forward(log, since_id, limit)
    visible = model.ids[: model.visible]
    # A tail of the log, so nothing behind its start is left out ...
    assert found == visible[len(visible) - len(found) :]
    # ... and nothing before it is news to who has read up to the cursor.
    assert all(message_id <= since_id for message_id in visible[: len(visible) - len(found)])


@given(STEPS, STEPS, st.integers(1, 4))
def test_a_reader_who_comes_back_later_has_missed_nothing(
    steps: list[tuple[str, int]], more: list[tuple[str, int]], limit: int
) -> None:
    # What was damaged was read from the disk; what comes later has the next id.
    log, model = play([*steps, ("publish", 99)])
    found = forward(log, 0, limit)
    cursor = log.head
    play([step for step in more if step[0] != "damaged"], log, model)
    assert found + forward(log, cursor, limit) == model.ids[: model.visible]


@given(STEPS)
def test_records_one_by_one_are_those_of_the_page_each_with_its_cursor(
    steps: list[tuple[str, int]],
) -> None:
    log, _ = play(steps)
    records = log.records_after(0, MAX_PAGE_MESSAGES)
    page = log.page_after(0, MAX_PAGE_MESSAGES)
    assert [json.loads(line)["id"] for _, line in records] == ids_of(page.messages)
    cursors = [cursor for cursor, _ in records]
    assert cursors == sorted(cursors)


def test_what_is_staged_is_not_shown() -> None:
    log = log_of(1)
    log.append(2, entry(2), addressed=("rev",), to_all=False)
    assert ids_of(log.page_after(0, 9).messages) == [1]
    assert ids_of(log.page_before(9, 9)[0]) == [1]
    assert log.records_after(1, 9) == []
    assert not log.concerns("rev", 0)
    assert log.publish(1) == ({"rev"}, False)
    assert ids_of(log.page_after(0, 9).messages) == [1, 2]
    assert log.concerns("rev", 1)
    assert not log.concerns("rev", 2)


def test_a_page_is_not_given_again_when_more_became_visible() -> None:
    log = log_of(1, 2)
    assert not log.page_after(0, 2).has_more
    log.append(3, entry(3), addressed=(), to_all=False)
    log.publish(1)
    assert log.page_after(0, 2).has_more
    assert ids_of(log.page_after(0, 9).messages) == [1, 2, 3]


def test_a_cursor_beyond_the_end_is_set_back_to_it() -> None:
    assert log_of(1, 2).page_after(99, 10)._replace(messages=msgspec.Raw(b"[]")) == (
        msgspec.Raw(b"[]"),
        0,
        2,
        False,
        frozenset(),
    )
    assert Log().page_after(7, 10).next_since_id == 0


def test_a_limit_of_nothing_gives_nothing_and_keeps_the_cursor() -> None:
    page = log_of(1, 2, 3).page_after(1, 0)
    assert (page.size, page.next_since_id) == (0, 1)


def test_a_page_holds_at_most_as_many_messages_as_asked_for() -> None:
    log = log_of(*range(1, 8))
    assert ids_of(log.page_after(2, 3).messages) == [3, 4, 5]
    assert ids_of(log.page_before(6, 3)[0]) == [3, 4, 5]
    assert log.page_before(4, 3)[1] is False
    assert log.page_before(5, 3)[1] is True


def test_a_page_holds_at_most_256_kib_but_always_one_message() -> None:
    # Each line is just over a quarter of a page, so three of them fit.
    log = log_of(*range(1, 9), text="x" * (MAX_PAGE_BYTES // 4))
    page = log.page_after(0, MAX_PAGE_MESSAGES)
    assert ids_of(page.messages) == [1, 2, 3]
    assert page.has_more
    messages, has_more = log.page_before(9, MAX_PAGE_MESSAGES)
    assert ids_of(messages) == [6, 7, 8]
    assert has_more
    assert forward(log, 0, MAX_PAGE_MESSAGES) == list(range(1, 9))
    assert backward(log, 9, MAX_PAGE_MESSAGES) == list(range(1, 9))
    # The commas between many short lines count too, and an answer has more than its page.
    short = log_of(*range(1, MAX_PAGE_MESSAGES + 1), text="x" * 497)
    for array in (
        short.page_after(0, MAX_PAGE_MESSAGES).messages,
        short.page_before(MAX_PAGE_MESSAGES, MAX_PAGE_MESSAGES)[0],
    ):
        assert len(bytes(array)) + FRAME_BYTES <= MAX_PAGE_BYTES
    huge = log_of(1, 2, text="x" * (MAX_PAGE_BYTES + 1))
    assert ids_of(huge.page_after(0, MAX_PAGE_MESSAGES).messages) == [1]
    assert ids_of(huge.page_before(3, MAX_PAGE_MESSAGES)[0]) == [2]


@pytest.mark.parametrize("message_id", [0, 3, 99, 2**53 - 1])
def test_an_id_that_no_record_has_is_not_found(message_id: int) -> None:
    assert log_of(1, 2, 4).find(message_id) is None


def test_a_record_is_found_by_its_id_even_while_it_is_staged() -> None:
    log = log_of(1, 2, 4)
    log.append(5, entry(5, "staged"), addressed=(), to_all=False)
    found = log.find(5)
    assert found is not None
    assert found.text == "staged"
    assert log.entry(4) == entry(4)


def test_who_is_named_on_a_page_is_told() -> None:
    log = Log()
    log.append(1, entry(1, "@rev", ("rev",)), addressed=("rev",), to_all=False)
    log.append(2, entry(2), addressed=(), to_all=False)
    log.publish(2)
    assert log.page_after(0, 9).mentioned == {"rev"}
    assert log.page_after(1, 9).mentioned == frozenset()


def test_what_concerns_everybody_concerns_each() -> None:
    log = Log()
    log.append(1, entry(1), addressed=("rev",), to_all=True)
    assert log.publish(1) == ({"rev"}, True)
    assert log.concerns("ada", 0)
    assert not log.concerns("ada", 1)
