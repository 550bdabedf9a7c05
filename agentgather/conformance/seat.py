"""The seats of a room that clauses speak for."""

from enum import Enum
from typing import Final, NamedTuple

from agentgather.conformance.answer import Document

ALIASES: Final = "conformance-"
"""How the aliases of all seats begin that are made here."""


class Seats(Enum):
    """Those that every clause may use."""

    HOST = "host"
    HUMAN = "human"
    AGENT = "agent"
    OBSERVER = "observer"


class Seat(NamedTuple):
    """A seat and its token. ``invite`` is what its making was answered."""

    alias: str
    token: str
    invite: Document
