"""Participants' tokens: made from entropy, kept as a hash, looked up by it."""

import base64
import hashlib
import re
from typing import Final

from agentgather.wire.names import OLDER_TOKEN_PREFIX, PARTICIPANT_TOKEN_PREFIX

TOKEN_ENTROPY_BYTES: Final = 32
_TOKEN: Final = re.compile(
    rf"(?:{PARTICIPANT_TOKEN_PREFIX}|{OLDER_TOKEN_PREFIX})[A-Za-z0-9_-]{{16,128}}", re.ASCII
)
_BEARER: Final = re.compile(rb"Bearer ([A-Za-z0-9._~+/=-]{1,512})")


def mint_token(entropy: bytes) -> str:
    """Make a token of 32 random bytes."""
    assert len(entropy) == TOKEN_ENTROPY_BYTES
    return PARTICIPANT_TOKEN_PREFIX + base64.urlsafe_b64encode(entropy).decode().rstrip("=")


def hash_token(token: str) -> str:
    """Give what is stored of a token: its SHA-256 in hex.

    A token is 256 bits of entropy, so a plain hash can't be searched, and a lookup by
    hash takes the same time for every wrong token.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(text: str) -> bool:
    """Say whether the text has a token's form, ours or the older program's."""
    return _TOKEN.fullmatch(text) is not None


def parse_bearer(authorization: bytes | None) -> str | None:
    """Give the token of an ``Authorization`` value; None where there is no well-formed one."""
    if authorization is None:
        return None
    match = _BEARER.fullmatch(authorization)
    return match[1].decode("ascii") if match is not None else None
