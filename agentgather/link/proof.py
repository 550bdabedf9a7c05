"""How a host proves that a slug is its own, and a broker checks it. Pure.

The host keeps a route secret. The broker keeps ``owner``, which is a hash of a hash of it.
What the broker stores lets nobody register, and neither does a proof, which is about one
nonce and one slug. Both together do: whoever reads a whole registration, inside TLS, knows
``client_key`` afterwards. So a registration is never logged, and a secret is for one broker.

This is SCRAM's ClientProof (RFC 5802, section 3) with SHA-256, without its slow hash: the
secret is 32 random bytes, not a password.

    client_key = HMAC(secret, "agentgather-link client key")
    owner      = SHA256(client_key)
    proof      = client_key XOR HMAC(owner, SUBPROTOCOL NUL slug NUL nonce)
"""

import hmac
from hashlib import sha256

from agentgather.wire.link import OWNER_BYTES, SUBPROTOCOL


def owner_of(secret: str) -> bytes:
    """Give the owner, 32 bytes, that a route secret makes."""
    return sha256(_client_key(secret)).digest()


def prove(secret: str, slug: str, nonce: bytes) -> bytes:
    """Give the proof, 32 bytes, that answers a challenge."""
    client_key = _client_key(secret)
    return _xor(client_key, _signature(sha256(client_key).digest(), slug, nonce))


def is_proven(owner: bytes, proof: bytes, slug: str, nonce: bytes) -> bool:
    """Say whether whoever made the proof has the owner's secret."""
    if len(owner) != OWNER_BYTES or len(proof) != OWNER_BYTES:
        return False
    client_key = _xor(proof, _signature(owner, slug, nonce))
    return hmac.compare_digest(sha256(client_key).digest(), owner)


def _client_key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"agentgather-link client key", "sha256")


def _signature(owner: bytes, slug: str, nonce: bytes) -> bytes:
    subject = b"\0".join((SUBPROTOCOL.encode(), slug.encode(), nonce))
    return hmac.digest(owner, subject, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
