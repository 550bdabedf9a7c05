"""Random conversations, against what must always hold.

``AGENTGATHER_RANDOM_SEQUENCES`` sets how many sequences of frames are tried at each end; the
suite tries half a million, so a million in all, in shares that several processes can try. A
sequence is a list of numbers of ``ACTIONS``, which :func:`walk` plays; hypothesis plays some
too, and shrinks one that fails.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agentgather.link.allowance import Allowance
from agentgather.link.machine import End, LinkMachine
from agentgather.link.outgoing import Frame
from agentgather.wire.errors import PeerViolation, Unavailable
from agentgather.wire.limits import MAX_DATA_BYTES, MAX_ROUTE_BUFFER_BYTES
from agentgather.wire.link import (
    MAX_CREDIT,
    Challenge,
    Data,
    GoingAway,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    Request,
    Reset,
    Response,
    Window,
)
from tests.doubles.chance import seeded

SEQUENCES: Final = int(os.environ.get("AGENTGATHER_RANDOM_SEQUENCES", "500000"))
SHARES: Final = 5
STREAMS: Final = 2
"""So few that a short sequence meets the bound."""
LONGEST: Final = 16


Part = Request | Response | Data | Window | Reset


class Walk:
    """One end of a link, and its owner's view of it."""

    def __init__(self, end: End) -> None:
        self.machine = LinkMachine(end, Allowance(0), max_streams=STREAMS)
        self.states = self.machine.streams._by_id
        self.live: set[int] = set()
        self.buffered: dict[int, int] = {}
        self.now = 0.0

    @property
    def last(self) -> int:
        return self.machine.streams._last_id

    def receive(self, frame: Frame) -> None:
        self.now += 0.001
        got = self.machine.receive(frame, self.now)
        if got is None or isinstance(got, GoingAway):
            return
        assert isinstance(got, Request | Response | Data | Window | Reset)
        if isinstance(got, Request):
            assert got.stream not in self.live
            self.live.add(got.stream)
        assert got.stream in self.live, "a closed stream delivers nothing"
        if isinstance(got, Reset):
            self.live.discard(got.stream)
        elif isinstance(got, Request | Response | Data):
            self.buffered[got.stream] = self.buffered.get(got.stream, 0) + len(got.data)
            if got.end and self.machine.end is End.BROKER:
                self.live.discard(got.stream)

    def open(self) -> None:
        if self.machine.end is End.BROKER:
            stream = self.machine.open()
            head = Request(stream=stream.id, method="POST", path=b"/", data=b"x")
            self.machine.send(stream, head)
            self.live.add(stream.id)

    def send(self, stream_id: int, *, end: bool) -> None:
        stream = self.states.get(stream_id)
        if stream is None or stream.sent_end:
            return
        data = bytes(min(stream.credit, MAX_DATA_BYTES))
        if stream.sent_head:
            if data or end:
                self.machine.send(stream, Data(stream=stream_id, data=data, end=end))
        else:
            head = Response(stream=stream_id, status=200, data=data, end=end)
            self.machine.send(stream, head)
        if end and self.machine.end is End.HOST:
            self.live.discard(stream_id)

    def consume(self, stream_id: int) -> None:
        size = self.buffered.pop(stream_id, 0)
        stream = self.states.get(stream_id)
        if stream is not None and size:
            self.machine.consume(stream, size)

    def reset(self, stream_id: int) -> None:
        self.machine.reset(stream_id, "cancelled")
        self.live.discard(stream_id)

    def check(self) -> None:
        machine = self.machine
        assert self.states.keys() == self.live
        assert len(self.live) <= STREAMS
        total = 0
        for stream in self.states.values():
            account = stream.account
            assert account.window >= 0
            assert account.buffered == self.buffered.get(stream.id, 0)
            assert 0 <= stream.credit <= MAX_CREDIT
            total += account.window + account.buffered
        assert total <= MAX_ROUTE_BUFFER_BYTES
        assert machine.outgoing.answers <= len(machine.outgoing) <= 3 * LONGEST


Action = Callable[[Walk], None]


def coming(frame: Frame) -> Action:
    return lambda walk: walk.receive(frame)


def coming_on(frame: Part, back: int) -> Action:
    """Let a frame come on the stream that was opened ``back`` streams ago; -1 is the next."""
    numbered = [replace(frame, stream=stream) for stream in range(1, LONGEST + 2)]

    def act(walk: Walk) -> None:
        if walk.last > back:
            walk.receive(numbered[walk.last - back - 1])

    return act


def parts() -> list[Part]:
    """Give what may come of a stream, whether it is in order or not."""
    made: list[Part] = []
    for size in (0, 1, 1, 8 * 1024, 16 * 1024, MAX_DATA_BYTES):
        data = bytes(size)
        for end in (False, False, True):
            made += [Response(stream=1, status=200, data=data, end=end)]
            made += [Data(stream=1, data=data, end=end)] if size or end else []
            made += [Request(stream=1, method="GET", path=b"/", data=data, end=end)]
    made += [Window(stream=1, credit=credit) for credit in (1, 65_536, MAX_CREDIT // 2)]
    made += [Reset(stream=1, code="cancelled")] * 2
    return made


def wrong_frames() -> list[Frame]:
    """Give what costs the link at any time, or soon."""
    return [
        Data(stream=1),
        Data(stream=1, data=bytes(MAX_DATA_BYTES + 1)),
        Data(stream=1_000, data=b"x"),
        Challenge(nonce=bytes(32)),
        Register(slug="demo", owner=bytes(32), proof=bytes(32)),
        Registered(public_url="https://x", lease_seconds=1, lifetime_seconds=1),
        Refused(code="rate_limited", message="no"),
    ]


def own_actions(back: int) -> list[Action]:
    """Give what a stream's owner may do meanwhile."""
    made: list[Action] = [
        lambda walk: walk.send(walk.last - back, end=False),
        lambda walk: walk.send(walk.last - back, end=True),
        lambda walk: walk.reset(walk.last - back),
    ]
    made += [lambda walk: walk.consume(walk.last - back)] * 4
    return made


def weight_of(end: End, part: Part, back: int) -> int:
    """Say how often a frame is to come, so that most sequences go on for a while."""
    if isinstance(part, Request):
        return 30 if end is End.HOST and back == -1 else end is End.HOST
    if isinstance(part, Response) and end is End.HOST:
        return 0
    return {-1: 1, 0: 40, 1: 20, 2: 10}[back]


def actions(end: End) -> tuple[list[Action], list[int]]:
    """Give all actions at an end, and how often each is to be taken."""
    weighted: list[tuple[Action, int]] = []
    for back in (-1, 0, 1, 2):
        for part in parts():
            weighted.append((coming_on(part, back), weight_of(end, part, back)))
        weighted += [(action, 20) for action in own_actions(back)]
    weighted += [(coming(frame), 3) for frame in wrong_frames()]
    weighted += [(coming(frame), 20) for frame in (Ping(id=1), Pong(id=0), Pong(id=1))]
    weighted += [
        (coming(GoingAway(code="going_away")), 10),
        (lambda walk: walk.open(), 500),
        (lambda walk: walk.machine.heartbeat.ask(walk.now), 20),
        (lambda walk: walk.machine.go_away("going_away"), 10),
    ]
    return [action for action, _ in weighted], [weight for _, weight in weighted]


ACTIONS: Final = {end: actions(end) for end in End}


def walk(end: End, steps: list[int]) -> tuple[str, int]:
    """Play a sequence until it ends, or the link does; say how, and after how many steps."""
    one = Walk(end)
    played = ACTIONS[end][0]
    for count, step in enumerate(steps, 1):
        try:
            played[step](one)
        except PeerViolation as error:
            return error.code, count
        except Unavailable as error:
            if error.code not in ("host_unavailable", "route_request_limit"):
                raise
        one.check()
    return "", len(steps)


@pytest.mark.hostile("T19")
@pytest.mark.random
@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("end", End)
def test_a_million_random_sequences_break_nothing(end: End, share: int) -> None:
    chance = seeded(f"{end} {share}")
    # Each number as often as it is to be taken: half the cost of a choice by weights.
    numbers = [number for number, weight in enumerate(ACTIONS[end][1]) for _ in range(weight)]
    sequences = SEQUENCES // SHARES
    outcomes: Counter[str] = Counter()
    total = 0
    for _ in range(sequences):
        steps = chance.choices(numbers, k=LONGEST)
        try:
            outcome, count = walk(end, steps)
        except BaseException:
            print(f"the sequence was {steps}")
            raise
        outcomes[outcome] += 1
        total += count
    print(f"{total} steps, {dict(outcomes)}")
    assert outcomes.keys() == {"", "bad_frame", "flow_control"}
    assert min(outcomes.values()) > sequences / 1000, "each of them is met often"
    assert total > 10 * sequences


@pytest.mark.hostile("T19")
@pytest.mark.parametrize("end", End)
@given(data=st.data())
def test_random_sequences_that_shrink(end: End, data: st.DataObject) -> None:
    numbers = st.integers(0, len(ACTIONS[end][0]) - 1)
    walk(end, data.draw(st.lists(numbers, max_size=LONGEST)))
