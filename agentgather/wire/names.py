"""Names that users, peers and files share: slugs, tokens, kinds, types, policies."""

import re
from typing import Annotated, Final, Literal

import msgspec

from agentgather.wire.limits import MAX_SLUG_CHARS

# Matched whole and in ASCII. `\A…\Z`, because `$` lets a trailing newline through.
# Never a leading dash: an alias must not read as a command-line flag.
SLUG_PATTERN: Final = r"\A[a-z0-9][a-z0-9-]{0,63}\Z"
CLIENT_MSG_ID_PATTERN: Final = r"\A[A-Za-z0-9._:-]{1,128}\Z"

Slug = Annotated[str, msgspec.Meta(pattern=SLUG_PATTERN)]
ClientMsgId = Annotated[str, msgspec.Meta(pattern=CLIENT_MSG_ID_PATTERN)]
# What a JavaScript reader can hold exactly (ECMA-262, Number.MAX_SAFE_INTEGER).
MessageId = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]

Kind = Literal["agent", "human"]
Role = Literal["participant", "observer"]
RoomStatus = Literal["open", "closed"]
AttendancePolicy = Literal["manual-ok", "agents-foreground", "all-foreground", "host-directed"]
MessageType = Literal[
    "message", "question", "reply", "status", "request_review", "request_debug", "handoff"
]

KINDS: Final = ("agent", "human")
ROLES: Final = ("participant", "observer")
ATTENDANCE_POLICIES: Final = (
    "manual-ok",
    "agents-foreground",
    "all-foreground",
    "host-directed",
)
MESSAGE_TYPES: Final = (
    "message",
    "question",
    "reply",
    "status",
    "request_review",
    "request_debug",
    "handoff",
)
SYSTEM: Final = "system"

# Aliases that would read as the room's own voice, as everybody, or as an operator.
RESERVED_ALIASES: Final = frozenset(
    {"system", "host", "all", "here", "everyone", "admin", "broker", "agentgather"}
)

# Prefixes let secret scanners know a token; `tgl_` is the older program's.
PARTICIPANT_TOKEN_PREFIX: Final = "agp_"  # noqa: S105 - a prefix, no secret
ROUTE_SECRET_PREFIX: Final = "agh_"  # noqa: S105 - a prefix, no secret
OLDER_TOKEN_PREFIX: Final = "tgl_"  # noqa: S105 - a prefix, no secret
REGISTRATION_TOKEN_PREFIX: Final = "agr_"  # noqa: S105 - a prefix, no secret

_SLUG: Final = re.compile(SLUG_PATTERN, re.ASCII)
# A label of a DNS name (RFC 1123, section 2.1), so that it could be a subdomain one day.
# Without two dashes in a row there is no `xn--`, whose letters a browser shows as others.
_ROUTE_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_CLIENT_MSG_ID: Final = re.compile(CLIENT_MSG_ID_PATTERN, re.ASCII)


def is_slug(text: str) -> bool:
    """Say whether ``text`` may name a room or a participant."""
    return _SLUG.match(text) is not None


def is_route_slug(text: str) -> bool:
    """Say whether ``text`` has the form of a route's slug, the first segment of a public URL."""
    return len(text) <= MAX_SLUG_CHARS and _ROUTE_SLUG.fullmatch(text) is not None


def is_client_msg_id(text: str) -> bool:
    """Say whether ``text`` may be a sender's own message key."""
    return _CLIENT_MSG_ID.match(text) is not None
