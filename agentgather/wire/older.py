"""What hosts and brokers of 0.1.0 to 0.2.5 say to each other: JSON over HTTP, one POST each.

    host                                                        broker
     | -- register {route_slug} ----------------------------------> |
     | <------------------------------- route with its two ids  --- |
     | -- heartbeat {ids}, every 10 s ----------------------------> |
     | -- poll {ids} ---------------------------------------------> |
     | <------------------- request: an envelope, or null for none - |
     | -- respond {ids, request_id, response} --------------------> |
     | -- close {ids} --------------------------------------------> |

Each answer has ``ok``; a refusal is the ``Refusal`` of every other surface. ``tunnel.md``
has what each end does with it. Those programs are finished: nothing here changes any more.

Their rooms answer as rooms do, but for ``OlderMessages``, at the end.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

HOST_PREFIX: Final = "/_host/"
ACTIONS: Final = frozenset({"register", "heartbeat", "poll", "respond", "close"})

Id = Annotated[str, msgspec.Meta(max_length=128)]


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Claim a slug. A ``target``, which a broker should dial, is an unknown field."""

    route_slug: Id


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose route this is about. ``host_connection_id`` is a secret."""

    route_id: Id
    host_connection_id: Id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class OlderRoute(msgspec.Struct, frozen=True):
    """What a host is told of its route. Times are ISO 8601 with milliseconds."""

    route_slug: str
    route_id: str
    host_connection_id: str
    created_at: str = ""
    last_seen_at: str = ""
    last_heartbeat_at: str = ""
    expires_at: str = ""
    status: str = "active"
    host_connected: bool = True

    def __repr__(self) -> str:
        return f"OlderRoute(route_slug={self.route_slug!r}, ...)"


class OlderRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a registration, and to a heartbeat."""

    ok: bool = True
    route: OlderRoute


class Envelope(msgspec.Struct, frozen=True):
    """One request of a participant. ``path`` has the query in it; a body is base64."""

    request_id: Id
    route_slug: str
    method: str
    path: str
    headers: dict[str, str]
    body_base64: bytes | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"Envelope(request_id={self.request_id!r}, ...)"


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a poll."""

    ok: bool = True
    request: Envelope | None


class OlderAnswer(msgspec.Struct, frozen=True):
    """The whole answer to one request."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    headers: dict[str, str]
    body_base64: bytes | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"OlderAnswer(status={self.status}, ...)"


class Respond(Credentials, frozen=True, forbid_unknown_fields=True):
    """A host's answer to a request. ``response`` is an ``OlderAnswer``, if it is sound."""

    request_id: Id
    response: msgspec.Raw = msgspec.Raw()


class Done(msgspec.Struct, frozen=True):
    """The answer to a respond."""

    ok: bool = True


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a close."""

    ok: bool = True
    route_slug: str
    status: str = "closed"


class OlderMessages(msgspec.Struct, frozen=True, kw_only=True):
    """GET /messages of a room of those versions: all after ``since_id``, in no pages."""

    ok: bool = True
    messages: msgspec.Raw
    next_since_id: int
