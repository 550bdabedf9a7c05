"""A judge that finds no fault has to be one that would find each."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.doubles.history import (
    CHANGED,
    GAP,
    LOST,
    MISSED,
    RENUMBERED,
    REORDERED,
    SLEPT,
    TAKEN_BACK,
    TWICE,
    History,
    Message,
)

LOG: list[Message] = [
    {"id": 1, "text": "ada joined"},
    {"id": 2, "text": "a", "client_msg_id": "p1-1"},
    {"id": 3, "text": "b", "client_msg_id": "p2-1"},
    {"id": 4, "text": "c", "client_msg_id": "p1-2"},
]


def page(since_id: int, messages: list[Message], *, next_since_id: int | None = None) -> Any:
    end = messages[-1]["id"] if messages else since_id
    return {
        "messages": messages,
        "next_since_id": end if next_since_id is None else next_since_id,
        "has_more": False,
    }


def post(history: History, key: str, text: str, message_id: int) -> None:
    history.acknowledged(key, text, message_id, history.now())


def read(history: History, reader: str, since_id: int, document: Any) -> None:
    history.answered(reader, since_id, document, history.now())


def sound() -> History:
    """Two post, one after the other; ada reads along, and bob all at the end."""
    history = History()
    asked = history.now()
    post(history, "p1-1", "a", 2)
    history.answered("ada", 0, page(0, LOG[:2]), asked)
    asked = history.now()
    post(history, "p2-1", "b", 3)
    post(history, "p1-2", "c", 4)
    history.answered("ada", 2, page(2, LOG[2:]), asked)
    read(history, "bob", 0, page(0, LOG))
    read(history, "bob", 4, page(4, []))
    return history


def test_it_finds_no_fault_where_there_is_none() -> None:
    assert sound().faults(LOG) == []
    assert [message["id"] for message in sound().seen("ada")] == [1, 2, 3, 4]


def kinds(history: History, log: list[Message]) -> list[str]:
    return sorted({fault.kind for fault in history.faults(log)})


def without_readers(history: History) -> History:
    history.answers.clear()
    return history


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (LOG[:3], [LOST]),
        ([*LOG, {**LOG[3], "id": 5}], [RENUMBERED, TWICE]),
        ([*LOG[:3], {**LOG[3], "id": 5}], [GAP, RENUMBERED]),
        ([*LOG, {"id": 4, "text": "z"}], [TWICE]),
        ([*LOG[:3], {**LOG[3], "text": "other"}], [CHANGED]),
        ([LOG[0], LOG[2], LOG[1], LOG[3]], [GAP, TWICE]),
        ([*LOG, {"id": 6, "text": "room closed"}], [GAP]),
    ],
)
def test_it_finds_what_is_wrong_with_a_log(log: list[Message], kind: list[str]) -> None:
    assert kinds(without_readers(sound()), log) == kind


def test_it_finds_what_was_posted_later_and_comes_before() -> None:
    history = History()
    post(history, "p1-1", "a", 3)
    post(history, "p2-1", "b", 2)
    log = [LOG[0], {**LOG[2], "id": 2}, {**LOG[1], "id": 3}]
    assert kinds(history, log) == [REORDERED]


def test_what_was_posted_at_the_same_time_may_come_in_any_order() -> None:
    history = History()
    asked = history.now()
    history.acknowledged("p1-1", "a", 3, asked)
    history.acknowledged("p2-1", "b", 2, asked)
    assert history.faults([LOG[0], {**LOG[2], "id": 2}, {**LOG[1], "id": 3}]) == []


def sees_too_little(history: History) -> None:
    read(history, "eve", 0, page(0, LOG[:3]))


def is_led_past_one(history: History) -> None:
    read(history, "eve", 0, page(0, [LOG[0], *LOG[2:]]))


def is_led_past_one_by_the_cursor(history: History) -> None:
    read(history, "eve", 0, page(0, LOG[:1], next_since_id=2))
    read(history, "eve", 2, page(2, LOG[2:]))


def sees_one_twice(history: History) -> None:
    read(history, "eve", 0, page(0, LOG))
    read(history, "eve", 4, page(4, LOG[3:]))


def sees_what_is_not_there(history: History) -> None:
    read(history, "eve", 0, page(0, [*LOG, {"id": 5, "text": "gone"}]))


def sees_another(history: History) -> None:
    read(history, "eve", 0, page(0, [*LOG[:3], {**LOG[3], "text": "changed"}]))


def sleeps(history: History) -> None:
    read(history, "eve", 0, page(0, []))
    read(history, "eve", 0, page(0, LOG))


def sleeps_through_a_part(history: History) -> None:
    read(history, "eve", 0, page(0, LOG[:2]))
    read(history, "eve", 2, page(2, LOG[2:]))


@pytest.mark.parametrize(
    ("reads", "kind"),
    [
        (sees_too_little, [MISSED, SLEPT]),
        (is_led_past_one, [MISSED]),
        (is_led_past_one_by_the_cursor, [MISSED, SLEPT]),
        (sees_one_twice, [TWICE]),
        (sees_what_is_not_there, [TAKEN_BACK]),
        (sees_another, [CHANGED]),
        (sleeps, [SLEPT]),
        (sleeps_through_a_part, [SLEPT]),
    ],
)
def test_it_finds_what_a_reader_missed_or_saw_wrongly(
    reads: Callable[[History], None], kind: list[str]
) -> None:
    history = sound()
    reads(history)
    assert kinds(history, LOG) == kind


def test_a_stream_is_held_to_the_log_and_is_never_late() -> None:
    history = History()
    for message in (LOG[0], LOG[1], LOG[3]):
        history.streamed("ada", message)
    post(history, "p1-2", "c", 4)
    history.streamed("eve", LOG[0])
    assert [fault.kind for fault in history.faults(LOG, to_the_end=False)] == [MISSED]


def test_who_asked_before_it_was_acknowledged_has_slept_through_nothing() -> None:
    history = History()
    asked = history.now()
    post(history, "p1-1", "a", 2)
    history.answered("eve", 0, page(0, []), asked)
    assert history.faults(LOG[:2], to_the_end=False) == []


def test_who_asked_for_what_concerns_it_may_sleep_through_the_rest() -> None:
    history = History()
    post(history, "p1-1", "a", 2)
    history.answered("eve", 0, page(0, []), history.now(), wakes_for_all=False)
    assert history.faults(LOG[:2], to_the_end=False) == []


def test_a_page_that_says_there_is_more_is_no_sleep() -> None:
    history = sound()
    history.answered("eve", 0, {**page(0, LOG[:2]), "has_more": True}, history.now())
    read(history, "eve", 2, page(2, LOG[2:]))
    assert history.faults(LOG) == []
