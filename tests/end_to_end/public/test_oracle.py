"""An oracle that finds no fault has to be one that would find some."""

from typing import Any

import pytest

from tests.end_to_end.public.oracle import Oracle

LOG: list[dict[str, Any]] = [
    {"id": 1, "text": "joined"},
    {"id": 2, "text": "a", "client_msg_id": "p1-1"},
    {"id": 3, "text": "b", "client_msg_id": "p2-1"},
    {"id": 4, "text": "c", "client_msg_id": "p1-2"},
]


def oracle() -> Oracle:
    made = Oracle()
    made.acknowledged = {"p1-1": 2, "p2-1": 3, "p1-2": 4}
    made.seen = {"ada": list(LOG), "bob": list(LOG)}
    return made


def test_it_finds_no_fault_where_there_is_none() -> None:
    assert oracle().faults(LOG) == []


@pytest.mark.parametrize(
    ("log", "fault"),
    [
        (LOG[:3], "acknowledged p1-2 as 4"),
        ([*LOG, {**LOG[3], "id": 5}], "twice in the log: p1-2"),
        ([*LOG[:3], {**LOG[3], "id": 5}], "ids are not dense"),
        (
            [
                LOG[0],
                {**LOG[1], "client_msg_id": "p1-2"},
                LOG[2],
                {**LOG[3], "client_msg_id": "p1-1"},
            ],
            "out of order",
        ),
    ],
)
def test_it_finds_what_is_wrong_with_a_log(log: list[dict[str, Any]], fault: str) -> None:
    assert any(fault in found for found in oracle().faults(log))


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (LOG[:3], "ada saw 3 of 4 messages"),
        ([*LOG[:2], LOG[1], *LOG[2:]], "ada saw another log from message 3 on"),
        ([LOG[0], *LOG[2:]], "ada saw another log from message 2 on"),
        ([*LOG[:3], {**LOG[3], "text": "changed"}], "ada saw messages that the log has otherwise"),
    ],
)
def test_it_finds_what_somebody_missed_or_saw_twice(seen: list[dict[str, Any]], fault: str) -> None:
    watching = oracle()
    watching.seen["ada"] = seen
    assert watching.faults(LOG) == [fault]
