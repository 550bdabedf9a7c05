"""The seats of a room. Every change is decided from the current roster, never a copy."""

from collections.abc import Iterator

import msgspec

from agentgather.domain.display_names import skeleton
from agentgather.domain.text import Moment, format_time, parse_time
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_INVITE_SECONDS, MAX_PARTICIPANTS
from agentgather.wire.names import RESERVED_ALIASES, Kind, Role, is_slug
from agentgather.wire.records import Participant


class Roster:
    """Seats by alias and by the hash of their token: both lookups cost the same in any room."""

    def __init__(self, participants: list[Participant]) -> None:
        self._by_alias: dict[str, Participant] = {}
        self._by_hash: dict[str, str] = {}
        self.present: set[str] = set()
        """Aliases of those who were not removed: whom a text can mention."""
        self.version = 0
        """Counts the changes, so that a stream can tell whether it has shown them."""
        for participant in participants:
            self.put(participant)

    def __iter__(self) -> Iterator[Participant]:
        return iter(self._by_alias.values())

    def get(self, alias: str) -> Participant | None:
        """Give a seat, removed ones too."""
        return self._by_alias.get(alias)

    def by_hash(self, token_hash: str) -> Participant | None:
        """Give the seat that a token's hash belongs to, removed ones too."""
        alias = self._by_hash.get(token_hash)
        return self._by_alias[alias] if alias is not None else None

    def put(self, participant: Participant) -> Participant | None:
        """Take a seat in or replace it. Returns what stood there before."""
        before = self._by_alias.get(participant.alias)
        if before is not None and before.token_hash is not None:
            self._by_hash.pop(before.token_hash, None)
        self._by_alias[participant.alias] = participant
        if participant.token_hash is not None:
            self._by_hash[participant.token_hash] = participant.alias
        if participant.removed_at is None:
            self.present.add(participant.alias)
        else:
            self.present.discard(participant.alias)
        self.version += 1
        return before

    def take_back(self, alias: str, before: Participant | None) -> None:
        """Undo a :meth:`put` that could not be stored."""
        if before is not None:
            self.put(before)
            return
        gone = self._by_alias.pop(alias)
        if gone.token_hash is not None:
            self._by_hash.pop(gone.token_hash, None)
        self.present.discard(alias)
        self.version += 1

    def decide_invite(
        self,
        alias: str,
        kind: Kind,
        role: Role,
        token_hash: str,
        moment: Moment,
        *,
        single_use: bool,
        expires_in_s: int | None,
    ) -> Participant:
        """Make a seat for somebody new.

        Raises:
            Rejected: ``invalid_alias``, ``reserved_name``, ``alias_taken``,
                ``roster_full``, ``invalid_expiry``.

        """
        if not is_slug(alias):
            raise Rejected("invalid_alias")
        if alias in RESERVED_ALIASES:
            raise Rejected("reserved_name")
        if alias in self._by_alias:
            raise Rejected("alias_taken", "the alias is or was another's; choose a new one")
        if len(self._by_alias) >= MAX_PARTICIPANTS:
            raise Rejected("roster_full")
        expires_at = None
        if expires_in_s is not None:
            if not 1 <= expires_in_s <= MAX_INVITE_SECONDS:
                raise Rejected("invalid_expiry")
            expires_at = format_time(moment.wall_ms + expires_in_s * 1000)
        return Participant(
            alias=alias,
            kind=kind,
            role=role if role == "observer" else None,
            token_hash=token_hash,
            single_use=single_use or None,
            invite_expires_at=expires_at,
        )

    def decide_rotate(self, alias: str, token_hash: str) -> Participant:
        """Give a seat a new token; the old one is nobody's from then on.

        The seat counts as unused again, and an expiry of the old invite is gone.

        Raises:
            Rejected: ``unknown_participant``.

        """
        return msgspec.structs.replace(
            self._present(alias), token_hash=token_hash, claimed_at=None, invite_expires_at=None
        )

    def decide_remove(self, alias: str, moment: Moment) -> Participant:
        """Remove a participant for good.

        Raises:
            Rejected: ``unknown_participant``; ``host_required`` for the last host.

        """
        participant = self._present(alias)
        if participant.is_host and sum(p.is_host and p.removed_at is None for p in self) == 1:
            raise Rejected(
                "host_required", "a room needs a host; the last one cannot be removed", status=409
            )
        return msgspec.structs.replace(participant, removed_at=moment.text())

    def check_name_free(self, alias: str, name: str) -> None:
        """Refuse a display name that is, or looks like, another's name or alias.

        Raises:
            Rejected: ``display_name_taken``.

        """
        wanted = skeleton(name)
        for other in self:
            if other.alias == alias or other.removed_at is not None:
                continue
            if wanted == skeleton(other.alias) or (
                other.display_name is not None and wanted == skeleton(other.display_name)
            ):
                raise Rejected("display_name_taken")

    def _present(self, alias: str) -> Participant:
        participant = self._by_alias.get(alias)
        if participant is None or participant.removed_at is not None:
            raise Rejected("unknown_participant")
        return participant


def is_expired(participant: Participant, moment: Moment) -> bool:
    """Say whether a seat's invite ran out before anybody used it."""
    if participant.invite_expires_at is None or participant.claimed_at is not None:
        return False
    expires_ms = parse_time(participant.invite_expires_at)
    return expires_ms is not None and moment.wall_ms >= expires_ms
