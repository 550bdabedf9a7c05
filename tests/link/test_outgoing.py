"""What waits to be sent: its order, and how much it is."""

import random

import pytest

from agentgather.link.outgoing import Frame, Outgoing, head_bytes
from agentgather.wire.limits import MAX_QUEUED_BYTES
from agentgather.wire.link import Data, Ping, Pong, Request, Reset, Response, Window, encode_frame

HEADERS = ((b"content-type", b"text/plain"), (b"retry-after", b"5"))
FRAMES: list[Frame] = [
    Request(stream=2**31 - 1, method="DELETE", path=b"/p" * 50, query=b"q" * 99, headers=HEADERS),
    Response(stream=2**31 - 1, status=200, headers=HEADERS, data=bytes(1000), end=True),
    Data(stream=2**31 - 1, data=bytes(5), end=True),
    Window(stream=1, credit=1),
    Reset(stream=1, code="cancelled"),
]


def test_frames_leave_in_the_order_in_which_they_came() -> None:
    outgoing = Outgoing()
    for frame in FRAMES:
        outgoing.push(frame)
    assert [outgoing.pop() for _ in FRAMES] == FRAMES
    assert not outgoing


def test_pings_and_pongs_wait_for_no_others() -> None:
    outgoing = Outgoing()
    outgoing.push(FRAMES[0])
    outgoing.push(Ping(id=1))
    outgoing.push(Pong(id=2))
    assert {outgoing.pop(), outgoing.pop()} == {Ping(id=1), Pong(id=2)}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_counts_for_at_least_what_it_takes_on_the_wire(frame: Frame) -> None:
    outgoing = Outgoing()
    outgoing.push(frame)
    assert outgoing.size >= len(encode_frame(frame))


def test_the_least_frames_fill_it_as_well() -> None:
    outgoing = Outgoing()
    while outgoing.has_room:
        outgoing.push(Data(stream=1, data=b"x"))
    assert len(outgoing) < MAX_QUEUED_BYTES / 100


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_head_is_never_longer_than_it_is_said_to_be(count: int) -> None:
    head = Response(stream=2**31 - 1, status=599, headers=((bytes(300), bytes(70_000)),) * count)
    assert len(encode_frame(head)) <= head_bytes(head) + 100


def test_the_sums_are_right_after_anything() -> None:
    chance = random.Random(1)
    outgoing = Outgoing()
    for _ in range(2_000):
        if chance.random() < 0.5 and outgoing:
            outgoing.pop()
        else:
            outgoing.push(chance.choice([*FRAMES, Ping(id=1)]))
        assert outgoing.answers <= len(outgoing)
    while outgoing:
        outgoing.pop()
    assert (outgoing.size, outgoing.answers) == (0, 0)
    outgoing.push(Ping(id=1))
    outgoing.clear()
    assert (len(outgoing), outgoing.size, outgoing.answers) == (0, 0, 0)
