"""What reading a log found, for the host and for ``doctor``."""

from dataclasses import dataclass
from pathlib import Path

from agentgather.storage.log_scan import BadLine


@dataclass(frozen=True, slots=True)
class Recovery:
    """What reading a log found. The records themselves went to ``on_record``.

    ``bad`` holds the first 1,000 bad lines, ``bad_count`` counts them all. A gap is a jump
    in the ids, a record out of order one that belongs into an earlier gap. ``torn`` is
    where a tail of ``torn_bytes`` was set aside; None when the log was only read.
    ``can_sync`` is false on a file system that cannot promise anything.
    """

    records: int
    last_id: int
    blank: int
    bad: tuple[BadLine, ...]
    bad_count: int
    gaps: int
    duplicates: int
    out_of_order: int
    foreign: int
    torn: Path | None
    torn_bytes: int
    can_sync: bool = True
    was_missing: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        """What a host should know, in plain words; empty for a sound log."""
        found = []
        if self.was_missing:
            found.append("the log was missing; the room starts with an empty one")
        if self.torn is not None:
            found.append(f"an unfinished last line was set aside as {self.torn.name}")
        elif self.torn_bytes:
            found.append(f"the last {self.torn_bytes} bytes are an unfinished line")
        if self.bad_count:
            first = self.bad[0]
            found.append(
                f"{self.bad_count} bad line(s) in the log, the first is line {first.number} "
                f"at byte {first.offset}: {first.reason}"
            )
        for count, what in (
            (self.gaps, "gap(s) in the ids"),
            (self.duplicates, "record(s) with an id that another has"),
            (self.out_of_order, "record(s) out of order"),
            (self.foreign, "record(s) of another room"),
        ):
            if count:
                found.append(f"{count} {what}")
        if not self.can_sync:
            found.append(
                "this file system has no sync: after a power cut, acknowledged messages may be gone"
            )
        return tuple(found)
