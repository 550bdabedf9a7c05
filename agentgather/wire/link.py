"""Frames on the link between a host and a broker.

This module is the only declaration of the link; ``spec/tunnel.md`` explains it and
``spec/vectors/link.jsonl`` pins its bytes. One binary WebSocket message is one frame.

    host                                          broker
     |  WebSocket to LINK_PATH, SUBPROTOCOL          |
     | <------------------------------- Challenge -- |
     | -- Register --------------------------------> |
     | <-------------------- Registered | Refused -- |  Refused: then the broker closes
     |                                               |
     | <-------------------------- Request(n) Data.. |  n: chosen by the broker, rising
     | -- Response(n) Data.. ----------------------> |
     | <-- Reset(n) --> either way                   |  nothing more of n follows
     | <-- Window(n) --> either way                  |  n's receiver has room for more
     | <-- Ping, Pong --> either way                 |
     | <-- GoingAway --> either way                  |  no new streams; the link ends soon

A head or a data frame with ``end`` is the last of its direction. To add a field, give it a
default: a reader skips keys that it does not know. To add a frame, raise SUBPROTOCOL's
number. Tags are literals, so that renaming a class cannot change the wire.
"""

from typing import Annotated, Final, TypeVar

import msgspec

from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import MAX_FRAME_BYTES

LINK_PATH: Final = "/_host/link"
SUBPROTOCOL: Final = "agentgather-link.1"

NONCE_BYTES: Final = 32
OWNER_BYTES: Final = 32
"""SHA-256's; see :mod:`agentgather.link.proof`."""
MAX_STREAM_ID: Final = 2**31 - 1
MAX_CREDIT: Final = 2**31 - 1

StreamId = Annotated[int, msgspec.Meta(ge=1, le=MAX_STREAM_ID)]
Credit = Annotated[int, msgspec.Meta(ge=1, le=MAX_CREDIT)]
PingId = Annotated[int, msgspec.Meta(ge=0, le=MAX_CREDIT)]
Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Owner = Annotated[bytes, msgspec.Meta(min_length=OWNER_BYTES, max_length=OWNER_BYTES)]
Code = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=366 * 24 * 3600)]
Headers = tuple[tuple[bytes, bytes], ...]
T = TypeVar("T")


# mypy wants `frozen` and `kw_only` repeated on every subclass.
class _Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """What all frames have in common; never on the wire itself."""


class Challenge(_Frame, frozen=True, kw_only=True, tag="challenge"):
    """The broker's first frame: what the host's proof must be about."""

    nonce: Nonce


class Register(_Frame, frozen=True, kw_only=True, tag="register"):
    """The host's first frame: claim a slug, and prove to be its owner.

    With ``claim_only`` the slug is leased and the broker closes: nobody serves it yet.
    """

    slug: Annotated[str, msgspec.Meta(max_length=128)]
    owner: Owner
    proof: Owner
    registration_token: Annotated[str, msgspec.Meta(max_length=128)] = ""
    claim_only: bool = False

    def __repr__(self) -> str:
        return f"Register(slug={self.slug!r}, ...)"


class Registered(_Frame, frozen=True, kw_only=True, tag="registered"):
    """The slug is the host's. ``lease_seconds`` is how long it stays so without a link."""

    public_url: Annotated[str, msgspec.Meta(max_length=2048)]
    lease_seconds: Seconds
    lifetime_seconds: Seconds


class Refused(_Frame, frozen=True, kw_only=True, tag="refused"):
    """The slug is not the host's, and why. Without ``retry_after_s`` it is in vain to try again."""

    code: Code
    message: Text
    retry_after_s: Seconds | None = None


class Request(_Frame, frozen=True, kw_only=True, tag="request"):
    """The head of a participant's request, and the first of its body.

    ``path`` is as it came, undecoded, without the slug; ``query`` without the ``?``.
    """

    stream: StreamId
    method: str
    path: bytes
    query: bytes = b""
    headers: Headers = ()
    data: bytes = b""
    end: bool = False

    def __repr__(self) -> str:
        return f"Request(stream={self.stream}, method={self.method!r}, ...)"


class Response(_Frame, frozen=True, kw_only=True, tag="response"):
    """The head of the answer, and the first of its body."""

    stream: StreamId
    status: int
    headers: Headers = ()
    data: bytes = b""
    end: bool = False

    def __repr__(self) -> str:
        return f"Response(stream={self.stream}, status={self.status}, ...)"


class Data(_Frame, frozen=True, kw_only=True, tag="data"):
    """More of a body. Only with ``end`` may it be empty."""

    stream: StreamId
    data: bytes = b""
    end: bool = False

    def __repr__(self) -> str:
        return f"Data(stream={self.stream}, bytes={len(self.data)}, end={self.end})"


class Window(_Frame, frozen=True, kw_only=True, tag="window"):
    """The receiver of a body takes ``credit`` bytes more."""

    stream: StreamId
    credit: Credit


class Reset(_Frame, frozen=True, kw_only=True, tag="reset"):
    """The stream is over, half-way. Nothing more of it follows from whoever says so."""

    stream: StreamId
    code: Code


class Ping(_Frame, frozen=True, kw_only=True, tag="ping"):
    """Are you there? The answer has the same ``id``."""

    id: PingId


class Pong(_Frame, frozen=True, kw_only=True, tag="pong"):
    """I am."""

    id: PingId


class GoingAway(_Frame, frozen=True, kw_only=True, tag="going_away"):
    """No new streams; those that are open may end. Then the link does.

    A broker that restarts says in ``return_after_ms`` when this host should come back.
    """

    code: Code
    return_after_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0


CLOSE_CODES: Final = {
    "bad_frame": 4400,
    "slug_forbidden": 4401,
    "invalid_registration": 4402,
    "heartbeat_timeout": 4408,
    "superseded": 4409,
    "route_expired": 4410,
    "flow_control": 4413,
    "route_slug_taken": 4423,
    "rate_limited": 4429,
    "going_away": 1001,
}
"""Why a link ended, as WebSocket close codes; any other reason is 1000 or 1011."""

FAULT_CODES: Final = frozenset({"bad_frame", "flow_control", "rate_limited"})
"""Those of them by which one end says that the other has broken the protocol. A host that is
told so stays away for ``FAULT_PAUSE_SECONDS``."""

FromHost = Register | Response | Data | Window | Reset | Ping | Pong | GoingAway
FromBroker = (
    Challenge | Registered | Refused | Request | Data | Window | Reset | Ping | Pong | GoingAway
)

_encoder: Final = msgspec.msgpack.Encoder()
_from_host: Final[msgspec.msgpack.Decoder[FromHost]] = msgspec.msgpack.Decoder(FromHost)
_from_broker: Final[msgspec.msgpack.Decoder[FromBroker]] = msgspec.msgpack.Decoder(FromBroker)


def encode_frame(frame: FromHost | FromBroker) -> bytes:
    """Give the bytes of the message that carries a frame."""
    return _encoder.encode(frame)


def decode_from_host(message: bytes | str) -> FromHost:
    """Read what a host sent.

    Raises:
        PeerViolation: it is not a frame that a host may send.

    """
    return _decode(_from_host, message)


def decode_from_broker(message: bytes | str) -> FromBroker:
    """Read what a broker sent.

    Raises:
        PeerViolation: it is not a frame that a broker may send.

    """
    return _decode(_from_broker, message)


def _decode(decoder: msgspec.msgpack.Decoder[T], message: bytes | str) -> T:
    if isinstance(message, str):
        raise PeerViolation("bad_frame", "a frame is a binary message")
    if len(message) > MAX_FRAME_BYTES:
        raise PeerViolation("bad_frame", "a frame is at most 64 KiB")
    try:
        return decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The error's text may quote what the frame holds.
        raise PeerViolation("bad_frame", "this is no frame of the link") from None
