"""A host that has no link: it asks for requests, and posts whole answers.

    open --> pending --a poll takes it--> at the host --respond--> answered
      any of them --the participant leaves, or the host goes--> over; a late answer is refused

A request is given away once. Where the poll that took it breaks before it is written, the
participant hears so when ``ANSWER_SECONDS`` are over: nobody knows whether it was read,
and a post that is given twice may be made twice. Polls wait, and data never travels
through the wake-up: whoever is woken looks again.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio
from msgspec import UNSET

from agentgather.broker.held_polls import HeldPolls
from agentgather.broker.polled_request import PolledRequest
from agentgather.edge.bodies import ClientLeft, Receive
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import (
    ANSWER_SECONDS,
    HOST_SILENT_SECONDS,
    MAX_OLDER_WAITS,
    MAX_ROUTE_BODY_BYTES,
    MAX_ROUTE_BUFFER_BYTES,
    MAX_STREAMS,
)
from agentgather.wire.link import Headers, Response
from agentgather.wire.older import Envelope

RETRY_SECONDS: Final = 5
"""When to ask again for a place at a host, or for a host that is away."""
BUSY_SECONDS: Final = ANSWER_SECONDS + 5
"""How long a wait holds a place at its host that answers it never, or too late."""


class PollingHost:
    """One older host. ``mint`` makes ids; ``on_end`` is told why it is over."""

    def __init__(
        self, slug: str, mint: Callable[[], str], *, on_end: Callable[[str], None]
    ) -> None:
        self.slug: Final = slug
        self._seen_at = trio.current_time()
        self._mint = mint
        self._on_end = on_end
        self._end_code: str | None = None
        self._pending: deque[PolledRequest] = deque()
        self._open: dict[str, PolledRequest] = {}
        self._waits: dict[str, float] = {}
        self._polls = HeldPolls()
        self._buffered_bytes = 0
        self._room = trio.lowlevel.ParkingLot()

    def see(self) -> None:
        """Note that the host was heard of."""
        self._seen_at = trio.current_time()

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard of it for ``HOST_SILENT_SECONDS``."""
        return trio.current_time() - self._seen_at >= HOST_SILENT_SECONDS

    # --- The participants' side ----------------------------------------------------
    async def open(
        self, *, method: str, path: bytes, query: bytes, headers: Headers, body: bytes
    ) -> PolledRequest:
        """Ask the host; see :class:`agentgather.broker.hosts.Host`. Does not block.

        Raises:
            Rejected: ``unsupported_route``.
            Unavailable: ``host_unavailable``, ``route_request_limit``, ``wait_limit``.

        """
        if self.is_silent or self._end_code is not None:
            raise Unavailable("host_unavailable", retry_after=RETRY_SECONDS)
        if path == b"/events":
            raise Rejected("unsupported_route", "this host can't stream events; use GET /wait")
        is_wait = path == b"/wait" and method != "HEAD"
        self._check_room(len(body), is_wait=is_wait)
        request_id = self._mint()
        envelope = Envelope(
            request_id=request_id,
            route_slug=self.slug,
            method=method,
            path=(path + (b"?" + query if query else b"")).decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers},
            body_base64=body or UNSET,
        )
        request = PolledRequest(envelope, self)
        self._open[request_id] = request
        self._pending.append(request)
        if is_wait:
            self._waits[request_id] = trio.current_time() + BUSY_SECONDS
        self._wake()
        return request

    def _check_room(self, size: int, *, is_wait: bool) -> None:
        waiting = sum(request.body_size for request in self._pending)
        if len(self._open) >= MAX_STREAMS or waiting + size > MAX_ROUTE_BODY_BYTES:
            raise Unavailable("route_request_limit", retry_after=RETRY_SECONDS)
        if not is_wait:
            return
        now = trio.current_time()
        self._waits = {key: until for key, until in self._waits.items() if until > now}
        if len(self._waits) >= MAX_OLDER_WAITS:
            raise Unavailable("wait_limit", retry_after=RETRY_SECONDS)

    def end(self, code: str) -> None:
        """Let it go: its polls are told, and what it was asked fails."""
        if self._end_code is not None:
            return
        self._end_code = code
        for request in list(self._open.values()):
            request.reset(code)
        self._polls.wake_all()
        self._on_end(code)

    def release(self) -> None:
        """Answer every poll that is held, as if nothing had come."""
        self._polls.wake_all()

    # --- The host's side -----------------------------------------------------------
    async def poll(self, receive: Receive) -> Envelope | None:
        """Give the next request; None after ``POLL_SECONDS`` without one.

        Raises:
            Rejected: ``route_expired``, ``route_closed``: the route is over.
            ClientLeft: the host closed the connection. No request was taken.

        """
        if not self._pending and self._end_code is None:
            try:
                await self._polls.hold(receive)
            except ClientLeft:
                # It may have been woken for a request that another one is to take now.
                self._wake()
                raise
        if self._end_code in ("route_expired", "route_closed"):
            raise Rejected(self._end_code)
        if not self._pending:
            return None
        envelope = self._pending.popleft().envelope
        if envelope.request_id in self._waits:
            self._waits[envelope.request_id] = trio.current_time() + BUSY_SECONDS
        return envelope

    async def answer(self, request_id: str, head: Response, body: bytes) -> None:
        """Give a participant the answer of the host. Waits while the route's buffer is full.

        Raises:
            Rejected: ``unknown_request``: nobody waits for it, or not any more.

        """
        request = self._take_back(request_id)
        while self._buffered_bytes and self._buffered_bytes + len(body) > MAX_ROUTE_BUFFER_BYTES:
            if request.reset_code is not None:
                break
            await self._room.park()
        if request.reset_code is not None or request.head is not None:
            raise Rejected("unknown_request")
        self._buffered_bytes += len(body)
        request.answer(head, body)

    def fail(self, request_id: str, code: str) -> None:
        """Tell a participant that the host's answer is none. Raises Rejected."""
        self._take_back(request_id).reset(code)

    def _take_back(self, request_id: str) -> PolledRequest:
        self._waits.pop(request_id, None)
        request = self._open.get(request_id)
        if request is None or request in self._pending or request.head is not None:
            raise Rejected("unknown_request")
        return request

    # --- For its requests ----------------------------------------------------------
    def forget(self, request: PolledRequest) -> None:
        """Note that a request is over, however it ended."""
        self._open.pop(request.envelope.request_id, None)
        if request in self._pending:
            self._pending.remove(request)
            self._waits.pop(request.envelope.request_id, None)
        self._room.unpark_all()

    def free(self, size: int) -> None:
        """Note that some of an answer has left the buffer."""
        self._buffered_bytes -= size
        self._room.unpark_all()

    def _wake(self) -> None:
        if self._pending:
            self._polls.wake()
