"""One request that came over a link, and its answer on the way back."""

import logging
from collections.abc import Awaitable, Callable, Set
from typing import Final

import trio

from agentgather.edge.answers import header_list, refusal
from agentgather.link.stream import StreamOver
from agentgather.tunnel.guard import admit_request
from agentgather.tunnel.incoming import Incoming
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import ANSWER_SECONDS, BODY_SECONDS, MAX_BODY_BYTES
from agentgather.wire.link import Headers, Request, Response

logger: Final = logging.getLogger("agentgather.tunnel")


class Call:
    """A request that has passed the guard. ``target`` is path and query as they came.

    ``passed_on`` are the names of the answer's headers that go to the broker. ``has_begun``
    once some of the answer is sent, ``is_over`` once all of it is. What is sent after that
    goes nowhere.
    """

    def __init__(
        self,
        stream: Incoming,
        head: Request,
        headers: Headers,
        body: bytes,
        *,
        passed_on: Set[bytes],
    ) -> None:
        self.stream: Final = stream
        self._id: Final = head.stream
        self.method: Final = head.method
        self.target: Final = head.path + (b"?" + head.query if head.query else b"")
        self.headers: Final = headers
        self.body: Final = body
        self._passed_on = passed_on
        self.has_begun = False
        self.is_over = False

    async def send_first(self, status: int, headers: Headers, body: bytes, *, end: bool) -> None:
        """Send the head with the first of the body. With ``end`` that is all, in one frame.

        Raises:
            StreamOver: the participant left, or takes nothing any more.

        """
        if self.method == "HEAD" or status in (204, 304):
            body, end = b"", True
        self.has_begun = True
        self.is_over = end
        passed = tuple(pair for pair in headers if pair[0] in self._passed_on)
        with trio.move_on_after(ANSWER_SECONDS) as deadline:
            await self.stream.send_head(
                Response(stream=self._id, status=status, headers=passed, data=body, end=end)
            )
        self._check(deadline)

    async def send_next(self, body: bytes, *, end: bool) -> None:
        """Send more of the body, or its end.

        Raises:
            StreamOver: the participant left, or takes nothing any more.

        """
        if self.is_over:
            return
        self.is_over = end
        with trio.move_on_after(ANSWER_SECONDS) as deadline:
            await self.stream.send(body, end=end)
        self._check(deadline)

    async def refuse(self, error: Rejected) -> None:
        """Answer with an error, or, where an answer has begun, break it off.

        Raises:
            StreamOver: the participant left.

        """
        if self.has_begun:
            self.stream.reset(error.code)
            return
        answer = refusal(error)
        await self.send_first(answer.status, tuple(header_list(answer)), answer.body, end=True)

    def _check(self, deadline: trio.CancelScope) -> None:
        if deadline.cancelled_caught:
            # A broker that gives no credit must not keep a task and its answer here.
            self.stream.reset("unread_answer")
            raise StreamOver("unread_answer")


async def serve_stream(
    stream: Incoming, answer: Callable[[Call], Awaitable[None]], *, passed_on: Set[bytes]
) -> None:
    """Have a stream's request answered, whatever happens meanwhile; raises only Cancelled.

    ``answer`` may raise Rejected for an answer that it has not begun, and StreamOver.
    """
    head = stream.head
    assert isinstance(head, Request), "a stream at a host begins with a request"
    # Until it is checked, the request is none: only the form of a refusal depends on it.
    method = "HEAD" if head.method == "HEAD" else "GET"
    unread = Request(stream=head.stream, method=method, path=b"/")
    call = Call(stream, unread, (), b"", passed_on=passed_on)
    try:
        try:
            call = await _receive_call(stream, head, passed_on)
            await answer(call)
            if not call.is_over and stream.reset_code is None:
                logger.error("an answer has no end")
                await call.refuse(Rejected("internal_error"))
        except Rejected as error:
            await call.refuse(error)
        except StreamOver:
            raise
        except Exception:
            logger.exception("a request through the tunnel failed")
            await call.refuse(Rejected("internal_error"))
    except StreamOver:
        return


async def _receive_call(stream: Incoming, head: Request, passed_on: Set[bytes]) -> Call:
    headers = admit_request(head)
    body = await _receive_body(stream)
    if body and head.method != "POST":
        raise Rejected("unexpected_body")
    return Call(stream, head, headers, body, passed_on=passed_on)


async def _receive_body(stream: Incoming) -> bytes:
    pieces = [stream.take()]
    size = len(pieces[0])
    with trio.move_on_after(BODY_SECONDS) as deadline:
        while not stream.is_ended and size <= MAX_BODY_BYTES:
            if stream.reset_code is not None:
                raise StreamOver(stream.reset_code)
            await stream.wait_news()
            pieces.append(stream.take())
            size += len(pieces[-1])
    if size > MAX_BODY_BYTES:
        raise Rejected("body_too_large")
    if deadline.cancelled_caught:
        raise Rejected("body_timeout")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
