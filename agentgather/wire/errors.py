"""What can go wrong, as data: every code, its status, and whether a retry may work.

``spec/errors.md`` is generated from ``CODES``. Codes are permanent: add, never rename.

Three kinds of error cross our own layers; anything else is a bug:

* :class:`Rejected`: the caller asked for what the rules forbid.
* :class:`Unavailable`: not now; a retry may work.
* :class:`PeerViolation`: the other side broke the protocol; its connection ends.
"""

from typing import Final, NamedTuple

import msgspec


class Code(NamedTuple):
    """One row of the table."""

    status: int
    may_retry: bool
    meaning: str


CODES: Final[dict[str, Code]] = {
    # The shape of a request.
    "bad_request": Code(400, False, "The bytes are not an HTTP/1 request that we read."),
    "bad_request_target": Code(400, False, "The request target is no plain path from a slash on."),
    "bad_query": Code(400, False, "The query is not UTF-8, too long, or names a parameter twice."),
    "unexpected_body": Code(400, False, "This method takes no body."),
    "insecure_remote": Code(403, False, "The Host is none that this room is served at."),
    "bad_origin": Code(403, False, "The request comes from a page of another origin."),
    "not_found": Code(404, False, "There is no such endpoint."),
    "method_not_allowed": Code(405, False, "The endpoint has other methods; see Allow."),
    "request_timeout": Code(408, True, "The headers took too long."),
    "body_timeout": Code(408, True, "The body took too long."),
    "body_too_large": Code(413, False, "The body is over 64 KiB."),
    "target_too_long": Code(414, False, "The request target is over 4 KiB."),
    "unsupported_media_type": Code(415, False, "A body must be application/json, not encoded."),
    "headers_too_large": Code(
        431,
        False,
        "The headers are too many or too long; in a browser, remove this site's cookies.",
    ),
    "http_version_not_supported": Code(505, False, "HTTP/1.0 and HTTP/1.1 only."),
    "not_implemented": Code(501, False, "The transfer coding is not chunked."),
    # Who asks.
    "unauthorized": Code(401, False, "There is no well-formed bearer token."),
    "forbidden": Code(403, False, "The token is not one of this room."),
    "participant_removed": Code(410, False, "The host removed this participant."),
    "invite_used": Code(410, False, "This single-use card was used already."),
    "invite_expired": Code(410, False, "The invite expired before anybody used it."),
    "host_required": Code(403, False, "Only the host may do this."),
    "observer_read_only": Code(403, False, "An observer reads and waits, and posts nothing."),
    "participant_mismatch": Code(403, False, "The named participant is not the token's."),
    # What is asked.
    "invalid_json": Code(400, False, "The body is not JSON in strict UTF-8."),
    "invalid_body": Code(400, False, "The body is not the object that the endpoint takes."),
    "invalid_message": Code(400, False, "The text is missing, blank or not text."),
    "invalid_reply_to": Code(400, False, "reply_to is not the id of a message here."),
    "invalid_client_msg_id": Code(400, False, "Not 1 to 128 of A-Z a-z 0-9 . _ : -"),
    "idempotency_conflict": Code(409, False, "The key was used for another text."),
    "message_too_large": Code(413, False, "The text is over 24,000 UTF-16 code units."),
    "brief_too_large": Code(413, False, "The brief is over 16,000 UTF-16 code units."),
    "invalid_policy": Code(
        400, False, "Not manual-ok, agents-foreground, all-foreground or host-directed."
    ),
    "invalid_display_name": Code(400, False, "Not 1 to 60 visible characters."),
    "display_name_taken": Code(409, False, "The name is another's, or looks like it."),
    "reserved_name": Code(400, False, "The name is kept for the room itself."),
    "invalid_alias": Code(400, False, "Not 1 to 64 of a-z 0-9 -, or it starts with a dash."),
    "invalid_kind": Code(400, False, "A kind is agent or human."),
    "invalid_role": Code(400, False, "A role is participant or observer."),
    "invalid_expiry": Code(400, False, "Not a whole number of seconds from 1 to a year."),
    "alias_taken": Code(409, False, "The alias is or was another's."),
    "roster_full": Code(409, False, "The room has as many seats as it can hold."),
    "unknown_participant": Code(404, False, "Nobody here has that alias."),
    "invalid_since_id": Code(400, False, "since_id is not 1 to 15 digits."),
    "invalid_before_id": Code(400, False, "before_id is not 1 to 15 digits."),
    "invalid_limit": Code(400, False, "limit is not a whole number from 1."),
    "invalid_hold": Code(400, False, "hold is not a whole number of seconds from 0 to 25."),
    "invalid_for": Code(400, False, "for can only be me."),
    "invalid_render": Code(400, False, "render can only be html."),
    "invalid_base": Code(400, False, "base can only be public."),
    "invalid_format": Code(400, False, "format can only be md or json."),
    "conflicting_cursor": Code(400, False, "since_id and before_id exclude each other."),
    # Not now, or not any more.
    "room_closed": Code(403, False, "The room is closed; it can be read, not written."),
    "rate_limited": Code(429, True, "Too many in the last minute; see Retry-After."),
    "loop_guard": Code(429, True, "Agents posted 30 in a row without a person."),
    "wait_limit": Code(429, True, "Too many waits are held; end one first."),
    "room_log_full": Code(507, False, "The log holds as many messages as it may."),
    "storage_full": Code(507, True, "The host's disk is full; nothing was stored."),
    "storage_failed": Code(503, True, "The host's disk failed; the room is read-only."),
    "storage_unsafe": Code(503, False, "A file of the room is not what it must be."),
    "overloaded": Code(503, True, "The server is at its limit; see Retry-After."),
    "shutting_down": Code(503, True, "The server is stopping; see Retry-After."),
    # A broker, and what it says of a host.
    "invalid_registration": Code(400, False, "This is no registration, or the slug is no slug."),
    "slug_forbidden": Code(403, False, "The proof, or the registration token, is not good."),
    "route_slug_taken": Code(409, False, "The slug is another host's; choose another one."),
    "invalid_heartbeat": Code(400, False, "The body does not name a route and its secret."),
    "route_not_found": Code(404, False, "No room is published under this name."),
    "route_expired": Code(410, False, "The room was published here, and its time is over."),
    "route_closed": Code(410, False, "The host took the room from here."),
    "unsupported_route": Code(404, False, "The broker forwards no such request."),
    "route_request_limit": Code(429, True, "Too many requests of this room are in progress."),
    "request_too_large": Code(413, False, "The body is over 64 KiB."),
    "response_too_large": Code(502, False, "The host's answer is over 1 MiB, and no stream."),
    "bad_host_response": Code(502, False, "The host's answer is none that may be passed on."),
    "host_unavailable": Code(504, True, "The host is away; it may come back. See Retry-After."),
    "unknown_request": Code(404, False, "No such request waits for an answer."),
    "superseded": Code(409, False, "The same host has connected anew, and this link is over."),
    "internal_error": Code(500, True, "A bug on our side. The text never says more."),
}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error answer."""

    ok: bool = False
    error: str
    message: str


class Rejected(Exception):
    """The caller asked for what the rules forbid.

    ``message`` is for the peer: what to do next, and never a path, a token, another
    room's name or an exception's text. ``retry_after`` is in whole seconds, at least 1.
    ``headers`` are further answer headers, such as ``Allow``. ``status`` is given where a
    code has another than its own in one place.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        retry_after: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        status: int | None = None,
    ) -> None:
        self.code = code
        self.status = status if status is not None else CODES[code].status
        self.message = message if message is not None else CODES[code].meaning
        self.retry_after = retry_after
        self.headers = headers
        super().__init__(f"{code}: {self.message}")


class Unavailable(Rejected):
    """Not now. The same request may work later."""


class PeerViolation(Exception):
    """The other side broke the protocol. Its connection ends, and no other."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")
