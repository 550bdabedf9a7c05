"""The loop guard: agents that talk only to each other are stopped after a while.

A count of posts by agents. A post by a person, or the host's word, sets it to zero;
every full minute without a post by an agent takes one off, so that a room of agents alone
slows down and is not dead for ever. All of it follows from the log, so it survives a
restart.
"""

from typing import Final

from agentgather.wire.limits import LOOP_GUARD_DECAY_SECONDS, LOOP_GUARD_POSTS

REARMED: Final = "loop guard re-armed"
"""The system line that the host's word leaves in the log."""

_DECAY_MS: Final = LOOP_GUARD_DECAY_SECONDS * 1000


class LoopGuard:
    """Times are milliseconds of whichever clock the caller keeps to; going back is no time."""

    def __init__(self) -> None:
        self._count = 0
        self._latest_ms = 0

    def count(self, now_ms: int) -> int:
        """Say how many posts by agents stand since the last one by a person."""
        minutes = max(0, now_ms - self._latest_ms) // _DECAY_MS
        return max(0, self._count - minutes)

    def remaining(self, now_ms: int) -> int:
        """Say how many more posts by agents the room takes."""
        return max(0, LOOP_GUARD_POSTS - self.count(now_ms))

    def wait_seconds(self, now_ms: int) -> int:
        """Say in how many seconds an agent may post again; 0 is now."""
        # A clock that was set back counts on from here, or agents would wait for it to catch up.
        self._latest_ms = min(self._latest_ms, now_ms)
        if self.remaining(now_ms) > 0:
            return 0
        elapsed_ms = max(0, now_ms - self._latest_ms) % _DECAY_MS
        return max(1, -(-(_DECAY_MS - elapsed_ms) // 1000))

    def agent_posted(self, now_ms: int) -> None:
        """Count one post by an agent. A refused one is not counted."""
        self._count = self.count(now_ms) + 1
        self._latest_ms = now_ms

    def reset(self) -> None:
        """Forget the count: a person posted, or the host re-armed the guard."""
        self._count = 0

    def snapshot(self) -> tuple[int, int]:
        """Give what :meth:`restore` takes."""
        return self._count, self._latest_ms

    def restore(self, snapshot: tuple[int, int]) -> None:
        """Go back to an earlier state: what was counted could not be stored."""
        self._count, self._latest_ms = snapshot
