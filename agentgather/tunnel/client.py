"""The host's end of a tunnel: connects to a broker, for ever, and serves what it sends.

    connecting --registered--> open --link ends--> lost --pause--> connecting ...
         |                      |
         +-- refused            +-- superseded, expired, told to stop: ended

Tasks, outermost first: the watchers of ``stop`` and of suspensions; the link; one for each
stream.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import trio

from agentgather.link.channel import LinkEnd
from agentgather.link.handshake import RegistrationRefused
from agentgather.tunnel.attempt import Attempt, Dial
from agentgather.tunnel.backoff import Backoff
from agentgather.tunnel.events import (
    STOPPED,
    Connecting,
    Ended,
    Lost,
    Opened,
    TunnelEvent,
    TunnelPlan,
)
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.older_broker import OlderAttempt, is_older_broker
from agentgather.tunnel.public_url import BadPublicUrl
from agentgather.tunnel.reasons import IN_VAIN, why_blamed, why_lost, why_refused
from agentgather.tunnel.responder import Responder
from agentgather.tunnel.suspension import suspended_seconds, watch_suspension
from agentgather.tunnel.websocket import open_websocket
from agentgather.wire.limits import FAULT_PAUSE_SECONDS
from agentgather.wire.link import FAULT_CODES, Refused

logger: Final = logging.getLogger("agentgather.tunnel")

GOOD_SECONDS: Final = 10
"""A link that lived so long was a good one: the next attempt is soon."""
LONGEST_PAUSE_SECONDS: Final = 3600
"""A broker that names more is asked again after an hour."""


class AnAttempt(Protocol):
    """One connection to a broker of either kind; see :class:`Attempt`."""

    opened_at: float | None

    async def run(self, on_open: Callable[[str], None]) -> LinkEnd | None:
        """Connect, and serve until the end."""

    async def stop(self) -> None:
        """End it in order."""

    def suspect(self) -> None:
        """Find out at once whether it lives."""


async def run_tunnel(
    plan: TunnelPlan,
    responder: Responder,
    *,
    stop: trio.Event,
    on_event: Callable[[TunnelEvent], None],
    entropy: Callable[[int], bytes],
    dial: Dial = open_websocket,
    older: Callable[[TunnelPlan, Responder], AnAttempt] = OlderAttempt,
    suspended: Callable[[], float] = suspended_seconds,
) -> Ended:
    """Keep a room public until ``stop``, or until that is in vain; says which.

    ``on_event`` is told each change of state. Cancelling cuts what is in flight.
    """
    tunnel = _Tunnel(
        lambda: Attempt(plan, responder, dial),
        lambda: older(plan, responder),
        plan.broker,
        on_event,
        Backoff(entropy),
    )
    async with trio.open_nursery() as watching:
        watching.start_soon(tunnel.stop_when, stop)
        watching.start_soon(partial(watch_suspension, tunnel.wake, suspended=suspended))
        ended = await tunnel.run()
        watching.cancel_scope.cancel()
    return ended


class _Tunnel:
    """One tunnel's life: attempts, and the pauses between them."""

    def __init__(
        self,
        new_attempt: Callable[[], AnAttempt],
        new_older_attempt: Callable[[], AnAttempt],
        broker: str,
        on_event: Callable[[TunnelEvent], None],
        backoff: Backoff,
    ) -> None:
        self._new_attempt = new_attempt
        self._new_older_attempt = new_older_attempt
        self._broker = broker
        self._on_event = on_event
        self._backoff = backoff
        self._attempt: AnAttempt | None = None
        self._woken = trio.Event()
        self._is_stopping = False

    def wake(self) -> None:
        """Find out at once how things are: this process did not run for a while."""
        self._woken.set()
        if self._attempt is not None:
            self._attempt.suspect()

    async def stop_when(self, stop: trio.Event) -> None:
        await stop.wait()
        self._is_stopping = True
        self._woken.set()
        if self._attempt is not None:
            await self._attempt.stop()

    async def run(self) -> Ended:
        while not self._is_stopping:
            self._on_event(Connecting())
            outcome = await self._try_once()
            if self._is_stopping:
                break
            if isinstance(outcome, Ended):
                return outcome
            self._on_event(outcome)
            self._woken = trio.Event()
            with trio.move_on_after(outcome.retry_seconds):
                await self._woken.wait()
        return STOPPED

    async def _try_once(self) -> Lost | Ended:
        try:
            try:
                end = await self._make(self._new_attempt())
            except NoLink as error:
                if self._is_stopping or not is_older_broker(error.status, error.body):
                    raise
                end = await self._make(self._new_older_attempt())
        except RegistrationRefused as error:
            return self._after_refusal(error.refused)
        except BadPublicUrl as error:
            return Ended("bad_broker", str(error))
        except NoLink as error:
            return self._lost(f"{self._broker}: {error}")
        except Exception:
            # A bug. It must not take with it the room that runs in the same process.
            logger.exception("the tunnel failed")
            return self._lost("this program failed; see what it logged")
        return self._after_link(end or LinkEnd("", by_peer=False))

    async def _make(self, attempt: AnAttempt) -> LinkEnd | None:
        self._attempt = attempt
        try:
            return await attempt.run(lambda public_url: self._on_event(Opened(public_url)))
        finally:
            self._attempt = None
            opened_at = attempt.opened_at
            if opened_at is not None and trio.current_time() - opened_at >= GOOD_SECONDS:
                self._backoff.reset()

    def _after_refusal(self, refused: Refused) -> Lost | Ended:
        reason = why_refused(refused)
        if refused.retry_after_s is None or refused.code in IN_VAIN:
            return Ended(refused.code, reason)
        return self._lost(reason, refused.retry_after_s)

    def _after_link(self, end: LinkEnd) -> Lost | Ended:
        if end.by_peer and end.code in IN_VAIN:
            return Ended(end.code, IN_VAIN[end.code])
        if end.by_peer and end.code in FAULT_CODES:
            # Sooner it would be refused.
            return self._lost(why_blamed(end.code), FAULT_PAUSE_SECONDS)
        return self._lost(why_lost(end.code), end.return_after_ms / 1000)

    def _lost(self, reason: str, at_least_seconds: float = 0) -> Lost:
        pause = max(self._backoff.next_seconds(), min(at_least_seconds, LONGEST_PAUSE_SECONDS))
        return Lost(reason, pause)
