"""What waits to be sent on a link. Pure."""

from collections import deque
from typing import Final

from agentgather.wire.limits import MAX_QUEUED_BYTES
from agentgather.wire.link import Data, FromBroker, FromHost, Ping, Pong, Request, Response

Frame = FromHost | FromBroker

_FRAME_BYTES: Final = 128
"""What the smallest frame takes while it waits: many of them must count as well."""
_FIELD_BYTES: Final = 16
"""What a header takes beside its name and its value, on the wire at most."""


class Outgoing:
    """Frames, the first to be sent first. Pings and pongs wait for no others.

    ``size`` is about what they take, in bytes. ``answers`` counts those that carry neither
    a head nor a body: nearly all of them are there because of something that the peer sent.
    """

    __slots__ = ("_frames", "answers", "size")

    def __init__(self) -> None:
        self._frames: deque[tuple[Frame, int]] = deque()
        self.size = 0
        self.answers = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def has_room(self) -> bool:
        """Whether heads and bodies may be added."""
        return self.size < MAX_QUEUED_BYTES

    def push(self, frame: Frame) -> None:
        """Add a frame: at the end, but for pings and pongs."""
        size = _FRAME_BYTES
        if isinstance(frame, Request | Response | Data):
            size += len(frame.data)
            if not isinstance(frame, Data):
                size += head_bytes(frame)
        else:
            self.answers += 1
        self.size += size
        if isinstance(frame, Ping | Pong):
            # On a slow line a full queue alone would take longer than a pong may.
            self._frames.appendleft((frame, size))
        else:
            self._frames.append((frame, size))

    def pop(self) -> Frame:
        """Take the first frame."""
        frame, size = self._frames.popleft()
        self.size -= size
        if not isinstance(frame, Request | Response | Data):
            self.answers -= 1
        return frame

    def clear(self) -> None:
        """Drop all frames."""
        self._frames.clear()
        self.size = self.answers = 0


def head_bytes(frame: Request | Response) -> int:
    """Say how long a head is on the wire, at most, without the data in it."""
    size = sum(len(name) + len(value) + _FIELD_BYTES for name, value in frame.headers)
    if isinstance(frame, Request):
        size += len(frame.method) + len(frame.path) + len(frame.query)
    return size
