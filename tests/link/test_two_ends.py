"""Two machines, a line between them that delays, and owners who do what they like.

Every byte that was sent arrives, in order, or the stream is reset; and when both ends read,
every stream ends.
"""

import random
from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentgather.link.allowance import Allowance
from agentgather.link.machine import End, LinkMachine
from agentgather.link.streams import StreamState
from agentgather.wire.limits import MAX_DATA_BYTES, MAX_ROUTE_BUFFER_BYTES
from agentgather.wire.link import (
    Data,
    Request,
    Reset,
    Response,
    Window,
    decode_from_broker,
    decode_from_host,
    encode_frame,
)
from tests.doubles.chance import seeded

SIZES = (0, 0, 1, 500, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 300_000)
MOST_STREAMS = 20
STEPS = 3_000


class Owner:
    """Who serves a stream at one end: what is sent and what has come."""

    def __init__(self, state: StreamState, body: bytes) -> None:
        self.state = state
        self.body = body
        self.sent = 0
        self.unread: list[bytes] = []
        self.read = b""
        self.is_whole = False
        self.is_reset = False


class Side:
    """One end of the link. ``line`` is what is on its way to here."""

    def __init__(self, end: End, chance: random.Random) -> None:
        self.machine = LinkMachine(end, Allowance(0), max_streams=MOST_STREAMS)
        self.line: deque[bytes] = deque()
        self.owners: dict[int, Owner] = {}
        self.chance = chance
        self.now = 0.0
        self._decode = decode_from_broker if end is End.HOST else decode_from_host

    def add(self, state: StreamState) -> Owner:
        body = self.chance.randbytes(self.chance.choice(SIZES))
        owner = self.owners[state.id] = Owner(state, body)
        return owner

    def ask(self) -> None:
        if not self.machine.streams.is_full:
            self.send(self.add(self.machine.open()))

    def send(self, owner: Owner) -> None:
        """Send the next piece of a body, or the head, as far as there is credit."""
        state = owner.state
        if state.id not in self.machine.streams or state.sent_end:
            return
        size = min(state.credit, MAX_DATA_BYTES, self.chance.choice((1, 700, MAX_DATA_BYTES)))
        piece = owner.body[owner.sent : owner.sent + size]
        is_end = owner.sent + len(piece) == len(owner.body)
        frame: Request | Response | Data
        if state.sent_head:
            if not piece and not is_end:
                return
            frame = Data(stream=state.id, data=piece, end=is_end)
        elif self.machine.end is End.BROKER:
            frame = Request(stream=state.id, method="POST", path=b"/", data=piece, end=is_end)
        else:
            frame = Response(stream=state.id, status=200, data=piece, end=is_end)
        owner.sent += len(piece)
        self.machine.send(state, frame)

    def read(self, owner: Owner) -> None:
        data = b"".join(owner.unread)
        owner.unread.clear()
        owner.read += data
        if data:
            self.machine.consume(owner.state, len(data))

    def reset(self, owner: Owner) -> None:
        if owner.state.id in self.machine.streams:
            self.machine.reset(owner.state.id, "cancelled")
            owner.is_reset = True

    def receive(self) -> None:
        """Let the next message of the line arrive."""
        if not self.line:
            return
        self.now += 0.01
        frame = self.machine.receive(self._decode(self.line.popleft()), self.now)
        if frame is None or isinstance(frame, Window):
            return
        assert isinstance(frame, Request | Response | Data | Reset)
        if isinstance(frame, Request):
            self.add(self.machine.streams[frame.stream])
        owner = self.owners[frame.stream]
        assert not owner.is_reset
        if isinstance(frame, Reset):
            owner.is_reset = True
        else:
            owner.unread.append(frame.data)
            owner.is_whole = frame.end

    def check(self) -> None:
        unread = sum(len(piece) for owner in self.owners.values() for piece in owner.unread)
        assert unread <= MAX_ROUTE_BUFFER_BYTES


def carry(here: Side, there: Side) -> None:
    while here.machine.outgoing:
        there.line.append(encode_frame(here.machine.outgoing.pop()))


def settle(broker: Side, host: Side, chance: random.Random) -> None:
    """Let both read and send from now on, however slowly, until every stream has its end."""
    pairs = ((broker, host), (host, broker))
    for _ in range(5_000):
        for here, there in pairs:
            for owner in here.owners.values():
                here.read(owner)
                here.send(owner)
            carry(here, there)
            for _ in range(chance.randrange(8)):
                here.receive()
        if not any(side.machine.streams or side.line for side in (broker, host)):
            break
    for here, _ in pairs:
        for owner in here.owners.values():
            here.read(owner)
        assert len(here.machine.streams) == 0, "a stream has no end"
        assert here.machine._ledger.extra == 0, "what was taken is counted as buffered"


def compare(broker: Side, host: Side) -> int:
    """Look at what came of every stream; say how many answers came whole."""
    ended = 0
    for stream_id, asked in broker.owners.items():
        answered = host.owners.get(stream_id)
        if answered is None:
            assert asked.is_reset
            continue
        assert asked.body.startswith(answered.read)
        assert answered.body.startswith(asked.read)
        if asked.is_reset:
            continue
        assert asked.is_whole
        assert asked.read == answered.body
        ended += 1
        if answered.is_whole:
            assert answered.read == asked.body
    return ended


@pytest.mark.random
@pytest.mark.parametrize("seed", range(30))
def test_every_byte_arrives_in_order_or_the_stream_is_reset(seed: int) -> None:
    chance = seeded(seed)
    broker, host = Side(End.BROKER, chance), Side(End.HOST, chance)
    pairs = ((broker, host), (host, broker))
    resets = chance.choice((0, 0.5))
    for _ in range(STEPS):
        here, there = chance.choice(pairs)
        what = chance.random() * (9 + resets)
        if what < 1:
            broker.ask()
        elif what < 3:
            carry(here, there)
        elif what < 5:
            here.receive()
        elif here.owners:
            owner = here.owners[chance.choice([*here.owners][-MOST_STREAMS:])]
            if what < 7:
                here.send(owner)
            elif what < 9:
                here.read(owner)
            else:
                here.reset(owner)
        here.check()

    settle(broker, host, chance)
    assert compare(broker, host) > 20


ENDS = st.sampled_from([0, 1])


class TwoEnds(RuleBasedStateMachine):
    """The same, where what fails shrinks to the steps that it takes."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        # For the bodies alone, and for the end: what hypothesis draws itself would run out.
        self.chance = random.Random(seed)
        self.sides = (Side(End.BROKER, self.chance), Side(End.HOST, self.chance))

    @rule()
    def ask(self) -> None:
        self.sides[0].ask()

    @rule(end=ENDS)
    def carry(self, end: int) -> None:
        carry(self.sides[end], self.sides[1 - end])

    @rule(end=ENDS, most=st.integers(1, 8))
    def receive(self, end: int, most: int) -> None:
        for _ in range(most):
            self.sides[end].receive()

    @rule(end=ENDS, what=st.sampled_from(["send", "read", "reset"]), which=st.integers(0, 30))
    def act(self, end: int, what: str, which: int) -> None:
        side = self.sides[end]
        owners = list(side.owners.values())
        if owners:
            getattr(side, what)(owners[which % len(owners)])

    @invariant()
    def what_is_unread_is_bounded(self) -> None:
        for side in self.sides:
            side.check()

    def teardown(self) -> None:
        if hasattr(self, "sides"):
            settle(*self.sides, self.chance)
            compare(*self.sides)


TestTwoEnds = TwoEnds.TestCase
