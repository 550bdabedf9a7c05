"""How long to wait before the next attempt. Pure: chance is passed in."""

from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30
_GROWTH: Final = 3
_STEPS: Final = 1 << 16


class Backoff:
    """Decorrelated jitter: each pause is between the first one and three times the last.

    So the hosts of a broker that comes back do not come back in one moment, nor in waves.
    See "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._last = FIRST_SECONDS

    def next_seconds(self) -> float:
        """Give the next pause, ``FIRST_SECONDS`` to ``LONGEST_SECONDS``."""
        part = int.from_bytes(self._entropy(2), "big") / _STEPS
        pause = FIRST_SECONDS + part * (self._last * _GROWTH - FIRST_SECONDS)
        self._last = min(pause, LONGEST_SECONDS)
        return self._last

    def reset(self) -> None:
        """Begin anew: the last attempt was a good one."""
        self._last = FIRST_SECONDS
