"""Why a room is not public, or not any more, in words for the person who wants it to be."""

from typing import Final

from agentgather.wire.link import Refused

IN_VAIN: Final = {
    "superseded": "this room has a newer tunnel, and there can be one",
    "slug_forbidden": "the broker accepts no proof, or no registration token, of ours; a token "
    "that its operator gives you goes into --registration-token-file FILE",
    "route_slug_taken": "the name is another host's; choose one with --subdomain",
    "invalid_registration": "the broker does not take the name; choose one with --subdomain",
    "route_expired": "the broker's time for this room is over; start the tunnel again",
}
"""Reasons after which another attempt would be in vain, or would fight with somebody."""
_REASONS: Final = {
    "": "the connection was lost",
    "going_away": "the broker goes away for a while",
    "restart": "the broker restarts",
    "heartbeat_timeout": "the broker went silent",
}


def why_lost(code: str) -> str:
    """Say why a link ended."""
    return _REASONS.get(code, f"the link broke ({code})")


def why_blamed(code: str) -> str:
    """Say why a broker ended a link, where it was for a fault of ours."""
    return f"the broker ended the link for a fault of this program ({code})"


def why_refused(refused: Refused) -> str:
    """Say for people why a broker does not register a host."""
    reason = IN_VAIN.get(refused.code, "the broker refuses")
    return f"{reason} (it says: {refused.message})" if refused.message else reason
