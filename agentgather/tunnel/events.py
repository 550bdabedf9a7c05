"""What a tunnel tells whoever runs it: each change of its state, once."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class TunnelPlan:
    """What to make public, and where. ``broker`` is a base URL in normal form."""

    broker: str
    slug: str
    secret: str = field(repr=False)
    registration_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Connecting:
    """An attempt begins."""


@dataclass(frozen=True)
class Opened:
    """The room is public at this URL, in normal form, until it is lost or ended."""

    public_url: str


@dataclass(frozen=True)
class Lost:
    """It is not, or not yet; the next attempt is in so many seconds."""

    reason: str
    retry_seconds: float


@dataclass(frozen=True)
class Ended:
    """It will not be again; another attempt would be in vain.

    ``code`` is one of ``wire.errors``, or ``bad_broker``; "" where it was told to stop.
    """

    code: str
    reason: str


TunnelEvent = Connecting | Opened | Lost

STOPPED: Final = Ended("", "")
