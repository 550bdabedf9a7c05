"""From an open WebSocket to a registered link, at either end.

The deadline is the caller's: ``REGISTER_SECONDS`` for all of it.
"""

from agentgather.link.proof import is_proven, owner_of, prove
from agentgather.link.transport import Transport
from agentgather.wire.errors import PeerViolation, Rejected
from agentgather.wire.link import (
    Challenge,
    Refused,
    Register,
    Registered,
    decode_from_broker,
    decode_from_host,
    encode_frame,
)


class RegistrationRefused(Exception):
    """The broker said no. ``refused`` has its reasons."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        super().__init__(f"{refused.code}: {refused.message}")


async def register(
    transport: Transport,
    *,
    slug: str,
    secret: str,
    registration_token: str = "",
    claim_only: bool = False,
) -> Registered:
    """Register as a host.

    Raises:
        RegistrationRefused: see there.
        PeerViolation: the broker is none.
        LinkClosed: the connection ended.

    """
    challenge = decode_from_broker(await transport.receive())
    if isinstance(challenge, Refused):
        raise RegistrationRefused(challenge)
    if not isinstance(challenge, Challenge):
        raise PeerViolation("bad_frame", "a broker's first frame is a challenge")
    claim = Register(
        slug=slug,
        owner=owner_of(secret),
        proof=prove(secret, slug, challenge.nonce),
        registration_token=registration_token,
        claim_only=claim_only,
    )
    await transport.send(encode_frame(claim))
    answer = decode_from_broker(await transport.receive())
    if isinstance(answer, Refused):
        raise RegistrationRefused(answer)
    if not isinstance(answer, Registered):
        raise PeerViolation("bad_frame", "a broker answers a registration")
    return answer


async def receive_claim(transport: Transport, nonce: bytes) -> Register:
    """Challenge a host, and give what it claims. Its proof is good.

    Raises:
        Rejected: ``slug_forbidden``: it is not.
        PeerViolation: the host is none.
        LinkClosed: the connection ended.

    """
    await transport.send(encode_frame(Challenge(nonce=nonce)))
    claim = decode_from_host(await transport.receive())
    if not isinstance(claim, Register):
        raise PeerViolation("bad_frame", "a host's first frame is its registration")
    if not is_proven(claim.owner, claim.proof, claim.slug, nonce):
        raise Rejected("slug_forbidden")
    return claim
