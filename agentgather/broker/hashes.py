"""Hashes in place of what a broker does not keep: slugs and registration tokens."""

import hmac
from hashlib import sha256
from typing import Final

ROUTE_HASH_CHARS: Final = 16
"""64 bits: two of ``MAX_ROUTES`` slugs share one once in 10^11 brokers."""


def slug_hash(key: bytes, slug: str) -> str:
    """Give what stands for a slug in the state directory: 64 hex digits.

    ``key`` is the broker's. Without it nobody can try a dictionary of names.
    """
    return hmac.digest(key, b"slug\0" + slug.encode(), "sha256").hex()


def route_hash(key: bytes, slug: str) -> str:
    """Give what stands for a slug in the access log: 16 hex digits.

    Another one than in the state directory, so that the two cannot be put together.
    """
    return hmac.digest(key, b"log\0" + slug.encode(), "sha256").hex()[:ROUTE_HASH_CHARS]


def token_hash(token: str) -> bytes:
    """Give what is stored of a registration token; 32 random bytes need no slow hash."""
    return sha256(b"agentgather registration token\0" + token.encode()).digest()
