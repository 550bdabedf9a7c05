"""The access log: JSON lines with a few keys, and nothing in them that a peer chose.

    event, route_hash, method, path_class, status, duration_ms, bytes_in, bytes_out,
    wait_held_ms, error

A reader that is slow, stuck or gone never holds up the broker: lines wait in a bounded
queue, one task writes them in a thread, and what has no place is dropped. A line with the
event ``drop`` then says that lines are missing; the metrics say how many.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Protocol, get_args

import msgspec
import trio

from agentgather.broker.hashes import ROUTE_HASH_CHARS
from agentgather.broker.site import OTHER, PATH_CLASSES
from agentgather.wire.errors import CODES
from agentgather.wire.limits import MAX_LOG_LINES
from agentgather.wire.link import CLOSE_CODES

Event = Literal["request", "link_open", "link_end", "register", "drop", "start", "stop"]
Note = Callable[[Event, str, str | None], None]
"""Told of an event, the slug that it is about or "", and a code."""
EVENTS: Final[frozenset[str]] = frozenset(get_args(Event))

LAST_LINES_SECONDS: Final = 1
"""How long a stopping broker waits for the reader of its last lines."""
MAX_BATCH_LINES: Final = 256
"""Lines in one write: about 64 KiB, what a pipe holds."""
LINGER_SECONDS: Final = 0.1
"""How long the first line waits for others. Each write takes the interpreter's lock from
the event loop: at 2,000 requests/s, a write for every few lines cost a fifth of the loop."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST"})
# Beside those of the two tables: why a stream or a link ended before its time.
_ERRORS: Final = frozenset({*CODES, *CLOSE_CODES, "cancelled", "unread_answer"})
_ROUTE_HASH: Final = re.compile(rf"[0-9a-f]{{{ROUTE_HASH_CHARS}}}", re.ASCII)


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. A key whose value is None is not in it. :func:`encode_line` fills it."""

    event: str
    route_hash: str | None = None
    method: str | None = None
    path_class: str | None = None
    status: int | None = None
    duration_ms: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    wait_held_ms: int | None = None
    error: str | None = None


_encoder: Final = msgspec.json.Encoder()


def encode_line(
    event: Event,
    *,
    route_hash: str | None = None,
    method: str | None = None,
    path_class: str | None = None,
    status: int | None = None,
    duration_ms: int | None = None,
    bytes_in: int | None = None,
    bytes_out: int | None = None,
    wait_held_ms: int | None = None,
    error: str | None = None,
) -> bytes:
    """Give a line with its end. Texts that are not of a closed set are replaced, not written."""
    if method is not None and method not in _METHODS:
        method = "OTHER"
    if path_class is not None and path_class not in PATH_CLASSES:
        path_class = OTHER
    if error is not None and error not in _ERRORS:
        # A peer names the code of a reset; it could be anything.
        error = OTHER
    if route_hash is not None and _ROUTE_HASH.fullmatch(route_hash) is None:
        route_hash = None
    line = Line(
        event=event if event in EVENTS else OTHER,
        route_hash=route_hash,
        method=method,
        path_class=path_class,
        status=status,
        duration_ms=duration_ms,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        wait_held_ms=wait_held_ms,
        error=error,
    )
    return _encoder.encode(line) + b"\n"


class RawStream(Protocol):
    """An unbuffered binary stream, such as ``open(1, "wb", buffering=0, closefd=False)``.

    Unbuffered, because a thread that is stuck in a buffered one holds a lock that the end
    of the process waits for.
    """

    def write(self, data: bytes, /) -> int | None:
        """Write some of it, and say how much; None is nothing."""


class AccessLog:
    """Lines on their way to a stream. ``on_drop`` is told how many were dropped."""

    def __init__(self, stream: RawStream, on_drop: Callable[[int], None] = lambda _: None) -> None:
        self._stream = stream
        self._on_drop = on_drop
        self._send, self._receive = trio.open_memory_channel[bytes](MAX_LOG_LINES)
        self._closing = trio.Event()
        self._has_dropped = False
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Queue a line of :func:`encode_line`, or drop it. Never blocks, never raises."""
        try:
            if self._has_dropped:
                self._send.send_nowait(encode_line("drop"))
                self._has_dropped = False
            self._send.send_nowait(line)
        except (trio.WouldBlock, trio.ClosedResourceError):
            self._drop(1)

    def close(self) -> None:
        """Take no more; :meth:`run` returns when it has written what waits.

        The caller cancels it ``LAST_LINES_SECONDS`` later: the reader may be stuck.
        """
        self._send.close()
        self._closing.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write lines until :meth:`close`. Exactly one task runs this; it raises nothing.

        Cancelling it leaves a thread that is stuck to itself; the process may end.
        """
        task_status.started()
        async for first in self._receive:
            with trio.move_on_after(LINGER_SECONDS):
                await self._closing.wait()
            batch = [first, *self._waiting(MAX_BATCH_LINES - 1)]
            while batch:
                if not await trio.to_thread.run_sync(
                    self._write_all, b"".join(batch), abandon_on_cancel=True
                ):
                    self._drop(len(batch))
                # What a full batch left behind has lingered with it.
                is_full = len(batch) == MAX_BATCH_LINES
                batch = self._waiting(MAX_BATCH_LINES) if is_full else []

    def _waiting(self, most: int) -> list[bytes]:
        lines: list[bytes] = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while len(lines) < most:
                lines.append(self._receive.receive_nowait())
        return lines

    def _drop(self, count: int) -> None:
        self._has_dropped = True
        self._on_drop(count)

    def _write_all(self, data: bytes) -> bool:
        """Write a batch. False: nobody takes it, or the disk is full; the next may do."""
        if self._is_torn:
            data = b"\n" + data
        left = memoryview(data)
        try:
            while left:
                count = self._stream.write(bytes(left)) or 0
                if count == 0:
                    break
                left = left[count:]
        except (OSError, ValueError):
            pass  # ValueError: the stream is closed.
        # The next line must not become part of one that was cut.
        self._is_torn = 0 < len(left) < len(data) or (self._is_torn and len(left) == len(data))
        return not left
