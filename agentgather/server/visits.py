"""One request on its way through the room: who asks, from where, and for what."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from agentgather.domain.text import Moment
from agentgather.edge.answers import Send
from agentgather.edge.bodies import Receive, decode_body
from agentgather.edge.origins import Served
from agentgather.server.live_room import LiveRoom
from agentgather.wire.errors import Rejected
from agentgather.wire.records import Participant

T = TypeVar("T")


class Visit(NamedTuple):
    """What a handler is given. ``base_url`` is the one that this caller used.

    ``seat`` is the caller's at the moment the handler starts. A handler that awaits looks
    it up again with :meth:`current_seat`: the host may have removed it meanwhile. ``alias``
    is the one in the path. ``by_link`` is true where the token came as ``?token=``.
    """

    live: LiveRoom
    served: Served
    base_url: str
    token: str
    seat: Participant
    parameters: Mapping[str, str]
    path: str
    alias: str
    body: bytes
    method: str
    by_link: bool
    last_event_id: str | None
    if_none_match: bytes | None
    receive: Receive
    send: Send

    @property
    def now(self) -> Moment:
        """The time at this moment, not at the request's start."""
        return self.live.clock()

    def current_seat(self, now: Moment) -> Participant:
        """Look the caller up again.

        Raises:
            Rejected: ``forbidden``, ``participant_removed``, ``invite_expired``.

        """
        seat = self.live.authenticate(self.token, now)
        if seat.removed_at is not None:
            raise Rejected("participant_removed")
        return seat

    def draft(
        self,
        decoder: msgspec.json.Decoder[T],
        field_codes: Mapping[str, str],
        *,
        check: Callable[[], None],
    ) -> T:
        """Read the body; what comes before validation in the order of checks comes first.

        Raises:
            Rejected: ``invalid_json``; what ``check`` raises; the field's code.

        """
        try:
            return decode_body(decoder, self.body, field_codes)
        except Rejected as error:
            if error.code not in ("invalid_json", "invalid_body"):
                check()
            raise

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a piece of an answer that is streamed; without ``more`` it is the last one."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    def wants_html(self) -> bool:
        """Read the parameter ``render``.

        Raises:
            Rejected: ``invalid_render``.

        """
        render = self.parameters.get("render")
        if render not in (None, "html"):
            raise Rejected("invalid_render")
        return render == "html"

    def check_participant(self) -> None:
        """Refuse a ``participant`` parameter that is not the token's alias.

        Raises:
            Rejected: ``participant_mismatch``.

        """
        if self.parameters.get("participant", self.seat.alias) != self.seat.alias:
            raise Rejected("participant_mismatch")


Handler = Callable[[Visit], Awaitable[Any]]
