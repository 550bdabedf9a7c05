"""A lease as it is on the disk, in wall-clock time: the one clock that outlives a process."""

from typing import NamedTuple


class StoredLease(NamedTuple):
    """Whose a slug is. ``slug_hash`` is keyed, ``owner`` has 32 bytes; times since 1970."""

    slug_hash: str
    owner: bytes
    created_wall_s: int
    ends_wall_s: int


def age_at_start(lease: StoredLease, now_wall_s: float) -> float | None:
    """Give how old a lease is when the broker starts, in seconds; None where it is over.

    This is the only place where a wall clock decides about a lease. Afterwards Trio's
    counts: its host has the idle time from the start to come back, however long the broker
    was down, and at most what is left of the lifetime.

    Where the clock says that the lease was made later than now, it was set back. How old
    the lease is nobody knows then; it counts as new, because a slug that is given away is
    worse than one that is kept for too long.
    """
    if now_wall_s < lease.created_wall_s:
        return 0.0
    if now_wall_s >= lease.ends_wall_s:
        return None
    return now_wall_s - lease.created_wall_s
