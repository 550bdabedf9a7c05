"""The link's state machine: what is in order, what costs a stream, what costs the link.

The ids in brackets are rows of ``hostile`` cases: T05 a stream that is not there, T06 frames
out of order, T07 credit, T08 frames, T11 and T12 answers that come late or twice, T16 the
heartbeat, T17 a hostile broker, W06 floods.
"""

from collections.abc import Callable

import pytest

from agentgather.link.allowance import Allowance
from agentgather.link.machine import End, LinkMachine
from agentgather.link.outgoing import Frame
from agentgather.link.streams import StreamState
from agentgather.wire.errors import PeerViolation, Unavailable
from agentgather.wire.limits import (
    MAX_CONTROL_BURST,
    MAX_CONTROL_FRAMES_PER_SECOND,
    MAX_DATA_BYTES,
    MAX_STREAMS,
    MAX_UNREAD_ANSWERS,
    PONG_SECONDS,
    REQUEST_CREDIT_BYTES,
    RESPONSE_CREDIT_BYTES,
    SMALL_BYTES,
)
from agentgather.wire.link import (
    MAX_CREDIT,
    MAX_STREAM_ID,
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

END = Data(stream=1, end=True)


def request(stream: int = 1, data: bytes = b"", *, end: bool = True) -> Request:
    return Request(stream=stream, method="GET", path=b"/wait", data=data, end=end)


def response(stream: int = 1, data: bytes = b"", *, end: bool = False) -> Response:
    return Response(stream=stream, status=200, data=data, end=end)


def data(stream: int = 1, size: int = 1, *, end: bool = False) -> Data:
    return Data(stream=stream, data=bytes(size), end=end)


def host() -> LinkMachine:
    return LinkMachine(End.HOST, Allowance(0))


def broker() -> LinkMachine:
    return LinkMachine(End.BROKER, Allowance(0))


def ask(machine: LinkMachine) -> StreamState:
    """Open a stream at a broker, and send its request."""
    stream = machine.open()
    machine.send(stream, request(stream.id))
    return stream


def drain(machine: LinkMachine) -> list[Frame]:
    return [machine.outgoing.pop() for _ in range(len(machine.outgoing))]


def violation(machine: LinkMachine, frame: Frame, now: float = 0) -> str:
    with pytest.raises(PeerViolation) as caught:
        machine.receive(frame, now)
    return caught.value.code


# --- What is in order ---------------------------------------------------------------
def test_a_request_and_its_answer_are_one_frame_each_and_leave_nothing() -> None:
    ours, theirs = broker(), host()
    stream = ask(ours)
    (asked,) = drain(ours)
    assert theirs.receive(asked, 0) == asked
    theirs.send(theirs.streams[stream.id], response(data=b"hello", end=True))
    (answered,) = drain(theirs)
    assert ours.receive(answered, 0) == answered
    assert len(ours.streams) == len(theirs.streams) == 0
    assert not ours.outgoing
    assert not theirs.outgoing


def test_streams_are_numbered_from_one_and_rise() -> None:
    machine = broker()
    assert [ask(machine).id for _ in range(3)] == [1, 2, 3]


def test_an_answer_may_end_before_its_request_does() -> None:
    ours, theirs = broker(), host()
    stream = ours.open()
    ours.send(stream, request(data=b"half", end=False))
    theirs.receive(drain(ours)[0], 0)
    theirs.send(theirs.streams[1], response(end=True))
    ours.receive(drain(theirs)[0], 0)
    assert len(ours.streams) == 0
    # What of the request is on its way is dropped.
    assert theirs.receive(data(size=REQUEST_CREDIT_BYTES // 2), 0) is None
    assert theirs.receive(END, 0) is None


def test_a_reset_closes_a_stream_at_both_ends() -> None:
    ours, theirs = broker(), host()
    ask(ours)
    theirs.receive(drain(ours)[0], 0)
    ours.reset(1, "cancelled")
    reset = Reset(stream=1, code="cancelled")
    assert drain(ours) == [reset]
    assert theirs.receive(reset, 0) == reset
    assert len(ours.streams) == len(theirs.streams) == 0
    ours.reset(1, "cancelled")
    assert drain(ours) == [], "once"


def test_a_stream_whose_request_was_never_sent_is_not_reset_on_the_wire() -> None:
    machine = broker()
    stream = machine.open()
    machine.reset(stream.id, "cancelled")
    assert drain(machine) == []
    assert ask(machine).id == stream.id + 1


def test_frames_that_come_after_a_going_away_still_belong_to_their_streams() -> None:
    machine = broker()
    ask(machine)
    going = GoingAway(code="going_away", return_after_ms=500)
    assert machine.receive(going, 0) == going
    assert machine.receive(GoingAway(code="superseded"), 0) is None, "the first counts"
    assert machine.going == going
    assert machine.receive(response(end=True), 0) is not None
    with pytest.raises(Unavailable, match="host_unavailable"):
        machine.open()


def test_a_request_that_crosses_a_going_away_is_reset() -> None:
    machine = host()
    machine.go_away("going_away")
    assert machine.receive(request(), 0) is None
    assert drain(machine)[1:] == [Reset(stream=1, code="host_unavailable")]
    assert len(machine.streams) == 0


# --- A stream that is not there -------------------------------------------------------
@pytest.mark.hostile("T05")
@pytest.mark.parametrize("make", [host, broker])
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(data(7), id="T05 data"),
        pytest.param(Data(stream=7, end=True), id="T05 end"),
        pytest.param(Window(stream=7, credit=1), id="T05 window"),
        pytest.param(Reset(stream=7, code="cancelled"), id="T05 reset"),
    ],
)
def test_a_stream_that_never_was_costs_the_link(
    make: Callable[[], LinkMachine], frame: Frame
) -> None:
    assert violation(make(), frame) == "bad_frame"


@pytest.mark.hostile("T05")
def test_an_answer_to_nothing_costs_the_link() -> None:
    assert violation(broker(), response(7)) == "bad_frame"


@pytest.mark.hostile("T05", "T12")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(data(1), id="T05 data"),
        pytest.param(END, id="T05 end"),
        pytest.param(Window(stream=1, credit=5), id="T05 window"),
        pytest.param(Reset(stream=1, code="cancelled"), id="T05 reset"),
        pytest.param(response(data=b"again"), id="T12 head of an answer after the timeout"),
        pytest.param(response(data=b"again", end=True), id="T12 whole answer after the timeout"),
    ],
)
def test_what_comes_late_is_dropped_and_touches_no_other_stream(frame: Frame) -> None:
    machine = broker()
    first, second = ask(machine), ask(machine)
    machine.reset(first.id, "cancelled")
    drain(machine)
    before = (second.credit, second.got_head, second.account.window)
    assert machine.receive(frame, 0) is None
    assert (second.credit, second.got_head, second.account.window) == before
    assert not machine.outgoing
    assert machine.receive(response(2, b"mine", end=True), 0) is not None


@pytest.mark.hostile("T12")
def test_an_answer_that_comes_twice_is_dropped_the_second_time() -> None:
    machine = broker()
    ask(machine)
    whole = response(data=b"answer", end=True)
    assert machine.receive(whole, 0) == whole
    assert machine.receive(whole, 0) is None


@pytest.mark.hostile("T05", "T07")
def test_late_data_beyond_the_credit_there_was_costs_the_link() -> None:
    machine = broker()
    ask(machine)
    machine.reset(1, "cancelled")
    assert machine.receive(data(1, RESPONSE_CREDIT_BYTES), 0) is None
    assert violation(machine, data(1)) == "flow_control"


@pytest.mark.parametrize("number", [1, 2])
def test_a_number_that_does_not_rise_costs_the_link(number: int) -> None:
    machine = host()
    machine.receive(request(2), 0)
    assert violation(machine, request(number)) == "bad_frame"


def test_numbers_may_leave_gaps() -> None:
    machine = host()
    assert machine.receive(request(MAX_STREAM_ID - 1), 0) is not None
    assert machine.receive(request(MAX_STREAM_ID), 0) is not None


def test_a_broker_that_has_used_up_its_numbers_goes_away() -> None:
    machine = broker()
    machine.streams._last_id = MAX_STREAM_ID - 1
    assert ask(machine).id == MAX_STREAM_ID
    drain(machine)
    for _ in range(2):
        with pytest.raises(Unavailable, match="host_unavailable"):
            machine.open()
    assert drain(machine) == [GoingAway(code="going_away")]


# --- Out of order -----------------------------------------------------------------------
@pytest.mark.hostile("T06")
@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([data(1)], id="T06 data before the head"),
        pytest.param([END], id="T06 end before the head"),
        pytest.param([response(), response()], id="T06 head twice"),
        pytest.param([response(data=b"x"), data(1), response()], id="T06 head after data"),
    ],
)
def test_an_answer_out_of_order_costs_its_stream_and_nothing_else(frames: list[Frame]) -> None:
    machine = broker()
    ask(machine)
    ask(machine)
    drain(machine)
    *fine, bad = frames
    for frame in fine:
        assert machine.receive(frame, 0) == frame
    reset = Reset(stream=1, code="bad_host_response")
    assert machine.receive(bad, 0) == reset, "the owner learns of it"
    assert drain(machine) == [reset], "and so does the host"
    assert machine.receive(data(1, 5), 0) is None, "the rest is dropped"
    assert machine.receive(response(2, b"mine", end=True), 0) is not None


@pytest.mark.hostile("T06")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(data(1), id="T06 data after the end"),
        pytest.param(END, id="T06 end twice"),
    ],
)
def test_a_request_out_of_order_costs_its_stream(frame: Frame) -> None:
    machine = host()
    machine.receive(request(), 0)
    reset = Reset(stream=1, code="bad_frame")
    assert machine.receive(frame, 0) == reset
    assert drain(machine) == [reset]


@pytest.mark.hostile("T06")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(data(1), id="T06 data after the end"),
        pytest.param(END, id="T06 end twice"),
        pytest.param(response(), id="T06 head after the end"),
    ],
)
def test_what_follows_a_whole_answer_is_dropped(frame: Frame) -> None:
    machine = broker()
    ask(machine)
    machine.receive(response(end=True), 0)
    assert machine.receive(frame, 0) is None


# --- Credit ---------------------------------------------------------------------------
def test_an_answer_may_use_its_credit_to_the_last_byte() -> None:
    machine = broker()
    ask(machine)
    assert machine.receive(response(data=bytes(RESPONSE_CREDIT_BYTES)), 0) is not None


@pytest.mark.hostile("T07")
@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([response(data=bytes(RESPONSE_CREDIT_BYTES + 1))], id="T07 in the head"),
        pytest.param([response(), data(1, RESPONSE_CREDIT_BYTES), data(1)], id="T07 in data"),
    ],
)
def test_an_answer_beyond_its_credit_costs_the_link(frames: list[Frame]) -> None:
    machine = broker()
    ask(machine)
    *fine, bad = frames
    for frame in fine:
        machine.receive(frame, 0)
    assert violation(machine, bad) == "flow_control"


def test_a_request_may_be_64_kib_and_no_more_without_credit() -> None:
    machine = host()
    machine.receive(request(data=bytes(MAX_DATA_BYTES), end=False), 0)
    machine.receive(data(1, REQUEST_CREDIT_BYTES - MAX_DATA_BYTES), 0)
    assert violation(machine, data(1)) == "flow_control"


def test_what_was_taken_is_given_back_as_credit() -> None:
    machine = broker()
    stream = ask(machine)
    drain(machine)
    machine.receive(response(data=bytes(RESPONSE_CREDIT_BYTES)), 0)
    machine.consume(stream, RESPONSE_CREDIT_BYTES)
    (window,) = drain(machine)
    assert isinstance(window, Window)
    assert window.credit > RESPONSE_CREDIT_BYTES, "it ran out, so it grows"
    assert machine.receive(data(1, MAX_DATA_BYTES), 0) is not None


def test_credit_adds_up_to_the_most_that_a_window_may_be() -> None:
    machine = host()
    machine.receive(request(), 0)
    room = MAX_CREDIT - RESPONSE_CREDIT_BYTES
    assert machine.receive(Window(stream=1, credit=room), 0) is not None
    assert machine.streams[1].credit == MAX_CREDIT


@pytest.mark.hostile("T07")
def test_credit_past_it_costs_the_link() -> None:
    machine = host()
    machine.receive(request(), 0)
    room = MAX_CREDIT - RESPONSE_CREDIT_BYTES
    assert violation(machine, Window(stream=1, credit=room + 1)) == "flow_control"


def test_credit_for_a_body_that_has_ended_is_of_no_use_and_no_harm() -> None:
    machine = broker()
    ask(machine)
    assert machine.receive(Window(stream=1, credit=MAX_CREDIT), 0) is None


def test_an_end_sends_no_more_than_it_has_credit_for() -> None:
    machine = host()
    machine.receive(request(), 0)
    with pytest.raises(AssertionError, match="credit"):
        machine.send(machine.streams[1], response(data=bytes(RESPONSE_CREDIT_BYTES + 1)))


# --- Frames -------------------------------------------------------------------------------
@pytest.mark.parametrize("frame", [data(1, MAX_DATA_BYTES), data(1, MAX_DATA_BYTES + 1)])
def test_a_frame_holds_32_kib_of_a_body_and_no_more(frame: Data) -> None:
    machine = broker()
    stream = ask(machine)
    machine.receive(response(), 0)
    machine.receive(data(1, RESPONSE_CREDIT_BYTES), 0)
    machine.consume(stream, RESPONSE_CREDIT_BYTES)
    if len(frame.data) <= MAX_DATA_BYTES:
        assert machine.receive(frame, 0) == frame
    else:
        assert violation(machine, frame) == "bad_frame"


def test_a_late_frame_holds_no_more_either() -> None:
    machine = broker()
    ask(machine)
    machine.reset(1, "cancelled")
    assert violation(machine, data(1, MAX_DATA_BYTES + 1)) == "bad_frame"


@pytest.mark.hostile("T08")
def test_data_without_data_and_without_an_end_costs_the_link() -> None:
    machine = broker()
    ask(machine)
    machine.receive(response(), 0)
    assert violation(machine, Data(stream=1)) == "bad_frame"


ZEROS = bytes(32)


@pytest.mark.parametrize(
    ("make", "frame"),
    [
        (host, Challenge(nonce=ZEROS)),
        (host, Registered(public_url="https://x", lease_seconds=1, lifetime_seconds=1)),
        (host, Refused(code="rate_limited", message="")),
        (host, response()),
        (broker, Register(slug="demo", owner=ZEROS, proof=ZEROS)),
        (broker, request()),
    ],
)
def test_a_frame_of_another_time_or_direction_costs_the_link(
    make: Callable[[], LinkMachine], frame: Frame
) -> None:
    assert violation(make(), frame) == "bad_frame"


# --- How many -----------------------------------------------------------------------------
def test_a_broker_opens_256_streams_and_no_more() -> None:
    machine = broker()
    for _ in range(MAX_STREAMS):
        ask(machine)
    with pytest.raises(Unavailable, match="route_request_limit"):
        machine.open()
    machine.reset(9, "cancelled")
    assert ask(machine).id == MAX_STREAMS + 1


@pytest.mark.hostile("T17")
def test_a_host_takes_256_streams_and_resets_the_next() -> None:
    machine = host()
    for number in range(1, MAX_STREAMS + 1):
        assert machine.receive(request(number), 0) is not None
    assert machine.receive(request(MAX_STREAMS + 1, b"x", end=False), 0) is None
    assert drain(machine) == [Reset(stream=MAX_STREAMS + 1, code="route_request_limit")]
    assert len(machine.streams) == MAX_STREAMS
    # The broker sent the rest of that request before it heard of it.
    assert machine.receive(data(MAX_STREAMS + 1, MAX_DATA_BYTES, end=True), 0) is None


@pytest.mark.hostile("T17")
def test_a_flood_of_requests_opens_256_streams_and_ends_the_link() -> None:
    machine = host()
    taken = MAX_STREAMS + MAX_CONTROL_BURST
    for number in range(1, taken + 1):
        machine.receive(request(number), 0)
    assert violation(machine, request(taken + 1)) == "rate_limited"
    assert len(machine.streams) == MAX_STREAMS
    assert machine.outgoing.answers == MAX_CONTROL_BURST + 1


def flood(count: int, *, at: float, machine: LinkMachine, frame: Frame) -> None:
    for _ in range(count):
        machine.receive(frame, at)
        drain(machine)


@pytest.mark.hostile("W06")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(Ping(id=1), id="W06 pings"),
        pytest.param(Pong(id=1), id="W06 pongs"),
        pytest.param(Window(stream=1, credit=1), id="W06 windows"),
        pytest.param(Reset(stream=1, code="cancelled"), id="W06 resets"),
        pytest.param(GoingAway(code="going_away"), id="W06 goings away"),
        pytest.param(END, id="W06 ends of a closed stream"),
        pytest.param(response(), id="W06 heads of a closed stream"),
        pytest.param(data(), id="W06 single bytes for a closed stream"),
    ],
)
def test_frames_without_a_body_may_come_in_bursts_and_not_in_floods(frame: Frame) -> None:
    machine = broker()
    ask(machine)
    machine.reset(1, "cancelled")
    flood(MAX_CONTROL_BURST, at=0, machine=machine, frame=frame)
    assert violation(machine, frame) == "rate_limited"


def test_what_comes_late_is_no_flood_where_it_is_large() -> None:
    """It was on its way when its stream was closed; more than its credit is a fault anyway."""
    machine = broker()
    for number in range(1, 2 * MAX_CONTROL_BURST):
        ask(machine)
        machine.reset(number, "cancelled")
        drain(machine)
        for _ in range(RESPONSE_CREDIT_BYTES // SMALL_BYTES):
            machine.receive(data(number, SMALL_BYTES), 0)
    assert violation(machine, data(1, 1)) == "flow_control"


@pytest.mark.hostile("W06")
def test_a_host_that_comes_back_has_no_new_allowance() -> None:
    allowance = Allowance(0)
    flood(MAX_CONTROL_BURST, at=0, machine=LinkMachine(End.BROKER, allowance), frame=Ping(id=1))
    again = LinkMachine(End.BROKER, allowance)
    assert violation(again, Ping(id=1)) == "rate_limited"
    flood(MAX_CONTROL_FRAMES_PER_SECOND, at=1.1, machine=again, frame=Ping(id=1))


def test_as_many_frames_as_are_allowed_each_second_may_come_for_ever() -> None:
    machine = broker()
    for second in range(1, 60):
        flood(MAX_CONTROL_FRAMES_PER_SECOND, at=second, machine=machine, frame=Ping(id=1))
    rest = MAX_CONTROL_BURST - MAX_CONTROL_FRAMES_PER_SECOND
    flood(rest, at=59, machine=machine, frame=Ping(id=1))
    assert violation(machine, Ping(id=1), now=59) == "rate_limited"


def test_requests_that_are_answered_are_no_flood() -> None:
    machine = host()
    for number in range(1, MAX_CONTROL_BURST + 100):
        assert machine.receive(request(number), 0) is not None
        machine.send(machine.streams[number], response(number, end=True))
        drain(machine)


def test_credit_for_what_was_sent_is_no_flood_however_much_that_is() -> None:
    """Hundreds of large answers at once take thousands of small windows a second."""
    machine = host()
    machine.receive(request(), 0)
    for _ in range(2 * MAX_CONTROL_BURST):
        size = min(machine.streams[1].credit, MAX_DATA_BYTES)
        is_first = not machine.streams[1].sent_head
        machine.send(machine.streams[1], response(1, bytes(size)) if is_first else data(1, size))
        drain(machine)
        machine.receive(Window(stream=1, credit=size), 0)


def test_the_ends_and_resets_of_what_was_asked_are_no_flood() -> None:
    machine = broker()
    for number in range(1, MAX_CONTROL_BURST + 1):
        ask(machine)
        drain(machine)
        if number % 2:
            machine.receive(Reset(stream=number, code="internal_error"), 0)
        else:
            machine.receive(response(number), 0)
            machine.receive(Data(stream=number, end=True), 0)


@pytest.mark.hostile("T20")
def test_a_peer_that_does_not_read_is_cut_off_before_its_answers_fill_the_memory() -> None:
    machine = host()
    for number in range(MAX_UNREAD_ANSWERS):
        machine.receive(Ping(id=7), number / MAX_CONTROL_FRAMES_PER_SECOND)
    assert len(machine.outgoing) == MAX_UNREAD_ANSWERS
    assert violation(machine, Ping(id=7), now=60) == "rate_limited"


def test_bodies_that_wait_to_be_sent_do_not_count_as_unread_answers() -> None:
    machine = host()
    machine.receive(request(), 0)
    machine.send(machine.streams[1], response())
    for _ in range(MAX_UNREAD_ANSWERS + 1):
        machine.send(machine.streams[1], data(1))
    machine.receive(Ping(id=7), 0)
    assert drain(machine)[0] == Pong(id=7), "and it need not wait for them"


# --- The heartbeat ------------------------------------------------------------------------
def test_a_ping_is_answered_with_its_number() -> None:
    machine = host()
    machine.receive(Ping(id=MAX_CREDIT), 0)
    assert drain(machine) == [Pong(id=MAX_CREDIT)]


def test_a_pong_in_time_keeps_the_link() -> None:
    machine = host()
    machine.heartbeat.ask(0)
    (ping,) = drain(machine)
    assert isinstance(ping, Ping)
    machine.receive(Pong(id=ping.id), PONG_SECONDS - 0.1)
    machine.heartbeat.ask(PONG_SECONDS)
    assert len(drain(machine)) == 1, "the next one"


def test_one_ping_is_out_at_a_time() -> None:
    machine = host()
    machine.heartbeat.ask(0)
    machine.heartbeat.ask(PONG_SECONDS - 0.1)
    assert len(drain(machine)) == 1


@pytest.mark.hostile("T16")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(data(1), id="T16 it sends data"),
        pytest.param(Ping(id=1), id="T16 it sends pings"),
        pytest.param(Pong(id=99), id="T16 it sends other pongs"),
    ],
)
def test_nothing_but_the_pong_is_a_sign_of_life(frame: Frame) -> None:
    machine = broker()
    ask(machine)
    machine.receive(response(), 0)
    machine.heartbeat.ask(0)
    for second in range(PONG_SECONDS):
        machine.receive(frame, second)
    with pytest.raises(PeerViolation, match="heartbeat_timeout"):
        machine.heartbeat.ask(PONG_SECONDS)


def test_a_ping_that_is_asked_anew_waits_from_then() -> None:
    machine = host()
    machine.heartbeat.ask(0)
    machine.heartbeat.ask_anew(100)
    first, second = reversed(drain(machine))
    assert isinstance(first, Ping)
    assert isinstance(second, Ping)
    machine.receive(Pong(id=first.id), 101)
    assert not machine.heartbeat.is_alive
    machine.heartbeat.ask(104, 5)
    machine.receive(Pong(id=second.id), 104)
    assert machine.heartbeat.is_alive


@pytest.mark.hostile("T16")
def test_a_link_that_only_answers_pings_is_alive() -> None:  # streams have deadlines
    machine = broker()
    for second in range(0, 3600, 10):
        machine.heartbeat.ask(second)
        (ping,) = drain(machine)
        assert isinstance(ping, Ping)
        machine.receive(Pong(id=ping.id), second)
