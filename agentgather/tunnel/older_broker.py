"""The host's end at a broker of 0.1.0 to 0.2.5, which has no link: it is polled.

    register --> poll, again and again; each request is answered in its own task
             --> heartbeat every 10 s --> close

Those brokers answer a poll at once, so it is asked as often as their own hosts ask: every
50 ms, here by four tasks in turn, which also keep up where the way is long. How many
requests are served at once is the broker's limit, so a held wait stops nothing.

They pass on whole answers only, and never say that a participant has left. So an event
stream is refused with the way to go, and a wait is held to its end.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import trio

from agentgather.link.channel import LinkEnd
from agentgather.tunnel.events import TunnelPlan
from agentgather.tunnel.guard import OLDER_ANSWER_HEADERS
from agentgather.tunnel.older_calls import CallFailed, CallRefused, OlderCalls
from agentgather.tunnel.older_registration import register_older
from agentgather.tunnel.older_request import OlderRequest, refused
from agentgather.tunnel.responder import Responder
from agentgather.wire.errors import Refusal
from agentgather.wire.limits import ANSWER_SECONDS, HOST_SILENT_SECONDS
from agentgather.wire.older import Credentials, Envelope, OlderAnswer

POLLERS: Final = 4
POLL_PAUSE_SECONDS: Final = 0.2
"""Of each of the pollers, after a poll that gave nothing."""
BEAT_SECONDS: Final = 10
MAX_REQUESTS: Final = 64
"""What such a broker lets into one room at once."""
FAILED_PAUSE_SECONDS: Final = 1
"""After a call that had no answer."""
STOP_SECONDS: Final = 3
"""How long requests in flight, and the close, may take when the tunnel is told to stop."""

_OVER: Final = frozenset({"route_closed", "route_expired", "route_not_found"})
_REFUSAL: Final = msgspec.json.Decoder(Refusal)


def is_older_broker(status: int, body: bytes) -> bool:
    """Say whether a WebSocket handshake to ``LINK_PATH`` was answered by an older broker.

    To it that is a GET where a host may only POST.
    """
    try:
        return status == 405 and _REFUSAL.decode(body).error == "unsupported_route"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


class OlderAttempt:
    """One attempt at an older broker; see :class:`agentgather.tunnel.attempt.Attempt`."""

    def __init__(
        self,
        plan: TunnelPlan,
        responder: Responder,
        new_calls: Callable[[str], OlderCalls] = OlderCalls,
    ) -> None:
        self.opened_at: float | None = None
        self._plan = plan
        self._responder = responder
        self._calls = new_calls(plan.broker)
        self._scope = trio.CancelScope()
        self._is_stopping = False
        self._requests = 0
        self._idle = trio.Event()
        self._heard_at = 0.0
        self._end = LinkEnd("going_away", by_peer=False)

    async def run(self, on_open: Callable[[str], None]) -> LinkEnd | None:
        """Register, and serve until the route is over or the broker is silent.

        None: :meth:`stop` came before the registration. ``on_open`` is told the public URL.

        Raises:
            NoLink, RegistrationRefused: there is no route.

        """
        try:
            with self._scope:
                credentials = await register_older(self._calls, self._plan.slug)
                public_url = f"{self._plan.broker}/{self._plan.slug}"
                self._responder.serve_at(public_url, passed_on=OLDER_ANSWER_HEADERS)
                self.opened_at = self._heard_at = trio.current_time()
                on_open(public_url)
                await self._serve(credentials)
            if self.opened_at is None:
                return None
            if self._is_stopping:
                await self._close(credentials)
            return self._end
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._calls.close_connections()

    async def stop(self) -> None:
        """End it: what is in flight may end before, for so long."""
        self._is_stopping = True
        if self.opened_at is not None:
            with trio.move_on_after(STOP_SECONDS):
                while self._requests:
                    self._idle = trio.Event()
                    await self._idle.wait()
        self._scope.cancel()

    def suspect(self) -> None:
        """Find out whether the broker is there; the polls do that by themselves."""

    async def _serve(self, credentials: Credentials) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat, credentials)
            for _ in range(POLLERS):
                nursery.start_soon(self._poll, credentials, nursery)
                # Each asks at another moment.
                await trio.sleep(POLL_PAUSE_SECONDS / POLLERS)

    async def _poll(self, credentials: Credentials, handler_nursery: trio.Nursery) -> None:
        while not self._is_stopping:
            envelope: Envelope | None = None
            pause = POLL_PAUSE_SECONDS
            if self._requests < MAX_REQUESTS:
                try:
                    envelope = await self._calls.poll(credentials)
                    self._heard_at = trio.current_time()
                except (CallFailed, CallRefused) as error:
                    self._check(error)
                    pause = FAILED_PAUSE_SECONDS
            if envelope is None:
                await trio.sleep(pause)
            else:
                self._requests += 1
                handler_nursery.start_soon(self._answer, credentials, envelope)

    async def _beat(self, credentials: Credentials) -> None:
        while True:
            await trio.sleep(BEAT_SECONDS)
            try:
                await self._calls.beat(credentials)
                self._heard_at = trio.current_time()
            except (CallFailed, CallRefused) as error:
                self._check(error)

    def _check(self, error: CallFailed | CallRefused) -> None:
        """End it where the route is over, or the broker was not heard for too long."""
        if isinstance(error, CallRefused) and error.code in _OVER:
            self._end = LinkEnd(error.code, by_peer=False)
        elif trio.current_time() - self._heard_at >= HOST_SILENT_SECONDS:
            self._end = LinkEnd("heartbeat_timeout", by_peer=False)
        else:
            return
        self._scope.cancel()

    async def _answer(self, credentials: Credentials, envelope: Envelope) -> None:
        try:
            with trio.move_on_after(ANSWER_SECONDS):
                answer = await self._ask(envelope)
                for _ in range(2):  # a kept connection may have ended the moment before
                    try:
                        await self._calls.respond(credentials, envelope.request_id, answer)
                    except CallRefused:
                        break  # nobody waits for it any more
                    except CallFailed:
                        continue
                    break
        finally:
            self._requests -= 1
            self._idle.set()

    async def _ask(self, envelope: Envelope) -> OlderAnswer:
        if envelope.path.partition("?")[0] == "/events":
            return refused("unsupported_route", "this broker can't stream events; use GET /wait")
        request = OlderRequest(envelope)
        await self._responder.respond(request)
        return request.answer()

    async def _close(self, credentials: Credentials) -> None:
        with trio.move_on_after(STOP_SECONDS):
            try:
                await self._calls.close(credentials)
            except (CallFailed, CallRefused):
                return  # it is gone within 30 s by itself
