"""Who is here: signs of life, kept in memory, and what the policy makes of them."""

from typing import Final

from agentgather.domain.spans import Spans
from agentgather.domain.text import Moment, parse_time
from agentgather.wire.api import PublicParticipant
from agentgather.wire.limits import STALE_AFTER_MS
from agentgather.wire.names import AttendancePolicy
from agentgather.wire.records import Participant

# `managed` is written by later versions of the older program: a supervisor attends.
FOREGROUND: Final = frozenset({"attending", "managed"})

POLICY_MEANINGS: Final[dict[AttendancePolicy, str]] = {
    "manual-ok": "Nobody has to stay: read and post when you can.",
    "agents-foreground": "Every agent stays in the wait loop until the room closes.",
    "all-foreground": "Everybody, people too, stays until the room closes.",
    "host-directed": "The host says in the room who stays and who may go.",
}


class Presence:
    """Signs of life by alias. Nothing of it is written to disk.

    A wait or a stream that is held is a sign of life for as long as it is held.
    """

    def __init__(self, moment: Moment, participants: list[Participant]) -> None:
        self._attention = {p.alias: p.attention for p in participants}
        self._seen: dict[str, Moment] = {}
        self._held: dict[str, int] = {}
        self.spans = Spans()
        for participant in participants:
            seen_ms = parse_time(participant.lastSeenAt)
            if seen_ms is not None:
                age = max(0, moment.wall_ms - seen_ms) / 1000
                self._seen[participant.alias] = Moment(moment.monotonic - age, seen_ms)

    def attention(self, alias: str) -> str:
        """Give ``manual``, ``attending``, ``away``, or what an older file says."""
        return self._attention.get(alias, "manual")

    def seen(self, alias: str, moment: Moment, *, attention: str | None = None) -> None:
        """Take note that the participant acted, and how it attends from now on."""
        self._seen[alias] = moment
        if attention is not None:
            self._attention[alias] = attention

    def hold(self, alias: str, moment: Moment) -> None:
        """Count one more held wait or stream."""
        if alias not in self._held:
            self.spans.begin(alias, moment)
        self._held[alias] = self._held.get(alias, 0) + 1

    def release(self, alias: str, moment: Moment) -> None:
        """Count one held wait or stream less; its end is the last sign of life."""
        self._held[alias] -= 1
        if not self._held[alias]:
            del self._held[alias]
            self.spans.end(alias, moment)
        self._seen[alias] = moment

    def held(self, alias: str) -> int:
        """Say how many waits and streams of the participant are held."""
        return self._held.get(alias, 0)

    def last_seen_text(self, participant: Participant) -> str:
        """Give the wall time of the last sign of life; "" where there was none."""
        seen = self._seen.get(participant.alias)
        return seen.text() if seen is not None else participant.lastSeenAt

    def age_ms(self, alias: str, moment: Moment) -> int:
        """Give the time since the last sign of life; 2^53 - 1 where there was none."""
        if alias in self._held:
            return 0
        seen = self._seen.get(alias)
        if seen is None:
            return 2**53 - 1
        return max(0, round((moment.monotonic - seen.monotonic) * 1000))

    def public(
        self, participant: Participant, policy: AttendancePolicy, moment: Moment
    ) -> PublicParticipant:
        """Give a seat as everybody sees it: no hash of a token, and where it stands."""
        attention = self.attention(participant.alias)
        age_ms = self.age_ms(participant.alias, moment)
        required = is_required(participant, policy)
        if required and attention not in FOREGROUND:
            state = "not_attending"
        elif attention in FOREGROUND and age_ms > STALE_AFTER_MS:
            state = "stale"
        else:
            state = attention
        return PublicParticipant(
            alias=participant.alias,
            display_name=participant.display_name,
            kind=participant.kind,
            location=participant.location,
            install=participant.install,
            attention=attention,
            is_host=participant.is_host,
            joinedAt=participant.joinedAt,
            lastSeenAt=self.last_seen_text(participant),
            removed_at=participant.removed_at,
            attendance_required=required,
            attendance_state=state,
            last_seen_age_ms=age_ms,
            stale_after_ms=STALE_AFTER_MS,
            role=participant.role,
        )


def is_required(participant: Participant, policy: AttendancePolicy) -> bool:
    """Say whether the policy asks this participant to stay in the foreground."""
    if participant.removed_at is not None or participant.role == "observer":
        return False
    if policy == "agents-foreground":
        return participant.kind == "agent"
    return policy == "all-foreground"
