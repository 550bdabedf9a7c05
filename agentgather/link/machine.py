"""One registered link as a state machine: streams, credit, heartbeat. Pure.

Frames go in by :meth:`LinkMachine.receive`, which gives back what the driver has to act
on; what is to be sent lies in ``outgoing``. A stream, at either end:

    opened --head--> begun --end--> ended        any of them --reset--> closed
    it is closed as well, and forgotten, once the answer has ended

What a peer can get wrong has two sizes. A frame that is out of order within its stream
resets the stream. A frame that no sound peer can send ends the link: PeerViolation.
"""

from enum import Enum
from typing import Final

from agentgather.link.allowance import Allowance
from agentgather.link.heartbeat import Heartbeat
from agentgather.link.ledger import Ledger
from agentgather.link.outgoing import Frame, Outgoing
from agentgather.link.streams import Streams, StreamState
from agentgather.wire.errors import PeerViolation, Unavailable
from agentgather.wire.limits import (
    MAX_DATA_BYTES,
    MAX_STREAMS,
    MAX_UNREAD_ANSWERS,
    REQUEST_CREDIT_BYTES,
    RESPONSE_CREDIT_BYTES,
    SMALL_BYTES,
)
from agentgather.wire.link import (
    MAX_CREDIT,
    Data,
    GoingAway,
    Ping,
    Pong,
    Request,
    Reset,
    Response,
    Window,
)


class End(Enum):
    """Which end of the link this is."""

    HOST = "answers requests"
    BROKER = "makes requests"


class LinkMachine:
    """One end of a link, from its registration on. ``allowance`` is the peer's.

    ``going`` is the first GoingAway that was sent or came; no stream is opened after it.
    """

    def __init__(self, end: End, allowance: Allowance, *, max_streams: int = MAX_STREAMS) -> None:
        self.end: Final = end
        self.outgoing: Final = Outgoing()
        self.heartbeat: Final = Heartbeat(self.outgoing)
        self.going: GoingAway | None = None
        is_host = end is End.HOST
        first = (REQUEST_CREDIT_BYTES, RESPONSE_CREDIT_BYTES)
        takes, sends = first if is_host else reversed(first)
        self._ledger = Ledger(takes, max_streams, may_grow=not is_host)
        self.streams: Final = Streams(self._ledger, send_credit=sends, most=max_streams)
        self._parts = (Data, Request if is_host else Response)
        self._fault = "bad_frame" if is_host else "bad_host_response"
        self._allowance = allowance

    # --- What the driver does ------------------------------------------------------
    def open(self) -> StreamState:
        """Begin a stream at the broker's end; its head has to be sent before any other's.

        Raises:
            Unavailable: ``route_request_limit``, or ``host_unavailable``: the link is ending.

        """
        if self.going is None and self.streams.is_used_up:
            # The host comes back on another link, where the numbers begin anew.
            self.go_away("going_away")
        if self.going is not None:
            raise Unavailable("host_unavailable", retry_after=1)
        if self.streams.is_full:
            raise Unavailable("route_request_limit", retry_after=1)
        return self.streams.add()

    def send(self, stream: StreamState, frame: Request | Response | Data) -> None:
        """Queue a head or a piece of a body of an open stream, within its credit."""
        assert stream.id in self.streams, "nothing follows on a closed stream"
        assert len(frame.data) <= min(stream.credit, MAX_DATA_BYTES), "credit is asked before"
        assert not stream.sent_end, "nothing follows the end"
        assert isinstance(frame, Data) == stream.sent_head, "a head comes first, and once"
        stream.credit -= len(frame.data)
        stream.sent_head = True
        stream.sent_end = frame.end
        self.outgoing.push(frame)
        self._allowance.excuse()
        if frame.end and self.end is End.HOST:
            self.streams.close(stream.id)

    def consume(self, stream: StreamState, size: int) -> None:
        """Note that ``size`` bytes of a body left the buffer. It may give more credit."""
        credit = self._ledger.consume(stream.account, size, is_ended=stream.got_end)
        if credit:
            self.outgoing.push(Window(stream=stream.id, credit=credit))

    def reset(self, stream_id: int, code: str) -> None:
        """End a stream half-way; one that is closed already stays as it is."""
        if stream_id not in self.streams:
            return
        # The peer takes a reset of what it never heard of for a fault.
        if self.end is End.HOST or self.streams[stream_id].sent_head:
            self.outgoing.push(Reset(stream=stream_id, code=code))
        self.streams.close(stream_id)

    def go_away(self, code: str, return_after_ms: int = 0) -> None:
        """Announce that no stream is to be opened any more."""
        frame = GoingAway(code=code, return_after_ms=return_after_ms)
        self.outgoing.push(frame)
        if self.going is None:
            self.going = frame

    # --- What the peer does --------------------------------------------------------
    def receive(self, frame: Frame, now: float) -> Frame | None:
        """Take a frame. Gives back what the driver acts on: the frame, or the Reset in its place.

        None where there is nothing to do, such as for what comes late to a closed stream.

        Raises:
            PeerViolation: the link has to end.

        """
        if self.outgoing.answers >= MAX_UNREAD_ANSWERS:
            raise PeerViolation("rate_limited", "answers are not read")
        if isinstance(frame, self._parts):
            return self._receive_part(frame, now)
        self._allowance.count(now)
        match frame:
            case Window():
                return self._receive_window(frame)
            case Reset():
                self.streams.find(frame.stream)
                return frame if self.streams.close(frame.stream) else None
            case Ping():
                self.outgoing.push(Pong(id=frame.id))
            case Pong():
                self.heartbeat.hear(frame.id)
            case GoingAway():
                if self.going is None:
                    self.going = frame
                    return frame
            case _:
                raise PeerViolation("bad_frame", "not on a registered link, or not to this end")
        return None

    def _receive_part(self, frame: Request | Response | Data, now: float) -> Frame | None:
        size = len(frame.data)
        if size > MAX_DATA_BYTES:
            raise PeerViolation("bad_frame", "a frame holds at most 32 KiB of a body")
        is_head = not isinstance(frame, Data)
        if not (is_head or size or frame.end):
            raise PeerViolation("bad_frame", "data without data")
        is_new = isinstance(frame, Request)
        stream = self._admit(frame.stream) if is_new else self.streams.find(frame.stream)
        # A large piece that comes late is bounded by its bytes.
        if (stream is None and (is_head or size < SMALL_BYTES)) or not (is_head or size):
            self._allowance.count(now)
        if stream is None:
            self._ledger.receive_late(size)
            return None
        if stream.got_end or stream.got_head is is_head:
            self.reset(frame.stream, self._fault)
            return Reset(stream=frame.stream, code=self._fault)
        self._ledger.receive(stream.account, size)
        stream.got_head = True
        stream.got_end = frame.end
        if frame.end and self.end is End.BROKER:
            self.streams.close(frame.stream)
        return frame

    def _admit(self, stream_id: int) -> StreamState | None:
        stream = self.streams.admit(stream_id)
        if stream is not None and self.going is None:
            return stream
        code = "route_request_limit" if self.going is None else "host_unavailable"
        if stream is not None:
            self.reset(stream_id, code)
        else:
            self.outgoing.push(Reset(stream=stream_id, code=code))
            self._ledger.forgive(REQUEST_CREDIT_BYTES)
        return None

    def _receive_window(self, frame: Window) -> Frame | None:
        stream = self.streams.find(frame.stream)
        if stream is None or stream.sent_end:
            return None
        stream.credit += frame.credit
        if stream.credit > MAX_CREDIT:
            raise PeerViolation("flow_control", "credit without end")
        return frame
