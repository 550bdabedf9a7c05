"""A registration token: what a host is given, and what is on the disk of it."""

import base64
import re
from typing import Final, NamedTuple

from agentgather.wire.names import REGISTRATION_TOKEN_PREFIX

TOKEN_ENTROPY_BYTES: Final = 32
SECONDS_PER_DAY: Final = 86_400

_TOKEN: Final = re.compile(rf"{REGISTRATION_TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


class LabelTaken(Exception):
    """Another token has the label."""


class StoredToken(NamedTuple):
    """A registration token without the token. Times since 1970; a day is no closer."""

    id: int
    label: str | None
    created_wall_s: int
    last_used_day: int | None
    expires_wall_s: int | None


def mint_registration_token(entropy: bytes) -> str:
    """Make a token of ``TOKEN_ENTROPY_BYTES``."""
    return REGISTRATION_TOKEN_PREFIX + base64.urlsafe_b64encode(entropy).decode().rstrip("=")


def is_registration_token(text: str) -> bool:
    """Say whether a text could be a token at all."""
    return _TOKEN.fullmatch(text) is not None
